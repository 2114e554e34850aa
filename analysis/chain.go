package analysis

import (
	"slices"
	"time"

	"bootgraph/scheduler"
)

// Link is a service of the critical chain.
type Link struct {
	Service int
	From    time.Duration // the one before it in the chain let it go; 0 for the first
	At      time.Duration // it let the next one go, or came to where it stayed
	Via     string        // what the one before is to it; "" for the first
}

// Took is what the service added to the length of the boot.
func (l Link) Took() time.Duration { return l.At - l.From }

// CriticalChain is what made the boot as long as it was: the service that
// settled last, then the one that was last to let that go, and so on back to
// the beginning. The links follow each other without gaps, so they add up to
// the boot but for what came after the last one settled.
func (b *Boot) CriticalChain() (chain []Link) {
	i := b.last()
	for at := time.Duration(0); i >= 0; {
		if len(chain) == 0 {
			at = b.Services[i].Settled()
		}
		l := Link{Service: i, At: at}
		i = -1
		for _, p := range slices.Backward(b.Services[l.Service].Phases) {
			if p.For >= 0 && p.From < at {
				i, l.From, l.Via = p.For, p.Let, p.Via
				break
			}
		}
		chain = append(chain, l)
		at = l.From
	}
	return chain
}

// last is the service that settled last, of those that had their turn.
func (b *Boot) last() int {
	last := -1
	for i := range b.Services {
		s := &b.Services[i]
		if b.Stages[s.Stage].Reached && (last < 0 || s.Settled() >= b.Services[last].Settled()) {
			last = i
		}
	}
	return last
}

// model is the boot as a network: each service takes its time from when all it
// waits for has let it go. It answers what would have been, all else alike.
type model struct {
	*Boot
	settled []time.Duration
	own     []time.Duration
	head    []time.Duration // from where a service let go who comes after it until it settled
	waits   [][]Wait        // those that held a service: who is skipped does not wait for the rest
}

func (b *Boot) model() *model {
	n := len(b.Services)
	m := &model{b, make([]time.Duration, n), make([]time.Duration, n), make([]time.Duration, n), make([][]Wait, n)}
	for i := range b.Services {
		m.settled[i] = b.Services[i].Settled()
		m.head[i] = m.settled[i] - b.Services[i].begun()
	}
	for i := range b.Services {
		for _, w := range b.Services[i].Waits {
			if m.let(w, m.settled) <= m.settled[i] {
				m.waits[i] = append(m.waits[i], w)
			}
		}
		m.own[i] = max(0, m.settled[i]-m.goes(i, m.settled, -1))
	}
	return m
}

// begun is when those that come after a service need not wait any more.
func (s *Service) begun() time.Duration {
	for _, p := range s.Phases {
		if p.Kind == Probing || p.Kind == Ready || p.Kind == Ended {
			return p.From
		}
	}
	return s.Settled()
}

// let is when a service lets go who waits for it, with all settled when they are.
func (m *model) let(w Wait, settled []time.Duration) time.Duration {
	if w.Kind == "after" {
		return settled[w.For] - m.head[w.For]
	}
	return settled[w.For]
}

// goes is when a service may go, with the others settled when they are. It
// does not wait for the stage before its own if open is its stage.
func (m *model) goes(i int, settled []time.Duration, open int) (at time.Duration) {
	s := &m.Services[i]
	for _, w := range m.waits[i] {
		at = max(at, m.let(w, settled))
	}
	first := s.Stage
	if open == s.Stage {
		first--
	}
	return max(at, latest(m.Stages[:max(first, 0)], settled))
}

func latest(stages []Stage, settled []time.Duration) (at time.Duration) {
	for _, st := range stages {
		for _, i := range st.Services {
			at = max(at, settled[i])
		}
	}
	return at
}

// without is how long the boot is if a stage does not wait for the one before
// it. -1: if all do.
func (m *model) without(stage int) time.Duration {
	settled := make([]time.Duration, len(m.Services))
	for i := range m.Services { // in plan order: whom it waits for comes before
		settled[i] = m.goes(i, settled, stage) + m.own[i]
	}
	return latest(m.Stages, settled)
}

// Barrier is the boundary between a stage and the one before it.
type Barrier struct {
	Before  int // stage
	At      time.Duration
	Slowest int // the service that held it the longest; -1: none
	// Cost is what the boot would have been shorter by, had the stage not
	// waited for the one before, while every service took the same time and
	// waited for what it says it does.
	Cost time.Duration
}

// Barriers are those that the boot came through.
func (b *Boot) Barriers() (list []Barrier) {
	m := b.model()
	whole := m.without(-1)
	for k := 1; k < len(b.Stages); k++ {
		if !b.Stages[k].Reached {
			break
		}
		slowest := -1
		for i := range b.Services {
			// One that was skipped took no time: it is what it was skipped for.
			if s := &b.Services[i]; s.Stage < k && s.State != scheduler.Skipped && (slowest < 0 || m.settled[i] >= m.settled[slowest]) {
				slowest = i
			}
		}
		list = append(list, Barrier{k, b.Stages[k].Opened, slowest, max(0, whole-m.without(k))})
	}
	return list
}

// Slack is how much longer each service could have taken and the boot been no
// longer.
func (b *Boot) Slack() []time.Duration {
	m := b.model()
	end := latest(b.Stages, m.settled)
	late := make([]time.Duration, len(b.Services)) // when it has to be settled at the latest
	for i := range late {
		late[i] = end
	}
	first := make([]time.Duration, len(b.Stages)+1) // by stage: when the first of it or a later one has to go
	for k := range first {
		first[k] = end
	}
	for i := len(late) - 1; i >= 0; i-- {
		s := &b.Services[i]
		late[i] = min(late[i], first[s.Stage+1])
		goes := late[i] - m.own[i]
		for k := s.Stage; k >= 0; k-- {
			first[k] = min(first[k], goes)
		}
		for _, w := range m.waits[i] {
			due := goes
			if w.Kind == "after" {
				due += m.head[w.For]
			}
			late[w.For] = min(late[w.For], due)
		}
	}
	for i := range late {
		late[i] = max(0, late[i]-m.settled[i])
	}
	return late
}
