package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bootgraph/analysis"
	"bootgraph/scheduler"
)

// slow is the place of the boot with a slow database among the recorded.
const slow = 4

// recorded are the journals of boots of testdata/shop on a real Podman: three
// that were alike, one that found all running, one with a slow database, one
// that was interrupted.
func recorded(t *testing.T) (journals [][]scheduler.Event) {
	t.Helper()
	paths, err := filepath.Glob("../testdata/state/bootgraph/shop/runs/*.jsonl")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var events []scheduler.Event
		for d := json.NewDecoder(file); ; {
			var e scheduler.Event
			if err := d.Decode(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(path, err)
			}
			events = append(events, e)
		}
		journals = append(journals, events)
	}
	return journals
}

func analyseRecorded(t *testing.T) (list []*Analysed) {
	t.Helper()
	var before []*analysis.Boot
	for _, events := range recorded(t) {
		b, err := analysis.Of(events)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Analyse(b, before))
		before = append(before, b)
	}
	return list
}

func TestRecordedBootsAreAnalysed(t *testing.T) {
	names := []string{"first", "second", "third", "kept", "slow", "interrupted"}
	for i, a := range analyseRecorded(t) {
		for suffix, write := range map[string]func(io.Writer, *Analysed) error{"blame.txt": WriteBlame, "chain.txt": WriteCriticalChain, "json": WriteAnalysisJSON} {
			if suffix == "json" && i > 0 {
				continue // one has all of its form
			}
			var out bytes.Buffer
			if err := write(&out, a); err != nil {
				t.Fatal(err)
			}
			golden(t, "analyze-"+names[i]+"."+suffix, out.Bytes())
		}
	}
}

func TestHistoryHoldsEachBootAgainstTheUsual(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	var boots []Boot
	for i, a := range analyseRecorded(t) {
		b := NewBoot(a.Run, recorded(t)[i])
		b.Baseline = a.Baseline
		boots = append(boots, b)
	}
	var out bytes.Buffer
	if err := WriteHistory(&out, boots, time.Time{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "history.txt", out.Bytes())
}

// TestPlotShowsThePhases reads the picture back: a row a service, a bar a
// phase, to scale, and all within the picture.
func TestPlotShowsThePhases(t *testing.T) {
	for _, a := range analyseRecorded(t) {
		var out bytes.Buffer
		if err := WritePlot(&out, a); err != nil {
			t.Fatal(err)
		}
		var root element
		if err := xml.Unmarshal(out.Bytes(), &root); err != nil {
			t.Fatal(err)
		}
		rows := map[string]*element{}
		walls := 0
		for i := range root.Children {
			g := &root.Children[i]
			if g.is("g", "row") {
				rows[g.attr("data-name")] = g
			}
			for _, c := range g.Children {
				if c.is("path", "wall") {
					walls++
				}
			}
		}
		if walls != len(a.Barriers)+1 { // and one in the legend
			t.Errorf("%s: %d barriers are drawn, there were %d", a.Run, walls-1, len(a.Barriers))
		}
		p := newPlot(io.Discard, a)
		for i := range a.Services {
			s := &a.Services[i]
			row := rows[s.Name]
			if row == nil {
				t.Fatalf("%s: %s has no row", a.Run, s.Name)
			}
			for _, ph := range s.Phases {
				from, to := p.x(ph.From), p.x(ph.To)
				if to == from {
					continue
				}
				found := false
				for _, c := range row.Children {
					found = found || c.is("rect", string(ph.Kind)) && c.attr("x") == tenths(from) && c.attr("width") == tenths(to-from)
				}
				if !found {
					t.Errorf("%s: %s has no bar for %s from %s to %s", a.Run, s.Name, ph.Kind, ph.From, ph.To)
				}
			}
			if got := strings.Contains(string(mustXML(t, row)), `class="rim"`); got != (p.critical[i] && s.Attempts > 0) {
				t.Errorf("%s: %s is drawn critical: %t, and is: %t", a.Run, s.Name, got, p.critical[i])
			}
		}
	}
}

func mustXML(t *testing.T, e *element) []byte {
	t.Helper()
	text, err := xml.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// hostileBoot is a boot whose names and causes would be markup.
func hostileBoot(t *testing.T) *Analysed {
	t.Helper()
	const name = `a"><script>alert(1)</script>`
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	events := []scheduler.Event{
		{Seq: 1, Time: at, Run: "<run>", Type: scheduler.RunStarted, Name: "<b>&", Stages: []scheduler.StageNames{{Name: "<i>", Services: []string{name}}}},
		{Seq: 2, Time: at, Type: scheduler.StageStarted, Stage: "<i>"},
		{Seq: 3, Time: at, Type: scheduler.ServiceMoved, Stage: "<i>", Service: name, From: scheduler.Pending, To: scheduler.Blocked},
		{Seq: 4, Time: at.Add(time.Second), Type: scheduler.ServiceMoved, Stage: "<i>", Service: name, From: scheduler.Blocked, To: scheduler.Failed, Attempt: 1,
			Cause: scheduler.Cause{Code: "x", Text: "</style><img src=x>\x1b[31m\u202e"}},
		{Seq: 5, Time: at.Add(2 * time.Second), Type: scheduler.RunDone, Outcome: `"><svg/onload=alert(1)>`},
	}
	b, err := analysis.Of(events)
	if err != nil {
		t.Fatal(err)
	}
	return Analyse(b, nil)
}

func TestWhatAJournalSaysIsNoMarkup(t *testing.T) {
	var plot, page bytes.Buffer
	if err := errors.Join(WritePlot(&plot, hostileBoot(t)), WriteAnalysisHTML(&page, hostileBoot(t), nil)); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(plot.Bytes(), &element{}); err != nil {
		t.Error(err)
	}
	for _, out := range []string{plot.String(), page.String()} {
		for _, bad := range []string{"<script>alert", "<img", "<svg/", "<i>", "<b>", "<run>", "\x1b", "\u202e"} {
			if strings.Contains(out, bad) {
				t.Errorf("%q is in the output as it is", bad)
			}
		}
	}
}

// TestPageFetchesNothing: nothing in it names another place, and its policy
// lets its own script and styles in and no others.
func TestPageFetchesNothing(t *testing.T) {
	graph, err := Draw(compile(t, "../testdata/shop"), View{Reduce: true})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteAnalysisHTML(&out, analyseRecorded(t)[0], graph); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil || !strings.HasPrefix(policy[1], "default-src 'none';") || strings.Contains(policy[1], "unsafe") {
		t.Fatalf("its policy is %q", policy)
	}
	for _, tag := range regexp.MustCompile(`(?s)<(script|style)>(.*?)</`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(policy[1], sourceHash(tag[2])) {
			t.Errorf("the policy does not let this %s in: %.60s", tag[1], tag[2])
		}
	}
	rest := strings.ReplaceAll(page, "http://www.w3.org/2000/svg", "") // a name, not an address
	for _, bad := range []string{"http:", "https:", "src=", "@import", "url(", "<link", " style=", " onclick"} {
		if strings.Contains(rest, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

func TestPlotInTheDocsIsNotStale(t *testing.T) {
	var want bytes.Buffer
	if err := WritePlot(&want, analyseRecorded(t)[slow]); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../docs/analyze-plot.svg"); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/analyze-plot.svg is not what analyze plot writes of testdata/state (%v): make docs-pictures", err)
	}
}
