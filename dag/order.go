package dag

import "math/bits"

// Order returns all vertices so that every edge points forward. Of the vertices
// that may come next, the one with the lowest index does: the order is the
// lexically smallest there is. If the graph has a cycle, the error is a
// *CycleError.
//
// This is Kahn's algorithm (CACM 5, 1962), linear in vertices and edges. gonum's
// topo.SortStabilized is stable too, but goes depth first: for 0 < 2; 3 < 0, 1 it
// gives 3 0 2 1, where 1 could have come before 2.
func (g *Graph) Order() ([]int, error) {
	order := make([]int, 0, g.Len())
	waits := make([]int32, g.Len()) // for how many predecessors, still
	ready := newLowest(g.Len())
	for v := range waits {
		if waits[v] = int32(len(g.in.of(v))); waits[v] == 0 {
			ready.add(v)
		}
	}
	for v, ok := ready.take(); ok; v, ok = ready.take() {
		order = append(order, v)
		for _, w := range g.out.of(v) {
			if waits[w]--; waits[w] == 0 {
				ready.add(int(w))
			}
		}
	}
	if len(order) < g.Len() {
		return nil, &CycleError{Cycles: g.Cycles(), Graph: g}
	}
	return order, nil
}

// lowest is a set of small numbers that gives back its lowest one first. Sets of
// bits, not a heap: 10,000 vertices are 157 words, which are found through 3
// more, and container/heap alone took longer than all of Order.
type lowest struct {
	set  bitset
	some bitset // the words of set that are not 0
}

func newLowest(n int) lowest {
	set := newBitset(n)
	return lowest{set, newBitset(len(set))}
}

func (l *lowest) add(v int) {
	l.set.add(v)
	l.some.add(v / 64)
}

func (l *lowest) take() (v int, ok bool) {
	for i, some := range l.some {
		if some == 0 {
			continue
		}
		word := i*64 + bits.TrailingZeros64(some)
		w := l.set[word]
		if l.set[word] = w & (w - 1); l.set[word] == 0 {
			l.some[i] = some & (some - 1)
		}
		return word*64 + bits.TrailingZeros64(w), true
	}
	return 0, false
}

// bitset has bit v%64 of word v/64 set if v is in it.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) add(v int)      { b[v/64] |= 1 << (v % 64) }
func (b bitset) has(v int) bool { return b[v/64]&(1<<(v%64)) != 0 }

// Reduce returns the transitive reduction: the same vertices, without the edges
// that say nothing new because a longer way leads to the same place. Nothing
// that is reachable becomes unreachable, and no more edges can be left out.
// order is what Order returned for this graph.
//
// It holds one set of reachable vertices for each vertex: 12.5 MB for 10,000
// vertices, growing with the square. To search anew from each vertex needs no
// such memory, but takes vertices times edges. gonum has no transitive
// reduction.
func (g *Graph) Reduce(order []int) *Graph {
	n := g.Len()
	place := make([]int32, n) // of a vertex in order
	for i, v := range order {
		place[v] = int32(i)
	}
	// Sets are by place, not by vertex: what can be reached from a place lies
	// behind it, so that half of every union is known to be empty.
	words := (n + 63) / 64
	all := make(bitset, n*words)
	reach := func(v int) bitset { return all[int(place[v])*words:][:words] }
	kept := newBitset(len(g.out.list))
	for i := n - 1; i >= 0; i-- {
		v := order[i]
		far := reach(v) // at first only what is two or more edges away
		for _, w := range g.out.of(v) {
			first := int(place[w]) / 64
			to, from := far[first:], reach(int(w))[first:]
			for k := range to {
				to[k] |= from[k]
			}
		}
		for k, w := range g.out.of(v) {
			if !far.has(int(place[w])) {
				kept.add(int(g.out.start[v]) + k)
				far.add(int(place[w]))
			}
		}
	}
	arcs := make([]arc, 0, len(g.out.list))
	for v := range n {
		for i := g.out.start[v]; i < g.out.start[v+1]; i++ {
			if kept.has(int(i)) {
				arcs = append(arcs, arc{int32(v), g.out.list[i], g.labels[i]})
			}
		}
	}
	return newGraph(g.names, [][]arc{arcs})
}

// Chains returns for every vertex the weight of the heaviest path that begins
// with it, its own weight included: what still hangs on it. order is what Order
// returned for this graph; weights are finite and not negative, in any unit.
//
// One pass from the back of the order does it. gonum's way, the shortest path
// over negative weights (path.BellmanFordFrom), answers for one beginning at a
// time; the tests use it.
func (g *Graph) Chains(order []int, weight func(v int) float64) []float64 {
	chains := make([]float64, g.Len())
	for i := len(order) - 1; i >= 0; i-- {
		v := order[i]
		longest := 0.0
		for _, w := range g.out.of(v) {
			longest = max(longest, chains[w])
		}
		chains[v] = weight(v) + longest
	}
	return chains
}

// LongestPath returns the heaviest path of the graph, from a vertex that
// nothing comes before to one that nothing comes after; of equal ones that with
// the lowest vertex where they part. chains is what Chains returned for this
// graph; the weight of the path is that of its first vertex there. The path is
// nil if there are no vertices.
func (g *Graph) LongestPath(chains []float64) []int {
	// A path that begins in the middle may weigh as much as a whole one, if
	// what comes before it weighs nothing.
	var begin []int32
	for v := range g.Len() {
		if len(g.in.of(v)) == 0 {
			begin = append(begin, int32(v))
		}
	}
	var path []int
	for next := begin; len(next) > 0; {
		v := next[0]
		for _, w := range next[1:] {
			if chains[w] > chains[v] {
				v = w
			}
		}
		path = append(path, int(v))
		next = g.out.of(int(v))
	}
	return path
}
