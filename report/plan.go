package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Action is what apply would do about a container or a service.
type Action string

const (
	Keep    Action = "keep"
	Start   Action = "start"
	Create  Action = "create"
	Replace Action = "replace"
	Remove  Action = "remove"
)

// strength orders actions: that of a service is the strongest of its containers'.
var strength = map[Action]int{Keep: 0, Start: 1, Create: 2, Replace: 3}

var sign = map[Action]string{Keep: "=", Start: ">", Create: "+", Replace: "~", Remove: "-"}

// ContainerAction is what apply would do about one container, and why.
type ContainerAction struct {
	Name   string  `json:"name"`
	Image  string  `json:"image"`
	Action Action  `json:"action"`
	Reason string  `json:"reason"`
	Diff   []Field `json:"diff"`
}

// Field is one difference between what is described and what was found.
type Field struct {
	Field string `json:"field"`
	From  string `json:"from"` // "": not set
	To    string `json:"to"`
	// Of a list, for people: the elements that only one of the two has.
	Removed []string `json:"-"`
	Added   []string `json:"-"`
}

// Runtime is what carries the plan out.
type Runtime struct {
	Kind     string `json:"kind"`
	Version  string `json:"version"`
	Rootless bool   `json:"rootless"`
}

// Preview is what apply would do: a plan and the actions of its containers.
type Preview struct {
	Plan    *scheduler.Plan
	Runtime *Runtime                  // nil: nothing was contacted
	Actions map[int][]ContainerAction // by task ID
	Orphans []ContainerAction         // ours, not in the file
	// OrphanSecrets are ours, and nothing in the file needs them; known only if
	// Prune is set.
	OrphanSecrets []string
	Prune         bool // orphans would be removed
	// Expected is what the longest chain takes, of what is to be started of it,
	// as earlier boots say; 0: they don't. Then the chain of the plan is the
	// longest by steps, else by that time.
	Expected time.Duration
}

// Kept reports whether a service would be left as it is.
func (p *Preview) Kept(id int) bool {
	return !slices.ContainsFunc(p.Actions[id], func(a ContainerAction) bool { return a.Action != Keep })
}

// Changes counts the containers by action; an orphan counts only when it
// would be removed.
func (p *Preview) Changes() map[Action]int {
	n := map[Action]int{Create: 0, Start: 0, Replace: 0, Keep: 0, Remove: 0}
	for _, list := range p.Actions {
		for _, a := range list {
			n[a.Action]++
		}
	}
	if p.Prune {
		n[Remove] = len(p.Orphans) + len(p.OrphanSecrets)
	}
	return n
}

// Changed reports whether apply would do anything.
func (p *Preview) Changed() bool {
	n := p.Changes()
	return n[Create]+n[Start]+n[Replace]+n[Remove] > 0
}

// WritePlan writes a preview for people: a block a stage, a line an action,
// then the graph.
func WritePlan(w io.Writer, p *Preview) error {
	on := "offline: as on a host without containers"
	if p.Runtime != nil {
		on = fmt.Sprintf("on %s %s%s", p.Runtime.Kind, p.Runtime.Version, map[bool]string{true: ", rootless"}[p.Runtime.Rootless])
	}
	fmt.Fprintf(w, "%s, %s\n", p.Plan.Name, on)
	if len(p.Plan.Tasks) == 0 {
		fmt.Fprintln(w, "nothing to do: no stage has a service")
	}
	if len(p.Orphans)+len(p.OrphanSecrets) > 0 {
		fmt.Fprintf(w, "\nnot in the boot file any more%s\n", map[bool]string{false: " (--prune removes them)"}[p.Prune])
		for _, o := range p.Orphans {
			fmt.Fprintf(w, "  - remove  %s  %s\n", o.Name, Clean(o.Reason))
		}
		for _, name := range p.OrphanSecrets {
			fmt.Fprintf(w, "  - remove  secret %s\n", Clean(name))
		}
	}
	for _, st := range p.Plan.Stages {
		fmt.Fprintf(w, "\nstage %s (%s)\n", st.Name, stageRule(st))
		if err := writeActions(w, p, st); err != nil {
			return err
		}
	}
	if len(p.Plan.Tasks) > 0 {
		fmt.Fprint(w, "\ngraph\n")
		if err := WriteTree(w, picture(p.Plan)); err != nil {
			return err
		}
		chain := p.Plan.CriticalPath
		by, length := "by steps", Count(len(chain), "step")
		if p.Expected > 0 {
			by, length = "by time", "about "+Elapsed(p.Expected)+", as in earlier boots"
		}
		fmt.Fprintf(w, "\nlongest chain, %s: %s (%s)\n", by, strings.Join(names(p.Plan, chain), " > "), length)
	}
	n := p.Changes()
	_, err := fmt.Fprintf(w, "%d to create, %d to start, %d to replace, %d to keep, %d to remove\n", n[Create], n[Start], n[Replace], n[Keep], n[Remove])
	return err
}

// stageRule says in words what a stage does about a service that is not ready.
func stageRule(st scheduler.Stage) string {
	switch st.OnFailure {
	case config.Block:
		return "blocks until all of it is ready; says so every " + Limit(st.Timeout)
	case config.Abort:
		return "aborts the boot if not ready; at most " + Limit(st.Worst)
	}
	return "goes on if not ready; at most " + Limit(st.Worst)
}

// writeActions pads by hand: a tabwriter would begin new columns after the
// lines of each diff.
func writeActions(w io.Writer, p *Preview, st scheduler.Stage) error {
	service, container := 0, 0
	for _, t := range st.Tasks {
		service = max(service, len(t.Name))
		for _, a := range p.Actions[t.ID] {
			container = max(container, len(a.Name))
		}
	}
	for _, t := range st.Tasks {
		for _, a := range p.Actions[t.ID] {
			_, err := fmt.Fprintf(w, "  %s %-7s  %-*s  %-*s  %s\n", sign[a.Action], a.Action, service, t.Name, container, a.Name, Clean(a.Reason))
			if err != nil {
				return err
			}
			for _, d := range a.Diff {
				writeField(w, d)
			}
		}
	}
	return nil
}

// writeField writes a difference: what was added, removed or changed. Of a
// list it writes the elements that differ, one a line; the whole list only if
// there are none, which is so where an element was there twice.
func writeField(w io.Writer, d Field) {
	from, to := Clean(d.From), Clean(d.To)
	sign := "~"
	switch {
	case from == "":
		sign = "+"
	case to == "":
		sign = "-"
	}
	fmt.Fprintf(w, "      %s %s", sign, Clean(d.Field))
	switch {
	case len(d.Removed)+len(d.Added) > 0:
		for _, v := range d.Removed {
			fmt.Fprintf(w, "\n          - %s", Clean(v))
		}
		for _, v := range d.Added {
			fmt.Fprintf(w, "\n          + %s", Clean(v))
		}
	case from == to: // hidden
		fmt.Fprintf(w, ": %s, changed", to)
	case from == "" || to == "":
		fmt.Fprintf(w, ": %s", from+to)
	default:
		fmt.Fprintf(w, ": %s -> %s", from, to)
	}
	fmt.Fprintln(w)
}

type planDoc struct {
	FormatVersion int               `json:"format_version"`
	Name          string            `json:"name"`
	Runtime       *Runtime          `json:"runtime"`
	Stages        []planStage       `json:"stages"`
	Orphans       []ContainerAction `json:"orphans"`
	OrphanSecrets []string          `json:"orphan_secrets,omitempty"`
	Edges         []Edge            `json:"edges"`
	CriticalPath  criticalPath      `json:"critical_path"`
	Changes       map[Action]int    `json:"changes"`
}

type planStage struct {
	Name      string        `json:"name"`
	OnFailure string        `json:"on_failure"`
	Timeout   float64       `json:"timeout_s"`
	Services  []planService `json:"services"`
}

type planService struct {
	serviceDoc
	Action     Action            `json:"action"`
	Reason     string            `json:"reason"`
	Containers []ContainerAction `json:"containers"`
}

// WritePlanJSON writes a preview as one document; CLI.md has the contract.
func WritePlanJSON(w io.Writer, p *Preview) error {
	doc := planDoc{FormatVersion: scheduler.FormatVersion, Name: p.Plan.Name, Runtime: p.Runtime, Stages: []planStage{},
		Orphans: append([]ContainerAction{}, p.Orphans...), OrphanSecrets: p.OrphanSecrets, Edges: Edges(p.Plan), CriticalPath: criticalPathOf(p.Plan), Changes: p.Changes()}
	if p.Expected > 0 {
		expected := inSeconds(p.Expected)
		doc.CriticalPath.Expected = &expected
	}
	for _, st := range p.Plan.Stages {
		s := planStage{Name: st.Name, OnFailure: string(st.OnFailure), Timeout: st.Timeout.Seconds(), Services: []planService{}}
		for _, t := range st.Tasks {
			v := planService{serviceDoc: serviceDocOf(p.Plan, t), Action: Keep, Containers: []ContainerAction{}}
			for _, a := range p.Actions[t.ID] {
				if a.Diff == nil {
					a.Diff = []Field{}
				}
				if v.Reason == "" || strength[a.Action] > strength[v.Action] {
					v.Action, v.Reason = a.Action, a.Reason
				}
				v.Containers = append(v.Containers, a)
			}
			s.Services = append(s.Services, v)
		}
		doc.Stages = append(doc.Stages, s)
	}
	return writeJSON(w, doc)
}
