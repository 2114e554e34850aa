package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"bootgraph/testdata/host"
)

// told is what this test reads of analyze --format json.
type told struct {
	Began    time.Time
	Took     float64 `json:"took_s"`
	Services []struct {
		Service string
		Phases  []struct {
			Phase string
			From  float64 `json:"from_s"`
			To    float64 `json:"to_s"`
		}
	}
	Chain []struct {
		Service string
		At      float64 `json:"at_s"`
		Took    float64 `json:"took_s"`
	} `json:"critical_chain"`
}

// analyse writes a view of the last boot.
func (b *bench) analyse(view string, args ...string) string {
	b.t.Helper()
	whole := *b
	whole.file = ""
	return whole.must("analyze", append([]string{view, b.file}, args...)...)
}

// startedAt is when Podman says that a container was started.
func startedAt(t *testing.T, h *host.Host, container string) time.Time {
	t.Helper()
	out, err := h.Podman(context.Background(), "inspect", "--format", "{{.State.StartedAt.UnixNano}}", container)
	if err != nil {
		t.Fatal(err)
	}
	nano, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, nano)
}

// rounding is what times in events are rounded by.
const rounding = 2e-6

// TestAnalysisAgreesWithPodman boots, and asks Podman itself when it started
// each container: within what the analysis calls starting, after what the
// critical chain says it waited for, and where the plot draws it.
func TestAnalysisAgreesWithPodman(t *testing.T) {
	b := newBench(t, host.Shared(t), "../../testdata/shop/boot.hcl")
	if code, _, said := b.run("apply", "--progress", "quiet"); code != exitNotReady { // the mailer fails
		t.Fatalf("apply exits with %d: %s", code, said)
	}
	var boot told
	if err := json.Unmarshal([]byte(b.analyse("critical-chain", "--format", "json")), &boot); err != nil {
		t.Fatal(err)
	}
	drawn := plotted(t, b.analyse("plot"))
	started := map[string]float64{}
	for _, s := range boot.Services {
		if s.Service == "newsletter" {
			continue // it was never started
		}
		at := startedAt(t, b.host, s.Service).Sub(boot.Began).Seconds()
		started[s.Service] = at
		var from, to float64
		for _, p := range s.Phases {
			if p.Phase == "starting" { // the last one: a container is started anew
				from, to = p.From, p.To
			}
		}
		if at < from-rounding || at > to+rounding {
			t.Errorf("%s: Podman started it at %.6f s, the analysis says from %.6f to %.6f", s.Service, at, from, to)
		}
		x := drawn.left + at/boot.Took*drawn.width
		if bar := drawn.starting[s.Service]; x < bar[0]-0.2 || x > bar[1]+0.2 {
			t.Errorf("%s: Podman started it at %.6f s, which is at %.1f in the plot; it is drawn from %.1f to %.1f", s.Service, at, x, bar[0], bar[1])
		}
	}
	for i, l := range boot.Chain {
		if at, ok := started[l.Service]; ok && at > l.At+rounding {
			t.Errorf("%s lets the next one go at %.6f s, and Podman started it at %.6f s", l.Service, l.At, at)
		}
		if at := started[l.Service]; i+1 < len(boot.Chain) && at < boot.Chain[i+1].At-rounding {
			t.Errorf("%s waited for %s until %.6f s, and Podman started it at %.6f s", l.Service, boot.Chain[i+1].Service, boot.Chain[i+1].At, at)
		}
	}
	if len(boot.Chain) < 4 || boot.Chain[0].Service != "web" || boot.Chain[len(boot.Chain)-1].Service != "identity" {
		t.Errorf("the critical chain is %+v", boot.Chain)
	}
}

// drawing is what a plot shows.
type drawing struct {
	left, width float64               // of the time
	starting    map[string][2]float64 // the last bar of each service
}

func plotted(t *testing.T, svg string) drawing {
	t.Helper()
	d := drawing{starting: map[string][2]float64{}}
	service, first, last := "", 1e9, 0.0
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[a.Name.Local] = a.Value
		}
		x, _ := strconv.ParseFloat(attr["x"], 64)
		w, _ := strconv.ParseFloat(attr["width"], 64)
		switch {
		case e.Name.Local == "g":
			service = attr["data-name"]
		case e.Name.Local == "rect" && service != "" && attr["class"] == "starting":
			d.starting[service] = [2]float64{x, x + w}
		}
		switch attr["class"] { // phases fill a row from the beginning to the end
		case "pending", "waiting", "pulling", "queued", "starting", "probing", "backoff", "ready", "ended":
			if service != "" {
				first, last = min(first, x), max(last, x+w)
			}
		}
	}
	d.left, d.width = first, last-first
	return d
}
