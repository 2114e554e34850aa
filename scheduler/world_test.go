package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bootgraph/config"
)

// fakeWorld is a world in virtual time. Each task has a script, an attempt
// after the other; the last one goes for all that follow.
type fakeWorld struct {
	script map[string][]attempt
	blind  [2]time.Duration // from, to: Fallen can't look
	took   []time.Duration  // in earlier boots, by task ID

	mu     sync.Mutex
	began  time.Time
	starts map[string]int
	pulls  map[string]int
	bodies map[string]*body // what runs, or has run, by task
	tell   func(string)     // of Watch
	looked func()           // called at each start
}

type attempt struct {
	pull, start time.Duration
	noImage     bool          // the pull fails
	noStart     bool          // the start fails
	ready       time.Duration // from the start on
	never       bool          // never ready
	exits       bool
	exit        time.Duration // from the start on
}

func newFakeWorld(script map[string][]attempt) *fakeWorld {
	return &fakeWorld{script: script, began: time.Now(), starts: map[string]int{}, pulls: map[string]int{}, bodies: map[string]*body{}, tell: func(string) {}, looked: func() {}}
}

func (w *fakeWorld) attempt(name string, n int) attempt {
	list := w.script[name]
	if len(list) == 0 {
		return attempt{}
	}
	return list[min(n, len(list)-1)]
}

func (w *fakeWorld) Prepare(ctx context.Context, t *Task) error {
	w.mu.Lock()
	n := w.pulls[t.Name]
	w.pulls[t.Name]++
	w.mu.Unlock()
	a := w.attempt(t.Name, n)
	if a.pull > 0 {
		select {
		case <-time.After(a.pull):
		case <-ctx.Done():
			return context.Canceled
		}
	}
	if a.noImage {
		return errors.New("no such image")
	}
	return nil
}

func (w *fakeWorld) Start(_ context.Context, t *Task) ([]Instance, error) {
	w.mu.Lock()
	n := w.starts[t.Name]
	w.starts[t.Name]++
	w.looked()
	w.mu.Unlock()
	a := w.attempt(t.Name, n)
	time.Sleep(a.start) // virtual; a start is whole even when the boot ends
	if a.noStart {
		return nil, fmt.Errorf("start %d refused", n+1)
	}
	return w.embody(t.Name, n, a), nil
}

func (w *fakeWorld) running(t *Task, at []Instance) (a attempt, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempt(t.Name, w.starts[t.Name]-1), at[0].StartedAt
}

// in returns a timer's channel, or one that never fires.
func in(ever bool, until time.Time) <-chan time.Time {
	if !ever {
		return nil
	}
	return time.After(time.Until(until))
}

func (w *fakeWorld) Await(ctx context.Context, t *Task, at []Instance, deadline time.Time, note func(Cause)) Outcome {
	a, since := w.running(t, at)
	note(Cause{"refused", "connection refused", ""})
	exited := Outcome{Exited, Cause{"exited", "exited with code 1", ""}}
	if a.exits && (a.never || a.exit <= a.ready) && !time.Now().Before(since.Add(a.exit)) {
		return exited
	}
	b, moved := w.body(t.Name)
	if b.down != "" {
		return Outcome{Exited, Cause{b.down, "it has " + b.down, ""}}
	}
	a.never = a.never || b.sick || b.paused
	ready := in(!a.never, since.Add(a.ready))
	if !a.never && a.exits && a.exit <= a.ready {
		ready = nil
	}
	if !a.never && since.Add(a.ready).Equal(deadline) {
		ready, deadline = in(true, deadline), deadline.Add(time.Nanosecond) // the last probe is at the deadline
	}
	select {
	case <-ready:
		return Outcome{Result: Passed}
	case <-in(a.exits, since.Add(a.exit)):
		return exited
	case <-moved:
		return w.Await(ctx, t, at, deadline, note)
	case <-time.After(time.Until(deadline)):
		return Outcome{Late, Cause{"refused", "connection refused", ""}}
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (w *fakeWorld) Guard(ctx context.Context, t *Task, at []Instance) Cause {
	a, since := w.running(t, at)
	select {
	case <-in(a.exits, since.Add(a.exit)):
		return Cause{"exited", "exited with code 1 after it was ready", ""}
	case <-ctx.Done():
		return Cause{}
	}
}

func (w *fakeWorld) Fallen(_ context.Context, ready []Ready) (map[int]Cause, error) {
	if now := time.Since(w.began); now >= w.blind[0] && now < w.blind[1] {
		return nil, errors.New("podman does not answer")
	}
	causes := map[int]Cause{}
	for _, r := range ready {
		if a, since := w.running(r.Task, r.At); a.exits && !time.Now().Before(since.Add(a.exit)) {
			causes[r.Task.ID] = Cause{"exited", "exited with code 1 after it was ready", ""}
		}
	}
	return causes, nil
}

// boot runs a plan in virtual time, in its own bubble, and interrupts it after
// a while if that is not 0.
func boot(t *testing.T, plan *Plan, script map[string][]attempt, parallelism int, interrupt time.Duration, change ...func(*fakeWorld)) (report Report, events []Event, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(script)
		for _, f := range change {
			f(w)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		if interrupt > 0 {
			time.AfterFunc(interrupt, func() { cancel(Interrupt{"SIGINT", 130}) })
		}
		start := time.Now()
		report = Run(ctx, plan, World{Runtime: w, Prober: w, Sentry: w}, Options{Run: "run", Parallelism: parallelism, Took: w.took,
			Sinks: []func(Event){func(e Event) { events = append(events, e) }}})
		took = time.Since(start)
		cancel(nil)
	})
	checkLog(t, plan, report, events, parallelism)
	return report, events, took
}

// checkLog holds every event log against what a boot promises.
func checkLog(t *testing.T, p *Plan, report Report, events []Event, parallelism int) {
	t.Helper()
	state, tasks, starting, open := map[string]State{}, map[string]*Task{}, 0, -1
	for _, task := range p.Tasks {
		state[task.Name], tasks[task.Name] = Pending, task
	}
	for i, e := range events {
		if e.Seq != i+1 {
			t.Fatalf("event %d has number %d", i+1, e.Seq)
		}
		if i > 0 && e.Time.Before(events[i-1].Time) {
			t.Fatalf("event %d happened before event %d", e.Seq, e.Seq-1)
		}
		switch e.Type {
		case StageStarted:
			if open++; open > 0 && p.Stages[open-1].OnFailure == config.Block {
				for _, task := range p.Stages[open-1].Tasks {
					if !state[task.Name].Ready() {
						t.Fatalf("stage %s opened, while %s of one that blocks was %s", e.Stage, task.Name, state[task.Name])
					}
				}
			}
			if p.Stages[open].Name != e.Stage {
				t.Fatalf("stage %s opened out of turn", e.Stage)
			}
		case ServiceMoved:
			task := tasks[e.Service]
			if state[e.Service] != e.From {
				t.Fatalf("%s moved from %s, but was %s", e.Service, e.From, state[e.Service])
			}
			state[e.Service] = e.To
			if e.From == Starting {
				starting--
			}
			if e.To == Starting {
				if starting++; starting > parallelism {
					t.Fatalf("%d starts at a time, %d allowed", starting, parallelism)
				}
				if task.Stage != open {
					t.Fatalf("%s of stage %d started while stage %d was open", e.Service, task.Stage, open)
				}
				for _, d := range task.DependsOn {
					if !state[p.Tasks[d].Name].Ready() {
						t.Fatalf("%s started while %s was %s", e.Service, p.Tasks[d].Name, state[p.Tasks[d].Name])
					}
				}
				for _, d := range task.Wants {
					if !state[p.Tasks[d].Name].Settled() {
						t.Fatalf("%s started while %s was %s", e.Service, p.Tasks[d].Name, state[p.Tasks[d].Name])
					}
				}
			}
			if e.To.Settled() && !e.To.Ready() && e.Cause.IsZero() {
				t.Fatalf("%s is %s without a cause", e.Service, e.To)
			}
			givenUp := e.To == Skipped && tasks[e.Cause.Root] != nil && tasks[e.Cause.Root].Stage < task.Stage // by an earlier stage
			if task.Policy.Forever && e.To.Settled() && !e.To.Ready() && e.To != Canceled && !givenUp {
				t.Fatalf("%s, which has no limit of attempts, settled as %s", e.Service, e.To)
			}
			if e.To == Skipped {
				if tasks[e.Cause.Root] == nil || state[e.Cause.Root].Ready() {
					t.Fatalf("%s was skipped because of %q, which is %s", e.Service, e.Cause.Root, state[e.Cause.Root])
				}
			}
		}
	}
	for _, task := range p.Tasks {
		if got := report.Status[task.ID].State; got != state[task.Name] || !got.Settled() {
			t.Fatalf("%s is reported %s, its last event said %s", task.Name, got, state[task.Name])
		}
	}
	if last := events[len(events)-1]; last.Type != RunDone || last.Exit != report.Exit || last.Outcome != report.Outcome {
		t.Fatalf("the last event is %+v, the report %s, %d", last, report.Outcome, report.Exit)
	}
}

// render writes an event log as text. Events of one moment come in the order
// in which goroutines woke, so they are put into plan order; those of stages
// keep their place. Notes are left out: they decide nothing.
func render(p *Plan, events []Event) string {
	events = slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.Type == ServiceNoted })
	id := func(e Event) int {
		t, err := p.Find(e.Service)
		if err != nil {
			return -1
		}
		return t.ID
	}
	var b strings.Builder
	for i := 0; i < len(events); {
		j := i + 1
		for j < len(events) && events[j].Type == ServiceMoved && events[i].Type == ServiceMoved && events[j].Time.Equal(events[i].Time) {
			j++
		}
		moment := events[i:j]
		for a := range moment { // stable insertion sort: a moment is short
			for c := a; c > 0 && id(moment[c]) < id(moment[c-1]); c-- {
				moment[c], moment[c-1] = moment[c-1], moment[c]
			}
		}
		for _, e := range moment {
			b.WriteString(renderEvent(e, e.Time.Sub(events[0].Time)))
		}
		i = j
	}
	return b.String()
}

func renderEvent(e Event, at time.Duration) string {
	line := fmt.Sprintf("%9.3fs  ", at.Seconds())
	switch e.Type {
	case ServiceMoved:
		line += fmt.Sprintf("  %s/%s %s -> %s", e.Stage, e.Service, e.From, e.To)
		if e.Attempt > 1 {
			line += fmt.Sprintf(" #%d", e.Attempt)
		}
		if !e.Cause.IsZero() {
			line += ": " + e.Cause.Text
		}
	case StillBlocked:
		line += e.Stage + " still waits for"
		for _, v := range e.Waiting {
			line += fmt.Sprintf(" %s (%s: %s)", v.Service, v.State, v.Cause.Text)
		}
	case StageStarted:
		line += e.Stage + " opens"
	case StageDone:
		line += e.Stage + " " + string(e.Outcome)
	case RunDone:
		line += fmt.Sprintf("boot %s, exit %d", e.Outcome, e.Exit)
	default:
		line += string(e.Type)
	}
	return line + "\n"
}
