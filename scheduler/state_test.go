package scheduler

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file, or rewrites the file with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what came out (-want +got); rewrite it with -update if you understand why:\n%s", path, diff)
	}
}

var policies = []Policy{
	{Attempts: 1}, {Attempts: 3}, {Attempts: 1, Forever: true},
	{Attempts: 1, Job: true}, {Attempts: 3, Job: true}, {Attempts: 1, Job: true, Forever: true},
	{Attempts: 3, Supervised: true}, {Attempts: 1, Forever: true, Supervised: true}, {Attempts: 3, Job: true, Supervised: true},
}

// step calls next, and reports whether the pair is one that can happen.
func step(p Policy, s Status, o Outcome) (to Status, possible bool) {
	defer func() {
		if recover() != nil {
			possible = false
		}
	}()
	return next(p, s, o), true
}

var why = Cause{Code: "x", Text: "why"}

// enumerate calls visit with every state × result × policy × attempt there is.
func enumerate(visit func(p Policy, from Status, r Result, to Status, possible bool)) {
	for _, p := range policies {
		for _, state := range States {
			for attempt := range 5 {
				for _, r := range Results {
					from := Status{State: state, Attempt: attempt}
					to, possible := step(p, from, Outcome{r, why})
					visit(p, from, r, to, possible)
				}
			}
		}
	}
}

func TestStateMachineIsThisTable(t *testing.T) {
	seen := map[string]bool{}
	var lines []string
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if !possible {
			return
		}
		line := fmt.Sprintf("%-8s + %-8s -> %s", from.State, r, to.State)
		_, after := supervised(p, from, Outcome{r, why})
		switch {
		case after && p.Job:
			line += " (a job, supervised)"
		case after:
			line += " (supervised)"
		case from.State == Probing && r == Late && to.State == Probing, to.State == Backoff && p.Forever:
			line += " (no limit of attempts)"
		case to.State == Backoff && p.Supervised && !p.Job:
			line += " (no limit of attempts)"
		case to.State == Backoff:
			line += " (attempts left)"
		case to.State == Completed:
			line += " (a job)"
		}
		if !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	})
	golden(t, "testdata/states.txt", strings.Join(lines, "\n")+"\n")
}

func TestSettledStatesAreFinalExceptAReadyOneThatFell(t *testing.T) {
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if possible && !p.Supervised && from.State.Settled() && !(from.State == Healthy && r == Exited) {
			t.Errorf("%s moves to %s on %s", from.State, to.State, r)
		}
	})
}

func TestSupervisionNeverGivesAServiceUp(t *testing.T) {
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if !possible || !p.Supervised || p.Job || r == Ended || r == Refused { // in a boot only
			return
		}
		if to.State.Settled() && !to.State.Ready() && r != Halted {
			t.Errorf("%s settles as %s on %s", from.State, to.State, r)
		}
	})
}

func TestOnlySomebodyStartsWhatSomebodyHasStopped(t *testing.T) {
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if possible && from.State == Stopped && r != Begun {
			t.Errorf("it moves to %s on %s", to.State, r)
		}
	})
}

func TestACompletedJobIsNeverRunAgain(t *testing.T) {
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if possible && from.State == Completed {
			t.Errorf("it moves to %s on %s", to.State, r)
		}
	})
}

func TestFoundationNeverSettlesUnhealthy(t *testing.T) {
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if !possible || !p.Forever || p.Supervised || r == Ended || r == Refused {
			return // only the end of the boot, and a dependency that is not ready, which can't be under this policy
		}
		if to.State.Settled() && !to.State.Ready() {
			t.Errorf("%s settles as %s on %s", from.State, to.State, r)
		}
	})
}

func TestRunningFoundationIsNeverRestartedForBeingSlow(t *testing.T) {
	s := next(Policy{Attempts: 1, Forever: true}, Status{State: Probing, Attempt: 1}, Outcome{Late, why})
	if s.State != Probing || s.Attempt != 1 {
		t.Errorf("it went to %+v", s)
	}
}

func TestEveryStateThatIsNotReadySaysWhy(t *testing.T) {
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if possible && to.State.Settled() && !to.State.Ready() && to.Cause != why {
			t.Errorf("%s -> %s lost its cause", from.State, to.State)
		}
	})
}

func TestBackoffDoublesUpToItsLimit(t *testing.T) {
	var got []time.Duration
	for attempt := range 9 {
		got = append(got, backoff(attempt)/time.Second)
	}
	if diff := cmp.Diff([]time.Duration{1, 1, 2, 4, 8, 16, 30, 30, 30}, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnySequenceOfOutcomes walks the machine at random: it never gets stuck,
// never forgets an attempt, and never starts more often than it may.
func TestAnySequenceOfOutcomes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(policies).Draw(t, "policy")
		s, starts := Status{State: Pending}, 0
		for range 100 {
			var possible []Result
			for _, r := range Results {
				if _, ok := step(p, s, Outcome{r, why}); ok {
					possible = append(possible, r)
				}
			}
			if len(possible) == 0 {
				if !s.State.Settled() {
					t.Fatalf("stuck in %+v", s)
				}
				return
			}
			was := s
			s = next(p, s, Outcome{rapid.SampledFrom(possible).Draw(t, "result"), why})
			if s.State == Starting {
				starts++
			}
			if s.Attempt < was.Attempt {
				t.Fatalf("%+v forgot an attempt of %+v", s, was)
			}
			if !p.Forever && (!p.Supervised || p.Job) && starts > p.Attempts {
				t.Fatalf("started %d times, with %d attempts", starts, p.Attempts)
			}
			if (s.State == Backoff) != (s.Delay > 0) {
				t.Fatalf("a delay belongs to backoff alone: %+v", s)
			}
		}
	})
}

// TestStateDiagram draws docs/states.dot from the code, so that it can't go
// stale.
func TestStateDiagram(t *testing.T) {
	labels, order, later := map[[2]State][]string{}, [][2]State{}, map[[2]State]bool{}
	enumerate(func(p Policy, from Status, r Result, to Status, possible bool) {
		if !possible || r == Ended {
			return // every state that is not settled leads to canceled: noise in a picture
		}
		if _, after := supervised(p, from, Outcome{r, why}); p.Supervised && !after {
			return // as in a boot
		}
		edge, label := [2]State{from.State, to.State}, string(r)
		if to.State == Backoff {
			label += ", attempts left"
		}
		if from.State == to.State {
			label += ", no limit"
		}
		if labels[edge] == nil {
			order = append(order, edge)
			later[edge] = p.Supervised
		}
		if p.Supervised {
			label = string(r) // and no limit of attempts
		}
		if p.Supervised && !later[edge] {
			label += ", after the boot"
		}
		for _, l := range labels[edge] {
			if l == label {
				return
			}
		}
		labels[edge] = append(labels[edge], label)
	})
	var b strings.Builder
	b.WriteString("// Drawn by scheduler.TestStateDiagram from the code; rewrite with: go test ./scheduler -update\n")
	b.WriteString("digraph states {\n  rankdir=LR; fontname=\"sans-serif\";\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for _, s := range States {
		if s == Canceled {
			continue
		}
		attributes := ""
		if s.Settled() {
			attributes = " [peripheries=2]"
		}
		fmt.Fprintf(&b, "  %s%s;\n", s, attributes)
	}
	for _, edge := range order {
		style := ""
		if later[edge] {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  %s -> %s [label=\"%s\"%s];\n", edge[0], edge[1], strings.Join(labels[edge], `\n`), style)
	}
	b.WriteString("  label=\"doubly framed: settled. When the boot ends, all that is not settled is canceled.\\nDashed: after the boot, under supervision.\";\n}\n")
	golden(t, "../docs/states.dot", b.String())
}
