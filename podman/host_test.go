package podman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// recorder counts all requests, notes those that can change something, and calls
// hook after each of these.
type recorder struct {
	http.RoundTripper
	mu      sync.Mutex
	calls   int
	changes []string
	hook    func(request string)
}

func record(h *Host) *recorder {
	r := &recorder{RoundTripper: h.http.Transport, hook: func(string) {}}
	h.http = &http.Client{Transport: r}
	return r
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(req)
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	if req.Method != http.MethodGet {
		what := req.Method + " " + strings.TrimPrefix(req.URL.Path, apiPath)
		r.mu.Lock()
		r.changes = append(r.changes, what)
		r.mu.Unlock()
		r.hook(what)
	}
	return resp, err
}

func (r *recorder) CloseIdleConnections() {
	r.RoundTripper.(interface{ CloseIdleConnections() }).CloseIdleConnections()
}

// verbs are the last words of the requests: create start.
func (r *recorder) verbs() string {
	var words []string
	for _, c := range r.changes {
		method, path, _ := strings.Cut(c, " ")
		if word := path[strings.LastIndex(path, "/")+1:]; method == "DELETE" {
			words = append(words, "delete")
		} else {
			words = append(words, word)
		}
	}
	r.changes = nil
	return strings.Join(words, " ")
}

func TestWhatRunsAsDescribedIsLeftAlone(t *testing.T) {
	w := server("alone", map[string]string{"TCP": ":8080"}, published(8080))
	job := server("alone-job", map[string]string{"EXIT": "0"})
	service, once := task(config.KindService, w), task(config.KindJob, job)
	h := booted(t, host.Shared(t), service, once)
	r := record(h)
	first := started(t, h, service)
	ran := started(t, h, once)
	if did := r.verbs(); did != "create start create start" {
		t.Errorf("the first time it did %q", did)
	}
	if code, _, err := h.Wait(t.Context(), ran[0]); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	r.verbs() // it waited, unless the job was quicker
	if again := started(t, h, service); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("it found\n%+v, started was\n%+v", again, first)
	}
	started(t, h, once)
	if did := r.verbs(); did != "" {
		t.Errorf("the second time it did %q", did)
	}
	i := first[0]
	if i.Container != "alone" || len(i.ID) != 64 || i.StartedAt.IsZero() || i.PID == 0 || i.HostNetwork || !i.Reachable || len(i.Addresses) != 1 || fmt.Sprint(i.Ports) != fmt.Sprint(w.Ports) {
		t.Errorf("the instance is %+v", i)
	}
	if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(i.Ports[0].HostPort))); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

func TestWhatHasExitedIsStartedAgain(t *testing.T) {
	s := task(config.KindService, server("again", nil))
	h := booted(t, host.Shared(t), s)
	r := record(h)
	first := started(t, h, s)
	run(t, host.Shared(t), "kill", "again")
	if code, why, err := h.Wait(t.Context(), first[0]); code != 137 || why.Code != "exited" || err != nil {
		t.Fatal(code, why, err)
	}
	r.verbs()
	second := started(t, h, s)
	if did := r.verbs(); did != "start" || second[0].ID != first[0].ID || second[0].Same(first[0]) {
		t.Errorf("it did %q: %+v", did, second)
	}
}

func TestWhatIsDescribedOtherwiseIsReplaced(t *testing.T) {
	w := server("other", nil)
	s := task(config.KindService, w)
	h := booted(t, host.Shared(t), s)
	r := record(h)
	first := started(t, h, s)
	r.verbs()
	w.Hostname = "elsewhere"
	second := started(t, h, s)
	if did := r.verbs(); did != "delete create start" || second[0].ID == first[0].ID {
		t.Errorf("it did %q", did)
	}
	if name := run(t, host.Shared(t), "container", "inspect", "--format={{.Config.Hostname}}", "other"); name != "elsewhere" {
		t.Errorf("its name is %s", name)
	}
}

func TestReplacementIsAskedForOnce(t *testing.T) {
	s := task(config.KindService, server("asked", nil))
	h := booted(t, host.Shared(t), s)
	first := started(t, h, s)
	h = NewHost(h.Client, h.file, []string{"asked"})
	second := started(t, h, s)
	third := started(t, h, s)
	if second[0].ID == first[0].ID || !third[0].Same(second[0]) {
		t.Errorf("first %s, second %s, third %s", first[0].ID, second[0].ID, third[0].ID)
	}
}

// states is every container with what must not change of it.
func states(t *testing.T, h *host.Host, names ...string) string {
	t.Helper()
	return run(t, h, append([]string{"container", "inspect", "--format={{.Name}} {{.Id}} {{.State.Status}} {{.State.StartedAt}}"}, names...)...)
}

func TestAStrangersContainerIsNeverTouched(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("stranger", nil))
	h := booted(t, p, s)
	for name, label := range map[string]string{"nobody's": "a=b", "another configuration's": LabelName + "=bank"} {
		t.Run(name, func(t *testing.T) {
			removed(t, p, "stranger")
			run(t, p, "create", "--name=stranger", "--label="+label, host.Image)
			before := states(t, p, "stranger")
			h := NewHost(h.Client, h.file, []string{"stranger"})
			r := record(h)
			found, err := h.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, startErr := h.Start(t.Context(), s)
			for what, err := range map[string]error{
				"Prepare": h.Prepare(t.Context(), s), "Start": startErr, "Preflight": h.Preflight(t.Context(), []*config.Service{s.Service}, found)[0],
			} {
				if code(err) != "name_in_use" {
					t.Errorf("%s: %v", what, err)
				}
			}
			if h.Stop(t.Context(), found.Container("stranger")) == nil || h.Remove(t.Context(), found.Container("stranger"), true) == nil {
				t.Error("it was stopped or removed")
			}
			if after := states(t, p, "stranger"); after != before || r.verbs() != "" {
				t.Errorf("it was %s and is %s; done: %s", before, after, r.verbs())
			}
		})
	}
}

func TestANameThatBeginsAStrangersIDIsNotTheStranger(t *testing.T) {
	p := host.Shared(t)
	removed(t, p, "stranger")
	id := run(t, p, "run", "--detach", "--name=stranger", host.Image)
	name := id[:4]
	s, x := task(config.KindService, server(name, nil)), &config.Service{Name: "x", Existing: []string{name}}
	// Not booted: its `podman rm NAME` would remove the stranger.
	h := NewHost(connected(t, p), &config.File{Name: "prefix", Stages: []*config.Stage{{Name: "core", Services: []*config.Service{s.Service}}}}, nil)
	before := states(t, p, "stranger")
	found, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := h.Decide(s.Service, found)[0]; d.Action != Create {
		t.Errorf("%+v", d)
	}
	if _, err := h.Start(t.Context(), &scheduler.Task{Name: "x", Service: x}); code(err) != "not_found" {
		t.Errorf("the stranger was taken for existing: %v", err)
	}
	first := started(t, h, s)
	run(t, p, "kill", first[0].ID)
	h.Wait(t.Context(), first[0])
	started(t, h, s)
	found, _ = h.Snapshot(t.Context())
	if err := h.Remove(t.Context(), found.Container(name), true); err != nil {
		t.Error(err)
	}
	if after := states(t, p, "stranger"); after != before {
		t.Errorf("the stranger was %s and is %s", before, after)
	}
}

func TestAnExistingContainerIsStartedAndNothingElse(t *testing.T) {
	p := host.Shared(t)
	removed(t, p, "old-redis")
	h := booted(t, p)
	x := &scheduler.Task{Name: "cache", Service: &config.Service{Name: "cache", Existing: []string{"old-redis"}}}
	if _, err := h.Start(t.Context(), x); code(err) != "not_found" {
		t.Errorf("it is missing: %v", err)
	}
	port := uint16(host.FreePort())
	id := run(t, p, "create", "--name=old-redis", "--publish="+fmt.Sprint(port)+":8080", host.Image)
	r := record(h)
	at := started(t, h, x)
	if at[0].ID != id || at[0].PID == 0 || len(at[0].Ports) != 1 || at[0].Ports[0].HostPort != port {
		t.Errorf("%+v", at)
	}
	started(t, h, x)
	if did := r.verbs(); did != "start" {
		t.Errorf("it did %q", did)
	}
	run(t, p, "pause", "old-redis")
	if _, err := h.Start(t.Context(), x); code(err) != "paused" {
		t.Errorf("it is paused: %v", err)
	}
	run(t, p, "unpause", "old-redis")
}

func TestAFailedJobIsRunAgain(t *testing.T) {
	s := task(config.KindJob, server("job", map[string]string{"LOG": "no such table", "EXIT": "3 100ms"}))
	h := booted(t, host.Shared(t), s)
	for range 2 {
		at := started(t, h, s)
		n, why, err := h.Wait(t.Context(), at[0])
		if n != 3 || why.Code != "exited" || err != nil || !strings.Contains(why.Text, "container job exited with code 3; the end of its log:\n  ") || !strings.Contains(why.Text, "no such table") {
			t.Errorf("%d, %+v, %v", n, why, err)
		}
	}
}

// TestWhatWasSeenBeforeTheBootIsNoPromise: names that were free are taken, and
// what was there is gone, by the time of the start.
func TestWhatWasSeenBeforeTheBootIsNoPromise(t *testing.T) {
	p := host.Shared(t)
	free, kept, lent := task(config.KindService, server("was-free", nil)), task(config.KindService, server("was-kept", nil)), task(config.KindService, server("was-lent", nil))
	lent.Service.Containers[0].Image = "localhost/was-lent:1"
	h := booted(t, p, free, kept, lent)
	started(t, h, kept)
	run(t, p, "tag", host.Image, "localhost/was-lent:1")
	found, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if problems := h.Preflight(t.Context(), []*config.Service{free.Service, kept.Service, lent.Service}, found); len(problems) > 0 {
		t.Fatal(problems)
	}
	run(t, p, "create", "--name=was-free", host.Image)
	t.Cleanup(func() { run(t, p, "rm", "--force", "was-free") })
	run(t, p, "rm", "--force", "--time=0", "was-kept")
	run(t, p, "untag", "localhost/was-lent:1", "localhost/was-lent:1")
	r := record(h)
	for _, s := range []*scheduler.Task{free, kept} {
		if err := h.Prepare(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Start(t.Context(), free); code(err) != "name_in_use" || strings.Contains(r.verbs(), "delete") {
		t.Errorf("a stranger has its name: %v", err)
	}
	started(t, h, kept)
	if _, err := h.Start(t.Context(), lent); code(err) != "image_missing" {
		t.Errorf("its image is gone: %v", err)
	}
}

// TestToWaitAsksPodmanNothing: the kernel tells of the end.
func TestToWaitAsksPodmanNothing(t *testing.T) {
	s := task(config.KindService, server("awaited", map[string]string{"EXIT": "3 2s"}))
	h := booted(t, host.Shared(t), s)
	r := record(h)
	at := started(t, h, s)
	r.verbs()
	if n, why, err := h.Wait(t.Context(), at[0]); n != 3 || why.Code != "exited" || err != nil {
		t.Errorf("%d, %+v, %v", n, why, err)
	}
	if did := r.verbs(); did != "" {
		t.Errorf("while it waited it asked for %q", did)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	s = task(config.KindService, server("awaited-longer", nil))
	h = booted(t, host.Shared(t), s)
	at = started(t, h, s)
	if _, _, err := h.Wait(ctx, at[0]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it was not told to stop waiting: %v", err)
	}
}

// TestAnEndThatPodmanNeverHearsOf: conmon is killed, and then the process. For
// Podman the container runs for ever.
func TestAnEndThatPodmanNeverHearsOf(t *testing.T) {
	s := task(config.KindService, server("orphaned", nil))
	h := booted(t, host.Shared(t), s)
	at := started(t, h, s)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", at[0].PID))
	if err != nil {
		t.Fatal(err)
	}
	conmon, err := strconv.Atoi(strings.Fields(string(stat))[3]) // its name, /server, has no blanks
	if err != nil || !statOf(at[0].PID).isOf(at[0].ID) {
		t.Fatalf("its parent is %d, %v", conmon, err)
	}
	for _, pid := range []int{conmon, at[0].PID} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if n, why, err := h.Wait(t.Context(), at[0]); n != -1 || why.Code != "not_running" || err != nil {
		t.Errorf("%d, %+v, %v", n, why, err)
	}
	if again := started(t, h, s); again[0].Same(at[0]) {
		t.Error("it was not started again")
	}
}

func TestGuardAndFallenTellWhatBecameOfIt(t *testing.T) {
	p := host.Shared(t)
	for _, test := range []struct {
		name      string
		does      []string
		code      string
		unguarded bool // it has not ended, so Guard goes on
	}{
		{name: "exited", does: []string{"kill"}, code: "exited"},
		{name: "gone", does: []string{"rm --force --time=0"}, code: "gone"},
		{name: "restarted", does: []string{"restart --time=0"}, code: "restarted"},
		{name: "paused", does: []string{"pause"}, code: "paused", unguarded: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := task(config.KindService, server("watched", nil))
			h := booted(t, p, s)
			at := started(t, h, s)
			ready := []scheduler.Ready{{Task: s, At: at}}
			if fallen, err := h.Fallen(t.Context(), ready); len(fallen) != 0 || err != nil {
				t.Fatalf("it runs: %v, %v", fallen, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			guarded := make(chan scheduler.Cause, 1)
			var done sync.WaitGroup
			done.Go(func() { guarded <- h.Guard(ctx, s, at) })
			for _, do := range test.does {
				run(t, p, append(strings.Fields(do), "watched")...)
			}
			var fallen map[int]scheduler.Cause
			eventually(t, "it fell", func() bool {
				var err error
				fallen, err = h.Fallen(t.Context(), ready)
				return err == nil && len(fallen) > 0
			})
			if fallen[s.ID].Code != test.code {
				t.Errorf("Fallen says %+v", fallen)
			}
			if why, err := h.Look(t.Context(), at[0]); why.Code != test.code || err != nil {
				t.Errorf("Look says %+v, %v", why, err)
			}
			if test.unguarded {
				cancel()
				done.Wait()
				if why := <-guarded; !why.IsZero() {
					t.Errorf("Guard says %+v", why)
				}
				return
			}
			if why := <-guarded; why.Code != test.code && why.Code != "exited" { // its exit comes first, and may be seen
				t.Errorf("Guard says %+v", why)
			}
		})
	}
}

func TestCommandsAndHealthchecksInside(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("inside", map[string]string{"TCP": ":8080", "FILE": "/there"}))
	checked := task(config.KindService, server("checked", map[string]string{"HTTP": ":8080", "HTTP_STATUS": "200"}, func(w *config.Container) { w.Image = host.ImageHealthcheck }))
	failing := task(config.KindService, server("failing", nil, func(w *config.Container) { w.Image = host.ImageHealthcheck }))
	h := booted(t, p, s, checked, failing)
	at := started(t, h, s)
	for command, want := range map[string]int{"check exit 7": 7, "check file /there": 0, "check file /not-there": 1} {
		var n int
		var said string
		var err error
		eventually(t, command, func() bool {
			n, said, err = h.Exec(t.Context(), at[0], append([]string{"/server"}, strings.Fields(command)...))
			return err != nil || n == want
		})
		if err != nil {
			t.Error(command, n, said, err)
		}
	}
	if n, said, err := h.Exec(t.Context(), at[0], []string{"/nope"}); n != 127 || !strings.Contains(said, "no such file") || err != nil {
		t.Errorf("there is no such command: %d, %s, %v", n, said, err)
	}
	if _, _, err := h.Healthcheck(t.Context(), at[0]); code(err) != "no_healthcheck" {
		t.Errorf("it has none: %v", err)
	}
	ok := started(t, h, checked)
	eventually(t, "the check passes", func() bool {
		passed, _, err := h.Healthcheck(t.Context(), ok[0])
		return passed && err == nil
	})
	bad := started(t, h, failing)
	if passed, said, err := h.Healthcheck(t.Context(), bad[0]); passed || err != nil || said == "" {
		t.Errorf("it can't pass: %v, %q, %v", passed, said, err)
	}
	run(t, p, "kill", "failing")
	h.Wait(t.Context(), bad[0])
	if _, _, err := h.Exec(t.Context(), bad[0], []string{"/server"}); code(err) != "bad_state" {
		t.Errorf("it does not run: %v", err)
	}
}

func TestLogsFollowUntilTheEnd(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("talker", map[string]string{"LOG": "first words"}))
	h := booted(t, p, s)
	var last time.Time
	for range 2 { // the second run's log has nothing of the first's
		eventually(t, "as much time as between two attempts of a boot", func() bool { return time.Since(last) > 2*startLag })
		at := started(t, h, s)
		log, err := h.Logs(t.Context(), at[0], at[0].StartedAt)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Podman(t.Context(), "stop", "talker"); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(log)
		if err != nil || strings.Count(string(text), "first words\n") != 1 || !strings.Contains(string(text), " stop") {
			t.Errorf("%s, %v", text, err)
		}
		log.Close()
		last = time.Now()
	}
	log, err := h.ContainerLogs(t.Context(), mustFind(t, h, "talker").ID, LogOptions{Tail: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); strings.Count(string(text), "\n") != 1 || err != nil {
		t.Errorf("the last line is %q, %v", text, err)
	}
}

func mustFind(t *testing.T, h *Host, name string) *Found {
	t.Helper()
	f, err := h.container(t.Context(), name)
	if err != nil || f == nil {
		t.Fatal(f, err)
	}
	return f
}

func TestABusyPortIsNamedWithWhoHasIt(t *testing.T) {
	p := host.Shared(t)
	removed(t, p, "old-dns")
	w := server("dns", nil, published(8080))
	s := task(config.KindService, w)
	h := booted(t, p, s)
	port := fmt.Sprintf("127.0.0.1:%d", w.Ports[0].HostPort)

	run(t, p, "run", "--detach", "--name=old-dns", "--publish="+port+":8080", host.Image)
	_, err := h.Start(t.Context(), s)
	if code(err) != "port_busy" || err.Error() != "cannot start dns: port "+port+" is in use by container old-dns" {
		t.Errorf("a container has it: %v", err)
	}
	run(t, p, "rm", "--force", "--time=0", "old-dns")

	var listener net.Listener
	eventually(t, "the port is free", func() bool {
		listener, err = net.Listen("tcp", port)
		return err == nil
	})
	_, err = h.Start(t.Context(), s)
	self, _ := os.ReadFile("/proc/self/comm")
	want := fmt.Sprintf("cannot start dns: port %s is in use by process %s (pid %d)", port, strings.TrimSpace(string(self)), os.Getpid())
	if code(err) != "port_busy" || err.Error() != want {
		t.Errorf("this process has it: %v", err)
	}

	r := record(h)
	var once sync.Once
	r.hook = func(request string) {
		if strings.HasSuffix(request, "/start") {
			once.Do(func() { listener.Close() })
		}
	}
	if _, err := h.Start(t.Context(), s); err != nil {
		t.Errorf("it was free a moment later: %v", err)
	}
	if did := r.verbs(); !strings.HasPrefix(did, "start start") {
		t.Errorf("it did %q", did)
	}
}

func TestStartFinishesWhatItHasBegun(t *testing.T) {
	one, two := server("half-1", nil), server("half-2", nil)
	s := task(config.KindService, one, two)
	h := booted(t, host.Shared(t), s)
	r := record(h)
	ctx, cancel := context.WithCancel(t.Context())
	r.hook = func(string) { cancel() } // after the first create
	at, err := h.Start(ctx, s)
	if err != nil || len(at) != 2 || at[0].PID == 0 || at[1].PID == 0 {
		t.Errorf("%+v, %v", at, err)
	}
	r.verbs()
	if _, err := h.Start(ctx, s); err != context.Canceled || r.verbs() != "" {
		t.Errorf("it began though it was over: %v", err)
	}
}

func conmonOf(t *testing.T, p *host.Host, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(run(t, p, "container", "inspect", "--format={{.State.ConmonPid}}", name))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestWhatIsStuckIsReplaced(t *testing.T) {
	p := host.Shared(t)
	s := task(config.KindService, server("stuck", nil))
	h := booted(t, p, s)
	for state, do := range map[string]func(){
		"initialized": func() {
			conmon := conmonOf(t, p, "stuck")
			run(t, p, "kill", "stuck")
			// conmon has it cleaned up after that, which takes back an init
			eventually(t, "it was cleaned up", func() bool {
				return mustFind(t, h, "stuck").State == "exited" && (statOf(conmon) == nil || zombie(conmon))
			})
			run(t, p, "init", "stuck")
			// and conmon, which would have it cleaned up again, is dead
			if err := syscall.Kill(conmonOf(t, p, "stuck"), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(mustFind(t, h, "stuck").PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		},
		"stopping": func() { // conmon, which would tell of the exit, is dead
			if err := syscall.Kill(conmonOf(t, p, "stuck"), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			p.Podman(t.Context(), "stop", "--time=0", "stuck") // may well fail
		},
	} {
		t.Run(state, func(t *testing.T) {
			first := started(t, h, s)
			do()
			if f := mustFind(t, h, "stuck"); f.State != state {
				t.Fatalf("it is %s", f.State)
			}
			if second := started(t, h, s); second[0].ID == first[0].ID || second[0].PID == 0 {
				t.Errorf("%+v", second)
			}
		})
	}
}

func TestWhoSharesANetworkHasItsPorts(t *testing.T) {
	p := host.Shared(t)
	w := server("vpn", map[string]string{"TCP": ":8080"}, published(8080))
	inside := server("vpn-inside", nil, func(w *config.Container) { w.NetworkMode = "container:vpn" })
	bare := server("bare", nil, func(w *config.Container) { w.NetworkMode = "host" })
	outer, inner, free := task(config.KindService, w), task(config.KindService, inside), task(config.KindService, bare)
	h := booted(t, p, outer, inner, free)
	t.Cleanup(func() { run(t, p, "rm", "--force", "--ignore", "--time=0", "vpn-inside") }) // before vpn
	if _, err := h.Start(t.Context(), inner); code(err) != "not_found" {
		t.Errorf("there is no network yet: %v", err)
	}
	one, two := started(t, h, outer), started(t, h, inner)
	if fmt.Sprint(one[0].Ports, one[0].Addresses) != fmt.Sprint(two[0].Ports, two[0].Addresses) || len(two[0].Ports) == 0 || two[0].PID == one[0].PID {
		t.Errorf("%+v\n%+v", one, two)
	}
	if at := started(t, h, free); !at[0].HostNetwork || len(at[0].Ports) != 0 {
		t.Errorf("%+v", at)
	}
}

func TestNetworksAndVolumesAreCreatedOnceAndRemovedWhenUnused(t *testing.T) {
	p := host.Shared(t)
	w := server("wired", nil, func(w *config.Container) {
		w.Networks = []string{"bg-core"}
		w.Volumes = []config.Mount{{Source: "bg-vault", Destination: "/vault"}}
	})
	s := task(config.KindService, w)
	h := booted(t, p, s)
	run(t, p, "volume", "create", "bg-theirs")
	h.file.Networks = []config.Network{{Name: "bg-core"}}
	h.file.Volumes = []config.Volume{{Name: "bg-vault"}, {Name: "bg-theirs"}}
	t.Cleanup(func() {
		run(t, p, "rm", "--force", "--ignore", "--time=0", "wired")
		run(t, p, "network", "rm", "--force", "bg-core")
		run(t, p, "volume", "rm", "--force", "bg-vault", "bg-theirs")
	})
	r := record(h)
	for _, want := range []string{"create create", ""} {
		if err := h.EnsureNetworksVolumes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if did := r.verbs(); did != want {
			t.Errorf("it did %q, want %q", did, want)
		}
	}
	at := started(t, h, s)
	if len(at[0].Addresses) != 1 {
		t.Errorf("%+v", at)
	}
	exist := func() string {
		return fmt.Sprint(strings.Fields(run(t, p, "network", "ls", "--quiet", "--filter=name=bg-core")), strings.Fields(run(t, p, "volume", "ls", "--quiet", "--filter=name=bg-")))
	}
	for range 2 {
		if err := h.RemoveNetworks(t.Context()); err != nil {
			t.Error(err)
		}
		if err := h.RemoveVolumes(t.Context()); err != nil {
			t.Error(err)
		}
		if exist() == "[] [bg-theirs]" {
			return
		}
		if got := exist(); got != "[bg-core] [bg-theirs bg-vault]" {
			t.Errorf("what is used was removed: %s", got)
		}
		run(t, p, "rm", "--force", "--time=0", "wired")
	}
	t.Errorf("left are %s", exist())
}

func TestPreflightFindsEverythingAtOnce(t *testing.T) {
	p := host.Shared(t)
	removed(t, p, "taken")
	run(t, p, "create", "--name=taken", host.Image)
	w := server("flight", nil, func(w *config.Container) {
		w.Image = "localhost/nope:1"
		w.Networks = []string{"nope-net", "declared"}
		w.Secrets = []config.SecretMount{{Name: "nope-secret", Type: "env"}}
		w.Volumes = []config.Mount{{Source: "/nope", Destination: "/a"}, {Source: "/etc", Destination: "/b"}}
	})
	s, taken := task(config.KindService, w), task(config.KindService, server("taken-too", nil))
	taken.Service.Containers[0].Name = "taken"
	old := &config.Service{Name: "old", Existing: []string{"nope-old"}}
	h := booted(t, p, s)
	h.file.Networks = []config.Network{{Name: "declared"}}
	r := record(h)
	found, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, err := range h.Preflight(t.Context(), []*config.Service{s.Service, taken.Service, old}, found) {
		codes = append(codes, code(err))
		t.Log(err)
	}
	if want := []string{"image_missing", "network_missing", "secret_missing", "bind_missing", "name_in_use", "not_found"}; !slices.Equal(codes, want) {
		t.Errorf("it found %v, want %v", codes, want)
	}
	if r.verbs() != "" {
		t.Error("it changed something")
	}
}

func TestImagesAreMissingOrCannotBePulled(t *testing.T) {
	w := server("imageless", nil, func(w *config.Container) { w.Image = "localhost:1/nope:1" })
	s := task(config.KindService, w)
	h := booted(t, host.Shared(t), s)
	for pull, want := range map[config.Pull]string{config.PullNever: "image_missing", config.PullMissing: "pull_failed", config.PullAlways: "pull_failed"} {
		w.Pull = pull
		err := h.Prepare(t.Context(), s)
		if code(err) != want {
			t.Errorf("pull = %s: %v", pull, err)
		}
		t.Log(err)
	}
	if _, err := h.Start(t.Context(), s); code(err) != "image_missing" {
		t.Errorf("nobody has prepared it: %v", err)
	}
	w.Image = host.Image
	r := record(h)
	w.Pull = config.PullMissing
	if err := h.Prepare(t.Context(), s); err != nil || r.verbs() != "" {
		t.Errorf("it is there: %v, %s", err, r.verbs())
	}
}

func TestStartsThatCanNotWorkSayWhy(t *testing.T) {
	p := host.Shared(t)
	for want, change := range map[string]func(*config.Container){
		"no_command":      func(w *config.Container) { w.Entrypoint = []string{"/nope"} },
		"network_missing": func(w *config.Container) { w.Networks = []string{"nope-net"} },
		"secret_missing":  func(w *config.Container) { w.Secrets = []config.SecretMount{{Name: "nope-secret", Type: "mount"}} },
		"bind_missing":    func(w *config.Container) { w.Volumes = []config.Mount{{Source: "/nope", Destination: "/x"}} },
	} {
		t.Run(want, func(t *testing.T) {
			s := task(config.KindService, server("hopeless", nil, change))
			h := booted(t, p, s)
			_, err := h.Start(t.Context(), s)
			if code(err) != want {
				t.Errorf("%v", err)
			}
			t.Log(err)
		})
	}
}

func TestOrphansAreOursAndNotInTheFile(t *testing.T) {
	p := host.Shared(t)
	s, old := task(config.KindService, server("current", nil)), task(config.KindService, server("former", nil))
	h := booted(t, p, s, old)
	started(t, h, s)
	started(t, h, old)
	file := *h.file
	file.Stages = []*config.Stage{{Name: "core", Services: []*config.Service{s.Service}}}
	h = NewHost(h.Client, &file, nil)
	found, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	orphans := found.Orphans(&file)
	if len(orphans) != 1 || orphans[0].Name != "former" {
		t.Fatalf("%+v", orphans)
	}
	if err := h.Stop(t.Context(), &orphans[0]); err != nil {
		t.Error(err)
	}
	for range 2 { // one that is gone is no error
		if err := h.Remove(t.Context(), &orphans[0], false); err != nil {
			t.Error(err)
		}
	}
	if found, _ = h.Snapshot(t.Context()); found.Container("former") != nil || found.Container("current") == nil {
		t.Errorf("%+v", found)
	}
}

func TestNoSecondContainerIsStartedBesideOneThatWasRenamed(t *testing.T) {
	h := host.Shared(t)
	service := task(config.KindService, server("renamed", map[string]string{}))
	b := booted(t, h, service)
	at := started(t, b, service)
	removed(t, h, "renamed-away") // not there yet; at the end it is
	run(t, h, "rename", "renamed", "renamed-away")

	_, err := b.Start(t.Context(), service)
	if want := "container renamed has been renamed to renamed-away"; code(err) != "renamed" || !strings.Contains(err.Error(), want) {
		t.Errorf("a second start: %v", err)
	}
	found, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if problems := NewHost(b.Client, b.file, nil).Preflight(t.Context(), []*config.Service{service.Service}, found); len(problems) != 1 || code(problems[0]) != "renamed" {
		t.Errorf("before a boot: %v", problems)
	}

	run(t, h, "rename", "renamed-away", "renamed")
	if again := started(t, b, service); again[0].ID != at[0].ID {
		t.Error("renamed back, it is not taken as it is")
	}
	run(t, h, "rename", "renamed", "renamed-away")
	run(t, h, "stop", "--time=0", "renamed-away")
	if other := started(t, b, service); other[0].ID == at[0].ID {
		t.Error("one that was set aside was started")
	}
}
