package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bootgraph/journal"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// supervised is a configuration that was booted and is supervised, in this
// process; a bench runs other commands on it.
type supervised struct {
	*bench
	mu    sync.Mutex
	seen  []scheduler.Event
	more  chan struct{}
	taken int // of seen, by await
}

func newSupervised(t *testing.T, h *host.Host, text string) *supervised {
	t.Helper()
	v := &supervised{bench: newBench(t, h, text), more: make(chan struct{}, 1)}
	for _, line := range v.env[len(v.env)-2:] {
		key, value, _ := strings.Cut(line, "=")
		t.Setenv(key, value)
	}
	a := &app{stdout: io.Discard, stderr: t.Output(), logFormat: "text"}
	s, err := a.open(t.Context(), []string{v.file}, scheduler.Selection{}, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.carryOut(t.Context(), "agent", bootOptions{progress: "quiet", parallelism: 2, lockTimeout: new(time.Duration)}, false); err != nil {
		t.Fatal(err)
	}
	v.supervise(s)
	return v
}

// supervise goes on until the test ends.
func (v *supervised) supervise(s *session) {
	ctx, cancel := context.WithCancel(v.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.supervise(ctx, s.booted, 2, v.add)
	}()
	v.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func (v *supervised) add(e scheduler.Event) {
	v.mu.Lock()
	v.seen = append(v.seen, e)
	v.mu.Unlock()
	select {
	case v.more <- struct{}{}:
	default:
	}
}

// await returns the next event, after those it has returned or passed over
// before, by which a service comes to a state.
func (v *supervised) await(service string, to scheduler.State) scheduler.Event {
	v.t.Helper()
	late := time.After(time.Minute)
	for {
		v.mu.Lock()
		for ; v.taken < len(v.seen); v.taken++ {
			if e := v.seen[v.taken]; e.Service == service && e.To == to {
				v.taken++
				v.mu.Unlock()
				return e
			}
		}
		v.mu.Unlock()
		select {
		case <-v.more:
		case <-late:
			v.t.Fatalf("%s never came to be %s; there was %v", service, to, v.moves())
		}
	}
}

// moves is what has happened since the boot.
func (v *supervised) moves() (list []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.seen {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s -> %s %s", e.Service, e.From, e.To, e.Cause.Text)))
	}
	return list
}

// moved is how often a service has come to a state.
func (v *supervised) moved(service string, to scheduler.State) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.seen {
		if e.Service == service && e.To == to {
			n++
		}
	}
	return n
}

func (v *supervised) podman(args ...string) string {
	v.t.Helper()
	out, err := v.host.Podman(context.Background(), args...)
	if err != nil {
		v.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// signal sends a signal to the first process of a container, past Podman.
func (v *supervised) signal(container string, s syscall.Signal) {
	v.t.Helper()
	pid, err := strconv.Atoi(v.podman("inspect", "--format", "{{.State.Pid}}", container))
	if err == nil {
		err = syscall.Kill(pid, s)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *supervised) runs(container string) bool {
	out, err := v.host.Podman(context.Background(), "inspect", "--format", "{{.State.Running}}", container)
	return err == nil && strings.TrimSpace(string(out)) == "true"
}

// falls are ways for a container to fall that are nobody's will that it stay
// so.
var falls = []struct {
	name string
	fell func(v *supervised, container string)
}{
	{"kill -9", func(v *supervised, c string) { v.signal(c, syscall.SIGKILL) }},
	{"exit 0", func(v *supervised, c string) { v.signal(c, syscall.SIGTERM) }},
	{"rm --force", func(v *supervised, c string) { v.podman("rm", "--force", "--time=0", c) }},
}

// TestKilledContainersComeBack lets containers fall one by one, in each way.
func TestKilledContainersComeBack(t *testing.T) {
	const each = 4
	var text strings.Builder
	text.WriteString("name = \"killed\"\nstage \"foundation\" {\n")
	for i := range each * len(falls) {
		fmt.Fprintf(&text, `  service "killed-%d" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%d:8080"]
    env   = { TCP = ":8080" }
  }
`, i, host.FreePort())
	}
	text.WriteString("}\n")
	v := newSupervised(t, host.Shared(t), text.String())
	for i, way := range falls {
		var detected, ready []time.Duration
		for n := range each {
			name := fmt.Sprintf("killed-%d", i*each+n)
			began := time.Now()
			way.fell(v, name)
			detected = append(detected, v.await(name, scheduler.Backoff).Time.Sub(began))
			ready = append(ready, v.await(name, scheduler.Healthy).Time.Sub(began))
			if !v.runs(name) {
				t.Errorf("%s is healthy and does not run", name)
			}
		}
		slices.Sort(detected)
		slices.Sort(ready)
		t.Logf("%-10s  detected after %v (median of %d, at most %v), ready after %v (at most %v)", way.name,
			detected[each/2].Round(time.Millisecond), each, detected[each-1].Round(time.Millisecond), ready[each/2].Round(time.Millisecond), ready[each-1].Round(time.Millisecond))
	}
	for i := range each * len(falls) {
		if n := v.moved(fmt.Sprintf("killed-%d", i), scheduler.Starting); n != 1 {
			t.Errorf("killed-%d was started %d times", i, n)
		}
	}
}

func family(name string) string {
	return fmt.Sprintf(`name = "%[1]s"
stage "foundation" {
  service "%[1]s-db" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%[2]d:8080"]
    env   = { TCP = ":8080" }
  }
  job "%[1]s-migrate" {
    image   = "localhost/bootgraph/server:1"
    command = ["check", "exit", "0"]
  }
}
stage "apps" {
  service "%[1]s-web" {
    image                 = "localhost/bootgraph/server:1"
    depends_on            = [service.%[1]s-db]
    on_dependency_restart = "restart"
  }
  service "%[1]s-mail" {
    image      = "localhost/bootgraph/server:1"
    depends_on = [service.%[1]s-db]
  }
}
`, name, host.FreePort())
}

func TestDependentsFollowByPolicy(t *testing.T) {
	v := newSupervised(t, host.Shared(t), family("heirs"))
	mail := v.podman("inspect", "--format", "{{.State.StartedAt}}", "heirs-mail")
	v.signal("heirs-db", syscall.SIGKILL)
	ready := v.await("heirs-db", scheduler.Healthy)
	follows := v.await("heirs-web", scheduler.Starting)
	v.await("heirs-web", scheduler.Healthy)
	if follows.Time.Before(ready.Time) {
		t.Error("it was started before what it depends on was ready")
	}
	if now := v.podman("inspect", "--format", "{{.State.StartedAt}}", "heirs-mail"); now != mail {
		t.Error("the one that ignores it was started again")
	}
	if v.moved("heirs-migrate", scheduler.Starting) > 0 {
		t.Error("the job was run again")
	}
	if code, out, _ := v.run("status"); code != 0 {
		t.Errorf("status exits with %d:\n%s", code, out)
	}
}

// TestStoppedByHandStaysStopped until the next apply, by which it is ours
// again.
func TestStoppedByHandStaysStopped(t *testing.T) {
	v := newSupervised(t, host.Shared(t), family("hand"))
	v.podman("stop", "hand-db")
	if e := v.await("hand-db", scheduler.Stopped); e.Cause.Code != "stopped" {
		t.Errorf("the cause is %+v", e.Cause)
	}
	// What depends on it is not started without it.
	v.signal("hand-mail", syscall.SIGKILL)
	if e := v.await("hand-mail", scheduler.Blocked); !strings.Contains(e.Cause.Text, "waits for hand-db") {
		t.Errorf("the cause is %+v", e.Cause)
	}
	if v.runs("hand-db") || v.moved("hand-db", scheduler.Starting) > 0 {
		t.Error("it was started against somebody's will")
	}
	if code, out, _ := v.run("status"); code != 3 || !strings.Contains(out, "stopped") {
		t.Errorf("status exits with %d:\n%s", code, out)
	}
	if code, _, said := v.run("apply"); code != 0 {
		t.Fatalf("apply exits with %d: %s", code, said)
	}
	v.await("hand-db", scheduler.Healthy)
	v.await("hand-mail", scheduler.Healthy)
	v.signal("hand-db", syscall.SIGKILL)
	v.await("hand-db", scheduler.Starting)
	v.await("hand-db", scheduler.Healthy)

	v.podman("pause", "hand-mail")
	v.await("hand-mail", scheduler.Stopped)
	v.podman("unpause", "hand-mail")
	v.await("hand-mail", scheduler.Healthy)
	v.podman("kill", "hand-mail")
	v.await("hand-mail", scheduler.Stopped)
	v.podman("start", "hand-mail")
	v.await("hand-mail", scheduler.Healthy)
}

// TestADownByHandIsNotFought, nor an apply afterwards.
func TestADownByHandIsNotFought(t *testing.T) {
	v := newSupervised(t, host.Shared(t), family("taken"))
	v.signal("taken-mail", syscall.SIGKILL) // it is about to be put back
	if code, _, said := v.run("down"); code != 0 {
		t.Fatalf("down exits with %d: %s", code, said)
	}
	for _, name := range []string{"taken-db", "taken-web", "taken-mail"} {
		if v.moved(name, scheduler.Stopped) == 0 {
			v.await(name, scheduler.Stopped)
		}
	}
	if left := v.containers("taken"); left != "" {
		t.Errorf("it was put back:\n%s", left)
	}
	if code, _, said := v.run("apply"); code != 0 {
		t.Fatalf("apply exits with %d: %s", code, said)
	}
	v.await("taken-db", scheduler.Healthy)
	v.signal("taken-db", syscall.SIGKILL)
	v.await("taken-db", scheduler.Starting)
	v.await("taken-db", scheduler.Healthy)
}

// TestAKilledApplyIsNobodysWill: what it has removed, and what falls later.
func TestAKilledApplyIsNobodysWill(t *testing.T) {
	v := newSupervised(t, host.Shared(t), family("half"))
	apply := v.apply("--replace", "half-db")
	apply.untilState("half-db", scheduler.Blocked) // while it lives, what it removes is its will
	apply.signal(syscall.SIGKILL)
	_ = apply.cmd.Wait()
	v.podman("rm", "--force", "--time=0", "half-db") // as if it had been killed in the middle of replacing it
	v.await("half-db", scheduler.Healthy)
	v.podman("rm", "--force", "--time=0", "half-mail")
	v.await("half-mail", scheduler.Healthy)
	if n := v.moved("half-db", scheduler.Stopped) + v.moved("half-mail", scheduler.Stopped); n > 0 {
		t.Errorf("it was taken for stopped: %v", v.moves())
	}
}

// TestNothingIsPutBackWhileAnotherIsAtWork has the lock as an apply would.
func TestNothingIsPutBackWhileAnotherIsAtWork(t *testing.T) {
	v := newSupervised(t, host.Shared(t), family("busy"))
	root, err := journal.Root()
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := journal.At(root, "busy").Lock(t.Context(), "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	v.signal("busy-db", syscall.SIGKILL)
	v.await("busy-db", scheduler.Blocked)
	released := time.Now()
	unlock()
	if e := v.await("busy-db", scheduler.Starting); e.Time.Before(released) {
		t.Error("it was started meanwhile")
	}
	v.await("busy-db", scheduler.Healthy)
}

// TestUnreadyServicesAreStartedAgain has one that turns unready, and one that
// does so and comes back.
func TestUnreadyServicesAreStartedAgain(t *testing.T) {
	v := newSupervised(t, host.Shared(t), fmt.Sprintf(`name = "sick"
stage "foundation" {
  timeout = "3s"
  service "sick-long" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%d:8080"]
    env   = { HTTP = ":8080", HTTP_STATUS = "200 4s 503" }
    health "http" {
      interval = "200ms"
    }
  }
  service "sick-short" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%d:8080"]
    env   = { HTTP = ":8080", HTTP_STATUS = "200 3s 503 8s 200" }
    timeout = "20s"
    health "http" {
      interval = "200ms"
    }
  }
}
`, host.FreePort(), host.FreePort()))
	e := v.await("sick-long", scheduler.Probing)
	if e.From != scheduler.Healthy || e.Cause.Code != "http_status" {
		t.Errorf("it moved from %s: %+v", e.From, e.Cause)
	}
	v.await("sick-long", scheduler.Starting)
	v.await("sick-long", scheduler.Healthy)
	if v.moved("sick-short", scheduler.Healthy) == 0 {
		v.await("sick-short", scheduler.Healthy)
	}
	if v.moved("sick-short", scheduler.Starting) > 0 {
		t.Error("the one that came back was started again")
	}
}

// TestSupervisionOutlivesPodman kills Podman's service, and containers while
// it is away.
func TestSupervisionOutlivesPodman(t *testing.T) {
	h := host.Own(t)
	if _, err := h.Podman(t.Context(), "create", "--name=away-existing", host.Image); err != nil {
		t.Fatal(err)
	}
	v := newSupervised(t, h, strings.Replace(family("away"), `  service "away-mail" {`, `  service "away-there" {
    containers = ["away-existing"]
  }
  service "away-mail" {`, 1))
	h.Kill()
	v.signal("away-db", syscall.SIGKILL)
	v.podman("stop", "--time=1", "away-mail")
	if err := h.Restart(); err != nil {
		t.Fatal(err)
	}
	v.await("away-db", scheduler.Healthy)
	if v.moved("away-mail", scheduler.Stopped) == 0 {
		v.await("away-mail", scheduler.Stopped)
	}
	// And after that events come as before.
	v.signal("away-existing", syscall.SIGKILL)
	v.await("away-there", scheduler.Healthy)
	if v.runs("away-mail") || v.moved("away-mail", scheduler.Starting) > 0 {
		t.Error("it was started against somebody's will")
	}
}
