package agent

import (
	"strings"
	"testing"

	"bootgraph/scheduler"
)

func moved(service string, to scheduler.State) scheduler.Event {
	return scheduler.Event{Type: scheduler.ServiceMoved, Stage: "one", Service: service, To: to}
}

func TestFeedKeepsTheLastEventsAndSaysWhatIsGone(t *testing.T) {
	f := newFeed(4)
	for range 20 {
		f.add(moved("a", scheduler.Healthy))
	}
	list, _, err := f.since(17)
	if err != nil || len(list) != 4 || list[0].Sequence != 17 || list[3].Sequence != 20 {
		t.Errorf("since 17: %v, %v", list, err)
	}
	if list, _, err := f.since(21); err != nil || len(list) != 0 {
		t.Errorf("since the next one: %v, %v", list, err)
	}
	if _, _, err := f.since(3); err == nil || !strings.Contains(err.Error(), "not kept any more") {
		t.Errorf("since one that is gone: %v", err)
	}
	if _, _, err := f.since(22); err == nil || !strings.Contains(err.Error(), "no event 22 yet") {
		t.Errorf("since one that never was: %v", err)
	}
}

func TestSnapshotHasTheLastOfEachHoweverLongAgo(t *testing.T) {
	f := newFeed(4)
	f.add(scheduler.Event{Type: scheduler.RunStarted, Name: "x"})
	f.add(moved("quiet", scheduler.Healthy))
	f.add(moved("gone", scheduler.Healthy))
	for range 50 {
		f.add(moved("busy", scheduler.Backoff))
	}
	f.add(moved("busy", scheduler.Healthy))
	f.forget(func(service string) bool { return service == "gone" })
	list, next := f.snapshot()
	var got []string
	for _, n := range list {
		got = append(got, string(n.Event.Type)+" "+n.Event.Service+" "+string(n.Event.To))
	}
	if strings.Join(got, ", ") != "run_started  , service quiet healthy, service busy healthy" || next != 55 {
		t.Errorf("snapshot %q, next %d", got, next)
	}
}

func TestFeedIsBoundedInBytes(t *testing.T) {
	f := newFeed(feedMost)
	text := strings.Repeat("x", 4096)
	for range 20_000 {
		f.add(scheduler.Event{Type: scheduler.ServiceMoved, Service: "x", Cause: scheduler.Cause{Text: text}})
	}
	size := 0
	for _, n := range f.kept {
		size += len(n.Event.Cause.Text)
	}
	if size > 2*feedText || size < feedText/2 || size != f.text {
		t.Errorf("it keeps %d bytes, and counts %d", size, f.text)
	}
	if list, _, err := f.since(20_000); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
