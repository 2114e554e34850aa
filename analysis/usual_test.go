package analysis

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootgraph/config"
)

// pair is a boot of db and of web, which depends on it.
func pair(t *testing.T, db attempt) *Boot {
	t.Helper()
	service := func(name string, needs ...config.Reference) *config.Service {
		return &config.Service{Name: name, Kind: config.KindService, Timeout: time.Minute, Attempts: 1, DependsOn: needs}
	}
	f := &config.File{Name: "pair", Stages: []*config.Stage{{Name: "all", OnFailure: config.Continue, Timeout: time.Minute, Attempts: 1,
		Services: []*config.Service{service("db"), service("web", config.Reference{Target: "db"})}}}}
	b, err := Of(boot(t, f, world{"db": {attempts: []attempt{db}}, "web": {attempts: []attempt{{start: time.Second, ready: 2 * time.Second}}}}, 2, 0))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tick is what the gate waits, to put the starts of one moment in order.
const tick = time.Millisecond

func readyAfter(d time.Duration) attempt { return attempt{ready: d} }

func TestABootIsHeldAgainstTheLastTenAlike(t *testing.T) {
	var before []*Boot
	for range 5 {
		before = append(before, pair(t, readyAfter(50*time.Second))) // long ago
	}
	for i := range 10 {
		before = append(before, pair(t, readyAfter(time.Duration(5+i%3)*time.Second)))
	}
	got := pair(t, readyAfter(34*time.Second)).Against(before)
	want := &Baseline{Boots: 10, Usual: 9*time.Second + 2*tick, More: 28 * time.Second, Changes: []Change{{"db", 28 * time.Second, true}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Expected(before, []string{"db", "web"}); got != 9*time.Second+2*tick {
		t.Errorf("expected: %s", got)
	}
	if got := Expected(before, []string{"web"}); got != 0 {
		t.Errorf("with less to start, expected: %s", got)
	}
	if got := pair(t, readyAfter(6*time.Second)).Against(before); got.Notable() || len(got.Changes) > 0 {
		t.Errorf("a boot as usual: %+v", got)
	}
	if got := before[0].Against(nil); got != nil {
		t.Errorf("the first boot: %+v", got)
	}
}

func TestUsualTimesAreThoseOfBootsThatWentWell(t *testing.T) {
	failed := attempt{start: 5 * time.Second, noStart: true}
	boots := []*Boot{pair(t, failed), pair(t, attempt{pull: time.Second, start: 2 * time.Second, ready: 3 * time.Second}), pair(t, failed)}
	want := map[string]Times{
		"db":  {Pulling: time.Second, Starting: 2 * time.Second, Probing: 3 * time.Second, Ready: true},
		"web": {Starting: time.Second, Probing: 2 * time.Second, Ready: true},
	}
	if diff := cmp.Diff(want, Usual(boots)); diff != "" {
		t.Error(diff)
	}
	// What never came up took what it took to be given up.
	want = map[string]Times{"db": {Starting: 5 * time.Second}}
	if diff := cmp.Diff(want, Usual(boots[:1])); diff != "" {
		t.Error(diff)
	}
}

func TestBarrierCostsWhatItHoldsUp(t *testing.T) {
	service := func(name string, needs ...string) *config.Service {
		s := &config.Service{Name: name, Kind: config.KindService, Timeout: time.Hour, Attempts: 1}
		for _, n := range needs {
			s.DependsOn = append(s.DependsOn, config.Reference{Target: n})
		}
		return s
	}
	stage := func(name string, list ...*config.Service) *config.Stage {
		return &config.Stage{Name: name, OnFailure: config.Continue, Timeout: time.Hour, Attempts: 1, Services: list}
	}
	f := &config.File{Name: "x", Stages: []*config.Stage{stage("one", service("slow"), service("fast")), stage("two", service("needs-fast", "fast")), stage("three", service("last"))}}
	w := world{}
	for i, name := range []string{"slow", "fast", "needs-fast", "last"} {
		w[name] = &script{attempts: []attempt{readyAfter([]time.Duration{20, 3, 10, 5}[i] * time.Second)}}
	}
	b, err := Of(boot(t, f, w, 4, 0))
	if err != nil {
		t.Fatal(err)
	}
	// 20+10+5 in all. Without the first barrier, 3+10 beside 20, then 5;
	// without the second, 20+10 with 5 beside it.
	var got []string
	for _, x := range b.Barriers() {
		got = append(got, fmt.Sprintf("%s at %s for %s: %s", b.Stages[x.Before].Name, x.At, b.Services[x.Slowest].Name, x.Cost))
	}
	if diff := cmp.Diff([]string{"two at 20.001s for slow: 10.001s", "three at 30.002s for needs-fast: 5.001s"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestABarrierIsHeldByWhatTakesTime, not by who is skipped because of it, a tick
// later.
func TestABarrierIsHeldByWhatTakesTime(t *testing.T) {
	service := func(name string, needs ...string) *config.Service {
		s := &config.Service{Name: name, Kind: config.KindService, Timeout: time.Hour, Attempts: 1}
		for _, n := range needs {
			s.DependsOn = append(s.DependsOn, config.Reference{Target: n})
		}
		return s
	}
	f := &config.File{Name: "x"}
	for i, list := range [][]*config.Service{{service("bad"), service("skipped", "bad")}, {service("last")}} {
		f.Stages = append(f.Stages, &config.Stage{Name: []string{"one", "two"}[i], OnFailure: config.Continue, Timeout: time.Hour, Attempts: 1, Services: list})
	}
	b, err := Of(boot(t, f, world{"bad": {attempts: []attempt{{start: time.Second, noStart: true}}}, "last": {attempts: []attempt{readyAfter(time.Second)}}}, 2, 0))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Services[b.Barriers()[0].Slowest].Name; got != "bad" {
		t.Errorf("the barrier was held by %s", got)
	}
}

func TestAJournalWithoutABeginningIsRefused(t *testing.T) {
	if _, err := Of(nil); err != NoBeginning {
		t.Error(err)
	}
}
