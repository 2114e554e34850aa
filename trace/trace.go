// Package trace exports a boot as an OpenTelemetry trace, over OTLP/gRPC: a
// span for the boot, in it one for each stage, in that one for each service,
// in that one for each of its phases.
//
// It collects events while the boot goes on, and makes spans of them when it
// is over: the collector may be among what is booted, so before the end there
// may be nobody to send to. It knows nothing of how events come about.
package trace

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"bootgraph/analysis"
	"bootgraph/scheduler"
)

// Patience is how long the export of a boot may take, and so for how much
// longer a collector that does not answer keeps the process.
const Patience = 3 * time.Second

// Trace is that of one boot, to be.
type Trace struct {
	endpoint string // "": the environment's
	version  string // of bootgraph
	patience time.Duration
	events   []scheduler.Event
}

// Wanted tells whether boots are to be traced: an endpoint is given, or the
// environment has one (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
// The error says why it can't be done. Nothing is contacted.
func Wanted(endpoint string, getenv func(string) string) (bool, error) {
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return false, fmt.Errorf("--otlp is the URL of a collector's OTLP/gRPC port, such as http://127.0.0.1:4317, or https:// for TLS; not %q", endpoint)
		}
		return true, nil
	}
	first := func(names ...string) (name, value string) {
		for _, name := range names {
			if value := getenv(name); value != "" {
				return name, value
			}
		}
		return "", ""
	}
	_, at := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if at == "" || getenv("OTEL_SDK_DISABLED") == "true" || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false, nil
	}
	if name, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol != "" && protocol != "grpc" {
		return false, fmt.Errorf("%s is %q, and bootgraph speaks grpc: no trace is exported", name, protocol)
	}
	return true, nil
}

// New begins a trace. It starts nothing.
func New(endpoint, version string) *Trace {
	return &Trace{endpoint: endpoint, version: version, patience: Patience}
}

// Add is a sink for the events of a boot.
func (t *Trace) Add(e scheduler.Event) { t.events = append(t.events, e) }

// Export sends the trace. It returns after Patience at the latest, whatever the
// collector does, and tries once: who was not there in all the time of a boot
// is not there a moment later.
func (t *Trace) Export(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the trace of the boot was not exported: %w", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	boot, err := analysis.Of(t.events)
	if err != nil {
		return err
	}
	options := []otlptracegrpc.Option{otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false})}
	if t.endpoint != "" {
		options = append(options, otlptracegrpc.WithEndpointURL(t.endpoint))
	}
	exporter, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return err
	}
	spans, err := t.spans(ctx, boot)
	// More would be above what a gRPC server takes in one message.
	const most = 2000
	for len(spans) > 0 && err == nil {
		n := min(most, len(spans))
		err, spans = exporter.ExportSpans(ctx, spans[:n]), spans[n:]
	}
	return errors.Join(err, exporter.Shutdown(ctx))
}

// spans makes the spans of a boot that is over, so that each is known whole.
func (t *Trace) spans(ctx context.Context, boot *analysis.Boot) ([]sdk.ReadOnlySpan, error) {
	about, err := resource.New(ctx, resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", "bootgraph"), attribute.String("service.version", t.version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	var all collected
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSpanProcessor(&all))
	w := writer{tracer: provider.Tracer("bootgraph"), boot: boot, stages: map[string]scheduler.Ending{}, moves: map[string][]scheduler.Event{}}
	for _, e := range t.events {
		w.read(e)
	}
	w.write(ctx)
	return all, nil
}

// collected is a processor that keeps the spans.
type collected []sdk.ReadOnlySpan

func (c *collected) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (c *collected) OnEnd(s sdk.ReadOnlySpan)                   { *c = append(*c, s) }
func (c *collected) Shutdown(context.Context) error             { return nil }
func (c *collected) ForceFlush(context.Context) error           { return nil }
