package analysis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// world is one in virtual time.
type world map[string]*script

// script is what becomes of a service: its attempts, of which the last one goes
// for all that follow. Only the goroutine of its task touches it.
type script struct {
	attempts []attempt
	n        int // of the attempt, from 1
	since    time.Time
}

type attempt struct {
	pull, start, ready time.Duration
	noImage, noStart   bool
	exits              bool // instead of getting ready
}

func (s *script) attempt() attempt { return s.attempts[min(s.n, len(s.attempts))-1] }

func (w world) Prepare(_ context.Context, t *scheduler.Task) error {
	s := w[t.Name]
	s.n++
	time.Sleep(s.attempt().pull) // virtual, as all sleep here
	if s.attempt().noImage {
		return errors.New("no such image")
	}
	return nil
}

func (w world) Start(_ context.Context, t *scheduler.Task) ([]scheduler.Instance, error) {
	s := w[t.Name]
	time.Sleep(s.attempt().start)
	if s.attempt().noStart {
		return nil, errors.New("refused")
	}
	s.since = time.Now()
	return []scheduler.Instance{{Container: t.Name, ID: t.Name, StartedAt: s.since}}, nil
}

func (w world) Await(ctx context.Context, t *scheduler.Task, _ []scheduler.Instance, deadline time.Time, _ func(scheduler.Cause)) scheduler.Outcome {
	s := w[t.Name]
	select {
	case <-time.After(time.Until(s.since.Add(s.attempt().ready))):
	case <-time.After(time.Until(deadline)):
		return scheduler.Outcome{Result: scheduler.Late, Cause: scheduler.Cause{Code: "late", Text: "not ready"}}
	case <-ctx.Done():
		return scheduler.Outcome{Result: scheduler.Ended, Cause: scheduler.Cause{Code: "canceled", Text: "canceled"}}
	}
	if s.attempt().exits {
		return scheduler.Outcome{Result: scheduler.Exited, Cause: scheduler.Cause{Code: "exited", Text: "exited with code 1"}}
	}
	return scheduler.Outcome{Result: scheduler.Passed}
}

func (w world) Guard(ctx context.Context, _ *scheduler.Task, _ []scheduler.Instance) scheduler.Cause {
	<-ctx.Done()
	return scheduler.Cause{}
}

func (w world) Fallen(context.Context, []scheduler.Ready) (map[int]scheduler.Cause, error) {
	return nil, nil
}

// boot runs a file in a world, and interrupts it after a while if that is not 0.
func boot(t *testing.T, f *config.File, w world, parallelism int, interrupt time.Duration) (events []scheduler.Event) {
	t.Helper()
	plan, diags := scheduler.Compile(f)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		if interrupt > 0 {
			time.AfterFunc(interrupt, func() { cancel(scheduler.Interrupt{Signal: "SIGINT", Exit: 130}) })
		}
		scheduler.Run(ctx, plan, scheduler.World{Runtime: w, Prober: w, Sentry: w}, scheduler.Options{Run: "run", Parallelism: parallelism,
			Sinks: []func(scheduler.Event){func(e scheduler.Event) { events = append(events, e) }}})
	})
	return events
}

// anyBoot is a boot of a random graph in a random world, of whole milliseconds.
func anyBoot(t *testing.T, r *rapid.T) []scheduler.Event {
	f, w := &config.File{Name: "any"}, world{}
	ms := func(what string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(r, what)) * time.Millisecond
	}
	var all []string
	for i := range rapid.IntRange(1, 4).Draw(r, "stages") {
		st := &config.Stage{Name: fmt.Sprintf("stage%d", i), Timeout: 5 * time.Second, Attempts: rapid.IntRange(1, 2).Draw(r, "attempts"),
			OnFailure: rapid.SampledFrom([]config.OnFailure{config.Continue, config.Abort}).Draw(r, "on_failure")}
		if i == 0 && rapid.Bool().Draw(r, "foundation") {
			st.OnFailure = config.Block
		}
		for range rapid.IntRange(0, 5).Draw(r, "services") {
			s := &config.Service{Name: fmt.Sprintf("s%d", len(all)), Kind: config.KindService, Timeout: st.Timeout, Attempts: st.Attempts}
			for range rapid.IntRange(0, min(3, len(all))).Draw(r, "waits") {
				ref := config.Reference{Target: rapid.SampledFrom(all).Draw(r, "for")}
				list := rapid.SampledFrom([]*[]config.Reference{&s.DependsOn, &s.DependsOn, &s.Wants, &s.After}).Draw(r, "kind")
				*list = append(*list, ref)
			}
			w[s.Name] = &script{}
			for range st.Attempts {
				w[s.Name].attempts = append(w[s.Name].attempts, attempt{pull: ms("pull", 500), start: ms("start", 500), ready: ms("ready", 6000),
					noImage: rapid.IntRange(0, 15).Draw(r, "no image") == 0, noStart: rapid.IntRange(0, 15).Draw(r, "no start") == 0,
					exits: rapid.IntRange(0, 9).Draw(r, "exits") == 0})
			}
			if st.OnFailure == config.Block {
				w[s.Name].attempts = append(w[s.Name].attempts, attempt{ready: time.Second})
			}
			all = append(all, s.Name)
			st.Services = append(st.Services, s)
		}
		f.Stages = append(f.Stages, st)
	}
	interrupt := time.Duration(0)
	if rapid.IntRange(0, 4).Draw(r, "interrupt") == 0 {
		interrupt = ms("after", 20000)
	}
	return boot(t, f, w, rapid.IntRange(1, 4).Draw(r, "parallelism"), interrupt)
}
