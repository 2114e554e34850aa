package dag_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bootgraph/dag"
)

func TestGraphsAsText(t *testing.T) {
	for _, c := range []struct{ name, graph, want string }{
		{"nothing", "", `
order:   
reduced: 
chains:  
longest: 
`},
		{"vertices without edges keep their order", "c; a; b", `
order:   c a b
reduced: 
chains:  1 1 1
longest: c
`},
		{"the lowest vertex goes first, as soon as it may", "d; a < b < c; x < d", `
order:   a b c x d
reduced: a < b; b < c; x < d
chains:  1 3 2 1 2
longest: a b c
`},
		{"an edge that a longer way implies is left out", "a < b < c < d; a < c, d; b < d", `
order:   a b c d
reduced: a < b; b < c; c < d
chains:  4 3 2 1
longest: a b c d
`},
		{"both ways round a diamond matter", "a < b, c < d; a < d", `
order:   a b c d
reduced: a < b, c; b < d; c < d
chains:  3 2 2 1
longest: a b d
`},
		{"an edge given twice counts once", "a < b; a < b < c; b < c", `
order:   a b c
reduced: a < b; b < c
chains:  3 2 1
longest: a b c
`},
		{"a vertex before itself is a cycle of length 1", "a < db < b; db < db", `
cycle:   db -2-> db
error:   cycle: db -> db
`},
		{"a cycle begins with its lowest vertex", "x; c < a < b < c < d", `
cycle:   c -0-> a -1-> b -2-> c
error:   cycle: c -> a -> b -> c
`},
		{"an edge given twice keeps its first label", "a < b; b < a; a < b; b < a", `
cycle:   a -0-> b -1-> a
error:   cycle: a -> b -> a
`},
		{"of cycles that share vertices the shortest is shown", "a < b < c < d < a; c < b", `
cycle:   b -1-> c -4-> b
error:   cycle: b -> c -> b
`},
		{"of equally short cycles the lexically smallest is shown", "a; b; c; d; a < d < a; a < c < a; a < b < a", `
cycle:   a -4-> b -5-> a
error:   cycle: a -> b -> a
`},
		{"two cycles apart from each other are both shown, the shorter first", "a < b < c < a; c < x; x < y < x", `
cycle:   x -4-> y -5-> x
cycle:   a -0-> b -1-> c -2-> a
error:   cycle: x -> y -> x (and 1 more)
`},
		{"equally short ones by their lowest vertices", "p; b < y < b; a < x < a; p < p", `
cycle:   p -4-> p
cycle:   b -0-> y -1-> b
cycle:   a -2-> x -3-> a
error:   cycle: p -> p (and 2 more)
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, want := describe(parse(c.graph)), strings.TrimPrefix(c.want, "\n"); got != want {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.graph, got, want)
			}
		})
	}
}

func TestNamesAreUnique(t *testing.T) {
	var b dag.Builder
	b.AddVertex("a")
	first, _ := b.AddVertex("b")
	if again, ok := b.AddVertex("b"); ok || again != first {
		t.Errorf("second b: %d, %v; want %d, false", again, ok, first)
	}
	if v, ok := b.AddBarrier("b", []int{0}, nil, 0); ok || v != first {
		t.Errorf("barrier b: %d, %v; want %d, false", v, ok, first)
	}
	g := b.Graph()
	if g.Len() != 2 || len(g.Edges()) != 0 {
		t.Errorf("a refused barrier left something behind: %d vertices, edges %v", g.Len(), g.Edges())
	}
	if v, ok := g.Index("b"); !ok || v != first || g.Name(v) != "b" {
		t.Errorf("b is %d, %v", v, ok)
	}
	if _, ok := g.Index("c"); ok {
		t.Error("c is there")
	}
}

func TestEdgeOfUnknownVertexPanics(t *testing.T) {
	for _, e := range [][2]int{{0, 1}, {1, 0}, {-1, 0}, {0, -1}} {
		func() {
			defer func() {
				if want := fmt.Sprintf("dag: edge %d -> %d in a graph of 1 vertices", e[0], e[1]); recover() != want {
					t.Errorf("want panic %q", want)
				}
			}()
			var b dag.Builder
			b.AddVertex("a")
			b.AddEdge(e[0], e[1], 0)
		}()
	}
}

func TestGraphLeavesTheBuilderEmpty(t *testing.T) {
	var b dag.Builder
	b.AddVertex("a")
	first := b.Graph()
	v, ok := b.AddVertex("b")
	if !ok || v != 0 || first.Len() != 1 || first.Name(0) != "a" {
		t.Errorf("b is %d, %v beside %q", v, ok, first.Name(0))
	}
	if _, ok := first.Index("b"); ok {
		t.Error("the first graph knows b")
	}
}

// A barrier orders all of one side before all of the other with as many edges
// as there are vertices, not with their product.
func TestBarrier(t *testing.T) {
	var b dag.Builder
	var stages [3][]int
	for s, names := range [3]string{"db dns ca", "", "web api"} {
		for name := range strings.FieldsSeq(names) {
			v, _ := b.AddVertex(name)
			stages[s] = append(stages[s], v)
		}
	}
	first, _ := b.AddBarrier("|1", stages[0], stages[1], 7)
	b.AddBarrier("|2", append(stages[1], first), stages[2], 7)
	g := b.Graph()
	if got, want := edgeList(g), "db < |1; dns < |1; ca < |1; |1 < |2; |2 < web, api"; got != want {
		t.Errorf("edges: %s\nwant:  %s", got, want)
	}
	if got, want := nameList(g, mustOrder(t, g)), "db dns ca |1 |2 web api"; got != want {
		t.Errorf("order: %s\nwant:  %s", got, want)
	}
	for _, e := range g.Edges() {
		if e.Label != 7 {
			t.Errorf("label of %v, want 7", e)
		}
	}
}

func TestReachability(t *testing.T) {
	g := parse("a < b < c; b < d; x < y < x; lone")
	for _, c := range []struct{ of, descendants, ancestors string }{
		{"", "", ""},
		{"a", "a b c d", "a"},
		{"b", "b c d", "a b"},
		{"d", "d", "a b d"},
		{"c d", "c d", "a b c d"},
		{"c c x", "c x y", "a b c x y"},
		{"lone", "lone", "lone"},
	} {
		var of []int
		for name := range strings.FieldsSeq(c.of) {
			v, _ := g.Index(name)
			of = append(of, v)
		}
		if got := nameSet(g, g.Descendants(of...)); got != c.descendants {
			t.Errorf("descendants of %q: %q, want %q", c.of, got, c.descendants)
		}
		if got := nameSet(g, g.Ancestors(of...)); got != c.ancestors {
			t.Errorf("ancestors of %q: %q, want %q", c.of, got, c.ancestors)
		}
	}
}

func TestLongestPathByWeight(t *testing.T) {
	for _, c := range []struct{ name, graph, weights, want string }{
		{"fewer vertices may weigh more", "a < b < c; a < d", "1 1 1 5", "a d: 6"},
		{"weight is of the vertex, not of the edge", "a < c; b < c", "1 2 3", "b c: 5"},
		{"ties go to the lower vertex", "a < c, b < d", "1 2 2 1", "a c d: 4"},
		{"the path is whole where vertices weigh nothing", "m < z; a < m", "0 0 0", "a m z: 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := parse(c.graph)
			weights := strings.Fields(c.weights)
			chains := g.Chains(mustOrder(t, g), func(v int) float64 { return float64(weights[v][0] - '0') })
			path := g.LongestPath(chains)
			if got := fmt.Sprintf("%s: %v", nameList(g, path), chains[path[0]]); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCyclesOfLargeGraphs(t *testing.T) {
	for _, c := range []struct {
		name   string
		graph  *dag.Graph
		cycles int
		length int
		begins string
	}{
		{"complete digraph of 30", complete(30), 1, 2, "0 1"},
		{"complete digraph of 500", complete(500), 1, 2, "0 1"},
		{"36 layers of 3 closed to a ring", layers(36, 3, byLayer, true), 1, 36, "0 3 6"},
		{"36 layers of 3 in columns", layers(36, 3, byColumn, true), 1, 36, "0 1 2"},
		{"2000 layers of 3 closed to a ring", layers(2000, 3, byLayer, true), 1, 2000, "0 3 6"},
		{"ring of 10000", ring(10_000), 1, 10_000, "0 1 2"},
		{"5000 pairs", pairs(10_000), dag.MaxCycles, 2, "0 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cycles := c.graph.Cycles()
			if len(cycles) != c.cycles || len(cycles[0]) != c.length {
				t.Fatalf("%d cycles, the first of length %d; want %d and %d", len(cycles), len(cycles[0]), c.cycles, c.length)
			}
			var path []int
			for i, e := range cycles[0] {
				if next := cycles[0][(i+1)%c.length]; e.To != next.From {
					t.Fatalf("edge %v is followed by %v", e, next)
				}
				path = append(path, e.From)
			}
			if got := nameList(c.graph, path); !strings.HasPrefix(got+" ", c.begins+" ") {
				t.Errorf("begins %.20s, want %s", got, c.begins)
			}
		})
	}
}

func TestLargeAcyclicGraphs(t *testing.T) {
	for _, c := range []struct {
		name             string
		graph            *dag.Graph
		reduced, longest int
	}{
		{"36 layers of 3", layers(36, 3, byColumn, false), 35 * 9, 36},
		{"1000 layers of 10", layers(1000, 10, byLayer, false), 999 * 100, 1000},
		{"chain of 10000", layers(10_000, 1, byLayer, false), 9999, 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			order := mustOrder(t, c.graph)
			if n := len(c.graph.Reduce(order).Edges()); n != c.reduced {
				t.Errorf("%d edges after reduction, want %d", n, c.reduced)
			}
			if n := len(c.graph.LongestPath(c.graph.Chains(order, one))); n != c.longest {
				t.Errorf("longest path has %d vertices, want %d", n, c.longest)
			}
			if cycles := c.graph.Cycles(); cycles != nil {
				t.Errorf("cycles %v", cycles)
			}
			if all := c.graph.Descendants(c.graph.LongestPath(c.graph.Chains(order, one))[0]); !all[order[len(order)-1]] {
				t.Error("the last vertex can't be reached from the first")
			}
		})
	}
}

func TestCycleErrorIsShort(t *testing.T) {
	_, err := ring(10_000).Order()
	want := "cycle: 0 -> 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> 7 -> 8 -> 9 -> 10 -> 11 -> 12 -> 13 -> 14 -> 15 -> 16 -> 17 -> 18 -> 19 -> (9980 more) -> 0"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	cycle, ok := errors.AsType[*dag.CycleError](err)
	if !ok || cycle.Code() != "cycle" || len(cycle.Cycles[0]) != 10_000 {
		t.Errorf("%T carries no cycle", err)
	}
}

// The same input gives the same bytes, run after run, and the order in which
// edges are added changes nothing but whose label is first.
func TestSameInputSameAnswer(t *testing.T) {
	texts := []string{"f < e < d; c < b < a; a, f < x < y", "a < b, c, d < a; d < e < d; q < r < s < q; z < z"}
	for _, text := range texts {
		want := describe(parse(text))
		for range 100 {
			if got := describe(parse(text)); got != want {
				t.Fatalf("got:\n%s\nwant:\n%s", got, want)
			}
		}
	}
	declare := "a; b; c; d; e; "
	statements := []string{"a < b", "a < c", "b < d", "c < d", "a < d", "d < e", "b < e"}
	want := describe(parse(declare + strings.Join(statements, "; ")))
	for range statements {
		statements = append(statements[1:], statements[0])
		if got := describe(parse(declare + strings.Join(statements, "; "))); got != want {
			t.Fatalf("%v\ngot:\n%s\nwant:\n%s", statements, got, want)
		}
	}
	if g := complete(30); !slices.EqualFunc(g.Cycles(), complete(30).Cycles(), slices.Equal) {
		t.Error("two complete digraphs show different cycles")
	}
}
