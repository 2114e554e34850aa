package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"bootgraph/config"
)

// dotStyle is how each kind of arrow is drawn: the weaker the wait, the weaker
// the line.
var dotStyle = [...]string{DependsOn: "solid", Wants: "dashed", After: "dotted"}

// WriteDOT writes a picture for graphviz: a cluster a stage, from left to
// right in boot order, joined by one barrier a boundary.
//
// gonum's encoder is not used: it passes names that look like <…> on as HTML,
// and writes Go's escapes, which graphviz doesn't know.
func WriteDOT(w io.Writer, p *Picture) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "digraph %s {\n", dotQuote(p.Name))
	fmt.Fprint(out, "  rankdir=LR; compound=true; newrank=true; fontname=\"sans-serif\"; nodesep=0.25; ranksep=0.6;\n")
	fmt.Fprint(out, "  node [fontname=\"sans-serif\", fontsize=11, shape=box, style=\"rounded,filled\", fillcolor=white];\n")
	fmt.Fprint(out, "  edge [fontname=\"sans-serif\", fontsize=9, arrowsize=0.7];\n")
	critical, steps := p.critical()
	for stage, boxes := range p.byStage() {
		st := p.Stages[stage]
		fmt.Fprintf(out, "  subgraph %s {\n", dotQuote(fmt.Sprintf("cluster_%d", stage)))
		fmt.Fprintf(out, "    label=%s; style=\"rounded,filled\"; color=\"#b8c4d6\"; fillcolor=\"#f4f6fa\";\n", dotQuote(st.Name+"\n"+string(st.OnFailure)))
		for _, b := range boxes {
			fmt.Fprintf(out, "    n%d [label=%s%s];\n", b, dotQuote(p.Boxes[b].Name+"\n"+p.Boxes[b].checks()), dotShape(&p.Boxes[b], critical[b]))
		}
		fmt.Fprint(out, "  }\n")
	}
	p.writeBarriers(out)
	for _, a := range p.Arrows {
		attributes := "style=" + dotStyle[a.Wait]
		if p.Boxes[a.From].Stage != p.Boxes[a.To].Stage {
			// The barrier keeps the order already; letting this edge keep it
			// too would pull the stages out of shape.
			attributes += ", constraint=false, color=\"#8a94a6\""
		}
		if steps[[2]int{a.From, a.To}] {
			attributes += ", penwidth=2.5"
		}
		fmt.Fprintf(out, "  n%d -> n%d [%s, tooltip=%s];\n", a.From, a.To, attributes, dotQuote(a.Wait.String()))
	}
	fmt.Fprint(out, "}\n")
	return out.Flush()
}

func dotShape(b *Box, critical bool) (s string) {
	switch b.Kind {
	case config.KindJob:
		s = ", shape=cds, style=filled"
	case KindStage:
		s = ", shape=box3d, style=filled"
	}
	if critical {
		s += ", penwidth=2.5"
	}
	return s
}

// critical tells which boxes and which steps from one to the next are on the
// critical path.
func (p *Picture) critical() (boxes []bool, steps map[[2]int]bool) {
	boxes, steps = make([]bool, len(p.Boxes)), map[[2]int]bool{}
	for i, b := range p.Chain {
		boxes[b] = true
		if i > 0 {
			steps[[2]int{p.Chain[i-1], b}] = true
		}
	}
	return boxes, steps
}

// writeBarriers joins each stage to the next by one vertex.
func (p *Picture) writeBarriers(w io.Writer) {
	for i, bar := range p.barriers() {
		fmt.Fprintf(w, "  b%d [shape=point, width=0.08, color=\"#b8c4d6\", tooltip=%s];\n", i, dotQuote("barrier: "+p.Stages[i].Name+" is passed"))
		for _, b := range bar.before {
			fmt.Fprintf(w, "  n%d -> b%d [color=\"#b8c4d6\", arrowhead=none, weight=0];\n", b, i)
		}
		for _, b := range bar.after {
			fmt.Fprintf(w, "  b%d -> n%d [color=\"#b8c4d6\", weight=0];\n", i, b)
		}
		if i > 0 && len(bar.before) == 0 { // of an empty stage
			fmt.Fprintf(w, "  b%d -> b%d [color=\"#b8c4d6\", arrowhead=none];\n", i-1, i)
		}
	}
}

// boundary is a barrier with the boxes next to it: what nothing else of its
// stage waits for, and what waits for nothing else of its own.
type boundary struct{ before, after []int }

func (p *Picture) barriers() []boundary {
	waitedFor, waiting := make([]bool, len(p.Boxes)), make([]bool, len(p.Boxes)) // in its own stage
	for _, a := range p.Arrows {
		if p.Boxes[a.From].Stage == p.Boxes[a.To].Stage {
			waitedFor[a.From], waiting[a.To] = true, true
		}
	}
	list := make([]boundary, max(len(p.Stages)-1, 0))
	for i, b := range p.Boxes {
		if b.Stage < len(list) && !waitedFor[i] {
			list[b.Stage].before = append(list[b.Stage].before, i)
		}
		if b.Stage > 0 && !waiting[i] {
			list[b.Stage-1].after = append(list[b.Stage-1].after, i)
		}
	}
	return list
}

var dotEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// dotQuote writes any text as a quoted string of the DOT language, in which
// only the quote and the backslash mean something; a line break becomes the
// escape that centers a line. It never gives HTML.
func dotQuote(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = dotEscapes.Replace(Clean(line))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
