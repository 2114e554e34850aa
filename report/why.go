package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"bootgraph/scheduler"
)

// Relation is what a link of a chain is to the one that it holds up; "" for
// the first.
type Relation string

const (
	viaDependsOn Relation = "depends_on"
	viaWants     Relation = "wants"
	viaAfter     Relation = "after"
	viaBarrier   Relation = "stage" // of a stage that has to be through first
)

// Link is a service of a chain.
type Link struct {
	Service
	Relation   Relation
	Of         string      // the service it holds up; "" for the first
	Depth      int         // 0 for the first
	Containers []Container // where the chain ends
}

// Container is what was found of a container that is not ready.
type Container struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Exit  *int     `json:"exit_code"` // nil: it runs, or was never started
	Log   []string `json:"log"`       // its last lines
}

// Chain is why a service is where it is: the service, then all that it waits
// for or failed from, each before what that waits for.
type Chain struct {
	Name    string // of the configuration
	Booting bool
	Links   []Link
}

// Ready reports whether the service is.
func (c *Chain) Ready() bool { return c.Links[0].State.Ready() }

// Why finds the chain of a service in a status.
func Why(p *scheduler.Plan, s *Status, t *scheduler.Task) *Chain {
	w := why{plan: p, services: map[string]Service{}, seen: map[int]bool{}}
	for _, v := range s.Services {
		w.services[v.Name] = v
	}
	w.walk(t, Link{})
	return &Chain{Name: s.Name, Booting: s.Booting, Links: w.links}
}

type why struct {
	plan     *scheduler.Plan
	services map[string]Service
	seen     map[int]bool
	links    []Link
}

func (w *why) state(id int) scheduler.State { return w.services[w.plan.Tasks[id].Name].State }

func (w *why) walk(t *scheduler.Task, as Link) {
	if w.seen[t.ID] {
		return
	}
	w.seen[t.ID] = true
	as.Service = w.services[t.Name]
	w.links = append(w.links, as)
	if as.State.Ready() {
		return
	}
	further := func(id int, r Relation) { w.walk(w.plan.Tasks[id], Link{Relation: r, Of: t.Name, Depth: as.Depth + 1}) }
	for _, d := range t.DependsOn {
		if !w.state(d).Ready() {
			further(d, viaDependsOn)
		}
	}
	if as.State.Settled() {
		return // what it wanted or came after did not keep it from being ready
	}
	for _, d := range t.Wants {
		if !w.state(d).Settled() {
			further(d, viaWants)
		}
	}
	for _, d := range t.After {
		if s := w.services[w.plan.Tasks[d].Name]; s.Attempt == 0 && !s.State.Settled() {
			further(d, viaAfter)
		}
	}
	if as.State == scheduler.Pending {
		for _, b := range w.barrier(t.Stage) {
			further(b.ID, viaBarrier)
		}
	}
	if last := &w.links[len(w.links)-1]; as.State == scheduler.Blocked && last.Name == t.Name && last.Cause.IsZero() {
		last.Cause = scheduler.Cause{Code: "waiting", Text: "waits for its image, or for a slot to start in"}
	}
}

// barrier are the services that the first stage which is not through yet
// waits for.
func (w *why) barrier(before int) (list []*scheduler.Task) {
	for _, st := range w.plan.Stages[:before] {
		for _, t := range st.Tasks {
			if s := w.state(t.ID); !s.Ready() && (!s.Settled() || t.Policy.Forever) {
				list = append(list, t)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// WriteWhy writes a chain for people, a line a service, indented by what it
// holds up.
func WriteWhy(w io.Writer, c *Chain, now time.Time) error {
	var b strings.Builder
	for _, l := range c.Links {
		indent := strings.Repeat("  ", l.Depth)
		fmt.Fprintf(&b, "%s%s%s%s\n", indent, l.relation(), l.sentence(now), l.why(indent))
		for _, v := range l.Containers {
			fmt.Fprintf(&b, "%s    container %s: %s\n", indent, v.Name, v.sentence())
			for _, line := range v.Log {
				fmt.Fprintf(&b, "%s      | %s\n", indent, Clean(line))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (l Link) relation() string {
	switch l.Relation {
	case viaDependsOn:
		return "depends on "
	case viaWants:
		return "wants "
	case viaAfter:
		return "comes after "
	case viaBarrier:
		return "waits for stage " + l.Stage + ": "
	}
	return ""
}

func (l Link) sentence(now time.Time) string {
	s := fmt.Sprintf("%s is %s", l.Name, l.State)
	if !l.Since.IsZero() {
		s += " since " + l.Since.Local().Format(time.TimeOnly) + " (" + Elapsed(now.Sub(l.Since)) + ")"
	}
	if l.Attempt > 1 {
		s += fmt.Sprintf(", attempt %d", l.Attempt)
	}
	if l.Again.After(now) {
		s += ", again in " + Elapsed(l.Again.Sub(now))
	}
	return s
}

// why is the cause. The end of a log is shown once, where the chain ends: by
// the container, if there is one, else as the cause has it.
func (l Link) why(indent string) string {
	switch {
	case l.Cause.IsZero():
		return ""
	case len(l.Containers) > 0 || l.Cause.Root != "":
		return ": " + withoutLog(l.Cause)
	}
	return ": " + Lines(l.Cause.Text, indent+"      ")
}

// withoutLog is a cause in a line: without the end of a log that it may carry.
func withoutLog(c scheduler.Cause) string {
	first, _, _ := strings.Cut(c.Text, "; the end of its log:")
	return Clean(first)
}

func (c Container) sentence() string {
	s := Clean(c.State)
	if c.Exit != nil {
		s = fmt.Sprintf("exited with code %d", *c.Exit)
	}
	if len(c.Log) > 0 {
		s += "; its log ends with"
	}
	return s
}

type whyDoc struct {
	FormatVersion int       `json:"format_version"`
	Name          string    `json:"name"`
	Service       string    `json:"service"`
	Ready         bool      `json:"ready"`
	Booting       bool      `json:"booting"`
	Chain         []whyLink `json:"chain"`
}

type whyLink struct {
	Service    string          `json:"service"`
	Stage      string          `json:"stage"`
	Relation   Relation        `json:"relation"`
	Of         string          `json:"of"`
	State      scheduler.State `json:"state"`
	Since      *time.Time      `json:"since"`
	Attempt    int             `json:"attempt"`
	Cause      string          `json:"cause"`
	Code       string          `json:"code,omitempty"`
	Root       string          `json:"root,omitempty"`
	Containers []Container     `json:"containers"`
}

// WriteWhyJSON writes a chain as one document.
func WriteWhyJSON(w io.Writer, c *Chain) error {
	doc := whyDoc{FormatVersion: scheduler.FormatVersion, Name: c.Name, Service: c.Links[0].Name, Ready: c.Ready(), Booting: c.Booting}
	for _, l := range c.Links {
		line := whyLink{Service: l.Name, Stage: l.Stage, Relation: l.Relation, Of: l.Of, State: l.State, Attempt: l.Attempt,
			Cause: l.Cause.Text, Code: l.Cause.Code, Root: l.Cause.Root, Containers: append([]Container{}, l.Containers...)}
		line.Since = moment(l.Since)
		for i, v := range line.Containers {
			line.Containers[i].Log = append([]string{}, v.Log...)
		}
		doc.Chain = append(doc.Chain, line)
	}
	return writeJSON(w, doc)
}
