package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// bench is a configuration at work on a Podman, each command in a process of
// its own.
type bench struct {
	t    *testing.T
	host *host.Host
	file string
	env  []string
}

// newBench takes a path of a boot file, or its text.
func newBench(t *testing.T, h *host.Host, file string) *bench {
	t.Helper()
	dir := t.TempDir()
	if strings.Contains(file, "\n") {
		path := filepath.Join(dir, "boot.hcl")
		if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		file = path
	}
	b := &bench{t, h, file, append(os.Environ(), "CONTAINER_HOST="+h.URI(), "XDG_STATE_HOME="+dir)}
	t.Cleanup(func() {
		if code, _, said := b.run("down", "--volumes"); code != 0 {
			t.Errorf("down exits with %d: %s", code, said)
		}
	})
	return b
}

func (b *bench) command(name string, args ...string) *exec.Cmd {
	if b.file != "" {
		args = append([]string{b.file}, args...)
	}
	cmd := exec.Command(os.Args[0], append([]string{name}, args...)...)
	cmd.Args[0] = "bootgraph"
	cmd.Env = b.env
	return cmd
}

// run runs a command to its end.
func (b *bench) run(name string, args ...string) (code int, out, said string) {
	b.t.Helper()
	cmd := b.command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// events runs apply to its end and returns what happened.
func (b *bench) events(args ...string) (code int, events []scheduler.Event) {
	b.t.Helper()
	a := b.apply(args...)
	return a.end(), a.seen
}

// applying is an apply that is going on.
type applying struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	seen  []scheduler.Event
}

func (b *bench) apply(args ...string) *applying {
	b.t.Helper()
	cmd := b.command("apply", append(args, "--progress", "json")...)
	cmd.Stderr = b.t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &applying{t: b.t, cmd: cmd, lines: bufio.NewScanner(out)}
}

func (a *applying) next() (e scheduler.Event, ok bool) {
	a.t.Helper()
	if !a.lines.Scan() {
		return e, false
	}
	if err := json.Unmarshal(a.lines.Bytes(), &e); err != nil {
		a.t.Fatalf("%s: %v", a.lines.Text(), err)
	}
	a.seen = append(a.seen, e)
	return e, true
}

// until reads events up to one that is as asked for.
func (a *applying) until(what string, is func(scheduler.Event) bool) scheduler.Event {
	a.t.Helper()
	for {
		e, ok := a.next()
		if !ok {
			a.t.Fatalf("apply ended, and it never came: %s", what)
		}
		if is(e) {
			return e
		}
	}
}

func (a *applying) untilState(service string, state scheduler.State) scheduler.Event {
	a.t.Helper()
	return a.until(service+" "+string(state), func(e scheduler.Event) bool { return e.Service == service && e.To == state })
}

func (a *applying) signal(s os.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Fatal(err)
	}
}

// end reads all events that are left and returns the exit code, or -1 after a
// signal that was not caught.
func (a *applying) end() int {
	a.t.Helper()
	for {
		if _, ok := a.next(); !ok {
			break
		}
	}
	_ = a.cmd.Wait()
	return a.cmd.ProcessState.ExitCode()
}

func at(events []scheduler.Event, service string, to scheduler.State) time.Time {
	for _, e := range slices.Backward(events) {
		if e.Service == service && e.To == to {
			return e.Time
		}
	}
	return time.Time{}
}

// stamp is the time at which the server in a container did something, by its
// own log.
func stamp(t *testing.T, h *host.Host, container, what string) time.Time {
	t.Helper()
	out, err := h.Podman(context.Background(), "logs", container)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		when, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(text, what) {
			at, err := time.Parse(time.RFC3339Nano, when)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
	}
	t.Fatalf("%s never said %q: %s", container, what, out)
	return time.Time{}
}

// containers is what Podman itself lists of a configuration.
func (b *bench) containers(name string) string {
	b.t.Helper()
	out, err := b.host.Podman(context.Background(), "ps", "--all", "--no-trunc", "--filter", "label=bootgraph.name="+name, "--format", "{{.Names}} {{.ID}} {{.StartedAt}}")
	if err != nil {
		b.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestDemoBootsInOrder proves the barrier and the order by the servers' own
// stamps, and the concurrency by the events.
func TestDemoBootsInOrder(t *testing.T) {
	h := host.Shared(t)
	b := newBench(t, h, "../../testdata/demo/boot.hcl")
	code, events := b.events()
	if code != 0 {
		t.Fatalf("apply exits with %d", code)
	}
	for _, order := range []struct{ first, listening, then string }{
		// dependencies
		{"database", "listening tcp", "catalog"}, {"queue", "listening tcp", "orders-api"}, {"migrate", "exit 0", "orders-web"},
		{"orders-web", "listening http", "frontend"}, {"catalog", "listening http", "frontend"},
		// barriers: the slowest of a stage, and each of the next
		{"identity", "listening grpc", "database"}, {"identity", "listening grpc", "queue"}, {"identity", "listening grpc", "cache"},
		{"migrate", "exit 0", "catalog"}, {"migrate", "exit 0", "mailer"},
	} {
		ready, start := stamp(t, h, order.first, order.listening), stamp(t, h, order.then, "start")
		if !ready.Before(start) {
			t.Errorf("%s started at %s, %s before %s was ready", order.then, start, ready.Sub(start), order.first)
		}
	}
	// Independent services of a stage come up side by side.
	for _, pair := range [][2]string{{"identity", "names"}, {"database", "queue"}, {"orders", "catalog"}} {
		a, b := at(events, pair[0], scheduler.Starting), at(events, pair[1], scheduler.Starting)
		if !a.Before(at(events, pair[1], scheduler.Healthy)) || !b.Before(at(events, pair[0], scheduler.Healthy)) {
			t.Errorf("%s and %s did not come up side by side", pair[0], pair[1])
		}
	}

	before := b.containers("demo")
	code, events = b.events()
	if code != 0 || b.containers("demo") != before {
		t.Errorf("a second apply exits with %d and leaves\n%s\nof\n%s", code, b.containers("demo"), before)
	}
	for _, e := range events {
		if e.To == scheduler.Probing && !e.Kept {
			t.Errorf("a second apply started %s", e.Service)
		}
	}
}

// TestRiftBoots boots the real host of testdata, all four stages of it.
func TestRiftBoots(t *testing.T) {
	b := newBench(t, host.Shared(t), "../../testdata/rift/boot.hcl")
	code, events := b.events()
	if code != 0 {
		t.Fatalf("apply exits with %d", code)
	}
	var stages []string
	for _, e := range events {
		if e.Type == scheduler.StageDone {
			stages = append(stages, e.Stage+" "+string(e.Outcome))
		}
	}
	if got := strings.Join(stages, ", "); got != "foundation ready, core ready, management ready, apps ready" {
		t.Errorf("stages: %s", got)
	}
}

// blocking is a foundation that never comes up, and something behind it.
func blocking(name string) string {
	return fmt.Sprintf(`name = "%[1]s"
stage "foundation" {
  timeout = "2s"
  service "%[1]s-never" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%[2]d:8080"]
  }
  service "%[1]s-fine" {
    image = "localhost/bootgraph/server:1"
  }
}
stage "later" {
  service "%[1]s-app" {
    image = "localhost/bootgraph/server:1"
  }
}
`, name, host.FreePort())
}

func TestFoundationBlocksUntilItIsInterrupted(t *testing.T) {
	for _, test := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}, {syscall.SIGHUP, 129}} {
		t.Run(test.signal.String(), func(t *testing.T) {
			name := fmt.Sprintf("block%d", test.code)
			b := newBench(t, host.Shared(t), blocking(name))
			a := b.apply()
			blocked := a.until("blocked by one", func(e scheduler.Event) bool { return e.Type == scheduler.StillBlocked && len(e.Waiting) == 1 })
			if blocked.Waiting[0].Service != name+"-never" || blocked.Waiting[0].Cause.Code != "refused" {
				t.Errorf("it says it waits for %+v", blocked.Waiting)
			}
			a.signal(test.signal)
			if code := a.end(); code != test.code {
				t.Errorf("it exits with %d, want %d", code, test.code)
			}
			last := a.seen[len(a.seen)-1]
			if last.Outcome != scheduler.EndInterrupted || last.Exit != test.code {
				t.Errorf("the last event is %+v", last)
			}
			if got := b.containers(name); strings.Contains(got, "-app") || !strings.Contains(got, "-never") {
				t.Errorf("it leaves\n%s", got)
			}
		})
	}
}

// TestInterruptedWhileTheFileIsRead: to evaluate this one takes long, and
// nothing in hcl can be told to stop.
func TestInterruptedWhileTheFileIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "boot.hcl")
	if err := os.WriteFile(file, []byte(`stage "one" {
  service "s" {
    for_each = toset([for i in range(1000) : "i${i}"])
    image    = "x"
    env      = { A = join("", [for i in range(1000) : "${i}${each.key}"]) }
  }
}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, file: file, env: os.Environ()}
	for _, name := range []string{"validate", "graph", "plan", "apply", "down"} {
		cmd := b.command(name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		untilItWorks(t, cmd.Process.Pid)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 143 {
			t.Errorf("%s exits with %d", name, code)
		}
	}
}

// untilItWorks returns when a process has spent a quarter of a second of CPU.
func untilItWorks(t *testing.T, pid int) {
	t.Helper()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):])) // proc_pid_stat(5): utime is the 14th, after the name in brackets
		if ticks, _ := strconv.Atoi(fields[12]); ticks >= 25 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestInterruptedApplyConverges interrupts a boot in the middle of a start,
// once and twice, and kills one; the next apply makes it whole.
func TestInterruptedApplyConverges(t *testing.T) {
	for _, test := range []struct {
		name    string
		signals []syscall.Signal
	}{
		{"int", []syscall.Signal{syscall.SIGINT}},
		{"term", []syscall.Signal{syscall.SIGTERM}},
		{"twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}},
		{"kill", []syscall.Signal{syscall.SIGKILL}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := "half-" + test.name
			b := newBench(t, host.Shared(t), fmt.Sprintf(`name = "%[1]s"
stage "foundation" {
  service "%[1]s-a" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%[2]d:8080"]
    env   = { TCP = ":8080" }
  }
  service "%[1]s-b" {
    depends_on = [service.%[1]s-a]
    image      = "localhost/bootgraph/server:1"
  }
}
`, name, host.FreePort()))
			a := b.apply()
			a.untilState(name+"-a", scheduler.Starting)
			for _, s := range test.signals {
				a.signal(s)
			}
			a.end()
			if test.name == "int" || test.name == "term" {
				if got := b.containers(name); !strings.HasPrefix(got, name+"-a ") || strings.Contains(got, name+"-b") {
					t.Errorf("the start in flight was not finished, or another one begun:\n%s", got)
				}
			}
			if code, _ := b.events(); code != 0 {
				t.Fatalf("the next apply exits with %d", code)
			}
			if got := b.containers(name); strings.Count(got, name) != 2 {
				t.Errorf("there are\n%s", got)
			}
			if code, out, _ := b.run("plan", "--detailed-exitcode"); code != 0 {
				t.Errorf("plan still finds something to do:\n%s", out)
			}
		})
	}
}

func TestSecondApplyIsLockedOut(t *testing.T) {
	b := newBench(t, host.Shared(t), blocking("locked"))
	a := b.apply()
	a.untilState("locked-never", scheduler.Probing)
	for _, command := range []string{"apply", "down"} {
		code, _, said := b.run(command)
		if want := fmt.Sprintf("locked by bootgraph apply, pid %d", a.cmd.Process.Pid); code != 4 || !strings.Contains(said, want) {
			t.Errorf("%s exits with %d and says %s", command, code, said)
		}
	}
	// Reading is not locked out, and tells where the boot stands.
	code, out, _ := b.run("status")
	if code != 3 || !strings.Contains(out, "locked is booting") || !strings.Contains(out, "probing") || !strings.Contains(out, "pending") {
		t.Errorf("status exits with %d:\n%s", code, out)
	}
	if code, out, _ := b.run("plan"); code != 0 {
		t.Errorf("plan exits with %d:\n%s", code, out)
	}
	a.signal(syscall.SIGKILL)
	a.end()
	if code, _, said := b.run("down"); code != 0 {
		t.Errorf("the lock of a dead process holds: %d, %s", code, said)
	}
}

// TestExitedFoundationIsStartedAgain has a container that crashes the first
// time; and one that is killed after it was ready, while another one is not.
func TestExitedFoundationIsStartedAgain(t *testing.T) {
	h := host.Shared(t)
	b := newBench(t, h, fmt.Sprintf(`name = "again"
volume "again-state" {
}
stage "foundation" {
  service "again-crashes" {
    image   = "localhost/bootgraph/server:1"
    volumes = ["again-state:/state"]
    ports   = ["127.0.0.1:%d:8080"]
    env     = { CRASH_ONCE = "/state/crashed 100ms", TCP = ":8080 400ms" }
  }
  service "again-killed" {
    image = "localhost/bootgraph/server:1"
  }
  service "again-slow" {
    image = "localhost/bootgraph/server:1"
    health "exec" {
      command = ["/server", "check", "file", "/tmp/go"]
    }
    tmpfs = ["/tmp"]
  }
}
`, host.FreePort()))
	a := b.apply()
	a.untilState("again-killed", scheduler.Healthy)
	if _, err := h.Podman(t.Context(), "kill", "again-killed"); err != nil {
		t.Fatal(err)
	}
	a.until("both started again", func(e scheduler.Event) bool {
		return !at(a.seen, "again-killed", scheduler.Backoff).IsZero() && at(a.seen, "again-killed", scheduler.Healthy).After(at(a.seen, "again-killed", scheduler.Backoff)) &&
			!at(a.seen, "again-crashes", scheduler.Backoff).IsZero() && !at(a.seen, "again-crashes", scheduler.Healthy).IsZero()
	})
	if out, err := h.Podman(t.Context(), "exec", "again-slow", "/server", "check", "exit", "0"); err != nil {
		t.Fatalf("the slow one was not left running: %s, %v", out, err)
	}
	a.signal(syscall.SIGINT)
	if code := a.end(); code != 130 {
		t.Errorf("it exits with %d", code)
	}
	for _, e := range a.seen {
		if e.Service == "again-slow" && e.Attempt > 1 {
			t.Error("the slow one was started again")
		}
		if e.Service == "again-crashes" && e.To == scheduler.Backoff && !strings.Contains(e.Cause.Text, "exited with code 1") {
			t.Errorf("the cause of the crash is %q", e.Cause.Text)
		}
	}
}

// TestNotReadyBeforeItListens is the trap of rootless Podman: its forwarder
// accepts connections from the start of the container.
func TestNotReadyBeforeItListens(t *testing.T) {
	for name, h := range map[string]*host.Host{"root": host.Shared(t), "rootless": host.SharedRootless(t)} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, h, fmt.Sprintf(`name = "late-%[1]s"
stage "foundation" {
  service "late-%[1]s" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%[2]d:8080"]
    env   = { TCP = ":8080 5s" }
  }
}
`, name, host.FreePort()))
			code, events := b.events()
			if code != 0 {
				t.Fatalf("apply exits with %d", code)
			}
			listening := stamp(t, h, "late-"+name, "listening tcp :8080")
			healthy := at(events, "late-"+name, scheduler.Healthy)
			if healthy.Before(listening) {
				t.Errorf("it was called healthy %s before it listened", listening.Sub(healthy))
			}
			t.Logf("healthy %s after it listened, %s after it started", healthy.Sub(listening), listening.Sub(stamp(t, h, "late-"+name, "start")))
		})
	}
}

// TestACrashingComponentIsNeverReady: its service has a check that passes at
// once and is of another component, and everything else runs already.
func TestACrashingComponentIsNeverReady(t *testing.T) {
	b := newBench(t, host.Shared(t), `name = "halfdead"
stage "foundation" {
  on_failure = "continue"
  service "shop" {
    component "api" {
      image = "localhost/bootgraph/server:1"
      env   = { TCP = ":8080" }
    }
    component "worker" {
      image = "localhost/bootgraph/server:1"
      env   = { EXIT = "1 200ms" }
    }
    health "tcp" {
      component = "api"
      port      = 8080
    }
  }
}
`)
	for range 2 {
		code, events := b.events()
		if code != 3 || at(events, "shop", scheduler.Failed).IsZero() {
			t.Errorf("apply exits with %d, and shop was not told to have failed", code)
		}
	}
}

// TestPodmanThatGoesAway kills and stops the service of Podman in the middle
// of a boot. The foundation keeps trying, and what comes out is whole.
func TestPodmanThatGoesAway(t *testing.T) {
	h := host.Own(t)
	text := fmt.Sprintf(`name = "gone"
stage "foundation" {
  service "gone-a" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%d:8080"]
    env   = { TCP = ":8080 300ms" }
  }
  service "gone-b" {
    depends_on = [service.gone-a]
    image      = "localhost/bootgraph/server:1"
  }
}
`, host.FreePort())

	t.Run("killed", func(t *testing.T) {
		b := newBench(t, h, text)
		a := b.apply()
		a.untilState("gone-a", scheduler.Starting)
		h.Kill()
		began := time.Now()
		noticed := a.until("a cause that names Podman", func(e scheduler.Event) bool { return e.Cause.Code == "podman_unreachable" })
		t.Logf("noticed after %s: %s", noticed.Time.Sub(began), noticed.Cause.Text)
		if err := h.Restart(); err != nil {
			t.Fatal(err)
		}
		if code := a.end(); code != 0 {
			t.Errorf("apply exits with %d", code)
		}
		if got := b.containers("gone"); strings.Count(got, "gone-") != 2 {
			t.Errorf("there are\n%s", got)
		}
	})
	t.Run("hung", func(t *testing.T) {
		b := newBench(t, h, text)
		h.Stop()
		began := time.Now()
		code, _, said := b.run("apply")
		t.Logf("noticed after %s", time.Since(began))
		if code != 1 || !strings.Contains(said, "has not answered within") {
			t.Errorf("apply exits with %d and says %s", code, said)
		}
		h.Continue()
		if code, _ := b.events(); code != 0 {
			t.Errorf("the next apply exits with %d", code)
		}
	})
	// A check that needs Podman notices; what waits for the kernel alone doesn't
	// have to. Nothing is lost when it goes on.
	for _, fault := range []struct {
		name, code string
		on         func()
		off        func() error
	}{
		{"hung", "podman_unresponsive", h.Stop, func() error { h.Continue(); return nil }},
		{"killed", "podman_unreachable", h.Kill, h.Restart},
	} {
		t.Run(fault.name+" while it probes", func(t *testing.T) {
			gate := t.TempDir()
			b := newBench(t, h, gated("gone-"+fault.name, gate))
			b.write(strings.Replace(gated("gone-"+fault.name, gate), `"continue"`, `"block"`, 1))
			a := b.apply()
			a.untilState("gone-"+fault.name+"-a", scheduler.Probing)
			fault.on()
			began := time.Now()
			noticed := a.until("a note of "+fault.code, func(e scheduler.Event) bool { return e.Cause.Code == fault.code })
			t.Logf("noticed after %s: %s", noticed.Time.Sub(began), noticed.Cause.Text)
			if err := fault.off(); err != nil {
				t.Fatal(err)
			}
			open(t, gate)
			if code := a.end(); code != 0 {
				t.Errorf("apply exits with %d", code)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		b := newBench(t, h, text)
		h.Kill()
		defer func() {
			if err := h.Restart(); err != nil {
				t.Fatal(err)
			}
		}()
		if code, _, said := b.run("plan"); code != 1 || !strings.Contains(said, "socket of podman") {
			t.Errorf("plan exits with %d and says %s", code, said)
		}
	})
}
