package dag_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"

	"bootgraph/dag"
)

// The size that the goals are for: as many vertices as the largest boot file may
// have services, ten edges each. Goals: Compile/dag at most 10 ms and an eighth of
// Compile/gonum, Reduce at most 30 ms.
const (
	benchVertices = 10_000
	benchEdges    = 100_000
)

// benchGraph is a random acyclic graph, the way a boot file says it: names, and
// for each of them the names of what comes after it. The vertices are in no
// helpful order.
func benchGraph() (names []string, after [][]string) {
	r := rand.New(rand.NewPCG(1, 2))
	for v := range benchVertices {
		names = append(names, fmt.Sprintf("service-%05d", v))
	}
	after = make([][]string, benchVertices)
	rank := r.Perm(benchVertices)
	for edges := 0; edges < benchEdges; {
		u, v := r.IntN(benchVertices), r.IntN(benchVertices)
		if rank[u] < rank[v] {
			after[u] = append(after[u], names[v])
			edges++
		}
	}
	return names, after
}

func build(names []string, after [][]string) *dag.Graph {
	var b dag.Builder
	for _, name := range names {
		b.AddVertex(name)
	}
	for from, list := range after {
		for i, name := range list {
			to, _ := b.Index(name)
			b.AddEdge(from, to, int32(i))
		}
	}
	return b.Graph()
}

// plain does no more than it must: slices, no repeated edge looked for, the order
// that comes first, and no answer but how long the longest path is.
func plain(names []string, after [][]string) (longest int, ok bool) {
	index := make(map[string]int32, len(names))
	for v, name := range names {
		index[name] = int32(v)
	}
	out, waits := make([][]int32, len(names)), make([]int32, len(names))
	for from, list := range after {
		out[from] = make([]int32, len(list))
		for i, name := range list {
			to := index[name]
			out[from][i] = to
			waits[to]++
		}
	}
	order, depth := make([]int32, 0, len(names)), make([]int, len(names))
	for v, n := range waits {
		if n == 0 {
			order = append(order, int32(v))
		}
	}
	for i := 0; i < len(order); i++ {
		v := order[i]
		depth[v]++
		longest = max(longest, depth[v])
		for _, w := range out[v] {
			depth[w] = max(depth[w], depth[v])
			if waits[w]--; waits[w] == 0 {
				order = append(order, w)
			}
		}
	}
	return longest, len(order) == len(names)
}

// From names to the longest path, against the least that can be done, and
// against gonum's own graph from names to a stable order, which is less work.
func BenchmarkCompile(b *testing.B) {
	names, after := benchGraph()
	b.Run("dag", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g := build(names, after)
			order, err := g.Order()
			if err != nil {
				b.Fatal(err)
			}
			if path := g.LongestPath(g.Chains(order, one)); len(path) == 0 {
				b.Fatal("no path")
			}
		}
	})
	b.Run("slices", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := plain(names, after); !ok {
				b.Fatal("a cycle")
			}
		}
	})
	b.Run("gonum", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g := simple.NewDirectedGraph()
			ids := make(map[string]int64)
			for v, name := range names {
				ids[name] = int64(v)
				g.AddNode(simple.Node(v))
			}
			for from, list := range after {
				for _, name := range list {
					g.SetEdge(simple.Edge{F: simple.Node(from), T: simple.Node(ids[name])})
				}
			}
			if _, err := topo.SortStabilized(g, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	g := build(names, after)
	b.Run("gonum over dag", func(b *testing.B) { // only the order: the graph exists
		for b.Loop() {
			if _, err := topo.SortStabilized(g, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReduce(b *testing.B) {
	g := build(benchGraph())
	order, err := g.Order()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		g.Reduce(order)
	}
}

// The shapes that hurt: many cycles, long cycles, and a cycle held together by
// nothing that can be taken away soon (columns: the vertices of a layer are far
// apart in index, so that whole layers go last).
func BenchmarkCycles(b *testing.B) {
	for _, shape := range []struct {
		name  string
		graph *dag.Graph
	}{
		{"complete 30", complete(30)},
		{"complete 1000", complete(1000)},
		{"36 layers of 3", layers(36, 3, byLayer, true)},
		{"3000 layers of 3", layers(3000, 3, byLayer, true)},
		{"3000 layers of 3 in columns", layers(3000, 3, byColumn, true)},
		{"1000 layers of 10 in columns", layers(1000, 10, byColumn, true)},
		{"ring of 10000", ring(10_000)},
		{"10000 pairs", pairs(10_000)},
		{"random 10000", random(10_000, 100_000)},
	} {
		b.Run(shape.name, func(b *testing.B) {
			for b.Loop() {
				if len(shape.graph.Cycles()) == 0 {
					b.Fatal("no cycle")
				}
			}
		})
	}
}
