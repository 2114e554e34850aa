package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// behind is what somebody else does to a container while it is booted. cured
// is what has to be done before it can be ready again; "" if bootgraph gets
// there by itself.
var behind = []struct {
	fault string
	codes []string // of the causes that may be given
	does  string   // by podman; C is the container
	cured string
}{
	{"removed", []string{"gone", "exited"}, "rm --force --time=0 C", ""},
	{"stopped", []string{"exited"}, "stop --time=1 C", ""},
	{"killed", []string{"exited"}, "kill C", ""},
	{"restarted", []string{"exited", "restarted"}, "restart --time=0 C", ""},
	{"orphaned", []string{"not_running", "exited"}, "", ""}, // see orphan
	{"replaced", []string{"name_in_use"}, "rm --force --time=0 C; run --detach --name=C localhost/bootgraph/server:1", "rm --force --time=0 C"},
	// What has not ended is looked at when all others are ready.
	{"paused", []string{"paused"}, "pause C", "unpause C"},
	{"renamed", []string{"renamed"}, "rename C C-away", "rename C-away C"},
}

// TestWhatHappensBehindItsBackIsNoticed: in one boot, each fault befalls a
// service that is being probed, and one that is ready and waits for the rest of
// its stage. Each is noticed and named, none is called ready on old evidence,
// and once it is cured the boot comes out whole.
func TestWhatHappensBehindItsBackIsNoticed(t *testing.T) {
	t.Parallel()
	h, gate := host.Shared(t), t.TempDir()
	b := newBench(t, h, behindBoot(gate))
	podman := func(commands, container string) {
		for command := range strings.SplitSeq(commands, "; ") {
			if _, err := h.Podman(t.Context(), strings.Fields(strings.ReplaceAll(command, "C", container))...); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := b.apply()
	a.until("all are started, and those without a gate ready", func(scheduler.Event) bool {
		return !slices.ContainsFunc(behindNames(), func(name string) bool {
			return at(a.seen, name, scheduler.Probing).IsZero() || strings.HasPrefix(name, "ready") && at(a.seen, name, scheduler.Healthy).IsZero()
		})
	})
	begun, done := len(a.seen), map[string]time.Time{}
	for _, fault := range behind {
		for _, state := range []string{"probed-", "ready-"} {
			if fault.does == "" {
				orphan(t, h, state+fault.fault)
			} else {
				podman(fault.does, state+fault.fault)
			}
			done[state+fault.fault] = time.Now()
		}
	}
	if err := os.WriteFile(filepath.Join(gate, "open"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	noticed := func(service string, codes []string) bool {
		return slices.ContainsFunc(a.seen[begun:], func(e scheduler.Event) bool {
			if e.Service != service || !slices.Contains(codes, e.Cause.Code) {
				return false
			}
			t.Logf("%s, %s after it: %.100s", service, e.Time.Sub(done[service]).Round(time.Millisecond), e.Cause.Text)
			return true
		})
	}
	for _, fault := range behind {
		for _, state := range []string{"probed-", "ready-"} {
			service := state + fault.fault
			if !noticed(service, fault.codes) {
				a.until(service+" is noticed", func(scheduler.Event) bool { return noticed(service, fault.codes) })
			}
			if fault.cured != "" {
				podman(fault.cured, service)
			}
		}
	}
	if code := a.end(); code != 0 {
		t.Errorf("apply exits with %d", code)
	}
	for _, name := range behindNames() {
		healthy := at(a.seen, name, scheduler.Healthy)
		if last := at(a.seen, name, scheduler.Probing); !healthy.After(last) {
			t.Errorf("%s ends ready by what was seen before its last start", name)
		}
	}
	if code, out, _ := b.run("plan", "--detailed-exitcode"); code != 0 {
		t.Errorf("there is something left to do: %s", out)
	}
}

func behindNames() (names []string) {
	for _, fault := range behind {
		names = append(names, "probed-"+fault.fault, "ready-"+fault.fault)
	}
	return names
}

// behindBoot is a foundation with a service for each fault and state; those
// that are to be probed are ready when the gate is open.
func behindBoot(gate string) string {
	text := "name = \"behind\"\nstage \"foundation\" {\n"
	for _, name := range behindNames() {
		text += fmt.Sprintf("service %q {\n image = %q\n volumes = [%q]\n", name, host.Image, gate+":/gate")
		if strings.HasPrefix(name, "probed") {
			text += "health \"exec\" {\n command = [\"/server\", \"check\", \"file\", \"/gate/open\"]\n interval = \"500ms\"\n}\n"
		}
		text += "}\n"
	}
	return text + "}\n"
}

// orphan kills a container's conmon and then its process: Podman never hears
// of its end. So it is after a loss of power, too, if /run is kept.
func orphan(t *testing.T, h *host.Host, container string) {
	t.Helper()
	out, err := h.Podman(t.Context(), "container", "inspect", "--format={{.State.ConmonPid}} {{.State.Pid}}", container)
	if err != nil {
		t.Fatal(err)
	}
	var conmon, process int
	if _, err := fmt.Sscan(string(out), &conmon, &process); err != nil || conmon == 0 || process == 0 {
		t.Fatalf("%s has the processes %s: %v", container, out, err)
	}
	for _, pid := range []int{conmon, process} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}
