package scheduler

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"bootgraph/config"
)

// Whatever configuration config lets through compiles, or has a cycle that is
// told with the place of each of its edges; a plan is in an order in which a
// boot can go through it.
func FuzzCompile(f *testing.F) {
	paths, err := filepath.Glob("../testdata/*/*.txtar")
	if err != nil || len(paths) < 50 {
		f.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".hcl") {
				f.Add(string(file.Data), "mcias")
			}
		}
	}
	f.Fuzz(func(t *testing.T, src, name string) {
		file, _, diags := config.Parse("boot.hcl", []byte(src), config.Inputs{Getenv: func(string) (string, bool) { return "", false }})
		if diags.HasErrors() {
			return
		}
		p, diags := Compile(file)
		if (p == nil) != diags.HasErrors() {
			t.Fatalf("plan %v, errors %v", p != nil, diags.HasErrors())
		}
		for _, diag := range diags {
			if diag.Subject == nil || diag.Subject.Filename != "boot.hcl" {
				t.Errorf("%s points nowhere", diag.Summary)
			}
		}
		if p == nil {
			return
		}
		inOrder(t, p)
		for _, selection := range []Selection{{Targets: []string{name}}, {Excludes: []string{name}}} {
			if selected, err := p.Select(selection); err == nil {
				inOrder(t, selected)
			}
			if selected, err := p.SelectDown(selection); err == nil {
				inOrder(t, selected)
			}
		}
	})
}

// inOrder checks that whatever a task waits for has a lower ID, and is in the
// same stage or an earlier one.
func inOrder(t *testing.T, p *Plan) {
	t.Helper()
	for id, task := range p.Tasks {
		if task.ID != id || p.Stages[task.Stage].Name == "" {
			t.Errorf("task %d has ID %d", id, task.ID)
		}
		for _, list := range [][]int{task.DependsOn, task.Wants, task.After} {
			for _, d := range list {
				if d >= id || p.Tasks[d].Stage > task.Stage {
					t.Errorf("%s comes before %s, for which it waits", task.Name, p.Tasks[d].Name)
				}
			}
		}
	}
}

// TestTheLongestChainIsByWeight: of two ways through the stages that with the
// greater weight, not that of more steps.
func TestTheLongestChainIsByWeight(t *testing.T) {
	plan := compile(t, `
stage "one" {
  service "slow" { image = "localhost/x:1" }
  service "a" { image = "localhost/x:1" }
  service "b" {
    depends_on = [service.a]
    image      = "localhost/x:1"
  }
}
stage "two" {
  service "last" { image = "localhost/x:1" }
}`)
	chain := func(slow float64) (names []string) {
		for _, id := range plan.LongestChain(func(t *Task) float64 {
			if t.Name == "slow" {
				return slow
			}
			return 1
		}) {
			names = append(names, plan.Tasks[id].Name)
		}
		return names
	}
	if got := chain(1); !slices.Equal(got, []string{"a", "b", "last"}) {
		t.Errorf("where all weigh the same it is %s", got)
	}
	if got := chain(3); !slices.Equal(got, []string{"slow", "last"}) {
		t.Errorf("where slow weighs 3 it is %s", got)
	}
}
