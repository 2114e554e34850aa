package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"bootgraph/config"
)

// chatty is a prober that says something else again and again.
type chatty struct{ *fakeWorld }

func (c chatty) Await(ctx context.Context, t *Task, at []Instance, deadline time.Time, note func(Cause)) Outcome {
	for i := 0; ; i++ {
		note(Cause{Code: "http", Text: fmt.Sprintf("status %d", 500+i%2)})
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

// TestNotesGetRare: a boot that blocks for a day says why within a quarter of
// a second, and has a journal that can be read.
func TestNotesGetRare(t *testing.T) {
	plan, _ := Compile(layered(1, 1, 1))
	var notes []Event
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(map[string][]attempt{"s0-0-0": {{}}})
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		Run(ctx, plan, World{Runtime: w, Prober: chatty{w}, Sentry: w}, Options{Run: "run", Parallelism: 1, Sinks: []func(Event){func(e Event) {
			if e.Type == ServiceNoted {
				notes = append(notes, e)
			}
		}}})
	})
	if len(notes) < 24*60 || len(notes) > 24*60+20 {
		t.Fatalf("%d notes in a day", len(notes))
	}
	if first := notes[0]; first.Service != "s0-0-0" || first.Stage != "stage0" || first.Attempt != 1 || first.Cause.Text != "status 500" {
		t.Errorf("the first is %+v", first)
	}
}

// TestWhatAStartHadToWaitFor: its image, and a slot, each by itself.
func TestWhatAStartHadToWaitFor(t *testing.T) {
	file := layered(1, 1, 2)
	plan, _ := Compile(file)
	_, events, _ := boot(t, plan, map[string][]attempt{
		"s0-0-0": {{pull: time.Second, start: 5 * time.Second}},
		"s0-0-1": {{pull: 3 * time.Second, start: time.Second}},
	}, 1, 0)
	got := map[string][3]time.Duration{}
	for _, e := range events {
		if e.To == Starting {
			got[e.Service] = [3]time.Duration{e.Pulled, e.Queued.Round(100 * time.Millisecond), e.Timeout} // the gate waits a moment
		}
	}
	if want := map[string][3]time.Duration{
		"s0-0-0": {time.Second, 0, config.DefaultTimeout},
		"s0-0-1": {3 * time.Second, 3 * time.Second, config.DefaultTimeout},
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("pulled, queued and timeout are %v, want %v", got, want)
	}
}

func TestEventsComeBackFromJSON(t *testing.T) {
	plan, _ := Compile(layered(2, 2, 2))
	_, events, _ := boot(t, plan, map[string][]attempt{"s0-0-0": {{never: true, exits: true, exit: time.Second}, {pull: time.Second}}}, 1, 0)
	if len(events[0].Edges) == 0 {
		t.Error("the first event has no edges")
	}
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != string(text) {
			t.Errorf("%s became %s (%v)", text, again, err)
		}
	}
}
