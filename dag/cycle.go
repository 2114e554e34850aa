package dag

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/graph/topo"
)

// MaxCycles is how many cycles are reported; nobody mends more in one go.
const MaxCycles = 10

// maxNames is how many names of a cycle an error text shows.
const maxNames = 20

// CycleError is the error of Order.
type CycleError struct {
	Graph  *Graph
	Cycles [][]Edge // as Graph.Cycles returns them; at least one
}

// Code is the stable short name of the error.
func (e *CycleError) Code() string { return "cycle" }

// Error shows the shortest cycle by its names, each coming before the next:
// "cycle: a -> b -> a". A caller that knows where edges come from says it
// better, from Cycles.
func (e *CycleError) Error() string {
	shortest := e.Cycles[0]
	var b strings.Builder
	b.WriteString("cycle: ")
	for i, edge := range shortest {
		if i == maxNames {
			fmt.Fprintf(&b, "(%d more) -> ", len(shortest)-i)
			break
		}
		b.WriteString(e.Graph.Name(edge.From) + " -> ")
	}
	b.WriteString(e.Graph.Name(shortest[0].From))
	if more := len(e.Cycles) - 1; more > 0 {
		fmt.Fprintf(&b, " (and %d more)", more)
	}
	return b.String()
}

// Cycles returns the shortest cycle of each part of the graph in which every
// vertex leads to every other (a strongly connected component), nil if the
// graph is acyclic. A cycle begins with its lowest vertex; of cycles of the
// same length the lexically smallest is taken. Shorter cycles come first, at
// most MaxCycles of them.
//
// One cycle for each component, because their number can grow exponentially
// with the vertices: topo.DirectedCyclesIn takes seconds for 18 services that
// all need each other.
func (g *Graph) Cycles() [][]Edge {
	search := newCycleSearch(g)
	var cycles [][]Edge
	// gonum recurses to the depth of the graph; Go's stacks grow, and 10,000
	// vertices in a chain are 10,000 small frames.
	for _, nodes := range topo.TarjanSCC(g) {
		component := make([]int, len(nodes))
		for i, n := range nodes {
			component[i] = int(n.ID())
		}
		slices.Sort(component)
		if cycle := search.shortest(component); cycle != nil {
			cycles = append(cycles, cycle)
		}
	}
	slices.SortFunc(cycles, func(a, b []Edge) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a[0].From, b[0].From))
	})
	return cycles[:min(len(cycles), MaxCycles)]
}

// cycleSearch finds shortest cycles. Every cycle has a lowest vertex. So it
// takes the vertices in ascending order, looks for a shorter cycle through each
// than the best so far, and takes the vertex away. Each look is a breadth-first
// search no deeper than that best: vertices times edges at the very worst, and
// far less where cycles are short or one vertex holds many of them together.
type cycleSearch struct {
	g       *Graph
	alive   []bool  // part of the component, and not taken away
	in, out []int32 // how many neighbours are alive
	steps   []int32 // from a vertex to the one looked at; -1: not found
	found   []int32 // those with steps, nearest first
}

func newCycleSearch(g *Graph) *cycleSearch {
	n := g.Len()
	s := &cycleSearch{g: g, alive: make([]bool, n), in: make([]int32, n), out: make([]int32, n), steps: make([]int32, n)}
	for v := range s.steps {
		s.steps[v] = -1
	}
	return s
}

// shortest returns the first of the shortest cycles within a component whose
// vertices ascend, nil if it is a single vertex without an edge to itself.
func (s *cycleSearch) shortest(component []int) []Edge {
	for _, v := range component {
		s.alive[v] = true
	}
	for _, v := range component {
		s.in[v], s.out[v] = s.count(s.g.in.of(v)), s.count(s.g.out.of(v))
	}
	var best []Edge
	limit := math.MaxInt32 // a longer cycle is of no use
	for _, v := range component {
		if !s.alive[v] {
			continue
		}
		if length := s.measure(v, limit); length > 0 {
			best = s.walk(v, length)
			limit = length - 1
		}
		s.forget()
		s.remove(v)
	}
	return best
}

func (s *cycleSearch) count(neighbours []int32) (n int32) {
	for _, w := range neighbours {
		if s.alive[w] {
			n++
		}
	}
	return n
}

// measure returns the length of the shortest cycle through v, 0 if there is
// none up to limit. It searches backwards and leaves behind the steps to v.
func (s *cycleSearch) measure(v, limit int) int {
	s.steps[v] = 0
	s.found = append(s.found, int32(v))
	for i := 0; i < len(s.found); i++ {
		u := s.found[i]
		length := s.steps[u] + 1
		if int(length) > limit {
			return 0
		}
		for _, p := range s.g.in.of(int(u)) {
			if int(p) == v {
				return int(length)
			}
			if s.alive[p] && s.steps[p] < 0 {
				s.steps[p] = length
				s.found = append(s.found, p)
			}
		}
	}
	return 0
}

// walk follows the cycle that measure found, by the lowest vertices that come
// one step nearer each.
func (s *cycleSearch) walk(v, length int) []Edge {
	cycle := make([]Edge, 0, length)
	for from, left := v, int32(length-1); left >= 0; left-- {
		for _, to := range s.g.out.of(from) {
			if s.alive[to] && s.steps[to] == left {
				i, _ := s.g.find(from, int(to))
				cycle = append(cycle, s.g.edge(i))
				from = int(to)
				break
			}
		}
	}
	return cycle
}

func (s *cycleSearch) forget() {
	for _, u := range s.found {
		s.steps[u] = -1
	}
	s.found = s.found[:0]
}

// remove takes v away, and then all that is on no cycle any more because
// nothing leads to it or from it. Without this a graph of many layers, closed
// to a cycle by one edge, would be searched again from each of its vertices.
func (s *cycleSearch) remove(v int) {
	s.alive[v] = false
	todo := []int32{int32(v)}
	for len(todo) > 0 {
		u := int(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		drop := func(neighbours, degree []int32) {
			for _, w := range neighbours {
				if degree[w]--; s.alive[w] && degree[w] == 0 {
					s.alive[w] = false
					todo = append(todo, w)
				}
			}
		}
		drop(s.g.out.of(u), s.in)
		drop(s.g.in.of(u), s.out)
	}
}
