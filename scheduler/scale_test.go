package scheduler

import (
	"fmt"
	"testing"
	"time"

	"bootgraph/config"
)

// layered makes stages of services, each service depending on the ones with
// its number in the layer before.
func layered(stages, layers, wide int) *config.File {
	f := &config.File{Name: "large"}
	for i := range stages {
		st := &config.Stage{Name: fmt.Sprintf("stage%d", i), OnFailure: config.Continue, Timeout: time.Minute, Attempts: 1}
		if i == 0 {
			st.OnFailure = config.Block
		}
		for l := range layers {
			for n := range wide {
				s := &config.Service{Name: fmt.Sprintf("s%d-%d-%d", i, l, n), Kind: config.KindService, Timeout: time.Minute, Attempts: 1}
				for d := 0; d < 3 && l > 0; d++ {
					s.DependsOn = append(s.DependsOn, config.Reference{Target: fmt.Sprintf("s%d-%d-%d", i, l-1, (n+d)%wide)})
				}
				st.Services = append(st.Services, s)
			}
		}
		f.Stages = append(f.Stages, st)
	}
	return f
}

func TestTenThousandServicesBootInVirtualTime(t *testing.T) {
	plan, diags := Compile(layered(10, 10, 100))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	script := map[string][]attempt{}
	for _, task := range plan.Tasks {
		script[task.Name] = []attempt{{start: 150 * time.Millisecond, ready: 300 * time.Millisecond}}
	}
	script["s3-9-7"] = []attempt{{never: true}}
	report, events, took := boot(t, plan, script, 50, 0)
	if report.Outcome != EndDegraded || report.Exit != 3 {
		t.Errorf("it came out %s, %d", report.Outcome, report.Exit)
	}
	t.Logf("%d services, %d events, %s of virtual time", len(plan.Tasks), len(events), took)
}

func TestChainOfTenThousandCompiles(t *testing.T) {
	f := layered(1, 10_000, 1)
	plan, diags := Compile(f)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if len(plan.CriticalPath) != 10_000 {
		t.Errorf("the critical path has %d steps", len(plan.CriticalPath))
	}
}

func TestBarriersAreOneVertexABoundary(t *testing.T) {
	plan, _ := Compile(layered(10, 1, 1000))
	if edges := len(plan.withBarriers().Edges()); edges != 10*1000+9*1000+9 {
		t.Errorf("%d edges between 10 stages of 1,000", edges)
	}
}
