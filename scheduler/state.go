package scheduler

import (
	"fmt"
	"time"
)

// State is where a task stands. The states from healthy on are settled.
type State string

const (
	Pending   State = "pending"   // its stage is not open
	Blocked   State = "blocked"   // waits for a dependency, its image, or a start slot
	Starting  State = "starting"  // the runtime makes it run; a start slot is held only here
	Probing   State = "probing"   // it runs, not proven ready
	Backoff   State = "backoff"   // an attempt failed; the next one has its time
	Healthy   State = "healthy"   // ready: its health checks passed
	Completed State = "completed" // ready: a job that exited 0
	Degraded  State = "degraded"  // it runs, but was not proven ready in time
	Failed    State = "failed"    // it does not run
	Stopped   State = "stopped"   // somebody has stopped it after the boot, and it stays so until the next
	Skipped   State = "skipped"   // never started: something it depends on is not ready
	Canceled  State = "canceled"  // the boot ended before it settled
)

// States in the order of a boot, for those who list them.
var States = []State{Pending, Blocked, Starting, Probing, Backoff, Healthy, Completed, Degraded, Failed, Stopped, Skipped, Canceled}

// Ready reports whether dependents may start.
func (s State) Ready() bool { return s == Healthy || s == Completed }

// Settled reports whether the state is one to stay in: a boot ends with it, or
// somebody wants it so.
func (s State) Settled() bool {
	switch s {
	case Healthy, Completed, Degraded, Failed, Stopped, Skipped, Canceled:
		return true
	}
	return false
}

// Result is what the world, or the clock, or the graph answered.
type Result string

const (
	Opened  Result = "opened"  // the stage of a pending task opens
	Allowed Result = "allowed" // dependencies settled well, image there, slot taken
	Refused Result = "refused" // a dependency settled otherwise
	Begun   Result = "begun"   // the runtime made it run
	Errored Result = "errored" // the runtime could not make it run
	Passed  Result = "passed"  // proven ready
	Exited  Result = "exited"  // it does not run any more (for a job: it exited with a code other than 0)
	Late    Result = "late"    // it runs, and the deadline passed without proof
	Waited  Result = "waited"  // the time of the backoff is over
	Ended   Result = "ended"   // the boot was cancelled

	// Under supervision, after the boot.
	Resumed Result = "resumed" // supervision begins
	Unready Result = "unready" // it runs, and its health checks don't pass any more
	Renewed Result = "renewed" // something it depends on was started again, and is ready
	Halted  Result = "halted"  // somebody has stopped it, or paused it
)

// Results in the order above, for those who list them.
var Results = []Result{Opened, Allowed, Refused, Begun, Errored, Passed, Exited, Late, Waited, Ended, Resumed, Unready, Renewed, Halted}

// Outcome is a Result with what led to it.
type Outcome struct {
	Result Result
	Cause  Cause
}

// Status is all that the policy remembers of a task.
type Status struct {
	State   State
	Attempt int           // starts begun so far
	Delay   time.Duration // in backoff: how long until the next start
	Cause   Cause         // why it is where it is; zero on the way to ready
}

// Policy is all that next knows of a task.
type Policy struct {
	Job      bool
	Forever  bool // no limit of attempts: the foundation, and every stage that blocks
	Attempts int  // starts before a task counts as failed; 1 or more

	// Supervised is set after the boot: a service has no limit of attempts,
	// is started again when it is not ready for too long, and stays stopped
	// if somebody wants it so.
	Supervised bool
}

const (
	backoffFirst = time.Second
	backoffMost  = 30 * time.Second
)

// next is the whole policy of a service: where it stands, what the world
// answered, where it goes. It is pure: no clock, no goroutine, nothing
// written through a pointer. Run drives it, and a test enumerates it (which
// also draws docs/states.dot).
//
// A pair that cannot happen panics: it is a bug of the driver, and hiding it
// would let a service settle on nothing.
func next(p Policy, s Status, o Outcome) Status {
	if o.Result == Ended && !s.State.Settled() {
		return Status{State: Canceled, Attempt: s.Attempt, Cause: o.Cause}
	}
	if to, ok := supervised(p, s, o); ok {
		return to
	}
	switch s.State {
	case Pending:
		if o.Result == Opened {
			return Status{State: Blocked}
		}
	case Blocked:
		switch o.Result {
		case Allowed:
			return Status{State: Starting, Attempt: s.Attempt + 1}
		case Refused:
			return Status{State: Skipped, Attempt: s.Attempt, Cause: o.Cause}
		case Errored: // its image can't be had: as good as a failed start
			s.Attempt++
			return again(p, s, o)
		}
	case Starting:
		switch o.Result {
		case Begun:
			return Status{State: Probing, Attempt: s.Attempt}
		case Errored:
			return again(p, s, o)
		}
	case Probing:
		switch o.Result {
		case Passed:
			if p.Job {
				return Status{State: Completed, Attempt: s.Attempt}
			}
			return Status{State: Healthy, Attempt: s.Attempt}
		case Exited:
			return again(p, s, o)
		case Late:
			if p.Forever {
				// It runs. Starting it again would throw away what it has
				// done so far, so it is only warned about.
				return Status{State: Probing, Attempt: s.Attempt, Cause: o.Cause}
			}
			return Status{State: Degraded, Attempt: s.Attempt, Cause: o.Cause}
		}
	case Backoff:
		if o.Result == Waited {
			return Status{State: Blocked, Attempt: s.Attempt, Cause: s.Cause}
		}
	case Healthy: // until its stage is passed
		if o.Result == Exited {
			return again(p, s, o)
		}
	}
	panic(fmt.Sprintf("scheduler: a task that is %s can not be told %s", s.State, o.Result))
}

// supervised is what next knows of the time after the boot; all else is as in a
// boot.
func supervised(p Policy, s Status, o Outcome) (to Status, ok bool) {
	if !p.Supervised {
		return Status{}, false
	}
	goes := func(to State) (Status, bool) { return Status{State: to, Attempt: s.Attempt, Cause: o.Cause}, true }
	running := s.State == Healthy || s.State == Probing
	switch {
	case o.Result == Resumed && s.State == Degraded:
		return goes(Probing)
	case o.Result == Resumed && s.State == Skipped:
		return goes(Blocked)
	case o.Result == Resumed && s.State == Failed && !p.Job:
		// A job was tried as often as it may be, and has effects.
		return again(p, s, o), true
	case o.Result == Unready && s.State == Healthy:
		return goes(Probing)
	case o.Result == Late && s.State == Probing && p.Job:
		return goes(Probing) // it runs; to start it again would be another run
	case o.Result == Late && s.State == Probing:
		return again(p, s, o), true
	case o.Result == Renewed && running && !p.Job:
		return goes(Blocked)
	case o.Result == Halted && (running || s.State == Backoff || s.State == Blocked):
		return goes(Stopped)
	case o.Result == Begun && s.State == Stopped:
		return goes(Probing)
	}
	return Status{}, false
}

// again gives a task that does not run another attempt, or settles it.
func again(p Policy, s Status, o Outcome) Status {
	if p.Forever || p.Supervised && !p.Job || s.Attempt < p.Attempts {
		return Status{State: Backoff, Attempt: s.Attempt, Delay: backoff(s.Attempt), Cause: o.Cause}
	}
	return Status{State: Failed, Attempt: s.Attempt, Cause: o.Cause}
}

// backoff is 1 s after the first attempt, twice as long after each further
// one, 30 s at most. There is no jitter: starts of one host pass one gate, so
// there is no herd to spread, and a plan gives the same events every time.
func backoff(attempt int) time.Duration {
	if attempt > 5 {
		return backoffMost
	}
	return min(backoffFirst<<max(attempt-1, 0), backoffMost)
}
