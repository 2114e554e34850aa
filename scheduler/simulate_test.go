package scheduler

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bootgraph/config"
)

// imagine makes of the script of a fakeWorld the same for Simulate.
func imagine(plan *Plan, script map[string][]attempt) [][]Attempt {
	attempts := make([][]Attempt, len(plan.Tasks))
	for _, t := range plan.Tasks {
		list := script[t.Name]
		if len(list) == 0 {
			list = []attempt{{}}
		}
		for i, a := range list {
			v := Attempt{Pull: a.pull, Start: a.start, Ready: a.ready, Never: a.never, Exits: a.exits, Exit: a.exit,
				Unready: Cause{Code: "refused", Text: "connection refused"},
				Exited:  Cause{Code: "exited", Text: "exited with code 1"},
				Fallen:  Cause{Code: "exited", Text: "exited with code 1 after it was ready"}}
			if a.noImage {
				v.NoImage = CauseOf(errors.New("no such image"))
			}
			if a.noStart {
				v.NoStart = CauseOf(fmt.Errorf("start %d refused", i+1))
			}
			attempts[t.ID] = append(attempts[t.ID], v)
		}
	}
	return attempts
}

func compile(t *testing.T, text string) *Plan {
	t.Helper()
	file, _, diags := config.Parse("boot.hcl", []byte(text), config.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	plan, diags := Compile(file)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return plan
}

// simulate is boot without goroutines and bubbles.
func simulate(t *testing.T, plan *Plan, w Imagined, parallelism int, took ...time.Duration) (report Report, events []Event) {
	t.Helper()
	report = Simulate(plan, w, Options{Run: "run", Parallelism: parallelism, Took: took, Sinks: []func(Event){func(e Event) { events = append(events, e) }}})
	checkLog(t, plan, report, events, parallelism)
	return report, events
}

// byMoment brings events of one moment, which in Run come as goroutines woke,
// into an order that both drivers have. How often a start was refused is in no
// Attempt that stands for all that follow.
func byMoment(plan *Plan, events []Event) []Event {
	number := regexp.MustCompile(`start \d+ refused`)
	plain := func(c *Cause) {
		c.Text = number.ReplaceAllString(c.Text, "start refused")
	}
	id := map[string]int{}
	for _, t := range plan.Tasks {
		id[t.Name] = t.ID
	}
	events = slices.Clone(events)
	for i := range events {
		plain(&events[i].Cause)
		events[i].Waiting = slices.Clone(events[i].Waiting)
		for j := range events[i].Waiting {
			plain(&events[i].Waiting[j].Cause)
		}
	}
	ofService := func(e Event) bool { return e.Type == ServiceMoved || e.Type == ServiceNoted }
	for i := 0; i < len(events); {
		j := i + 1
		for j < len(events) && ofService(events[i]) && ofService(events[j]) && events[j].Time.Equal(events[i].Time) {
			j++
		}
		slices.SortStableFunc(events[i:j], func(a, b Event) int { return id[a.Service] - id[b.Service] })
		i = j
	}
	for i := range events {
		events[i].Seq = i + 1
	}
	return events
}

func sameEvents(t *testing.T, plan *Plan, real, simulated []Event) {
	t.Helper()
	if diff := cmp.Diff(byMoment(plan, real), byMoment(plan, simulated), cmpopts.IgnoreFields(Event{}, "At")); diff != "" {
		t.Errorf("a simulation gives other events than a boot (-boot +simulation):\n%s\n%s", diff, render(plan, simulated))
	}
}

// TestSimulationGivesTheEventsOfABoot holds the two drivers of the policy
// against each other. Durations are of odd nanoseconds: where two things happen
// in one moment, it is up to chance which a boot sees first.
func TestSimulationGivesTheEventsOfABoot(t *testing.T) {
	for seed := range uint64(600) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			plan, diags := Compile(randomFile(r, 1+r.IntN(4), 8))
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			odd := func(d time.Duration) time.Duration { return d + time.Duration(1+r.IntN(999_999)) }
			script := map[string][]attempt{}
			for _, task := range plan.Tasks {
				for range 1 + r.IntN(3) {
					a := randomAttempt(r, task.Policy.Job)
					a.pull, a.start, a.ready, a.exit = odd(a.pull), odd(a.start), odd(a.ready), odd(a.exit)
					script[task.Name] = append(script[task.Name], a)
				}
				if r.IntN(3) > 0 {
					script[task.Name] = append(script[task.Name], attempt{start: odd(0), ready: odd(time.Second)})
				}
			}
			parallelism, interrupt := 1+r.IntN(4), odd(time.Duration(1+r.IntN(300))*time.Second)
			var took []time.Duration // in earlier boots, which were others
			for range plan.Tasks {
				took = append(took, time.Duration(r.IntN(3))*time.Duration(r.IntN(100))*time.Millisecond)
			}
			_, want, _ := boot(t, plan, script, parallelism, interrupt, func(f *fakeWorld) { f.took = took })
			w := Imagined{Attempts: imagine(plan, script), Interrupt: interrupt, By: Interrupt{"SIGINT", 130}}
			_, got := simulate(t, plan, w, parallelism, took...)
			sameEvents(t, plan, want, got)
		})
	}
}

// Who has a choice starts first what a stage waits for longest.
func TestWhatUsuallyTakesLongestStartsFirst(t *testing.T) {
	plan := compile(t, `
stage "one" {
  service "quick" { image = "localhost/x:1" }
  service "new" { image = "localhost/x:1" }
  service "slow" { image = "localhost/x:1" }
  service "first" { image = "localhost/x:1" }
  service "second" {
    image      = "localhost/x:1"
    depends_on = [service.first]
  }
}
stage "two" {
  service "slowest" { image = "localhost/x:1" }
}`)
	usual := map[string]time.Duration{"quick": 100 * time.Millisecond, "slow": 9 * time.Second, "first": time.Second, "second": 2 * time.Second, "slowest": time.Minute}
	for _, c := range []struct {
		known bool
		want  string
	}{
		{false, "first quick new slow second slowest"}, // the longest in steps, then as in the file
		{true, "slow first new second quick slowest"},  // new is as the middle one of the others
	} {
		var took []time.Duration
		for _, task := range plan.Tasks {
			if c.known {
				took = append(took, usual[task.Name])
			}
		}
		attempts := make([][]Attempt, len(plan.Tasks))
		for i := range attempts {
			attempts[i] = []Attempt{{Start: time.Second}}
		}
		_, events := simulate(t, plan, Imagined{Attempts: attempts}, 1, took...)
		var order []string
		for _, e := range events {
			if e.To == Starting {
				order = append(order, e.Service)
			}
		}
		if got := strings.Join(order, " "); got != c.want {
			t.Errorf("with known %t they start so: %s, not %s", c.known, got, c.want)
		}
	}
}

// TestSimulationEndsWhereABootWouldWaitForEver: at the end of a timeout of the
// stage, but not before all else has come as far as it can.
func TestSimulationEndsWhereABootWouldWaitForEver(t *testing.T) {
	plan := compile(t, `
stage "foundation" {
  timeout = "10s"
  service "never" { image = "localhost/x:1" }
  service "dependent" {
    depends_on = [service.never]
    image      = "localhost/x:1"
  }
  service "slow" { image = "localhost/x:1" }
}
stage "later" {
  service "app" { image = "localhost/x:1" }
}`)
	for name, never := range map[string]attempt{
		"never ready":       {never: true},
		"no image":          {noImage: true},
		"does not start":    {noStart: true},
		"exits at once":     {exits: true, ready: time.Second},
		"exits, then hangs": {exits: true, never: true},
	} {
		t.Run(name, func(t *testing.T) {
			script := map[string][]attempt{"never": {never}, "slow": {{ready: 15 * time.Second}}}
			report, events := simulate(t, plan, Imagined{Attempts: imagine(plan, script)}, 2)
			last := events[len(events)-1]
			if report.Exit != 1 || report.Outcome != EndInterrupted || last.Elapsed != 20*time.Second {
				t.Errorf("it ended %s with exit code %d after %s\n%s", report.Outcome, report.Exit, last.Elapsed, render(plan, events))
			}
			want := "stage foundation would wait for ever for never"
			for _, task := range plan.Tasks {
				if s := report.Status[task.ID]; task.Name != "slow" && (s.State != Canceled || s.Cause.Text != want) {
					t.Errorf("%s is %s: %s", task.Name, s.State, s.Cause)
				}
			}
		})
	}
}

// TestSimulationWaitsForWhatComesInTheEnd: it calls nothing hopeless that isn't.
func TestSimulationWaitsForWhatComesInTheEnd(t *testing.T) {
	plan := compile(t, `stage "foundation" {
  timeout = "10s"
  service "db" { image = "localhost/x:1" }
}`)
	script := map[string][]attempt{"db": {{noStart: true}, {noImage: true}, {exits: true, never: true}, {noStart: true}, {ready: 61 * time.Second}}}
	report, events := simulate(t, plan, Imagined{Attempts: imagine(plan, script)}, 1)
	if report.Exit != 0 {
		t.Errorf("exit code %d\n%s", report.Exit, render(plan, events))
	}
}

// TestSimulationIsTheSameEveryTime, to the byte: it has no chance in it.
func TestSimulationIsTheSameEveryTime(t *testing.T) {
	plan, _ := Compile(layered(3, 3, 5))
	script := map[string][]attempt{"s1-1-1": {{never: true}}}
	_, want := simulate(t, plan, Imagined{Attempts: imagine(plan, script)}, 2)
	for range 20 {
		if _, got := simulate(t, plan, Imagined{Attempts: imagine(plan, script)}, 2); !cmp.Equal(want, got) {
			t.Fatal(cmp.Diff(want, got))
		}
	}
}
