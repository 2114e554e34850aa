// Package dag answers the questions of order about a directed graph with named
// vertices: what comes before what, which cycle stands in the way, which edges
// matter, which chain is the longest, what hangs on what.
//
// It knows nothing of services, containers or time, nor of what a stage or a
// weight means: vertices are names, edges are pairs of dense indices with a
// label that only the caller understands. An edge a -> b says that a comes
// before b.
//
// The way through it is always the same: a Builder collects, Graph is what it
// collected, Order proves that there is no cycle or returns the cycles, and
// what is asked of acyclic graphs only (Reduce, Chains) takes that order as its
// proof. Nothing is cached or worked out behind the caller's back.
//
// The same vertices and edges added in the same order give the same answers,
// always: no map is ever iterated. Wherever there is a choice, the vertex that
// was added first wins.
//
// A Graph is a graph.Directed of gonum, so that gonum's algorithms apply to it;
// cycle.go uses its strongly connected components. The questions asked at every
// boot (order, reduction, chains) are answered by code of our own over slices:
// gonum keeps its state in maps and costs about ten times as much
// (bench_test.go). There gonum serves as the oracle of the tests. Its own
// simple.DirectedGraph is not used because it panics on an edge from a vertex to
// itself, which is a mistake that people make in files, and because it hands out
// vertices and edges in the order of a map.
package dag

import (
	"fmt"
	"slices"
)

// Edge says that From comes before To. Both are indices of vertices. The label
// is 32 bits wide: room for an index into what the caller keeps about edges (a
// place in a file, a kind), not for the thing itself.
type Edge struct {
	From, To int
	Label    int32 // the caller's own, to find the edge's origin; not looked at here
}

// names are vertices: dense indices from 0 in the order in which they were
// added, each with a unique name.
type names struct {
	list  []string
	index map[string]int
}

// Len returns the number of vertices.
func (n *names) Len() int { return len(n.list) }

// Name returns the name of vertex v.
func (n *names) Name(v int) string { return n.list[v] }

// Index returns the vertex of that name, and whether there is one.
func (n *names) Index(name string) (v int, ok bool) {
	v, ok = n.index[name]
	return v, ok
}

// Builder collects vertices and edges. The zero Builder is empty and ready for
// use.
//
// It is a type of its own, because a Graph that grows would have to search or
// hash at every edge to keep repeated ones out; sorting once, at the end, is
// linear, and leaves a Graph that any number of goroutines may read.
type Builder struct {
	names
	full [][]arc // as added, in blocks: nothing is copied where they grow
	arcs []arc   // the block that is not full yet
}

// blockSize is how many arcs a block has: 3 KB, not too much for a few.
const blockSize = 256

// arc is an Edge in half the memory. To read and write memory is what the
// algorithms here cost (bench_test.go), so vertices are int32 within the
// package, and neighbours lie side by side in one slice for the whole graph.
type arc struct{ from, to, label int32 }

// AddVertex adds a vertex and returns it. If the name is taken, ok is false and
// v is the vertex that has it.
func (b *Builder) AddVertex(name string) (v int, ok bool) {
	if v, taken := b.index[name]; taken {
		return v, false
	}
	if b.index == nil {
		b.index = make(map[string]int)
	}
	v = len(b.list)
	b.list = append(b.list, name)
	b.index[name] = v
	return v, true
}

// AddEdge adds the edge from -> to. An edge that is there already is kept as it
// is, with its first label. An edge from a vertex to itself is a cycle of
// length 1. AddEdge panics if there is no vertex from or to.
func (b *Builder) AddEdge(from, to int, label int32) {
	if n := b.Len(); uint(from) >= uint(n) || uint(to) >= uint(n) {
		panic(fmt.Sprintf("dag: edge %d -> %d in a graph of %d vertices", from, to, n))
	}
	if len(b.arcs) == cap(b.arcs) {
		b.full = append(b.full, b.arcs)
		b.arcs = make([]arc, 0, blockSize)
	}
	b.arcs = append(b.arcs, arc{int32(from), int32(to), label})
}

// AddBarrier adds a vertex that comes after all of before and before all of
// after, so that len(before)+len(after) edges do what otherwise takes their
// product. A barrier of nothing joins nothing: where before may be empty, the
// caller adds the previous barrier to it, or what came earlier is let go.
// If the name is taken, ok is false and nothing is added.
func (b *Builder) AddBarrier(name string, before, after []int, label int32) (v int, ok bool) {
	if v, ok = b.AddVertex(name); !ok {
		return v, false
	}
	for _, u := range before {
		b.AddEdge(u, v, label)
	}
	for _, w := range after {
		b.AddEdge(v, w, label)
	}
	return v, true
}

// Graph returns what was collected and leaves the Builder empty.
func (b *Builder) Graph() *Graph {
	g := newGraph(b.names, sortByFrom(append(b.full, b.arcs), b.Len()))
	*b = Builder{}
	return g
}

// sortByFrom returns the arcs in the order of the vertices they come from, which
// are below n: the blocks themselves if a caller went from vertex to vertex, so
// that they are in this order already. It is a counting sort: linear, and stable,
// so that of equal edges the first one added stays first.
func sortByFrom(blocks [][]arc, n int) [][]arc {
	next, last, sorted := make([]int32, n+1), int32(0), true
	for _, arcs := range blocks {
		for _, a := range arcs {
			next[a.from+1]++
			sorted = sorted && a.from >= last
			last = a.from
		}
	}
	if sorted {
		return blocks
	}
	sum(next)
	all := make([]arc, next[n])
	for _, arcs := range blocks {
		for _, a := range arcs {
			all[next[a.from]] = a
			next[a.from]++
		}
	}
	return [][]arc{all}
}

// sum adds to every number all that come before it. If counts[k+1] is how often
// a key k occurs, counts[k] becomes where k begins among the sorted ones, and the
// last number where all of them end.
func sum(counts []int32) {
	for k := range counts[1:] {
		counts[k+1] += counts[k]
	}
}

// Graph is a directed graph, with cycles or without. It never changes.
type Graph struct {
	names
	out, in adjacency
	labels  []int32 // of the edges, in the order of out.list
	nodes   []node  // what gonum calls the vertices
}

// adjacency lists the neighbours of every vertex, in ascending order: those of
// v are list[start[v]:start[v+1]].
type adjacency struct{ start, list []int32 }

func (a adjacency) of(v int) []int32 { return a.list[a.start[v]:a.start[v+1]] }

// newGraph makes a graph of arcs that are sorted by from. Of those with the same
// ends it keeps the first. It uses up the blocks.
func newGraph(names names, blocks [][]arc) *Graph {
	n := names.Len()
	out, in := make([]int32, n+1), make([]int32, n+1)
	seen := make([]int32, n) // who led to a vertex last, counted from 1
	for i, arcs := range blocks {
		blocks[i] = slices.DeleteFunc(arcs, func(a arc) bool {
			if seen[a.to] == a.from+1 {
				return true
			}
			seen[a.to] = a.from + 1
			out[a.from+1]++
			in[a.to+1]++
			return false
		})
	}
	sum(out)
	sum(in)
	g := &Graph{names: names, labels: make([]int32, out[n]), nodes: make([]node, n)}
	g.out = adjacency{out, make([]int32, out[n])}
	g.in = adjacency{in, make([]int32, in[n])}
	// Taken by from, as they are, the arcs fill the lists of g.in in ascending
	// order; taken by to, as they then stand there, they do so with those of g.out.
	next, labels := slices.Clone(in), make([]int32, in[n]) // labels in the order of g.in.list
	for _, arcs := range blocks {
		for _, a := range arcs {
			g.in.list[next[a.to]], labels[next[a.to]] = a.from, a.label
			next[a.to]++
		}
	}
	copy(next, out)
	for v := range n {
		for k := in[v]; k < in[v+1]; k++ {
			u := g.in.list[k]
			g.out.list[next[u]], g.labels[next[u]] = int32(v), labels[k]
			next[u]++
		}
	}
	for v := range g.nodes {
		g.nodes[v] = node(v)
	}
	return g
}

// Edges returns all edges, by From, then To.
func (g *Graph) Edges() []Edge {
	edges := make([]Edge, 0, len(g.labels))
	for v := range g.Len() {
		for k := range g.out.of(v) {
			edges = append(edges, g.edge(v, k))
		}
	}
	return edges
}

// edge returns the edge from v to its neighbour k.
func (g *Graph) edge(v, k int) Edge {
	i := int(g.out.start[v]) + k
	return Edge{v, int(g.out.list[i]), g.labels[i]}
}

// Descendants tells for every vertex whether it is one of from or comes, over
// any number of edges, after one of them. The answer is indexed by vertex, and
// cycles do no harm.
func (g *Graph) Descendants(from ...int) []bool { return g.out.reach(from) }

// Ancestors tells for every vertex whether it is one of from or comes, over any
// number of edges, before one of them. See Descendants.
func (g *Graph) Ancestors(from ...int) []bool { return g.in.reach(from) }

func (a adjacency) reach(from []int) []bool {
	reached := make([]bool, len(a.start)-1)
	todo := slices.Clone(from)
	for i := 0; i < len(todo); i++ {
		v := todo[i]
		if reached[v] {
			continue
		}
		reached[v] = true
		for _, w := range a.of(v) {
			todo = append(todo, int(w))
		}
	}
	return reached
}
