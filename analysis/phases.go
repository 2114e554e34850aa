package analysis

import (
	"time"

	"bootgraph/scheduler"
)

// move is a service that went to a state.
type move struct {
	at             time.Duration
	to             scheduler.State
	pulled, queued time.Duration
}

// reader makes a Boot of its events.
type reader struct {
	*Boot
	moves [][]move // by service
}

func (r *reader) add(e scheduler.Event) {
	at := e.Time.Sub(r.Began)
	switch e.Type {
	case scheduler.StageStarted, scheduler.StageDone:
		for i := range r.Stages {
			if st := &r.Stages[i]; st.Name == e.Stage && e.Type == scheduler.StageStarted {
				st.Opened, st.Reached = at, true
			} else if st.Name == e.Stage {
				st.Closed, st.Done = at, true
			}
		}
	case scheduler.ServiceMoved:
		i := r.Find(e.Service)
		if i < 0 {
			return
		}
		s := &r.Services[i]
		if s.State.Ready() && !e.To.Ready() {
			s.Falls++
		}
		s.State, s.Attempts, s.Cause = e.To, e.Attempt, e.Cause
		if e.To == scheduler.Probing {
			s.Kept, s.Started = e.Kept, e.At
		}
		r.moves[i] = append(r.moves[i], move{at, e.To, e.Pulled, e.Queued})
	}
}

// phases turns the moves of a service into phases. Those of the services it
// waits for have been read too: all events have.
func (r *reader) phases(i int) {
	s := &r.Services[i]
	state, since := scheduler.Pending, time.Duration(0)
	for _, m := range append(r.moves[i], move{at: r.Took}) {
		r.leave(i, state, since, m)
		state, since = m.to, m.at
	}
	if len(s.Phases) == 0 { // a boot of no time at all
		s.Phases = []Phase{{Kind: Pending, For: -1}}
	}
}

// leave adds what a service did in a state, up to a move.
func (r *reader) leave(i int, state scheduler.State, from time.Duration, m move) {
	s := &r.Services[i]
	add := func(k Kind, to time.Duration) {
		if to > from {
			s.Phases = append(s.Phases, Phase{Kind: k, From: from, To: to, For: -1})
			from = to
		}
	}
	switch state {
	case scheduler.Pending:
		add(Pending, m.at)
		if slowest, at := r.slowestBefore(s.Stage, m.at); slowest >= 0 && len(s.Phases) > 0 {
			p := &s.Phases[0]
			p.For, p.Let, p.Via = slowest, at, ViaStage
		}
	case scheduler.Blocked:
		r.blocked(i, from, m, add)
	case scheduler.Starting:
		add(Starting, m.at)
	case scheduler.Probing:
		add(Probing, m.at)
	case scheduler.Backoff:
		add(Backoff, m.at)
	case scheduler.Healthy, scheduler.Completed:
		add(Ready, m.at)
	default:
		add(Ended, m.at)
	}
	if m.to.Settled() && m.at == r.Took {
		k := Ended
		if m.to.Ready() {
			k = Ready
		}
		s.Phases = append(s.Phases, Phase{Kind: k, From: m.at, To: m.at, For: -1})
	}
}

// blocked divides the time in which a service was not allowed to start: it
// waited for others, then its images came, then it queued for a slot. How long
// the last two took, the start tells; where there was none, an image that did
// not come took what is left.
func (r *reader) blocked(i int, from time.Duration, m move, add func(Kind, time.Duration)) {
	s := &r.Services[i]
	released, by := r.release(s, m.at)
	waited := max(from, released)
	switch m.to {
	case scheduler.Starting:
		waited = min(max(waited, m.at-m.queued-m.pulled), m.at)
	case scheduler.Skipped, scheduler.Canceled, "":
		waited = m.at
	}
	before := len(s.Phases)
	add(Waiting, waited)
	if len(s.Phases) > before && released > from {
		p := &s.Phases[before]
		p.For, p.Via, p.Let = by.For, by.Kind, released
	}
	if m.to == scheduler.Starting {
		add(Pulling, max(waited, m.at-m.queued))
		add(Queued, m.at)
	} else {
		add(Pulling, m.at)
	}
}

// release is when the last of those that a service waits for let it go, as of a
// time, and which that was.
func (r *reader) release(s *Service, until time.Duration) (at time.Duration, by Wait) {
	by.For = -1
	for _, w := range s.Waits {
		if t, ok := r.let(w, until); ok && (by.For < 0 || t > at) {
			at, by = t, w
		}
	}
	return at, by
}

// let is when a service last let go who waits for it, as of a time.
func (r *reader) let(w Wait, until time.Duration) (at time.Duration, ok bool) {
	was := scheduler.Pending
	for _, m := range r.moves[w.For] {
		if m.at > until {
			break
		}
		switch {
		case w.Kind == "after" && !ok: // once it has begun, it has begun
			if m.to == scheduler.Probing || m.to.Settled() {
				at, ok = m.at, true
			}
		case w.Kind != "after" && m.to.Settled() && !was.Settled():
			at, ok = m.at, true
		}
		was = m.to
	}
	return at, ok
}

// slowestBefore is the service that held a barrier the longest: the last of
// the stages before to settle. -1: there was none.
func (r *reader) slowestBefore(stage int, until time.Duration) (slowest int, at time.Duration) {
	slowest = -1
	for i := range r.Services {
		if r.Services[i].Stage >= stage {
			break
		}
		if t, ok := r.let(Wait{For: i}, until); ok && t >= at {
			slowest, at = i, t
		}
	}
	return slowest, at
}
