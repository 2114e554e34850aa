package main

import (
	"reflect"
	"testing"
	"time"
)

const ms = time.Millisecond

// at is a time in milliseconds of some day; 0 is the zero time.
func at(list ...int) (times []time.Time) {
	for _, n := range list {
		if n == 0 {
			times = append(times, time.Time{})
			continue
		}
		times = append(times, time.Unix(0, 0).Add(time.Duration(n)*ms))
	}
	return times
}

// diamond: a; b and c need a; in the next stage, d needs b.
var diamond = workload{stages: 2, services: []service{
	{delay: 100 * ms}, {delay: 300 * ms, dependsOn: []int{0}}, {delay: 500 * ms, dependsOn: []int{0}}, {stage: 1, delay: 50 * ms, dependsOn: []int{1}},
}}

func TestTheLongestPathGoesThroughTheBarrier(t *testing.T) {
	// a, c, then d: although d needs only b.
	if got := diamond.path(10 * ms); got != 100*ms+500*ms+50*ms+3*10*ms {
		t.Errorf("the path takes %s", got)
	}
}

func TestTheBoundIsThePathOrWhatPodmanCanPrepare(t *testing.T) {
	if got := diamond.bound(bare{start: 10 * ms, initRate: 100}); got != 680*ms {
		t.Errorf("where Podman is fast: %s", got)
	}
	if got := diamond.bound(bare{start: 10 * ms, initRate: 2}); got != 2*time.Second {
		t.Errorf("where Podman is slow: %s", got)
	}
}

func TestToStopTakesThePathBackOrWhatPodmanCanRemove(t *testing.T) {
	if got := diamond.stopBound(bare{stop: 100 * ms, stopRate: 100}); got != 300*ms {
		t.Errorf("where Podman is fast: %s", got)
	}
	if got := diamond.stopBound(bare{stop: 100 * ms, stopRate: 2}); got != 2*time.Second {
		t.Errorf("where Podman is slow: %s", got)
	}
}

func TestTheMiddleOfTheBareFiguresIsTakenOneByOne(t *testing.T) {
	got := middle([]bare{{start: 3, initRate: 1, stop: 9}, {start: 1, initRate: 3, stop: 7}, {start: 2, initRate: 2, stop: 8}})
	if want := (bare{start: 2, initRate: 2, stop: 8}); got != want {
		t.Errorf("%+v instead of %+v", got, want)
	}
}

func TestWhoBeganBeforeWhatItNeedsListenedIsEarly(t *testing.T) {
	s := stamps{began: at(1, 200, 100, 600), listening: at(101, 500, 600, 700)}
	if early, of := diamond.early(s); early != 1 || of != 3 { // c: 100 < 101
		t.Errorf("%d of %d", early, of)
	}
	s.listening = at(101, 0, 600, 700) // b never listened, so d is early too
	if early, _ := diamond.early(s); early != 2 {
		t.Errorf("%d", early)
	}
}

func TestABootIsReadyWhenTheLastOneListens(t *testing.T) {
	s := stamps{listening: at(101, 900, 600, 700)}
	if got := s.ready(); !got.Equal(at(900)[0]) {
		t.Error(got)
	}
	s.listening = at(101, 0, 600, 700)
	if got := s.ready(); !got.IsZero() {
		t.Errorf("one never listened, but all are ready at %s", got)
	}
}

func TestAGateOpensWithTheLastDependency(t *testing.T) {
	w := workload{services: []service{{}, {}, {dependsOn: []int{0, 1}}, {dependsOn: []int{0}}}}
	got := w.gates(at(100, 300, 0, 0), at(1, 1, 320, 105))
	if want := []time.Duration{20 * ms, 5 * ms}; !reflect.DeepEqual(got, want) {
		t.Errorf("%s instead of %s", got, want)
	}
}

func TestMedianAndPercentile(t *testing.T) {
	list := []time.Duration{5, 1, 4, 2, 3, 100}
	if got := median(list); got != 3 { // (3+4)/2
		t.Errorf("median %d", got)
	}
	if got := median(list[:5]); got != 3 {
		t.Errorf("median of five %d", got)
	}
	for p, want := range map[float64]time.Duration{50: 3, 95: 100, 99: 100, 1: 1} {
		if got := percentile(list, p); got != want {
			t.Errorf("p%.0f %d instead of %d", p, got, want)
		}
	}
	if median(nil) != 0 || percentile([]time.Duration(nil), 50) != 0 {
		t.Error("of nothing there is something")
	}
}

func TestWorkloadsAreTheSameEveryTimeAndAsLargeAsTheySay(t *testing.T) {
	list := workloads()
	if !reflect.DeepEqual(list, workloads()) {
		t.Error("two calls give two workloads")
	}
	for _, want := range []struct {
		name                    string
		stages, services, edges int
	}{{"chain", 1, 10, 9}, {"wide", 1, 31, 30}, {"realistic", 4, 24, 40}, {"hundred", 6, 100, 170}} {
		for _, w := range list {
			edges := 0
			for i, s := range w.services {
				edges += len(s.dependsOn)
				for _, d := range s.dependsOn {
					if d >= i || w.services[d].stage > s.stage {
						t.Errorf("%s: %s needs what comes after it", w.name, s.name)
					}
				}
			}
			if w.name == want.name && (w.stages != want.stages || len(w.services) != want.services || edges != want.edges) {
				t.Errorf("%s has %d stages, %d services, %d edges", w.name, w.stages, len(w.services), edges)
			}
		}
	}
}

func TestLevelsKeepTheOrder(t *testing.T) {
	if got := diamond.levels(); !reflect.DeepEqual(got, [][]int{{0}, {1, 2}, {3}}) {
		t.Error(got)
	}
	if got := diamond.inStages(); !reflect.DeepEqual(got, [][]int{{0, 1, 2}, {3}}) {
		t.Error(got)
	}
}
