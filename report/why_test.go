package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bootgraph/scheduler"
)

// chainPlan is db in one stage; then api and log, and web that needs api, wants
// log and comes after both.
func chainPlan() *scheduler.Plan {
	task := func(id, stage int, name string, depends, wants, after []int) *scheduler.Task {
		return &scheduler.Task{ID: id, Stage: stage, Name: name, DependsOn: depends, Wants: wants, After: after, Policy: scheduler.Policy{Forever: stage == 0}}
	}
	p := &scheduler.Plan{Name: "x", Tasks: []*scheduler.Task{task(0, 0, "db", nil, nil, nil), task(1, 1, "api", nil, nil, nil),
		task(2, 1, "log", nil, nil, nil), task(3, 1, "web", []int{1}, []int{2}, []int{1, 2})}}
	p.Stages = []scheduler.Stage{{Name: "foundation", Tasks: p.Tasks[:1]}, {Name: "apps", Tasks: p.Tasks[1:]}}
	return p
}

func TestWhyFollowsTheChainToItsRoots(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	cause := func(text string) scheduler.Cause { return scheduler.Cause{Code: "c", Text: text} }
	for name, test := range map[string]struct {
		states [4]scheduler.State // db, api, log, web
		cause  string             // of web
		want   string
	}{
		"ready": {[4]scheduler.State{"healthy", "healthy", "degraded", "healthy"}, "", "web is healthy since 03:04:02 (3.00s)\n"},
		"skipped": {[4]scheduler.State{"healthy", "failed", "degraded", "skipped"}, "needs api, which failed", `web is skipped since 03:04:02 (3.00s): needs api, which failed
  depends on api is failed since 03:04:02 (3.00s): it is broken
`},
		"waits": {[4]scheduler.State{"healthy", "probing", "starting", "blocked"}, "", `web is blocked since 03:04:02 (3.00s)
  depends on api is probing since 03:04:02 (3.00s): it is broken
  wants log is starting since 03:04:02 (3.00s)
`},
		"the stage before": {[4]scheduler.State{"backoff", "pending", "pending", "pending"}, "", `web is pending since 03:04:02 (3.00s)
  depends on api is pending since 03:04:02 (3.00s): it is broken
    waits for stage foundation: db is backoff since 03:04:02 (3.00s)
  wants log is pending since 03:04:02 (3.00s)
`},
	} {
		t.Run(name, func(t *testing.T) {
			p := chainPlan()
			s := &Status{Name: "x"}
			for i, task := range p.Tasks {
				v := Service{Stage: p.Stages[task.Stage].Name, Name: task.Name, State: test.states[i], Since: now.Add(-3 * time.Second)}
				if task.Name == "api" && !v.State.Ready() {
					v.Cause = cause("it is broken")
				}
				if task.Name == "web" && test.cause != "" {
					v.Cause = cause(test.cause)
				}
				s.Services = append(s.Services, v)
			}
			chain := Why(p, s, p.Tasks[3])
			var text, doc bytes.Buffer
			if err := WriteWhy(&text, chain, now); err != nil {
				t.Fatal(err)
			}
			if text.String() != test.want {
				t.Errorf("it says\n%swant\n%s", text.String(), test.want)
			}
			if err := WriteWhyJSON(&doc, chain); err != nil || !json.Valid(doc.Bytes()) || chain.Ready() != (name == "ready") {
				t.Errorf("as JSON: %v\n%s", err, doc.String())
			}
		})
	}
}

func TestWhyShowsWhatContainersSaySafely(t *testing.T) {
	code := 3
	chain := &Chain{Links: []Link{{Service: Service{Name: "api", State: scheduler.Failed},
		Containers: []Container{{Name: "api", State: "exited", Exit: &code, Log: []string{"fatal: \x1b[31mred"}}}}}}
	var b bytes.Buffer
	if err := WriteWhy(&b, chain, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "container api: exited with code 3; its log ends with\n      | fatal: \\x1b[31mred\n") {
		t.Errorf("it says %q", got)
	}
}

func TestHistoryTellsHowBootsCameOut(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	started := scheduler.Event{Type: scheduler.RunStarted, Name: "x", Time: began, Stages: []scheduler.StageNames{{Name: "s", Services: []string{"a"}}}}
	done := scheduler.Event{Type: scheduler.RunDone, Time: began.Add(90 * time.Second), Outcome: scheduler.EndReady}
	healthy := scheduler.Event{Type: scheduler.ServiceMoved, Service: "a", To: scheduler.Healthy, Time: began}
	running, damaged := NewBoot("running", []scheduler.Event{started}), NewBoot("damaged", nil)
	running.Running, damaged.Damaged = true, true
	later := scheduler.Event{Type: scheduler.ServiceMoved, Service: "a", From: scheduler.Healthy, To: scheduler.Backoff, Time: began.Add(time.Hour)} // is not of the boot
	list := []Boot{NewBoot("ready", []scheduler.Event{started, healthy, done, later}), NewBoot("killed", []scheduler.Event{started, healthy}), damaged, running}
	var b bytes.Buffer
	if err := WriteHistory(&b, list, began.Add(5*time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{"TOOK", "1m30s  ready    1 healthy  ready", "-      killed   1 healthy  killed", "-      unknown  -          damaged", "5.00s  running  1 pending  running"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	b.Reset()
	if err := WriteHistoryJSON(&b, "x", list); err != nil || !json.Valid(b.Bytes()) || !strings.Contains(b.String(), `"took_s": 90`) {
		t.Errorf("as JSON: %v\n%s", err, b.String())
	}
}
