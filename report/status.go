package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"bootgraph/scheduler"
)

// Status is what is known of a configuration now.
type Status struct {
	Name     string
	Booting  bool // a boot is going on
	Services []Service
}

// Ready reports whether every service is.
func (s *Status) Ready() bool {
	for _, v := range s.Services {
		if !v.State.Ready() {
			return false
		}
	}
	return true
}

// WriteStatus writes a line a service.
func WriteStatus(w io.Writer, s *Status, now time.Time) error {
	if s.Booting {
		fmt.Fprintf(w, "%s is booting\n", s.Name)
	}
	if len(s.Services) == 0 {
		_, err := fmt.Fprintf(w, "%s has no services\n", s.Name)
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "STAGE\tSERVICE\tSTATE\tFOR\tWHY")
	for _, v := range s.Services {
		since := "-"
		if !v.Since.IsZero() {
			since = Elapsed(now.Sub(v.Since))
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", v.Stage, v.Name, v.State, since, Clean(v.Cause.Text))
	}
	return out.Flush()
}

type statusDoc struct {
	FormatVersion int             `json:"format_version"`
	Name          string          `json:"name"`
	Booting       bool            `json:"booting"`
	Services      []statusService `json:"services"`
}

type statusService struct {
	Stage string          `json:"stage"`
	Name  string          `json:"name"`
	State scheduler.State `json:"state"`
	Since *time.Time      `json:"since"`
	Cause string          `json:"cause"`
	Code  string          `json:"code,omitempty"`
	Root  string          `json:"root,omitempty"`
}

// WriteStatusJSON writes the status as one document.
func WriteStatusJSON(w io.Writer, s *Status) error {
	doc := statusDoc{FormatVersion: scheduler.FormatVersion, Name: s.Name, Booting: s.Booting, Services: []statusService{}}
	for _, v := range s.Services {
		line := statusService{Stage: v.Stage, Name: v.Name, State: v.State, Cause: v.Cause.Text, Code: v.Cause.Code, Root: v.Cause.Root}
		line.Since = moment(v.Since)
		doc.Services = append(doc.Services, line)
	}
	return writeJSON(w, doc)
}
