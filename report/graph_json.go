package report

import (
	"io"

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
func Edges(p *scheduler.Plan) []Edge { return picture(p).edges() }

func (p *Picture) edges() []Edge {
	edges := []Edge{}
	for _, a := range p.Arrows {
		edges = append(edges, Edge{p.Boxes[a.From].Name, p.Boxes[a.To].Name, a.Wait.String()})
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
	return serviceDoc{Name: t.Name, Kind: kind(t), DependsOn: names(p, t.DependsOn), Wants: names(p, t.Wants), After: names(p, t.After), Health: healthDocs(t)}
}

func healthDocs(t *scheduler.Task) []healthDoc {
	docs := []healthDoc{}
	for _, h := range t.Service.Health {
		docs = append(docs, healthDoc{h.Kind, h.Port, h.Component})
	}
	return docs
}

type graphDoc struct {
	FormatVersion int          `json:"format_version"`
	Name          string       `json:"name"`
	Stages        []graphStage `json:"stages"`
	Edges         []Edge       `json:"edges"`
	CriticalPath  criticalPath `json:"critical_path"`
}

type graphStage struct {
	Name      string         `json:"name"`
	OnFailure string         `json:"on_failure"`
	Services  []graphService `json:"services"`
}

// graphService may stand for a collapsed stage: its kind is stage, and it says
// how many there are.
type graphService struct {
	serviceDoc
	Collapsed *collapsedDoc `json:"collapsed,omitempty"`
}

type collapsedDoc struct {
	Services int `json:"services"`
	Jobs     int `json:"jobs"`
}

// WriteGraphJSON writes a picture as one document.
func WriteGraphJSON(w io.Writer, p *Picture) error {
	doc := graphDoc{FormatVersion: scheduler.FormatVersion, Name: p.Name, Stages: []graphStage{}, Edges: p.edges(),
		CriticalPath: criticalPath{Services: p.names(p.Chain)}}
	for _, st := range p.Stages {
		doc.Stages = append(doc.Stages, graphStage{Name: st.Name, OnFailure: string(st.OnFailure), Services: []graphService{}})
	}
	arrows := p.byBox()
	for i := range p.Boxes {
		b := &p.Boxes[i]
		from := byWait(arrows[i])
		s := graphService{serviceDoc: serviceDoc{Name: b.Name, Kind: b.Kind,
			DependsOn: p.names(from[DependsOn]), Wants: p.names(from[Wants]), After: p.names(from[After]), Health: []healthDoc{}}}
		if b.Task != nil {
			s.Health = healthDocs(b.Task)
		} else {
			s.Collapsed = &collapsedDoc{b.Services, b.Jobs}
		}
		doc.Stages[b.Stage].Services = append(doc.Stages[b.Stage].Services, s)
	}
	return writeJSON(w, doc)
}

// byWait sorts what a box waits for by how.
func byWait(arrows []Arrow) (from [3][]int) {
	for _, a := range arrows {
		from[a.Wait] = append(from[a.Wait], a.From)
	}
	return from
}

func (p *Picture) names(boxes []int) []string {
	list := make([]string, len(boxes))
	for i, b := range boxes {
		list[i] = p.Boxes[b].Name
	}
	return list
}
