package scheduler

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"bootgraph/config"
)

// TestScenarios boots what stands in testdata/boot/*.txtar: a boot file, a
// world, and the event log that must come out. In the world a line tells what
// becomes of a service, attempts divided by |, the last one for all that
// follow:
//
//	NAME  pull=D start=D ready=D never exit=D noimage nostart | …
//
// and three words have a line of their own: parallelism N, interrupt D (SIGINT
// after D), blind FROM TO (the runtime can't be asked who has fallen).
//
// What stands in testdata/supervise is supervised after the boot, until D after
// its start. Meanwhile things befall services, see fakeWorld.befall:
//
//	until D
//	at D NAME VERB
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("../testdata/boot/*.txtar")
	after, err2 := filepath.Glob("../testdata/supervise/*.txtar")
	paths = append(paths, after...)
	if err := errors.Join(err, err2); err != nil || len(after) == 0 || len(paths) == len(after) {
		t.Fatal("no scenarios", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, _, diags := config.Parse("boot.hcl", part(t, archive, "boot.hcl"), config.Inputs{})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			plan, diags := Compile(file)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			w := parseWorld(t, string(part(t, archive, "world")))
			var events []Event
			if w.until > 0 {
				_, events = supervise(t, plan, w)
			} else {
				_, events, _ = boot(t, plan, w.script, w.parallelism, w.interrupt, func(f *fakeWorld) { f.blind = w.blind })
				_, simulated := simulate(t, plan, Imagined{Attempts: imagine(plan, w.script), Interrupt: w.interrupt,
					By: Interrupt{"SIGINT", 130}, Blind: w.blind}, w.parallelism)
				if diff := cmp.Diff(render(plan, events), render(plan, simulated)); diff != "" {
					t.Errorf("a simulation gives other events (-boot +simulation):\n%s", diff)
				}
			}
			got := render(plan, events)
			if *update {
				for i := range archive.Files {
					if archive.Files[i].Name == "want" {
						archive.Files[i].Data = []byte(got)
					}
				}
				golden(t, path, string(txtar.Format(archive)))
				return
			}
			if diff := cmp.Diff(string(part(t, archive, "want")), got); diff != "" {
				t.Errorf("the event log is another one (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOnePlanGivesOneEventLog boots one plan again and again.
func TestOnePlanGivesOneEventLog(t *testing.T) {
	file := layered(3, 3, 5)
	plan, _ := Compile(file)
	script := map[string][]attempt{}
	for _, task := range plan.Tasks {
		script[task.Name] = []attempt{{start: 100 * time.Millisecond, ready: 300 * time.Millisecond}}
	}
	script["s1-1-1"] = []attempt{{never: true}}
	want := ""
	for range 50 {
		_, events, _ := boot(t, plan, script, 2, 0)
		got := render(plan, events)
		if want == "" {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

// TestOfWhatIsGivenUpInOneMomentTheFirstIsNamed: the first in depends_on, not
// whichever goroutine was woken first.
func TestOfWhatIsGivenUpInOneMomentTheFirstIsNamed(t *testing.T) {
	plan := compile(t, `
stage "foundation" {}
stage "two" {
  service "a" { image = "localhost/x:1" }
  service "b" { image = "localhost/x:1" }
  service "c" { image = "localhost/x:1" }
  service "needs_all" {
    depends_on = [service.c, service.a, service.b]
    image      = "localhost/x:1"
  }
}`)
	never := []attempt{{never: true}}
	script := map[string][]attempt{"a": never, "b": never, "c": never}
	for range 200 {
		report, _, _ := boot(t, plan, script, 3, 0)
		task, _ := plan.Find("needs_all")
		if got := report.Status[task.ID].Cause; got.Root != "c" {
			t.Fatalf("it is skipped because of %s: %s", got.Root, got.Text)
		}
	}
}

func part(t *testing.T, a *txtar.Archive, name string) []byte {
	t.Helper()
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	t.Fatalf("the archive has no part %q", name)
	return nil
}

type scenarioWorld struct {
	script      map[string][]attempt
	parallelism int
	interrupt   time.Duration
	blind       [2]time.Duration
	until       time.Duration // the end of supervision; 0: there is none
	befalls     []befall
}

// befall is what befalls a service at a time after the start of the boot.
type befall struct {
	at         time.Duration
	name, verb string
}

func parseWorld(t *testing.T, text string) scenarioWorld {
	t.Helper()
	w := scenarioWorld{script: map[string][]attempt{}, parallelism: 2}
	must := func(s string) time.Duration {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "parallelism":
			n, err := strconv.Atoi(words[1])
			if err != nil {
				t.Fatal(err)
			}
			w.parallelism = n
		case "interrupt":
			w.interrupt = must(words[1])
		case "until":
			w.until = must(words[1])
		case "at":
			w.befalls = append(w.befalls, befall{must(words[1]), words[2], words[3]})
		case "blind":
			w.blind = [2]time.Duration{must(words[1]), must(words[2])}
		default:
			list := []attempt{{}}
			for _, word := range words[1:] {
				a := &list[len(list)-1]
				key, value, _ := strings.Cut(word, "=")
				switch key {
				case "|":
					list = append(list, attempt{})
				case "pull":
					a.pull = must(value)
				case "start":
					a.start = must(value)
				case "ready":
					a.ready = must(value)
				case "exit":
					a.exits, a.exit = true, must(value)
				case "never":
					a.never = true
				case "noimage":
					a.noImage = true
				case "nostart":
					a.noStart = true
				default:
					t.Fatal(fmt.Errorf("unknown word %q in the world", word))
				}
			}
			w.script[words[0]] = list
		}
	}
	return w
}
