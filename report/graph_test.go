package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bootgraph/config"
	"bootgraph/scheduler"
)

var graphWriters = map[string]func(io.Writer, *Picture) error{
	"dot": WriteDOT, "mermaid": WriteMermaid, "svg": WriteSVG, "json": WriteGraphJSON, "txt": WriteTree,
}

func draw(t interface{ Fatal(...any) }, plan *scheduler.Plan, v View) *Picture {
	p, err := Draw(plan, v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func compiled(t interface{ Fatal(...any) }, f *config.File) *scheduler.Plan {
	plan, diags := scheduler.Compile(f)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return plan
}

func TestGraphsAreTheseBytes(t *testing.T) {
	rift, shop := compile(t, "../testdata/rift/boot.hcl"), compile(t, "../testdata/graphs/medium/boot.hcl")
	for name, p := range map[string]*Picture{
		"rift": draw(t, rift, View{}),
		"shop": draw(t, shop, View{Focus: "orders", Depth: 3, Reduce: true, Collapse: []string{"shop"}}),
	} {
		for format, write := range graphWriters {
			t.Run(name+"."+format, func(t *testing.T) {
				var first, second bytes.Buffer
				if err := write(&first, p); err != nil {
					t.Fatal(err)
				}
				if err := write(&second, p); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(first.Bytes(), second.Bytes()) {
					t.Error("the second time it is another text")
				}
				golden(t, name+"."+format, first.Bytes())
			})
		}
	}
}

func TestPicturesInTheDocsAreNotStale(t *testing.T) {
	for name, boot := range map[string]string{
		"rift":         "../testdata/rift/boot.hcl",
		"graph-small":  "../testdata/graphs/small/boot.hcl",
		"graph-medium": "../testdata/graphs/medium/boot.hcl",
		"graph-large":  "../testdata/graphs/large/boot.hcl",
	} {
		var want bytes.Buffer
		if err := WriteSVG(&want, draw(t, compile(t, boot), View{Reduce: true})); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("../docs", name+".svg")); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("docs/%s.svg is not what graph --format svg writes of %s (%v): make docs-pictures", name, boot, err)
		}
	}
}

// written is a plan of one line a stage: a, b<a, c<a ~b ^d is c, which depends on
// a, wants b and comes after d.
func written(t *testing.T, stages ...string) *scheduler.Plan {
	f := &config.File{Name: "written"}
	for i, line := range stages {
		rule, services, _ := strings.Cut(line, ": ")
		st := &config.Stage{Name: fmt.Sprint("stage", i), OnFailure: config.OnFailure(rule)}
		for text := range strings.SplitSeq(services, ", ") {
			words := strings.Fields(text)
			s := &config.Service{Name: words[0], Kind: config.KindService, Attempts: 1}
			for _, word := range words[1:] {
				list := map[byte]*[]config.Reference{'<': &s.DependsOn, '~': &s.Wants, '^': &s.After}[word[0]]
				*list = append(*list, config.Reference{Target: word[1:]})
			}
			st.Services = append(st.Services, s)
		}
		f.Stages = append(f.Stages, st)
	}
	return compiled(t, f)
}

// text is a picture in one line.
func (p *Picture) text() string {
	var list []string
	arrows := p.byBox()
	for i, boxes := range p.byStage() {
		for _, b := range boxes {
			word := fmt.Sprintf("%d.%s", i, p.Boxes[b].Name)
			for _, a := range arrows[b] {
				word += " " + string("<~^"[a.Wait]) + p.Boxes[a.From].Name
			}
			list = append(list, word)
		}
	}
	return strings.Join(list, ", ")
}

func TestViewShowsThatPart(t *testing.T) {
	plan := written(t, "block: a, b <a", "continue: c <b, d <c ~a, e ^d, x", "continue: f <e <x, g <a")
	for _, c := range []struct {
		view View
		want string
	}{
		{View{}, "0.a, 0.b <a, 1.c <b, 1.d <c ~a, 1.e ^d, 1.x, 2.f <e <x, 2.g <a"},
		{View{Focus: "d"}, "0.a, 0.b <a, 1.c <b, 1.d <c ~a, 1.e ^d, 2.f <e"},
		{View{Focus: "d", Up: true}, "0.a, 0.b <a, 1.c <b, 1.d <c ~a"},
		{View{Focus: "d", Down: true}, "0.d, 0.e ^d, 1.f <e"},
		{View{Focus: "d", Up: true, Down: true, Depth: 1}, "0.a, 1.c, 1.d <c ~a, 1.e ^d"},
		{View{Focus: "c", Depth: 2, Up: true}, "0.a, 0.b <a, 1.c <b"},
		{View{Stages: []string{"stage2", "stage0"}}, "0.a, 0.b <a, 1.f, 1.g <a"},
		{View{Focus: "d", Stages: []string{"stage1"}}, "0.c, 0.d <c, 0.e ^d"},
		{View{Reduce: true}, "0.a, 0.b <a, 1.c, 1.d <c, 1.e ^d, 1.x, 2.f <e <x, 2.g"},
		{View{Collapse: []string{"stage1"}}, "0.a, 0.b <a, 1.stage stage1 <b ~a, 2.f <stage stage1, 2.g <a"},
		{View{Collapse: []string{"stage0", "stage2"}, Reduce: true}, "0.stage stage0, 1.c, 1.d <c, 1.e ^d, 1.x, 2.stage stage2 <e <x"},
	} {
		if got := draw(t, plan, c.view).text(); got != c.want {
			t.Errorf("%+v\n got %s\nwant %s", c.view, got, c.want)
		}
	}
	for view, want := range map[*View]string{
		{Focus: "aa"}:                 `there is no service or job "aa"; did you mean "a"?`,
		{Stages: []string{"stag1"}}:   `there is no stage "stag1"; did you mean "stage1"?`,
		{Collapse: []string{"stag1"}}: `there is no stage "stag1"; did you mean "stage1"?`,
	} {
		if _, err := Draw(plan, *view); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, not %s", *view, err, want)
		}
	}
}

func TestReduceKeepsWhatDecidesASkip(t *testing.T) {
	for _, c := range []struct{ stage, want string }{
		{"continue: a, b <a, c <a <b", "0.a, 0.b <a, 0.c <b"},
		{"continue: a, b <a, c <b ~a", "0.a, 0.b <a, 0.c <b"},
		{"continue: a, b ~a, c <b ^a", "0.a, 0.b ~a, 0.c <b"},
		{"continue: a, b ~a, c <a <b", "0.a, 0.b ~a, 0.c <a <b"}, // b says nothing of whether a is ready
		{"continue: a, b ~a, c ~a ~b", "0.a, 0.b ~a, 0.c ~a ~b"}, // b may be skipped while a still starts
		{"continue: a, b <a ~a ^a", "0.a, 0.b <a"},
	} {
		if got := draw(t, written(t, c.stage), View{Reduce: true}).text(); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.stage, got, c.want)
		}
	}
}

// outcome is what came of a box: when it was started and settled, and how.
type outcome struct {
	begun, settled int
	ready          bool
}

// bootOf is a boot of a picture by the rules of the language, in which each
// box takes its time and may fail. It is another, slower word for the rules
// than the scheduler's.
func (p *Picture) bootOf(took []int, fails []bool) []outcome {
	done := make([]outcome, len(p.Boxes))
	opened, passed, aborted := 0, 0, false
	arrows := p.byBox()
	for i, b := range p.Boxes {
		if i > 0 && p.Boxes[i-1].Stage != b.Stage {
			opened = passed
		}
		if aborted && opened == passed {
			done[i] = outcome{-1, -1, false}
			continue
		}
		begun, skipped := opened, -1
		for _, a := range arrows[i] {
			d := done[a.From]
			switch {
			case a.Wait == DependsOn && !d.ready:
				if at := max(opened, d.settled); skipped < 0 || at < skipped {
					skipped = at
				}
			case a.Wait == After && d.begun >= 0:
				begun = max(begun, d.begun)
			default:
				begun = max(begun, d.settled)
			}
		}
		if done[i] = (outcome{begun, begun + took[i], !fails[i] || p.Stages[b.Stage].OnFailure == config.Block}); skipped >= 0 {
			done[i] = outcome{-1, skipped, false}
		}
		passed = max(passed, done[i].settled)
		aborted = aborted || p.Stages[b.Stage].OnFailure != config.Continue && !done[i].ready
	}
	return done
}

func TestReducedPictureBootsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := compiled(t, drawnFile(t, 12))
		full, reduced := draw(t, plan, View{}), draw(t, plan, View{Reduce: true})
		n := len(full.Boxes)
		took := rapid.SliceOfN(rapid.IntRange(1, 9), n, n).Draw(t, "took")
		fails := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "fails")
		if diff := cmp.Diff(full.bootOf(took, fails), reduced.bootOf(took, fails), cmp.AllowUnexported(outcome{})); diff != "" {
			t.Fatalf("%s boots otherwise than\n%s\n%s", reduced.text(), full.text(), diff)
		}
	})
}

// drawnFile is any configuration, with long and short names.
func drawnFile(t *rapid.T, most int) *config.File {
	f := &config.File{Name: "any-" + strings.Repeat("w", rapid.SampledFrom([]int{0, 60}).Draw(t, "long name"))}
	n := 0
	for i := range rapid.IntRange(1, 4).Draw(t, "stages") {
		st := &config.Stage{Name: fmt.Sprint("stage", i), OnFailure: rapid.SampledFrom([]config.OnFailure{config.Block, config.Continue, config.Abort}).Draw(t, "rule")}
		for range rapid.IntRange(0, most).Draw(t, "services") {
			s := &config.Service{Name: fmt.Sprintf("s%d-%s", n, strings.Repeat("m", rapid.SampledFrom([]int{0, 1, 7, 40}).Draw(t, "long"))),
				Kind: rapid.SampledFrom([]config.Kind{config.KindService, config.KindService, config.KindJob}).Draw(t, "kind"), Attempts: 1}
			if s.Kind == config.KindService {
				s.Health = slices.Repeat([]*config.Health{{Kind: "grpc", Port: 65535}}, rapid.IntRange(1, 4).Draw(t, "checks"))
			}
			for range min(n, rapid.IntRange(0, 3).Draw(t, "waits for")) {
				of := rapid.IntRange(0, n-1).Draw(t, "one of")
				list := rapid.SampledFrom([]*[]config.Reference{&s.DependsOn, &s.Wants, &s.After}).Draw(t, "how")
				*list = append(*list, config.Reference{Target: f.Name + strconv.Itoa(of)})
			}
			st.Services = append(st.Services, s)
			n++
		}
		f.Stages = append(f.Stages, st)
	}
	resolve(f)
	return f
}

// resolve gives references, drawn as numbers, the names of what they mean.
func resolve(f *config.File) {
	var all []string
	for _, st := range f.Stages {
		for _, s := range st.Services {
			all = append(all, s.Name)
			for _, list := range [][]config.Reference{s.DependsOn, s.Wants, s.After} {
				for i := range list {
					of, _ := strconv.Atoi(strings.TrimPrefix(list[i].Target, f.Name))
					list[i].Target = all[of]
				}
			}
		}
	}
}

// hostile are names that try to be something else to who reads a format.
var hostile = []string{`<b>x</b>`, `a"]; evil [URL="javascript:alert(1)"`, `\N\G`, "a\nb", "node", "end", "strict digraph {", "ü😀", "\x1b]0;x\a", "{a|b}",
	"]]>&<![CDATA[", "`x`", "style:#fff;x", `</title><script>alert(1)</script>`, "שלום", "\u202egnp.exe", "%%{init: {}}%%", "\n  click n0 href \"https://x\"", "'", "#quot;", "&amp;", "a\xffb"}

func hostilePlan(t *testing.T) *scheduler.Plan {
	f := &config.File{Name: `"; }]]></title>`}
	for _, stage := range []string{"one", `<i>two</i>`} {
		st := &config.Stage{Name: stage, OnFailure: config.Continue}
		for i, name := range hostile {
			st.Services = append(st.Services, &config.Service{Name: stage + name, Kind: config.KindService, Attempts: 1,
				Containers: []*config.Container{{Name: name, Image: name}}})
			if i > 0 {
				st.Services[i].DependsOn = []config.Reference{{Target: stage + hostile[i-1]}}
			}
		}
		f.Stages = append(f.Stages, st)
	}
	return compiled(t, f)
}

// TestDOTIsReadByGraphviz gives graphviz names that try to be something else,
// and reads back what it understood.
func TestDOTIsReadByGraphviz(t *testing.T) {
	p := draw(t, hostilePlan(t), View{})
	var dot bytes.Buffer
	if err := WriteDOT(&dot, p); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dot", "-Tjson0")
	cmd.Stdin = &dot
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("graphviz doesn't read it (make test installs it): ", err)
	}
	var raw struct {
		Objects []map[string]any
		Edges   []map[string]any
	}
	if err := json.Unmarshal(out, &raw); err != nil {
		t.Fatal(err)
	}
	nodes := 0
	for _, o := range raw.Objects {
		if name, _ := o["name"].(string); strings.HasPrefix(name, "n") && !strings.HasPrefix(name, "node") {
			nodes++
		}
		if _, ok := o["URL"]; ok {
			t.Errorf("a name became a link: %v", o)
		}
	}
	if nodes != len(p.Boxes) {
		t.Errorf("graphviz read %d services of %d", nodes, len(p.Boxes))
	}
	want := len(p.Arrows) + 2 // one barrier: in from the last of a stage, out to the first of the next
	if len(raw.Edges) != want {
		t.Errorf("graphviz read %d edges of %d", len(raw.Edges), want)
	}
}

// TestMermaidHasNoTextButLabels holds every line against the few forms that
// are written, and reads the labels back.
func TestMermaidHasNoTextButLabels(t *testing.T) {
	p := draw(t, hostilePlan(t), View{})
	var out bytes.Buffer
	if err := WriteMermaid(&out, p); err != nil {
		t.Fatal(err)
	}
	label := `"((?:[^"<>&\x60#:]|#\d+;|<br>)*)"`
	line := regexp.MustCompile(`^(?:flowchart TB|  subgraph s\d+\[` + label + `\]|    n\d+\[` + label + `\]|  end|  n\d+ --> n\d+|  b0\{\{"barrier"\}\}|  n\d+ --- b0|  b0 --> n\d+|  (?:linkStyle|style) [n\d,]+ stroke-(?:width:4px|opacity:0\.4))$`)
	read := map[string]bool{}
	for text := range strings.Lines(out.String()) {
		m := line.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
		if m == nil {
			t.Errorf("this is more than a label: %q", text)
			continue
		}
		name, _, _ := strings.Cut(m[2], "<br>")
		read[html.UnescapeString(strings.ReplaceAll(name, "#", "&#"))] = true
	}
	for _, b := range p.Boxes {
		if !read[Clean(b.Name)] {
			t.Errorf("no label says %q", b.Name)
		}
	}
}

func TestTreeHasALineForEachName(t *testing.T) {
	p := draw(t, hostilePlan(t), View{})
	var out bytes.Buffer
	if err := WriteTree(&out, p); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != len(p.Stages)+len(p.Boxes) {
		t.Errorf("%d lines for %d stages and %d services", got, len(p.Stages), len(p.Boxes))
	}
	if strings.ContainsAny(out.String(), "\x1b\a\u202e") {
		t.Error("an escape code came through")
	}
}

// random makes a plan of that many services in stages, each waiting for up to
// so many earlier ones.
func random(t testing.TB, services, stages, edges int) *scheduler.Plan {
	r := rand.New(rand.NewPCG(1, 2))
	f := &config.File{Name: "random"}
	for i := range services {
		if i*stages/services == len(f.Stages) {
			f.Stages = append(f.Stages, &config.Stage{Name: fmt.Sprint("stage", len(f.Stages)), OnFailure: config.Continue, Timeout: time.Minute})
		}
		st := f.Stages[len(f.Stages)-1]
		s := &config.Service{Name: fmt.Sprint("service-", i), Kind: config.KindService, Attempts: 1, Timeout: time.Minute, Health: []*config.Health{{Kind: "tcp", Port: 8080}}}
		for range min(edges, i) {
			list := []*[]config.Reference{&s.DependsOn, &s.DependsOn, &s.Wants, &s.After}[r.IntN(4)]
			*list = append(*list, config.Reference{Target: fmt.Sprint("service-", r.IntN(i))})
		}
		st.Services = append(st.Services, s)
	}
	return compiled(t, f)
}

func TestTenThousandServicesAreDrawn(t *testing.T) {
	for _, plan := range []*scheduler.Plan{random(t, 10_000, 10, 9), random(t, 10_000, 10_000, 0), chain(t, 10_000)} {
		for _, reduce := range []bool{false, true} {
			p := draw(t, plan, View{Reduce: reduce})
			for format, write := range graphWriters {
				if err := write(io.Discard, p); err != nil {
					t.Errorf("%s: %v", format, err)
				}
			}
		}
	}
}

func chain(t testing.TB, services int) *scheduler.Plan {
	st := &config.Stage{Name: "one", OnFailure: config.Block}
	for i := range services {
		s := &config.Service{Name: fmt.Sprint("service-", i), Kind: config.KindService, Attempts: 1}
		for back := 1; back <= 9 && back <= i; back++ {
			s.DependsOn = append(s.DependsOn, config.Reference{Target: fmt.Sprint("service-", i-back)})
		}
		st.Services = append(st.Services, s)
	}
	return compiled(t, &config.File{Name: "chain", Stages: []*config.Stage{st}})
}

func BenchmarkGraph(b *testing.B) {
	for _, size := range []struct{ services, stages, edges int }{{120, 6, 2}, {10_000, 10, 9}} {
		plan := random(b, size.services, size.stages, size.edges)
		for _, format := range []string{"dot", "mermaid", "svg", "json", "txt"} {
			for _, reduce := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/services=%d/reduce=%v", format, size.services, reduce), func(b *testing.B) {
					var out bytes.Buffer
					for b.Loop() {
						out.Reset()
						if err := graphWriters[format](&out, draw(b, plan, View{Reduce: reduce})); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(out.Len()), "bytes")
				})
			}
		}
	}
}
