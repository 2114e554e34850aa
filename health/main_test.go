package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bootgraph/config"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// TestMain is also the container that the tests of sockets need: this binary,
// started again in namespaces of its own (see process).
func TestMain(m *testing.M) {
	switch role := os.Getenv("HEALTH_TEST_PROCESS"); {
	case role == "":
		goleak.VerifyTestMain(m, goleak.Cleanup(host.Exit))
	case strings.HasPrefix(role, "parent of "):
		process := exec.Command("/proc/self/exe")
		process.Env = append(os.Environ(), "HEALTH_TEST_PROCESS="+strings.TrimPrefix(role, "parent of "))
		process.Stdin, process.Stdout, process.Stderr = os.Stdin, os.Stdout, os.Stderr
		must(process.Run())
	default: // addresses to listen on
		// An address that its network does not have up yet will do.
		freebind := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_IP, syscall.IP_FREEBIND, 1) })
		}}
		for _, address := range strings.Fields(role) {
			if address == "idle" {
				continue
			}
			l, err := freebind.Listen(context.Background(), "tcp", address)
			must(err)
			fmt.Println(l.Addr())
		}
		fmt.Println("listening")
		io.Copy(io.Discard, os.Stdin) // until the test ends
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process starts a process in the given namespaces and returns its pid and the
// addresses it listens on, as it has them.
func process(t *testing.T, namespaces uintptr, role string) (pid int, addresses []net.Addr) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"HEALTH_TEST_PROCESS=" + role, "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	ok(t, err)
	stdout, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	for {
		var line string
		if _, err := fmt.Fscanln(stdout, &line); err != nil {
			t.Fatalf("the process %q did not come up: %v", role, err)
		}
		if line == "listening" {
			return cmd.Process.Pid, addresses
		}
		address, err := net.ResolveTCPAddr("tcp", line)
		ok(t, err)
		addresses = append(addresses, address)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fake is a runtime by hand: everything runs, nothing ends, nothing is printed.
type fake struct {
	look        func() (scheduler.Cause, error)
	wait        func(ctx context.Context, name string) (int, scheduler.Cause, error)
	exec        func(ctx context.Context) (int, string, error)
	healthcheck func() (bool, string, error)
	logs        func(ctx context.Context) (io.ReadCloser, error)
}

func (f *fake) Look(ctx context.Context, _ scheduler.Instance) (scheduler.Cause, error) {
	if f.look == nil {
		return scheduler.Cause{}, nil
	}
	return f.look()
}

func (f *fake) Wait(ctx context.Context, was scheduler.Instance) (int, scheduler.Cause, error) {
	if f.wait == nil {
		<-ctx.Done()
		return 0, scheduler.Cause{}, ctx.Err()
	}
	return f.wait(ctx, was.Container)
}

func (f *fake) Exec(ctx context.Context, _ scheduler.Instance, _ []string) (int, string, error) {
	return f.exec(ctx)
}

func (f *fake) Healthcheck(context.Context, scheduler.Instance) (bool, string, error) {
	return f.healthcheck()
}

func (f *fake) Logs(ctx context.Context, _ scheduler.Instance, _ time.Time) (io.ReadCloser, error) {
	return f.logs(ctx)
}

// trouble is the runtime's own error.
type trouble struct{}

func (trouble) Error() string { return "podman does not answer on /run/podman/podman.sock" }
func (trouble) Code() string  { return "podman_unreachable" }

// service is a task with these checks; what config would have filled in is.
func service(checks ...config.Health) *scheduler.Task {
	s := &config.Service{Name: "s", Kind: config.KindService}
	for _, h := range checks {
		if h.Timeout == 0 {
			h.Timeout = config.DefaultProbe
		}
		h.Successes = max(h.Successes, 1)
		if h.Kind == config.HealthHTTP && h.Status == nil {
			h.Status = []config.StatusRange{{From: 200, To: 399}}
		}
		if h.Kind == config.HealthHTTP && h.Path == "" {
			h.Path = "/"
		}
		s.Health = append(s.Health, &h)
	}
	return &scheduler.Task{Name: s.Name, Service: s}
}

func container(name string) scheduler.Instance {
	return scheduler.Instance{Container: name, ID: name, StartedAt: time.Now()}
}

func quiet(scheduler.Cause) {}

// probeNow makes one probe, as of a deadline that has passed.
func probeNow(t *testing.T, c Containers, h config.Health, at ...scheduler.Instance) string {
	t.Helper()
	return say(New(c).Await(t.Context(), service(h), at, time.Now(), quiet))
}

// say is an outcome as a line: "late refused: tcp 8443: connection refused".
func say(o scheduler.Outcome) string {
	if o.Cause.IsZero() {
		return string(o.Result)
	}
	return fmt.Sprintf("%s %s: %s", o.Result, o.Cause.Code, o.Cause.Text)
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("\n got: %s\nwant: %s", got, want)
	}
}
