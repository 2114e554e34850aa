package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bootgraph/testdata/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(host.Exit)) }

// both runs a test rootful and rootless.
func both(t *testing.T, test func(t *testing.T, o host.Options)) {
	for _, rootless := range []bool{false, true} {
		t.Run(fmt.Sprintf("rootless=%t", rootless), func(t *testing.T) { test(t, host.Options{Rootless: rootless}) })
	}
}

func shared(t *testing.T, o host.Options) *host.Host {
	if o.Rootless {
		return host.SharedRootless(t)
	}
	return host.Shared(t)
}

func podman(t *testing.T, h *host.Host, args ...string) string {
	t.Helper()
	out, err := h.Podman(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// eventually is for what has no call that waits for it. It sets no figure:
// the limit is there for a test that fails.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func get(url string) string {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body))
}

func TestNoPortIsGivenTwice(t *testing.T) {
	given := map[int]bool{}
	for range 2000 {
		port := host.FreePort()
		if given[port] {
			t.Fatalf("port %d is given a second time", port)
		}
		given[port] = true
	}
}

func TestAPublishedServerIsReached(t *testing.T) {
	both(t, func(t *testing.T, o host.Options) {
		h := shared(t, o)
		port := host.FreePort()
		podman(t, h, "run", "--detach", "--name=web", "--publish", fmt.Sprintf("127.0.0.1:%d:8080", port), "--env=HTTP=:8080", host.Image)
		defer podman(t, h, "rm", "--force", "--time=0", "web")
		eventually(t, "the server answers OK", func() bool { return get(fmt.Sprintf("http://127.0.0.1:%d/", port)) == "OK" })
		pid := podman(t, h, "inspect", "--format={{.State.Pid}}", "web")
		table, err := os.ReadFile("/proc/" + pid + "/net/tcp6")
		if err != nil || !bytes.Contains(table, []byte(":1F90 ")) {
			t.Errorf("the socket table of the container has no port 8080: %v\n%s", err, table)
		}
	})
}

func TestContainersOutliveTheService(t *testing.T) {
	both(t, func(t *testing.T, o host.Options) {
		h := shared(t, o)
		port := host.FreePort()
		podman(t, h, "run", "--detach", "--name=stays", "--publish", fmt.Sprintf("%d:8080", port), "--env=HTTP=:8080", host.Image)
		defer podman(t, h, "rm", "--force", "--time=0", "stays")
		url := fmt.Sprintf("http://127.0.0.1:%d/", port)
		h.Kill()
		if c, err := net.Dial("unix", strings.TrimPrefix(h.URI(), "unix://")); err == nil {
			c.Close()
			t.Error("the service still answers")
		}
		eventually(t, "the server answers OK", func() bool { return get(url) == "OK" })
		if err := h.Restart(); err != nil {
			t.Fatal(err)
		}
		if got := get(url); got != "OK" {
			t.Errorf("the server answers %q after the restart of the service", got)
		}
	})
}

func TestAStoppedServiceHangs(t *testing.T) {
	both(t, func(t *testing.T, o host.Options) {
		h := shared(t, o)
		ping := func(ctx context.Context) error {
			return exec.CommandContext(ctx, "podman", "--remote", "--url", h.URI(), "version").Run()
		}
		h.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := ping(ctx); err == nil {
			t.Error("a stopped service answers")
		}
		h.Continue()
		if err := ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// run starts a container in the foreground and returns its exit status.
func run(t *testing.T, h *host.Host, args ...string) (status int, out string) {
	b, err := h.Podman(t.Context(), append([]string{"run", "--rm"}, args...)...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(b)
	} else if err != nil {
		t.Fatal(err)
	}
	return 0, string(b)
}

func TestTheServerDoesAsItIsTold(t *testing.T) {
	h := host.Shared(t)
	for _, test := range []struct {
		args   string
		status int
		out    string // part of stdout
	}{
		{"--env=EXIT=0 " + host.Image, 0, " exit 0"},
		{"--env=EXIT=3 " + host.Image, 3, " start"},
		{"--env=LOG=ready --env=EXIT=0,20ms " + host.Image, 0, "ready\n"},
		{"--env=TCP=:8080 --env=EXIT=0,20ms " + host.Image, 0, " listening tcp :8080"},
		{"--env=TCP_CLOSE=:8080 --env=EXIT=0,20ms " + host.Image, 0, " listening tcp :8080"},
		{"--env=UDP=:53 --env=EXIT=0,20ms " + host.Image, 0, " listening udp :53"},
		{"--env=GRPC=:1,5ms --env=TLS=self --env=EXIT=0,50ms " + host.Image, 0, " listening grpc :1"},
		{"--env=CRASH_ONCE=/data/crashed --env=EXIT=0,50ms --volume=state:/data " + host.Image, 1, ""},
		{"--env=CRASH_ONCE=/data/crashed --env=EXIT=0,50ms --volume=state:/data " + host.Image, 0, ""},
		{host.Image + " check exit 4", 4, ""},
		{host.Image + " check file /server", 0, ""},
		{host.Image + " check file /nothing", 1, ""},
	} {
		// In the table a comma stands for the space of "0 20ms".
		args := strings.Fields(test.args)
		for i := range args {
			args[i] = strings.Replace(args[i], ",", " ", 1)
		}
		if status, out := run(t, h, args...); status != test.status || !strings.Contains(out, test.out) {
			t.Errorf("%s: status %d, want %d; stdout %q, want %q in it", test.args, status, test.status, out, test.out)
		}
	}
}

func TestTheHealthcheckFollowsTheServer(t *testing.T) {
	h := host.Shared(t)
	podman(t, h, "run", "--detach", "--name=check", "--env=HTTP=:8080", "--env=HTTP_STATUS=503 300ms 200", host.ImageHealthcheck)
	defer podman(t, h, "rm", "--force", "--time=0", "check")
	eventually(t, "the health check passes", func() bool {
		_, err := h.Podman(t.Context(), "healthcheck", "run", "check")
		return err == nil
	})
}

// world is everything on this machine that names one of the words.
func world(t *testing.T, words ...string) (found []string) {
	t.Helper()
	look := func(place string, text []byte) {
		for line := range strings.Lines(string(text)) {
			for _, word := range words {
				if strings.Contains(line, word) {
					found = append(found, place+": "+strings.TrimSpace(line))
					break
				}
			}
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range processes {
		cmdline, _ := os.ReadFile(file)
		look(file, bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))
	}
	for _, file := range []string{"/proc/self/mountinfo", "/etc/passwd", "/etc/subuid", "/etc/subgid"} {
		text, _ := os.ReadFile(file)
		look(file, text)
	}
	for _, pattern := range []string{"/tmp/*", "/run/netns/*", "/run/runc/*", "/sys/fs/cgroup/*/*/*", "/sys/fs/cgroup/*/*", "/dev/shm/*"} {
		paths, _ := filepath.Glob(pattern)
		look("files", []byte(strings.Join(paths, "\n")))
	}
	if os.Getuid() == 0 {
		rules, err := exec.Command("iptables-save").CombinedOutput()
		if err != nil {
			t.Fatalf("iptables-save: %v: %s", err, rules)
		}
		look("iptables", rules)
	}
	return found
}

// busy gives a service one of everything that could be left, and returns the
// words by which it would be found.
func busy(t *testing.T, podman func(args ...string) string) (words []string) {
	port := fmt.Sprint(host.FreePort())
	name := "left-" + port
	podman("network", "create", name)
	podman("run", "--detach", "--name=a", "--network="+name, "--publish="+port+":8080", "--volume=data:/data", "--env=TCP=:8080", host.Image)
	podman("run", "--detach", "--name=b", "--env=IGNORE_SIGTERM=true", host.Image)
	podman("create", "--name=c", host.Image)
	podman("pause", "b")
	for _, line := range strings.Split(podman("inspect", "--format={{.Id}} {{.NetworkSettings.SandboxKey}}", "a", "b", "c"), "\n") {
		id, netns, _ := strings.Cut(strings.TrimSpace(line), " ")
		words = append(words, id)
		if netns != "" {
			words = append(words, filepath.Base(netns))
		}
	}
	return append(words, " "+port+" ", name)
}

func TestCloseLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, o host.Options) {
		h, err := host.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.BuildImages(); err != nil {
			t.Error(err)
		}
		words := busy(t, func(args ...string) string {
			if args[0] == "pause" && h.Rootless { // needs cgroup v2
				return ""
			}
			return podman(t, h, args...)
		})
		words = append(words, h.Dir, filepath.Base(h.Dir))
		if found := world(t, words...); len(found) < 5 {
			t.Errorf("the test doesn't know where to look, it found only %q", found)
		}
		// As a test of faults leaves it.
		pid, err := strconv.Atoi(podman(t, h, "inspect", "--format={{.State.ConmonPid}}", "a"))
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(pid, syscall.SIGKILL)
		h.Stop()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if found := world(t, words...); found != nil {
			t.Errorf("left:\n%s", strings.Join(found, "\n"))
		}
	})
}

// runner builds the command of ./run, as `go run` hides the exit status.
func runner(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "run")
	if out, err := exec.Command("go", "build", "-o", path, "bootgraph/testdata/host/run").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func TestNothingIsLeftOfAKilledProgram(t *testing.T) {
	path := runner(t)
	both(t, func(t *testing.T, o host.Options) {
		// The command prints where its service is, then kills its parent.
		cmd := exec.Command(path, fmt.Sprintf("-rootless=%t", o.Rootless), "--", "sh", "-c",
			`podman --remote run --detach --env TCP=:8080 --publish 8080 `+host.Image+` >&2; echo $CONTAINER_HOST; kill -KILL $PPID`)
		out, err := cmd.Output()
		exit, _ := errors.AsType[*exec.ExitError](err)
		if exit == nil || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%v: %s", err, out)
		}
		dir := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(out)), "unix://"), "/podman.sock")
		id := strings.Fields(string(exit.Stderr))
		if len(id) == 0 || !strings.HasPrefix(dir, "/tmp/bootgraph-") {
			t.Fatalf("%q %q", dir, exit.Stderr)
		}
		eventually(t, "all is removed", func() bool {
			_, err := user.Lookup(filepath.Base(dir))
			return err != nil && world(t, dir, id[len(id)-1]) == nil
		})
	})
}

func TestRunPassesOnTheStatus(t *testing.T) {
	exit, _ := errors.AsType[*exec.ExitError](exec.Command(runner(t), "--", "sh", "-c", "exit 7").Run())
	if exit == nil || exit.ExitCode() != 7 {
		t.Errorf("%v, want exit status 7", exit)
	}
}

func TestRunPassesOnASignal(t *testing.T) {
	cmd := exec.Command(runner(t), "--", "sh", "-c", `trap 'exit 5' TERM; echo; read never`)
	stdin, _ := cmd.StdinPipe()
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdout.Read(make([]byte, 1)) // COMMAND runs
	cmd.Process.Signal(syscall.SIGTERM)
	if exit, _ := errors.AsType[*exec.ExitError](cmd.Wait()); exit == nil || exit.ExitCode() != 5 {
		t.Errorf("%v, want exit status 5", exit)
	}
}

func TestPackagesGetNetworksOfTheirOwn(t *testing.T) {
	h := host.Shared(t)
	podman(t, h, "network", "create", "own")
	defer podman(t, h, "network", "rm", "own")
	var networks []struct{ Subnets []struct{ Subnet string } }
	if err := json.Unmarshal([]byte(podman(t, h, "network", "inspect", "own")), &networks); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/etc/containers/networks/own.json"); err == nil || len(networks) != 1 {
		t.Error("the network is the machine's")
	}
}
