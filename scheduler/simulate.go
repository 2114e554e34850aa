package scheduler

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bootgraph/config"
)

// Attempt is what becomes of an attempt of a task in an imagined world.
type Attempt struct {
	Pull    time.Duration // what its image takes
	NoImage Cause         // set: then it can't be had
	Start   time.Duration // what the runtime takes to make it run
	NoStart Cause         // set: then it doesn't run

	// From here on times count from when it runs.
	Ready   time.Duration // when it is proven ready
	Never   bool          // it is never ready
	Unready Cause         // what its checks say until it is ready; may be zero
	Exits   bool          // it exits after Exit
	Exit    time.Duration
	Exited  Cause // why, if it was not ready
	Fallen  Cause // why, if it was
}

// proves reports whether the attempt comes to be ready at all.
func (a Attempt) proves() bool { return !a.Never && (!a.Exits || a.Exit > a.Ready) }

// Imagined is the world of a simulation.
type Imagined struct {
	// Attempts of each task, by task ID: the last one goes for all that
	// follow. Images and starts are counted apart, since an image that can't
	// be had uses up no start. There must be one for each task.
	Attempts [][]Attempt

	Interrupt time.Duration    // after which the boot is interrupted; 0: never
	By        Interrupt        // by what
	Blind     [2]time.Duration // from when to when the runtime can't tell who has fallen
}

// simulationStart is when every simulation begins: the same input gives the
// same bytes.
var simulationStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Simulate boots a plan in an imagined world and in no time: it gives the
// events that Run would. Its sinks are called before it returns, one event
// after the other.
//
// Decisions, statuses, events and the gate are those of Run; what is another
// is the driver. Where Run has a goroutine a task that waits, there is a queue
// of moments, so that nothing depends on how goroutines are woken, and ten
// years take as long as a second.
//
// A boot that would wait for ever, since nobody interrupts it, ends when that
// is certain: at the end of a timeout of the stage that blocks, when all that
// could still happen is known to be to no avail. It is Stuck then. Who lets one
// service of a foundation rise and fall for ever, and another not come up at
// all, has to set an end himself.
func Simulate(plan *Plan, world Imagined, opt Options) Report {
	n := len(plan.Tasks)
	s := &simulation{world: world, now: simulationStart, pulls: make([]int, n), starts: make([]int, n), runs: make([]time.Time, n),
		turn: make([]int, n), waits: make([]bool, n), tickets: make([]*ticket, n)}
	s.run = newRun(plan, World{}, opt, clock{now: func() time.Time { return s.now }, after: s.after, virtual: true})
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	defer s.cancel(nil)
	if world.Interrupt > 0 {
		s.after(world.Interrupt, func() { s.interrupt(world.By) })
	}
	return s.through(s.ctx, opt, s.stage)
}

// Stuck is why a simulation ends that would not: a stage that blocks waits for
// what never comes.
type Stuck struct {
	Stage string
	For   []string // services that never come up, whatever else happens
}

func (s Stuck) Error() string {
	return fmt.Sprintf("stage %s would wait for ever for %s", s.Stage, strings.Join(s.For, ", "))
}

type simulation struct {
	*run
	world  Imagined
	now    time.Time
	due    []moment // at this time, in the order in which they were thought of: most moments
	queue  moments  // later ones; those of them whose time has come go before due
	number int
	ctx    context.Context
	cancel context.CancelCauseFunc

	// Of the stage that is open.
	of      *Stage
	closed  bool    // all of it has been ready
	walking int     // tasks that have not come to where they settle
	guarded []*Task // of these, those that are ready and kept so until all are

	// By task ID.
	pulls   []int       // images asked for so far
	starts  []int       // starts so far
	runs    []time.Time // since when it runs
	turn    []int       // how often it was told something: what was to come of an earlier turn is void
	waits   []bool      // for what it depends on
	tickets []*ticket   // in the gate
}

// moment is something that is to happen.
type moment struct {
	at     time.Time
	number int   // moments of one time happen in the order in which they were thought of
	of     *Task // nil: of none
	turn   int   // of the task
	do     func()
}

func (s *simulation) after(d time.Duration, do func()) { s.later(d, nil, do) }

// later lets something happen to a task, unless something else has until then.
func (s *simulation) later(d time.Duration, t *Task, do func()) {
	turn := 0
	if t != nil {
		turn = s.turn[t.ID]
	}
	if d <= 0 {
		s.due = append(s.due, moment{of: t, turn: turn, do: do})
		return
	}
	s.number++
	heap.Push(&s.queue, &moment{s.now.Add(d), s.number, t, turn, do})
}

// next is the next moment. There is always one: the nagging of a stage that
// blocks, else a deadline.
func (s *simulation) next() moment {
	if len(s.due) > 0 && (len(s.queue) == 0 || s.queue[0].at.After(s.now)) {
		m := s.due[0]
		s.due = s.due[1:]
		m.at = s.now
		return m
	}
	return *heap.Pop(&s.queue).(*moment)
}

// until lets moments happen until a condition holds.
func (s *simulation) until(holds func() bool) {
	for !holds() {
		if m := s.next(); s.valid(m) {
			s.now = m.at
			m.do()
		}
	}
}

func (s *simulation) valid(m moment) bool { return m.of == nil || m.turn == s.turn[m.of.ID] }

// stage is Run's, with a count of those who walk for its barrier.
func (s *simulation) stage(i int) Ending {
	start := s.now
	s.of, s.closed = &s.plan.Stages[i], false
	s.open(i, func() { s.closed = true })
	open := true
	if s.of.OnFailure == config.Block {
		s.nag(start, &open)
	}
	for todo := s.of.Tasks; len(todo) > 0; todo = s.fallen() {
		s.walking = len(todo)
		for _, t := range todo {
			s.step(t)
		}
		s.until(func() bool { return s.walking == 0 })
	}
	open = false
	return s.shut(s.ctx, s.of, start)
}

func (s *simulation) nag(start time.Time, open *bool) {
	s.after(s.of.Timeout, func() {
		if !*open || s.ctx.Err() != nil {
			return
		}
		s.complain(s.of, start)
		if never := s.stuck(); never != nil && s.world.Interrupt == 0 {
			s.interrupt(Stuck{s.of.Name, never})
			return
		}
		s.nag(start, open)
	})
}

// fallen is Run's.
func (s *simulation) fallen() []*Task {
	ready := s.ready(s.of)
	if len(ready) == 0 || s.ctx.Err() != nil {
		return nil
	}
	for attempt := 1; s.blind() && s.of.OnFailure == config.Block; attempt++ {
		over := false
		s.after(backoff(attempt), func() { over = true })
		s.until(func() bool { return over || s.ctx.Err() != nil })
		if s.ctx.Err() != nil {
			return nil
		}
	}
	if s.blind() {
		return nil
	}
	causes := map[int]Cause{}
	for _, r := range ready {
		if a := s.attempt(r.Task); a.Exits && !s.now.Before(s.runs[r.Task.ID].Add(a.Exit)) {
			causes[r.Task.ID] = a.Fallen
		}
	}
	return s.fell(ready, causes)
}

func (s *simulation) blind() bool {
	d := s.now.Sub(s.start)
	return s.world.Blind[0] <= d && d < s.world.Blind[1]
}

// attempt is what becomes of a task that was made to run.
func (s *simulation) attempt(t *Task) Attempt { return s.nth(t, s.starts[t.ID]-1) }

func (s *simulation) nth(t *Task, n int) Attempt {
	list := s.world.Attempts[t.ID]
	return list[min(n, len(list)-1)]
}

// told takes a task to where an outcome leads, wakes who waits for it, and
// sees to what comes next.
func (s *simulation) told(t *Task, o Outcome) {
	s.turn[t.ID]++
	s.publish(t, next(t.Policy, s.look(t.ID), o))
	for _, heir := range s.heirs[t.ID] {
		if to := s.plan.Tasks[heir]; s.waits[heir] {
			s.later(0, to, func() {
				if s.waits[heir] { // it may have been woken by several
					s.step(to)
				}
			})
		}
	}
	s.step(t)
	if s.closed {
		s.letBe()
	}
}

// letBe ends guarding.
func (s *simulation) letBe() {
	s.walking -= len(s.guarded)
	for _, t := range s.guarded {
		s.turn[t.ID]++
	}
	s.guarded = nil
}

// step is do: the state says what is to be done, and what comes of it is a
// moment.
func (s *simulation) step(t *Task) {
	now := s.look(t.ID)
	switch now.State {
	case Blocked:
		s.admit(t)
	case Starting:
		s.begin(t)
	case Probing:
		s.prove(t)
	case Backoff:
		s.unlessEnded(t, func() {
			s.later(now.Delay, t, func() { s.told(t, Outcome{Result: Waited}) })
		})
	case Healthy:
		if t.Policy.Forever && !s.closed && s.ctx.Err() == nil {
			s.guard(t)
			return
		}
		s.walking--
	default:
		s.walking--
	}
}

func (s *simulation) unlessEnded(t *Task, do func()) {
	if s.ctx.Err() != nil {
		s.told(t, ended(s.ctx))
		return
	}
	do()
}

// admit is Run's.
func (s *simulation) admit(t *Task) {
	s.waits[t.ID] = false
	s.unlessEnded(t, func() {
		switch verdict, known := s.verdict(t); {
		case !known:
			s.waits[t.ID] = true
			if in := s.refusedIn(t); in > 0 {
				s.later(in, t, func() { s.admit(t) })
			}
		case verdict.Result != Allowed:
			s.told(t, verdict)
		default:
			a := s.nth(t, s.pulls[t.ID])
			s.pulls[t.ID]++
			s.later(a.Pull, t, func() { s.pulledAs(t, a) })
		}
	})
}

func (s *simulation) pulledAs(t *Task, a Attempt) {
	if !a.NoImage.IsZero() {
		s.told(t, Outcome{Errored, a.NoImage})
		return
	}
	s.prepared(t, a.Pull)
	s.tickets[t.ID] = s.gate.queue(s.rank[t.ID], func() {
		s.later(0, t, func() {
			s.tickets[t.ID] = nil
			s.told(t, Outcome{Result: Allowed})
		})
	})
}

// begin is a start, which is whole also when the boot ends in the middle.
func (s *simulation) begin(t *Task) {
	a := s.nth(t, s.starts[t.ID])
	s.starts[t.ID]++
	s.later(a.Start, t, func() {
		s.gate.leave()
		switch {
		case a.NoStart.IsZero():
			s.runs[t.ID], s.at[t.ID] = s.now, instancesSince(t, s.now)
			s.told(t, Outcome{Result: Begun})
		case s.ctx.Err() != nil:
			s.told(t, ended(s.ctx))
		default:
			s.told(t, Outcome{Errored, a.NoStart})
		}
	})
}

func instancesSince(t *Task, now time.Time) (at []Instance) {
	for _, name := range t.Service.Existing {
		at = append(at, Instance{Container: name, StartedAt: now})
	}
	for _, c := range t.Service.Containers {
		at = append(at, Instance{Container: c.Name, Component: c.Component, StartedAt: now})
	}
	return at
}

// prove is a Prober: of what comes at the same time as the deadline, a proof
// goes first, then an exit.
func (s *simulation) prove(t *Task) {
	a, deadline := s.attempt(t), s.deadline(t)
	if !a.Unready.IsZero() {
		s.note(t, a.Unready)
	}
	s.unlessEnded(t, func() {
		at, o := deadline, Outcome{Late, a.Unready}
		switch since := s.runs[t.ID]; {
		case a.proves() && !since.Add(a.Ready).After(deadline):
			at, o = since.Add(a.Ready), Outcome{Result: Passed}
		case !a.proves() && a.Exits && !since.Add(a.Exit).After(deadline):
			at, o = since.Add(a.Exit), Outcome{Exited, a.Exited}
		}
		s.later(at.Sub(s.now), t, func() { s.told(t, o) })
	})
}

// guard is a Sentry, until all of the stage is ready.
func (s *simulation) guard(t *Task) {
	s.guarded = append(s.guarded, t)
	if a := s.attempt(t); a.Exits {
		s.later(s.runs[t.ID].Add(a.Exit).Sub(s.now), t, func() {
			s.guarded = slices.DeleteFunc(s.guarded, func(g *Task) bool { return g == t })
			s.told(t, Outcome{Exited, a.Fallen})
		})
	}
}

// interrupt ends the boot: all that waits is told at once, a start in flight
// when it is done.
func (s *simulation) interrupt(why error) {
	if s.ctx.Err() != nil {
		return
	}
	s.cancel(why)
	s.letBe()
	for _, t := range s.of.Tasks {
		switch s.look(t.ID).State {
		case Blocked, Probing, Backoff:
			if v := s.tickets[t.ID]; v != nil {
				s.tickets[t.ID] = nil
				s.gate.giveUp(v)
			}
			s.told(t, ended(s.ctx))
		}
	}
}

// stuck tells for whom the open stage waits for ever: whatever else can still
// happen is of services that can't come up any more. It is nil as long as
// there is hope.
func (s *simulation) stuck() (never []string) {
	hope := func(m moment) bool { return m.of != nil && s.valid(m) && !s.hopeless(m.of) }
	if slices.ContainsFunc(s.due, hope) || slices.ContainsFunc(s.queue, func(m *moment) bool { return hope(*m) }) {
		return nil
	}
	var others []string
	for _, t := range s.of.Tasks {
		switch hopeless := s.hopeless(t); {
		case s.tickets[t.ID] != nil && !hopeless:
			return nil
		case hopeless:
			never = append(never, t.Name)
		case !s.look(t.ID).State.Ready():
			others = append(others, t.Name)
		}
	}
	if never == nil {
		return others
	}
	return never
}

// hopeless reports whether no attempt of a task, from the present one on, can
// make it ready.
func (s *simulation) hopeless(t *Task) bool {
	state := s.look(t.ID).State
	if state.Settled() {
		return false
	}
	rest := func(n int) []Attempt {
		list := s.world.Attempts[t.ID]
		return list[max(min(n, len(list)-1), 0):]
	}
	runs := func(a Attempt) bool { return a.NoStart.IsZero() && a.proves() }
	if state == Starting || state == Probing {
		return !slices.ContainsFunc(rest(s.starts[t.ID]-1), runs)
	}
	return !slices.ContainsFunc(rest(s.starts[t.ID]), runs) ||
		!slices.ContainsFunc(rest(s.pulls[t.ID]-1), func(a Attempt) bool { return a.NoImage.IsZero() })
}

// moments is a heap, the next one on top.
type moments []*moment

func (h moments) Len() int { return len(h) }
func (h moments) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].number < h[j].number
}
func (h moments) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *moments) Push(x any)   { *h = append(*h, x.(*moment)) }
func (h *moments) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
