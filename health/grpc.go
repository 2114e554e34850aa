package health

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// grpcProbe passes when Check of grpc.health.v1.Health answers SERVING
// (github.com/grpc/grpc/blob/master/doc/health-checking.md). hangUp closes its
// connection.
//
// One connection serves all probes for as long as it works. One that does not
// is thrown away and not left to grpc-go to mend: that would dial at times of
// its own and answer a probe at once with what it saw last, and so the probe at
// the deadline with the past.
//
// What is up and not yet SERVING is watched besides, where the server can that:
// news has a token when it is SERVING. It is only a hint to ask at once, since
// Watch is no answer of now.
func grpcProbe(h *config.Health, at []scheduler.Instance, n *network) (ask probe, news <-chan struct{}, hangUp func()) {
	var conn *grpc.ClientConn
	var first net.Conn // that it is made of
	watch := grpcWatch{service: h.Service, news: make(chan struct{}, 1)}
	hangUp = func() {
		if conn != nil {
			conn.Close()
			first.Close() // it may never have been taken
			conn = nil
			watch.end()
		}
	}
	ask = func(ctx context.Context, last bool) error {
		l, err := n.locate(h, at, last)
		if err != nil {
			return err
		}
		if conn == nil {
			if err := l.dialable(); err != nil {
				return err
			}
			// While the port is refused, a dial tells for a tenth of the CPU.
			if first, err = l.dial(ctx); err != nil {
				return l.explain(ctx, h, err)
			}
			if conn, err = l.grpcClient(h, first); err != nil {
				first.Close()
				return err
			}
		}
		answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: h.Service})
		if conn.GetState() != connectivity.Ready {
			hangUp()
		}
		switch s := status.Convert(err); s.Code() {
		case codes.OK:
			if answer.Status != healthpb.HealthCheckResponse_SERVING {
				watch.begin(conn)
				return fail("not_serving", "the server answers %s", answer.Status)
			}
			return nil
		case codes.NotFound:
			watch.begin(conn)
			return fail("grpc_not_found", "the server knows no service %q", h.Service)
		case codes.Unimplemented:
			return fail("grpc_unimplemented", "the server does not implement grpc.health.v1.Health")
		case codes.DeadlineExceeded, codes.Canceled:
			return l.explain(ctx, h, context.DeadlineExceeded)
		case codes.Unavailable:
			return l.explain(ctx, h, errors.New(s.Message()))
		default:
			return fail("grpc_error", "the server answers %s: %s", s.Code(), clean(s.Message()))
		}
	}
	return ask, watch.news, hangUp
}

// grpcWatch follows what a server says of itself over one connection, until it
// says SERVING. That is believed once: who says so again and again is not asked
// the more often.
type grpcWatch struct {
	service string
	news    chan struct{}
	cancel  context.CancelFunc // nil: it does not watch
	done    chan struct{}
}

// begin is called when the server has answered, with a connection that works.
func (w *grpcWatch) begin(conn *grpc.ClientConn) {
	if w.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		if !serves(ctx, conn, w.service) {
			return
		}
		select {
		case w.news <- struct{}{}:
		default:
		}
	}()
}

// serves waits until the server says so; it never does if it doesn't implement
// Watch.
func serves(ctx context.Context, conn *grpc.ClientConn, service string) bool {
	stream, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		return false
	}
	for {
		said, err := stream.Recv()
		if err != nil {
			return false
		}
		if said.Status == healthpb.HealthCheckResponse_SERVING {
			return true
		}
	}
}

func (w *grpcWatch) end() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
		w.cancel = nil
	}
}

// grpcClient makes a client of a connection; when that breaks, of another one.
func (l place) grpcClient(h *config.Health, first net.Conn) (*grpc.ClientConn, error) {
	var used atomic.Bool
	secure, err := tlsConfig(h.TLS)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if secure != nil {
		creds = credentials.NewTLS(secure)
	}
	// Neither a resolver nor a proxy has a say in where a container is.
	return grpc.NewClient("passthrough:///"+l.addresses[0].String(),
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			if !used.Swap(true) {
				return first, nil
			}
			return l.dial(ctx)
		}))
}
