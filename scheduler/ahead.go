package scheduler

import (
	"context"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A start spends most of its time on what could have been done before: storage,
// network, mounts. While a boot waits for readiness, that is done ahead of the
// turn of those that come later, also behind barriers. Nothing of a task runs
// before its turn.
//
// It is no state of a task and no event: who was prepared only starts sooner.

// ahead is the part of a run that prepares.
type ahead struct {
	preparer Preparer // nil: nothing is prepared
	queue    []*Task  // all, in the order in which they start
	fast     *gate    // for starts of what was prepared, which have no need to queue with the rest

	mu    sync.Mutex
	next  int             // in the queue: the first that may still have to be prepared
	begun []bool          // by task ID: its turn has come
	done  []chan struct{} // by task ID: nil where nobody has begun to prepare it; closed afterwards
	ready []bool          // by task ID: it was prepared
	via   []*gate         // by task ID: through which gate its start has passed
	tried []bool          // by task ID: a start was called
}

func newAhead(queue []*Task, preparer Preparer, slots int, clock clock) ahead {
	n := len(queue)
	return ahead{preparer: preparer, queue: queue, fast: newGate(slots, clock), begun: make([]bool, n), done: make([]chan struct{}, n), ready: make([]bool, n), via: make([]*gate, n), tried: make([]bool, n)}
}

// prepareAhead prepares tasks in the order of the queue, until all have been or
// stop is called. It goes through the same gate as starts, behind all of them.
func (r *run) prepareAhead(ctx context.Context, workers int) (stop func()) {
	if r.ahead.preparer == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	for range workers {
		group.Go(func() error {
			for r.gate.enter(ctx, math.MaxInt) {
				more := r.prepareNext(ctx)
				r.gate.leave()
				if !more {
					break
				}
			}
			return nil
		})
	}
	return func() {
		cancel()
		_ = group.Wait()
		r.putBack(context.WithoutCancel(ctx))
	}
}

// prepareNext prepares the next task whose turn has not come, and reports
// whether there was one.
func (r *run) prepareNext(ctx context.Context) bool {
	t := r.ahead.take()
	if t == nil {
		return false
	}
	ok := r.ahead.preparer.Ahead(ctx, t)
	r.ahead.mu.Lock()
	r.ahead.ready[t.ID] = ok
	r.ahead.mu.Unlock()
	close(r.ahead.done[t.ID])
	return true
}

func (a *ahead) take() *Task {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.next < len(a.queue) {
		t := a.queue[a.next]
		a.next++
		if !a.begun[t.ID] {
			a.done[t.ID] = make(chan struct{})
			return t
		}
	}
	return nil
}

// turn is the gate for the start of a task. If it is being prepared, the end of
// that is waited for: a container can't be started in the middle of it.
func (r *run) turn(ctx context.Context, t *Task) *gate {
	a := &r.ahead
	a.mu.Lock()
	first := !a.begun[t.ID]
	a.begun[t.ID] = true
	done := a.done[t.ID]
	a.mu.Unlock()
	if done == nil || !first {
		return r.gate
	}
	select {
	case <-done:
	case <-ctx.Done():
		return r.gate // which lets nobody through any more
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ready[t.ID] {
		return a.fast
	}
	return r.gate
}

// start takes down that a task was started, or tried to be.
func (a *ahead) start(t *Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tried[t.ID] = true
}

// enter takes a slot for the start of a task, and leave gives it back.
func (r *run) enter(ctx context.Context, t *Task) bool {
	g := r.turn(ctx, t)
	r.ahead.mu.Lock()
	r.ahead.via[t.ID] = g
	r.ahead.mu.Unlock()
	return g.enter(ctx, r.rank[t.ID])
}

func (r *run) leave(t *Task) {
	r.ahead.mu.Lock()
	g := r.ahead.via[t.ID]
	r.ahead.mu.Unlock()
	if g == nil {
		g = r.gate
	}
	g.leave()
}

// putBackMost is how many are put back at a time; none of them waits for another.
const putBackMost = 4

// putBack undoes what was prepared and then never started, at the end of a boot
// that did not come to it.
func (r *run) putBack(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(putBackMost)
	for _, t := range r.plan.Tasks {
		if r.ahead.done[t.ID] != nil && !r.ahead.tried[t.ID] {
			group.Go(func() error {
				r.ahead.preparer.PutBack(ctx, t)
				return nil
			})
		}
	}
	_ = group.Wait()
}
