package podman

import (
	"cmp"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bootgraph/config"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(host.Exit))
}

// connected is a client of the private Podman of a test.
func connected(t testing.TB, h *host.Host) *Client {
	t.Helper()
	c, err := Connect(t.Context(), h.URI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// run is the podman command on the same storage, to set things up and to
// check what came of them; it must work.
func run(t testing.TB, h *host.Host, args ...string) string {
	t.Helper()
	out, err := h.Podman(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// removed removes containers at the end of a test, and before it.
func removed(t testing.TB, h *host.Host, names ...string) {
	t.Helper()
	rm := func() { run(t, h, append([]string{"rm", "--force", "--ignore", "--time=0", "--volumes"}, names...)...) }
	rm()
	t.Cleanup(rm)
}

// server is a container of the server of testdata, which does what env says.
func server(name string, env map[string]string, change ...func(*config.Container)) *config.Container {
	w := &config.Container{Name: name, Image: host.Image, Env: env, StopTimeout: config.DefaultStopTimeout, Pull: config.PullNever}
	for _, f := range change {
		f(w)
	}
	return w
}

// published publishes the container's port on a free one of the loopback.
func published(port uint16) func(*config.Container) {
	return func(w *config.Container) {
		w.Ports = append(w.Ports, config.Port{HostIP: addr("127.0.0.1"), HostPort: uint16(host.FreePort()), ContainerPort: port, Range: 1, Protocol: "tcp"})
	}
}

// task is a service of one or several containers, as a task.
func task(kind config.Kind, containers ...*config.Container) *scheduler.Task {
	s := &config.Service{Name: containers[0].Name, Kind: kind, Containers: containers}
	return &scheduler.Task{ID: 7, Name: s.Name, Service: s}
}

// booted is a Host for a configuration, called as the test, of these tasks;
// their containers are removed at the end.
func booted(t testing.TB, h *host.Host, tasks ...*scheduler.Task) *Host {
	t.Helper()
	file := &config.File{Name: t.Name(), Stages: []*config.Stage{{Name: "core"}}}
	for _, task := range tasks {
		file.Stages[0].Services = append(file.Stages[0].Services, task.Service)
		for _, w := range task.Service.Containers {
			removed(t, h, w.Name)
		}
	}
	return NewHost(connected(t, h), file, nil)
}

// started starts a task that must start.
func started(t testing.TB, h *Host, task *scheduler.Task) []scheduler.Instance {
	t.Helper()
	if err := h.Prepare(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	at, err := h.Start(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// code is the code of an error, "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	if coded, ok := err.(scheduler.Coded); ok {
		return coded.Code()
	}
	return cmp.Or(err.Error(), "error")
}

// eventually waits for something that nothing tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came about: " + what)
		}
	}
}
