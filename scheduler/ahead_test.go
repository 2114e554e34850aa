package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bootgraph/config"
)

// fakePreparer takes 100 ms for each, and says in which order it was asked.
type fakePreparer struct {
	world *fakeWorld
	took  time.Duration

	mu   sync.Mutex
	said []string
	now  int // under way
	most int
}

func (p *fakePreparer) add(format string, args ...any) {
	p.said = append(p.said, fmt.Sprintf(format, args...))
}

func (p *fakePreparer) Ahead(_ context.Context, t *Task) bool {
	p.mu.Lock()
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	time.Sleep(p.took)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
	p.add("%s", t.Name)
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	if p.world.starts[t.Name] > 0 {
		p.add("%s was started meanwhile", t.Name)
	}
	return true
}

func (p *fakePreparer) PutBack(_ context.Context, t *Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add("-%s", t.Name)
}

// line is one stage in which each depends on the one before it.
func line(names ...string) *config.File {
	st := &config.Stage{Name: "line", OnFailure: config.Continue, Timeout: time.Minute, Attempts: 1}
	for i, name := range names {
		s := &config.Service{Name: name, Kind: config.KindService, Timeout: time.Minute, Attempts: 1}
		if i > 0 {
			s.DependsOn = []config.Reference{{Target: names[i-1]}}
		}
		st.Services = append(st.Services, s)
	}
	return &config.File{Name: "ahead", Stages: []*config.Stage{{Name: "foundation", OnFailure: config.Block, Timeout: time.Minute}, st}}
}

// bootPrepared boots in virtual time with a preparer, two at a time.
func bootPrepared(t *testing.T, file *config.File, script map[string][]attempt, took time.Duration, limit time.Duration) (report Report, p *fakePreparer, events []Event) {
	synctest.Test(t, func(t *testing.T) {
		plan, diags := Compile(file)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if limit > 0 {
			time.AfterFunc(limit, cancel)
		}
		w := newFakeWorld(script)
		p = &fakePreparer{world: w, took: took}
		report = Run(ctx, plan, World{Runtime: w, Prober: w, Sentry: w, Preparer: p}, Options{Run: "r", Parallelism: 2, Sinks: []func(Event){func(e Event) { events = append(events, e) }}})
	})
	return report, p, events
}

func TestWhatComesLaterIsPreparedMeanwhileAndNotStarted(t *testing.T) {
	script := map[string][]attempt{"a": {{ready: time.Second}}}
	report, p, events := bootPrepared(t, line("a", "b", "c", "d"), script, 100*time.Millisecond, 0)
	if got := strings.Join(p.said, " "); report.Outcome != EndReady || got != "b c d" {
		t.Errorf("%s; prepared: %s", report.Outcome, got)
	}
	for _, e := range events {
		if e.Service == "b" && e.To == Starting && e.Time.Sub(report.Began) < time.Second {
			t.Errorf("b was started after %s, before a was ready", e.Time.Sub(report.Began))
		}
	}
}

func TestAStartWaitsForItsOwnPreparation(t *testing.T) {
	// a is ready before b is prepared, so the turn of b comes in the middle.
	script := map[string][]attempt{"a": {{ready: time.Second / 2}}}
	_, p, events := bootPrepared(t, line("a", "b", "c"), script, time.Second, 0)
	if got := strings.Join(p.said, " "); strings.Contains(got, "meanwhile") {
		t.Error(got)
	}
	i := slices.IndexFunc(events, func(e Event) bool { return e.Service == "b" && e.To == Starting })
	if i < 0 || !slices.Contains(p.said, "b") {
		t.Errorf("b was not started, or not prepared: %s", p.said)
	}
}

func TestWhatWasPreparedInVainIsPutBack(t *testing.T) {
	script := map[string][]attempt{"b": {{noStart: true}}, "a": {{ready: time.Second}}}
	report, p, _ := bootPrepared(t, line("a", "b", "c", "d"), script, 100*time.Millisecond, 0)
	slices.Sort(p.said)
	if got := strings.Join(p.said, " "); report.Outcome != EndDegraded || got != "-c -d b c d" {
		t.Errorf("%s; %s", report.Outcome, got)
	}
}

func TestABootThatIsInterruptedPutsBackWhatItHasPrepared(t *testing.T) {
	script := map[string][]attempt{"a": {{ready: time.Minute}}}
	report, p, _ := bootPrepared(t, line("a", "b", "c", "d"), script, 100*time.Millisecond, 150*time.Millisecond)
	slices.Sort(p.said)
	if got := strings.Join(p.said, " "); report.Outcome != EndInterrupted || got != "-b -c -d b c d" && got != "-b -c b c" {
		t.Errorf("%s; %s", report.Outcome, got)
	}
}

func TestPreparationsAndStartsShareTheSlots(t *testing.T) {
	file := line("a")
	for i := range 20 {
		file.Stages[1].Services = append(file.Stages[1].Services, &config.Service{Name: fmt.Sprint("s", i), Kind: config.KindService, Timeout: time.Minute, Attempts: 1, DependsOn: []config.Reference{{Target: "a"}}})
	}
	_, p, _ := bootPrepared(t, file, map[string][]attempt{"a": {{start: 50 * time.Millisecond, ready: time.Minute / 2}}}, 100*time.Millisecond, 0)
	if p.most != 2 || len(p.said) != 20 {
		t.Errorf("%d at a time, %d in all", p.most, len(p.said))
	}
}
