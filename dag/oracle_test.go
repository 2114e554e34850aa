package dag_test

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/path"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/testgraph"
	"gonum.org/v1/gonum/graph/topo"
	"pgregory.net/rapid"

	"bootgraph/dag"
)

// drawGraph draws a graph of up to 7 vertices, with self edges and repeated
// ones. If acyclic, edges follow a drawn order of the vertices.
func drawGraph(t *rapid.T, acyclic bool) *dag.Graph {
	n := rapid.IntRange(1, 7).Draw(t, "vertices")
	b := numbered(n)
	rank := rapid.Permutation(slices.Collect(vertices(numbered(n).Graph()))).Draw(t, "rank")
	vertex := rapid.IntRange(0, n-1)
	for i := range rapid.IntRange(0, 3*n).Draw(t, "edges") {
		u, v := vertex.Draw(t, "from"), vertex.Draw(t, "to")
		if acyclic && rank[u] > rank[v] {
			u, v = v, u
		}
		if !acyclic || u != v {
			b.AddEdge(u, v, int32(i))
		}
	}
	return b.Graph()
}

// However edges are grouped when they are added, they come out sorted, each once
// and with its first label. There are enough of them for more than one block.
func TestEdgesAgreeWithOracle(t *testing.T) {
	const n = 40
	r := rand.New(rand.NewPCG(1, 2))
	for _, compare := range []func(a, b dag.Edge) int{
		func(a, b dag.Edge) int { return 0 },
		func(a, b dag.Edge) int { return a.From - b.From },
		func(a, b dag.Edge) int { return a.To - b.To },
	} {
		var added []dag.Edge
		for i := range 1000 {
			added = append(added, dag.Edge{From: r.IntN(n), To: r.IntN(n), Label: int32(i)})
		}
		slices.SortStableFunc(added, compare)
		b := numbered(n)
		for _, e := range added {
			b.AddEdge(e.From, e.To, e.Label)
		}
		g := b.Graph()
		slices.SortStableFunc(added, func(a, b dag.Edge) int { return cmp.Or(a.From-b.From, a.To-b.To) })
		want := slices.CompactFunc(added, func(a, b dag.Edge) bool { return a.From == b.From && a.To == b.To })
		if got := g.Edges(); !slices.Equal(got, want) {
			t.Fatalf("edges %v\nwant  %v", got, want)
		}
		// What comes before a vertex is in order too.
		var in []dag.Edge
		for v := range n {
			for _, u := range graph.NodesOf(g.To(int64(v))) {
				in = append(in, dag.Edge{From: int(u.ID()), To: v})
			}
		}
		for i := range want {
			want[i].Label = 0 // gonum knows none
		}
		slices.SortStableFunc(want, func(a, b dag.Edge) int { return a.To - b.To })
		if !slices.Equal(in, want) {
			t.Fatalf("edges by their ends %v\nwant %v", in, want)
		}
	}
}

func TestOrderAgreesWithOracles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, rapid.Bool().Draw(t, "acyclic"))
		order, err := g.Order()
		if want := obviousOrder(g); !slices.Equal(order, want) {
			t.Fatalf("order %v, want %v", order, want)
		}
		// gonum does not count self edges as cycles.
		_, unorderable := topo.Sort(g)
		self := slices.ContainsFunc(g.Edges(), func(e dag.Edge) bool { return e.From == e.To })
		if cyclic := unorderable != nil || self; cyclic != (err != nil) {
			t.Fatalf("Order: %v; gonum: %v, self edge: %v", err, unorderable, self)
		}
	})
}

func TestCyclesAgreeWithOracles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, false)
		var got []string
		for _, cycle := range g.Cycles() {
			var vertices []int
			for i, e := range cycle {
				vertices = append(vertices, e.From)
				if e.To != cycle[(i+1)%len(cycle)].From || !slices.Contains(g.Edges(), e) {
					t.Fatalf("%v is no cycle of the graph", cycle)
				}
			}
			got = append(got, fmt.Sprint(vertices))
		}
		if want := obviousCycles(g); !slices.Equal(got, want) {
			t.Fatalf("cycles %v, want %v", got, want)
		}
		_, err := g.Order()
		if found, ok := errors.AsType[*dag.CycleError](err); ok != (len(got) > 0) || ok && fmt.Sprint(found.Cycles) != fmt.Sprint(g.Cycles()) {
			t.Fatalf("Order: %v; cycles: %v", err, got)
		}
	})
}

func TestReduceAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, true)
		reduced := g.Reduce(mustOrder(t, g))
		if got, want := reduced.Edges(), obviousReduced(g); !slices.Equal(got, want) {
			t.Fatalf("kept %v, want %v", got, want)
		}
	})
}

func TestReachabilityAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, false)
		for v := range g.Len() {
			want := obviousReach(g, v, dag.Edge{From: -1})
			if got := g.Descendants(v); !slices.Equal(got, want) {
				t.Fatalf("descendants of %d: %v, want %v", v, got, want)
			}
			for w := range g.Len() {
				if g.Ancestors(w)[v] != want[w] {
					t.Fatalf("%d leads to %d: %v, but not so among its ancestors", v, w, want[w])
				}
			}
		}
	})
}

// The longest path is the shortest one where weights are negative.
func TestLongestPathAgreesWithOracles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, true)
		weights := rapid.SliceOfN(rapid.IntRange(0, 3), g.Len(), g.Len()).Draw(t, "weights")
		weight := func(v int) float64 { return float64(weights[v]) }
		chains := g.Chains(mustOrder(t, g), weight)

		negative := simple.NewWeightedDirectedGraph(0, math.Inf(1))
		source := simple.Node(g.Len())
		for v := range g.Len() {
			negative.SetWeightedEdge(simple.WeightedEdge{F: source, T: simple.Node(v), W: -weight(v)})
		}
		for _, e := range g.Edges() {
			negative.SetWeightedEdge(simple.WeightedEdge{F: simple.Node(e.From), T: simple.Node(e.To), W: -weight(e.To)})
		}
		shortest, ok := path.BellmanFordFrom(source, negative)
		if !ok {
			t.Fatal("gonum found a negative cycle")
		}
		longest := 0.0
		for v := range g.Len() {
			longest = max(longest, -shortest.WeightTo(int64(v)))
		}

		// Of all paths from a beginning to an end, the lexically first of
		// those that weigh most.
		var best []int
		sum := func(path []int) (s int) {
			for _, v := range path {
				s += weights[v]
			}
			return s
		}
		for v := range g.Len() {
			simplePaths(g, []int{v}, func(path []int) {
				whole := g.To(int64(v)).Len() == 0 && g.From(int64(path[len(path)-1])).Len() == 0
				if whole && (best == nil || sum(path) > sum(best)) {
					best = path
				}
				if s := float64(sum(path)); s > chains[v] {
					t.Fatalf("path %v weighs %v, chain %v", path, s, chains[v])
				}
			})
		}
		got := g.LongestPath(chains)
		if !slices.Equal(got, best) || chains[got[0]] != longest {
			t.Fatalf("longest %v: %v, want %v: %v", got, chains[got[0]], best, longest)
		}
	})
}

// A Graph passes gonum's own tests of graph types.
func TestGraphIsAGraphOfGonum(t *testing.T) {
	t.Run("NodeExistence", func(t *testing.T) { testgraph.NodeExistence(t, conform) })
	t.Run("ReturnAllNodes", func(t *testing.T) { testgraph.ReturnAllNodes(t, conform, true) })
	t.Run("ReturnNodeSlice", func(t *testing.T) { testgraph.ReturnNodeSlice(t, conform, true) })
	t.Run("EdgeExistence", func(t *testing.T) { testgraph.EdgeExistence(t, conform, false) })
	t.Run("ReturnAdjacentNodes", func(t *testing.T) { testgraph.ReturnAdjacentNodes(t, conform, true, false) })
	t.Run("SCCs", func(t *testing.T) {
		g := parse("a < b < c < a; c < d < d; e < d")
		if got, want := len(topo.TarjanSCC(g)), 3; got != want {
			t.Errorf("%d components, want %d", got, want)
		}
		if !topo.PathExistsIn(g, g.Node(1), g.Node(3)) || topo.PathExistsIn(g, g.Node(3), g.Node(1)) {
			t.Error("b leads to d, not d to b")
		}
	})
}

// conform builds one of testgraph's cases; their IDs may be anything, ours are
// dense.
func conform(nodes []graph.Node, edges []testgraph.WeightedLine, _, _ float64) (graph.Graph, []graph.Node, []testgraph.Edge, float64, float64, bool) {
	var b dag.Builder
	vertex := func(n graph.Node) int {
		v, _ := b.AddVertex(fmt.Sprint(n.ID()))
		return v
	}
	for _, n := range nodes {
		vertex(n)
	}
	for _, e := range edges {
		b.AddEdge(vertex(e.From()), vertex(e.To()), 0)
	}
	g := b.Graph()
	var all []graph.Node
	for v := range g.Len() {
		all = append(all, g.Node(int64(v)))
	}
	var lines []testgraph.Edge
	for _, e := range g.Edges() {
		lines = append(lines, g.Edge(int64(e.From), int64(e.To)))
	}
	return g, all, lines, math.NaN(), math.NaN(), true
}
