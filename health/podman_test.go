package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// Every kind of check against containers of a real Podman, rootful and
// rootless. The runtime is the podman command here, not package podman: that
// one stands beside this one, and the two meet in cmd/bootgraph.

// cli is Containers by the podman command.
type cli struct{ *host.Host }

// inspected is what `podman inspect` says of a container.
type inspected struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status    string
		Pid       int
		ExitCode  int
		StartedAt time.Time
	}
	HostConfig      struct{ NetworkMode string }
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string }
		Networks map[string]struct{ IPAddress string }
	}
}

func (c cli) inspect(ctx context.Context, name string) (i inspected, err error) {
	out, err := c.Podman(ctx, "inspect", "--type=container", name)
	if err != nil {
		return i, err
	}
	all := []inspected{}
	if err := json.Unmarshal(out, &all); err != nil {
		return i, err
	}
	return all[0], nil
}

func (c cli) instance(t *testing.T, name string) scheduler.Instance {
	t.Helper()
	i, err := c.inspect(t.Context(), name)
	ok(t, err)
	at := scheduler.Instance{Container: i.Name, ID: i.ID, StartedAt: i.State.StartedAt, PID: i.State.Pid,
		HostNetwork: i.HostConfig.NetworkMode == "host", Reachable: !c.Rootless}
	for _, inside := range slices.Sorted(maps.Keys(i.NetworkSettings.Ports)) {
		port, protocol, _ := strings.Cut(inside, "/")
		for _, m := range i.NetworkSettings.Ports[inside] {
			ip, _ := netip.ParseAddr(m.HostIP)
			at.Ports = append(at.Ports, config.Port{HostIP: ip, HostPort: number(t, m.HostPort), ContainerPort: number(t, port), Range: 1, Protocol: protocol})
		}
	}
	for _, n := range i.NetworkSettings.Networks {
		if ip, err := netip.ParseAddr(n.IPAddress); err == nil {
			at.Addresses = append(at.Addresses, ip)
		}
	}
	return at
}

func number(t *testing.T, s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	ok(t, err)
	return uint16(n)
}

func (c cli) Look(ctx context.Context, was scheduler.Instance) (scheduler.Cause, error) {
	i, err := c.inspect(ctx, was.ID)
	switch {
	case err != nil:
		return scheduler.Cause{}, err
	case i.State.Status == "running" && i.State.StartedAt.Equal(was.StartedAt):
		return scheduler.Cause{}, nil
	case i.State.Status == "running":
		return scheduler.Cause{Code: "restarted", Text: "container " + i.Name + " was started anew"}, nil
	}
	return scheduler.Cause{Code: i.State.Status, Text: fmt.Sprintf("container %s is %s, code %d", i.Name, i.State.Status, i.State.ExitCode)}, nil
}

func (c cli) Wait(ctx context.Context, was scheduler.Instance) (int, scheduler.Cause, error) {
	for sleep(ctx, 20*time.Millisecond) {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", was.PID)); was.PID > 0 && err == nil {
			continue
		}
		if i, err := c.inspect(ctx, was.ID); err == nil && i.State.Status == "exited" {
			why, err := c.Look(ctx, was)
			return i.State.ExitCode, why, err
		}
	}
	return 0, scheduler.Cause{}, ctx.Err()
}

// run is a podman command whose exit code is an answer. Once begun it ends by
// itself: a rootless podman that is killed leaves a child behind.
func (c cli) run(args ...string) (code int, output string, err error) {
	out, err := c.Podman(context.Background(), args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 125 {
		return exit.ExitCode(), string(out), nil
	}
	return 0, string(out), err
}

func (c cli) Exec(_ context.Context, was scheduler.Instance, command []string) (int, string, error) {
	return c.run(append([]string{"exec", was.ID}, command...)...)
}

func (c cli) Healthcheck(_ context.Context, was scheduler.Instance) (bool, string, error) {
	code, _, err := c.run("healthcheck", "run", was.ID) // prints "unhealthy", not what the check said
	if err != nil && strings.Contains(err.Error(), "no defined healthcheck") {
		err = fail("no_healthcheck", "%s", err)
	}
	return code == 0, "", err
}

// Logs ends where the log ends at the moment.
func (c cli) Logs(ctx context.Context, was scheduler.Instance, since time.Time) (io.ReadCloser, error) {
	out, err := c.Podman(ctx, "logs", "--since", since.Format(time.RFC3339Nano), was.ID)
	return io.NopCloser(strings.NewReader(string(out))), err
}

// start runs a container of the test server and removes it with the test.
func (c cli) start(t *testing.T, args ...string) scheduler.Instance {
	t.Helper()
	out, err := c.Podman(t.Context(), append([]string{"run", "--detach"}, args...)...)
	ok(t, err)
	id := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if _, err := c.Podman(context.Background(), "rm", "--force", "--time=0", id); err != nil {
			t.Error(err)
		}
	})
	return c.instance(t, id)
}

// onBoth runs a test with a rootful and with a rootless Podman.
func onBoth(t *testing.T, test func(*testing.T, cli)) {
	t.Run("rootful", func(t *testing.T) { test(t, cli{host.Shared(t)}) })
	t.Run("rootless", func(t *testing.T) { test(t, cli{host.SharedRootless(t)}) })
}

// expect holds the outcome of a check against what is wanted, which is
// "rootful | rootless" where these differ. What is not to pass is asked until
// the container has come as far as it will.
func (c cli) expect(t *testing.T, h config.Health, at scheduler.Instance, want string) {
	t.Helper()
	if rootful, rootless, differ := strings.Cut(want, " | "); differ {
		want = rootful
		if c.Rootless {
			want = rootless
		}
	}
	end := time.Now().Add(time.Minute)
	if want == "passed" {
		same(t, say(New(c).Await(t.Context(), service(h), []scheduler.Instance{at}, end, quiet)), want)
		return
	}
	var got string
	for got != want && time.Now().Before(end) {
		got = strings.ReplaceAll(probeNow(t, c, h, at), at.Container, "NAME")
		for _, p := range at.Ports {
			got = strings.ReplaceAll(got, fmt.Sprintf("%s:%d", p.HostIP, p.HostPort), "HOST")
		}
		for _, a := range at.Addresses {
			got = strings.ReplaceAll(got, a.String(), "ADDRESS")
		}
	}
	same(t, got, want)
}

func TestEveryKindOnPodman(t *testing.T) {
	onBoth(t, func(t *testing.T, c cli) {
		check := func(kind string) config.Health { return config.Health{Kind: kind, Port: 8080} }
		with := func(h config.Health, change func(*config.Health)) config.Health { change(&h); return h }
		port := func() string { return fmt.Sprintf("--publish=127.0.0.1:%d:8080", host.FreePort()) }
		hostPort := fmt.Sprint(host.FreePort())
		anybody := &config.TLS{InsecureSkipVerify: true}
		for _, s := range []struct {
			name   string
			run    []string // options; the image is host.Image unless the last one is another
			health config.Health
			want   string // "rootful | rootless" where they differ
		}{
			{"tcp", []string{port(), "--env=TCP=:8080"}, check("tcp"), "passed"},
			{"tcp as another user", []string{port(), "--user=1234", "--env=TCP=:8080"}, check("tcp"), "passed"},
			{"tcp not published", []string{"--env=TCP=:8080"}, check("tcp"), "passed"},
			{"tcp on the host's network", []string{"--network=host", "--env=TCP=127.0.0.1:" + hostPort},
				with(check("tcp"), func(h *config.Health) { h.Port = parse(hostPort) }), "passed"},
			{"tcp, nothing listens", []string{port()}, check("tcp"),
				"late refused: tcp 8080: connection refused at HOST; the container listens on nothing | " +
					"late forwarder: tcp 8080: only the port forwarder listens at HOST; the container listens on nothing"},
			{"tcp, loopback only", []string{port(), "--env=TCP=127.0.0.1:8080"}, check("tcp"),
				"late loopback_only: tcp 8080: the container listens on 127.0.0.1:8080 only, where nobody outside reaches it; let it listen on 0.0.0.0"},
			{"tcp, UDP only", []string{"--publish=127.0.0.1:" + fmt.Sprint(host.FreePort()) + ":8080/udp", "--env=UDP=:8080"}, check("tcp"),
				"late refused: tcp 8080: connection refused at ADDRESS:8080; the container listens on nothing | " +
					"late not_listening: tcp 8080: nothing listens on the port; the container listens on nothing"},
			{"grpc", []string{port(), "--env=GRPC=:8080"}, check("grpc"), "passed"},
			{"grpc service over TLS", []string{port(), "--env=GRPC=:8080", "--env=GRPC_SERVICES=mcias", "--env=TLS=self"},
				with(check("grpc"), func(h *config.Health) { h.TLS, h.Service = anybody, "mcias" }), "passed"},
			{"grpc, TLS not expected", []string{port(), "--env=GRPC=:8080", "--env=TLS=self"}, check("grpc"),
				"late tls_mismatch: grpc 8080: the server speaks TLS; add tls {} at HOST"},
			{"grpc, not serving", []string{port(), "--env=GRPC=:8080", "--env=GRPC_STATUS=NOT_SERVING"}, check("grpc"),
				"late not_serving: grpc 8080: the server answers NOT_SERVING"},
			{"grpc, no health service", []string{port(), "--env=GRPC=:8080", "--env=GRPC_HEALTH=off"}, check("grpc"),
				"late grpc_unimplemented: grpc 8080: the server does not implement grpc.health.v1.Health"},
			{"grpc, nothing listens", []string{port()}, check("grpc"), "late refused: grpc 8080: connection refused at HOST | " +
				"late forwarder: grpc 8080: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
			{"http", []string{port(), "--env=HTTP=:8080", "--env=HTTP_STATUS=503 100ms 200"}, check("http"), "passed"},
			{"http, 503", []string{port(), "--env=HTTP=:8080", "--env=HTTP_STATUS=503"}, check("http"), "late http_status: http 8080: status 503"},
			{"http, nothing listens", []string{port()}, check("http"), "late refused: http 8080: connection refused at HOST | " +
				"late forwarder: http 8080: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
			{"exec", []string{"--env=FILE=/ready 100ms"}, with(check("exec"), func(h *config.Health) { h.Command = []string{"/server", "check", "file", "/ready"} }), "passed"},
			{"exec, exits with 3", nil, with(check("exec"), func(h *config.Health) { h.Command = []string{"/server", "check", "exit", "3"} }),
				"late exec_exit: exec /server: exited with code 3"},
			{"podman", []string{"--env=HTTP=:8080", host.ImageHealthcheck}, check("podman"), "passed"},
			{"podman, unhealthy", []string{"--env=HTTP=:8080", "--env=HTTP_STATUS=503", host.ImageHealthcheck}, check("podman"), "late unhealthy: podman: unhealthy"},
			{"podman, has none", nil, check("podman"), "late no_healthcheck: podman: container NAME has no HEALTHCHECK"},
			{"log", []string{"--env=LOG=ready to serve 100ms"}, with(check("log"), func(h *config.Health) { h.Pattern = "^ready to" }), "passed"},
			{"log, no match", []string{"--env=LOG=ready"}, with(check("log"), func(h *config.Health) { h.Pattern = "^steady" }), `late no_match: log: no line matches "^steady" yet`},
			{"none", nil, check("none"), "passed"},
			{"exits", []string{"--env=EXIT=3 300ms"}, check("tcp"), "exited exited: container NAME is exited, code 3"},
		} {
			t.Run(s.name, func(t *testing.T) {
				args := s.run
				if len(args) == 0 || args[len(args)-1] != host.ImageHealthcheck {
					args = append(args, host.Image)
				}
				c.expect(t, s.health, c.start(t, args...), s.want)
			})
		}
	})
}

func parse(port string) uint16 {
	n, _ := strconv.Atoi(port)
	return uint16(n)
}

func TestAJobOnPodmanIsReadyWhenItHasExitedWith0(t *testing.T) {
	onBoth(t, func(t *testing.T, c cli) {
		job := &scheduler.Task{Service: &config.Service{Kind: config.KindJob}}
		for code, want := range map[string]string{"0": "passed", "7": "exited exited: container NAME is exited, code 7"} {
			at := c.start(t, "--env=EXIT="+code+" 200ms", host.Image)
			o := New(c).Await(t.Context(), job, []scheduler.Instance{at}, time.Now().Add(time.Minute), quiet)
			same(t, strings.ReplaceAll(say(o), at.Container, "NAME"), want)
		}
	})
}

// A container that begins to listen long after its start is not ready before:
// not where Podman's forwarder accepts connections for it meanwhile, either.
// The time it began is its own word.
func TestNothingIsReadyBeforeTheContainerListens(t *testing.T) {
	onBoth(t, func(t *testing.T, c cli) {
		for _, kind := range []string{"tcp", "grpc", "http"} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				at := c.start(t, fmt.Sprintf("--publish=127.0.0.1:%d:8080", host.FreePort()), "--env="+strings.ToUpper(kind)+"=:8080 5s", host.Image)
				seen := map[string]bool{}
				o := New(c).Await(t.Context(), service(config.Health{Kind: kind, Port: 8080}), []scheduler.Instance{at},
					time.Now().Add(time.Minute), func(why scheduler.Cause) { seen[why.Code] = true })
				ready := time.Now()
				same(t, say(o), "passed")

				out, err := c.Podman(t.Context(), "logs", at.ID)
				ok(t, err)
				var listened time.Time
				for line := range strings.Lines(string(out)) {
					if stamp, _, is := strings.Cut(line, " listening "); is {
						listened, err = time.Parse(time.RFC3339Nano, stamp)
						ok(t, err)
					}
				}
				t.Logf("listened at %s, found ready %s after; until then: %v", listened.Format(time.StampMilli), ready.Sub(listened), slices.Sorted(maps.Keys(seen)))
				if listened.IsZero() || ready.Before(listened) {
					t.Errorf("ready at %s, and it listened at %s", ready, listened)
				}
				// Else the test proves nothing: there was no forwarder.
				if c.Rootless && !seen["forwarder"] {
					t.Errorf("the forwarder of a rootless Podman was not met: %v", seen)
				}
			})
		}
	})
}
