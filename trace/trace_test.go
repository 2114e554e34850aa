package trace

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"bootgraph/config"
	"bootgraph/scheduler"
)

func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

// receiver is an OTLP receiver.
type receiver struct {
	v1.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []*otlp.Span
	about string
}

func (r *receiver) Export(_ context.Context, in *v1.ExportTraceServiceRequest) (*v1.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range in.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" || a.Key == "service.version" {
				r.about += a.Key + "=" + a.Value.GetStringValue() + " "
			}
		}
		for _, scope := range of.ScopeSpans {
			r.spans = append(r.spans, scope.Spans...)
		}
	}
	return &v1.ExportTraceServiceResponse{}, nil
}

func listen(t *testing.T) (*receiver, string) {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, server := &receiver{}, grpc.NewServer()
	v1.RegisterTraceServiceServer(server, r)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(at) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return r, "http://" + at.Addr().String()
}

// tree writes spans as lines, each below its parent.
func (r *receiver) tree(t *testing.T, began time.Time) string {
	t.Helper()
	var b strings.Builder
	slices.SortStableFunc(r.spans, func(a, b *otlp.Span) int {
		return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano))
	})
	var below func(parent, indent string)
	below = func(parent, indent string) {
		for _, s := range r.spans {
			if string(s.ParentSpanId) != parent {
				continue
			}
			at := func(nanos uint64) string {
				return time.Unix(0, int64(nanos)).Sub(began).Round(10 * time.Millisecond).String()
			}
			fmt.Fprintf(&b, "%s%s %s-%s", indent, s.Name, at(s.StartTimeUnixNano), at(s.EndTimeUnixNano))
			if s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
				fmt.Fprintf(&b, " error: %s", s.Status.Message)
			}
			for _, a := range s.Attributes {
				if a.Key == "bootgraph.cause.root" || a.Key == "bootgraph.waits_for" {
					fmt.Fprintf(&b, " %s=%s", a.Key, a.Value.GetStringValue())
				}
			}
			for _, e := range s.Events {
				fmt.Fprintf(&b, " [%s %s]", e.Name, at(e.TimeUnixNano))
			}
			b.WriteString("\n")
			below(string(s.SpanId), indent+"  ")
		}
	}
	below("", "")
	if n := strings.Count(b.String(), "\n"); n != len(r.spans) {
		t.Errorf("%d spans came, and %d hang together", len(r.spans), n)
	}
	return b.String()
}

const bootFile = `
name = "small"
stage "foundation" {
  service "db" { image = "localhost/x:1" }
}
stage "apps" {
  attempts = 2
  service "api" { image = "localhost/x:1" }
  service "web" {
    depends_on = [service.api]
    image      = "localhost/x:1"
  }
  service "docs" {
    after = [service.api]
    image = "localhost/x:1"
  }
}
`

// fake has the trace take the events of a boot in which api does not start.
func fake(t *testing.T, trace *Trace) scheduler.Report {
	t.Helper()
	file, _, diags := config.Parse("boot.hcl", []byte(bootFile), config.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	plan, diags := scheduler.Compile(file)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	attempts := make([][]scheduler.Attempt, len(plan.Tasks))
	for _, task := range plan.Tasks {
		a := scheduler.Attempt{Pull: time.Second, Start: 2 * time.Second, Ready: 3 * time.Second}
		if task.Name == "api" {
			a.NoStart = scheduler.Cause{Code: "port_busy", Text: "its port is in use"}
		}
		attempts[task.ID] = []scheduler.Attempt{a}
	}
	return scheduler.Simulate(plan, scheduler.Imagined{Attempts: attempts},
		scheduler.Options{Run: "r1", Parallelism: 2, Sinks: []func(scheduler.Event){trace.Add}})
}

func TestBootIsATreeOfSpans(t *testing.T) {
	r, endpoint := listen(t)
	trace := New(endpoint, "1.2.3")
	report := fake(t, trace)
	if err := trace.Export(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `boot small 0s-19s error: degraded
  stage foundation 0s-6s
    db 0s-6s
      pulling 0s-1s
      queued 1s-1s
      starting 1s-3s
      probing 3s-6s
  stage apps 6s-19s error: degraded
    api 6s-13s error: its port is in use [backoff 9s] [failed 13s]
      pulling 6s-7s
      queued 7s-7s
      starting 7s-9s
      backoff 9s-10s
      pulling 10s-11s
      queued 11s-11s
      starting 11s-13s
    web 6s-13s error: needs api, which failed: its port is in use bootgraph.cause.root=api [skipped 13s]
      waiting 6s-13s bootgraph.waits_for=api
    docs 6s-19s
      waiting 6s-13s bootgraph.waits_for=api
      pulling 13s-14s
      queued 14s-14s
      starting 14s-16s
      probing 16s-19s
`
	got := r.tree(t, report.Began)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the spans are others (-want +got):\n%s", diff)
	}
	if want := "service.name=bootgraph service.version=1.2.3 "; r.about != want {
		t.Errorf("it says of itself %q, not %q", r.about, want)
	}
	for _, s := range r.spans {
		if string(s.TraceId) != string(r.spans[0].TraceId) {
			t.Errorf("%s is in another trace", s.Name)
		}
	}
}

func TestEndpointOfTheEnvironmentIsTaken(t *testing.T) {
	r, endpoint := listen(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_SERVICE_NAME", "host-7")
	if wanted, err := Wanted("", os.Getenv); err != nil || !wanted {
		t.Fatal(wanted, err)
	}
	trace := New("", "1.2.3")
	fake(t, trace)
	if err := trace.Export(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.spans) == 0 || !strings.Contains(r.about, "service.name=host-7") {
		t.Errorf("%d spans of %q came", len(r.spans), r.about)
	}
}

func TestAbsentCollectorIsAnErrorAndNoMore(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for name, at := range map[string]net.Listener{"gone": gone, "mute": mute} {
		t.Run(name, func(t *testing.T) {
			trace := New("http://"+at.Addr().String(), "1.2.3")
			trace.patience = 100 * time.Millisecond
			fake(t, trace)
			if err := trace.Export(t.Context()); err == nil || !strings.Contains(err.Error(), "was not exported") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestNothingIsTracedUnlessWanted(t *testing.T) {
	for _, c := range []struct {
		endpoint, env string
		wanted        bool
		err           string
	}{
		{"", "", false, ""},
		{"http://127.0.0.1:4317", "", true, ""},
		{"https://collector", "", true, ""},
		{"127.0.0.1:4317", "", false, "such as http://127.0.0.1:4317"},
		{"http://", "", false, "such as http://127.0.0.1:4317"},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317", true, ""},
		{"", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc", true, ""},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_SDK_DISABLED=true", false, ""},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_TRACES_EXPORTER=none", false, ""},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", false, "bootgraph speaks grpc"},
	} {
		wanted, err := Wanted(c.endpoint, func(name string) string {
			for _, v := range strings.Fields(c.env) {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		})
		if wanted != c.wanted || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q %s: %v, %v", c.endpoint, c.env, wanted, err)
		}
	}
}
