package scheduler

import (
	"sync"
)

// eventLog numbers the events of a run and hands them to sinks, in order.
// Adding never waits: a terminal that doesn't read, or a slow disk, must not
// hold up a boot. Each sink has a goroutine of its own, so that a stuck one
// doesn't hold up the others either.
type eventLog struct {
	run   string
	clock clock
	seq   int // guarded by the mutex of the run, like every call of add
	sinks []*sink
	done  sync.WaitGroup

	direct []func(Event) // in virtual time, in which nothing is slow
}

type sink struct {
	mu    sync.Mutex
	queue []Event
	more  chan struct{} // one token: there may be something in queue
	ended bool
}

func newEventLog(run string, seen int, clock clock, sinks []func(Event)) *eventLog {
	l := &eventLog{run: run, clock: clock, seq: seen}
	if clock.virtual {
		l.direct = sinks
		return l
	}
	for _, take := range sinks {
		s := &sink{more: make(chan struct{}, 1)}
		l.sinks = append(l.sinks, s)
		l.done.Go(func() { s.deliver(take) })
	}
	return l
}

func (l *eventLog) add(e Event) {
	l.seq++
	e.Seq, e.Run, e.Time = l.seq, l.run, l.clock.now()
	for _, take := range l.direct {
		take(e)
	}
	for _, s := range l.sinks {
		s.put(func() { s.queue = append(s.queue, e) })
	}
}

// close waits until the sinks have taken all.
func (l *eventLog) close() {
	for _, s := range l.sinks {
		s.put(func() { s.ended = true })
	}
	l.done.Wait()
}

func (s *sink) put(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *sink) deliver(take func(Event)) {
	for range s.more {
		s.mu.Lock()
		batch, ended := s.queue, s.ended
		s.queue = nil
		s.mu.Unlock()
		for _, e := range batch {
			take(e)
		}
		if ended {
			return
		}
	}
}
