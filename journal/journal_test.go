package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// TestMain lets the test binary stand in for another bootgraph: it takes the
// lock, says so, and holds it until it dies.
func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL_TEST_HOLD"); dir != "" {
		if _, err := (Dir{dir}).Lock(context.Background(), "apply", 0); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("held\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func holdInAnotherProcess(t *testing.T, d Dir) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_HOLD="+d.path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return cmd
}

func TestSecondHolderIsRefusedAndToldThePID(t *testing.T) {
	d := At(t.TempDir(), "rift")
	other := holdInAnotherProcess(t, d)
	_, err := d.Lock(t.Context(), "down", 0)
	var held *Held
	if !errors.As(err, &held) {
		t.Fatalf("got %v, want *Held", err)
	}
	if held.Holder.PID != other.Process.Pid || held.Holder.Command != "apply" {
		t.Errorf("the holder is %+v, want pid %d, apply", held.Holder, other.Process.Pid)
	}
	if who, working := d.Working(); !working || who.PID != other.Process.Pid {
		t.Errorf("Working says %+v, %v", who, working)
	}
}

func TestLockOfADeadHolderIsFree(t *testing.T) {
	d := At(t.TempDir(), "rift")
	other := holdInAnotherProcess(t, d)
	if err := other.Process.Kill(); err != nil { // SIGKILL: it can't clean up
		t.Fatal(err)
	}
	_ = other.Wait()
	if who, working := d.Working(); working {
		t.Errorf("Working says %+v", who)
	}
	unlock, err := d.Lock(t.Context(), "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestALockOutlivesItsFile(t *testing.T) {
	d := At(t.TempDir(), "rift")
	unlock, err := d.Lock(t.Context(), "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.path, "lock")); err != nil {
		t.Fatal(err)
	}
	var held *Held
	if _, err := d.Lock(t.Context(), "apply", 0); !errors.As(err, &held) {
		t.Errorf("a second one gets it: %v", err)
	}
	unlock()
	again, err := d.Lock(t.Context(), "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestLockTimeoutWaitsForTheHolder(t *testing.T) {
	d := At(t.TempDir(), "rift")
	unlock, err := d.Lock(t.Context(), "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		again, err := d.Lock(t.Context(), "down", time.Minute)
		if err == nil {
			again()
		}
		got <- err
	}()
	unlock()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestLockEndsWithItsContext(t *testing.T) {
	d := At(t.TempDir(), "rift")
	unlock, err := d.Lock(t.Context(), "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(scheduler.Interrupt{Signal: "SIGINT", Exit: 130})
	if _, err := d.Lock(ctx, "down", time.Minute); err != (scheduler.Interrupt{Signal: "SIGINT", Exit: 130}) {
		t.Fatalf("got %v", err)
	}
}

func TestASharedLockIsWaitedFor(t *testing.T) {
	d := At(t.TempDir(), "rift")
	one, err := d.Share(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two, err := d.Share(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if who, working := d.Working(); working {
		t.Errorf("who shares it is taken for %+v", who)
	}
	got := make(chan error)
	for range 2 { // who waits for it doesn't keep others from it
		go func() {
			unlock, err := d.Lock(t.Context(), "apply", time.Minute)
			if err == nil {
				unlock()
			}
			got <- err
		}()
	}
	select {
	case err := <-got:
		t.Errorf("it was had while it was shared: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	one()
	two()
	for range 2 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}

func TestSharingWaitsForTheHolder(t *testing.T) {
	d := At(t.TempDir(), "rift")
	unlock, err := d.Lock(t.Context(), "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, scheduler.Interrupt{Signal: "SIGINT", Exit: 130})
	defer cancel()
	if _, err := d.Share(ctx); err != (scheduler.Interrupt{Signal: "SIGINT", Exit: 130}) {
		t.Errorf("got %v", err)
	}
	unlock()
	release, err := d.Share(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestTheLastHolderIsKnown(t *testing.T) {
	d := At(t.TempDir(), "rift")
	if who, ok := d.LastHolder(); ok {
		t.Errorf("there was none, and it is %+v", who)
	}
	before := time.Now()
	unlock, err := d.Lock(t.Context(), "down", 0)
	if err != nil {
		t.Fatal(err)
	}
	if who, ok := d.LastHolder(); !ok || who.Command != "down" || !who.Until.IsZero() {
		t.Errorf("it is at work, and is %+v, %v", who, ok)
	}
	unlock()
	if who, ok := d.LastHolder(); !ok || who.Since.Before(before) || who.Until.Before(who.Since) || who.Until.After(time.Now()) || who.Killed {
		t.Errorf("it has ended, and is %+v, %v", who, ok)
	}
	other := holdInAnotherProcess(t, d)
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	if who, ok := d.LastHolder(); !ok || who.PID != other.Process.Pid || who.Until.Before(time.Now()) || !who.Killed {
		t.Errorf("it was killed, and is %+v, %v", who, ok)
	}
}

var events = []scheduler.Event{
	{Seq: 1, Time: time.Date(2026, 11, 24, 1, 2, 3, 4000, time.UTC), Run: "r", Type: scheduler.RunStarted, Name: "rift",
		Stages: []scheduler.StageNames{{Name: "foundation", Services: []string{"mcias"}}}},
	{Seq: 2, Time: time.Date(2026, 11, 24, 1, 2, 4, 0, time.UTC), Run: "r", Type: scheduler.ServiceMoved, Stage: "foundation", Service: "mcias",
		From: scheduler.Starting, To: scheduler.Backoff, Attempt: 1, Delay: time.Second, Elapsed: 250 * time.Millisecond,
		Cause: scheduler.Cause{Code: "port_busy", Text: "port 127.0.0.1:53 is in use by \"x\"\n<y>", Root: "z"}},
	{Seq: 3, Time: time.Date(2026, 11, 24, 1, 2, 5, 0, time.UTC), Run: "r", Type: scheduler.ServiceMoved, Stage: "foundation", Service: "mcias",
		From: scheduler.Starting, To: scheduler.Probing, Attempt: 2,
		At: []scheduler.Instance{{Container: "mcias", ID: "abc", StartedAt: time.Date(2026, 11, 24, 1, 2, 5, 7, time.UTC)}}},
	{Seq: 4, Time: time.Date(2026, 11, 24, 1, 2, 6, 0, time.UTC), Run: "r", Type: scheduler.StillBlocked, Stage: "foundation", Elapsed: time.Minute,
		Waiting: []scheduler.Waiting{{Service: "mcias", State: scheduler.Probing, Attempt: 2, Cause: scheduler.Cause{Code: "refused", Text: "refused"}}}},
	{Seq: 5, Time: time.Date(2026, 11, 24, 1, 2, 7, 0, time.UTC), Run: "r", Type: scheduler.RunDone, Outcome: scheduler.EndInterrupted, Exit: 130, Elapsed: 4 * time.Second},
}

func write(t *testing.T) (Dir, string) {
	t.Helper()
	d := At(t.TempDir(), "rift")
	w, err := d.Create("r")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		w.Add(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return d, filepath.Join(d.path, "runs", "r.jsonl")
}

func TestJournalGivesBackTheEvents(t *testing.T) {
	d, path := write(t)
	got, err := d.Read("r")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, got, cmp.Comparer(func(a, b config.Port) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if runs, err := d.Runs(); err != nil || !cmp.Equal(runs, []string{"r"}) {
		t.Errorf("runs: %v, %v", runs, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the journal: %v, %v", info.Mode(), err)
	}
}

func TestTornJournalIsReadToItsLastWholeLine(t *testing.T) {
	d, path := write(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := 0
		for _, b := range data[:cut] {
			if b == '\n' {
				whole++
			}
		}
		got, err := d.Read("r")
		if err != nil || len(got) != whole {
			t.Fatalf("cut at %d: %d events of %d, %v", cut, len(got), whole, err)
		}
	}
}

func TestDamagedJournalIsReadUpToTheDamage(t *testing.T) {
	d, path := write(t)
	line, _ := json.Marshal(events[0])
	if err := os.WriteFile(path, append(append(line, "\n\x00\x00garbage\n"...), line...), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := d.Read("r")
	var damage *Damage
	if !errors.As(err, &damage) || damage.Line != 2 || len(got) != 1 {
		t.Errorf("%d events, %v", len(got), err)
	}
}

func TestTrimKeepsTheNewest(t *testing.T) {
	d := At(t.TempDir(), "x")
	if err := d.Trim(2); err != nil {
		t.Errorf("with no journals: %v", err)
	}
	for _, run := range []string{"3", "1", "4", "2"} {
		w, err := d.Create(run)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, keep := range []int{5, 2, 2} {
		if err := d.Trim(keep); err != nil {
			t.Fatal(err)
		}
	}
	if runs, err := d.Runs(); err != nil || !cmp.Equal(runs, []string{"3", "4"}) {
		t.Errorf("runs: %v, %v", runs, err)
	}
}

// TestAFullDiskCostsEventsAndNoMore: a journal is readable while there is no
// room, and goes on when there is some again.
func TestAFullDiskCostsEventsAndNoMore(t *testing.T) {
	d := At(t.TempDir(), "rift")
	w, err := d.Create("r")
	if err != nil {
		t.Fatal(err)
	}
	w.Add(events[0])
	var was, full syscall.Rlimit // as a full disk: of a write there is room for the first bytes only
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	full = syscall.Rlimit{Cur: uint64(w.size) + 10, Max: was.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	w.Add(events[1])
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	w.Add(events[2])
	if err := w.Close(); !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "is not complete") {
		t.Errorf("it says %v", err)
	}
	if got, err := d.Read("r"); err != nil || !cmp.Equal(got, []scheduler.Event{events[0], events[2]}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestAJournalOfYearsKeepsWhereEachServiceStands, and the boot.
func TestAJournalOfYearsKeepsWhereEachServiceStands(t *testing.T) {
	const run = "r"
	d, _ := write(t)
	w, err := d.Append(run, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	w.most = w.size + 10_000
	move := func(seq int, service string) scheduler.Event {
		return scheduler.Event{Seq: seq, Time: events[0].Time, Run: run, Type: scheduler.ServiceMoved, Service: service, To: scheduler.Healthy}
	}
	w.Add(move(6, "quiet"))
	for seq := range 1000 {
		w.Add(move(7+seq, "loud"))
		if w.size > w.most {
			t.Fatalf("it has %d bytes", w.size)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := d.Read(run)
	if err != nil || len(got) > 200 || !cmp.Equal(got[:len(events)], events) || !slices.ContainsFunc(got, func(e scheduler.Event) bool { return e.Service == "quiet" }) || got[len(got)-1].Seq != 1006 {
		t.Errorf("%d events, %v", len(got), err)
	}
}
