package scheduler

import (
	"cmp"
	"slices"
	"time"

	"bootgraph/config"
)

// Plan is a configuration compiled for booting: who there is, in an order
// that never changes for the same input, who waits for whom, and how long.
type Plan struct {
	Name   string
	Stages []Stage
	Tasks  []*Task // by ID
	// CriticalPath is the chain that takes the most steps through all
	// stages, by task ID, barriers included.
	CriticalPath []int
}

// Stage is a barrier's worth of tasks.
type Stage struct {
	Name      string
	OnFailure config.OnFailure
	Timeout   time.Duration
	Tasks     []*Task // by ID
	// Worst is the longest the stage can take: the longest chain in it, each
	// attempt of each task with its whole timeout and its backoff. It has no
	// meaning where the stage blocks.
	Worst time.Duration
}

// edges are who waits for whom, in the order of the plan.
func (p *Plan) edges() []EdgeNames {
	n := 0
	for _, t := range p.Tasks {
		n += len(t.DependsOn) + len(t.Wants) + len(t.After)
	}
	list := make([]EdgeNames, 0, n)
	for _, t := range p.Tasks {
		for _, kind := range []struct {
			name string
			from []int
		}{{"depends_on", t.DependsOn}, {"wants", t.Wants}, {"after", t.After}} {
			for _, d := range kind.from {
				list = append(list, EdgeNames{p.Tasks[d].Name, t.Name, kind.name})
			}
		}
	}
	return list
}

// queue are the tasks in the order in which they start, wherever there is a
// choice: by stage, then the longest chain in it that still hangs on a task, by
// what each has taken; if that is not known, in steps, which is the order of
// their IDs. A new service is taken to be as the middle one of the others.
func (p *Plan) queue(took []time.Duration) []*Task {
	known := slices.DeleteFunc(slices.Sorted(slices.Values(took)), func(d time.Duration) bool { return d == 0 })
	if len(known) == 0 {
		return p.Tasks
	}
	chains := p.chains(func(t *Task) float64 { return cmp.Or(took[t.ID], known[len(known)/2]).Seconds() })
	queue := slices.Clone(p.Tasks)
	slices.SortStableFunc(queue, func(a, b *Task) int {
		return cmp.Or(a.Stage-b.Stage, cmp.Compare(chains[b.ID], chains[a.ID]))
	})
	return queue
}

// Task is a service or a job on its way through a boot. IDs follow the stage,
// then the longest chain that still hangs on a task, in steps, then the order of
// the file.
type Task struct {
	ID        int
	Stage     int // index into Plan.Stages
	Name      string
	DependsOn []int // task IDs: ready before this one starts
	Wants     []int // settled before this one starts
	After     []int // started before this one starts
	Policy    Policy
	Timeout   time.Duration // of an attempt, from its own start
	Service   *config.Service
}
