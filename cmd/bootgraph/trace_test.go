package main

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"bootgraph/testdata/host"
)

// collector is an OTLP receiver. It keeps the paths of spans: the names of all
// that a span is in, and its own.
type collector struct {
	otlp.UnimplementedTraceServiceServer
	mu    sync.Mutex
	paths []string
}

func (c *collector) Export(_ context.Context, in *otlp.ExportTraceServiceRequest) (*otlp.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, parent := map[string]string{}, map[string]string{}
	for _, of := range in.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				name[string(s.SpanId)], parent[string(s.SpanId)] = s.Name, string(s.ParentSpanId)
			}
		}
	}
	for id := range name {
		path := name[id]
		for up := parent[id]; up != ""; up = parent[up] {
			path = name[up] + "/" + path
		}
		c.paths = append(c.paths, path)
	}
	return &otlp.ExportTraceServiceResponse{}, nil
}

// take returns the paths that have come since the last time, sorted. Without
// waiting for anything: that is up to a few microseconds.
func (c *collector) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	paths := slices.DeleteFunc(c.paths, func(path string) bool { return strings.HasSuffix(path, "/waiting") })
	c.paths = nil
	slices.Sort(paths)
	return paths
}

func TestApplyExportsItsBoot(t *testing.T) {
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, server := &collector{}, grpc.NewServer()
	otlp.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(at) }()
	defer server.Stop()
	endpoint := "http://" + at.Addr().String()

	b := newBench(t, host.Shared(t), `
name = "traced"
stage "foundation" {
  service "traced-db" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080" }
    health "tcp" { port = 8080 }
  }
}
`)
	want := []string{"boot traced", "boot traced/stage foundation", "boot traced/stage foundation/traced-db",
		"boot traced/stage foundation/traced-db/probing", "boot traced/stage foundation/traced-db/pulling",
		"boot traced/stage foundation/traced-db/queued", "boot traced/stage foundation/traced-db/starting"}
	if code, _, said := b.run("apply", "--otlp", endpoint); code != 0 || strings.Contains(said, "warning") {
		t.Fatalf("apply exits with %d: %s", code, said)
	}
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Errorf("the spans are others (-want +got):\n%s", diff)
	}

	again := *b
	again.file = "" // what recover boots was applied
	again.env = append(again.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)
	if code, _, said := again.run("recover"); code != 0 || !slices.Contains(c.take(), "boot traced") {
		t.Errorf("recover exits with %d, or exports nothing: %s", code, said)
	}

	server.Stop()
	if code, _, said := again.run("recover"); code != 0 || !strings.Contains(said, "warning: the trace of the boot was not exported") {
		t.Errorf("without a collector, recover exits with %d: %s", code, said)
	}
	if code, _, said := again.run("recover", "--otlp", "localhost:4317"); code != 1 || !strings.Contains(said, "--otlp is the URL") || strings.Contains(said, "boot ready") {
		t.Errorf("of a bad endpoint, recover exits with %d: %s", code, said)
	}
}
