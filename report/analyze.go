package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"bootgraph/analysis"
)

// Analysed is a boot with all that is told of where its time went.
type Analysed struct {
	*analysis.Boot
	Chain    []analysis.Link
	Barriers []analysis.Barrier
	Slack    []time.Duration    // by service
	Baseline *analysis.Baseline // nil: there is nothing to compare it with
	critical []bool             // by service
}

// Analyse works it all out. before are the boots before it.
func Analyse(b *analysis.Boot, before []*analysis.Boot) *Analysed {
	a := &Analysed{Boot: b, Chain: b.CriticalChain(), Barriers: b.Barriers(), Slack: b.Slack(), Baseline: b.Against(before), critical: make([]bool, len(b.Services))}
	for _, l := range a.Chain {
		a.critical[l.Service] = true
	}
	return a
}

// heading says in a line which boot it is, and how it came out.
func (a *Analysed) heading() string {
	s := fmt.Sprintf("%s: boot %s in %s", a.Name, Clean(string(a.Outcome)), Elapsed(a.Took))
	if a.Outcome == "" {
		s = fmt.Sprintf("%s: a boot that has not come to an end, up to %s", a.Name, Elapsed(a.Took))
	}
	if a.Baseline != nil {
		before := "the boot before"
		if a.Baseline.Boots > 1 {
			before = fmt.Sprintf("the median of %s before", Count(a.Baseline.Boots, "boot"))
		}
		s += fmt.Sprintf("; against %s: %s", before, baselineText(a.Baseline))
	}
	return s
}

// more writes a difference: +31.0s.
func more(d time.Duration) string {
	if d < 0 {
		return "-" + Elapsed(-d)
	}
	return "+" + Elapsed(d)
}

// baselineText says how a boot differs from earlier ones: +31.0s; metacrypt
// +28.0s, on the critical path.
func baselineText(b *analysis.Baseline) string {
	if b == nil {
		return "-"
	}
	parts := []string{more(b.More)}
	if !b.Notable() {
		return parts[0]
	}
	const most = 2
	for _, c := range b.Changes {
		if len(parts) > most || (c.More < 0) != (b.More < 0) {
			continue
		}
		s := c.Service + " " + more(c.More)
		if c.Critical {
			s += ", on the critical path"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// WriteBlame writes a line a service, who took the longest itself first.
func WriteBlame(w io.Writer, a *Analysed) error {
	fmt.Fprintf(w, "%s\n\n", a.heading())
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "OWN\tPULL\tSTART\tREADY\tBACKOFF\tWAITED\tSLOT\t  SERVICE")
	for _, i := range a.byOwn() {
		for _, d := range a.columns(i) {
			fmt.Fprint(out, blank(d), "\t")
		}
		fmt.Fprintf(out, "  %s\n", a.Services[i].Name+blameNote(&a.Services[i]))
	}
	return out.Flush()
}

// byOwn are the services, who took the longest itself first.
func (a *Analysed) byOwn() []int {
	order := make([]int, len(a.Services))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(a.Services[j].Own(), a.Services[i].Own()) })
	return order
}

// columns are the times of a service that a table has.
func (a *Analysed) columns(i int) (list []time.Duration) {
	s := &a.Services[i]
	list = append(list, s.Own())
	for _, k := range []analysis.Kind{analysis.Pulling, analysis.Starting, analysis.Probing, analysis.Backoff} {
		list = append(list, s.Of(k))
	}
	return append(list, s.Of(analysis.Pending, analysis.Waiting), s.Of(analysis.Queued))
}

// blank writes what took no time worth a figure as a dash.
func blank(d time.Duration) string {
	if d < 5*time.Millisecond {
		return "-"
	}
	return Elapsed(d)
}

// blameNote says what a service did beside getting ready at once.
func blameNote(s *analysis.Service) string {
	var parts []string
	if !s.State.Ready() {
		parts = append(parts, string(s.State))
	}
	if s.Attempts > 1 {
		parts = append(parts, Count(s.Attempts, "attempt"))
	}
	if s.Falls > 0 {
		parts = append(parts, fmt.Sprintf("was ready and fell %s", map[bool]string{true: "once", false: Count(s.Falls, "time")}[s.Falls == 1]))
	}
	if s.Kept {
		parts = append(parts, "ran already")
	}
	if len(parts) == 0 {
		return ""
	}
	return "  (" + strings.Join(parts, ", ") + ")"
}

// WriteCriticalChain writes the critical chain, last link first, as
// systemd-analyze does; then who is nearly on it, and what the barriers cost.
func WriteCriticalChain(w io.Writer, a *Analysed) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n@ is when it let the next one go, + what it added to the boot\n\n", a.heading())
	for depth, l := range a.Chain {
		if depth > 0 {
			b.WriteString(strings.Repeat("  ", depth-1) + "└─")
			if via := a.Chain[depth-1].Via; via == analysis.ViaStage {
				fmt.Fprintf(&b, "after stage %s: ", a.Stages[a.Services[l.Service].Stage].Name)
			} else {
				fmt.Fprintf(&b, "%s ", relationWords[via])
			}
		}
		b.WriteString(a.link(l) + "\n")
	}
	if near := a.near(); len(near) > 0 {
		b.WriteString("\nnearly on it, with how much longer each could have taken\n")
		writePairs(&b, len(near), func(i int) (string, string) {
			return a.Services[near[i]].Name, Elapsed(a.Slack[near[i]])
		})
	}
	if len(a.Barriers) > 0 {
		b.WriteString("\nbarriers, with how much shorter the boot without each\n")
		writePairs(&b, len(a.Barriers), func(i int) (string, string) { return a.barrier(a.Barriers[i]), Elapsed(a.Barriers[i].Cost) })
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var relationWords = map[string]string{"depends_on": "depends on", "wants": "wants", "after": "comes after"}

// writePairs writes pairs as two columns.
func writePairs(b *strings.Builder, n int, row func(int) (string, string)) {
	width := 0
	for i := range n {
		name, _ := row(i)
		width = max(width, len(name))
	}
	for i := range n {
		name, value := row(i)
		fmt.Fprintf(b, "  %-*s  %8s\n", width, name, value)
	}
}

func (a *Analysed) barrier(x analysis.Barrier) string {
	s := "stage " + a.Stages[x.Before].Name + " waited"
	if x.Slowest >= 0 {
		s += fmt.Sprintf(" until %s for %s", Elapsed(x.At), a.Services[x.Slowest].Name)
	}
	return s
}

// link says what a service did in the chain: its parts, where there was more
// than one that matters, and why it is not ready if it isn't.
func (a *Analysed) link(l analysis.Link) string {
	s := &a.Services[l.Service]
	text := s.Name
	if !s.State.Ready() {
		text += " " + string(s.State)
	}
	text += fmt.Sprintf(" @%s +%s", Elapsed(l.At), Elapsed(l.Took()))
	var parts []string
	for _, k := range []analysis.Kind{analysis.Pulling, analysis.Queued, analysis.Starting, analysis.Probing, analysis.Backoff} {
		if d := s.Within(k, l.From, l.At); d > l.Took()/20 && d > 5*time.Millisecond {
			parts = append(parts, fmt.Sprintf("%s %s", k, Elapsed(d)))
		}
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	if !s.State.Ready() && !s.Cause.IsZero() {
		text += ": " + withoutLog(s.Cause)
	}
	return text
}

// near are the services that would be on the critical chain if they had taken
// a little longer, who is nearest first.
func (a *Analysed) near() (list []int) {
	const most = 8
	for i := range a.Services {
		s := &a.Services[i]
		if !a.critical[i] && s.Attempts > 0 && a.Stages[s.Stage].Reached && a.Slack[i] <= a.Took/20 {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(i, j int) int { return cmp.Compare(a.Slack[i], a.Slack[j]) })
	return list[:min(len(list), most)]
}
