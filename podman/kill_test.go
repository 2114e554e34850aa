package podman

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/testdata/host"
)

func restarted(t *testing.T, p *host.Host) {
	t.Helper()
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
}

func TestABootGoesOnWhenPodmanComesBack(t *testing.T) {
	p := host.Own(t)
	s := task(config.KindService, server("phoenix", map[string]string{"TCP": ":8080"}, published(8080)))
	h := booted(t, p, s)
	at := started(t, h, s)

	p.Kill()
	if _, err := h.Start(t.Context(), s); code(err) != "podman_unreachable" {
		t.Errorf("it is away: %v", err)
	}
	if why, err := h.Look(t.Context(), at[0]); !why.IsZero() || err != nil {
		t.Errorf("it is away, but the kernel knows that the container runs: %v, %v", why, err)
	}
	elsewhere := at[0]
	elsewhere.PID = 0
	if _, err := h.Look(t.Context(), elsewhere); code(err) != "podman_unreachable" {
		t.Errorf("it is away: %v", err)
	}
	var back sync.WaitGroup
	back.Go(func() {
		if err := p.Restart(); err != nil {
			t.Error(err)
		}
	})
	again, err := h.Start(t.Context(), s) // waits for it
	if err != nil || !again[0].Same(at[0]) {
		t.Errorf("%+v, %v", again, err)
	}
	back.Wait()

	p.Stop()
	if _, err := h.Snapshot(t.Context()); code(err) != "podman_unresponsive" || !strings.Contains(err.Error(), "list containers") || !strings.Contains(err.Error(), "10s") {
		t.Errorf("it hangs: %v", err)
	}
	p.Continue()
	if why, err := h.Look(t.Context(), at[0]); !why.IsZero() || err != nil {
		t.Errorf("%+v, %v", why, err)
	}
}

// A Podman killed in the middle of a create or start leaves names without
// containers and containers that no start works on (FAULTS, 3). Whatever it
// is, the next start makes it run.
func TestStartConvergesAfterPodmanWasKilledInTheMiddle(t *testing.T) {
	p := host.Own(t)
	s := task(config.KindService, server("victim", map[string]string{"TCP": ":8080"}))
	h := booted(t, p, s)
	for delay := time.Duration(0); delay < 250*time.Millisecond; delay += 20 * time.Millisecond {
		run(t, p, "rm", "--force", "--ignore", "--time=0", "victim")
		var killed sync.WaitGroup
		killed.Go(func() {
			time.Sleep(delay) // at any instant, so at many
			p.Kill()
			if err := p.Restart(); err != nil {
				t.Error(err)
			}
		})
		_, first := h.Start(t.Context(), s)
		killed.Wait()
		at, err := h.Start(t.Context(), s)
		if err != nil {
			t.Fatalf("killed after %s, which gave %v: %v", delay, first, err)
		}
		if why, err := h.Look(t.Context(), at[0]); !why.IsZero() || err != nil {
			t.Errorf("killed after %s: %+v, %v", delay, why, err)
		}
	}
}

func TestANameThatOnlyTheStorageKnowsIsTakenBackIfItIsOurs(t *testing.T) {
	p := host.Own(t)
	w := server("ghost", nil)
	s := task(config.KindService, w)
	h := booted(t, p, s)
	database := filepath.Join(p.Dir, "root", "libpod", "bolt_state.db")
	orphan := func(image string) {
		p.Kill()
		before, err := os.ReadFile(database)
		if err != nil {
			t.Fatal(err)
		}
		run(t, p, "create", "--name=ghost", image)
		if err := os.WriteFile(database, before, 0o600); err != nil {
			t.Fatal(err)
		}
		restarted(t, p)
	}
	orphan(host.ImageNew)
	if _, err := h.Start(t.Context(), s); code(err) != "name_in_use" {
		t.Errorf("it may be somebody else's, it has another image: %v", err)
	}
	if left := run(t, p, "ps", "--all", "--external", "--format={{.Names}} {{.Status}}"); !strings.HasPrefix(left, "ghost ") {
		t.Errorf("it was removed: %q", left)
	}
	run(t, p, "rm", "--force", "ghost")

	orphan(host.Image)
	if _, err := h.Start(t.Context(), s); err != nil {
		t.Error(err)
	}
}
