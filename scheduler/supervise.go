package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bootgraph/config"
)

const (
	// steady is how long a task has to have been ready for its next fall to
	// be a new one, and not another attempt: as long as the backoff of one
	// that never comes up, twice.
	steady = 2 * backoffMost

	// lookAgain is when a look is tried again that told nothing.
	lookAgain = 5 * time.Second
)

// supervision is the run after its boot. What it adds is guarded by the run's
// mutex.
type supervision struct {
	*run
	changed []chan struct{} // by task ID: one token: something may have become of its containers
	since   []time.Time     // by task ID: when it became ready
	fresh   []bool          // by task ID: it was started, and has not been ready since
	renewed []string        // by task ID: what it depends on and has to follow
}

// Supervise keeps what a boot has made run, until ctx ends: what falls is
// started again, with the backoff of a boot and without a limit, when what it
// depends on is ready. It goes on from the report of Run, and its events go on
// from the last one of the boot. What somebody has stopped stays stopped.
//
// Each task has a goroutine, which waits: for the keeper to say that something
// has changed, for the watcher, for what it depends on.
func Supervise(ctx context.Context, plan *Plan, world World, opt Options, boot Report) Report {
	s := newSupervision(plan, world, opt, boot)
	var all sync.WaitGroup
	for _, t := range s.plan.Tasks {
		now := s.look(t.ID)
		if to, ok := supervised(t.Policy, now, Outcome{Resumed, now.Cause}); ok {
			s.publish(t, to)
		}
	}
	all.Go(func() {
		world.Keeper.Watch(ctx, s.plan.Tasks, func(t *Task) { signal(s.changed[t.ID]) })
	})
	for _, t := range s.plan.Tasks {
		all.Go(func() { s.keep(ctx, t) })
	}
	all.Wait()
	s.log.close()
	return Report{Began: boot.Began, Outcome: boot.Outcome, Exit: boot.Exit, Status: s.status, At: s.at, Events: s.log.seq}
}

func newSupervision(plan *Plan, world World, opt Options, boot Report) *supervision {
	n := len(plan.Tasks)
	after := *plan
	after.Tasks = make([]*Task, n)
	for i, t := range plan.Tasks {
		task := *t
		task.Policy.Supervised = true
		after.Tasks[i] = &task
	}
	opt.seen = boot.Events
	s := &supervision{run: newRun(&after, world, opt, wall), changed: make([]chan struct{}, n),
		since: make([]time.Time, n), fresh: make([]bool, n), renewed: make([]string, n)}
	s.after = s
	for i := range s.passed {
		s.passed[i] = func() {} // there are no barriers any more
	}
	for id := range after.Tasks {
		s.changed[id] = make(chan struct{}, 1)
		s.status[id], s.since[id] = boot.Status[id], s.start
		s.at[id], s.begun[id] = boot.At[id], boot.At[id] != nil
		if s.status[id].State == Healthy {
			s.status[id].Attempt = 0 // what a boot has taken is no reason to hesitate
		}
	}
	return s
}

// keep is walk for the time after the boot: it has no end but that of ctx, or
// a state that nothing leads out of.
func (s *supervision) keep(ctx context.Context, t *Task) {
	stale := false // it runs, and is to be started again all the same
	for {
		now := s.look(t.ID)
		o := s.attend(ctx, t, now, stale)
		if ctx.Err() != nil || o == (Outcome{}) {
			return
		}
		stale = o.Result == Late || o.Result == Renewed || stale && o.Result != Begun
		s.publish(t, next(t.Policy, now, o))
	}
}

// attend is do for the time after the boot; the zero Outcome if there is
// nothing more to do.
func (s *supervision) attend(ctx context.Context, t *Task, now Status, stale bool) Outcome {
	switch now.State {
	case Healthy:
		return s.guard(ctx, t)
	case Probing:
		return s.prove(ctx, t)
	case Backoff:
		return s.rest(ctx, t, now)
	case Blocked:
		return s.admitAgain(ctx, t, stale)
	case Stopped:
		return s.awaitReturn(ctx, t)
	case Starting:
		return s.do(ctx, ctx, t, now)
	}
	return Outcome{} // completed, canceled, a job that failed
}

// guard waits until a task that is ready is not any more, or has to follow
// what it depends on.
func (s *supervision) guard(ctx context.Context, t *Task) Outcome {
	ctx, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel()
	at := s.instances(t)
	unready := make(chan Cause, 1)
	watcher.Go(func() { unready <- s.world.Watcher.Watch(ctx, t, at) })
	var again <-chan time.Time
	for {
		failing := Outcome{}
		select {
		case why := <-unready:
			failing = Outcome{Unready, why}
		case <-s.changed[t.ID]:
		case <-again:
		case <-s.wake[t.ID]:
			if why := s.follows(t); !why.IsZero() {
				return Outcome{Renewed, why}
			}
			continue
		case <-ctx.Done():
			return Outcome{}
		}
		again = nil
		switch o, err := s.world.Keeper.Look(ctx, t, at); {
		case ctx.Err() != nil:
			return Outcome{}
		case err == nil && o != (Outcome{}):
			return o
		case failing != (Outcome{}):
			return failing
		case err != nil:
			again = time.After(lookAgain)
		}
	}
}

// prove waits until a task that runs is ready, or has had its time. One that
// is paused has all the time there is.
func (s *supervision) prove(ctx context.Context, t *Task) Outcome {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan Outcome, 1)
	go func() {
		done <- s.world.Prober.Await(inner, t, s.instances(t), s.deadline(t), func(c Cause) { s.note(t, c) })
	}()
	for {
		select {
		case o := <-done:
			if o.Result == Late {
				s.halted(ctx, t, &o) // paused, it is late for ever
			}
			return o
		case <-s.changed[t.ID]:
			if o := (Outcome{}); s.halted(ctx, t, &o) {
				cancel()
				<-done
				return o
			}
		case <-s.wake[t.ID]:
			if why := s.follows(t); !why.IsZero() {
				cancel()
				<-done
				return Outcome{Renewed, why}
			}
		}
	}
}

// halted tells whether somebody wants a task not to run, and puts that in the
// place of the outcome.
func (s *supervision) halted(ctx context.Context, t *Task, o *Outcome) bool {
	at := s.instances(t)
	if at == nil {
		return false // it has never run
	}
	seen, err := s.world.Keeper.Look(ctx, t, at)
	if err == nil && seen.Result == Halted {
		*o = seen
		return true
	}
	return false
}

// rest waits for the time of a backoff to be over. Whose will a fall was shows
// only a moment later, so it ends with a look.
func (s *supervision) rest(ctx context.Context, t *Task, now Status) Outcome {
	timer := time.NewTimer(now.Delay)
	defer timer.Stop()
	for {
		o := Outcome{Result: Waited}
		select {
		case <-timer.C:
			s.halted(ctx, t, &o)
			return o
		case <-s.changed[t.ID]:
			if s.halted(ctx, t, &o) {
				return o
			}
		case <-ctx.Done():
			return Outcome{}
		}
	}
}

// admitAgain is admit for the time after the boot. Between any two of its
// steps somebody may have come to want it otherwise, so the last one but the
// gate is to look.
func (s *supervision) admitAgain(ctx context.Context, t *Task, stale bool) Outcome {
	if o := s.waitForDependencies(ctx, t); o.Result != Allowed {
		return o
	}
	start := time.Now()
	if err := s.world.Runtime.Prepare(ctx, t); err != nil {
		return failure(ctx, err)
	}
	took := time.Since(start)
	if at := s.instances(t); at != nil {
		seen, err := s.world.Keeper.Look(ctx, t, at)
		switch {
		case err != nil:
			return failure(ctx, err)
		case seen.Result == Halted:
			return seen
		case seen == (Outcome{}) && stale:
			// Not before: it may be of some use until then.
			if err := s.world.Keeper.Halt(ctx, t); err != nil {
				return failure(ctx, err)
			}
		}
	}
	s.prepared(t, took)
	if !s.gate.enter(ctx, s.rank[t.ID]) {
		return ended(ctx)
	}
	return Outcome{Result: Allowed}
}

// awaitReturn waits until somebody has started again what somebody has stopped.
func (s *supervision) awaitReturn(ctx context.Context, t *Task) Outcome {
	for {
		var again <-chan time.Time
		at, why, err := s.world.Keeper.Instances(ctx, t)
		switch {
		case ctx.Err() != nil:
			return Outcome{}
		case err != nil:
			again = time.After(lookAgain)
		case why.IsZero():
			s.mu.Lock()
			s.at[t.ID] = at
			s.mu.Unlock()
			return Outcome{Result: Begun}
		}
		select {
		case <-s.changed[t.ID]:
		case <-again:
		case <-ctx.Done():
			return Outcome{}
		}
	}
}

// follows says why a task has to be started again although nothing is wrong
// with it.
func (s *supervision) follows(t *Task) Cause {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := s.renewed[t.ID]; name != "" {
		return Cause{Code: "dependency", Root: name, Text: fmt.Sprintf("follows %s, which was started again", name)}
	}
	return Cause{}
}

// moving does what a move brings about after the boot, and returns where the
// task then stands. The caller holds mu.
func (s *supervision) moving(t *Task, from, to Status) Status {
	switch now := time.Now(); to.State {
	case Backoff, Blocked:
		if from.State == Healthy && now.Sub(s.since[t.ID]) >= steady {
			to.Attempt, to.Delay = 0, min(to.Delay, backoffFirst)
		}
		if to.State == Blocked {
			to.Cause = s.held(t, to.Cause)
		}
	case Starting:
		s.fresh[t.ID], s.renewed[t.ID] = true, ""
	case Probing:
		if from.State == Stopped {
			s.fresh[t.ID], s.renewed[t.ID] = true, ""
		}
		if from.State != Starting {
			s.began[t.ID], s.due[t.ID], s.notes[t.ID] = now, now.Add(t.Timeout), Cause{}
		}
	case Healthy:
		s.since[t.ID] = now
		if s.fresh[t.ID] {
			s.fresh[t.ID] = false
			for _, heir := range s.heirs[t.ID] {
				if h := s.plan.Tasks[heir]; h.Service.OnDependencyRestart == config.Follow && slices.Contains(h.DependsOn, t.ID) {
					s.renewed[heir] = t.Name
				}
			}
		}
	}
	return to
}

// patience is the time that a task has from its start on. After the boot, where
// one that is late is started again, each attempt has twice that of the last:
// what takes longer than its timeout to come up, which a foundation may, would
// else never do so again.
func patience(t *Task, s Status) time.Duration {
	if !t.Policy.Supervised {
		return t.Timeout
	}
	return t.Timeout << min(max(s.Attempt-1, 0), 5)
}

// held says what a task waits for. The caller holds mu.
func (s *supervision) held(t *Task, otherwise Cause) Cause {
	var names []string
	for _, d := range s.holders(t) {
		names = append(names, s.plan.Tasks[d].Name)
	}
	if len(names) == 0 {
		return otherwise
	}
	return Cause{Code: "waiting", Root: names[0], Text: "waits for " + strings.Join(names, ", ")}
}

// holders are the tasks that hold up a start. After the boot nothing is
// skipped: what it depends on may come back at any time. Of what it only wants
// and of what it comes after, those hold it up that are about to come up; and a
// stage that blocks holds up all later ones, but not for what somebody has
// stopped. The caller holds mu.
func (s *supervision) holders(t *Task) []int {
	var list []int
	add := func(d int) {
		if !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	for _, d := range t.DependsOn {
		if !s.status[d].State.Ready() {
			add(d)
		}
	}
	for _, d := range t.Wants {
		if s.rising(d) {
			add(d)
		}
	}
	for _, d := range t.After {
		if s.rising(d) && s.status[d].State != Probing {
			add(d)
		}
	}
	for _, st := range s.plan.Stages[:t.Stage] {
		for _, earlier := range st.Tasks {
			if st.OnFailure == config.Block && !s.status[earlier.ID].State.Ready() && !s.stuck(earlier.ID) {
				add(earlier.ID)
			}
		}
	}
	return list
}

// rising tells whether a task that fell is about to come up: it has not yet
// failed as often as its attempts allow, and nothing holds it up for longer.
func (s *supervision) rising(id int) bool {
	t, now := s.plan.Tasks[id], s.status[id]
	switch now.State {
	case Starting, Probing:
		return true
	case Backoff:
		return now.Attempt < t.Policy.Attempts
	case Blocked:
		return now.Attempt < t.Policy.Attempts &&
			!slices.ContainsFunc(t.DependsOn, func(d int) bool { return !s.status[d].State.Ready() && !s.rising(d) })
	}
	return false
}

// stuck tells whether a task doesn't come up without somebody's doing.
func (s *supervision) stuck(id int) bool {
	now := s.status[id].State
	return now.Settled() && !now.Ready() ||
		now == Blocked && slices.ContainsFunc(s.plan.Tasks[id].DependsOn, s.stuck)
}

// wakeBlocked has all look that wait for others: not only those that refer to
// a task wait for it. The caller holds mu.
func (s *supervision) wakeBlocked() {
	for id, now := range s.status {
		if now.State == Blocked {
			signal(s.wake[id])
		}
	}
}
