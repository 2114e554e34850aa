package podman

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// TestWhoseWillAnEndWasShowsInTheEvents has the sequences that Podman 4.3.1 was
// seen to write, with how often.
func TestWhoseWillAnEndWasShowsInTheEvents(t *testing.T) {
	for _, test := range []struct {
		events string
		hand   bool
	}{
		{"died cleanup cleanup", true},             // podman stop, 21 of 24
		{"stop died cleanup cleanup", true},        // podman stop, the others
		{"kill died cleanup", true},                // podman kill, 16 of 16
		{"stop died", true},                        // a stop, before it is cleaned up
		{"died cleanup", false},                    // kill -9 or -TERM of its process, exit 0 and 1, 32 of 32
		{"died cleanup remove", false},             // podman rm --force, 13 of 16
		{"died remove", false},                     // the same
		{"stop died remove", false},                // the same
		{"died cleanup cleanup remove", true},      // podman stop, and podman rm
		{"restart died cleanup start", false},      // podman restart
		{"died cleanup cleanup start", false},      // podman stop, and podman start
		{"died cleanup start died cleanup", false}, // two crashes
		{"kill start died cleanup", false},         // a signal to the run before
		{"pause unpause", false},
		{"", false},
	} {
		var l life
		now := time.Now()
		for i, action := range strings.Fields(test.events) {
			l.add(event{Action: action, TimeNano: now.Add(time.Duration(i) * time.Millisecond).UnixNano()}, now)
		}
		if got := l.byHand(now.Add(settles)); got != test.hand {
			t.Errorf("%q: by hand: %v", test.events, got)
		}
	}
}

func TestAnEndLongAfterASignalIsACrash(t *testing.T) {
	var l life
	now := time.Now()
	l.add(event{Action: "kill", TimeNano: now.UnixNano()}, now) // a SIGHUP
	l.add(event{Action: "died", TimeNano: now.Add(time.Minute).UnixNano()}, now)
	if l.byHand(now.Add(time.Hour)) {
		t.Error("it counts as done by who sent the signal")
	}
}

func nobody() (Work, bool) { return Work{}, false }

// kept is a Keeper of tasks that are started and watched. looked gets each
// task that may have changed.
func kept(t *testing.T, p *host.Host, others func() (Work, bool), tasks ...*scheduler.Task) (k *Keeper, looked <-chan *scheduler.Task) {
	t.Helper()
	h := booted(t, p, tasks...)
	k = NewKeeper(h.Client, h.file, time.Now(), others)
	changed := make(chan *scheduler.Task, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { k.Watch(ctx, tasks, func(t *scheduler.Task) { changed <- t }) })
	t.Cleanup(func() { cancel(); watch.Wait() })
	return k, changed
}

// seen is what Look says once something has become of a task, and its events
// have settled.
func seen(t *testing.T, k *Keeper, looked <-chan *scheduler.Task, s *scheduler.Task, at []scheduler.Instance) string {
	t.Helper()
	var o scheduler.Outcome
	eventually(t, "it has fallen", func() bool {
		for len(looked) > 0 {
			<-looked
		}
		var err error
		if o, err = k.Look(t.Context(), s, at); err != nil {
			t.Fatal(err)
		}
		return o.Result != ""
	})
	// What tells whose will it was may come as late as that.
	for until := time.Now().Add(settles + settles/2); time.Now().Before(until) && o.Result != scheduler.Halted; {
		select {
		case <-looked:
		case <-time.After(time.Until(until)):
		}
		var err error
		if o, err = k.Look(t.Context(), s, at); err != nil {
			t.Fatal(err)
		}
	}
	return string(o.Result) + " " + o.Cause.Code
}

func TestKeeperTellsACrashFromSomebodysWill(t *testing.T) {
	t.Run("root", func(t *testing.T) { testWill(t, host.Shared(t)) })
	t.Run("rootless", func(t *testing.T) { testWill(t, host.SharedRootless(t)) })
}

func testWill(t *testing.T, p *host.Host) {
	s := task(config.KindService, server("kept", map[string]string{"TCP": ":8080"}, published(8080)))
	k, looked := kept(t, p, nobody, s)
	for _, test := range []struct {
		name string
		do   func(at scheduler.Instance)
		want string
	}{
		{"stop", func(scheduler.Instance) { run(t, p, "stop", "kept") }, "halted stopped"},
		{"stop at once", func(scheduler.Instance) { run(t, p, "stop", "--time=0", "kept") }, "halted stopped"},
		{"stop and remove", func(scheduler.Instance) { run(t, p, "stop", "kept"); run(t, p, "rm", "kept") }, "halted stopped"},
		{"kill", func(scheduler.Instance) { run(t, p, "kill", "kept") }, "halted stopped"},
		{"pause", func(scheduler.Instance) { run(t, p, "pause", "kept") }, "halted paused"},
		{"rename", func(scheduler.Instance) { run(t, p, "rename", "kept", "kept-away") }, "halted renamed"},
		{"killed from outside", func(at scheduler.Instance) { syscall.Kill(at.PID, syscall.SIGKILL) }, "exited exited"},
		{"terminated from outside", func(at scheduler.Instance) { syscall.Kill(at.PID, syscall.SIGTERM) }, "exited exited"},
		{"crashed, and stopped then", func(at scheduler.Instance) {
			syscall.Kill(at.PID, syscall.SIGKILL)
			eventually(t, "it has exited", func() bool { return mustFind(t, k.Host, "kept").State == "exited" })
			run(t, p, "stop", "kept")
		}, "halted stopped"},
		{"removed", func(scheduler.Instance) { run(t, p, "rm", "--force", "--time=0", "kept") }, "exited gone"},
		{"restarted", func(scheduler.Instance) { run(t, p, "restart", "kept") }, "exited restarted"},
		{"halted by ourselves", func(scheduler.Instance) {
			if err := k.Halt(t.Context(), s); err != nil {
				t.Error(err)
			}
		}, "exited exited"},
	} {
		if test.name == "pause" && p.Rootless {
			continue // needs cgroups v2 there
		}
		t.Run(test.name, func(t *testing.T) {
			run(t, p, "rm", "--force", "--ignore", "--time=0", "kept", "kept-away")
			at := started(t, k.Host, s)
			// Before that the kernel keeps a SIGTERM from a first process.
			eventually(t, "it has started", func() bool { return strings.Contains(run(t, p, "logs", "kept"), "start") })
			if o, err := k.Look(t.Context(), s, at); o != (scheduler.Outcome{}) || err != nil {
				t.Fatalf("it runs: %+v, %v", o, err)
			}
			test.do(at[0])
			if got := seen(t, k, looked, s, at); got != test.want {
				t.Errorf("it says %s, want %s", got, test.want)
			}
		})
	}
}

func TestWhatAnotherBootgraphHasTakenAwayIsItsWill(t *testing.T) {
	p := host.Shared(t)
	own, existing := task(config.KindService, server("kept-own", nil)), task(config.KindService, server("kept-there", nil))
	removed(t, p, "kept-there")
	existing.Service.Existing, existing.Service.Containers = []string{"kept-there"}, nil
	var mu sync.Mutex
	var work Work
	k, looked := kept(t, p, func() (Work, bool) {
		mu.Lock()
		defer mu.Unlock()
		return work, work.Command != ""
	}, own, existing)
	run(t, p, "create", "--name=kept-there", host.Image)
	for _, command := range []string{"down", "apply", ""} {
		atOwn, atExisting := started(t, k.Host, own), started(t, k.Host, existing)
		mu.Lock()
		work = Work{Command: command, Since: time.Now()}
		mu.Unlock()
		run(t, p, "rm", "--force", "--time=0", "kept-own")
		syscall.Kill(atExisting[0].PID, syscall.SIGKILL) // not podman stop, which would show by itself
		eventually(t, "it has exited", func() bool { return mustFind(t, k.Host, "kept-there").State == "exited" })
		mu.Lock()
		work.Until = time.Now()
		mu.Unlock()
		want := map[string]string{"down": "halted stopped, halted stopped", "apply": "halted stopped, exited exited", "": "exited gone, exited exited"}[command]
		if got := seen(t, k, looked, own, atOwn) + ", " + seen(t, k, looked, existing, atExisting); got != want {
			t.Errorf("after %q it says %s, want %s", command, got, want)
		}
	}
}

func TestEventsOfWhilePodmanWasAwayAreNotLost(t *testing.T) {
	p := host.Own(t)
	s := task(config.KindService, server("kept-away", nil))
	k, looked := kept(t, p, nobody, s)
	at := started(t, k.Host, s)
	p.Kill()
	run(t, p, "stop", "--time=1", "kept-away") // the command needs no service
	restarted(t, p)
	if got := seen(t, k, looked, s, at); got != "halted stopped" {
		t.Errorf("it says %s", got)
	}
}

func TestWhatSomebodyHasAppliedMeanwhileIsStartedAsItIs(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("kept-other", map[string]string{"LOG": "old"}))
	k, _ := kept(t, p, nobody, s)
	other := task(config.KindService, server("kept-other", map[string]string{"LOG": "new"}))
	at := started(t, NewHost(k.Client, k.file, nil), other)
	run(t, p, "stop", "--time=1", "kept-other")
	again := started(t, k.Host, s)
	if again[0].ID != at[0].ID {
		t.Error("it was replaced")
	}
}

// A stream that repeats what it has said, as one opened anew does, and is in
// no order, is understood all the same.
func TestRepeatedEventsCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		line := func(action string, after time.Duration) string {
			text, _ := json.Marshal(map[string]any{"Action": action, "Actor": map[string]any{"ID": "1", "Attributes": map[string]string{"name": "c"}}, "timeNano": began.Add(after).UnixNano()})
			return string(text) + "\n"
		}
		streams := 0
		h, s := fakeHost(t, func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/events") {
				return
			}
			streams++
			fmt.Fprint(w, line("died", time.Second), line("cleanup", 2*time.Second))
			if streams > 3 {
				w.(http.Flusher).Flush()
				hang(w, r)
			}
		})
		s.Service.Containers[0].Name = "c"
		k := NewKeeper(h.Client, h.file, began, nobody)
		ctx, cancel := context.WithCancel(t.Context())
		var watch sync.WaitGroup
		all := 0
		watch.Go(func() { k.Watch(ctx, []*scheduler.Task{s}, func(*scheduler.Task) { all++ }) })
		time.Sleep(time.Minute) // virtual
		synctest.Wait()
		if l := k.lives["1"]; l == nil || l.cleanups != 1 || l.byHand(time.Now()) {
			t.Errorf("it is taken for %+v", l)
		}
		if streams != 4 || all != 4+2 {
			t.Errorf("%d streams, told %d times", streams, all)
		}
		cancel()
		watch.Wait()
	})
}
