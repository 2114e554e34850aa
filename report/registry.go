package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"bootgraph/scheduler"
)

// Registered is a configuration of the registry.
type Registered struct {
	Name     string           `json:"name"`
	Applied  time.Time        `json:"applied_at"`
	Run      string           `json:"run"`
	Outcome  scheduler.Ending `json:"outcome"`
	Version  string           `json:"version"`
	BootFile string           `json:"boot_file"`
	SHA256   string           `json:"boot_file_sha256"`
	Services int              `json:"services"`
}

const registryTime = "2006-01-02 15:04:05"

// WriteRegistry writes a line a configuration.
func WriteRegistry(w io.Writer, list []Registered) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "there is nothing in the registry")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "NAME\tAPPLIED\tOUTCOME\tSERVICES\tBOOT FILE")
	for _, r := range list {
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%s\n", Clean(r.Name), r.Applied.Local().Format(registryTime), Clean(string(r.Outcome)), r.Services, Clean(r.BootFile))
	}
	return out.Flush()
}

// WriteRegistered writes all that is known of one but its services.
func WriteRegistered(w io.Writer, r Registered) error {
	_, err := fmt.Fprintf(w, "%s, applied at %s by bootgraph %s (run %s, %s)\nfrom %s\nsha256 %s\n\n", Clean(r.Name), r.Applied.Local().Format(registryTime),
		Clean(r.Version), Clean(r.Run), Clean(string(r.Outcome)), Clean(r.BootFile), Clean(r.SHA256))
	return err
}

// WriteRegistryJSON writes the list as one document.
func WriteRegistryJSON(w io.Writer, list []Registered) error {
	doc := struct {
		FormatVersion  int          `json:"format_version"`
		Configurations []Registered `json:"configurations"`
	}{scheduler.FormatVersion, append([]Registered{}, list...)}
	return writeJSON(w, doc)
}
