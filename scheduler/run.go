package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bootgraph/config"
)

// World is all that a boot needs of the outside, and its supervision.
type World struct {
	Runtime  Runtime
	Prober   Prober
	Sentry   Sentry   // Run alone
	Preparer Preparer // Run alone; may be nil
	Keeper   Keeper   // Supervise alone
	Watcher  Watcher  // Supervise alone
}

// Options of a run.
type Options struct {
	Run         string          // ID of the run
	Parallelism int             // starts at a time; 1 or more
	Usual       time.Duration   // what earlier boots that started the same have taken; 0: not known. It is told, and decides nothing
	Took        []time.Duration // by task ID: what each usually takes from its start until it is ready; 0: not known. nil: of none
	Running     []string        // services that are to be left alone if they still run as described; told like Usual
	Sinks       []func(Event)   // each is called from one goroutine, in order

	seen int // how many events the run has had before
}

// Report is how a run came out.
type Report struct {
	Began   time.Time
	Outcome Ending
	Exit    int          // exit code: 0 ready, 1 aborted, 3 degraded, else of the Interrupt
	Status  []Status     // by task ID
	At      [][]Instance // by task ID: what it was started as; nil if it was not
	Events  int          // how many there were
}

// Whole is the report on a whole plan after a boot of a part of it. What took
// no part, or did not get its turn, stands as it did before; what there was no
// word of either was never begun.
func (p *Plan) Whole(part *Plan, now Report, before *Plan, was Report) Report {
	whole := now
	whole.Status, whole.At = make([]Status, len(p.Tasks)), make([][]Instance, len(p.Tasks))
	for i := range whole.Status {
		whole.Status[i] = Status{State: Canceled, Cause: Cause{Code: "not_selected", Text: "it has not been applied"}}
	}
	take := func(from *Plan, r Report) {
		for _, t := range from.Tasks {
			if to, err := p.Find(t.Name); err == nil && r.Status[t.ID].State != Canceled {
				whole.Status[to.ID], whole.At[to.ID] = r.Status[t.ID], r.At[t.ID]
			}
		}
	}
	take(before, was)
	take(part, now)
	return whole
}

// Interrupt is the cancellation cause (context.WithCancelCause) of a boot
// that was ended by a signal.
type Interrupt struct {
	Signal string // SIGINT
	Exit   int    // 130
}

func (i Interrupt) Error() string { return "interrupted by " + i.Signal }

// run is one boot. Its fields after mu are written by publish, note and
// nothing else; mu is never held while anything is waited for.
type run struct {
	plan  *Plan
	world World
	clock clock
	start time.Time
	gate  *gate
	ahead ahead
	log   *eventLog
	rank  []int           // by task ID: its place in the queue for starts
	heirs [][]int         // by task ID: who waits for it
	wake  []chan struct{} // by task ID: one token: something it waits for has moved

	mu      sync.Mutex
	status  []Status
	notes   []Cause         // why a probing task is not ready yet
	pulled  []time.Duration // what its image took, for this attempt
	queued  []time.Time     // since when it has waited for a slot
	told    []telling       // of its notes
	began   []time.Time     // of the present attempt
	due     []time.Time     // when it has had its time
	begun   []bool          // was made to run at least once
	gaveUp  []time.Time     // when it settled, if it is not ready
	at      [][]Instance    // what it runs as
	unready []int           // by stage: how many tasks are not ready, and may come to be
	passed  []func()        // by stage: called when there are none

	after *supervision // nil during a boot
}

// Run boots a plan: stage after stage, each as concurrent as its dependencies
// allow. It returns when every task has settled and every sink has taken
// every event. A service that fails is a result, not an error.
func Run(ctx context.Context, plan *Plan, world World, opt Options) Report {
	r := newRun(plan, world, opt, wall)
	stop := r.prepareAhead(ctx, opt.Parallelism)
	report := r.through(ctx, opt, func(i int) Ending { return r.stage(ctx, i) })
	stop()
	return report
}

// through goes from stage to stage, whoever drives them.
func (r *run) through(ctx context.Context, opt Options, stage func(i int) Ending) Report {
	names := make([]StageNames, len(r.plan.Stages))
	for i, st := range r.plan.Stages {
		names[i] = StageNames{Name: st.Name, Services: []string{}}
		for _, t := range st.Tasks {
			names[i].Services = append(names[i].Services, t.Name)
		}
	}
	r.add(Event{Type: RunStarted, Name: r.plan.Name, Stages: names, Edges: r.plan.edges(), Usual: opt.Usual, Running: opt.Running})
	outcome, why := EndReady, Cause{}
	for i := range r.plan.Stages {
		end := stage(i)
		if end != EndReady {
			outcome = EndDegraded
		}
		if end == EndFailed {
			outcome, why = r.cut(ctx, i)
			break
		}
	}
	report := Report{Began: r.start, Outcome: outcome, Exit: exitCode(ctx, outcome), Status: r.status, At: r.at}
	r.add(Event{Type: RunDone, Cause: why, Outcome: report.Outcome, Exit: report.Exit, Elapsed: r.since(r.start)})
	r.log.close()
	report.Events = r.log.seq
	return report
}

func newRun(plan *Plan, world World, opt Options, clock clock) *run {
	n := len(plan.Tasks)
	queue := plan.queue(opt.Took)
	r := &run{plan: plan, world: world, clock: clock, start: clock.now(), gate: newGate(opt.Parallelism, clock), rank: make([]int, n), ahead: newAhead(queue, world.Preparer, opt.Parallelism, clock), log: newEventLog(opt.Run, opt.seen, clock, opt.Sinks),
		heirs: make([][]int, n), wake: make([]chan struct{}, n),
		status: make([]Status, n), notes: make([]Cause, n), pulled: make([]time.Duration, n), queued: make([]time.Time, n), told: make([]telling, n), began: make([]time.Time, n), due: make([]time.Time, n), begun: make([]bool, n), gaveUp: make([]time.Time, n),
		at: make([][]Instance, n), unready: make([]int, len(plan.Stages)), passed: make([]func(), len(plan.Stages))}
	for rank, t := range queue {
		r.rank[t.ID] = rank
	}
	for _, t := range plan.Tasks {
		r.status[t.ID] = Status{State: Pending}
		r.wake[t.ID] = make(chan struct{}, 1)
		r.unready[t.Stage]++
		for _, list := range [][]int{t.DependsOn, t.Wants, t.After} {
			for _, d := range list {
				r.heirs[d] = append(r.heirs[d], t.ID)
			}
		}
	}
	return r
}

// stage boots one stage. The errgroup's Wait is the barrier; what was ready
// and has fallen by then is walked again.
func (r *run) stage(ctx context.Context, i int) Ending {
	st, start := &r.plan.Stages[i], r.clock.now()
	open, passed := context.WithCancel(ctx) // ends when all of the stage is ready that can be
	defer passed()
	r.open(i, passed)
	stopNagging := r.nag(ctx, st)
	for todo := st.Tasks; len(todo) > 0; todo = r.fallen(ctx, st) {
		var barrier errgroup.Group
		for _, t := range todo {
			barrier.Go(func() error {
				r.walk(ctx, open, t)
				return nil
			})
		}
		barrier.Wait() // no task returns an error: a failure is a result
	}
	stopNagging()
	return r.shut(ctx, st, start)
}

// open begins a stage. All of it is blocked before any of it moves, so that
// the log always begins the same way.
func (r *run) open(i int, passed func()) {
	st := &r.plan.Stages[i]
	r.add(Event{Type: StageStarted, Stage: st.Name})
	r.mu.Lock()
	r.passed[i] = passed
	r.mu.Unlock()
	for _, t := range st.Tasks {
		r.publish(t, next(t.Policy, r.look(t.ID), Outcome{Result: Opened}))
	}
}

func (r *run) shut(ctx context.Context, st *Stage, start time.Time) Ending {
	end := r.ending(ctx, st)
	r.add(Event{Type: StageDone, Stage: st.Name, Outcome: end, Elapsed: r.since(start)})
	return end
}

// walk takes one task from where it stands to where it settles. Where the
// policy knows no limit of attempts, a ready task is kept ready until the
// whole stage is: one service of the foundation may need another that has
// crashed in the meantime.
func (r *run) walk(ctx, open context.Context, t *Task) {
	for s := r.look(t.ID); !s.State.Settled() || s.State == Healthy && t.Policy.Forever && open.Err() == nil; {
		o := r.do(ctx, open, t, s)
		if o == (Outcome{}) {
			return // guarded until the stage was passed
		}
		s = r.publish(t, next(t.Policy, s, o))
	}
}

// do is the only place where a task has an effect on the world: its state
// says what is to be done, the answer is the outcome.
func (r *run) do(ctx, open context.Context, t *Task, s Status) Outcome {
	switch s.State {
	case Blocked:
		return r.admit(ctx, t)
	case Starting:
		defer r.leave(t)
		r.ahead.start(t)
		at, err := r.world.Runtime.Start(ctx, t)
		if err != nil {
			return failure(ctx, err)
		}
		r.mu.Lock()
		r.at[t.ID] = at
		r.mu.Unlock()
		return Outcome{Result: Begun}
	case Probing:
		o := r.world.Prober.Await(ctx, t, r.instances(t), r.deadline(t), func(c Cause) { r.note(t, c) })
		if ctx.Err() != nil {
			return ended(ctx)
		}
		return o
	case Backoff:
		timer := time.NewTimer(s.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			return Outcome{Result: Waited}
		case <-ctx.Done():
			return ended(ctx)
		}
	case Healthy:
		if why := r.world.Sentry.Guard(open, t, r.instances(t)); !why.IsZero() && ctx.Err() == nil {
			return Outcome{Result: Exited, Cause: why}
		}
		return Outcome{}
	}
	panic("scheduler: nothing to do for a task that is " + string(s.State))
}

// admit waits for what a task waits for, has its image fetched, and takes a
// slot for its start. None of the waiting holds anything.
func (r *run) admit(ctx context.Context, t *Task) Outcome {
	if o := r.waitForDependencies(ctx, t); o.Result != Allowed {
		return o
	}
	start := time.Now()
	if err := r.world.Runtime.Prepare(ctx, t); err != nil {
		return failure(ctx, err)
	}
	r.prepared(t, time.Since(start))
	if !r.enter(ctx, t) {
		return ended(ctx)
	}
	return Outcome{Result: Allowed}
}

func (r *run) waitForDependencies(ctx context.Context, t *Task) Outcome {
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		r.mu.Lock()
		verdict, known := r.verdict(t)
		in := r.refusedIn(t)
		r.mu.Unlock()
		if known {
			return verdict
		}
		var soon <-chan time.Time
		if in > 0 {
			soon = time.After(in)
		}
		select {
		case <-r.wake[t.ID]: // only a hint: the verdict is read from the status
		case <-soon:
		case <-ctx.Done():
		}
	}
}

// verdict tells whether a task may start (Allowed), will never (Refused), or
// can't be told yet. The caller holds mu.
func (r *run) verdict(t *Task) (o Outcome, known bool) {
	if r.after != nil {
		return Outcome{Result: Allowed}, len(r.after.holders(t)) == 0
	}
	if d, _ := r.givenUp(t); d != nil {
		return Outcome{Result: Refused, Cause: inherited(d, r.status[d.ID])}, r.refusedIn(t) == 0
	}
	wait := slices.ContainsFunc(t.DependsOn, func(d int) bool { return !r.status[d].State.Ready() })
	for _, d := range t.Wants {
		wait = wait || !r.status[d].State.Settled()
	}
	for _, d := range t.After {
		wait = wait || !r.begun[d] && !r.status[d].State.Settled()
	}
	return Outcome{Result: Allowed}, !wait
}

// refusedIn is after what time it is known for what a task is refused; 0 if it
// is known, or it isn't refused. The caller holds mu.
func (r *run) refusedIn(t *Task) time.Duration {
	d, first := r.givenUp(t)
	if d == nil {
		return 0
	}
	return max(gateTick-r.since(first), 0)
}

// givenUp is the dependency that a task is refused for: of those that settled
// first, within a tick, the one that its depends_on has first. Without the tick
// it was up to how goroutines are woken. The caller holds mu.
func (r *run) givenUp(t *Task) (which *Task, first time.Time) {
	for _, d := range t.DependsOn {
		if at := r.gaveUp[d]; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for _, d := range t.DependsOn {
		if at := r.gaveUp[d]; !at.IsZero() && at.Before(first.Add(gateTick)) {
			return r.plan.Tasks[d], first
		}
	}
	return nil, first
}

// inherited is the cause of a task that is skipped because of another, with
// the one where it all began.
func inherited(dependency *Task, s Status) Cause {
	if s.Cause.Root != "" {
		return Cause{Code: "dependency", Root: s.Cause.Root, Text: fmt.Sprintf("needs %s, which %s", dependency.Name, s.Cause.Text)}
	}
	return Cause{Code: "dependency", Root: dependency.Name, Text: fmt.Sprintf("needs %s, which %s: %s", dependency.Name, was(s.State), s.Cause.Text)}
}

func was(s State) string {
	switch s {
	case Degraded:
		return "is not ready"
	case Canceled:
		return "was canceled"
	}
	return string(s) // failed
}

// publish is the only writer of a task's status. It wakes whoever waits for
// the task, and adds the move to the log.
func (r *run) publish(t *Task, to Status) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.status[t.ID]
	if to.State == Starting {
		// A dependency may have fallen while the image came or no slot was
		// free. To look and to move is one step, or it could fall in between.
		if verdict, known := r.verdict(t); !known || verdict.Result != Allowed {
			r.leave(t)
			return from
		}
	}
	if r.after != nil {
		to = r.after.moving(t, from, to)
	}
	r.status[t.ID] = to
	if from.State == to.State {
		// Late, under a policy without limit: it has another timeout.
		r.notes[t.ID], r.due[t.ID] = to.Cause, r.clock.now().Add(t.Timeout)
		return to
	}
	e := Event{Type: ServiceMoved, Stage: r.plan.Stages[t.Stage].Name, Service: t.Name, From: from.State, To: to.State,
		Attempt: to.Attempt, Cause: to.Cause, Delay: to.Delay}
	switch to.State {
	case Starting:
		// Its clock starts here: neither a dependency nor its image nor the
		// queue for a slot has eaten any of its time.
		r.began[t.ID], r.notes[t.ID] = r.clock.now(), Cause{}
		e.Pulled, e.Queued, e.Timeout = r.pulled[t.ID], r.since(r.queued[t.ID]), patience(t, to)
		r.due[t.ID] = r.began[t.ID].Add(e.Timeout)
		r.told[t.ID] = telling{}
	case Probing:
		r.begun[t.ID], e.At, e.Kept = true, r.at[t.ID], from.State != Starting || r.kept(t.ID)
	}
	if !r.began[t.ID].IsZero() && from.State != Backoff {
		e.Elapsed = r.since(r.began[t.ID])
	}
	if to.State.Settled() && !to.State.Ready() {
		r.gaveUp[t.ID] = r.clock.now()
	}
	r.count(t.Stage, from.State, to.State)
	r.log.add(e)
	for _, heir := range r.heirs[t.ID] {
		signal(r.wake[heir])
	}
	if r.after != nil {
		r.after.wakeBlocked()
	}
	return to
}

// signal leaves a token in a channel that has room for one: who finds it
// looks for itself.
func signal(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default: // there is one already
	}
}

// kept reports whether all that a task runs as was there before the boot. The
// caller holds mu.
func (r *run) kept(id int) bool {
	for _, at := range r.at[id] {
		if !at.StartedAt.Before(r.start) {
			return false
		}
	}
	return len(r.at[id]) > 0
}

// count keeps the number of tasks of a stage that are not ready and may come to
// be. Those that were skipped don't count, even where the stage blocks: nobody
// tries what they need, so to wait for them is to wait for ever. The caller
// holds mu.
func (r *run) count(stage int, from, to State) {
	if from.Ready() {
		r.unready[stage]++
	}
	if to.Ready() || to == Skipped {
		r.unready[stage]--
	}
	if r.unready[stage] == 0 {
		r.passed[stage]()
	}
}

// fallen looks at the barrier whether all that was ready still is, and
// returns the tasks that have to be walked again. When it can't look, a stage
// that blocks asks again for as long as it takes; another goes on.
func (r *run) fallen(ctx context.Context, st *Stage) []*Task {
	ready := r.ready(st)
	if len(ready) == 0 || ctx.Err() != nil {
		return nil
	}
	causes, err := r.world.Sentry.Fallen(ctx, ready)
	for attempt := 1; err != nil && st.OnFailure == config.Block; attempt++ {
		select {
		case <-time.After(backoff(attempt)):
			causes, err = r.world.Sentry.Fallen(ctx, ready)
		case <-ctx.Done():
			return nil
		}
	}
	return r.fell(ready, causes)
}

func (r *run) ready(st *Stage) (ready []Ready) {
	for _, t := range st.Tasks {
		if r.look(t.ID).State == Healthy {
			ready = append(ready, Ready{t, r.instances(t)})
		}
	}
	return ready
}

// fell takes those that have fallen out of those that were ready, and returns
// who is to be walked again.
func (r *run) fell(ready []Ready, causes map[int]Cause) (again []*Task) {
	for _, v := range ready {
		if why, ok := causes[v.Task.ID]; ok {
			s := r.publish(v.Task, next(v.Task.Policy, r.look(v.Task.ID), Outcome{Exited, why}))
			if !s.State.Settled() {
				again = append(again, v.Task)
			}
		}
	}
	return again
}

// nag tells every timeout of a stage that blocks what it still waits for.
func (r *run) nag(ctx context.Context, st *Stage) (stop func()) {
	if st.OnFailure != config.Block {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		start, tick := time.Now(), time.NewTicker(st.Timeout)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				r.complain(st, start)
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func (r *run) complain(st *Stage, start time.Time) {
	if waiting := r.waiting(st); len(waiting) > 0 {
		r.add(Event{Type: StillBlocked, Stage: st.Name, Waiting: waiting, Elapsed: r.since(start)})
	}
}

func (r *run) waiting(st *Stage) []Waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Waiting
	for _, t := range st.Tasks {
		if s := r.status[t.ID]; !s.State.Ready() && s.State != Skipped {
			cause := s.Cause
			switch {
			case s.State == Probing && !r.notes[t.ID].IsZero():
				cause = r.notes[t.ID]
			case s.State == Blocked:
				cause = r.blocker(t, cause)
			}
			list = append(list, Waiting{t.Name, s.State, s.Attempt, cause})
		}
	}
	return list
}

// blocker names what a blocked task waits for. The caller holds mu.
func (r *run) blocker(t *Task, otherwise Cause) Cause {
	var names []string
	for _, d := range slices.Concat(t.DependsOn, t.Wants) {
		if !r.status[d].State.Settled() {
			names = append(names, r.plan.Tasks[d].Name)
		}
	}
	for _, d := range t.After {
		if !r.begun[d] && !r.status[d].State.Settled() {
			names = append(names, r.plan.Tasks[d].Name)
		}
	}
	if len(names) == 0 {
		return otherwise // its image, or a slot
	}
	return Cause{Code: "waiting", Text: "waits for " + strings.Join(names, ", ")}
}

// ending is how a stage came out. One that blocks is never passed without one
// of its tasks, so it ends the boot if it was skipped. To try again what an
// earlier stage has given up was the other road: but that is said to have had
// its attempts, and a job has effects.
func (r *run) ending(ctx context.Context, st *Stage) Ending {
	for _, t := range st.Tasks {
		switch s := r.look(t.ID); {
		case s.State == Canceled:
			return EndFailed
		case !s.State.Ready() && st.OnFailure != config.Continue:
			return EndFailed
		}
	}
	if ctx.Err() != nil {
		return EndFailed
	}
	for _, t := range st.Tasks {
		if !r.look(t.ID).State.Ready() {
			return EndDegraded
		}
	}
	return EndReady
}

// cut ends a boot at a stage: what has not begun is canceled.
func (r *run) cut(ctx context.Context, stage int) (outcome Ending, why Cause) {
	outcome, why = EndAborted, r.impassable(&r.plan.Stages[stage])
	if ctx.Err() != nil {
		outcome, why = EndInterrupted, ended(ctx).Cause
	}
	for _, st := range r.plan.Stages[stage+1:] {
		for _, t := range st.Tasks {
			r.publish(t, next(t.Policy, r.look(t.ID), Outcome{Ended, why}))
		}
	}
	return outcome, why
}

// impassable says why no stage comes after this one.
func (r *run) impassable(st *Stage) Cause {
	for _, t := range st.Tasks {
		if s := r.look(t.ID); s.State == Skipped && st.OnFailure == config.Block {
			return Cause{Code: "aborted", Root: s.Cause.Root, Text: fmt.Sprintf("stage %s blocks, and can't be passed: %s %s (its stage went on without it, so nobody tries %s again)",
				st.Name, t.Name, s.Cause.Text, s.Cause.Root)}
		}
	}
	return Cause{Code: "aborted", Text: fmt.Sprintf("stage %s has on_failure = \"abort\" and was not ready", st.Name)}
}

func (r *run) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.add(e)
}

func (r *run) since(t time.Time) time.Duration { return r.clock.now().Sub(t) }

func (r *run) look(id int) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status[id]
}

// telling is what has been told of the notes of an attempt.
type telling struct {
	last  string
	next  time.Time // not before
	pause time.Duration
}

// Of a service that is not ready for long, a probe says why again and again.
const (
	tellFirst = 250 * time.Millisecond
	tellMost  = time.Minute
)

// note takes down why a task is not ready yet. It is an event only now and
// then: the first at once, others the more seldom the more there have been, so
// that a boot that blocks for a week has a journal that can be read.
func (r *run) note(t *Task, why Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes[t.ID] = why
	told, now := &r.told[t.ID], r.clock.now()
	if why.Text == told.last || now.Before(told.next) {
		return
	}
	told.pause = min(max(2*told.pause, tellFirst), tellMost)
	told.last, told.next = why.Text, now.Add(told.pause)
	r.log.add(Event{Type: ServiceNoted, Stage: r.plan.Stages[t.Stage].Name, Service: t.Name, Attempt: r.status[t.ID].Attempt, Cause: why})
}

func (r *run) prepared(t *Task, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulled[t.ID], r.queued[t.ID] = took, r.clock.now()
}

func (r *run) instances(t *Task) []Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[t.ID]
}

func (r *run) deadline(t *Task) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.due[t.ID]
}

// failure is the outcome of a call that went wrong. Only our own context is
// asked whether it was cancelled: a context.Canceled out of a runtime may be
// anybody's.
func failure(ctx context.Context, err error) Outcome {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return Outcome{Errored, CauseOf(err)}
}

func ended(ctx context.Context) Outcome {
	return Outcome{Ended, Cause{Code: "canceled", Text: context.Cause(ctx).Error()}}
}

// CauseOf is what an error says, with its code if it is Coded.
func CauseOf(err error) Cause {
	code := "error"
	var coded Coded
	if errors.As(err, &coded) {
		code = coded.Code()
	}
	return Cause{Code: code, Text: err.Error()}
}

func exitCode(ctx context.Context, outcome Ending) int {
	switch outcome {
	case EndReady:
		return 0
	case EndDegraded:
		return 3
	case EndInterrupted:
		var signal Interrupt
		if errors.As(context.Cause(ctx), &signal) {
			return signal.Exit
		}
	}
	return 1
}
