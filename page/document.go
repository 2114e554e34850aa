package page

import (
	"math"
	"time"

	"bootgraph/scheduler"
)

// document is what the page asks for again and again. It has the services that
// have changed since a version, so that it is short most of the time.
type document struct {
	FormatVersion int          `json:"format_version"`
	Page          string       `json:"page"`
	Version       uint64       `json:"version"`
	Planned       uint64       `json:"planned"` // another one: another graph
	Whole         bool         `json:"whole"`   // all services are in it
	Now           time.Time    `json:"now"`
	Name          string       `json:"name"`
	Said          string       `json:"said"`
	Boot          *bootDoc     `json:"boot"` // null: none has begun
	Stages        []stageDoc   `json:"stages"`
	Services      []serviceDoc `json:"services"`
}

type bootDoc struct {
	Run     string           `json:"run"`
	Began   time.Time        `json:"began"`
	Elapsed *float64         `json:"elapsed_s"` // null: it goes on
	Usual   *float64         `json:"usual_s"`   // null: not known
	Outcome scheduler.Ending `json:"outcome"`
}

// Seconds are since the boot began.
type stageDoc struct {
	Name      string           `json:"name"`
	OnFailure string           `json:"on_failure"`
	Began     *float64         `json:"began_s"`
	Ended     *float64         `json:"ended_s"`
	Outcome   scheduler.Ending `json:"outcome"`
}

type serviceDoc struct {
	ID       int             `json:"id"`
	Name     string          `json:"name"`
	Stage    int             `json:"stage"`
	Job      bool            `json:"job"`
	State    scheduler.State `json:"state"`
	Since    *time.Time      `json:"since"`
	Until    *time.Time      `json:"until"`
	Attempt  int             `json:"attempt"`
	Restarts int             `json:"restarts"`
	Cause    string          `json:"cause"`
	Root     string          `json:"root"`
	Needs    []needDoc       `json:"needs"`
	Spans    []spanDoc       `json:"spans"`
}

type needDoc struct {
	ID   int    `json:"id"`
	Kind string `json:"kind"`
}

type spanDoc struct {
	Phase phase    `json:"phase"`
	From  float64  `json:"from_s"`
	To    *float64 `json:"to_s"` // null: it goes on
}

// document tells what has changed after a version of the page called id. Of
// another page, or another plan, that is everything.
func (p *Page) document(id string, after uint64) document {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.board
	d := document{FormatVersion: scheduler.FormatVersion, Page: p.id, Version: b.version, Planned: b.planned, Whole: id != p.id || after < b.planned,
		Now: time.Now().UTC(), Name: b.plan.Name, Said: b.said, Stages: []stageDoc{}, Services: []serviceDoc{}}
	if !b.began.IsZero() {
		d.Boot = &bootDoc{b.run, b.began.UTC(), b.seconds(b.ended), nil, b.outcome}
		if b.usual > 0 {
			d.Boot.Usual = b.seconds(b.began.Add(b.usual))
		}
	}
	for i, st := range b.plan.Stages {
		d.Stages = append(d.Stages, stageDoc{st.Name, string(st.OnFailure), b.seconds(b.stages[i].began), b.seconds(b.stages[i].ended), b.stages[i].outcome})
	}
	for _, s := range b.services {
		if d.Whole || s.version > after {
			d.Services = append(d.Services, b.serviceDoc(s))
		}
	}
	return d
}

func (b *board) serviceDoc(s *service) serviceDoc {
	d := serviceDoc{ID: s.task.ID, Name: s.task.Name, Stage: s.task.Stage, Job: s.task.Policy.Job, State: s.State, Since: moment(s.Since), Until: moment(s.until),
		Attempt: s.Attempt, Restarts: s.restarts, Cause: s.Cause.Text, Root: s.Cause.Root, Needs: []needDoc{}, Spans: []spanDoc{}}
	for _, of := range []struct {
		kind string
		ids  []int
	}{{"depends_on", s.task.DependsOn}, {"wants", s.task.Wants}, {"after", s.task.After}} {
		for _, id := range of.ids {
			d.Needs = append(d.Needs, needDoc{id, of.kind})
		}
	}
	for _, v := range s.spans {
		d.Spans = append(d.Spans, spanDoc{v.phase, *b.seconds(v.from), b.seconds(v.to)})
	}
	return d
}

// seconds are since the boot began, to the millisecond; nil for no time.
func (b *board) seconds(at time.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	s := math.Round(at.Sub(b.began).Seconds()*1e3) / 1e3
	return &s
}

func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// standing is for who makes the chain of a why.
func (p *Page) standing() Standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Standing{Plan: p.board.plan, Booting: p.board.booting()}
	for _, v := range p.board.services {
		s.Stands = append(s.Stands, v.Stand)
	}
	return s
}
