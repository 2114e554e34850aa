package dag_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bootgraph/dag"
)

// parse reads a graph as text: "a < b, c; b < d" says that a comes before b and
// c, and b before d; lists may stand on both sides, chains (a < b < c) are
// allowed. Vertices are numbered as they appear; a name alone declares one.
// The label of an edge is its number in the text, from 0.
func parse(text string) *dag.Graph {
	var b dag.Builder
	label := int32(0)
	for _, statement := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		var before []int
		for _, group := range strings.Split(statement, "<") {
			var here []int
			for _, name := range strings.FieldsFunc(group, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
				v, _ := b.AddVertex(name)
				here = append(here, v)
			}
			for _, u := range before {
				for _, v := range here {
					b.AddEdge(u, v, label)
					label++
				}
			}
			before = here
		}
	}
	return b.Graph()
}

// The texts that tests compare.

func nameList(g *dag.Graph, vertices []int) string {
	names := make([]string, len(vertices))
	for i, v := range vertices {
		names[i] = g.Name(v)
	}
	return strings.Join(names, " ")
}

func nameSet(g *dag.Graph, set []bool) string {
	var vertices []int
	for v, in := range set {
		if in {
			vertices = append(vertices, v)
		}
	}
	return nameList(g, vertices)
}

func edgeList(g *dag.Graph) string {
	var b strings.Builder
	for i, e := range g.Edges() {
		if i == 0 || e.From != g.Edges()[i-1].From {
			fmt.Fprintf(&b, "; %s < %s", g.Name(e.From), g.Name(e.To))
		} else {
			fmt.Fprintf(&b, ", %s", g.Name(e.To))
		}
	}
	return strings.TrimPrefix(b.String(), "; ")
}

// cycleText shows every edge with its label: a -0-> b -1-> a.
func cycleText(g *dag.Graph, cycle []dag.Edge) string {
	var b strings.Builder
	for _, e := range cycle {
		fmt.Fprintf(&b, "%s -%d-> ", g.Name(e.From), e.Label)
	}
	return b.String() + g.Name(cycle[0].From)
}

// describe answers every question about a graph, as text; weights are 1.
func describe(g *dag.Graph) string {
	var b strings.Builder
	order, err := g.Order()
	if err != nil {
		for _, cycle := range g.Cycles() {
			fmt.Fprintf(&b, "cycle:   %s\n", cycleText(g, cycle))
		}
		fmt.Fprintf(&b, "error:   %s\n", err)
		return b.String()
	}
	chains := g.Chains(order, one)
	fmt.Fprintf(&b, "order:   %s\n", nameList(g, order))
	fmt.Fprintf(&b, "reduced: %s\n", edgeList(g.Reduce(order)))
	fmt.Fprintf(&b, "chains:  %s\n", strings.Trim(fmt.Sprint(chains), "[]"))
	fmt.Fprintf(&b, "longest: %s\n", nameList(g, g.LongestPath(chains)))
	return b.String()
}

func one(int) float64 { return 1 }

func mustOrder(t interface {
	Helper()
	Fatalf(string, ...any)
}, g *dag.Graph) []int {
	t.Helper()
	order, err := g.Order()
	if err != nil {
		t.Fatalf("Order: %v", err)
	}
	return order
}

// Large graphs.

func numbered(n int) *dag.Builder {
	b := new(dag.Builder)
	for v := range n {
		b.AddVertex(fmt.Sprint(v))
	}
	return b
}

// complete has an edge from every vertex to every other.
func complete(n int) *dag.Graph {
	b := numbered(n)
	for u := range n {
		for v := range n {
			if u != v {
				b.AddEdge(u, v, 0)
			}
		}
	}
	return b.Graph()
}

func byLayer(layer, i, _, width int) int  { return layer*width + i }
func byColumn(layer, i, count, _ int) int { return i*count + layer }

// layers has an edge from all of a layer to all of the next, and if closed from
// the last to the first: width to the power of count shortest cycles.
func layers(count, width int, at func(layer, i, count, width int) int, closed bool) *dag.Graph {
	b := numbered(count * width)
	for layer := range count {
		next := (layer + 1) % count
		if next == 0 && !closed {
			break
		}
		for i := range width {
			for j := range width {
				b.AddEdge(at(layer, i, count, width), at(next, j, count, width), 0)
			}
		}
	}
	return b.Graph()
}

func ring(n int) *dag.Graph {
	b := numbered(n)
	for v := range n {
		b.AddEdge(v, (v+1)%n, int32(v))
	}
	return b.Graph()
}

// pairs has n/2 cycles of length 2, apart from each other.
func pairs(n int) *dag.Graph {
	b := numbered(n)
	for v := range n {
		b.AddEdge(v, v^1, int32(v))
	}
	return b.Graph()
}

func random(n, edges int) *dag.Graph {
	r := rand.New(rand.NewPCG(1, 2))
	b := numbered(n)
	for i := range edges {
		if u, v := r.IntN(n), r.IntN(n); u != v {
			b.AddEdge(u, v, int32(i))
		}
	}
	return b.Graph()
}

// Slow, obvious answers.

// obviousOrder takes the lowest vertex none of whose predecessors is left.
func obviousOrder(g *dag.Graph) []int {
	placed := make([]bool, g.Len())
	var order []int
	for range g.Len() {
		next := slices.IndexFunc(slices.Collect(vertices(g)), func(v int) bool {
			return !placed[v] && !slices.ContainsFunc(g.Edges(), func(e dag.Edge) bool { return e.To == v && !placed[e.From] })
		})
		if next < 0 {
			return nil
		}
		placed[next] = true
		order = append(order, next)
	}
	return order
}

func vertices(g *dag.Graph) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for v := range g.Len() {
			if !yield(v) {
				return
			}
		}
	}
}

// obviousReach follows edges from v until nothing new is found; without is left
// out.
func obviousReach(g *dag.Graph, v int, without dag.Edge) []bool {
	reached := make([]bool, g.Len())
	reached[v] = true
	for again := true; again; {
		again = false
		for _, e := range g.Edges() {
			if reached[e.From] && !reached[e.To] && e != without {
				reached[e.To], again = true, true
			}
		}
	}
	return reached
}

// obviousReduced keeps the edges whose ends are not joined without them. In an
// acyclic graph that is the transitive reduction.
func obviousReduced(g *dag.Graph) []dag.Edge {
	kept := []dag.Edge{}
	for _, e := range g.Edges() {
		if !obviousReach(g, e.From, e)[e.To] {
			kept = append(kept, e)
		}
	}
	return kept
}

// simplePaths calls visit with every path that begins with path and repeats no
// vertex; lexically smaller ones first.
func simplePaths(g *dag.Graph, path []int, visit func([]int)) {
	visit(path)
	for _, e := range g.Edges() {
		if e.From == path[len(path)-1] && !slices.Contains(path, e.To) {
			simplePaths(g, append(slices.Clone(path), e.To), visit)
		}
	}
}

// obviousCycles enumerates all cycles and keeps the first of the shortest among
// those whose vertices lead to each other.
func obviousCycles(g *dag.Graph) []string {
	best := map[int][]int{} // by the lowest vertex of the component
	for v := range g.Len() {
		forward := obviousReach(g, v, dag.Edge{From: -1})
		component := v
		for u := range g.Len() {
			if forward[u] && obviousReach(g, u, dag.Edge{From: -1})[v] {
				component = min(component, u)
			}
		}
		simplePaths(g, []int{v}, func(path []int) {
			closes := slices.ContainsFunc(g.Edges(), func(e dag.Edge) bool { return e.From == path[len(path)-1] && e.To == v })
			if old := best[component]; closes && v == slices.Min(path) && (old == nil || len(path) < len(old)) {
				best[component] = path
			}
		})
	}
	var cycles [][]int
	for v := range g.Len() {
		if best[v] != nil {
			cycles = append(cycles, best[v])
		}
	}
	slices.SortFunc(cycles, func(a, b []int) int { return cmp.Or(len(a)-len(b), a[0]-b[0]) })
	var texts []string
	for _, c := range cycles {
		texts = append(texts, fmt.Sprint(c))
	}
	return texts
}

func TestParse(t *testing.T) {
	g := parse("a < b, c; b, c < d < e\nlone")
	if got, want := edgeList(g), "a < b, c; b < d; c < d; d < e"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if g.Len() != 6 {
		t.Errorf("%d vertices, want 6", g.Len())
	}
}
