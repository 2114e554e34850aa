package health

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// grpcServer serves until the test ends.
func grpcServer(t testing.TB, l net.Listener, secure *tls.Config, health healthpb.HealthServer) netip.AddrPort {
	t.Helper()
	var options []grpc.ServerOption
	if secure != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(secure)))
	}
	s := grpc.NewServer(options...)
	if health != nil {
		healthpb.RegisterHealthServer(s, health)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	return l
}

// serving is a health server that knows "" and "svc".
func serving(s healthpb.HealthCheckResponse_ServingStatus) healthpb.HealthServer {
	h := grpchealth.NewServer()
	h.SetServingStatus("", s)
	h.SetServingStatus("svc", s)
	return h
}

// healthFunc is a health server by hand.
type healthFunc func(context.Context) (healthpb.HealthCheckResponse_ServingStatus, error)

func (f healthFunc) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	s, err := f(ctx)
	return &healthpb.HealthCheckResponse{Status: s}, err
}

func (f healthFunc) Watch(*healthpb.HealthCheckRequest, healthpb.Health_WatchServer) error {
	return status.Error(codes.Unimplemented, "")
}

func (f healthFunc) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func TestGRPC(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	clientCert, clientKey := ours.leaf("client", hour)
	strangeCert, strangeKey := theirs.leaf("client", hour)
	up := serving(healthpb.HealthCheckResponse_SERVING)
	serve := func(secure *tls.Config, health healthpb.HealthServer) func(*testing.T) netip.AddrPort {
		return func(t *testing.T) netip.AddrPort { return grpcServer(t, loopback(t), secure, health) }
	}
	plain := func(serve func(net.Conn)) func(*testing.T) netip.AddrPort {
		return func(t *testing.T) netip.AddrPort { return listenOn(t, "127.0.0.1:0", serve) }
	}
	answers := func(code codes.Code, text string) healthpb.HealthServer {
		return healthFunc(func(context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
			return 0, status.Error(code, text)
		})
	}
	trust := &config.TLS{CA: ours.file}
	for _, c := range []struct {
		name    string
		server  func(*testing.T) netip.AddrPort
		service string
		tls     *config.TLS
		want    string
	}{
		{"SERVING", serve(nil, up), "", nil, "passed"},
		{"SERVING, of a service", serve(nil, up), "svc", nil, "passed"},
		{"NOT_SERVING", serve(nil, serving(healthpb.HealthCheckResponse_NOT_SERVING)), "svc", nil, "late not_serving: grpc 8443: the server answers NOT_SERVING"},
		{"UNKNOWN", serve(nil, serving(healthpb.HealthCheckResponse_UNKNOWN)), "", nil, "late not_serving: grpc 8443: the server answers UNKNOWN"},
		{"no such service", serve(nil, up), "svd", nil, `late grpc_not_found: grpc 8443: the server knows no service "svd"`},
		{"no health service", serve(nil, nil), "", nil, "late grpc_unimplemented: grpc 8443: the server does not implement grpc.health.v1.Health"},
		{"denied", serve(nil, answers(codes.PermissionDenied, "no\n\x1b[2Jtoken")), "", nil, "late grpc_error: grpc 8443: the server answers PermissionDenied: no token"},
		{"unavailable in its own words", serve(nil, answers(codes.Unavailable, "warming up")), "", nil,
			"late unreachable: grpc 8443: warming up at HOST"},
		{"slow", serve(nil, healthFunc(func(ctx context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})), "", nil,
			"late timeout: grpc 8443: no answer within 1s at HOST"},
		{"refused", closedPort, "", nil, "late refused: grpc 8443: connection refused at HOST"},
		{"hangs up", plain(hangUp), "", nil, "late forwarder: grpc 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"resets", plain(reset), "", nil, "late forwarder: grpc 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"silent", plain(silent), "", nil, "late timeout: grpc 8443: no answer within 1s at HOST"},
		{"HTTP/1", httpServer(nil, nil), "", nil, "late not_http2: grpc 8443: the server speaks HTTP/1, not gRPC at HOST"},

		{"TLS", serve(ours.server("127.0.0.1", hour), up), "", trust, "passed"},
		{"TLS, by name", serve(ours.server("mcias.example", hour), up), "", &config.TLS{CA: ours.file, ServerName: "mcias.example"}, "passed"},
		{"TLS, anybody", serve(theirs.server("elsewhere", hour), up), "", &config.TLS{InsecureSkipVerify: true}, "passed"},
		{"TLS, but asked in plain text", serve(ours.server("127.0.0.1", hour), up), "", nil, "late tls_mismatch: grpc 8443: the server speaks TLS; add tls {} at HOST"},
		{"plain, but asked in TLS", serve(nil, up), "", trust, "late tls_mismatch: grpc 8443: the server does not speak TLS; leave out tls {} at HOST"},
		{"TLS to a forwarder", plain(hangUp), "", trust, "late forwarder: grpc 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"unknown authority", serve(theirs.server("127.0.0.1", hour), up), "", trust,
			"late tls_verify: grpc 8443: the server's certificate is signed by an unknown authority; set ca in tls {} at HOST"},
		{"unknown to the system", serve(ours.server("127.0.0.1", hour), up), "", &config.TLS{},
			"late tls_verify: grpc 8443: the server's certificate is signed by an unknown authority; set ca in tls {} at HOST"},
		{"expired", serve(ours.server("127.0.0.1", time.Now().Add(-time.Hour)), up), "", trust,
			"late tls_verify: grpc 8443: the server's certificate has expired or is not valid yet at HOST"},
		{"other name", serve(ours.server("mcias.example", hour), up), "", &config.TLS{CA: ours.file, ServerName: "mcns.example"},
			"late tls_verify: grpc 8443: the server's certificate is for another name; set server_name in tls {} at HOST"},
		{"a name, no address", serve(ours.server("mcias.example", hour), up), "", trust,
			"late tls_verify: grpc 8443: the server's certificate is for a name, not an address; set server_name in tls {} at HOST"},
		{"HTTP/1 over TLS", httpServer(ours.server("127.0.0.1", hour), nil), "", trust, "late not_http2: grpc 8443: the server does not speak HTTP/2, which gRPC needs at HOST"},

		{"mutual TLS", serve(ours.mutual(0), up), "", &config.TLS{CA: ours.file, Cert: clientCert, Key: clientKey}, "passed"},
		{"no client certificate", serve(ours.mutual(0), up), "", trust, "late tls_verify: grpc 8443: the server wants a client certificate; set cert and key in tls {} at HOST"},
		{"no client certificate, TLS 1.2", serve(ours.mutual(tls.VersionTLS12), up), "", trust,
			"late tls_verify: grpc 8443: the server refuses the TLS handshake; it may want a client certificate, see cert and key in tls {} at HOST"},
		{"another client certificate", serve(ours.mutual(0), up), "", &config.TLS{CA: ours.file, Cert: strangeCert, Key: strangeKey},
			"late tls_verify: grpc 8443: the server wants a client certificate, or another one; see cert and key in tls {} at HOST"},
		{"no ca file", serve(nil, up), "", &config.TLS{CA: "/nowhere/ca.pem"}, "late tls_file: grpc 8443: cannot read ca of tls {}: open /nowhere/ca.pem: no such file or directory"},
		{"no certificate in the ca file", serve(nil, up), "", &config.TLS{CA: "/dev/null"}, "late tls_file: grpc 8443: cannot read ca of tls {}: no certificate in /dev/null"},
		{"no key file", serve(nil, up), "", &config.TLS{Cert: ours.file, Key: "/nowhere/key.pem"},
			"late tls_file: grpc 8443: cannot read cert and key of tls {}: open /nowhere/key.pem: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := c.server(t)
			h := config.Health{Kind: config.HealthGRPC, Port: 8443, Service: c.service, TLS: c.tls, Timeout: time.Second}
			got := probeNow(t, &fake{}, h, published(address))
			same(t, strings.ReplaceAll(got, address.String(), "HOST"), c.want)
		})
	}
}

func TestGRPCOfAPortThatIsNotPublished(t *testing.T) {
	same(t, probeNow(t, &fake{}, config.Health{Kind: config.HealthGRPC, Port: 8443}, container("c")),
		"late not_published: grpc 8443: the port is not published; publish it on 127.0.0.1, or use an exec check")
}

// counted counts the connections of a listener.
type counted struct {
	net.Listener
	n *atomic.Int32
}

func (l counted) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}

func TestGRPCKeepsOneConnectionForAllItsProbes(t *testing.T) {
	var connections, checks atomic.Int32
	slowly := healthFunc(func(context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
		if checks.Add(1) < 4 {
			return healthpb.HealthCheckResponse_NOT_SERVING, nil
		}
		return healthpb.HealthCheckResponse_SERVING, nil
	})
	address := grpcServer(t, counted{loopback(t), &connections}, nil, slowly)
	h := config.Health{Kind: config.HealthGRPC, Port: 8443, Interval: time.Millisecond}
	o := New(&fake{}).Await(t.Context(), service(h), []scheduler.Instance{published(address)}, time.Now().Add(time.Hour), quiet)
	if say(o) != "passed" || checks.Load() != 4 || connections.Load() != 1 {
		t.Errorf("%s after %d checks over %d connections; want passed after 4 over 1", say(o), checks.Load(), connections.Load())
	}
}

// The server comes up while the check is looking at a closed port: what
// grpc-go would remember of the failed dial must not stand in its way.
func TestGRPCFindsAServerThatComesUp(t *testing.T) {
	address := closedPort(t)
	var noted []string
	note := func(c scheduler.Cause) {
		if len(noted) == 0 {
			l, err := net.Listen("tcp", address.String())
			ok(t, err)
			grpcServer(t, l, nil, serving(healthpb.HealthCheckResponse_SERVING))
		}
		noted = append(noted, c.Code)
	}
	h := config.Health{Kind: config.HealthGRPC, Port: 8443}
	o := New(&fake{}).Await(t.Context(), service(h), []scheduler.Instance{published(address)}, time.Now().Add(time.Hour), note)
	same(t, say(o)+" after "+strings.Join(noted, ", "), "passed after refused")
}

func TestGRPCAsksNoProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://"+closedPort(t).String())
	}
	address := grpcServer(t, loopback(t), nil, serving(healthpb.HealthCheckResponse_SERVING))
	same(t, probeNow(t, &fake{}, config.Health{Kind: config.HealthGRPC, Port: 8443}, published(address)), "passed")
}

// A server that says by Watch that it is ready is asked at once, and not when
// the next probe is due; that it says so alone proves nothing.
func TestGRPCIsAskedAtOnceWhenTheServerSaysThatItServes(t *testing.T) {
	h := config.Health{Kind: config.HealthGRPC, Port: 8443, Interval: time.Hour, Timeout: time.Second, Successes: 1}
	for name, c := range map[string]struct {
		watch string // the service that is watched
		first func(*grpchealth.Server)
	}{
		"NOT_SERVING":     {"", func(s *grpchealth.Server) { s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING) }},
		"no such service": {"late", func(*grpchealth.Server) {}},
	} {
		t.Run(name, func(t *testing.T) {
			server := grpchealth.NewServer()
			c.first(server)
			h := h
			h.Service = c.watch
			at := published(grpcServer(t, loopback(t), nil, server))
			o := New(&fake{}).Await(t.Context(), service(h), []scheduler.Instance{at}, time.Now().Add(time.Hour), func(scheduler.Cause) {
				server.SetServingStatus(c.watch, healthpb.HealthCheckResponse_SERVING)
			})
			same(t, say(o), "passed")
		})
	}
}

// boaster says SERVING by Watch as often as it can, and NOT_SERVING when asked.
type boaster struct {
	healthpb.UnimplementedHealthServer
	asked atomic.Int32
}

func (b *boaster) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	b.asked.Add(1)
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
}

func (b *boaster) Watch(_ *healthpb.HealthCheckRequest, s healthpb.Health_WatchServer) error {
	for s.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}) == nil {
	}
	return nil
}

func TestGRPCIsNotAskedMoreByAServerThatBoasts(t *testing.T) {
	b := &boaster{}
	h := config.Health{Kind: config.HealthGRPC, Port: 8443, Interval: 200 * time.Millisecond, Timeout: time.Second, Successes: 1}
	at := published(grpcServer(t, loopback(t), nil, b))
	o := New(&fake{}).Await(t.Context(), service(h), []scheduler.Instance{at}, time.Now().Add(time.Second), quiet)
	same(t, o.Cause.Code, "not_serving")
	if n := b.asked.Load(); n > 8 {
		t.Errorf("it was asked %d times in a second", n)
	}
}

// How long after the server says SERVING the service is found ready: by Watch,
// and by a server that has none.
func BenchmarkFoundServing(b *testing.B) {
	for _, watch := range []bool{true, false} {
		b.Run(fmt.Sprintf("watch=%t", watch), func(b *testing.B) {
			h := config.Health{Kind: config.HealthGRPC, Port: 8443, Timeout: time.Second, Successes: 1}
			var took []time.Duration
			for b.Loop() {
				status := grpchealth.NewServer()
				status.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
				var server healthpb.HealthServer = status
				if !watch {
					server = healthFunc(func(ctx context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
						answer, err := status.Check(ctx, &healthpb.HealthCheckRequest{})
						return answer.GetStatus(), err
					})
				}
				at := published(grpcServer(b, loopback(b), nil, server))
				serves := make(chan time.Time, 1)
				time.AfterFunc(500*time.Millisecond, func() {
					serves <- time.Now()
					status.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
				})
				New(&fake{}).Await(b.Context(), service(h), []scheduler.Instance{at}, time.Now().Add(time.Hour), quiet)
				took = append(took, time.Since(<-serves))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
			b.ReportMetric(0, "ns/op")
		})
	}
}
