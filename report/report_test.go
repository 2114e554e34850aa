package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootgraph/config"
	"bootgraph/scheduler"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what came out (-want +got); rewrite it with -update if you understand why:\n%s", path, diff)
	}
}

func compile(t *testing.T, path string) *scheduler.Plan {
	t.Helper()
	file, _, diags := config.Load(path, config.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	plan, diags := scheduler.Compile(file)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return plan
}

func preview(t *testing.T) *Preview {
	p := &Preview{Plan: compile(t, "../testdata/demo/boot.hcl"), Runtime: &Runtime{Kind: "podman", Version: "4.3.1"},
		Actions: map[int][]ContainerAction{},
		Orphans: []ContainerAction{{Name: "old", Image: "localhost/x:1", Action: Remove, Reason: "was created for service old"}}}
	for _, task := range p.Plan.Tasks {
		for _, c := range task.Service.Containers {
			a := ContainerAction{Name: c.Name, Image: c.Image, Action: Create, Reason: "no container named " + c.Name}
			switch c.Name {
			case "identity":
				a.Action, a.Reason = Keep, "it runs as described"
			case "names":
				a.Action, a.Reason = Start, "exited with code 137"
			case "orders-web":
				a.Action, a.Reason = Replace, "it was created from another description"
				a.Diff = []Field{
					{Field: "env.HTTP", To: "\x1b]0;x\a:8080"}, {Field: "env.LOG", From: "(sensitive)", To: "(sensitive)"}, {Field: "hostname", From: "old"},
					{Field: "image", From: "localhost/bootgraph/server:0", To: "localhost/bootgraph/server:1"},
					{Field: "ports", From: "1:1/tcp 2:2/tcp", To: "2:2/tcp 3:3/tcp", Removed: []string{"1:1/tcp"}, Added: []string{"3:3/tcp"}},
				}
			}
			p.Actions[task.ID] = append(p.Actions[task.ID], a)
		}
	}
	return p
}

func TestOutputsAreTheseBytes(t *testing.T) {
	demo := preview(t)
	for name, write := range map[string]func(io.Writer) error{
		"demo.plan": func(w io.Writer) error { return WritePlan(w, demo) },
		"plan.json": func(w io.Writer) error { return WritePlanJSON(w, demo) },
		"demo.sh":   func(w io.Writer) error { return WriteScript(w, script(t)) },
		"empty.plan": func(w io.Writer) error {
			return WritePlan(w, &Preview{Plan: &scheduler.Plan{Name: "empty"}})
		},
		"status.txt":   func(w io.Writer) error { return WriteStatus(w, status, now) },
		"status.json":  func(w io.Writer) error { return WriteStatusJSON(w, status) },
		"plain.txt":    func(w io.Writer) error { play(Plain(w)); return nil },
		"quiet.txt":    func(w io.Writer) error { play(Quiet(w)); return nil },
		"events.jsonl": func(w io.Writer) error { play(JSON(w)); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			var first, second bytes.Buffer
			if err := write(&first); err != nil {
				t.Fatal(err)
			}
			if err := write(&second); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Error("the second time it is another text")
			}
			if strings.ContainsAny(first.String(), "\x1b\a") {
				t.Error("an escape code came through")
			}
			golden(t, name, first.Bytes())
		})
	}
}

var (
	now    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	status = &Status{Name: "rift", Services: []Service{
		{Stage: "foundation", Name: "mcias", State: scheduler.Healthy, Since: now.Add(-90 * time.Second)},
		{Stage: "core", Name: "mcr", State: scheduler.Failed, Since: now.Add(-2 * time.Hour), Cause: scheduler.Cause{Code: "exited", Text: "exited with code 3\nlast line: \x1b[31mno"}},
		{Stage: "apps", Name: "mcq", State: scheduler.Pending, Cause: scheduler.Cause{Code: "not_found", Text: "no container named mcq"}},
	}}
)

// play gives a sink a boot in which everything happens that is shown.
func play(take func(scheduler.Event)) {
	seq, at := 0, now
	give := func(after time.Duration, e scheduler.Event) {
		seq++
		at = at.Add(after)
		e.Seq, e.Time, e.Run = seq, at, "20261124T120000.000Z-7"
		take(e)
	}
	move := func(service string, from, to scheduler.State, attempt int, why string) scheduler.Event {
		e := scheduler.Event{Type: scheduler.ServiceMoved, Stage: "one", Service: service, From: from, To: to, Attempt: attempt}
		if why != "" {
			e.Cause = scheduler.Cause{Code: "code", Text: why}
		}
		return e
	}
	give(0, scheduler.Event{Type: scheduler.RunStarted, Name: "rift", Stages: []scheduler.StageNames{{Name: "one", Services: []string{"a", "bee", "c"}}}})
	give(0, scheduler.Event{Type: scheduler.StageStarted, Stage: "one"})
	for _, s := range []string{"a", "bee", "c"} {
		give(0, move(s, scheduler.Pending, scheduler.Blocked, 0, ""))
	}
	give(time.Millisecond, move("a", scheduler.Blocked, scheduler.Starting, 1, ""))
	begun := move("a", scheduler.Starting, scheduler.Probing, 1, "")
	begun.At = []scheduler.Instance{{Container: "a", ID: "4d4a", StartedAt: now}}
	give(200*time.Millisecond, begun)
	ready := move("a", scheduler.Probing, scheduler.Healthy, 1, "")
	ready.Elapsed = 1204 * time.Millisecond
	give(time.Second, ready)
	again := move("bee", scheduler.Starting, scheduler.Backoff, 1, "port 127.0.0.1:53 is in use by container \x1b[2Jold-dns")
	again.Delay = time.Second
	give(0, again)
	give(2*time.Minute, scheduler.Event{Type: scheduler.StillBlocked, Stage: "one", Elapsed: 2 * time.Minute,
		Waiting: []scheduler.Waiting{{Service: "bee", State: scheduler.Backoff, Attempt: 4, Cause: scheduler.Cause{Code: "port_busy", Text: "port 53 is in use"}}}})
	give(time.Second, move("bee", scheduler.Starting, scheduler.Failed, 5, "port 53 is in use"))
	skipped := move("c", scheduler.Blocked, scheduler.Skipped, 0, "needs bee, which failed: port 53 is in use")
	skipped.Cause.Root = "bee"
	give(0, skipped)
	give(0, scheduler.Event{Type: scheduler.StageDone, Stage: "one", Outcome: scheduler.EndDegraded, Elapsed: 123 * time.Second})
	give(0, scheduler.Event{Type: scheduler.RunDone, Outcome: scheduler.EndDegraded, Exit: 3, Elapsed: 123 * time.Second})
}

func TestCleanMakesTextSafeForATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              "plain",
		"a\nb\tc\r\n":        "a b c",
		"\x1b[31mred\x1b[0m": `\x1b[31mred\x1b[0m`,
		"bell\a":             `bell\a`,
		"\u202egnp.exe":      `\u202egnp.exe`,
		"zero\u200bwidth":    `zero\u200bwidth`,
		"bad\xffutf8":        `bad\ufffdutf8`,
		"ünïcödé 日本":         "ünïcödé 日本",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestLinesKeepsTheLinesOfACause(t *testing.T) {
	if got, want := Lines("exited with code 1:\r\n\npanic: \x1b[31mno\n  at main\n", "    "), "exited with code 1:\n    panic: \\x1b[31mno\n      at main"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
