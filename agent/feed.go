package agent

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"bootgraph/scheduler"
)

// Numbered is an event with its place among all events of this agent, over
// all its boots: 1, 2, 3 …
type Numbered struct {
	Sequence uint64
	Event    scheduler.Event
}

// How much is kept for clients that come back: of a boot of 10,000 services
// all events, but not 4 KiB of log with each of them for as long as an agent
// lives.
const (
	feedMost = 1 << 16  // events
	feedText = 16 << 20 // bytes of what they say
)

// feed keeps the last events, and of everybody the last one for good. Adding
// never waits: who reads does so at a pace of his own, and is told when he was
// too slow.
type feed struct {
	most int

	mu    sync.Mutex
	last  uint64 // sequence of the newest event
	kept  []Numbered
	text  int                 // bytes of what those say
	marks map[string]Numbered // the last of each service, run_started and run_done
	more  chan struct{}       // closed by the next add
}

func newFeed(most int) *feed {
	return &feed{most: most, marks: map[string]Numbered{}, more: make(chan struct{})}
}

func (f *feed) add(e scheduler.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	n := Numbered{f.last, e}
	f.kept = append(f.kept, n)
	f.text += len(e.Cause.Text)
	if len(f.kept) > 2*f.most || f.text > 2*feedText {
		f.drop()
	}
	switch e.Type {
	case scheduler.ServiceMoved:
		f.marks["service/"+e.Service] = n
	case scheduler.RunStarted, scheduler.RunDone:
		f.marks[string(e.Type)] = n
	}
	close(f.more)
	f.more = make(chan struct{})
}

// drop forgets the oldest, half of what there is. The caller holds mu.
func (f *feed) drop() {
	n := 0
	for ; len(f.kept)-n > f.most || f.text > feedText; n++ {
		f.text -= len(f.kept[n].Event.Cause.Text)
	}
	f.kept = slices.Clone(f.kept[n:])
}

// forget takes services out of what stands for good that are not any more.
func (f *feed) forget(gone func(service string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, n := range f.marks {
		if n.Event.Type == scheduler.ServiceMoved && gone(n.Event.Service) {
			delete(f.marks, key)
		}
	}
}

// snapshot is where everything stands: the last run_started and run_done and
// the last event of each service, in order; next is the sequence after all.
func (f *feed) snapshot() (list []Numbered, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.marks {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b Numbered) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return list, f.last + 1
}

// since returns the events from a sequence on; more is closed when there are
// others.
func (f *feed) since(sequence uint64) (list []Numbered, more <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.last + 1 - uint64(len(f.kept))
	switch {
	case sequence > f.last+1:
		return nil, nil, fmt.Errorf("there is no event %d yet, the last one is %d: begin again with sequence 0", sequence, f.last)
	case sequence < first:
		return nil, nil, fmt.Errorf("event %d is not kept any more, the first one is %d: begin again with sequence 0", sequence, first)
	}
	return slices.Clone(f.kept[sequence-first:]), f.more, nil
}
