package scheduler

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// gateTick is how long the gate waits after an arrival before it lets anyone
// through, so that tasks which become ready in the same moment pass in plan
// order, not in the order in which the Go runtime woke their goroutines. A
// FIFO semaphore gave 18 different event logs in 20 boots of one plan.
const gateTick = time.Millisecond

// gate lets a limited number of starts through at a time, lowest rank first.
// Only a start is inside it: who waits, pulls or probes is not.
type gate struct {
	clock   clock
	mu      sync.Mutex
	free    int
	waiting tickets
	armed   bool
}

type ticket struct {
	rank int
	pass func() // called once, when it is let through; must not call the gate
}

func newGate(slots int, clock clock) *gate { return &gate{free: slots, clock: clock} }

// enter waits for a slot, and reports whether it got one: it didn't if ctx
// ended first. Who got one calls leave.
func (g *gate) enter(ctx context.Context, rank int) bool {
	passed := make(chan struct{})
	t := g.queue(rank, func() { close(passed) })
	select {
	case <-passed:
		return true
	case <-ctx.Done():
		g.giveUp(t)
		return false
	}
}

// queue is enter for who does not wait in it: pass is called with the slot.
func (g *gate) queue(rank int, pass func()) *ticket {
	t := &ticket{rank, pass}
	g.mu.Lock()
	defer g.mu.Unlock()
	heap.Push(&g.waiting, t)
	g.arm()
	return t
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free++
	g.arm()
}

// giveUp takes a ticket back, and passes its slot on if it had just got one.
func (g *gate) giveUp(t *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == t {
			heap.Remove(&g.waiting, i)
			return
		}
	}
	g.free++
	g.arm()
}

// arm opens the gate one tick from now, if there is anyone to let through.
// The caller holds mu.
func (g *gate) arm() {
	if g.armed || g.free == 0 || len(g.waiting) == 0 {
		return
	}
	g.armed = true
	g.clock.after(gateTick, g.open)
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = false
	for g.free > 0 && len(g.waiting) > 0 {
		g.free--
		heap.Pop(&g.waiting).(*ticket).pass()
	}
}

// tickets is a heap, lowest rank on top.
type tickets []*ticket

func (h tickets) Len() int           { return len(h) }
func (h tickets) Less(i, j int) bool { return h[i].rank < h[j].rank }
func (h tickets) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *tickets) Push(x any)        { *h = append(*h, x.(*ticket)) }
func (h *tickets) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
