package page

import (
	"time"

	"bootgraph/scheduler"
)

// board is the fold over all events.
type board struct {
	plan     *scheduler.Plan
	said     string
	version  uint64 // grows with every change
	planned  uint64 // the version in which the plan came
	services []*service
	byName   map[string]*service
	stages   []stage // as the plan has them

	run      string
	usual    time.Duration // what the last boot was to take; 0: not known
	began    time.Time     // of the last boot; zero: there was none yet
	ended    time.Time     // zero: it goes on
	outcome  scheduler.Ending
	outcomes map[scheduler.Ending]int // of all boots
}

// Stand is where a service stands.
type Stand struct {
	State   scheduler.State
	Since   time.Time // zero: from the beginning
	Attempt int
	Cause   scheduler.Cause
}

type service struct {
	Stand
	task     *scheduler.Task
	version  uint64        // the last that changed it
	until    time.Time     // of its timeout or backoff; zero: none
	took     time.Duration // from its last start to ready; 0: it never was
	ran      bool          // at any time
	restarts int
	probes   probes
	spans    []span // of the last boot
}

// probes are those of a service since the agent began.
type probes struct {
	count int
	took  time.Duration // all together
}

type stage struct {
	began, ended time.Time // in the last boot; zero: not yet
	outcome      scheduler.Ending
}

// phase is what a time of a service was spent with.
type phase string

const (
	waiting  phase = "waiting"
	pulling  phase = "pulling"
	queued   phase = "queued"
	starting phase = "starting"
	probing  phase = "probing"
	backoff  phase = "backoff"
	ready    phase = "ready"
	unready  phase = "unready"
)

// span is a phase of a service; to is zero while it goes on.
type span struct {
	phase    phase
	from, to time.Time
}

// spansMost are kept of a service: one under a stage that blocks may fall and
// start for days.
const spansMost = 200

func newBoard() board {
	return board{byName: map[string]*service{}, outcomes: map[scheduler.Ending]int{}}
}

func (b *board) expect(plan *scheduler.Plan) {
	b.version++
	b.plan, b.planned = plan, b.version
	before := b.byName
	b.services, b.byName = nil, map[string]*service{}
	for _, t := range plan.Tasks {
		s := before[t.Name]
		if s == nil {
			s = &service{Stand: Stand{State: scheduler.Pending}}
		}
		s.task, s.version = t, b.version
		b.services = append(b.services, s)
		b.byName[t.Name] = s
	}
	b.stages = make([]stage, len(plan.Stages))
}

func (b *board) booting() bool { return !b.began.IsZero() && b.ended.IsZero() }

func (b *board) add(e scheduler.Event) {
	b.version++
	switch e.Type {
	case scheduler.RunStarted:
		b.begin(e)
	case scheduler.StageStarted:
		b.stage(e.Stage).began = e.Time
	case scheduler.StageDone:
		st := b.stage(e.Stage)
		st.ended, st.outcome = e.Time, e.Outcome
	case scheduler.ServiceMoved:
		if s := b.byName[e.Service]; s != nil {
			s.version = b.version
			if b.booting() {
				s.draw(e)
			}
			s.move(e)
		}
	case scheduler.ServiceNoted:
		b.note(e.Service, e.Cause)
	case scheduler.StillBlocked:
		for _, v := range e.Waiting {
			b.note(v.Service, v.Cause)
		}
	case scheduler.RunDone:
		b.end(e)
	}
}

// begin is a new timeline. Those who take no part stay as they are.
func (b *board) begin(e scheduler.Event) {
	b.run, b.usual, b.began, b.ended, b.outcome = e.Run, e.Usual, e.Time, time.Time{}, ""
	clear(b.stages)
	for _, s := range b.services {
		s.version, s.spans = b.version, nil
	}
	for _, st := range e.Stages {
		for _, name := range st.Services {
			if s := b.byName[name]; s != nil {
				s.Stand, s.until, s.took = Stand{State: scheduler.Pending, Since: e.Time}, time.Time{}, 0
				s.spans = []span{{phase: waiting, from: e.Time}}
			}
		}
	}
}

func (b *board) end(e scheduler.Event) {
	b.ended, b.outcome = e.Time, e.Outcome
	b.outcomes[e.Outcome]++
	for _, s := range b.services {
		s.close(e.Time)
		s.version = b.version
	}
}

// stage is that of a name; one that the plan doesn't have is nobody's.
func (b *board) stage(name string) *stage {
	for i, st := range b.plan.Stages {
		if st.Name == name {
			return &b.stages[i]
		}
	}
	return &stage{}
}

func (b *board) note(name string, why scheduler.Cause) {
	if s := b.byName[name]; s != nil {
		s.Cause, s.version = why, b.version
	}
}

func (s *service) move(e scheduler.Event) {
	s.Stand = Stand{State: e.To, Since: e.Time, Attempt: e.Attempt, Cause: e.Cause}
	switch {
	case e.To == scheduler.Starting:
		s.until = e.Time.Add(e.Timeout)
	case e.To == scheduler.Backoff:
		s.until = e.Time.Add(e.Delay)
	case e.To == scheduler.Probing: // its timeout goes on
		if s.ran && !e.Kept {
			s.restarts++
		}
		s.ran = true
	default:
		s.until = time.Time{}
	}
	if e.To.Ready() {
		s.took = e.Elapsed
	}
}

var phases = map[scheduler.State]phase{
	scheduler.Pending: waiting, scheduler.Blocked: waiting, scheduler.Starting: starting, scheduler.Probing: probing, scheduler.Backoff: backoff,
	scheduler.Healthy: ready, scheduler.Completed: ready, scheduler.Degraded: unready, scheduler.Failed: unready, scheduler.Stopped: unready, scheduler.Skipped: unready, scheduler.Canceled: unready,
}

// draw goes on with the timeline. That a service was waiting for its image, and
// then for a slot, is only known when it starts.
func (s *service) draw(e scheduler.Event) {
	s.close(e.Time)
	if last := len(s.spans) - 1; e.To == scheduler.Starting && last >= 0 && s.spans[last].phase == waiting {
		waited := s.spans[last]
		slot := later(e.Time.Add(-e.Queued), waited.from)
		pull := later(slot.Add(-e.Pulled), waited.from)
		s.spans = s.spans[:last]
		s.put(waiting, waited.from, pull)
		s.put(pulling, pull, slot)
		s.put(queued, slot, e.Time)
	}
	if last := len(s.spans) - 1; last >= 0 && s.spans[last].phase == phases[e.To] {
		s.spans[last].to = time.Time{} // pending, then blocked: it waits
		return
	}
	s.spans = append(s.spans, span{phase: phases[e.To], from: e.Time})
	if more := len(s.spans) - spansMost; more > 0 {
		s.spans = append([]span{}, s.spans[more:]...)
	}
}

// put adds what can be seen.
func (s *service) put(what phase, from, to time.Time) {
	if to.Sub(from) >= time.Millisecond {
		s.spans = append(s.spans, span{what, from, to})
	}
}

func (s *service) close(at time.Time) {
	if last := len(s.spans) - 1; last >= 0 && s.spans[last].to.IsZero() {
		s.spans[last].to = at
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
