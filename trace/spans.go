package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"bootgraph/analysis"
	"bootgraph/scheduler"
)

// writer writes a boot as spans.
type writer struct {
	tracer otel.Tracer
	boot   *analysis.Boot
	exit   int
	stages map[string]scheduler.Ending
	moves  map[string][]scheduler.Event // of each service, those that have a cause
}

// read keeps of an event what the analysis does not have.
func (w *writer) read(e scheduler.Event) {
	switch e.Type {
	case scheduler.StageDone:
		w.stages[e.Stage] = e.Outcome
	case scheduler.RunDone:
		w.exit = e.Exit
	case scheduler.ServiceMoved:
		if !e.Cause.IsZero() && e.To != scheduler.Blocked { // after a backoff, which has said it
			w.moves[e.Service] = append(w.moves[e.Service], e)
		}
	}
}

func (w *writer) write(ctx context.Context) {
	b := w.boot
	ctx, root := w.start(ctx, "boot "+b.Name, 0,
		attribute.String("bootgraph.name", b.Name), attribute.String("bootgraph.run", b.Run),
		attribute.String("bootgraph.outcome", string(b.Outcome)), attribute.Int("bootgraph.exit_code", w.exit))
	for i := range b.Stages {
		if b.Stages[i].Reached {
			w.stage(ctx, &b.Stages[i])
		}
	}
	settle(root, b.Outcome == scheduler.EndReady, string(b.Outcome))
	w.end(root, b.Took)
}

func (w *writer) stage(ctx context.Context, st *analysis.Stage) {
	outcome := w.stages[st.Name]
	ctx, span := w.start(ctx, "stage "+st.Name, st.Opened,
		attribute.String("bootgraph.stage", st.Name), attribute.String("bootgraph.outcome", string(outcome)))
	for _, i := range st.Services {
		w.service(ctx, st, &w.boot.Services[i])
	}
	settle(span, outcome == scheduler.EndReady, string(outcome))
	w.end(span, st.Closed)
}

func (w *writer) service(ctx context.Context, st *analysis.Stage, s *analysis.Service) {
	ctx, span := w.start(ctx, s.Name, st.Opened,
		attribute.String("bootgraph.stage", st.Name), attribute.String("bootgraph.service", s.Name),
		attribute.String("bootgraph.state", string(s.State)), attribute.Int("bootgraph.attempts", s.Attempts),
		attribute.Bool("bootgraph.kept", s.Kept))
	for _, at := range s.Started {
		span.SetAttributes(attribute.String("bootgraph.container."+at.Container, at.ID))
	}
	span.SetAttributes(about(s.Cause)...)
	for _, e := range w.moves[s.Name] {
		span.AddEvent(string(e.To), otel.WithTimestamp(e.Time), otel.WithAttributes(append(about(e.Cause),
			attribute.Int("bootgraph.attempt", e.Attempt))...))
	}
	for _, p := range s.Phases {
		switch p.Kind {
		case analysis.Pending, analysis.Ready, analysis.Ended:
			continue // what it does not do anything in
		}
		_, phase := w.start(ctx, string(p.Kind), p.From)
		if p.For >= 0 {
			phase.SetAttributes(attribute.String("bootgraph.waits_for", w.boot.Services[p.For].Name), attribute.String("bootgraph.via", p.Via))
		}
		w.end(phase, p.To)
	}
	settle(span, s.State.Ready(), s.Cause.Text)
	w.end(span, max(s.Settled(), st.Opened))
}

// about is a cause as attributes.
func about(c scheduler.Cause) (list []attribute.KeyValue) {
	for _, v := range []struct{ key, value string }{{"bootgraph.cause", c.Text}, {"bootgraph.cause.code", c.Code}, {"bootgraph.cause.root", c.Root}} {
		if v.value != "" {
			list = append(list, attribute.String(v.key, v.value))
		}
	}
	return list
}

func settle(span otel.Span, ready bool, why string) {
	if ready {
		span.SetStatus(codes.Ok, "")
		return
	}
	span.SetStatus(codes.Error, why)
}

func (w *writer) start(ctx context.Context, name string, at time.Duration, about ...attribute.KeyValue) (context.Context, otel.Span) {
	return w.tracer.Start(ctx, name, otel.WithTimestamp(w.boot.Began.Add(at)), otel.WithAttributes(about...))
}

func (w *writer) end(span otel.Span, at time.Duration) {
	span.End(otel.WithTimestamp(w.boot.Began.Add(at)))
}
