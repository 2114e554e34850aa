package report

import (
	"fmt"
	"slices"

	"bootgraph/config"
	"bootgraph/dag"
	"bootgraph/scheduler"
)

// Picture is a plan, or a part of one, as the graph command shows it. Focus,
// stages, reduction and collapsed stages are worked out here, once; a writer
// of a format only writes what is in a picture.
type Picture struct {
	Name   string
	Stages []PictureStage // in boot order
	Boxes  []Box          // by stage, then in plan order: what is waited for comes first
	Arrows []Arrow        // by the box that waits, then by kind, then by the box waited for
	Chain  []int          // the boxes of the plan's critical path, in its order
}

// PictureStage is a stage with what it does about a service that isn't ready.
type PictureStage struct {
	Name      string
	OnFailure config.OnFailure
}

// KindStage is the kind of the box that a collapsed stage is drawn as.
const KindStage config.Kind = "stage"

// Box is a service or a job, or all that is shown of a collapsed stage.
type Box struct {
	Name           string
	Kind           config.Kind
	Stage          int             // index into Picture.Stages
	Task           *scheduler.Task // nil: a collapsed stage
	Services, Jobs int             // how many it stands for
	Focus          bool            // what the picture is about
	Sure           bool            // ready, whenever the boot gets past its stage
}

// checks says what makes a box ready, or what a collapsed stage is made of.
func (b *Box) checks() string {
	switch {
	case b.Task != nil:
		return healthText(b.Task)
	case b.Jobs == 0:
		return Count(b.Services, "service")
	case b.Services == 0:
		return Count(b.Jobs, "job")
	}
	return Count(b.Services, "service") + ", " + Count(b.Jobs, "job")
}

func (b *Box) add(other *Box) {
	b.Services += other.Services
	b.Jobs += other.Jobs
}

// Arrow leads from what is waited for to what waits: two indices of boxes.
type Arrow struct {
	From, To int
	Wait     Wait
}

// Wait is how one box waits for another, the strongest first.
type Wait int

const (
	DependsOn Wait = iota
	Wants
	After
)

var waits = []Wait{DependsOn, Wants, After}

func (w Wait) String() string { return [...]string{"depends_on", "wants", "after"}[w] }

// View says what a picture shows of a plan. The zero View is all of it.
type View struct {
	Focus    string   // a service or job, with what it waits for and what waits for it
	Depth    int      // at most so many steps from the focus; 0: any number
	Up, Down bool     // only what the focus waits for, or only what waits for it; neither is both
	Stages   []string // only what is in these
	Reduce   bool     // only the arrows without which the boot would be another
	Collapse []string // stages that are one box each
}

// Draw makes the picture of a plan. Its steps have this order for a reason: an
// arrow is reduced only by what is shown, and by services, not by stages that
// were collapsed over them.
func Draw(plan *scheduler.Plan, v View) (*Picture, error) {
	p := picture(plan)
	if v.Focus != "" {
		t, err := plan.Find(v.Focus)
		if err != nil {
			return nil, err
		}
		p.focus(t.ID, v)
	}
	shown, err := stageSet(plan, v.Stages)
	if err != nil {
		return nil, err
	}
	collapsed, err := stageSet(plan, v.Collapse)
	if err != nil {
		return nil, err
	}
	if len(v.Stages) > 0 {
		p.keepStages(shown)
	}
	if v.Reduce {
		p.reduce()
	}
	p.collapse(collapsed)
	return p, nil
}

func stageSet(plan *scheduler.Plan, names []string) (map[string]bool, error) {
	set := map[string]bool{}
	for _, name := range names {
		if _, err := plan.FindStage(name); err != nil {
			return nil, err
		}
		set[name] = true
	}
	return set, nil
}

// picture is all of a plan. Boxes have the numbers of their tasks.
func picture(plan *scheduler.Plan) *Picture {
	p := &Picture{Name: plan.Name, Chain: slices.Clone(plan.CriticalPath)}
	for _, st := range plan.Stages {
		p.Stages = append(p.Stages, PictureStage{st.Name, st.OnFailure})
	}
	for _, t := range plan.Tasks {
		b := Box{Name: t.Name, Kind: kind(t), Stage: t.Stage, Task: t, Sure: plan.Stages[t.Stage].OnFailure != config.Continue}
		if t.Policy.Job {
			b.Jobs = 1
		} else {
			b.Services = 1
		}
		p.Boxes = append(p.Boxes, b)
		for i, ids := range [][]int{t.DependsOn, t.Wants, t.After} {
			for _, d := range ids {
				p.Arrows = append(p.Arrows, Arrow{d, t.ID, waits[i]})
			}
		}
	}
	return p
}

// byStage lists the boxes of each stage.
func (p *Picture) byStage() [][]int {
	list := make([][]int, len(p.Stages))
	for i, b := range p.Boxes {
		list[b.Stage] = append(list[b.Stage], i)
	}
	return list
}

// byBox lists the arrows that lead to each box.
func (p *Picture) byBox() [][]Arrow {
	list := make([][]Arrow, len(p.Boxes))
	for _, a := range p.Arrows {
		list[a.To] = append(list[a.To], a)
	}
	return list
}

// focus keeps a box and what is at most v.Depth arrows away from it. Barriers
// are not followed: over them, everything waits for all that came before.
func (p *Picture) focus(box int, v View) {
	p.Boxes[box].Focus = true
	kept := make([]bool, len(p.Boxes))
	walk := func(next [][]int) {
		near := []int{box}
		seen := map[int]bool{box: true}
		for step := 1; len(near) > 0; step++ {
			var far []int
			for _, b := range near {
				kept[b] = true
				for _, n := range next[b] {
					if !seen[n] && (v.Depth == 0 || step <= v.Depth) {
						seen[n] = true
						far = append(far, n)
					}
				}
			}
			near = far
		}
	}
	up, down := make([][]int, len(p.Boxes)), make([][]int, len(p.Boxes))
	for _, a := range p.Arrows {
		up[a.To] = append(up[a.To], a.From)
		down[a.From] = append(down[a.From], a.To)
	}
	if v.Up || !v.Down {
		walk(up)
	}
	if v.Down || !v.Up {
		walk(down)
	}
	p.keep(kept)
}

func (p *Picture) keepStages(shown map[string]bool) {
	kept := make([]bool, len(p.Boxes))
	for i, b := range p.Boxes {
		kept[i] = shown[p.Stages[b.Stage].Name]
	}
	p.keep(kept)
}

// keep leaves out the other boxes, their arrows, and the stages that have
// nothing left.
func (p *Picture) keep(kept []bool) {
	stages, boxes := p.Stages, p.Boxes
	p.Stages, p.Boxes = nil, nil
	to := make([]int, len(boxes))
	last := -1
	for i, b := range boxes {
		if to[i] = -1; !kept[i] {
			continue
		}
		if b.Stage != last {
			last = b.Stage
			p.Stages = append(p.Stages, stages[last])
		}
		to[i], b.Stage = len(p.Boxes), len(p.Stages)-1
		p.Boxes = append(p.Boxes, b)
	}
	p.renumber(to)
}

// renumber gives arrows and chain the new numbers of their boxes; a box that
// is gone has -1, several that became one have the same.
func (p *Picture) renumber(to []int) {
	arrows := p.Arrows
	p.Arrows = nil
	for _, a := range arrows {
		if a.From, a.To = to[a.From], to[a.To]; a.From >= 0 && a.To >= 0 && a.From != a.To {
			p.Arrows = append(p.Arrows, a)
		}
	}
	chain := p.Chain
	p.Chain = []int{}
	for _, b := range chain {
		if to[b] >= 0 {
			p.Chain = append(p.Chain, to[b])
		}
	}
	p.Chain = slices.Compact(p.Chain)
}

// reduce leaves out the arrows without which the boot would be the same.
//
// A plain transitive reduction takes too much. If a wants b, and both want c, a
// has to keep waiting for c by itself: b may be skipped for another reason
// before c is settled. So the first arrow of a longer way has to be as strong
// as the one it stands for, and all others have to be depends_on: what is at
// their end starts only if what is at their beginning is ready.
func (p *Picture) reduce() {
	var kept []Arrow
	for _, w := range waits {
		kept = append(kept, p.reduced(w)...)
	}
	p.Arrows = kept
	p.sortArrows()
}

// reduced returns the arrows of one kind that nothing else implies. Each box
// is two vertices of the graph, so that ways begin with any arrow that is
// strong enough, and go on by depends_on alone.
func (p *Picture) reduced(w Wait) (kept []Arrow) {
	var g dag.Builder
	begin := len(p.Boxes)
	for i := range 2 * len(p.Boxes) {
		g.AddVertex(fmt.Sprint(i))
	}
	for wait := DependsOn; wait <= w; wait++ { // of equal arrows the strongest is the first, and stays
		for i, a := range p.Arrows {
			if a.Wait == wait {
				g.AddEdge(begin+a.From, a.To, int32(i))
			}
		}
	}
	for i, a := range p.Arrows {
		if a.Wait == DependsOn {
			g.AddEdge(a.From, a.To, int32(i))
		}
	}
	graph := g.Graph()
	order, err := graph.Order()
	if err != nil {
		panic("report: a plan has a cycle: " + err.Error())
	}
	for _, e := range graph.Reduce(order).Edges() {
		if a := p.Arrows[e.Label]; e.From >= begin && a.Wait == w && !p.barrierImplies(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// barrierImplies reports whether an arrow says nothing that the barriers don't.
// Behind one, everything before it is settled. Where it may be so without
// being ready, depends_on still decides who is skipped.
func (p *Picture) barrierImplies(a Arrow) bool {
	from, to := p.Boxes[a.From], p.Boxes[a.To]
	return from.Stage < to.Stage && (a.Wait != DependsOn || from.Sure)
}

func (p *Picture) sortArrows() {
	slices.SortFunc(p.Arrows, func(a, b Arrow) int {
		if a.To != b.To {
			return a.To - b.To
		}
		if a.Wait != b.Wait {
			return int(a.Wait - b.Wait)
		}
		return a.From - b.From
	})
}

// collapse makes the boxes of each of these stages one. Of several arrows
// between the same two boxes, the strongest is left.
func (p *Picture) collapse(stages map[string]bool) {
	if len(stages) == 0 {
		return
	}
	boxes := p.Boxes
	p.Boxes = nil
	to := make([]int, len(boxes))
	last := -1 // the stage that the last box stands for
	for i, b := range boxes {
		if name := p.Stages[b.Stage].Name; stages[name] && b.Stage != last {
			last = b.Stage
			// A space is in no name of a service, so none can have this one.
			p.Boxes = append(p.Boxes, Box{Name: "stage " + name, Kind: KindStage, Stage: b.Stage})
		}
		if b.Stage == last {
			whole := &p.Boxes[len(p.Boxes)-1]
			whole.add(&b)
			whole.Focus = whole.Focus || b.Focus
		} else {
			p.Boxes = append(p.Boxes, b)
		}
		to[i] = len(p.Boxes) - 1
	}
	p.renumber(to)
	p.sortArrows()
	taken := map[[2]int]bool{}
	p.Arrows = slices.DeleteFunc(p.Arrows, func(a Arrow) bool {
		pair := [2]int{a.From, a.To}
		other := taken[pair] && (p.Boxes[a.From].Kind == KindStage || p.Boxes[a.To].Kind == KindStage)
		taken[pair] = true
		return other
	})
}
