package agent

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bootgraph/scheduler"
)

func drawEvent(t *rapid.T) scheduler.Event {
	word := rapid.StringN(0, 12, -1)
	number := rapid.IntRange(0, 1<<20)
	when := func() time.Time {
		return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), 1000*rapid.Int64Range(0, 999_999).Draw(t, "us")).UTC()
	}
	span := func() time.Duration { return time.Duration(number.Draw(t, "us")) * time.Microsecond }
	cause := func() scheduler.Cause {
		return scheduler.Cause{Code: word.Draw(t, "code"), Text: word.Draw(t, "text"), Root: word.Draw(t, "root")}
	}
	types := []scheduler.EventType{scheduler.RunStarted, scheduler.StageStarted, scheduler.ServiceMoved, scheduler.ServiceNoted, scheduler.StillBlocked, scheduler.StageDone, scheduler.RunDone}
	e := scheduler.Event{Seq: number.Draw(t, "seq"), Time: when(), Run: word.Draw(t, "run"), Type: rapid.SampledFrom(types).Draw(t, "type"),
		Name: word.Draw(t, "name"), Stage: word.Draw(t, "stage"), Service: word.Draw(t, "service"),
		From: rapid.SampledFrom(scheduler.States).Draw(t, "from"), To: rapid.SampledFrom(scheduler.States).Draw(t, "to"),
		Attempt: number.Draw(t, "attempt"), Cause: cause(), Kept: rapid.Bool().Draw(t, "kept"), Delay: span(), Elapsed: span(), Pulled: span(), Queued: span(), Timeout: span(), Usual: span(),
		Outcome: scheduler.Ending(word.Draw(t, "outcome")), Exit: number.Draw(t, "exit")}
	for range rapid.IntRange(0, 2).Draw(t, "stages") {
		e.Stages = append(e.Stages, scheduler.StageNames{Name: word.Draw(t, "stage"), Services: rapid.SliceOfN(word, 0, 3).Draw(t, "services")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "running") {
		e.Running = append(e.Running, word.Draw(t, "running"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "edges") {
		e.Edges = append(e.Edges, scheduler.EdgeNames{From: word.Draw(t, "from"), To: word.Draw(t, "to"), Kind: word.Draw(t, "kind")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "containers") {
		e.At = append(e.At, scheduler.Instance{Container: word.Draw(t, "container"), ID: word.Draw(t, "id"), StartedAt: when()})
	}
	for range rapid.IntRange(0, 2).Draw(t, "waiting") {
		e.Waiting = append(e.Waiting, scheduler.Waiting{Service: word.Draw(t, "service"), State: scheduler.Probing, Attempt: number.Draw(t, "attempt"), Cause: cause()})
	}
	return e
}

// TestEventsAreWholeInTheAPI: what an event says as JSON, it says as a message.
func TestEventsAreWholeInTheAPI(t *testing.T) {
	drawn := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		for field, value := range reflect.ValueOf(e).Fields() {
			drawn[field.Name] = drawn[field.Name] || !value.IsZero()
		}
		want, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(decode(encode(e)))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("it was\n%s\nand is\n%s", want, got)
		}
	})
	for field, was := range drawn {
		if !was {
			t.Errorf("events have a field %s, which this test knows nothing of, and so maybe the API", field)
		}
	}
}
