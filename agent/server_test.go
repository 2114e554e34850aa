package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/scheduler"
)

// serving starts an agent at an address; the returned function ends it and
// gives what Serve gave.
func servingAt(t *testing.T, a *Agent, endpoints ...*Endpoint) (end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	open, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- a.Serve(ctx, endpoints, func() { close(open) }) }()
	select {
	case <-open:
	case err := <-ended:
		t.Fatal(err)
	}
	var result error
	over := false
	end = func() error {
		if !over {
			over = true
			cancel(scheduler.Interrupt{Signal: "SIGTERM", Exit: 143})
			result = <-ended
		}
		return result
	}
	t.Cleanup(func() { _ = end() })
	return end
}

func endpointAt(t *testing.T, address string) *Endpoint {
	t.Helper()
	e, err := NewEndpoint(address, Files{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func dial(t *testing.T, address string, files Files) *Client {
	t.Helper()
	c, err := Dial(address, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// onSocket is an agent that serves at a socket, and a client of it.
func onSocket(t *testing.T, work Work) (*Agent, *Client) {
	t.Helper()
	a := New(work)
	address := "unix:" + filepath.Join(t.TempDir(), "a.sock")
	servingAt(t, a, endpointAt(t, address))
	return a, dial(t, address, Files{})
}

func plan(stages ...[]string) *scheduler.Plan {
	p := &scheduler.Plan{}
	for i, list := range stages {
		p.Stages = append(p.Stages, scheduler.Stage{Name: list[0]})
		for _, name := range list[1:] {
			p.Tasks = append(p.Tasks, &scheduler.Task{ID: len(p.Tasks), Stage: i, Name: name})
		}
	}
	return p
}

func TestHealthFollowsTheEvents(t *testing.T) {
	a, c := onSocket(t, Work{})
	health := grpc_health_v1.NewHealthClient(c.conn)
	is := func(service string) string {
		t.Helper()
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			return status.Code(err).String()
		}
		return answer.Status.String()
	}
	check := func(when string, want map[string]string) {
		t.Helper()
		for service, want := range want {
			if got := is(service); got != want {
				t.Errorf("%s: %q is %s, want %s", when, service, got, want)
			}
		}
	}
	check("before a boot", map[string]string{"": "SERVING", "db": "NotFound", "stage/core": "NotFound"})
	a.Expect(plan([]string{"core", "db", "web"}, []string{"apps", "job"}))
	check("before any event", map[string]string{"db": "NOT_SERVING", "stage/core": "NOT_SERVING"})
	kept := moved("db", scheduler.Probing)
	kept.Kept = true
	for _, e := range []scheduler.Event{moved("db", scheduler.Healthy), moved("web", scheduler.Degraded), moved("job", scheduler.Completed)} {
		a.Add(e)
	}
	check("after a degraded boot", map[string]string{"": "SERVING", "db": "SERVING", "web": "NOT_SERVING", "job": "SERVING",
		"stage/core": "NOT_SERVING", "stage/apps": "SERVING"})
	a.Add(moved("web", scheduler.Healthy))
	for _, e := range []scheduler.Event{moved("db", scheduler.Blocked), moved("db", scheduler.Starting), kept} {
		a.Add(e)
		check("looked at again, "+string(e.To), map[string]string{"db": "SERVING", "stage/core": "SERVING"})
	}
	a.Add(moved("db", scheduler.Probing))
	check("started again", map[string]string{"db": "NOT_SERVING", "stage/core": "NOT_SERVING"})
	a.Add(moved("db", scheduler.Healthy))
	fell := kept // unready, after the boot: the same container
	fell.From = scheduler.Healthy
	a.Add(fell)
	check("unready", map[string]string{"db": "NOT_SERVING", "stage/core": "NOT_SERVING"})
	a.Add(moved("db", scheduler.Healthy))
	a.Expect(plan([]string{"core", "db", "new"}))
	check("another boot file", map[string]string{"db": "SERVING", "new": "NOT_SERVING", "web": "SERVICE_UNKNOWN", "stage/core": "NOT_SERVING", "stage/apps": "SERVICE_UNKNOWN"})
}

func TestHealthWatchStreams(t *testing.T) {
	a, c := onSocket(t, Work{})
	a.Expect(plan([]string{"core", "db"}))
	stream, err := grpc_health_v1.NewHealthClient(c.conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "db"})
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []scheduler.State{scheduler.Pending, scheduler.Healthy, scheduler.Backoff, scheduler.Healthy} {
		if i > 0 {
			a.Add(moved("db", to))
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if want := serving(to.Ready()); answer.Status != want {
			t.Errorf("db is %s, and the stream says %s", to, answer.Status)
		}
	}
}

func TestReflectionListsTheServices(t *testing.T) {
	_, c := onSocket(t, Work{})
	stream, err := grpc_reflection_v1.NewServerReflectionClient(c.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil || !strings.Contains(answer.String(), "bootgraph.v1.BootGraph") || !strings.Contains(answer.String(), "grpc.health.v1.Health") {
		t.Errorf("it lists %v, %v", answer, err)
	}
}

// TestWatchLosesNothing reads events while they come, and loses its
// connection over and over.
func TestWatchLosesNothing(t *testing.T) {
	a, c := onSocket(t, Work{})
	const n = 5000
	a.Add(moved("s", scheduler.Pending))
	connected := make(chan struct{}) // else the snapshot may be all there is
	go func() {
		<-connected
		for i := range n - 1 {
			a.Add(scheduler.Event{Type: scheduler.ServiceMoved, Service: "s", Attempt: i})
		}
	}()
	agent, next := "", uint64(1)
	connections := 0
	for next <= n {
		connections++
		ctx, cancel := context.WithCancel(t.Context())
		request := &pb.WatchRequest{Agent: agent, Sequence: next}
		if agent == "" {
			request.Sequence = 0
		}
		stream, err := c.Watch(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		for read := 0; read < 700 && next <= n; read++ {
			answer, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			agent = answer.Agent
			if answer.Event == nil {
				continue
			}
			if next == 1 {
				close(connected)
			}
			if connections == 1 && read == 1 {
				next = answer.Sequence // the snapshot begins where the only service stands
			}
			if answer.Sequence != next {
				t.Fatalf("connection %d: event %d comes instead of %d", connections, answer.Sequence, next)
			}
			next++
		}
		cancel()
	}
	if connections < 2 {
		t.Errorf("it took %d connections", connections)
	}
}

func TestWatchSaysWhatIsNotKept(t *testing.T) {
	a, c := onSocket(t, Work{})
	a.feed.most = 1
	for range 9 {
		a.Add(moved("s", scheduler.Healthy))
	}
	for name, request := range map[string]*pb.WatchRequest{
		"too old":       {Agent: a.id, Sequence: 2},
		"too new":       {Agent: a.id, Sequence: 99},
		"another agent": {Agent: "20200101T000000.000Z-1", Sequence: 9},
	} {
		stream, err := c.Watch(t.Context(), request)
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), "begin again with sequence 0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientThatDoesNotReadHoldsNothingUp: the work of its call comes to its
// end, and with it the lock.
func TestClientThatDoesNotReadHoldsNothingUp(t *testing.T) {
	done := make(chan struct{})
	_, c := onSocket(t, Work{Apply: func(_ context.Context, _ *pb.ApplyRequest, _ Say, sink func(scheduler.Event)) error {
		defer close(done)
		many(sink)
		return nil
	}})
	stream, err := c.Apply(t.Context(), &pb.ApplyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	<-done // nothing was read
	n := 0
	for err == nil {
		if _, err = stream.Recv(); err == nil {
			n++
		}
	}
	if n != 20_000 {
		t.Errorf("it reads %d events after all: %v", n, err)
	}
}

// TestClientThatDoesNotReadDoesNotHoldUpTheEnd of the agent.
func TestClientThatDoesNotReadDoesNotHoldUpTheEnd(t *testing.T) {
	sent := make(chan struct{})
	a := New(Work{Apply: func(ctx context.Context, _ *pb.ApplyRequest, _ Say, sink func(scheduler.Event)) error {
		many(sink)
		close(sent)
		<-ctx.Done()
		return context.Cause(ctx)
	}})
	many(a.Add)
	address := "unix:" + filepath.Join(t.TempDir(), "a.sock")
	end := servingAt(t, a, endpointAt(t, address))
	c := dial(t, address, Files{})
	applied, err := c.Apply(t.Context(), &pb.ApplyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	watched, err := c.Watch(t.Context(), &pb.WatchRequest{Agent: a.id, Sequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watched.Recv(); err != nil {
		t.Fatal(err)
	}
	<-sent
	if err := end(); err != nil {
		t.Error(err)
	}
	for _, receive := range []func() error{
		func() error { _, err := applied.Recv(); return err },
		func() error { _, err := watched.Recv(); return err },
	} {
		for err = nil; err == nil; {
			err = receive()
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("the client is told %v", err)
		}
	}
}

// many events don't fit into the buffers of a connection.
func many(sink func(scheduler.Event)) {
	for range 20_000 {
		sink(scheduler.Event{Type: scheduler.ServiceMoved, Cause: scheduler.Cause{Text: strings.Repeat("x", 100)}})
	}
}

func TestCallsThatEndEndTheWork(t *testing.T) {
	causes, began := make(chan error, 1), make(chan struct{}, 1)
	work := Work{Apply: func(ctx context.Context, _ *pb.ApplyRequest, _ Say, _ func(scheduler.Event)) error {
		began <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return context.Cause(ctx)
	}}
	a := New(work)
	address := "unix:" + filepath.Join(t.TempDir(), "a.sock")
	end := servingAt(t, a, endpointAt(t, address))
	c := dial(t, address, Files{})

	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.Apply(ctx, &pb.ApplyRequest{}); err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	var interrupt scheduler.Interrupt
	if err := <-causes; !errors.As(err, &interrupt) || interrupt.Exit != 1 {
		t.Errorf("a client that goes away is told as %v", err)
	}

	stream, err := c.Apply(t.Context(), &pb.ApplyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	if err := end(); err != nil {
		t.Error(err)
	}
	if err := <-causes; !errors.As(err, &interrupt) || interrupt.Exit != 143 {
		t.Errorf("the end of the agent is told as %v", err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the call goes on")
	}
}

func TestRefusalsCarryWhatACommandWouldSay(t *testing.T) {
	_, c := onSocket(t, Work{
		Plan: func(_ context.Context, _ *pb.PlanRequest, say Say) (*pb.PlanResponse, error) {
			say(&pb.Message{Text: "Error: on boot.hcl line 1"})
			return nil, &Failure{Status: codes.FailedPrecondition, Exit: 1}
		},
		Down: func(context.Context, *pb.DownRequest, Say) error {
			return &Failure{Status: codes.Aborted, Exit: 4, Code: "locked", Text: "x is locked"}
		},
		Status: func(context.Context, *pb.StatusRequest, Say) (*pb.StatusResponse, error) {
			return nil, errors.New("odd")
		},
	})
	var said []string
	say := func(m *pb.Message) { said = append(said, m.Text) }
	_, err := c.Plan(t.Context(), &pb.PlanRequest{})
	if f := c.FailureOf(err, say); f.Exit != 1 || f.Text != "" || len(said) != 1 || said[0] != "Error: on boot.hcl line 1" || status.Code(err) != codes.FailedPrecondition {
		t.Errorf("%v: %+v, it says %q", err, f, said)
	}
	err = c.Stop(t.Context(), &pb.DownRequest{}, say)
	if f := c.FailureOf(err, say); f.Exit != 4 || f.Code != "locked" || f.Text != "x is locked" || status.Code(err) != codes.Aborted {
		t.Errorf("%v: %+v", err, f)
	}
	_, err = c.Status(t.Context(), &pb.StatusRequest{})
	if f := c.FailureOf(err, say); f.Exit != 1 || f.Text != "odd" || status.Code(err) != codes.Internal {
		t.Errorf("%v: %+v", err, f)
	}
}

func TestRequestsHaveALimit(t *testing.T) {
	_, c := onSocket(t, Work{})
	_, err := c.Plan(t.Context(), &pb.PlanRequest{Replace: []string{strings.Repeat("x", requestMost+1)}})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request that is too large: %v", err)
	}
}

func TestCallsGetADeadline(t *testing.T) {
	_, err := bounded(t.Context(), nil, nil, func(ctx context.Context, _ any) (any, error) {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > unaryMost {
			t.Errorf("the deadline is %v", deadline)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSocketIsThereOnlyWhileItServes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "a.sock")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	e := endpointAt(t, "unix:"+path)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there before: %v", err)
	}
	end := servingAt(t, New(Work{}), e)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if _, err := NewEndpoint("unix:"+path, Files{}, nil); err == nil || !strings.Contains(err.Error(), "another agent does") {
		t.Errorf("a second agent: %v", err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

func TestSocketOfADeadAgentIsReplacedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sock")
	dead, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*unixListener).Listener.Close() // as the kernel does for one that was killed
	servingAt(t, New(Work{}), endpointAt(t, "unix:"+path))
	if _, err := grpc_health_v1.NewHealthClient(dial(t, "unix:"+path, Files{}).conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewEndpoint("unix:"+file, Files{}, nil); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in its place: %v", err)
	}
	if _, err := NewEndpoint("unix:/"+strings.Repeat("x", 120), Files{}, nil); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a path that is too long: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"localhost:1": "never goes without", "nonsense/": "neither unix:PATH nor HOST:PORT", "": "neither",
	} {
		if _, err := NewEndpoint(address, Files{}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen at %q: %v", address, err)
		}
	}
	for address, want := range map[string]string{"localhost:1": "never goes without", "a/b": "no address of an agent"} {
		if _, err := Dial(address, Files{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("dial %q: %v", address, err)
		}
	}
	if _, err := Dial("unix:/x", Files{Cert: "c"}); err == nil {
		t.Error("TLS over a unix socket is taken")
	}
	c := dial(t, "unix:"+filepath.Join(t.TempDir(), "absent"), Files{})
	_, err := c.Status(t.Context(), &pb.StatusRequest{})
	if f := c.FailureOf(err, nil); f.Code != "agent_unreachable" || !strings.Contains(f.Text, "before its boot is through") {
		t.Errorf("an agent that is not there: %+v", f)
	}
}

func TestDirectoryOfTheSocketIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bootgraph")
	for range 2 { // made, and found
		if err := private(dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := private(dir); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("one that others may write to: %v", err)
	}
	link := dir + "-link"
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := private(link); err == nil {
		t.Error("a link is taken")
	}
}
