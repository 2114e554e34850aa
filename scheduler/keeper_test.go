package scheduler

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// body is what a task of the fake world runs as, or has run as.
type body struct {
	at     Instance
	down   string // why it doesn't run: exited, vanished, stopped; "" if it does
	paused bool
	sick   bool          // its health checks fail
	moved  chan struct{} // closed with the next change
}

// embody makes a task run.
func (w *fakeWorld) embody(name string, n int, a attempt) []Instance {
	at := Instance{Container: name, ID: fmt.Sprintf("%s-%d", name, n), StartedAt: time.Now()}
	w.change(name, func(b *body) { *b = body{at: at, moved: b.moved} })
	if a.exits {
		time.AfterFunc(a.exit, func() {
			w.change(name, func(b *body) {
				if b.at.Same(at) && b.down == "" {
					b.down = "exited"
				}
			})
		})
	}
	return []Instance{at}
}

// change does something to a body, and tells of it.
func (w *fakeWorld) change(name string, f func(*body)) {
	w.mu.Lock()
	b := w.bodies[name]
	if b == nil {
		b = &body{}
		w.bodies[name] = b
	}
	moved := b.moved
	f(b)
	b.moved = make(chan struct{})
	tell := w.tell
	w.mu.Unlock()
	if moved != nil {
		close(moved)
	}
	tell(name)
}

func (w *fakeWorld) body(name string) (body, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.bodies[name], w.bodies[name].moved
}

// befall is what the world or a person does to a service.
func (w *fakeWorld) befall(name, verb string) {
	w.change(name, func(b *body) {
		switch verb {
		case "exits":
			b.down = "exited"
		case "vanishes":
			b.down = "vanished"
		case "is-stopped":
			b.down = "stopped"
		case "is-started":
			b.down, b.at.StartedAt = "", time.Now()
		case "is-paused":
			b.paused = true
		case "is-unpaused":
			b.paused = false
		case "is-sick":
			b.sick = true
		case "is-well":
			b.sick = false
		default:
			panic("a fake world can't " + verb)
		}
	})
}

func (w *fakeWorld) Look(_ context.Context, _ *Task, at []Instance) (Outcome, error) {
	b, _ := w.body(at[0].Container)
	switch {
	case b.down == "stopped":
		return Outcome{Halted, Cause{"stopped", "somebody has stopped it", ""}}, nil
	case b.down != "":
		return Outcome{Exited, Cause{b.down, "it has " + b.down, ""}}, nil
	case b.paused:
		return Outcome{Halted, Cause{"paused", "somebody has paused it", ""}}, nil
	case !b.at.Same(at[0]):
		return Outcome{Exited, Cause{"restarted", "somebody has started it again", ""}}, nil
	}
	return Outcome{}, nil
}

func (w *fakeWorld) Instances(_ context.Context, t *Task) ([]Instance, Cause, error) {
	b, _ := w.body(t.Name)
	if b.down != "" || b.paused {
		return nil, Cause{b.down, "it does not run", ""}, nil
	}
	return []Instance{b.at}, Cause{}, nil
}

func (w *fakeWorld) Halt(_ context.Context, t *Task) error {
	time.Sleep(100 * time.Millisecond)
	w.change(t.Name, func(b *body) { b.down = "exited" })
	return nil
}

// fakeKeeper is the Keeper of a fake world; its Watcher has a method of the same
// name.
type fakeKeeper struct{ *fakeWorld }

func (w fakeKeeper) Watch(ctx context.Context, tasks []*Task, changed func(*Task)) {
	byName := map[string]*Task{}
	for _, t := range tasks {
		byName[t.Name] = t
	}
	w.mu.Lock()
	w.tell = func(name string) { changed(byName[name]) }
	w.mu.Unlock()
	for _, t := range tasks {
		changed(t)
	}
	<-ctx.Done()
}

type fakeWatcher struct{ *fakeWorld }

func (w fakeWatcher) Watch(ctx context.Context, t *Task, at []Instance) Cause {
	for {
		b, moved := w.body(t.Name)
		if b.sick && b.at.Same(at[0]) {
			return Cause{"refused", "connection refused", ""}
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return Cause{}
		}
	}
}

// supervise boots a plan in virtual time and supervises it until its end.
func supervise(t *testing.T, plan *Plan, world scenarioWorld) (report Report, events []Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(world.script)
		for _, b := range world.befalls {
			time.AfterFunc(b.at, func() { w.befall(b.name, b.verb) })
		}
		ctx, cancel := context.WithTimeout(t.Context(), world.until)
		defer cancel()
		opt := Options{Run: "run", Parallelism: world.parallelism, Sinks: []func(Event){func(e Event) { events = append(events, e) }}}
		all := World{Runtime: w, Prober: w, Sentry: w, Keeper: fakeKeeper{w}, Watcher: fakeWatcher{w}}
		booted := Run(ctx, plan, all, opt)
		checkLog(t, plan, booted, events, world.parallelism)
		report = Supervise(ctx, plan, all, opt, booted)
	})
	checkSupervised(t, plan, report, events)
	return report, events
}

// checkSupervised holds the log of a boot and its supervision against what
// supervision promises.
func checkSupervised(t *testing.T, p *Plan, report Report, events []Event) {
	t.Helper()
	state := map[string]State{}
	for _, task := range p.Tasks {
		state[task.Name] = Pending
	}
	booted := false
	for i, e := range events {
		if e.Seq != i+1 {
			t.Fatalf("event %d has number %d", i+1, e.Seq)
		}
		booted = booted || e.Type == RunDone
		if e.Type != ServiceMoved {
			continue
		}
		if state[e.Service] != e.From {
			t.Fatalf("%s moved from %s, but was %s", e.Service, e.From, state[e.Service])
		}
		state[e.Service] = e.To
		task, err := p.Find(e.Service)
		if err != nil {
			t.Fatal(err)
		}
		if !booted {
			continue
		}
		if e.To == Starting {
			for _, d := range task.DependsOn {
				if !state[p.Tasks[d].Name].Ready() {
					t.Fatalf("%s started while %s was %s", e.Service, p.Tasks[d].Name, state[p.Tasks[d].Name])
				}
			}
		}
		if e.From == Completed || e.From == Stopped && e.To != Probing {
			t.Fatalf("%s moved from %s to %s", e.Service, e.From, e.To)
		}
		if e.To == Failed && !task.Policy.Job {
			t.Fatalf("%s was given up", e.Service)
		}
	}
	for _, task := range p.Tasks {
		if got := report.Status[task.ID].State; got != state[task.Name] {
			t.Fatalf("%s is reported %s, its last event said %s", task.Name, got, state[task.Name])
		}
	}
	if report.Events != len(events) {
		t.Fatalf("%d events are reported of %d", report.Events, len(events))
	}
}
