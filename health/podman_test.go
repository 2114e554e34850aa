package health

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/podman"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// Every kind of check against containers of a real Podman, rootful and
// rootless. These tests are the one place where this package meets podman.

var started atomic.Int32

// start runs a task of one container of the test server until the test ends.
// Each has a name of its own, as tests run side by side.
func start(t *testing.T, h *host.Host, task *scheduler.Task, c config.Container) (*podman.Host, []scheduler.Instance) {
	t.Helper()
	c.Name, c.Pull = fmt.Sprintf("health-%d", started.Add(1)), config.PullNever
	if c.Image == "" {
		c.Image = host.Image
	}
	task.Service.Name, task.Service.Containers = c.Name, []*config.Container{&c}
	client, err := podman.Connect(t.Context(), h.URI())
	ok(t, err)
	runtime := podman.NewHost(client, &config.File{Name: "health", Stages: []*config.Stage{{Services: []*config.Service{task.Service}}}}, nil)
	t.Cleanup(func() {
		_, err := h.Podman(context.Background(), "rm", "--force", "--ignore", "--time=0", c.Name)
		ok(t, err)
		ok(t, client.Close())
	})
	at, err := runtime.Start(t.Context(), task)
	ok(t, err)
	return runtime, at
}

// onBoth runs a test with a rootful and with a rootless Podman.
func onBoth(t *testing.T, test func(*testing.T, *host.Host)) {
	t.Run("rootful", func(t *testing.T) { test(t, host.Shared(t)) })
	t.Run("rootless", func(t *testing.T) { test(t, host.SharedRootless(t)) })
}

// port8080 publishes the container's port on a free one of the loopback.
func port8080(protocol string) []config.Port {
	return []config.Port{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: uint16(host.FreePort()), ContainerPort: 8080, Range: 1, Protocol: protocol}}
}

// env reads "NAME=VALUE; NAME=VALUE".
func env(text string) map[string]string {
	m := map[string]string{}
	for pair := range strings.SplitSeq(text, "; ") {
		if name, value, found := strings.Cut(pair, "="); found {
			m[name] = value
		}
	}
	return m
}

func TestEveryKindOnPodman(t *testing.T) {
	free := uint16(host.FreePort())
	anybody := &config.TLS{InsecureSkipVerify: true}
	dial := func(kind string) config.Health { return config.Health{Kind: kind, Port: 8080} }
	run := func(words ...string) config.Health { return config.Health{Kind: "exec", Command: words} }
	log := func(pattern string) config.Health { return config.Health{Kind: "log", Pattern: pattern} }
	nobody := func(kind string) string {
		return fmt.Sprintf("late refused: %s 8080: connection refused at HOST | "+
			"late forwarder: %[1]s 8080: the connection is accepted and closed; only a port forwarder listens yet at HOST", kind)
	}
	for _, s := range []struct {
		name, env string
		container config.Container // besides; port 8080 is published unless it says otherwise
		health    config.Health
		want      string // "rootful | rootless" where these differ
	}{
		{"tcp", "TCP=:8080", config.Container{}, dial("tcp"), "passed"},
		{"tcp as another user", "TCP=:8080", config.Container{User: "1234"}, dial("tcp"), "passed"},
		{"tcp not published", "TCP=:8080", config.Container{Ports: []config.Port{}}, dial("tcp"), "passed"},
		{"tcp on the host's network", fmt.Sprintf("TCP=127.0.0.1:%d", free), config.Container{NetworkMode: "host"}, config.Health{Kind: "tcp", Port: free}, "passed"},
		{"tcp, nothing listens", "", config.Container{}, dial("tcp"),
			"late refused: tcp 8080: connection refused at HOST; the container listens on nothing | " +
				"late forwarder: tcp 8080: only the port forwarder listens at HOST; the container listens on nothing"},
		{"tcp, another port", "TCP=:9090", config.Container{}, dial("tcp"),
			"late refused: tcp 8080: connection refused at HOST; the container listens on 9090 | " +
				"late forwarder: tcp 8080: only the port forwarder listens at HOST; the container listens on 9090"},
		{"tcp, loopback only", "TCP=127.0.0.1:8080", config.Container{}, dial("tcp"),
			"late loopback_only: tcp 8080: the container listens on 127.0.0.1:8080 only, where nobody outside reaches it; let it listen on 0.0.0.0"},
		{"tcp, UDP only", "UDP=:8080", config.Container{Ports: port8080("udp")}, dial("tcp"),
			"late not_listening: tcp 8080: nothing listens on the port; the container listens on nothing"},

		{"grpc", "GRPC=:8080", config.Container{}, dial("grpc"), "passed"},
		{"grpc service over TLS", "GRPC=:8080; GRPC_SERVICES=mcias; TLS=self", config.Container{}, config.Health{Kind: "grpc", Port: 8080, TLS: anybody, Service: "mcias"}, "passed"},
		{"grpc, TLS not expected", "GRPC=:8080; TLS=self", config.Container{}, dial("grpc"), "late tls_mismatch: grpc 8080: the server speaks TLS; add tls {} at HOST"},
		{"grpc, not serving", "GRPC=:8080; GRPC_STATUS=NOT_SERVING", config.Container{}, dial("grpc"), "late not_serving: grpc 8080: the server answers NOT_SERVING"},
		{"grpc, no health service", "GRPC=:8080; GRPC_HEALTH=off", config.Container{}, dial("grpc"),
			"late grpc_unimplemented: grpc 8080: the server does not implement grpc.health.v1.Health"},
		{"grpc, nothing listens", "", config.Container{}, dial("grpc"), nobody("grpc")},

		{"http", "HTTP=:8080; HTTP_STATUS=503 100ms 200", config.Container{}, dial("http"), "passed"},
		{"http, 503", "HTTP=:8080; HTTP_STATUS=503", config.Container{}, dial("http"), "late http_status: http 8080: status 503"},
		{"http, nothing listens", "", config.Container{}, dial("http"), nobody("http")},

		{"exec", "FILE=/ready 100ms", config.Container{}, run("/server", "check", "file", "/ready"), "passed"},
		{"exec, exits with 1", "", config.Container{}, run("/server", "check", "file", "/ready"), "late exec_exit: exec /server: exited with code 1: stat /ready: no such file or directory"},
		{"podman", "HTTP=:8080", config.Container{Image: host.ImageHealthcheck}, config.Health{Kind: "podman"}, "passed"},
		{"podman, unhealthy", "HTTP=:8080; HTTP_STATUS=503", config.Container{Image: host.ImageHealthcheck}, config.Health{Kind: "podman"},
			"late unhealthy: podman: unhealthy: 503 Service Unavailable"},
		{"podman, has none", "", config.Container{}, config.Health{Kind: "podman"}, "late no_healthcheck: podman: container NAME has no HEALTHCHECK"},
		{"log", "LOG=ready to serve 100ms", config.Container{}, log("^ready to"), "passed"},
		{"log, no match", "LOG=ready", config.Container{}, log("^steady"), `late no_match: log: no line matches "^steady" yet`},
		{"none", "", config.Container{}, config.Health{Kind: "none"}, "passed"},
		{"exits", "EXIT=3 300ms", config.Container{}, dial("tcp"), "exited exited: container NAME exited with code 3"},
	} {
		t.Run(s.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, h *host.Host) {
				c := s.container
				c.Env = env(s.env)
				if c.Ports == nil && c.NetworkMode == "" {
					c.Ports = port8080("tcp")
				}
				runtime, at := start(t, h, service(s.health), c)
				expect(t, h, runtime, s.health, at[0], s.want)
			})
		})
	}
}

// expect holds the outcome of a check against what is wanted. What is not to
// pass is asked until the container has come as far as it will.
func expect(t *testing.T, h *host.Host, runtime Containers, check config.Health, at scheduler.Instance, want string) {
	t.Helper()
	if rootful, rootless, differ := strings.Cut(want, " | "); differ {
		want = rootful
		if h.Rootless {
			want = rootless
		}
	}
	end := time.Now().Add(time.Minute)
	if want == "passed" {
		same(t, say(New(runtime).Await(t.Context(), service(check), []scheduler.Instance{at}, end, quiet)), want)
		return
	}
	var got string
	for got != want && time.Now().Before(end) {
		got, _, _ = strings.Cut(probeNow(t, runtime, check, at), "; the end of its log:")
		got = strings.ReplaceAll(got, at.Container, "NAME")
		for _, p := range at.Ports {
			got = strings.ReplaceAll(got, fmt.Sprintf("%s:%d", p.HostIP, p.HostPort), "HOST")
		}
	}
	same(t, got, want)
}

// The rule that passes a published port on is gone, as after a firewall was
// loaded anew; or an older one goes to where nobody is, as after a start of
// Podman's that was killed. The container listens, and nobody reaches it.
func TestAPortThatIsNotPassedOnIsNotReady(t *testing.T) {
	if os.Geteuid() != 0 {
		return // rootless there are no rules
	}
	h := host.Shared(t)
	for name, spoil := range map[string]func(port string, rules [][]string){
		"no rule": func(port string, rules [][]string) {
			for _, rule := range rules {
				iptables(t, append([]string{"--delete"}, rule...)...)
			}
		},
		"a stale rule": func(port string, rules [][]string) {
			rule := slices.Clone(rules[len(rules)-1])
			rule[len(rule)-1] = "10.88.255.254:8080"
			iptables(t, append([]string{"--insert"}, rule...)...)
			t.Cleanup(func() { iptables(t, append([]string{"--delete"}, rule...)...) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			check := config.Health{Kind: config.HealthTCP, Port: 8080}
			runtime, at := start(t, h, service(check), config.Container{Ports: port8080("tcp"), Env: env("TCP=:8080")})
			expect(t, h, runtime, check, at[0], "passed")
			port := fmt.Sprint(at[0].Ports[0].HostPort)
			var rules [][]string
			for line := range strings.Lines(iptables(t, "--list-rules")) {
				if strings.Contains(line, "--dport "+port+" -j DNAT") {
					rules = append(rules, strings.Fields(line)[1:])
				}
			}
			if len(rules) == 0 {
				t.Fatalf("there is no rule for port %s", port)
			}
			spoil(port, rules)
			got := probeNow(t, runtime, check, at[0])
			if !strings.HasPrefix(got, "late port_unreachable: tcp 8080: the container listens, but ") {
				t.Error(got)
			}
			t.Log(got)
		})
	}
}

// iptables acts on the table of address translation.
func iptables(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("iptables", append([]string{"--wait", "--table", "nat"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("iptables %v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestAJobOnPodmanIsReadyWhenItHasExitedWith0(t *testing.T) {
	for code, want := range map[string]string{"0": "passed", "7": "exited exited: container NAME exited with code 7"} {
		onBoth(t, func(t *testing.T, h *host.Host) {
			job := &scheduler.Task{Service: &config.Service{Kind: config.KindJob}}
			runtime, at := start(t, h, job, config.Container{Env: env("EXIT=" + code + " 200ms")})
			o := New(runtime).Await(t.Context(), job, at, time.Now().Add(time.Minute), quiet)
			got, _, _ := strings.Cut(say(o), "; the end of its log:")
			same(t, strings.ReplaceAll(got, at[0].Container, "NAME"), want)
		})
	}
}

// A container that begins to listen long after its start is not ready before:
// not where Podman's forwarder accepts connections for it meanwhile, either.
// When it began is its own word.
func TestNothingIsReadyBeforeTheContainerListens(t *testing.T) {
	onBoth(t, func(t *testing.T, h *host.Host) {
		for _, kind := range []string{"tcp", "grpc", "http"} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				task := service(config.Health{Kind: kind, Port: 8080})
				runtime, at := start(t, h, task, config.Container{Ports: port8080("tcp"), Env: env(strings.ToUpper(kind) + "=:8080 5s")})
				seen := map[string]bool{}
				o := New(runtime).Await(t.Context(), task, at, time.Now().Add(time.Minute), func(why scheduler.Cause) { seen[why.Code] = true })
				ready := time.Now()
				same(t, say(o), "passed")

				out, err := h.Podman(t.Context(), "logs", at[0].ID)
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
				// Else this proves nothing: there was no forwarder.
				if h.Rootless && !seen["forwarder"] {
					t.Errorf("the forwarder of a rootless Podman was not met: %v", seen)
				}
			})
		}
	})
}

// While Podman is away nothing is known of the service: that is said, and
// probing goes on when it is back.
func TestThatPodmanIsAwayIsNotTheServicesFailure(t *testing.T) {
	h := host.Shared(t)
	task := service(config.Health{Kind: config.HealthExec, Command: []string{"/server", "check", "file", "/ready"}})
	runtime, at := start(t, h, task, config.Container{Env: env("FILE=/ready 2s")})
	codes := make(chan string, 100)
	outcome := make(chan scheduler.Outcome)
	go func() {
		outcome <- New(runtime).Await(t.Context(), task, at, time.Now().Add(time.Minute), func(why scheduler.Cause) { codes <- why.Code })
	}()
	same(t, <-codes, "exec_exit")
	h.Kill()
	same(t, <-codes, "podman_unreachable")
	ok(t, h.Restart())
	same(t, say(<-outcome), "passed")
}
