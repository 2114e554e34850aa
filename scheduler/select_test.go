package scheduler

import (
	"context"
	"strings"
	"testing"

	"bootgraph/config"
)

// shop is a plan for selections: stages divided by |, services by spaces,
// NAME<DEPENDENCY,… , a dependency that is only wanted with a ~.
func shop(t *testing.T, text string) *Plan {
	t.Helper()
	f := &config.File{Name: "shop"}
	for i, stage := range strings.Split(text, "|") {
		st := &config.Stage{Name: string(rune('A' + i)), OnFailure: config.Continue, Attempts: 1}
		if i == 0 {
			st.OnFailure = config.Block
		}
		for _, word := range strings.Fields(stage) {
			name, needs, _ := strings.Cut(word, "<")
			s := &config.Service{Name: name, Kind: config.KindService, Attempts: 1}
			for _, d := range strings.FieldsFunc(needs, func(r rune) bool { return r == ',' }) {
				if wanted, ok := strings.CutPrefix(d, "~"); ok {
					s.Wants = append(s.Wants, config.Reference{Target: wanted})
				} else {
					s.DependsOn = append(s.DependsOn, config.Reference{Target: d})
				}
			}
			st.Services = append(st.Services, s)
		}
		f.Stages = append(f.Stages, st)
	}
	p, diags := Compile(f)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

func show(p *Plan) string {
	var stages []string
	for _, st := range p.Stages {
		var names []string
		for _, task := range st.Tasks {
			names = append(names, task.Name)
		}
		stages = append(stages, st.Name+": "+strings.Join(names, " "))
	}
	return strings.Join(stages, " | ")
}

const shopText = "id dns | db cache | api<db,id web<api,~cache mail"

func TestSelection(t *testing.T) {
	for _, test := range []struct {
		name string
		sel  Selection
		up   string
		down string
	}{
		{"nothing said is all", Selection{}, "A: id dns | B: db cache | C: api web mail", "A: id dns | B: db cache | C: api web mail"},
		{"a target takes along what it needs and wants, and the foundation", Selection{Targets: []string{"web"}}, "A: id dns | B: db cache | C: api web", "C: web"},
		{"a target of the foundation needs no more than itself", Selection{Targets: []string{"id"}}, "A: id", "A: id | C: api web"},
		{"an excluded service takes out what needs it, not what wants it", Selection{Excludes: []string{"db", "cache"}}, "A: id dns | C: mail", "A: id dns | C: api web mail"},
		{"a stage is just its services", Selection{Stages: []string{"B"}}, "B: db cache", "B: db cache"},
		{"a stage and a target", Selection{Stages: []string{"B"}, Targets: []string{"mail"}}, "A: id dns | B: db cache | C: mail", "B: db cache | C: mail"},
		{"a target without one of its needs", Selection{Targets: []string{"web"}, Excludes: []string{"api"}}, "A: id dns | B: db cache", "C: web"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := shop(t, shopText)
			up, err := p.Select(test.sel)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(up); got != test.up {
				t.Errorf("up is   %s\nwant    %s", got, test.up)
			}
			down, err := p.SelectDown(test.sel)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(down); got != test.down {
				t.Errorf("down is %s\nwant    %s", got, test.down)
			}
		})
	}
}

func TestSelectionOfWhatIsNotThere(t *testing.T) {
	p := shop(t, shopText)
	for want, sel := range map[string]Selection{
		`there is no service or job "webb"; did you mean "web"?`: {Targets: []string{"webb"}},
		`there is no service or job "elephant"`:                  {Excludes: []string{"elephant"}},
		`there is no stage "X"`:                                  {Stages: []string{"X"}},
	} {
		if _, err := p.Select(sel); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestKeptStagesKeepWhatTheyNeed(t *testing.T) {
	p, err := shop(t, "id | db cache | api<db,id mail").WithoutStages([]string{"C"})
	if err != nil {
		t.Fatal(err)
	}
	if got := show(p); got != "B: cache" {
		t.Errorf("down stops %s", got)
	}
}

func TestDownIsTheReverseOfABoot(t *testing.T) {
	p := shop(t, "id dns<id | db api<db web<api,~db")
	var order []string
	ch := make(chan string)
	done := make(chan error)
	go func() {
		done <- Down(t.Context(), p, func(_ context.Context, task *Task) error { ch <- task.Name; return nil })
	}()
	for range p.Tasks {
		order = append(order, <-ch)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "web api db dns id" {
		t.Errorf("it stopped %s", got)
	}
}

func TestALabelIsAllOfItsInstances(t *testing.T) {
	p := shop(t, "db | w-a<db w-b<db w")
	p.Tasks[1].Service.Label, p.Tasks[2].Service.Label = "worker", "worker"
	some, err := p.Select(Selection{Stages: []string{"A"}, Targets: []string{"worker"}})
	if err != nil || show(some) != "A: db | B: w-a w-b" {
		t.Errorf("%v, %v", show(some), err)
	}
	if _, err := p.Find("worker"); err == nil || !strings.Contains(err.Error(), "such as w-a") {
		t.Errorf("one of several: %v", err)
	}
}
