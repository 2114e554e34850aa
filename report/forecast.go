package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"bootgraph/scheduler"
)

// Sources are where the durations of a simulation come from.
type Sources struct {
	Boots        int    // that there are journals of
	File         string // --durations; ""
	Assumed      []string
	Start, Ready time.Duration // what is assumed of these
}

// Forecast is what a simulation has foretold.
type Forecast struct {
	Parallelism int
	From        Sources

	p       progress
	stages  []forecastStage
	starts  map[string]time.Duration // the first one
	blocked string                   // what it waits for that waits for ever
	last    scheduler.Event
}

type forecastStage struct {
	began    time.Duration
	done     scheduler.Event
	services []string
}

// Add takes the next event.
func (f *Forecast) Add(e scheduler.Event) {
	f.p.fold.Add(e)
	at := e.Time.Sub(f.p.fold.Began)
	switch e.Type {
	case scheduler.RunStarted:
		f.starts = map[string]time.Duration{}
		for _, st := range e.Stages {
			f.stages = append(f.stages, forecastStage{services: st.Services, done: scheduler.Event{Stage: st.Name}})
		}
		f.p.line(e) // for the width
	case scheduler.StageStarted:
		f.stage(e.Stage).began = at
	case scheduler.StageDone:
		f.stage(e.Stage).done = e
	case scheduler.StillBlocked:
		f.blocked = f.p.line(e)
	case scheduler.ServiceMoved:
		if _, again := f.starts[e.Service]; e.To == scheduler.Starting && !again {
			f.starts[e.Service] = at
		}
	case scheduler.RunDone:
		f.last = e
	}
}

func (f *Forecast) stage(name string) *forecastStage {
	for i := range f.stages {
		if f.stages[i].done.Stage == name {
			return &f.stages[i]
		}
	}
	panic("report: an event of stage " + name + ", which the boot does not have")
}

// Write writes it for people: a line a service with when it starts and when it
// is where it stays, then how the boot comes out.
func (f *Forecast) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "simulated boot of %s: %s, %s, %s at a time\n", f.p.fold.Name, Count(len(f.stages), "stage"),
		Count(len(f.p.fold.Services), "service"), Count(f.Parallelism, "start"))
	b.WriteString(f.From.text(len(f.p.fold.Services)))
	fmt.Fprintf(&b, "\n  %-*s  %8s  %8s\n", f.p.width, "", "starts", "settles")
	for _, st := range f.stages {
		switch {
		case st.done.Outcome == "":
			fmt.Fprintf(&b, "stage %s never opens\n", st.done.Stage)
		case st.done.Outcome == scheduler.EndFailed && f.neverEnds():
			fmt.Fprintf(&b, "stage %s opens at %s, waits for ever\n", st.done.Stage, Elapsed(st.began))
		default:
			fmt.Fprintf(&b, "stage %s opens at %s, %s after %s\n", st.done.Stage, Elapsed(st.began), st.done.Outcome, Elapsed(st.done.Elapsed))
		}
		for _, name := range st.services {
			s, _ := f.p.fold.Find(name)
			b.WriteString(strings.TrimRight(f.line(s), " ") + "\n")
		}
	}
	fmt.Fprintf(&b, "\n%s\n", f.end())
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Forecast) line(s Service) string {
	starts, settles := "-", "-"
	if at, ok := f.starts[s.Name]; ok {
		starts = Elapsed(at)
	}
	if s.State.Settled() && s.State != scheduler.Canceled {
		settles = Elapsed(s.Since.Sub(f.p.fold.Began))
	}
	note := Clean(s.Cause.Text)
	if s.State == scheduler.Canceled {
		note = ""
	}
	return fmt.Sprintf("  %-*s  %8s  %8s  %-9s  %s", f.p.width, s.Name, starts, settles, s.State, note)
}

// neverEnds reports whether the boot would not end: nobody interrupts a
// simulation.
func (f *Forecast) neverEnds() bool { return f.last.Outcome == scheduler.EndInterrupted }

// end says how it comes out.
func (f *Forecast) end() string {
	if !f.neverEnds() {
		return f.p.summary(f.last)
	}
	return strings.TrimLeft(f.blocked, " ") + "\nthe boot never ends: " + Clean(f.last.Cause.Text)
}

func (s Sources) text(services int) string {
	var parts []string
	if known := services - len(s.Assumed); known > 0 {
		parts = append(parts, fmt.Sprintf("medians of earlier boots for %s", Count(known, "service")))
	}
	if s.File != "" {
		parts = append(parts, "what "+Clean(s.File)+" says")
	}
	if len(s.Assumed) > 0 {
		list := s.Assumed
		more := ""
		if len(list) > 5 {
			list, more = list[:5], fmt.Sprintf(" and %d more", len(s.Assumed)-5)
		}
		parts = append(parts, fmt.Sprintf("a start of %s and %s until ready for what was never booted here: %s%s", Limit(s.Start), Limit(s.Ready), strings.Join(list, ", "), more))
	}
	return "durations: " + strings.Join(parts, "; ") + "\n"
}
