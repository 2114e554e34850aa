package dag

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/graph"
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
	var names []string
	for _, edge := range shortest[:min(len(shortest), maxNames)] {
		names = append(names, e.Graph.Name(edge.From))
	}
	if more := len(shortest) - maxNames; more > 0 {
		names = append(names, fmt.Sprintf("(%d more)", more))
	}
	text := "cycle: " + strings.Join(append(names, names[0]), " -> ")
	if more := len(e.Cycles) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
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
	// gonum recurses to the depth of the graph. Go's stacks grow: 10,000
	// vertices in a chain are 10,000 small frames.
	components := topo.TarjanSCC(g)
	s := newCycleSearch(g, components)
	var cycles [][]Edge
	for _, component := range components {
		// gonum lists the vertices as its search left them, not by index.
		slices.SortFunc(component, func(a, b graph.Node) int { return cmp.Compare(a.ID(), b.ID()) })
		if cycle := s.shortest(component); cycle != nil {
			cycles = append(cycles, cycle)
		}
	}
	slices.SortFunc(cycles, func(a, b []Edge) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a[0].From, b[0].From))
	})
	return cycles[:min(len(cycles), MaxCycles)]
}

// cycleSearch finds the shortest cycle of a component. Every cycle has a lowest
// vertex. So the search takes the vertices in ascending order, looks for a
// cycle through each that is shorter than the best so far, and takes the vertex
// away. Each look is a breadth-first search no deeper than that best. The work
// is bounded by vertices times edges; it comes near that only where all cycles
// are long and many, as in a ring of a thousand layers of ten (a second or two,
// for a mistake that nobody makes by hand). Dense graphs have cycles of length
// 2, and each further look is over after one vertex.
type cycleSearch struct {
	g       *Graph
	part    []int32 // the component of a vertex; gone if it was taken away
	in, out []int32 // how many neighbours are left in the same component
	steps   []int32 // vertices on the way to the one looked at, both ends counted; 0: none found
	found   []int32 // those with steps, nearest first
}

const gone = -1

func newCycleSearch(g *Graph, components [][]graph.Node) *cycleSearch {
	n := g.Len()
	s := &cycleSearch{g: g, part: make([]int32, n), in: make([]int32, n), out: make([]int32, n), steps: make([]int32, n)}
	for i, component := range components {
		for _, v := range component {
			s.part[v.ID()] = int32(i)
		}
	}
	for v := range n {
		for _, w := range g.out.of(v) {
			if s.part[v] == s.part[w] {
				s.out[v]++
				s.in[w]++
			}
		}
	}
	return s
}

// shortest returns the lexically first of the shortest cycles of a component
// whose vertices ascend, nil if it is a vertex without an edge to itself.
func (s *cycleSearch) shortest(component []graph.Node) []Edge {
	var best []Edge
	limit := math.MaxInt32 // of the length; a longer cycle is of no use
	for _, node := range component {
		v := int(node.ID())
		if s.part[v] == gone {
			continue
		}
		if length := s.measure(v, limit); length > 0 {
			best = s.walk(v, length)
			limit = length - 1
		}
		for _, u := range s.found {
			s.steps[u] = 0
		}
		s.found = s.found[:0]
		s.remove(v)
	}
	return best
}

// measure returns the length of the shortest cycle through v, 0 if there is
// none up to limit. It searches backwards and leaves behind the steps to v.
func (s *cycleSearch) measure(v, limit int) int {
	s.steps[v] = 1
	s.found = append(s.found, int32(v))
	for i := 0; i < len(s.found); i++ {
		u := s.found[i]
		length := int(s.steps[u]) // as many edges as vertices, if it closes here
		if length > limit {
			return 0
		}
		for _, p := range s.g.in.of(int(u)) {
			if int(p) == v {
				return length
			}
			if s.part[p] == s.part[v] && s.steps[p] == 0 {
				s.steps[p] = int32(length) + 1
				s.found = append(s.found, p)
			}
		}
	}
	return 0
}

// walk follows the cycle that measure found, by the lowest vertices that come
// one step nearer each. What has steps is in the component, and not gone.
func (s *cycleSearch) walk(v, length int) []Edge {
	cycle := make([]Edge, 0, length)
	for left := int32(length); left > 0; left-- {
		neighbours := s.g.out.of(v)
		k := slices.IndexFunc(neighbours, func(w int32) bool { return s.steps[w] == left })
		cycle = append(cycle, s.g.edge(v, k))
		v = int(neighbours[k])
	}
	return cycle
}

// remove takes v away, and then all that is on no cycle any more because
// nothing leads to it or from it. Without this a graph of many layers, closed
// to a cycle by one edge, would be searched again from each of its vertices.
func (s *cycleSearch) remove(v int) {
	part := s.part[v]
	s.part[v] = gone
	todo := []int32{int32(v)}
	for i := 0; i < len(todo); i++ {
		drop := func(neighbours, left []int32) {
			for _, w := range neighbours {
				if s.part[w] != part {
					continue
				}
				if left[w]--; left[w] == 0 {
					s.part[w] = gone
					todo = append(todo, w)
				}
			}
		}
		drop(s.g.out.of(int(todo[i])), s.in)
		drop(s.g.in.of(int(todo[i])), s.out)
	}
}
