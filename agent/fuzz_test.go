package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/scheduler"
)

// raw sends bytes as they are as a message, and takes what comes.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
func (raw) Name() string { return "proto" }

// methods are all that can be called, and what could be mistaken for it.
func methods() (list []string) {
	for _, m := range pb.BootGraph_ServiceDesc.Methods {
		list = append(list, "/"+pb.BootGraph_ServiceDesc.ServiceName+"/"+m.MethodName)
	}
	for _, s := range pb.BootGraph_ServiceDesc.Streams {
		list = append(list, "/"+pb.BootGraph_ServiceDesc.ServiceName+"/"+s.StreamName)
	}
	return append(list, "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/bootgraph.v1.BootGraph/Nope", "/")
}

// echo is work that says again whatever it was asked.
func echo() Work {
	say := func(say Say, r fmt.Stringer) { say(&pb.Message{Level: "info", Text: r.String()}) }
	return Work{
		Plan: func(_ context.Context, r *pb.PlanRequest, s Say) (*pb.PlanResponse, error) {
			say(s, r)
			return &pb.PlanResponse{Document: r.String()}, nil
		},
		Apply: func(_ context.Context, r *pb.ApplyRequest, s Say, sink func(scheduler.Event)) error {
			say(s, r)
			sink(scheduler.Event{Type: scheduler.RunDone, Time: time.Now(), Name: r.String(), Delay: r.LockTimeout.AsDuration()})
			return nil
		},
		Down: func(_ context.Context, r *pb.DownRequest, s Say) error {
			say(s, r)
			return &Failure{Status: codes.NotFound, Exit: 1, Text: fmt.Sprint(r.KeepStages, r.Selection)}
		},
		Status: func(_ context.Context, r *pb.StatusRequest, s Say) (*pb.StatusResponse, error) {
			say(s, r)
			return &pb.StatusResponse{Document: r.String()}, nil
		},
		Why: func(_ context.Context, r *pb.WhyRequest, s Say) (*pb.WhyResponse, error) {
			return nil, fmt.Errorf("there is no service %s", r.Service)
		},
		History: func(_ context.Context, r *pb.HistoryRequest, s Say) (*pb.HistoryResponse, error) {
			return &pb.HistoryResponse{Document: r.Format.String()}, nil
		},
	}
}

// FuzzRequests sends anything to a real agent, as the message of any call, and
// as bytes on its socket. It never panics, and what one sends it hurts no
// other: after each the agent answers as before, and nothing is left running.
func FuzzRequests(f *testing.F) {
	requests := []proto.Message{
		&pb.PlanRequest{Selection: &pb.Selection{Targets: []string{"a", "\x1b[31m"}, Stages: []string{""}}, Replace: []string{"a"}, Format: 99},
		&pb.ApplyRequest{Parallelism: -1, Replace: []string{strings.Repeat("x", 1<<10)}},
		&pb.WatchRequest{Agent: "another", Sequence: 1 << 63}, &pb.WhyRequest{Service: "../../etc/passwd"}, &pb.DownRequest{Volumes: true},
	}
	for i := range methods() {
		f.Add(uint8(i), []byte(nil))
		for _, r := range requests {
			text, err := proto.Marshal(r)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), text)
		}
		f.Add(uint8(i), []byte("\x0a\xff\xff\xff\xff\x0f"))      // a length of 4 GiB
		f.Add(uint8(i), []byte(strings.Repeat("\x0b", 100_000))) // groups in groups
	}
	f.Add(uint8(255), []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(uint8(255), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x01"))

	address := filepath.Join(f.TempDir(), "a.sock")
	agent := New(echo())
	agent.Add(scheduler.Event{Type: scheduler.ServiceMoved, Service: "db", To: scheduler.Healthy})
	endpoint, err := NewEndpoint("unix:"+address, Files{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	open, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- agent.Serve(ctx, []*Endpoint{endpoint}, func() { close(open) }) }()
	<-open
	f.Cleanup(func() { cancel(); <-ended })
	client, err := Dial("unix:"+address, Files{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { client.Close() })

	all, before := methods(), runtime.NumGoroutine()
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		if int(which) < len(all) {
			call(t, client.conn, all[which], text)
		} else {
			spill(t, address, text)
		}
		if r, err := client.Status(t.Context(), &pb.StatusRequest{}); err != nil || r.Document != "" {
			t.Fatalf("after %q it answers %v, %v", text, r, err)
		}
		for until := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+20; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("there are %d goroutines, and were %d", runtime.NumGoroutine(), before)
			}
		}
	})
}

// call sends a message, and reads to the end, for a moment: Watch has none.
func call(t *testing.T, conn *grpc.ClientConn, method string, message []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodecV2(raw{}))
	if err != nil {
		return
	}
	_ = stream.SendMsg(message)
	_ = stream.CloseSend()
	if strings.HasSuffix(method, "/Watch") {
		var first []byte
		_ = stream.RecvMsg(&first)
		return
	}
	for err == nil {
		var answer []byte
		err = stream.RecvMsg(&answer)
	}
	if status.Code(err) == codes.DeadlineExceeded {
		t.Fatalf("%s never ends of %q", method, message)
	}
}

// spill writes bytes to the socket, and reads what comes until the agent has
// had enough, or a moment has passed.
func spill(t *testing.T, address string, text []byte) {
	t.Helper()
	conn, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
	_, _ = conn.Write(text)
	_, _ = io.Copy(io.Discard, conn)
}
