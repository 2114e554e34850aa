package report

import (
	"io"
	"time"

	"bootgraph/analysis"
	"bootgraph/scheduler"
)

type analysisDoc struct {
	FormatVersion int               `json:"format_version"`
	Name          string            `json:"name"`
	Run           string            `json:"run"`
	Began         time.Time         `json:"began"`
	Took          float64           `json:"took_s"`
	Outcome       scheduler.Ending  `json:"outcome"` // "": it came to no end
	Baseline      *baselineDoc      `json:"baseline"`
	Stages        []analysedStage   `json:"stages"`
	Services      []analysedService `json:"services"`
	Chain         []analysedLink    `json:"critical_chain"` // last first
	Barriers      []analysedBarrier `json:"barriers"`
}

type baselineDoc struct {
	Boots   int           `json:"boots"`
	Usual   float64       `json:"usual_s"`
	More    float64       `json:"more_s"`
	Changes []baselineRow `json:"changes"`
}

type baselineRow struct {
	Service  string  `json:"service"`
	More     float64 `json:"more_s"`
	Critical bool    `json:"critical"`
}

type analysedStage struct {
	Name   string   `json:"name"`
	Opened *float64 `json:"opened_s"` // null: it was not reached
	Closed *float64 `json:"closed_s"`
}

type analysedService struct {
	Service    string              `json:"service"`
	Stage      string              `json:"stage"`
	State      scheduler.State     `json:"state"`
	Attempts   int                 `json:"attempts"`
	Falls      int                 `json:"falls"`
	Kept       bool                `json:"kept"`
	Cause      string              `json:"cause"`
	Own        float64             `json:"own_s"`
	Waited     float64             `json:"waited_s"`
	Settled    float64             `json:"settled_s"`
	Slack      float64             `json:"slack_s"`
	Critical   bool                `json:"critical"`
	Phases     []analysedPhase     `json:"phases"`
	Containers []analysedContainer `json:"containers"`
}

type analysedPhase struct {
	Kind analysis.Kind `json:"phase"`
	From float64       `json:"from_s"`
	To   float64       `json:"to_s"`
	For  string        `json:"for,omitempty"` // the last service that it waited for
	Via  string        `json:"via,omitempty"` // depends_on, wants, after, stage
}

type analysedContainer struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Started time.Time `json:"started_at"`
}

type analysedLink struct {
	Service string  `json:"service"`
	At      float64 `json:"at_s"`
	Took    float64 `json:"took_s"`
	Via     string  `json:"via"` // what the one before is to it
}

type analysedBarrier struct {
	Before  string  `json:"before"` // stage
	At      float64 `json:"at_s"`
	Slowest string  `json:"slowest"`
	Cost    float64 `json:"cost_s"`
}

// inSeconds are those of events: to the microsecond.
func inSeconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Second)
}

// WriteAnalysisJSON writes all that is known of where the time of a boot went
// as one document.
func WriteAnalysisJSON(w io.Writer, a *Analysed) error {
	doc := analysisDoc{FormatVersion: scheduler.FormatVersion, Name: a.Name, Run: a.Run, Began: a.Began.UTC(), Took: inSeconds(a.Took), Outcome: a.Outcome,
		Baseline: baselineDocOf(a.Baseline), Stages: []analysedStage{}, Services: []analysedService{}, Chain: []analysedLink{}, Barriers: []analysedBarrier{}}
	for _, st := range a.Stages {
		line := analysedStage{Name: st.Name}
		if st.Reached {
			opened, closed := inSeconds(st.Opened), inSeconds(st.Closed)
			line.Opened, line.Closed = &opened, &closed
		}
		doc.Stages = append(doc.Stages, line)
	}
	for i := range a.Services {
		doc.Services = append(doc.Services, a.serviceDoc(i))
	}
	for _, l := range a.Chain {
		doc.Chain = append(doc.Chain, analysedLink{a.Services[l.Service].Name, inSeconds(l.At), inSeconds(l.Took()), l.Via})
	}
	for _, x := range a.Barriers {
		doc.Barriers = append(doc.Barriers, analysedBarrier{a.Stages[x.Before].Name, inSeconds(x.At), a.nameOf(x.Slowest), inSeconds(x.Cost)})
	}
	return writeJSON(w, doc)
}

func (a *Analysed) nameOf(i int) string {
	if i < 0 {
		return ""
	}
	return a.Services[i].Name
}

func (a *Analysed) serviceDoc(i int) analysedService {
	s := &a.Services[i]
	doc := analysedService{Service: s.Name, Stage: a.Stages[s.Stage].Name, State: s.State, Attempts: s.Attempts, Falls: s.Falls, Kept: s.Kept, Cause: s.Cause.Text,
		Own: inSeconds(s.Own()), Waited: inSeconds(s.Of(analysis.Pending, analysis.Waiting, analysis.Queued)), Settled: inSeconds(s.Settled()),
		Slack: inSeconds(a.Slack[i]), Critical: a.critical[i], Phases: []analysedPhase{}, Containers: []analysedContainer{}}
	for _, p := range s.Phases {
		doc.Phases = append(doc.Phases, analysedPhase{p.Kind, inSeconds(p.From), inSeconds(p.To), a.nameOf(p.For), p.Via})
	}
	for _, c := range s.Started {
		doc.Containers = append(doc.Containers, analysedContainer{c.Container, c.ID, c.StartedAt.UTC()})
	}
	return doc
}

func baselineDocOf(b *analysis.Baseline) *baselineDoc {
	if b == nil {
		return nil
	}
	doc := &baselineDoc{Boots: b.Boots, Usual: inSeconds(b.Usual), More: inSeconds(b.More), Changes: []baselineRow{}}
	for _, c := range b.Changes {
		doc.Changes = append(doc.Changes, baselineRow{c.Service, inSeconds(c.More), c.Critical})
	}
	return doc
}
