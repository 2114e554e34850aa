package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"bootgraph/analysis"
	"bootgraph/scheduler"
)

// Boot is a boot that was, or that is going on.
type Boot struct {
	Fold
	Running bool // it has no end since it has not come to it
	Damaged bool // its journal could be read only in part
	// Baseline is what it is held against; nil: there is nothing to compare it
	// with.
	Baseline *analysis.Baseline
}

// NewBoot folds the events of a boot, and not those of what was done after it.
func NewBoot(run string, events []scheduler.Event) Boot {
	var b Boot
	for _, e := range events {
		if b.Add(e); e.Type == scheduler.RunDone {
			break
		}
	}
	b.Run = run
	return b
}

// outcome of a boot: that of its last event, or what is known without.
func (b *Boot) outcome() string {
	switch {
	case b.Outcome != "":
		return string(b.Outcome)
	case b.Running:
		return "running"
	case b.Damaged:
		return "unknown"
	}
	return "killed" // it came to no end, and is not at work
}

// took is how long it took, or takes; 0 if that can't be told.
func (b *Boot) took(now time.Time) time.Duration {
	switch {
	case b.Began.IsZero():
		return 0
	case !b.Ended.IsZero():
		return b.Ended.Sub(b.Began)
	case b.Running:
		return now.Sub(b.Began)
	}
	return 0
}

// WriteHistory writes a line a boot, oldest first.
func WriteHistory(w io.Writer, list []Boot, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "there was no boot yet")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "BEGAN\tTOOK\tOUTCOME\tSERVICES\tRUN\tAGAINST USUAL")
	for _, b := range list {
		began, took := "-", "-"
		if !b.Began.IsZero() {
			began = b.Began.Local().Format("2006-01-02 15:04:05")
		}
		if d := b.took(now); d > 0 {
			took = Elapsed(d)
		}
		services := b.counts()
		if services == "" {
			services = "-"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", began, took, Clean(b.outcome()), services, b.Run, baselineText(b.Baseline))
	}
	return out.Flush()
}

type historyDoc struct {
	FormatVersion int           `json:"format_version"`
	Name          string        `json:"name"`
	Boots         []historyBoot `json:"boots"`
}

type historyBoot struct {
	Run      string                  `json:"run"`
	Began    *time.Time              `json:"began"`
	Took     *float64                `json:"took_s"` // null: it has not ended
	Outcome  string                  `json:"outcome"`
	Started  int                     `json:"started"`
	Services map[scheduler.State]int `json:"services"`
	Baseline *baselineDoc            `json:"baseline"` // null: there is nothing to compare it with
}

// WriteHistoryJSON writes the boots as one document.
func WriteHistoryJSON(w io.Writer, name string, list []Boot) error {
	doc := historyDoc{FormatVersion: scheduler.FormatVersion, Name: name, Boots: []historyBoot{}}
	for _, b := range list {
		line := historyBoot{Run: b.Run, Outcome: b.outcome(), Started: b.Started, Services: map[scheduler.State]int{}, Baseline: baselineDocOf(b.Baseline)}
		line.Began = moment(b.Began)
		if !b.Began.IsZero() && !b.Ended.IsZero() {
			took := b.Ended.Sub(b.Began).Round(time.Microsecond).Seconds()
			line.Took = &took
		}
		for _, s := range b.Services {
			line.Services[s.State]++
		}
		doc.Boots = append(doc.Boots, line)
	}
	return writeJSON(w, doc)
}
