// Package analysis tells where the time of a boot went: the phases of each
// service, the chain that made the boot as long as it was, how much room the
// others had, what each barrier cost, and how all that compares with earlier
// boots. It makes values of a list of events; package report writes them.
//
// It knows nothing of how events come about, of files, and of what output looks
// like. A boot ends with its last event: what comes after, under supervision,
// is not part of it.
package analysis

import (
	"errors"
	"slices"
	"time"

	"bootgraph/scheduler"
)

// Boot is where the time of a boot went. All times in it count from its
// beginning.
type Boot struct {
	Name     string
	Run      string
	Began    time.Time
	Took     time.Duration    // up to its last event
	Outcome  scheduler.Ending // "": it came to no end, or goes on
	Stages   []Stage
	Services []Service // in plan order: who waits comes after whom it waits for
	index    map[string]int
}

// Stage is a part of a boot between two barriers.
type Stage struct {
	Name     string
	Services []int
	Opened   time.Duration
	Closed   time.Duration
	Reached  bool // it was opened
	Done     bool // it was closed
}

// Service is what a boot did with one service.
type Service struct {
	Stage    int
	Name     string
	Waits    []Wait
	Phases   []Phase // without gaps, from the beginning of the boot to its end
	State    scheduler.State
	Attempts int
	Falls    int  // how often it was ready and did not stay so
	Kept     bool // it ran already, nothing was started
	Cause    scheduler.Cause
	Started  []scheduler.Instance // what runs as it, as Podman tells
}

// Wait is an arrow of the graph, seen from who waits.
type Wait struct {
	For  int // service
	Kind string
}

// Kind is what a service does in a phase.
type Kind string

const (
	Pending  Kind = "pending"  // its stage is not open: a barrier holds it
	Waiting  Kind = "waiting"  // for other services of its stage
	Pulling  Kind = "pulling"  // its images
	Queued   Kind = "queued"   // for a slot to start in
	Starting Kind = "starting" // the runtime makes it run
	Probing  Kind = "probing"  // it runs, not proven ready
	Backoff  Kind = "backoff"  // an attempt failed
	Ready    Kind = "ready"
	Ended    Kind = "ended" // it settled, and is not ready
)

// Kinds in the order in which a service passes through them.
var Kinds = []Kind{Pending, Waiting, Pulling, Queued, Starting, Probing, Backoff, Ready, Ended}

// Phase is a piece of the time of a service.
type Phase struct {
	Kind     Kind
	From, To time.Duration
	For      int           // pending, waiting: the service that was last to let it go; -1: none
	Via      string        // what that is to it: depends_on, wants, after, stage
	Let      time.Duration // when it did
}

// ViaStage is what the slowest of a stage is to a service of the next one.
const ViaStage = "stage"

// Length is how long the phase was.
func (p Phase) Length() time.Duration { return p.To - p.From }

// Of is how long a service was in phases of these kinds.
func (s *Service) Of(kinds ...Kind) (sum time.Duration) {
	for _, p := range s.Phases {
		if slices.Contains(kinds, p.Kind) {
			sum += p.Length()
		}
	}
	return sum
}

// Own is the time that a service itself took: not what it waited for others or
// for a slot, nor what it was there for after it had settled.
func (s *Service) Own() time.Duration { return s.Of(Pulling, Starting, Probing, Backoff) }

// Within is how long a service was in phases of a kind between two times.
func (s *Service) Within(k Kind, from, to time.Duration) (sum time.Duration) {
	for _, p := range s.Phases {
		if p.Kind == k {
			sum += max(0, min(p.To, to)-max(p.From, from))
		}
	}
	return sum
}

// Settled is when the service came to where it stayed; the end of the boot if
// it did not.
func (s *Service) Settled() time.Duration {
	last := s.Phases[len(s.Phases)-1]
	if last.Kind == Ready || last.Kind == Ended {
		return last.From
	}
	return last.To
}

// NoBeginning is an event list that does not begin with a run.
var NoBeginning = errors.New("its journal does not begin with the beginning of a boot")

// Of works out where the time of a boot went.
func Of(events []scheduler.Event) (*Boot, error) {
	if len(events) == 0 || events[0].Type != scheduler.RunStarted {
		return nil, NoBeginning
	}
	b := newBoot(events[0])
	r := reader{Boot: b, moves: make([][]move, len(b.Services))}
	for _, e := range events[1:] {
		b.Took = max(b.Took, e.Time.Sub(b.Began))
		r.add(e)
		if e.Type == scheduler.RunDone {
			b.Outcome = e.Outcome
			break
		}
	}
	for i := range b.Stages {
		st := &b.Stages[i]
		if st.Reached && !st.Done {
			st.Closed = b.Took
		}
	}
	for i := range b.Services {
		r.phases(i)
	}
	return b, nil
}

func newBoot(first scheduler.Event) *Boot {
	b := &Boot{Name: first.Name, Run: first.Run, Began: first.Time, index: map[string]int{}}
	for i, st := range first.Stages {
		stage := Stage{Name: st.Name}
		for _, name := range st.Services {
			if _, again := b.index[name]; again {
				continue // no boot writes that
			}
			b.index[name] = len(b.Services)
			stage.Services = append(stage.Services, len(b.Services))
			b.Services = append(b.Services, Service{Stage: i, Name: name, State: scheduler.Pending})
		}
		b.Stages = append(b.Stages, stage)
	}
	for _, e := range first.Edges {
		from, known := b.index[e.From]
		to, known2 := b.index[e.To]
		// Plan order is a topological order; what points back is no boot's, and
		// would have everything after it go round in circles.
		if known && known2 && from < to {
			s := &b.Services[to]
			s.Waits = append(s.Waits, Wait{from, e.Kind})
		}
	}
	return b
}

// Find returns a service by its name, or -1.
func (b *Boot) Find(name string) int {
	if i, ok := b.index[name]; ok {
		return i
	}
	return -1
}

// Ended reports whether the boot went through, so that it can be compared with
// others.
func (b *Boot) Ended() bool {
	return b.Outcome == scheduler.EndReady || b.Outcome == scheduler.EndDegraded
}
