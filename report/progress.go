package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"bootgraph/scheduler"
)

// JSON returns a sink that writes each event as one line.
func JSON(w io.Writer) func(scheduler.Event) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	// Nothing can be done here about a reader that has gone away, and it is
	// no reason to stop a boot; the journal has all events.
	return func(e scheduler.Event) { _ = enc.Encode(e) }
}

// Plain returns a sink that writes one line a change of state, with the time
// since the boot began, and a summary at the end.
func Plain(w io.Writer) func(scheduler.Event) {
	var p progress
	return func(e scheduler.Event) {
		p.fold.Add(e)
		if text := p.line(e); text != "" {
			fmt.Fprintln(w, text)
		}
	}
}

// Quiet returns a sink that writes only what a person has to know: what is
// stuck, and the summary of a boot that did not come out ready.
func Quiet(w io.Writer) func(scheduler.Event) {
	var p progress
	return func(e scheduler.Event) {
		p.fold.Add(e)
		if e.Type == scheduler.StillBlocked || e.Type == scheduler.RunDone && e.Outcome != scheduler.EndReady {
			fmt.Fprintln(w, p.line(e))
		}
	}
}

type progress struct {
	fold  Fold
	width int // of the longest name of a service
}

func (p *progress) line(e scheduler.Event) string {
	at := fmt.Sprintf("%8s  ", Elapsed(e.Time.Sub(p.fold.Began)))
	switch e.Type {
	case scheduler.RunStarted:
		services := 0
		for _, st := range e.Stages {
			services += len(st.Services)
			for _, s := range st.Services {
				p.width = max(p.width, len(s))
			}
		}
		return fmt.Sprintf("booting %s: %s, %s (run %s)", e.Name, Count(len(e.Stages), "stage"), Count(services, "service"), e.Run)
	case scheduler.StageStarted:
		return at + "stage " + e.Stage
	case scheduler.StageDone:
		return at + fmt.Sprintf("stage %s %s in %s", e.Stage, e.Outcome, Elapsed(e.Elapsed))
	case scheduler.ServiceMoved:
		if e.To == scheduler.Blocked {
			return "" // every service begins so, and every backoff ends so
		}
		if s, _ := p.fold.Find(e.Service); s.looked() {
			return ""
		}
		return strings.TrimRight(at+fmt.Sprintf("  %-*s  %-9s  %s", p.width, e.Service, e.To, serviceNote(e)), " ")
	case scheduler.StillBlocked:
		var b strings.Builder
		fmt.Fprintf(&b, "%sstage %s still waits for %s after %s:", at, e.Stage, Count(len(e.Waiting), "service"), Elapsed(e.Elapsed))
		for _, v := range e.Waiting {
			fmt.Fprintf(&b, "\n%12s%-*s  %-9s  %s", "", p.width, v.Service, v.State, Lines(waitingNote(v), strings.Repeat(" ", 14)))
		}
		return b.String()
	case scheduler.RunDone:
		return p.summary(e)
	}
	return ""
}

// serviceNote is what a line adds to the state: why, or how long it took.
func serviceNote(e scheduler.Event) string {
	var parts []string
	if e.Attempt > 1 && (e.To == scheduler.Starting || e.To == scheduler.Failed) {
		parts = append(parts, fmt.Sprintf("attempt %d", e.Attempt))
	}
	if e.Kept {
		parts = append(parts, "it runs already; kept as it is")
	}
	if e.To.Ready() || e.To == scheduler.Degraded {
		parts = append(parts, "after "+Elapsed(e.Elapsed))
	}
	if !e.Cause.IsZero() {
		parts = append(parts, Clean(e.Cause.Text))
	}
	if e.To == scheduler.Backoff {
		parts = append(parts, "again in "+Limit(e.Delay))
	}
	return strings.Join(parts, "; ")
}

func waitingNote(v scheduler.Waiting) string {
	if v.Cause.IsZero() {
		return ""
	}
	if v.Attempt > 1 {
		return fmt.Sprintf("attempt %d; %s", v.Attempt, v.Cause.Text)
	}
	return v.Cause.Text
}

// summary ends a boot: how it came out, then what is not ready, and under each
// root those that only follow from it.
func (p *progress) summary(e scheduler.Event) string {
	var roots []Service
	follow := map[string][]string{}
	for _, s := range p.fold.Services {
		switch {
		case s.State.Ready() || s.State == scheduler.Canceled || s.State == scheduler.Pending:
		case s.Cause.Root != "":
			follow[s.Cause.Root] = append(follow[s.Cause.Root], s.Name)
		default:
			roots = append(roots, s)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "boot %s in %s: ", e.Outcome, Elapsed(e.Elapsed))
	switch {
	case len(p.fold.Services) == 0:
		b.WriteString("nothing to do")
	case p.fold.Started == 0 && e.Outcome == scheduler.EndReady:
		b.WriteString(p.fold.counts() + "; nothing had to be started")
	default:
		b.WriteString(p.fold.counts())
	}
	if e.Outcome == scheduler.EndAborted {
		b.WriteString("\n  " + Clean(e.Cause.Text))
	}
	for _, s := range roots {
		fmt.Fprintf(&b, "\n  %-9s  %-*s  %s", s.State, p.width, s.Name, Lines(s.Cause.Text, strings.Repeat(" ", 14)))
		if names := follow[s.Name]; len(names) > 0 {
			fmt.Fprintf(&b, "\n%13s%s because of it: %s", "", Count(len(names), "service")+" skipped", some(names))
		}
	}
	return b.String()
}

// some are names, the first ones of many.
func some(names []string) string {
	const most = 10
	if left := len(names) - most; left > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), left)
	}
	return strings.Join(names, ", ")
}

// countStates says how many services are in which state: 4 healthy, 1 degraded.
func countStates(n map[scheduler.State]int) string {
	var list []string
	for _, state := range scheduler.States {
		if n[state] > 0 {
			list = append(list, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	return strings.Join(list, ", ")
}

// Fold is the state of a boot after some of its events.
type Fold struct {
	Name     string
	Run      string
	Began    time.Time
	Ended    time.Time // zero while it runs
	Started  int       // services that were started, and didn't run already
	Outcome  scheduler.Ending
	Services []Service // in plan order
	index    map[string]int
}

// Service is where a service stands.
type Service struct {
	Stage   string
	Name    string
	State   scheduler.State
	Since   time.Time
	Attempt int
	Cause   scheduler.Cause
	Again   time.Time // in backoff: when the next attempt begins
	Runs    bool      // it ran as described when the boot began, so its first start is but a look
}

// looked reports whether a service is being looked at, and not started.
func (s *Service) looked() bool { return s.Runs && s.State == scheduler.Starting && s.Attempt == 1 }

// Add takes the next event. What an earlier run has left stays known as far as
// the next one is not about it.
func (f *Fold) Add(e scheduler.Event) {
	switch e.Type {
	case scheduler.RunStarted:
		before := f.Services
		*f = Fold{Name: e.Name, Run: e.Run, Began: e.Time, index: map[string]int{}}
		runs := map[string]bool{}
		for _, s := range e.Running {
			runs[s] = true
		}
		for _, st := range e.Stages {
			for _, name := range st.Services {
				f.put(Service{Stage: st.Name, Name: name, State: scheduler.Pending, Since: e.Time, Runs: runs[name]})
			}
		}
		for _, s := range before {
			f.put(s) // it was not selected this time
		}
	case scheduler.ServiceMoved:
		i, ok := f.index[e.Service]
		if !ok {
			return // a journal that lost its beginning
		}
		s := &f.Services[i]
		s.State, s.Since, s.Attempt, s.Cause = e.To, e.Time, e.Attempt, e.Cause
		s.Again = time.Time{}
		if e.To == scheduler.Backoff {
			s.Again = e.Time.Add(e.Delay)
		}
		if e.To == scheduler.Probing && !e.Kept {
			f.Started++
		}
	case scheduler.ServiceNoted:
		if i, ok := f.index[e.Service]; ok {
			f.Services[i].Cause = e.Cause
		}
	case scheduler.StillBlocked:
		for _, v := range e.Waiting {
			if i, ok := f.index[v.Service]; ok {
				f.Services[i].Cause = v.Cause
			}
		}
	case scheduler.RunDone:
		f.Ended, f.Outcome = e.Time, e.Outcome
	}
}

// put adds a service that is not there yet.
func (f *Fold) put(s Service) {
	if _, ok := f.index[s.Name]; !ok {
		f.index[s.Name] = len(f.Services)
		f.Services = append(f.Services, s)
	}
}

// Expect makes the services of the plan those that there are. What is known of
// them stays.
func (f *Fold) Expect(p *scheduler.Plan) {
	before := *f
	f.Services, f.index = nil, map[string]int{}
	for _, t := range p.Tasks {
		s, known := before.Find(t.Name)
		if !known {
			s = Service{Stage: p.Stages[t.Stage].Name, Name: t.Name, State: scheduler.Pending}
		}
		f.put(s)
	}
}

// Clone is a copy that later events don't change.
func (f *Fold) Clone() *Fold {
	c := *f
	c.Services, c.index = slices.Clone(f.Services), maps.Clone(f.index)
	return &c
}

// counts says how many services are in which state: 4 healthy, 1 degraded.
func (f *Fold) counts() string {
	n := map[scheduler.State]int{}
	for _, s := range f.Services {
		n[s.State]++
	}
	return countStates(n)
}

// Glance says in a line where the boot stands.
func (f *Fold) Glance() string {
	if !f.Ended.IsZero() {
		return fmt.Sprintf("%s: boot %s: %s", f.Name, f.Outcome, f.counts())
	}
	for _, s := range f.Services {
		if s.State.Settled() || s.State == scheduler.Pending || s.State == scheduler.Blocked {
			continue
		}
		if s.Cause.IsZero() {
			return fmt.Sprintf("%s: booting stage %s: %s", f.Name, s.Stage, f.counts())
		}
		return fmt.Sprintf("%s: booting stage %s: %s; %s: %s", f.Name, s.Stage, f.counts(), s.Name, Clean(s.Cause.Text))
	}
	return fmt.Sprintf("%s: booting: %s", f.Name, f.counts())
}

// Find returns where a service stands.
func (f *Fold) Find(name string) (Service, bool) {
	i, ok := f.index[name]
	if !ok {
		return Service{}, false
	}
	return f.Services[i], true
}
