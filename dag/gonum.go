package dag

import (
	"slices"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/iterator"
)

// A Graph is one of gonum's. A node's ID is the index of the vertex; nodes are
// handed out in ascending order.
var _ graph.Directed = (*Graph)(nil)

// node is a vertex. gonum is given pointers into Graph.nodes, since every other
// value put into an interface would be allocated anew.
type node int64

// ID is the index of the vertex.
func (n *node) ID() int64 { return int64(*n) }

// line is an Edge whose ends are nodes.
type line struct{ from, to *node }

func (l line) From() graph.Node { return l.from }
func (l line) To() graph.Node   { return l.to }

// ReversedEdge returns the edge itself, as gonum asks of edges that have no
// reversal: "a after b" is not an edge of this graph.
func (l line) ReversedEdge() graph.Edge { return l }

func (g *Graph) exists(id int64) bool { return uint64(id) < uint64(g.Len()) }

// Node implements graph.Graph.
func (g *Graph) Node(id int64) graph.Node {
	if !g.exists(id) {
		return nil
	}
	return &g.nodes[id]
}

// Nodes implements graph.Graph.
func (g *Graph) Nodes() graph.Nodes {
	nodes := make([]graph.Node, g.Len())
	for v := range nodes {
		nodes[v] = &g.nodes[v]
	}
	return iterate(nodes)
}

// From implements graph.Graph.
func (g *Graph) From(id int64) graph.Nodes { return g.neighbours(g.out, id) }

// To implements graph.Directed.
func (g *Graph) To(id int64) graph.Nodes { return g.neighbours(g.in, id) }

func (g *Graph) neighbours(a adjacency, id int64) graph.Nodes {
	if !g.exists(id) {
		return graph.Empty
	}
	list := a.of(int(id))
	nodes := make([]graph.Node, len(list))
	for i, v := range list {
		nodes[i] = &g.nodes[v]
	}
	return iterate(nodes)
}

func iterate(nodes []graph.Node) graph.Nodes {
	if len(nodes) == 0 {
		return graph.Empty
	}
	return iterator.NewOrderedNodes(nodes)
}

// HasEdgeFromTo implements graph.Directed.
func (g *Graph) HasEdgeFromTo(from, to int64) bool {
	if !g.exists(from) || !g.exists(to) {
		return false
	}
	_, ok := slices.BinarySearch(g.out.of(int(from)), int32(to))
	return ok
}

// HasEdgeBetween implements graph.Graph.
func (g *Graph) HasEdgeBetween(x, y int64) bool {
	return g.HasEdgeFromTo(x, y) || g.HasEdgeFromTo(y, x)
}

// Edge implements graph.Graph.
func (g *Graph) Edge(from, to int64) graph.Edge {
	if !g.HasEdgeFromTo(from, to) {
		return nil
	}
	return line{&g.nodes[from], &g.nodes[to]}
}
