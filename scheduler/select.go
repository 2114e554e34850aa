package scheduler

import (
	"fmt"
	"slices"

	"github.com/agext/levenshtein"

	"bootgraph/config"
)

// Selection narrows a plan down to some of its services. The zero Selection is
// all of them.
type Selection struct {
	Targets  []string // services, with what they depend on and want, and the stages before them that block
	Stages   []string // all services of a stage
	Excludes []string // services, with what depends on them
}

// Select returns the plan of the selected services only.
func (p *Plan) Select(s Selection) (*Plan, error) {
	needs, needed := p.graph(dependsOnOrWants), p.graph(dependsOn)
	with := func(ids []int) []bool {
		chosen := needs.Ancestors(ids...)
		last := -1
		for id, in := range chosen {
			if in {
				last = max(last, p.Tasks[id].Stage)
			}
		}
		for i, st := range p.Stages {
			for _, t := range st.Tasks {
				chosen[t.ID] = chosen[t.ID] || i < last && st.OnFailure == config.Block
			}
		}
		return chosen
	}
	return p.narrow(s, with, func(ids []int) []bool { return needed.Descendants(ids...) })
}

// SelectDown returns the plan of the services that are to be stopped, for
// which the graph is walked backwards: a target takes along what depends on
// it, and an excluded service keeps what it depends on.
func (p *Plan) SelectDown(s Selection) (*Plan, error) {
	g := p.graph(dependsOn)
	return p.narrow(s,
		func(ids []int) []bool { return g.Descendants(ids...) },
		func(ids []int) []bool { return g.Ancestors(ids...) })
}

func (p *Plan) narrow(s Selection, with, without func(ids []int) []bool) (*Plan, error) {
	targets, err := p.find(s.Targets)
	if err != nil {
		return nil, err
	}
	excludes, err := p.find(s.Excludes)
	if err != nil {
		return nil, err
	}
	staged, err := p.inStages(s.Stages)
	if err != nil {
		return nil, err
	}
	chosen, left := with(targets), without(excludes)
	for _, id := range staged {
		chosen[id] = true
	}
	var tasks []*Task
	for _, t := range p.Tasks {
		all := len(s.Targets) == 0 && len(s.Stages) == 0
		if (all || chosen[t.ID]) && !(len(excludes) > 0 && left[t.ID]) {
			tasks = append(tasks, t)
		}
	}
	narrowed := &Plan{Name: p.Name, Stages: p.Stages}
	narrowed.renumber(tasks)
	if len(tasks) < len(p.Tasks) {
		narrowed.dropEmptyStages()
	}
	narrowed.measure()
	return narrowed, nil
}

// dropEmptyStages leaves out the stages that nothing was selected of.
func (p *Plan) dropEmptyStages() {
	p.Stages = slices.DeleteFunc(p.Stages, func(st Stage) bool { return len(st.Tasks) == 0 })
	for i, st := range p.Stages {
		for _, t := range st.Tasks {
			t.Stage = i
		}
	}
}

// WithoutStages leaves out whole stages and what their services depend on, for
// down --keep.
func (p *Plan) WithoutStages(names []string) (*Plan, error) {
	ids, err := p.inStages(names)
	if err != nil {
		return nil, err
	}
	var keep []string
	for _, id := range ids {
		keep = append(keep, p.Tasks[id].Name)
	}
	return p.SelectDown(Selection{Excludes: keep})
}

// Find returns the task of that name, or an error that names the nearest.
func (p *Plan) Find(name string) (*Task, error) {
	var all []string
	for _, t := range p.Tasks {
		if t.Name == name {
			return t, nil
		}
		all = append(all, t.Name)
	}
	for _, t := range p.Tasks {
		if t.Service.Label == name {
			return nil, fmt.Errorf("%s is several, name one of them, such as %s", name, t.Name)
		}
	}
	return nil, fmt.Errorf("there is no service or job %q%s", name, nearest(name, all))
}

// FindAll returns the task of that name, or those of all instances of the
// service or job with for_each that is called so in the file.
func (p *Plan) FindAll(name string) ([]*Task, error) {
	t, err := p.Find(name)
	if err == nil {
		return []*Task{t}, nil
	}
	var instances []*Task
	for _, t := range p.Tasks {
		if t.Service.Label == name {
			instances = append(instances, t)
		}
	}
	if len(instances) > 0 {
		err = nil
	}
	return instances, err
}

func (p *Plan) find(names []string) (ids []int, err error) {
	for _, name := range names {
		all, err := p.FindAll(name)
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			ids = append(ids, t.ID)
		}
	}
	return ids, nil
}

// FindStage returns the index of the stage of that name, or an error that
// names the nearest.
func (p *Plan) FindStage(name string) (int, error) {
	var all []string
	for i, st := range p.Stages {
		if st.Name == name {
			return i, nil
		}
		all = append(all, st.Name)
	}
	return 0, fmt.Errorf("there is no stage %q%s", name, nearest(name, all))
}

func (p *Plan) inStages(names []string) (ids []int, err error) {
	for _, name := range names {
		i, err := p.FindStage(name)
		if err != nil {
			return nil, err
		}
		for _, t := range p.Stages[i].Tasks {
			ids = append(ids, t.ID)
		}
	}
	return ids, nil
}

// nearest suggests a name that is at most two letters away, fewer for short ones.
func nearest(name string, known []string) string {
	best, distance := "", min(2, len(name)/2)+1
	for _, k := range known {
		if d := levenshtein.Distance(name, k, nil); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
