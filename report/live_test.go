package report

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootgraph/scheduler"
)

// screen is a terminal of which only the size and what is written is known.
type screen struct {
	mu            sync.Mutex
	columns, rows int
	text          bytes.Buffer
	writes        int
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return s.text.Write(p)
}

func (s *screen) size() (int, int) { return s.columns, s.rows }

// shop is a boot with one of each.
func shop(l *Live, usual time.Duration) {
	began := time.Now()
	add := func(after time.Duration, e scheduler.Event) {
		e.Time = began.Add(after)
		l.Add(e)
	}
	move := func(after time.Duration, service string, to scheduler.State, e scheduler.Event) {
		e.Type, e.Stage, e.Service, e.To, e.Attempt = scheduler.ServiceMoved, "core", service, to, max(e.Attempt, 1)
		add(after, e)
	}
	add(0, scheduler.Event{Type: scheduler.RunStarted, Name: "shop", Run: "r", Usual: usual, Stages: []scheduler.StageNames{
		{Name: "core", Services: []string{"db", "queue", "api", "web", "mail", "cron", "log"}}, {Name: "apps", Services: []string{"front", "admin"}}},
		Edges: []scheduler.EdgeNames{{From: "db", To: "api", Kind: "depends_on"}, {From: "queue", To: "api", Kind: "wants"}, {From: "db", To: "web", Kind: "after"}}})
	add(0, scheduler.Event{Type: scheduler.StageStarted, Stage: "core"})
	for _, name := range []string{"db", "queue", "api", "web", "mail", "cron", "log"} {
		move(0, name, scheduler.Blocked, scheduler.Event{})
	}
	for _, name := range []string{"db", "queue", "mail", "log"} {
		move(0, name, scheduler.Starting, scheduler.Event{Timeout: time.Minute})
		move(time.Second, name, scheduler.Probing, scheduler.Event{})
	}
	move(1500*time.Millisecond, "log", scheduler.Healthy, scheduler.Event{Elapsed: 1500 * time.Millisecond})
	add(2*time.Second, scheduler.Event{Type: scheduler.ServiceNoted, Stage: "core", Service: "db", Attempt: 1, Cause: scheduler.Cause{Text: "tcp 5432: \x1b[31mconnection refused\x1b]0;x\a"}})
	move(3*time.Second, "queue", scheduler.Backoff, scheduler.Event{Delay: 4 * time.Second, Attempt: 3, Cause: scheduler.Cause{Text: "container queue exited with code 1; the end of its log:\n  no license"}})
	move(3*time.Second, "mail", scheduler.Degraded, scheduler.Event{Elapsed: 3 * time.Second, Cause: scheduler.Cause{Text: "tcp 25: connection refused"}})
}

func block(l *Live, after time.Duration) string {
	columns, rows := l.opt.Size()
	p := painter{view: &l.view, LiveOptions: l.opt, columns: columns, rows: rows, now: l.view.fold.Began.Add(after)}
	return strings.Join(p.block(), "\n")
}

func TestLiveShowsWhatIsWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		screen *screen
		opt    LiveOptions
		usual  time.Duration
		want   string
	}{
		"80 columns": {&screen{columns: 80, rows: 24}, LiveOptions{Unicode: true}, 12 * time.Second, `
▸ core  1 of 7 ready  5s
  ◑ db     probing        4s  tcp 5432: \x1b[31mconnection refused\x…  55s left
  ↻ queue  backoff        2s  attempt 3; again in 2s; container queue exited w…
  ◌ api    blocked        5s  waits for db, queue
  ◌ web    blocked        5s  waits for its image, or a slot
  ! mail   degraded    3.00s  tcp 25: connection refused
  ◌ cron   blocked        5s  waits for its image, or a slot
  ✓ log    healthy     1.50s
· apps  2 services to come
████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  2 of 9 services  5s  about 7s left`},
		"few rows: who needs attention": {&screen{columns: 80, rows: 8}, LiveOptions{Unicode: true}, 0, `
▸ core  1 of 7 ready  5s
  ◑ db     probing        4s  tcp 5432: \x1b[31mconnection refused\x…  55s left
  ↻ queue  backoff        2s  attempt 3; again in 2s; container queue exited w…
  ! mail   degraded    3.00s  tcp 25: connection refused
    and 3 blocked, 1 healthy
· apps  2 services to come
████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  2 of 9 services  5s`},
		"40 columns, no Unicode": {&screen{columns: 40, rows: 24}, LiveOptions{}, 2 * time.Second, `
> core  1 of 7 ready  5s
  o db     probing        4s~  55s left
  ~ queue  backoff        2s  attempt ~
  . api    blocked        5s  waits fo~
  . web    blocked        5s  waits fo~
  ! mail   degraded    3.00s  tcp 25: ~
  . cron   blocked        5s  waits fo~
  + log    healthy     1.50s
. apps  2 services to come
#....  2 of 9 services  5s  3s longer ~`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := test.screen
				test.opt.Size = s.size
				l := NewLive(s, test.opt)
				shop(l, test.usual)
				if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), block(l, 5*time.Second)); diff != "" {
					t.Error(diff)
				}
				l.Add(scheduler.Event{Type: scheduler.RunDone, Time: time.Now(), Outcome: scheduler.EndDegraded})
			})
		})
	}
}

// TestLiveDrawsWhatChanges: 10 frames a second at most, one when only the
// clock moves, none when the boot is over; and it takes events after that.
func TestLiveDrawsWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{columns: 80, rows: 24}
		l := NewLive(s, LiveOptions{Size: s.size, Unicode: true})
		shop(l, 0)
		writes := func() (n int) {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			n, s.writes = s.writes, 0
			return n
		}
		for i := range 1000 { // a move a millisecond
			l.Add(scheduler.Event{Type: scheduler.ServiceNoted, Time: time.Now(), Service: "db", Cause: scheduler.Cause{Text: fmt.Sprint(i)}})
			time.Sleep(time.Millisecond)
		}
		if n := writes(); n < 9 || n > 12 {
			t.Errorf("%d frames in a second of moves", n)
		}
		time.Sleep(10 * time.Second)
		if n := writes(); n < 9 || n > 11 {
			t.Errorf("%d frames in ten seconds without a move", n)
		}
		l.Add(scheduler.Event{Type: scheduler.RunDone, Time: time.Now(), Outcome: scheduler.EndDegraded, Elapsed: 11 * time.Second})
		writes()
		l.Add(scheduler.Event{Type: scheduler.ServiceMoved, Time: time.Now(), Service: "db", To: scheduler.Healthy})
		time.Sleep(10 * time.Second)
		if n := writes(); n != 0 {
			t.Errorf("%d frames after the boot", n)
		}
		if text := s.text.String(); !strings.Contains(text, "boot degraded in 11.0s") || strings.Contains(text, "\x1b[31m") || strings.Contains(text, "\x1b]") {
			t.Errorf("it wrote %q", text)
		}
	})
}

// TestLiveGoesUpAsFarAsItHasDrawn, also when the terminal has become narrower
// and has broken the lines.
func TestLiveGoesUpAsFarAsItHasDrawn(t *testing.T) {
	for _, test := range []struct {
		widths  []int
		columns int
		want    int
	}{{nil, 80, 0}, {[]int{79, 10, 0}, 80, 3}, {[]int{79, 10, 0}, 40, 4}, {[]int{79, 79}, 20, 8}} {
		if got := height(test.widths, test.columns); got != test.want {
			t.Errorf("%v in %d columns take %d rows, want %d", test.widths, test.columns, got, test.want)
		}
	}
}

func TestSummaryPutsConsequencesUnderTheirRoot(t *testing.T) {
	var p progress
	for _, e := range []scheduler.Event{
		{Type: scheduler.RunStarted, Name: "x", Stages: []scheduler.StageNames{{Name: "a", Services: []string{"web", "api", "db"}}}},
		{Type: scheduler.ServiceMoved, Service: "web", To: scheduler.Skipped, Cause: scheduler.Cause{Text: "needs api, which needs db, which failed", Root: "db"}},
		{Type: scheduler.ServiceMoved, Service: "api", To: scheduler.Skipped, Cause: scheduler.Cause{Text: "needs db, which failed", Root: "db"}},
		{Type: scheduler.ServiceMoved, Service: "db", To: scheduler.Failed, Cause: scheduler.Cause{Text: "exited with code 1"}},
	} {
		p.fold.Add(e)
		p.line(e)
	}
	want := `boot degraded in 2.00s: 1 failed, 2 skipped
  failed     db   exited with code 1
             2 services skipped because of it: web, api`
	if got := p.summary(scheduler.Event{Outcome: scheduler.EndDegraded, Elapsed: 2 * time.Second}); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}

// TestWhatRunsIsNotSaidToStart: its first start is but a look; a second one is
// a start.
func TestWhatRunsIsNotSaidToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{columns: 80, rows: 24}
		l := NewLive(s, LiveOptions{Size: s.size, Unicode: true})
		var text strings.Builder
		plain := Plain(&text)
		add := func(e scheduler.Event) {
			e.Time, e.Stage, e.Service = time.Now(), "core", "db"
			l.Add(e)
			plain(e)
		}
		says := func(live string, inText bool) {
			t.Helper()
			if got := block(l, 0); !strings.Contains(got, " db  "+live) {
				t.Errorf("db should be %s in\n%s", live, got)
			}
			if strings.Contains(text.String(), "starting") != inText {
				t.Errorf("the plain lines are\n%s", text.String())
			}
		}
		add(scheduler.Event{Type: scheduler.RunStarted, Stages: []scheduler.StageNames{{Name: "core", Services: []string{"db"}}}, Running: []string{"db"}})
		add(scheduler.Event{Type: scheduler.StageStarted})
		add(scheduler.Event{Type: scheduler.ServiceMoved, To: scheduler.Starting, Attempt: 1, Timeout: time.Minute})
		says("running", false)
		add(scheduler.Event{Type: scheduler.ServiceMoved, To: scheduler.Starting, Attempt: 2, Timeout: time.Minute})
		says("starting", true)
		l.Add(scheduler.Event{Type: scheduler.RunDone, Time: time.Now()})
	})
}

func TestLinesThatStayAreBrokenAtSpaces(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"boot ready", []string{"boot ready"}},
		{"twenty columns are it", []string{"twenty columns are", "    it"}},
		{"twenty columns are i", []string{"twenty columns are i"}},
		{"  failed  mail  exited with code 3", []string{"  failed  mail", "      exited with", "      code 3"}},
		{"averylongwordthatdoesnotfit", []string{"averylongwordthatdoesnotfit"}},
		{"a averylongwordthatdoesnotfit b", []string{"a", "    averylongwordthatdoesnotfit b"}},
		{"✓ 東京東京東京東京 東京", []string{"✓ 東京東京東京東京", "    東京"}},
	} {
		if diff := cmp.Diff(c.want, broken(c.line, 20)); diff != "" {
			t.Errorf("%q: %s", c.line, diff)
		}
	}
}
