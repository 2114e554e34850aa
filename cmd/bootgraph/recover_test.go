package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// TestRiftComesBackAfterAPowerLoss takes away the power, all that is under
// /run, and the boot file: once for recover, and once for an agent that has
// nothing but the registry.
func TestRiftComesBackAfterAPowerLoss(t *testing.T) {
	h := host.Own(t)
	text, err := os.ReadFile("../../testdata/rift/boot.hcl")
	if err != nil {
		t.Fatal(err)
	}
	// With addresses and a network of its own: other tests boot the same host.
	port := fmt.Sprint(host.FreePort())
	b := newBench(t, h, strings.NewReplacer("127.0.0.1:19555", "127.0.0.1:"+port, "19555", port, "127.0.", "127.3.", "mcpnet", "mcpnet-power").Replace(string(text)))
	b.must("apply", "--progress", "quiet")
	ids := func() string {
		out, err := h.Podman(context.Background(), "ps", "--all", "--sort=names", "--no-trunc", "--format={{.Names}} {{.ID}}")
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := ids()

	losePower := func() {
		if err := h.PowerOff(); err != nil {
			t.Fatal(err)
		}
		if err := h.Restart(); err != nil {
			t.Fatal(err)
		}
		if out, err := h.Podman(context.Background(), "ps", "--quiet"); err != nil || len(out) > 0 {
			t.Fatalf("after the power loss there runs %s, %v", out, err)
		}
	}
	file := b.file
	if err := os.Rename(file, file+".gone"); err != nil {
		t.Fatal(err)
	}
	defer os.Rename(file+".gone", file) // for down
	losePower()
	b.file = "rift"
	if code, _, said := b.run("recover"); code != 0 || !strings.Contains(said, "boot ready in") {
		t.Errorf("recover exits with %d: %s", code, said)
	}
	riftCameBackInOrder(t, h)

	losePower()
	b.file = ""
	s := b.agent("--progress", "quiet")
	s.until("READY=1")
	if code, out, _ := s.ask("status"); code != 0 {
		t.Errorf("status exits with %d: %s", code, out)
	}
	if code, said := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the agent exits with %d: %s", code, said)
	}
	riftCameBackInOrder(t, h)
	b.file = file
	if after := ids(); after != before {
		t.Errorf("there are other containers:\n%s\nthan before:\n%s", after, before)
	}
}

// riftCameBackInOrder goes by the stamps of the servers.
func riftCameBackInOrder(t *testing.T, h *host.Host) {
	t.Helper()
	for _, order := range []struct{ first, listening, then string }{
		{"mcias", "listening grpc", "metacrypt-api"}, {"mcns", "listening grpc", "metacrypt-web"}, {"mcns", "listening grpc", "mcr-api"},
		{"metacrypt-api", "listening grpc", "mcr-api"}, {"metacrypt-web", "listening http", "mc-proxy"},
		{"mcr-web", "listening http", "mcp-master"}, {"mc-proxy", "listening tcp", "mcp-master"},
		{"mcp-master", "listening grpc", "mcq"}, {"mcp-master", "listening grpc", "sgardd"},
	} {
		ready, start := lastStamp(t, h, order.first, order.listening), lastStamp(t, h, order.then, "start")
		if !ready.Before(start) {
			t.Errorf("%s started at %s, %s before %s was ready", order.then, start, ready.Sub(start), order.first)
		}
	}
}

// lastStamp is stamp for a container that was started again.
func lastStamp(t *testing.T, h *host.Host, container, what string) (last time.Time) {
	t.Helper()
	out, err := h.Podman(context.Background(), "logs", container)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		when, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(text, what) {
			if last, err = time.Parse(time.RFC3339Nano, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	if last.IsZero() {
		t.Fatalf("%s never said %q: %s", container, what, out)
	}
	return last
}

// registryOf is the file of the registry of a configuration.
func (b *bench) registryOf(name string) string {
	for _, variable := range b.env {
		if root, found := strings.CutPrefix(variable, "XDG_STATE_HOME="); found {
			return filepath.Join(root, "bootgraph", name, "registry.json")
		}
	}
	b.t.Fatal("the bench has no state of its own")
	return ""
}

// secretive is a configuration in which each container needs a value that is
// in no registry, from a source of its own.
func secretive(name string) string {
	return strings.ReplaceAll(`name = "NAME"
variable "password" {
  sensitive = true
}
secret "NAME-file" {
  file = "key"
}
secret "NAME-value" {
  value = var.password
}
stage "one" {
  on_failure = "continue"
  timeout    = "5s"
  service "NAME-filed" {
    image    = "localhost/bootgraph/server:1"
    env_file = ["more.env"]
    secrets  = [secret.NAME-file]
    health "exec" {
      command = ["/server", "check", "file", "/run/secrets/NAME-file"]
    }
  }
  service "NAME-given" {
    image   = "localhost/bootgraph/server:1"
    env     = { PASSWORD = var.password }
  }
  service "NAME-secret" {
    image   = "localhost/bootgraph/server:1"
    secrets = [secret.NAME-value]
    env     = { HTTP = ":80" }
    health "http" {
      port    = 80
      headers = { Authorization = var.password }
    }
  }
}
`, "NAME", name)
}

// TestRecoverNeedsNoValueToStartWhatIsThere also removes containers and
// secrets, one by one, and with them the ways to make them again.
func TestRecoverNeedsNoValueToStartWhatIsThere(t *testing.T) {
	h := host.Shared(t)
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("boot.hcl", secretive("blind"))
	write("more.env", "MORE=CANARY-more\n")
	write("key", "CANARY-key")
	b := newBench(t, h, filepath.Join(dir, "boot.hcl"))
	b.env = append(b.env, "BOOTGRAPH_VAR_password=CANARY-password")
	b.must("apply")
	text, err := os.ReadFile(b.registryOf("blind"))
	if err != nil || strings.Contains(string(text), "CANARY") {
		t.Fatalf("the registry (%v) has a value: %s", err, text)
	}
	podman := func(args ...string) {
		t.Helper()
		if _, err := h.Podman(context.Background(), args...); err != nil {
			t.Fatal(err)
		}
	}
	recovers := func(want int, wants ...string) {
		t.Helper()
		cmd := b.command("recover", "--progress", "plain")
		cmd.Args[2] = "blind"
		cmd.Env = append(cmd.Env, "BOOTGRAPH_VAR_password=") // nobody gives it
		said, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("recover exits with %d: %s", code, said)
		}
		for _, text := range wants {
			if !strings.Contains(string(said), text) {
				t.Errorf("recover does not say %q: %s", text, said)
			}
		}
		if strings.Contains(string(said), "CANARY") {
			t.Errorf("recover says a value: %s", said)
		}
	}
	ids := b.containers("blind")

	podman("stop", "--time=0", "blind-filed", "blind-given", "blind-secret")
	recovers(0, "ready as soon as it listens on port 80: the value of the header Authorization")
	for line := range strings.Lines(ids) {
		if fields := strings.Fields(line); !strings.Contains(b.containers("blind"), fields[0]+" "+fields[1]) {
			t.Errorf("%s is another one", fields[0])
		}
	}

	// Made again, of what is read again from its source, or that Podman has.
	podman("rm", "--force", "--time=0", "blind-filed", "blind-secret")
	podman("secret", "rm", "blind-file")
	recovers(0)

	// What has no source fails alone, says what is missing, and is not removed.
	podman("rm", "--force", "--time=0", "blind-given", "blind-secret")
	podman("secret", "rm", "blind-value")
	recovers(3, "the value of env.PASSWORD is sensitive", "the value of secrets.blind-value is sensitive", "bootgraph apply")
	podman("rm", "--force", "--time=0", "blind-filed")
	write("more.env", "OTHER=1\n")
	recovers(3, "the value of env.MORE is sensitive, so it is not in the registry nor read from "+filepath.Join(dir, "more.env"))

	write("more.env", "MORE=CANARY-more\n")
	b.must("apply")
	recovers(0)
}

// TestWhatIsKept has boots that recover should, and should not, repeat.
func TestWhatIsKept(t *testing.T) {
	b := newBench(t, host.Shared(t), flaky("1", "0"))
	ok := filepath.Join(filepath.Dir(b.file), "ok")
	if err := os.WriteFile(ok, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	kept := func(want string) {
		t.Helper()
		cmd := b.command("registry", "show", "--format", "json")
		cmd.Args = []string{"bootgraph", "registry", "show", "flaky", "--format", "json"}
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), `"VERSION": "`+want+`"`) {
			t.Errorf("kept is not version %s: %v, %s", want, err, out)
		}
	}
	write := func(version, exit string) {
		t.Helper()
		if err := os.WriteFile(b.file, []byte(flaky(version, exit)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	applies := func(want int, args ...string) (said string) {
		t.Helper()
		code, _, said := b.run("apply", args...)
		if code != want {
			t.Errorf("apply exits with %d: %s", code, said)
		}
		return said
	}
	applies(0)
	kept("1")
	write("2", "3") // the job is changed, and fails: that may be why
	if said := applies(3); !strings.Contains(said, "recover still boots what was applied at") || !strings.Contains(said, "flaky-job is not ready") {
		t.Errorf("apply says %s", said)
	}
	kept("1")
	write("3", "0")
	applies(0, "--target", "flaky-web") // a part
	kept("1")
	applies(0)
	kept("3")
	// Another service falls, which was the same before: no reason to stay with
	// the old.
	if err := os.Remove(ok); err != nil {
		t.Fatal(err)
	}
	write("4", "0")
	applies(3)
	kept("4")
}

func flaky(version, exit string) string {
	return fmt.Sprintf(`name = "flaky"
stage "one" {
  on_failure = "continue"
  timeout    = "2s"
  service "flaky-web" {
    image = "localhost/bootgraph/server:1"
    env   = { VERSION = %q }
  }
  job "flaky-job" {
    image = "localhost/bootgraph/server:1"
    env   = { EXIT = %q }
  }
  service "flaky-dead" {
    image   = "localhost/bootgraph/server:1"
    volumes = ["./:/state:ro"]
    health "exec" {
      command = ["/server", "check", "file", "/state/ok"]
    }
  }
}
`, version, exit)
}

// TestPowerOnWithABrokenBootFile is what an agent does: nothing is contacted.
func TestPowerOnWithABrokenBootFile(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	good := filepath.Join(t.TempDir(), "boot.hcl")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(good, flaky("1", "0"))
	opens := func(args ...string) (*session, error, string) {
		var said bytes.Buffer
		a := &app{stdout: t.Output(), stderr: &said, logFormat: "text"}
		s, err := a.openOrRegistered(t.Context(), args)
		return s, err, said.String()
	}
	s, err, _ := opens(good)
	if err != nil {
		t.Fatal(err)
	}
	s.keep("run", scheduler.Report{Outcome: scheduler.EndReady})

	write(good, "stage {")
	s, err, said := opens(good)
	if err != nil || s.file.Name != "flaky" || s.path != "" || !strings.Contains(said, "THE BOOT FILE CAN'T BE USED") || !strings.Contains(said, "boot.hcl line 1") {
		t.Errorf("broken: %v, it says %s", err, said)
	}
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	if _, err, said := opens(good); err != nil || !strings.Contains(said, "no such file") {
		t.Errorf("gone: %v, it says %s", err, said)
	}
	t.Chdir(t.TempDir())
	if _, err, said := opens(); err != nil || !strings.Contains(said, "from the registry") || strings.Contains(said, "CAN'T BE USED") {
		t.Errorf("none: %v, it says %s", err, said)
	}
	write("other.hcl", "stage {")
	if _, err, said := opens("other.hcl"); err == nil {
		t.Errorf("another boot file, which nothing was applied from, and it says %s", said)
	}
}
