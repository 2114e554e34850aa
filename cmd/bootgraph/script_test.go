package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootgraph/testdata/host"
)

// everything is a boot file with every attribute of a container that Podman
// 4.3.1 takes, and with values made to break out of their quotes.
const everything = `name = "script"
network "script-net" {}
network "script-two" {}
volume "script-vol" {}
stage "first" {
  on_failure = "abort"
  timeout    = "20s"
  service "script-full" {
    image      = "localhost/bootgraph/server:1"
    entrypoint = ["/server"]
    env = {
      TCP     = ":8080"
      QUOTE   = "it's \"quoted\""
      HOSTILE = "$(touch DIR/pwned); ` + "`touch DIR/pwned`" + ` $HOME \\ !! #"
      LINES   = "one\ntwo\n\nlast\n"
      EMPTY   = ""
      DASH    = "--privileged"
    }
    env_file     = ["more.env"]
    ports        = ["127.0.0.1:PORT1:8080", "127.0.0.1:PORT2-PORT3:9000-9001/udp"]
    volumes      = ["script-vol:/vol:ro", "./it's here, \"now\":/bind:ro,nosuid", "/anonymous"]
    networks     = [network.script-net, network.script-two]
    secrets      = ["script-key", "script-key,target=/etc/key,uid=7,gid=8,mode=0400", "script-key,type=env,target=KEY"]
    user         = "0:0"
    workdir      = "/bind/it's"
    hostname     = "full.example"
    labels       = { "a.b" = "'; touch DIR/pwned; '", empty = "", lines = "a\nb" }
    restart      = "on-failure:3"
    stop_timeout = "3s"
    stop_signal  = "SIGINT"
    memory       = "64m"
    cpus         = 0.29
    pids_limit   = 77
    ulimits      = ["nofile=512:1024", "nproc=512"]
    cap_add      = ["NET_ADMIN"]
    cap_drop     = ["NET_RAW", "CHOWN"]
    tmpfs        = ["/tmp:size=1m,mode=1777"]
    devices      = ["/dev/null:/dev/zilch:rw", "/dev/full"]
    security_opt = ["no-new-privileges", "label=disable", "mask=/proc/timer_list", "unmask=/proc/acpi", "proc-opts=nosuid"]
    dns          = ["10.0.0.1", "10.0.0.2"]
    extra_hosts  = ["a.example:10.9.8.7"]
    init         = true
    pull         = "never"
  }
  service "script-plain" {
    image = "localhost/bootgraph/server:1"
  }
}
stage "more" {
  job "script-job" {
    image   = "localhost/bootgraph/server:1"
    command = ["check", "exit", "0"]
  }
  service "script-shares" {
    depends_on   = [job.script-job]
    image        = "localhost/bootgraph/server:1"
    network_mode = "container:script-plain"
  }
  service "script-priv" {
    image      = "localhost/bootgraph/server:1"
    entrypoint = [""]
    command    = ["/server"]
    privileged = true
    network_mode = "none"
    health "exec" {
      command = ["/server", "check", "file", "/server"]
    }
  }
  service "script-host" {
    image        = "localhost/bootgraph/server:1"
    network_mode = "host"
    read_only    = true
    tmpfs        = ["/run:size=1m,mode=0700"]
  }
  service "script-two" {
    wants = [service.script-host]
    component "a" {
      image        = "localhost/bootgraph/server:healthcheck"
      env          = { HTTP = ":80" }
      network_mode = "bridge"
    }
    component "b" {
      image = "localhost/bootgraph/server:2"
      env   = { TCP = ":81" }
    }
    health "podman" {
      component = "a"
    }
    health "log" {
      component = "b"
      pattern   = "listening"
    }
  }
  service "script-existing" {
    containers = ["script-there"]
  }
}
`

// prepared is a bench for everything, and what has to be on the host for it.
func prepared(t *testing.T, h *host.Host) (b *bench, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, `it's here, "now"`, "it's"), 0o755); err != nil {
		t.Fatal(err)
	}
	port := host.FreePort()
	text := strings.NewReplacer("DIR", dir, "PORT1", fmt.Sprint(port), "PORT2", fmt.Sprint(port+1), "PORT3", fmt.Sprint(port+2)).Replace(everything)
	for name, text := range map[string]string{"boot.hcl": text, "more.env": "FROM_FILE=a b\n", "key": "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b = newBench(t, h, filepath.Join(dir, "boot.hcl"))
	for _, args := range [][]string{{"secret", "create", "script-key", filepath.Join(dir, "key")}, {"create", "--name=script-there", host.Image}} {
		if _, err := h.Podman(context.Background(), args...); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, args := range [][]string{{"rm", "--force", "--time=0", "script-there"}, {"secret", "rm", "script-key"}} {
			if _, err := h.Podman(context.Background(), args...); err != nil {
				t.Error(err)
			}
		}
	})
	return b, dir
}

// sh runs what plan --format sh has written.
func (b *bench) sh(script string) (said string) {
	b.t.Helper()
	cmd := b.host.Sh(context.Background(), script)
	cmd.Env = append(cmd.Env, "SCRIPT_FULL__FROM_FILE=a b") // what is sensitive is asked for
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("the script ends with %v:\n%s", err, out)
	}
	return string(out)
}

// must runs a command that must exit with 0.
func (b *bench) must(name string, args ...string) (out string) {
	b.t.Helper()
	code, out, said := b.run(name, args...)
	if code != 0 {
		b.t.Fatalf("%s exits with %d: %s%s", name, code, out, said)
	}
	return out
}

// things are all containers, networks and volumes of a configuration, as
// podman inspect tells them, but for what is different each time.
func (b *bench) things(name string) map[string]any {
	b.t.Helper()
	things := map[string]any{}
	for kind, list := range map[string][]string{
		"container": {"ps", "--all", "--filter=label=bootgraph.name=" + name, "--format={{.Names}}"},
		"network":   {"network", "ls", "--filter=label=bootgraph.name=" + name, "--format={{.Name}}"},
		"volume":    {"volume", "ls", "--filter=label=bootgraph.name=" + name, "--format={{.Name}}"},
	} {
		names, err := b.host.Podman(context.Background(), list...)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, name := range strings.Fields(string(names)) {
			text, err := b.host.Podman(context.Background(), kind, "inspect", name)
			if err != nil {
				b.t.Fatal(err)
			}
			var thing any
			if err := json.Unmarshal(text, &thing); err != nil {
				b.t.Fatal(err)
			}
			things[kind+" "+name] = normal(thing)
		}
	}
	return things
}

// What is different each time: IDs, addresses and times by their form, the
// rest by its key.
var (
	fleeting = regexp.MustCompile(`^(HOSTNAME=)?[0-9a-f]{12}$|[0-9a-f]{64}|^10\.[0-9]+\.[0-9]+\.[0-9]+$|^([0-9a-f]{2}:){5}[0-9a-f]{2}$|^20[0-9]{2}-[0-9T:.Z+-]+( .*)?$`)
	unlike   = []string{
		"CreateCommand",              // only the command has one
		"sdNotifyMode",               // "container" and "": alike where nobody sets NOTIFY_SOCKET
		"Annotations", "SecurityOpt", // what the command was told, kept for podman inspect
		"Pid", "ConmonPid", "SandboxKey", "GraphDriver", "network_interface", "subnets",
		"ExecIDs", "Log", "FailingStreak", // of the health checks that were run in it
	}
	sets = []string{"Env", "Mounts", "Binds"} // which Podman tells in no order
)

// normal is a value of podman inspect without what is different each time.
func normal(v any) any {
	switch v := v.(type) {
	case string:
		return fleeting.ReplaceAllString(v, "(fleeting)")
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case map[string]any:
		for key := range v {
			if list, ok := v[key].([]any); ok && slices.Contains(sets, key) {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
			if slices.Contains(unlike, key) {
				delete(v, key)
			} else if !strings.HasPrefix(key, "bootgraph.") {
				v[key] = normal(v[key])
			}
		}
	}
	return v
}

func TestScriptMakesWhatApplyMakes(t *testing.T) {
	b, dir := prepared(t, host.Shared(t))
	b.must("apply")
	want := b.things("script")
	b.must("down", "--volumes")
	script := b.must("plan", "--format", "sh")
	if again := b.must("plan", "--format", "sh"); again != script {
		t.Error("the second time it is another script")
	}
	b.sh(script)
	if diff := cmp.Diff(want, b.things("script")); diff != "" {
		t.Errorf("apply (-) and the script (+) differ:\n%s", diff)
	}
	if out := b.must("plan", "--detailed-exitcode"); strings.Count(out, "  = keep ") != 9 {
		t.Errorf("plan finds something to do:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a value was run")
	}
	before := b.containers("script")
	b.sh(script)
	if after := b.containers("script"); after != before {
		t.Errorf("a second run leaves\n%s\nof\n%s", after, before)
	}
}

// TestScriptStartsReplacesAndPrunes carries out all the other actions, on a
// rootless Podman: the socket table of a container can be read there too.
func TestScriptStartsReplacesAndPrunes(t *testing.T) {
	h := host.SharedRootless(t)
	const text = `name = "acts"
stage "one" {
  on_failure = "continue"
  service "acts-old" {
    image = "localhost/bootgraph/server:1"
  }
  service "acts-keep" {
    image = "localhost/bootgraph/server:1"
  }
  service "acts-start" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":80 1s" }
    health "tcp" {
      port = 80
    }
  }
  service "acts-change" {
    image = "localhost/bootgraph/server:1"
    env   = { LOG = "before" }
  }
  job "acts-job" {
    image = "localhost/bootgraph/server:1"
    env   = { EXIT = "3" }
  }
}
`
	b := newBench(t, h, text)
	if code, _, said := b.run("apply"); code != 3 { // the job
		t.Fatalf("apply exits with %d: %s", code, said)
	}
	old, rest, _ := strings.Cut(text, `  service "acts-old"`)
	_, rest, _ = strings.Cut(rest, "  }\n")
	now := strings.NewReplacer("before", "after", `"3"`, `"0"`).Replace(old + rest)
	if err := os.WriteFile(b.file, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"kill", "acts-start"}, {"wait", "acts-start"}} {
		if _, err := h.Podman(context.Background(), args...); err != nil {
			t.Fatal(err)
		}
	}
	id := func(container string) string {
		out, err := h.Podman(context.Background(), "ps", "--all", "--quiet", "--no-trunc", "--filter", "name=^"+container+"$")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	names := []string{"acts-old", "acts-keep", "acts-start", "acts-change", "acts-job"}
	before := map[string]string{}
	for _, name := range names {
		before[name] = id(name)
	}
	b.sh(b.must("plan", "--prune", "--format", "sh"))
	for name, stays := range map[string]bool{"acts-keep": true, "acts-start": true, "acts-change": false, "acts-job": false} {
		if (id(name) == before[name]) != stays || id(name) == "" {
			t.Errorf("%s was %s and is %s", name, before[name], id(name))
		}
	}
	if id("acts-old") != "" {
		t.Error("acts-old is still there")
	}
	if out := b.must("plan", "--detailed-exitcode"); !strings.Contains(out, "4 to keep, 0 to remove") {
		t.Errorf("plan finds something to do:\n%s", out)
	}
}

// TestScriptTouchesNothingOfAnybodyElse runs scripts for an empty host on one
// that has one of these containers already.
func TestScriptTouchesNothingOfAnybodyElse(t *testing.T) {
	h := host.Shared(t)
	b := newBench(t, h, `name = "alien"
stage "one" {
  on_failure = "abort"
  service "alien-taken" {
    image = "localhost/bootgraph/server:1"
  }
  service "alien-later" {
    image = "localhost/bootgraph/server:1"
  }
}
`)
	script := b.must("plan", "--offline", "--format", "sh")
	if _, err := h.Podman(context.Background(), "create", "--name=alien-taken", host.Image); err != nil {
		t.Fatal(err)
	}
	defer h.Podman(context.Background(), "rm", "alien-taken")
	out, err := h.Sh(context.Background(), script).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot start alien-taken") {
		t.Errorf("the script ends with %v:\n%s", err, out)
	}
	state, err := h.Podman(context.Background(), "ps", "--all", "--filter", "name=alien-", "--format", "{{.Names}} {{.State}}")
	if got := strings.TrimSpace(string(state)); err != nil || got != "alien-taken Created" {
		t.Errorf("there is now: %s, %v", got, err)
	}
}
