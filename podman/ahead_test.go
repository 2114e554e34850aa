package podman

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootgraph/config"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// expectant is booted, with what Preflight has found.
func expectant(t *testing.T, p *host.Host, tasks ...*scheduler.Task) *Host {
	t.Helper()
	h := booted(t, p, tasks...)
	look(t, h, tasks...)
	return h
}

func look(t *testing.T, h *Host, tasks ...*scheduler.Task) {
	t.Helper()
	found, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var services []*config.Service
	for _, task := range tasks {
		services = append(services, task.Service)
	}
	if problems := h.Preflight(t.Context(), services, found); len(problems) > 0 {
		t.Fatal(problems)
	}
}

func TestWhatIsPreparedRunsNothingUntilItIsStarted(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("ahead", map[string]string{"TCP": ":8080"}, published(8080)))
	h := expectant(t, p, s)
	if !h.Ahead(t.Context(), s) {
		t.Fatal("it was not prepared")
	}
	if f := mustFind(t, h, "ahead"); f.State != "initialized" || run(t, p, "logs", "ahead") != "" {
		t.Errorf("it is %s, and says %q", f.State, run(t, p, "logs", "ahead"))
	}
	r := record(h)
	at := started(t, h, s)
	if did := r.verbs(); did != "start" || !mustFind(t, h, "ahead").Running() || at[0].PID == 0 || at[0].StartedAt.IsZero() {
		t.Errorf("%s; %+v", did, at)
	}

	// The same after it has ended, with its next run.
	run(t, p, "stop", "--time=0", "ahead")
	look(t, h, s)
	if !h.Ahead(t.Context(), s) {
		t.Fatal("it was not prepared again")
	}
	r.verbs()
	if again := started(t, h, s); r.verbs() != "start" || again[0].ID != at[0].ID || again[0].Same(at[0]) {
		t.Errorf("%+v", again)
	}
}

func TestPutBackLeavesWhatWasThereBefore(t *testing.T) {
	p := host.Shared(t)
	fresh, old := task(config.KindService, server("back-new", nil)), task(config.KindService, server("back-old", nil))
	h := expectant(t, p, fresh, old)
	before := started(t, h, old)[0]
	run(t, p, "stop", "--time=0", "back-old")
	look(t, h, fresh, old)
	for _, s := range []*scheduler.Task{fresh, old} {
		if !h.Ahead(t.Context(), s) {
			t.Fatal(s.Name + " was not prepared")
		}
		h.PutBack(t.Context(), s)
	}
	if f, err := h.container(t.Context(), "back-new"); f != nil || err != nil {
		t.Errorf("it was not there before: %+v, %v", f, err)
	}
	if f := mustFind(t, h, "back-old"); f.ID != before.ID || f.State != "exited" || !f.StartedAt.Equal(before.StartedAt) {
		t.Errorf("%+v", f)
	}
}

func TestWhatSomebodyElseHasDoneAboutAPreparedContainerCounts(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("snatched", nil))
	h := expectant(t, p, s)
	if !h.Ahead(t.Context(), s) {
		t.Fatal("it was not prepared")
	}
	run(t, p, "rm", "--force", "--time=0", "snatched")
	if at := started(t, h, s); at[0].PID == 0 {
		t.Errorf("%+v", at)
	}
}

func TestWhatCouldTellThatItWasPreparedIsNot(t *testing.T) {
	p := host.Shared(t)
	dir := t.TempDir()
	file, link := filepath.Join(dir, "key.pem"), filepath.Join(dir, "current")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	mount := func(source string) func(*config.Container) {
		return func(w *config.Container) {
			w.Volumes = []config.Mount{{Source: source, Destination: "/mnt"}}
		}
	}
	shared1 := task(config.KindService, server("tell-1", nil, mount("bg-shared")))
	shared2 := task(config.KindService, server("tell-2", nil, mount("bg-shared")))
	named := task(config.KindService, server("tell-3", nil, func(w *config.Container) { w.NetworkMode = "container:tell-1" }))
	pulled := task(config.KindService, server("tell-4", nil, func(w *config.Container) { w.Pull = config.PullAlways }))
	h := expectant(t, p,
		task(config.KindService, server("tell-5", nil, mount(file))), task(config.KindService, server("tell-6", nil, mount(link))),
		shared1, shared2, named, pulled, task(config.KindService, server("tell-7", nil, mount(dir))))
	for _, s := range h.file.Stages[0].Services {
		want := s.Name == "tell-7" // a directory is what it is when it is looked into
		if got := h.mayPrepare(s); got != want {
			t.Errorf("%s: %t", s.Name, got)
		}
	}
}

func TestNothingIsPreparedWhereSomethingIsReplaced(t *testing.T) {
	p := host.Shared(t)
	old, other := task(config.KindService, server("swap", nil)), task(config.KindService, server("swap-not", nil))
	h := booted(t, p, old, other)
	started(t, h, old)
	old.Service.Containers[0].Env = map[string]string{"NEW": "1"}
	look(t, h, old, other)
	if h.Ahead(t.Context(), other) || h.Ahead(t.Context(), old) {
		t.Error("it was")
	}
}

func TestTheKernelTellsWhatRunsAndWhatIsPaused(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("kernel", nil))
	h := booted(t, p, s)
	at := started(t, h, s)[0]
	if !h.runsOn(at) {
		t.Error("it runs, and the kernel does not know")
	}
	run(t, p, "pause", "kernel")
	if h.runsOn(at) {
		t.Error("it is paused")
	}
	run(t, p, "unpause", "kernel")
	other := at
	other.ID = strings.Repeat("0", 64)
	if h.runsOn(other) {
		t.Error("another container's process is its own")
	}
	earlier := at
	earlier.StartedAt = at.StartedAt.AddDate(0, 0, -1)
	if h.runsOn(earlier) {
		t.Error("a run of yesterday is today's")
	}
	run(t, p, "stop", "--time=0", "kernel")
	if h.runsOn(at) {
		t.Error("it was stopped")
	}
}
