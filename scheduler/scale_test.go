package scheduler

import (
	"fmt"
	"runtime"
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

// What 4,000 services take while they boot: goroutines that wait, and memory.
// They crash at first, all of them, so that everything is done twice.
func TestAServiceTakesFewGoroutinesAndLittleMemory(t *testing.T) {
	const most, bytesMost = 2, 16 << 10 // a service of the stage under way, and of all
	plan, diags := Compile(layered(4, 1, 1000))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	script := map[string][]attempt{}
	for _, task := range plan.Tasks {
		task.Policy.Attempts = 2
		script[task.Name] = []attempt{{start: 150 * time.Millisecond, exits: true, exit: 100 * time.Millisecond, never: true}, {start: 150 * time.Millisecond, ready: 300 * time.Millisecond}}
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines, heap := 0, uint64(0)
	count := 0
	report, events, _ := boot(t, plan, script, 50, 0, func(w *fakeWorld) {
		w.looked = func() {
			goroutines = max(goroutines, runtime.NumGoroutine())
			if count++; count%500 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&during)
				heap = max(heap, during.HeapAlloc+during.StackInuse)
			}
		}
	})
	if report.Outcome != EndReady {
		t.Errorf("it came out %s", report.Outcome)
	}
	used := heap - before.HeapAlloc - before.StackInuse
	t.Logf("%d services, 1000 at a time, %d events: %d goroutines, %d KiB, which is %d bytes a service", len(plan.Tasks), len(events), goroutines, used>>10, used/uint64(len(plan.Tasks)))
	if goroutines > most*1000 {
		t.Errorf("%d goroutines for 1000 services", goroutines)
	}
	if used > bytesMost*uint64(len(plan.Tasks)) {
		t.Errorf("%d bytes for %d services", used, len(plan.Tasks))
	}
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
