package scheduler

import (
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bootgraph/config"
)

// soak is what make soak sets.
var soak = flag.Duration("soak", 0, "how long each test of random worlds goes on with seeds that nobody has tried")

// seeds are the first n, always, and then others for as long as there is to
// soak. A seed that has found something becomes one of the regressions.
func seeds(t *testing.T, n uint64, regressions ...uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for seed := range n {
			if !yield(seed) {
				return
			}
		}
		for _, seed := range regressions {
			if !yield(seed) {
				return
			}
		}
		count := n
		for end := time.Now().Add(*soak); time.Now().Before(end) && !t.Failed(); count++ {
			if !yield(rand.Uint64()) {
				return
			}
		}
		if *soak > 0 {
			t.Logf("%d worlds", count)
		}
	}
}

// randomFile makes a configuration without cycles: references point to
// services that come before.
func randomFile(r *rand.Rand, stages, perStage int) *config.File {
	f := &config.File{Name: "random"}
	var all []string
	for i := range stages {
		st := &config.Stage{Name: fmt.Sprintf("stage%d", i), OnFailure: config.Continue, Timeout: 10 * time.Second, Attempts: 1 + r.IntN(2)}
		switch {
		case i == 0:
			st.OnFailure = config.Block
		case r.IntN(6) == 0:
			st.OnFailure = config.Abort
		case r.IntN(4) == 0:
			st.OnFailure = config.Block
		}
		for range r.IntN(perStage + 1) {
			s := &config.Service{Name: fmt.Sprintf("s%d", len(all)), Kind: config.KindService, Timeout: st.Timeout, Attempts: st.Attempts}
			if r.IntN(6) == 0 {
				s.Kind = config.KindJob
			}
			for range r.IntN(4) {
				if len(all) == 0 {
					break
				}
				ref := config.Reference{Target: all[r.IntN(len(all))]}
				switch r.IntN(5) {
				case 0:
					s.Wants = append(s.Wants, ref)
				case 1:
					s.After = append(s.After, ref)
				default:
					s.DependsOn = append(s.DependsOn, ref)
				}
			}
			all = append(all, s.Name)
			st.Services = append(st.Services, s)
		}
		f.Stages = append(f.Stages, st)
	}
	return f
}

func randomAttempt(r *rand.Rand, job bool) attempt {
	ms := func(most int) time.Duration { return time.Duration(r.IntN(most)) * time.Millisecond }
	a := attempt{start: ms(400), ready: ms(3000)}
	if job {
		switch r.IntN(5) {
		case 0:
			a.never = true
		case 1:
			a.never, a.exits, a.exit = true, true, ms(2000)
		}
		return a
	}
	switch r.IntN(10) {
	case 0:
		a.noStart = true
	case 1:
		a.noImage = true
	case 2:
		a.pull = ms(30000)
	case 3:
		a.ready = 9*time.Second + ms(2000) // about the deadline
	case 4:
		a.never = true
	case 5, 6:
		a.exits, a.exit = true, ms(6000)
	}
	return a
}

// TestRandomWorlds boots random graphs in random worlds and holds every event
// log against the promises (checkLog). The seed that fails is in the name of
// the subtest.
func TestRandomWorlds(t *testing.T) {
	for seed := range seeds(t, 400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			plan, diags := Compile(randomFile(r, 1+r.IntN(4), 8))
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			script := map[string][]attempt{}
			for _, task := range plan.Tasks {
				for range 1 + r.IntN(3) {
					script[task.Name] = append(script[task.Name], randomAttempt(r, task.Policy.Job))
				}
				if r.IntN(3) > 0 { // most of the foundation comes up in the end
					script[task.Name] = append(script[task.Name], attempt{ready: time.Second})
				}
			}
			boot(t, plan, script, 1+r.IntN(4), time.Duration(1+r.IntN(300))*time.Second)
		})
	}
}

// TestRandomFallsAreMended supervises random graphs on which falls rain down.
// A while after the last one all is ready again, but for what somebody has
// stopped, and what waits for that.
func TestRandomFallsAreMended(t *testing.T) {
	for seed := range seeds(t, 200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			plan, diags := Compile(randomFile(r, 1+r.IntN(4), 8))
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			w := scenarioWorld{script: map[string][]attempt{}, parallelism: 1 + r.IntN(4), until: time.Hour}
			stopped := map[int]bool{}
			for _, task := range plan.Tasks {
				if r.IntN(2) == 0 {
					task.Service.OnDependencyRestart = config.Follow
				}
				w.script[task.Name] = []attempt{{start: 100 * time.Millisecond, ready: time.Duration(r.IntN(3000)) * time.Millisecond}}
				for range r.IntN(4) {
					if task.Policy.Job {
						continue
					}
					verb := []string{"exits", "vanishes", "is-sick", "is-stopped"}[r.IntN(4)]
					if verb == "is-sick" || verb == "exits" || verb == "vanishes" || r.IntN(4) == 0 {
						at := 10*time.Minute + time.Duration(r.IntN(300_000))*time.Millisecond
						w.befalls = append(w.befalls, befall{at, task.Name, verb})
					}
				}
			}
			report, _ := supervise(t, plan, w)
			for _, task := range plan.Tasks {
				if report.Status[task.ID].State == Stopped {
					stopped[task.ID] = true
				}
			}
			for _, task := range plan.Tasks {
				held := func(d int) bool { return stopped[d] }
				if slices.ContainsFunc(task.DependsOn, held) && !report.Status[task.ID].State.Ready() {
					stopped[task.ID] = true // or waits for one that is; IDs are a topological order
				}
				if s := report.Status[task.ID]; !s.State.Ready() && !stopped[task.ID] {
					t.Errorf("%s is %s: %s", task.Name, s.State, s.Cause)
				}
			}
		})
	}
}
