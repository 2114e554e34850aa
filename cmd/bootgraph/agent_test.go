package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// serving is an agent at work.
type serving struct {
	b      *bench
	cmd    *exec.Cmd
	socket string
	heard  chan string // what the service manager is told; closed when nothing more can come
	told   []string    // of it, what was waited through
	gone   chan struct{}
	said   bytes.Buffer // not before it is gone
}

func (b *bench) agent(args ...string) *serving { return b.agentAt("", args...) }

// agentAt starts one that listens at a socket; "" is one of its own.
func (b *bench) agentAt(socket string, args ...string) *serving {
	b.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "bootgraph-agent-") // a short path
	if err != nil {
		b.t.Fatal(err)
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		b.t.Fatal(err)
	}
	s := &serving{b: b, socket: cmp.Or(socket, filepath.Join(dir, "a.sock")), heard: make(chan string, 10000), gone: make(chan struct{})}
	s.cmd = b.command("agent", append(args, "--listen", "unix:"+s.socket)...)
	s.cmd.Env = append(slices.Clone(s.cmd.Env), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=60000000")
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go s.hear(manager)
	go func() {
		_ = s.cmd.Wait()
		close(s.gone)
		_ = manager.SetReadDeadline(time.Now().Add(time.Second)) // what it has told is there
	}()
	b.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.gone
		manager.Close()
		os.RemoveAll(dir)
	})
	return s
}

// hear reads at once: what doesn't fit into the kernel's queue, of ten, is lost.
func (s *serving) hear(manager *net.UnixConn) {
	defer close(s.heard)
	for text := make([]byte, 4096); ; {
		n, err := manager.Read(text)
		if err != nil {
			return
		}
		s.heard <- string(text[:n])
	}
}

// until waits until the service manager is told what begins so.
func (s *serving) until(what string) string {
	s.b.t.Helper()
	for late := time.After(time.Minute); ; {
		why := "a minute is over"
		select {
		case text, more := <-s.heard:
			if more {
				if s.told = append(s.told, text); strings.HasPrefix(text, what) {
					return text
				}
				continue
			}
			why = "it has ended"
		case <-late:
		}
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // says where each of its goroutines is
		<-s.gone
		s.b.t.Fatalf("waiting for %q: %s; it told %q and said %s", what, why, s.told, s.said.Bytes()[:min(s.said.Len(), 4000)])
	}
}

// end signals the agent and returns its exit code and what it has said.
func (s *serving) end(signal os.Signal) (code int, said string) {
	s.b.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.b.t.Fatal(err)
	}
	<-s.gone
	return s.cmd.ProcessState.ExitCode(), s.said.String()
}

// ask runs a command that asks the agent.
func (s *serving) ask(args ...string) (code int, out, said string) {
	s.b.t.Helper()
	return s.b.exec(append(args, "--agent", "unix:"+s.socket)...)
}

// apply begins one by the agent.
func (s *serving) apply() *exec.Cmd {
	s.b.t.Helper()
	cmd := exec.Command(os.Args[0], "apply", "--progress", "json", "--agent", "unix:"+s.socket)
	cmd.Args[0], cmd.Env = "bootgraph", s.b.env
	if err := cmd.Start(); err != nil {
		s.b.t.Fatal(err)
	}
	return cmd
}

// exec runs a command without naming the boot file.
func (b *bench) exec(args ...string) (code int, out, said string) {
	b.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(os.Args[0], args...)
	cmd.Args[0], cmd.Env, cmd.Stdout, cmd.Stderr = "bootgraph", b.env, &stdout, &stderr
	cmd.Dir = filepath.Dir(b.file)
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func (s *serving) health(t *testing.T) grpc_health_v1.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

// becomes watches the health of a service: it waits until that is so.
func (s *serving) becomes(service string) func(grpc_health_v1.HealthCheckResponse_ServingStatus) {
	s.b.t.Helper()
	stream, err := s.health(s.b.t).Watch(s.b.t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		s.b.t.Fatal(err)
	}
	return func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		s.b.t.Helper()
		for {
			answer, err := stream.Recv()
			if err != nil {
				s.b.t.Fatalf("waiting for %s to be %s: %v", service, want, err)
			}
			if answer.Status == want {
				return
			}
		}
	}
}

func slowly(name, delay string) string {
	return fmt.Sprintf(`name = "%[1]s"
stage "foundation" {
  timeout = "1s"
  service "%[1]s-db" {
    image = "localhost/bootgraph/server:1"
    ports = ["127.0.0.1:%[2]d:5432"]
    env   = { TCP = ":5432 %[3]s" }
  }
}
stage "apps" {
  service "%[1]s-web" {
    depends_on = [service.%[1]s-api]
    image      = "localhost/bootgraph/server:1"
  }
  service "%[1]s-api" {
    image = "localhost/bootgraph/server:1"
  }
}
`, name, host.FreePort(), delay)
}

func TestAgentServesAfterItsBootAndNotBefore(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("served", "3s"))
	s := b.agent()
	s.until("EXTEND_TIMEOUT_USEC=")
	s.until("STATUS=served: booting stage foundation: 2 pending, 1 probing; served-db: tcp 5432: connection refused")
	if _, err := os.Lstat(s.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is there during the boot: %v", err)
	}
	if code, _, said := s.ask("status"); code != 1 || !strings.Contains(said, "before its boot is through") {
		t.Errorf("during the boot, status --agent exits with %d: %s", code, said)
	}
	if code, out, _ := b.run("status"); code != 3 || !strings.Contains(out, "served is booting") {
		t.Errorf("during the boot, status exits with %d: %s", code, out)
	}
	for log := ""; !strings.Contains(log, " start"); { // Podman writes it down when it can
		text, err := b.host.Podman(t.Context(), "logs", "served-db")
		if err != nil {
			t.Fatal(err)
		}
		log = string(text)
	}
	code, out, _ := b.exec("why", "served-web")
	for _, want := range []string{"served-web is pending", "depends on served-api is pending", "waits for stage foundation: served-db is probing", "tcp 5432: connection refused", "container served-db: running; its log ends with", " start"} {
		if code != 3 || !strings.Contains(out, want) {
			t.Errorf("during the boot, why exits with %d and does not say %q:\n%s", code, want, out)
		}
	}

	s.until("READY=1")
	if status := s.told[len(s.told)-2]; !strings.HasPrefix(status, "STATUS=served: boot ready: 3 healthy") {
		t.Errorf("before READY=1 it tells %q", status)
	}
	if !slices.Contains(s.told, "WATCHDOG=1") {
		t.Error("the watchdog is not fed")
	}
	health := s.health(t)
	for _, name := range []string{"", "served-db", "served-web", "stage/foundation", "stage/apps"} {
		if answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name}); err != nil || answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", name, answer, err)
		}
	}

	before := b.containers("served")
	if code, said := s.end(syscall.SIGTERM); code != 0 || !strings.Contains(said, "the agent ends: interrupted by SIGTERM") {
		t.Errorf("it exits with %d: %s", code, said)
	}
	if after := b.containers("served"); after != before || strings.Count(after, "served-") != 3 {
		t.Errorf("SIGTERM leaves\n%s\nof\n%s", after, before)
	}
	if code, out, _ := b.run("status"); code != 0 {
		t.Errorf("afterwards status exits with %d:\n%s", code, out)
	}
}

// TestAskingTheAgentIsAskingTheCommand: the same output, the same exit code.
func TestAskingTheAgentIsAskingTheCommand(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("same", "0s"))
	s := b.agent("--progress", "quiet")
	s.until("READY=1")
	alike := func(args ...string) {
		t.Helper()
		code, out, said := b.exec(append(slices.Clone(args), b.file)...)
		agentCode, agentOut, agentSaid := s.ask(args...)
		if code != agentCode || out != agentOut || said != agentSaid {
			t.Errorf("%s exits with %d:\n%s%s\nand with --agent with %d:\n%s%s", args, code, out, said, agentCode, agentOut, agentSaid)
		}
	}
	all := func() {
		t.Helper()
		for _, line := range []string{"plan", "plan --format json", "plan --format sh", "plan --detailed-exitcode", "plan --replace same-db --target same-db", "plan --stage nowhere",
			"status --format json", "status --format json --target same-web", "status --target nobody", "why same-web --format json", "why same-wep", "history", "history --format json"} {
			alike(strings.Fields(line)...)
		}
	}
	all()
	if _, err := b.host.Podman(context.Background(), "kill", "same-web"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.host.Podman(context.Background(), "wait", "same-web"); err != nil {
		t.Fatal(err)
	}
	all()

	// An apply by hand is not locked out, nor one by the agent after it.
	if code, _, said := b.exec("apply", "--progress", "quiet"); code != 0 {
		t.Errorf("apply exits with %d: %s", code, said)
	}
	code, out, _ := s.ask("apply", "--progress", "json", "--replace", "same-api")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || !strings.Contains(lines[len(lines)-1], `"outcome":"ready","exit_code":0`) || !strings.Contains(lines[0], `"type":"run_started"`) {
		t.Errorf("apply --agent exits with %d:\n%s", code, out)
	}
	if code, _, said := s.ask("apply", "--replace", "nobody"); code != 1 || said != "bootgraph: error: there is no service or job \"nobody\"\n" {
		t.Errorf("apply of nobody exits with %d: %s", code, said)
	}
	good, err := os.ReadFile(b.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.file, append(good, "stage {"...), 0o644); err != nil {
		t.Fatal(err)
	}
	alike("plan")
	alike("apply")
	if code, out, said := s.ask("status"); code != 0 || !strings.Contains(out, "same-web") || !strings.Contains(said, "This is about what was last booted") {
		t.Errorf("with a broken boot file status exits with %d: %s%s", code, out, said)
	}
	if err := os.WriteFile(b.file, good, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status", "boot.hcl"}, {"plan", "--offline"}, {"plan", "--var", "x=y"}, {"plan", "--out", "x"}} {
		if code, _, said := s.ask(args...); code != 1 || !strings.Contains(said, "and --agent together") {
			t.Errorf("%s with --agent exits with %d: %s", args, code, said)
		}
	}

	if code, _, said := s.ask("down", "--target", "same-api"); code != 0 || said != "bootgraph: info: stopped same-web (same-web)\nbootgraph: info: stopped same-api (same-api)\n" {
		t.Errorf("down exits with %d: %s", code, said)
	}
	s.becomes("same-api")(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	s.becomes("same-web")(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	all()
	if code, _, _ := s.ask("apply", "--progress", "quiet"); code != 0 {
		t.Errorf("apply after down exits with %d", code)
	}

	// What an apply usually takes, who asks for it learns of the agent.
	if code, _, said := s.ask("down", "--target", "same-api"); code != 0 {
		t.Errorf("down exits with %d: %s", code, said)
	}
	code, out, _ = s.ask("apply", "--progress", "json")
	if first, _, _ := strings.Cut(out, "\n"); code != 0 || !strings.Contains(first, `"usual_s":`) || !strings.Contains(first, `"running":["same-db"`) {
		t.Errorf("apply --agent exits with %d:\n%s", code, out)
	}
}

func TestAgentServesADegradedBoot(t *testing.T) {
	b := newBench(t, host.Shared(t), fmt.Sprintf(`name = "halfway"
stage "one" {
  on_failure = "continue"
  service "halfway-bad" {
    image    = "localhost/bootgraph/server:1"
    ports    = ["127.0.0.1:%d:80"]
    timeout  = "500ms"
    attempts = 1
  }
  service "halfway-after" {
    depends_on = [service.halfway-bad]
    image      = "localhost/bootgraph/server:1"
  }
  service "halfway-fine" {
    image = "localhost/bootgraph/server:1"
  }
}
`, host.FreePort()))
	s := b.agent()
	s.until("READY=1")
	health := s.health(t)
	for name, want := range map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{"": 1, "halfway-fine": 1, "halfway-bad": 2, "halfway-after": 2, "stage/one": 2} {
		if answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name}); err != nil || answer.Status != want {
			t.Errorf("health of %q: %v, %v", name, answer, err)
		}
	}
	if code, _, said := s.ask("apply", "--progress", "plain"); code != 3 || !strings.Contains(said, "boot degraded in") {
		t.Errorf("apply exits with %d: %s", code, said)
	}
	code, out, _ := s.ask("why", "halfway-after")
	if code != 3 || !strings.Contains(out, "halfway-after is blocked") || !strings.Contains(out, "  depends on halfway-bad is ") {
		t.Errorf("why exits with %d: %s", code, out)
	}
}

// TestOneAtATime has an apply by the agent that goes on, and others beside it.
func TestOneAtATime(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("alone", "0s"))
	s := b.agent("--progress", "quiet")
	s.until("READY=1")
	if err := os.WriteFile(b.file, []byte(blocking("alone")), 0o644); err != nil { // another foundation: never ready
		t.Fatal(err)
	}
	stream, err := s.health(t).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "alone-fine"})
	if err != nil {
		t.Fatal(err)
	}
	first := s.apply()
	for { // unknown, not serving, serving: the boot is in its foundation
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status == grpc_health_v1.HealthCheckResponse_SERVING {
			break
		}
	}
	for _, args := range [][]string{{"apply"}, {"down"}} {
		for name, run := range map[string]func(...string) (int, string, string){"the agent": s.ask, "hand": b.exec} {
			if code, _, said := run(args...); code != 4 || !strings.Contains(said, fmt.Sprintf("alone is locked by bootgraph apply by its agent, pid %d", s.cmd.Process.Pid)) {
				t.Errorf("%s by %s exits with %d: %s", args, name, code, said)
			}
		}
	}
	// The end of the call is the end of the boot.
	if err := first.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	if code := first.ProcessState.ExitCode(); code != 130 {
		t.Errorf("apply exits with %d", code)
	}
	if code, _, said := s.ask("down", "--lock-timeout", "1m"); code != 0 {
		t.Errorf("down exits with %d: %s", code, said)
	}
	if code, _ := s.end(syscall.SIGINT); code != 0 {
		t.Errorf("the agent exits with %d", code)
	}
}

// TestAgentPutsBackWhatFalls, also after an apply of something else through it;
// what is stopped by hand it leaves.
func TestAgentPutsBackWhatFalls(t *testing.T) {
	h := host.Shared(t)
	b := newBench(t, h, slowly("fallen", "0s"))
	s := b.agent("--progress", "quiet")
	s.until("READY=1")
	if code, _, said := s.ask("apply", "--target", "fallen-api"); code != 0 {
		t.Fatalf("apply exits with %d: %s", code, said)
	}
	becomes := s.becomes("fallen-db")
	for _, what := range [][]string{{"kill"}, {"rm", "--force"}} {
		becomes(grpc_health_v1.HealthCheckResponse_SERVING)
		if what[0] == "kill" { // podman kill would be somebody's will
			pid, err := h.Podman(t.Context(), "inspect", "--format={{.State.Pid}}", "fallen-db")
			if err != nil {
				t.Fatal(err)
			}
			number, _ := strconv.Atoi(strings.TrimSpace(string(pid)))
			if err := syscall.Kill(number, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		} else if _, err := h.Podman(t.Context(), append(what, "fallen-db")...); err != nil {
			t.Fatal(err)
		}
		becomes(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	}
	becomes(grpc_health_v1.HealthCheckResponse_SERVING)
	if code, out, _ := s.ask("status"); code != 0 {
		t.Errorf("status exits with %d: %s", code, out)
	}
	if _, err := h.Podman(t.Context(), "stop", "fallen-db"); err != nil {
		t.Fatal(err)
	}
	becomes(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	for code, out := 0, ""; code == 0 || !strings.Contains(out, "stopped"); { // not known at once whose will it was
		code, out, _ = s.ask("why", "fallen-db")
	}
	if code, _, said := s.ask("apply"); code != 0 {
		t.Errorf("apply exits with %d: %s", code, said)
	}
	becomes(grpc_health_v1.HealthCheckResponse_SERVING)
	code, said := s.end(syscall.SIGTERM)
	for _, want := range []string{"warning: fallen-db is not ready any more: container fallen-db exited", "info: fallen-db is ready again after", "info: fallen-db stays stopped: container fallen-db was stopped by hand; podman start fallen-db"} {
		if code != 0 || !strings.Contains(said, want) {
			t.Errorf("the agent exits with %d, and has not said %q: %s", code, want, said)
		}
	}
}

// TestWhatIsBootedIsWatchedDuringTheNextApply: what falls while the foundation
// of another apply blocks is told at once, and put back afterwards.
func TestWhatIsBootedIsWatchedDuringTheNextApply(t *testing.T) {
	h := host.Shared(t)
	b := newBench(t, h, slowly("beside", "0s"))
	s := b.agent("--progress", "quiet")
	s.until("READY=1")
	good, err := os.ReadFile(b.file)
	if err != nil {
		t.Fatal(err)
	}
	b.write(strings.Replace(string(good), `TCP = ":5432 0s"`, `TCP = ":1"`, 1)) // never ready
	foundation, api := s.becomes("beside-db"), s.becomes("beside-api")
	apply := s.apply()
	foundation(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	api(grpc_health_v1.HealthCheckResponse_SERVING)
	if _, err := h.Podman(t.Context(), "rm", "--force", "--time=0", "beside-api"); err != nil {
		t.Fatal(err)
	}
	api(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if code, out, _ := s.ask("status"); code != 3 || !strings.Contains(out, "beside-api  backoff") && !strings.Contains(out, "beside-api  blocked") {
		t.Errorf("meanwhile status exits with %d: %s", code, out)
	}
	if err := apply.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = apply.Wait()
	b.write(string(good))
	if code, _, said := s.ask("apply", "--lock-timeout", "1m"); code != 0 {
		t.Errorf("apply exits with %d: %s", code, said)
	}
	api(grpc_health_v1.HealthCheckResponse_SERVING)
	if code, out, _ := s.ask("status"); code != 0 {
		t.Errorf("in the end status exits with %d: %s", code, out)
	}
}

// TestStatusIsTheAgentsAfterAnApplyByHand, which has a journal of its own that
// nobody goes on with.
// At power-on nobody is there to start an agent again that came too soon.
func TestAgentWaitsForItsPodman(t *testing.T) {
	h := host.Own(t)
	b := newBench(t, h, slowly("early", "0s"))
	h.Kill()
	s := b.agent("--progress", "quiet")
	s.until("STATUS=cannot connect: nobody listens on the socket of podman (" + h.URI() + "); start it with systemctl start podman.socket; the agent tries again until it answers")
	if err := h.Restart(); err != nil {
		t.Fatal(err)
	}
	s.until("READY=1")
	if code, said := s.end(syscall.SIGTERM); code != 0 || strings.Count(said, "tries again") != 1 {
		t.Errorf("it exits with %d: %s", code, said)
	}

	h.Kill()
	again := b.agent("--progress", "quiet")
	again.until("STATUS=cannot connect: nobody")
	if code, said := again.end(syscall.SIGTERM); code != 143 {
		t.Errorf("while it waits, SIGTERM ends it with %d: %s", code, said)
	}
	if err := h.Restart(); err != nil {
		t.Fatal(err)
	}
}

func TestStatusIsTheAgentsAfterAnApplyByHand(t *testing.T) {
	h := host.Own(t)
	b := newBench(t, h, slowly("byhand", "0s"))
	s := b.agent("--progress", "quiet")
	s.until("READY=1")
	if code, _, said := s.ask("apply", "--target", "byhand-db"); code != 0 { // a journal of a part
		t.Fatalf("apply --agent exits with %d: %s", code, said)
	}
	killed := b.apply("--replace", "byhand-db")
	killed.untilState("byhand-db", scheduler.Blocked)
	killed.signal(syscall.SIGKILL) // what it has in its journal is never true again
	_ = killed.cmd.Wait()
	s.becomes("byhand-db")(grpc_health_v1.HealthCheckResponse_SERVING)
	if _, err := h.Podman(t.Context(), "stop", "byhand-web"); err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func(...string) (int, string, string){b.exec, s.ask} {
		for out := ""; !strings.Contains(out, "stopped"); { // not known at once whose will it was
			_, out, _ = ask("why", "byhand-web")
		}
		code, out, _ := ask("status")
		if code != 3 || strings.Count(out, "healthy") != 2 || !strings.Contains(out, "was stopped by hand") {
			t.Errorf("status exits with %d:\n%s", code, out)
		}
	}
	h.Kill()
	for _, ask := range []func(...string) (int, string, string){b.exec, s.ask} {
		if code, out, said := ask("status"); code != 3 || !strings.Contains(out, "was stopped by hand") || !strings.Contains(said, "this is what was last known") {
			t.Errorf("without Podman status exits with %d:\n%s%s", code, out, said)
		}
	}
	if err := h.Restart(); err != nil {
		t.Fatal(err)
	}
}

// TestAKilledAgentComesBack, killed in the middle of its boot and while it
// serves: nothing is started twice, and the socket that it left is no
// hindrance.
func TestAKilledAgentComesBack(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("reborn", "3s"))
	first := b.agent("--progress", "quiet")
	first.until("STATUS=reborn: booting stage foundation")
	first.until("STATUS=reborn: booting stage foundation: 2 pending, 1 probing")
	first.end(syscall.SIGKILL)
	half := b.containers("reborn")

	second := b.agent("--progress", "quiet")
	second.until("READY=1")
	whole := b.containers("reborn")
	for line := range strings.Lines(half) {
		prepared := strings.HasSuffix(strings.TrimSpace(line), " -62135596800") // and not started yet
		if line = strings.TrimSpace(line); !prepared && !strings.Contains(whole, line) {
			t.Errorf("after the restart there is\n%s\nand before there was\n%s", whole, half)
		}
	}
	second.end(syscall.SIGKILL)
	if _, err := os.Lstat(second.socket); err != nil {
		t.Errorf("the killed agent left no socket: %v", err)
	}

	third := b.agentAt(second.socket, "--progress", "quiet")
	third.until("READY=1")
	if code, out, _ := third.ask("status"); code != 0 {
		t.Errorf("status exits with %d: %s", code, out)
	}
	if now := b.containers("reborn"); now != whole {
		t.Errorf("the third agent made\n%s\nof\n%s", now, whole)
	}
}

func TestOneAgentAConfiguration(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("only", "0s"))
	s := b.agent()
	s.until("READY=1")
	for _, socket := range []string{s.socket, s.socket + "2"} {
		if code, _, said := b.run("agent", "--listen", "unix:"+socket); code != 4 || !strings.Contains(said, "only is locked by bootgraph agent, pid") {
			t.Errorf("a second agent exits with %d: %s", code, said)
		}
	}
	other := newBench(t, b.host, slowly("only-other", "0s"))
	if code, _, said := other.run("agent", "--listen", "unix:"+s.socket); code != 1 || !strings.Contains(said, "another agent does") {
		t.Errorf("an agent of another configuration at the same socket exits with %d: %s", code, said)
	}
	// One that was killed leaves a socket, which the next one replaces.
	s.end(syscall.SIGKILL)
	if _, err := os.Lstat(s.socket); err != nil {
		t.Fatal(err)
	}
	again := b.command("agent", "--listen", "unix:"+s.socket, "--progress", "quiet")
	again.Env = append(again.Env, "NOTIFY_SOCKET="+filepath.Join(filepath.Dir(s.socket), "notify"))
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer again.Process.Kill()
	s.until("READY=1")
	if code, out, said := s.ask("status"); code != 0 {
		t.Errorf("status of the next one exits with %d: %s%s", code, out, said)
	}
}

func TestStopOnExitStopsInReverse(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("ending", "0s"))
	s := b.agent("--stop-on-exit", "--progress", "quiet")
	s.until("READY=1")
	if code, _, said := s.ask("apply", "--progress", "quiet"); code != 0 { // what a call has booted is stopped, too
		t.Errorf("apply exits with %d: %s", code, said)
	}
	code, said := s.end(syscall.SIGTERM)
	order := []int{strings.Index(said, "stopped ending-web"), strings.Index(said, "stopped ending-api"), strings.Index(said, "stopped ending-db")}
	if code != 0 || order[0] < 0 || !slices.IsSorted(order) {
		t.Errorf("it exits with %d and says %s", code, said)
	}
	out, err := b.host.Podman(context.Background(), "ps", "--all", "--filter", "label=bootgraph.name=ending", "--format", "{{.State}}")
	if err != nil || strings.Count(string(out), "Exited") != 3 {
		t.Errorf("there is now:\n%s, %v", out, err)
	}
	var stopped []string
	for _, name := range []string{"ending-web", "ending-api", "ending-db"} {
		at, err := b.host.Podman(context.Background(), "inspect", "--format", "{{.State.FinishedAt.UnixNano}}", name)
		if err != nil {
			t.Fatal(err)
		}
		stopped = append(stopped, strings.TrimSpace(string(at)))
	}
	if !slices.IsSorted(stopped) {
		t.Errorf("they stopped at %s", stopped)
	}
}

func TestInterruptedBootOfAnAgentIsThatOfApply(t *testing.T) {
	b := newBench(t, host.Shared(t), blocking("cut"))
	s := b.agent()
	s.until("STATUS=cut: booting stage foundation: 1 pending, 1 probing, 1 healthy")
	code, said := s.end(syscall.SIGTERM)
	if code != 143 || !strings.Contains(said, "boot interrupted in") {
		t.Errorf("it exits with %d: %s", code, said)
	}
	if _, err := os.Lstat(s.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has served: %v", err)
	}
	if _, out, _ := b.run("history"); !strings.Contains(out, string(scheduler.EndInterrupted)) {
		t.Errorf("history says\n%s", out)
	}
}

// TestAgentWithABrokenBootFileServesWhatWasLastApplied, loudly.
func TestAgentWithABrokenBootFileServesWhatWasLastApplied(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("fallen", "0s"))
	b.must("apply", "--progress", "quiet")
	good, err := os.ReadFile(b.file)
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(b.file, good, 0o644) // for down
	if err := os.WriteFile(b.file, []byte("stage {"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := b.agent("--progress", "quiet")
	s.until("READY=1")
	if status := s.told[len(s.told)-2]; !strings.HasPrefix(status, "STATUS=THE BOOT FILE CAN'T BE USED") {
		t.Errorf("before READY=1 it tells %q", status)
	}
	if code, out, said := s.ask("status"); code != 0 || !strings.Contains(said, "THE BOOT FILE COULDN'T BE USED when this agent started") || !strings.Contains(out, "fallen-web") {
		t.Errorf("status exits with %d: %s%s", code, out, said)
	}
	if code, _, said := s.ask("apply"); code != 1 || !strings.Contains(said, "boot.hcl line 1") {
		t.Errorf("apply exits with %d: %s", code, said)
	}
	if err := os.WriteFile(b.file, good, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, said := s.ask("apply", "--progress", "quiet"); code != 0 {
		t.Errorf("apply of the mended file exits with %d: %s", code, said)
	}
	if code, _, said := s.ask("status"); code != 0 || said != "" {
		t.Errorf("then status exits with %d: %s", code, said)
	}
	if _, said := s.end(syscall.SIGTERM); !strings.Contains(said, "THE BOOT FILE CAN'T BE USED") {
		t.Errorf("it says %s", said)
	}
}
