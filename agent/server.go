package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/scheduler"
)

// Say tells the caller something. It may be called from any goroutine.
type Say func(*pb.Message)

// Work is what the agent can be asked to do. An error should be a *Failure.
type Work struct {
	Plan    func(context.Context, *pb.PlanRequest, Say) (*pb.PlanResponse, error)
	Apply   func(context.Context, *pb.ApplyRequest, Say, func(scheduler.Event)) error // that not all came up is no error
	Down    func(context.Context, *pb.DownRequest, Say) error
	Status  func(context.Context, *pb.StatusRequest, Say) (*pb.StatusResponse, error)
	Why     func(context.Context, *pb.WhyRequest, Say) (*pb.WhyResponse, error)
	History func(context.Context, *pb.HistoryRequest, Say) (*pb.HistoryResponse, error)
}

// Failure is why something could not be done, as both sides tell it.
type Failure struct {
	Status codes.Code
	Exit   int    // of the command
	Code   string // a stable short name, for programs
	Text   string // "": it has been told
}

func (f *Failure) Error() string { return f.Text }

// Agent serves what it is given.
type Agent struct {
	pb.UnimplementedBootGraphServer
	id    string
	work  Work
	feed  *feed
	ready *readiness

	base context.Context // ends with the agent
	end  context.CancelCauseFunc

	mu    sync.Mutex
	ended bool           // no call begins any more
	busy  sync.WaitGroup // work of calls; added to under mu
}

// New makes an agent that serves nobody yet, but takes events.
func New(work Work) *Agent {
	base, end := context.WithCancelCause(context.Background())
	id := fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405.000Z"), os.Getpid())
	return &Agent{id: id, work: work, feed: newFeed(feedMost), ready: newReadiness(), base: base, end: end}
}

// Add takes the next event of a boot, or of what is done after it, and hands
// it to all who watch. It never waits, and may be called from any goroutine.
func (a *Agent) Add(e scheduler.Event) {
	a.feed.add(e)
	a.ready.add(e)
}

// Expect makes the services of the plan those that the health service knows.
func (a *Agent) Expect(p *scheduler.Plan) {
	a.ready.expect(p)
	a.feed.forget(func(service string) bool { return !a.ready.has(service) })
}

// Alive returns unless something is stuck that all of the agent needs.
func (a *Agent) Alive() {
	a.feed.snapshot()
	a.ready.has("")
}

const (
	requestMost  = 1 << 20  // bytes: a request has names in it
	responseMost = 64 << 20 // bytes; a plan of 10,000 services has about 20 MiB
	unaryMost    = 5 * time.Minute
	endMost      = time.Second // for answers on their way when the agent ends
)

// Serve opens the endpoints and serves until ctx ends, whose cause those get
// who are being served; what they have begun is finished. open is called when
// clients can connect.
func (a *Agent) Serve(ctx context.Context, endpoints []*Endpoint, open func()) error {
	var listeners []net.Listener
	for _, e := range endpoints {
		listener, err := e.Listen()
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return err
		}
		listeners = append(listeners, listener)
	}
	var servers []*grpc.Server
	var accepting sync.WaitGroup
	failed := make(chan error, len(endpoints))
	a.ready.server.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	for i, e := range endpoints {
		server := a.server(e)
		servers = append(servers, server)
		accepting.Go(func() { failed <- server.Serve(listeners[i]) })
	}
	open()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.ready.server.Shutdown()
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.end(context.Cause(ctx))
	a.busy.Wait()
	for _, server := range servers {
		// Streams of the health service don't end by themselves, nor do those
		// whose client doesn't read.
		cut := time.AfterFunc(endMost, server.Stop)
		server.GracefulStop()
		cut.Stop()
	}
	accepting.Wait() // the sockets are gone
	return err
}

func (a *Agent) server(e *Endpoint) *grpc.Server {
	server := grpc.NewServer(grpc.Creds(e.creds),
		grpc.MaxRecvMsgSize(requestMost), grpc.MaxSendMsgSize(responseMost), grpc.MaxConcurrentStreams(128),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(bounded))
	pb.RegisterBootGraphServer(server, a)
	grpc_health_v1.RegisterHealthServer(server, a.ready.server)
	reflection.Register(server)
	return server
}

// bounded gives a call an end for whose caller doesn't.
func bounded(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, unaryMost)
	defer cancel()
	return handle(ctx, request)
}

// begin is the context of the work of a call: it ends with the caller or with
// the agent, which waits for done.
func (a *Agent) begin(call context.Context) (ctx context.Context, done func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return nil, nil, status.Error(codes.Unavailable, "the agent ends")
	}
	a.busy.Add(1)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(call)) // else the cause is that of call
	stop := context.AfterFunc(a.base, func() { cancel(context.Cause(a.base)) })
	gone := context.AfterFunc(call, func() {
		cancel(scheduler.Interrupt{Signal: "the client, which ended the call", Exit: 1})
	})
	return ctx, func() { stop(); gone(); cancel(nil); a.busy.Done() }, nil
}

// told keeps what is said during a call without a stream.
type told struct {
	mu   sync.Mutex
	list []*pb.Message
}

func (t *told) say(m *pb.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, m)
}

// answer carries out a call without a stream.
func answer[Q, R any](a *Agent, call context.Context, request Q, do func(context.Context, Q, Say) (R, error), attach func(R, []*pb.Message)) (R, error) {
	var none R
	ctx, done, err := a.begin(call)
	if err != nil {
		return none, err
	}
	defer done()
	var t told
	response, err := do(ctx, request, t.say)
	if err != nil {
		return none, refusal(err, t.list)
	}
	attach(response, t.list)
	return response, nil
}

// refusal is the status of an error.
func refusal(err error, messages []*pb.Message) error {
	var f *Failure
	if !errors.As(err, &f) {
		f = &Failure{Status: codes.Internal, Exit: 1, Code: "error", Text: err.Error()}
	}
	text := f.Text // for those who look at nothing else
	for _, m := range messages {
		if text == "" && m.Level != "info" {
			text = m.Text
		}
	}
	if text == "" {
		text = "the messages tell why"
	}
	detail := &pb.Failure{ExitCode: int32(f.Exit), Code: f.Code, Text: f.Text, Messages: messages}
	s, err := status.New(f.Status, text).WithDetails(detail)
	if err != nil {
		return status.Error(f.Status, text)
	}
	return s.Err()
}

// Plan implements the API.
func (a *Agent) Plan(ctx context.Context, r *pb.PlanRequest) (*pb.PlanResponse, error) {
	return answer(a, ctx, r, a.work.Plan, func(r *pb.PlanResponse, list []*pb.Message) { r.Messages = list })
}

// Status implements the API.
func (a *Agent) Status(ctx context.Context, r *pb.StatusRequest) (*pb.StatusResponse, error) {
	return answer(a, ctx, r, a.work.Status, func(r *pb.StatusResponse, list []*pb.Message) { r.Messages = list })
}

// Why implements the API.
func (a *Agent) Why(ctx context.Context, r *pb.WhyRequest) (*pb.WhyResponse, error) {
	return answer(a, ctx, r, a.work.Why, func(r *pb.WhyResponse, list []*pb.Message) { r.Messages = list })
}

// History implements the API.
func (a *Agent) History(ctx context.Context, r *pb.HistoryRequest) (*pb.HistoryResponse, error) {
	return answer(a, ctx, r, a.work.History, func(r *pb.HistoryResponse, list []*pb.Message) { r.Messages = list })
}

// Apply implements the API.
func (a *Agent) Apply(r *pb.ApplyRequest, stream grpc.ServerStreamingServer[pb.ApplyResponse]) error {
	ctx, done, err := a.begin(stream.Context())
	if err != nil {
		return err
	}
	return pour(stream, func(put func(*pb.ApplyResponse)) error {
		defer done()
		return a.work.Apply(ctx, r,
			func(m *pb.Message) { put(&pb.ApplyResponse{Of: &pb.ApplyResponse_Message{Message: m}}) },
			func(e scheduler.Event) { put(&pb.ApplyResponse{Of: &pb.ApplyResponse_Event{Event: encode(e)}}) })
	})
}

// Down implements the API.
func (a *Agent) Down(r *pb.DownRequest, stream grpc.ServerStreamingServer[pb.DownResponse]) error {
	ctx, done, err := a.begin(stream.Context())
	if err != nil {
		return err
	}
	return pour(stream, func(put func(*pb.DownResponse)) error {
		defer done()
		return a.work.Down(ctx, r, func(m *pb.Message) { put(&pb.DownResponse{Message: m}) })
	})
}

// pour sends what work puts. Putting never waits: a client that doesn't read
// must not hold up a boot, nor keep the lock of the configuration.
func pour[R any](stream grpc.ServerStreamingServer[R], work func(put func(*R)) error) error {
	var mu sync.Mutex
	var queue []*R
	more := make(chan struct{}, 1)
	put := func(r *R) {
		mu.Lock()
		queue = append(queue, r)
		mu.Unlock()
		select {
		case more <- struct{}{}:
		default:
		}
	}
	result := make(chan error, 1)
	go func() {
		result <- work(put)
		close(result)
	}()
	send := func() error {
		mu.Lock()
		batch := queue
		queue = nil
		mu.Unlock()
		for _, r := range batch {
			if err := stream.Send(r); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		select {
		case <-more:
			if err := send(); err != nil {
				<-result // the call has ended, so the work does
				return err
			}
		case err := <-result:
			if sent := send(); sent != nil {
				return sent
			}
			if err != nil {
				return refusal(err, nil)
			}
			return nil
		}
	}
}

// Watch implements the API.
func (a *Agent) Watch(r *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.WatchResponse]) error {
	if r.Sequence != 0 && r.Agent != a.id {
		return status.Errorf(codes.OutOfRange, "the events of agent %q are not kept any more, this one is %s: begin again with sequence 0", r.Agent, a.id)
	}
	if err := stream.Send(&pb.WatchResponse{Agent: a.id}); err != nil {
		return err
	}
	send := func(list []Numbered) error {
		for _, n := range list {
			if err := stream.Send(&pb.WatchResponse{Agent: a.id, Sequence: n.Sequence, Event: encode(n.Event)}); err != nil {
				return err
			}
		}
		return nil
	}
	next := r.Sequence
	if next == 0 {
		var now []Numbered
		now, next = a.feed.snapshot()
		if err := send(now); err != nil {
			return err
		}
	}
	for {
		list, more, err := a.feed.since(next)
		if err != nil {
			return status.Error(codes.OutOfRange, err.Error())
		}
		if err := send(list); err != nil {
			return err
		}
		next += uint64(len(list))
		select {
		case <-more:
		case <-a.base.Done():
			return status.Error(codes.Unavailable, "the agent ends: "+context.Cause(a.base).Error())
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}
