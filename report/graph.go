package report

import (
	"fmt"
	"io"
	"strings"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Edge points from what is waited for to what waits.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kind string `json:"kind"` // depends_on, wants, after
}

// Edges lists the edges of a plan: by the task that waits, then by kind.
// Barriers between stages are not among them.
func Edges(p *scheduler.Plan) []Edge {
	edges := []Edge{}
	for _, t := range p.Tasks {
		for _, d := range t.DependsOn {
			edges = append(edges, Edge{p.Tasks[d].Name, t.Name, "depends_on"})
		}
		for _, d := range t.Wants {
			edges = append(edges, Edge{p.Tasks[d].Name, t.Name, "wants"})
		}
		for _, d := range t.After {
			edges = append(edges, Edge{p.Tasks[d].Name, t.Name, "after"})
		}
	}
	return edges
}

type criticalPath struct {
	Services []string `json:"services"`
	Expected *float64 `json:"expected_s"` // null until earlier boots are known
}

func criticalPathOf(p *scheduler.Plan) criticalPath {
	return criticalPath{Services: names(p, p.CriticalPath)}
}

// serviceDoc is what every JSON document says of a service.
type serviceDoc struct {
	Name      string      `json:"name"`
	Kind      config.Kind `json:"kind"`
	DependsOn []string    `json:"depends_on"`
	Wants     []string    `json:"wants"`
	After     []string    `json:"after"`
	Health    []healthDoc `json:"health"`
}

type healthDoc struct {
	Kind      string `json:"kind"`
	Port      uint16 `json:"port,omitempty"`
	Component string `json:"component,omitempty"`
}

func serviceDocOf(p *scheduler.Plan, t *scheduler.Task) serviceDoc {
	d := serviceDoc{Name: t.Name, Kind: kind(t), DependsOn: names(p, t.DependsOn), Wants: names(p, t.Wants), After: names(p, t.After), Health: []healthDoc{}}
	for _, h := range t.Service.Health {
		d.Health = append(d.Health, healthDoc{h.Kind, h.Port, h.Component})
	}
	return d
}

type graphDoc struct {
	FormatVersion int          `json:"format_version"`
	Name          string       `json:"name"`
	Stages        []graphStage `json:"stages"`
	Edges         []Edge       `json:"edges"`
	CriticalPath  criticalPath `json:"critical_path"`
}

type graphStage struct {
	Name      string       `json:"name"`
	OnFailure string       `json:"on_failure"`
	Services  []serviceDoc `json:"services"`
}

// WriteGraphJSON writes the graph as one document.
func WriteGraphJSON(w io.Writer, p *scheduler.Plan) error {
	doc := graphDoc{FormatVersion: scheduler.FormatVersion, Name: p.Name, Stages: []graphStage{}, Edges: Edges(p), CriticalPath: criticalPathOf(p)}
	for _, st := range p.Stages {
		s := graphStage{Name: st.Name, OnFailure: string(st.OnFailure), Services: []serviceDoc{}}
		for _, t := range st.Tasks {
			s.Services = append(s.Services, serviceDocOf(p, t))
		}
		doc.Stages = append(doc.Stages, s)
	}
	return writeJSON(w, doc)
}

// dotEdge is how each kind of edge is drawn: the weaker the wait, the weaker
// the line.
var dotEdge = map[string]string{"depends_on": "style=solid", "wants": "style=dashed", "after": "style=dotted"}

// WriteDOT writes the graph for graphviz: a cluster a stage, from left to
// right in boot order, joined by one barrier a boundary.
//
// gonum's encoder is not used: it passes names that look like <…> on as HTML,
// and writes Go's escapes, which graphviz doesn't know.
func WriteDOT(w io.Writer, p *scheduler.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n", dotQuote(p.Name))
	b.WriteString("  rankdir=LR; compound=true; newrank=true; fontname=\"sans-serif\"; nodesep=0.25; ranksep=0.6;\n")
	b.WriteString("  node [fontname=\"sans-serif\", fontsize=11, shape=box, style=\"rounded,filled\", fillcolor=white];\n")
	b.WriteString("  edge [fontname=\"sans-serif\", fontsize=9, arrowsize=0.7];\n")
	for i, st := range p.Stages {
		fmt.Fprintf(&b, "  subgraph %s {\n", dotQuote(fmt.Sprintf("cluster_%d", i)))
		fmt.Fprintf(&b, "    label=%s; style=\"rounded,filled\"; color=\"#b8c4d6\"; fillcolor=\"#f4f6fa\";\n", dotQuote(st.Name+"\n"+string(st.OnFailure)))
		for _, t := range st.Tasks {
			shape := ""
			if t.Policy.Job {
				shape = ", shape=cds, style=filled"
			}
			fmt.Fprintf(&b, "    n%d [label=%s%s];\n", t.ID, dotQuote(t.Name+"\n"+healthText(t)), shape)
		}
		b.WriteString("  }\n")
	}
	writeBarriers(&b, p)
	for _, t := range p.Tasks {
		for _, edge := range []struct {
			kind string
			ids  []int
		}{{"depends_on", t.DependsOn}, {"wants", t.Wants}, {"after", t.After}} {
			for _, d := range edge.ids {
				attributes := dotEdge[edge.kind]
				if p.Tasks[d].Stage != t.Stage {
					// The barrier keeps the order already; letting this edge
					// keep it too would pull the stages out of shape.
					attributes += ", constraint=false, color=\"#8a94a6\""
				}
				fmt.Fprintf(&b, "  n%d -> n%d [%s, tooltip=%s];\n", d, t.ID, attributes, dotQuote(edge.kind))
			}
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeBarriers joins each stage to the next by one vertex, reached from what
// nothing else of its stage waits for, and leading to what waits for nothing
// else of its own.
func writeBarriers(b *strings.Builder, p *scheduler.Plan) {
	last := map[int]bool{}  // nobody in its stage waits for it
	first := map[int]bool{} // waits for nobody in its stage
	for _, t := range p.Tasks {
		last[t.ID], first[t.ID] = true, true
	}
	for _, t := range p.Tasks {
		for _, list := range [][]int{t.DependsOn, t.Wants, t.After} {
			for _, d := range list {
				if p.Tasks[d].Stage == t.Stage {
					last[d], first[t.ID] = false, false
				}
			}
		}
	}
	for i := 0; i+1 < len(p.Stages); i++ {
		fmt.Fprintf(b, "  b%d [shape=point, width=0.08, color=\"#b8c4d6\", tooltip=%s];\n", i, dotQuote("barrier: "+p.Stages[i].Name+" is passed"))
		for _, t := range p.Stages[i].Tasks {
			if last[t.ID] {
				fmt.Fprintf(b, "  n%d -> b%d [color=\"#b8c4d6\", arrowhead=none, weight=0];\n", t.ID, i)
			}
		}
		for _, t := range p.Stages[i+1].Tasks {
			if first[t.ID] {
				fmt.Fprintf(b, "  b%d -> n%d [color=\"#b8c4d6\", weight=0];\n", i, t.ID)
			}
		}
		if i > 0 && len(p.Stages[i].Tasks) == 0 {
			fmt.Fprintf(b, "  b%d -> b%d [color=\"#b8c4d6\", arrowhead=none];\n", i-1, i)
		}
	}
}

// dotQuote writes any text as a quoted string of the DOT language, in which
// only the quote and the backslash mean something; a line break becomes the
// escape that centers a line. It never gives HTML.
func dotQuote(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(Clean(line))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
