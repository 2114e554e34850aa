package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bootgraph/scheduler"
)

func TestWhatFallsAfterABootIsSaidInLines(t *testing.T) {
	var k Kept
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	from := scheduler.Healthy
	hear := func(after time.Duration, to scheduler.State, attempt int) string {
		level, text := k.Line(scheduler.Event{Type: scheduler.ServiceMoved, Service: "web", From: from, To: to, Attempt: attempt, Time: began.Add(after),
			Cause: scheduler.Cause{Text: "it exited\x1b with 1; the end of its log:\nsecret"}})
		from = to
		return strings.TrimPrefix(level+" "+text, " ")
	}
	for _, step := range []struct {
		after   time.Duration
		to      scheduler.State
		attempt int
		want    string
	}{
		{time.Second, scheduler.Backoff, 1, `warning web is not ready any more: it exited\x1b with 1`},
		{2 * time.Second, scheduler.Blocked, 1, ""},
		{3 * time.Second, scheduler.Starting, 2, ""},
		{3 * time.Second, scheduler.Probing, 2, ""},
		{5 * time.Second, scheduler.Healthy, 2, "info web is ready again after 4.00s"},
		{6 * time.Second, scheduler.Backoff, 2, ""},
		{7 * time.Second, scheduler.Healthy, 2, ""},
		{8 * time.Second, scheduler.Probing, 2, ""},
		{9 * time.Second, scheduler.Healthy, 2, ""},
		{2 * time.Minute, scheduler.Probing, 2, "warning web is not ready any more, for the 4th time since " + began.Add(time.Second).Local().Format(time.TimeOnly) + `: it exited\x1b with 1`},
		{3 * time.Minute, scheduler.Backoff, 3, ""},
		{12*time.Minute + time.Second, scheduler.Backoff, 9, `warning web is not ready for 10m01s, after 9 attempts: it exited\x1b with 1`},
		{13 * time.Minute, scheduler.Backoff, 10, ""},
		{14 * time.Minute, scheduler.Stopped, 10, `info web stays stopped: it exited\x1b with 1`},
		{15 * time.Minute, scheduler.Probing, 10, ""},
		{15 * time.Minute, scheduler.Healthy, 10, "info web is ready again after 1m00s"},
	} {
		if got := hear(step.after, step.to, step.attempt); got != step.want {
			t.Errorf("after %s, %s: %q, want %q", step.after, step.to, got, step.want)
		}
	}
}

func TestWhatTheBootHasSaidIsNotSaidAgain(t *testing.T) {
	var k Kept
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if _, text := k.Line(scheduler.Event{Type: scheduler.ServiceMoved, Service: "web", From: scheduler.Degraded, To: scheduler.Probing, Time: at}); text != "" {
		t.Error(text)
	}
	if _, text := k.Line(scheduler.Event{Type: scheduler.ServiceMoved, Service: "web", From: scheduler.Probing, To: scheduler.Healthy, Time: at.Add(time.Second)}); text != "web is ready again after 1.00s" {
		t.Error(text)
	}
}

func TestWhatIsSaidOfAServiceThatFallsForEverHasALimit(t *testing.T) {
	var k Kept
	lines := 0
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 10_000 { // a fall a second
		for _, to := range []scheduler.State{scheduler.Backoff, scheduler.Blocked, scheduler.Starting, scheduler.Probing, scheduler.Healthy} {
			if _, text := k.Line(scheduler.Event{Type: scheduler.ServiceMoved, Service: "web", From: scheduler.Healthy, To: to, Time: at.Add(time.Duration(i) * time.Second), Cause: scheduler.Cause{Text: fmt.Sprint(i)}}); text != "" {
				lines++
			}
		}
	}
	if lines > 2*(10_000/60+1) {
		t.Errorf("%d lines", lines)
	}
}
