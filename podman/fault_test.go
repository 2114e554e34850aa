package podman

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bootgraph/config"
	"bootgraph/testdata/host"
)

// lossy loses the answer to one request: it is never sent, or carried out and
// not told of, or told of in part.
type lossy struct {
	http.RoundTripper
	method, path string // of the request, the end of its path
	how          string
	lost         int
}

var errLost = errors.New("connection reset by peer")

func (l *lossy) RoundTrip(req *http.Request) (*http.Response, error) {
	if l.lost > 0 || req.Method != l.method || !strings.HasSuffix(req.URL.Path, l.path) {
		return l.RoundTripper.RoundTrip(req)
	}
	l.lost++
	if l.how == "not sent" {
		return nil, errLost
	}
	resp, err := l.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if l.how == "not answered" || err != nil {
		return nil, errLost
	}
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(string(text[:len(text)/2])), broken{}))
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Whatever becomes of a request and its answer, the start comes out whole: one
// container, as described, that runs.
func TestALostRequestOrAnswerChangesNothingInTheEnd(t *testing.T) {
	p := host.Shared(t)
	for _, request := range []struct{ verb, method, path string }{
		{"look", "GET", "/json"}, {"remove", "DELETE", ""}, {"create", "POST", "/create"}, {"start", "POST", "/start"},
	} {
		for _, how := range []string{"not sent", "not answered", "answered in part"} {
			t.Run(request.verb+" "+how, func(t *testing.T) {
				s := task(config.KindService, server("lost", map[string]string{"LOG": "old"}))
				h := booted(t, p, s)
				started(t, h, s)
				s.Service.Containers[0].Env["LOG"] = "new" // so that all of the requests are made
				l := &lossy{RoundTripper: h.http.Transport, method: request.method, path: request.path, how: how}
				h.http = &http.Client{Transport: l}
				at, err := h.Start(t.Context(), s)
				h.http = &http.Client{Transport: l.RoundTripper}
				if err != nil || l.lost != 1 {
					t.Fatalf("%d lost: %v", l.lost, err)
				}
				if f := mustFind(t, h, "lost"); f.ID != at[0].ID || !f.Running() {
					t.Errorf("%+v is not %+v", f, at)
				}
				if d := h.Decide(s.Service, Snapshot{*mustFind(t, h, "lost")})[0]; d.Action != Keep {
					t.Errorf("there is something left to do: %+v", d)
				}
				if all := run(t, p, "ps", "--all", "--external", "--quiet", "--filter=name=lost"); strings.Count(all, "\n") != 0 {
					t.Errorf("there are %s", all)
				}
			})
		}
	}
}

// onSmallDisk gives a Podman a storage of its own of a few megabytes more than
// it needs. fill takes these.
func onSmallDisk(t *testing.T) (p *host.Host, fill, free func()) {
	t.Helper()
	p = mortal(t)
	root := filepath.Join(p.Dir, "root")
	p.Kill()
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=256m"); err != nil { // the reaper unmounts it
		t.Fatal(err)
	}
	restarted(t, p)
	if err := p.BuildImages(); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(root, "ballast")
	return p, func() {
			f, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			for size := 1 << 20; size > 0; {
				if _, err = f.Write(make([]byte, size)); err != nil {
					size /= 2
				}
			}
			f.Close()
		}, func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		}
}

// A storage that is full keeps containers from being created, started and
// stopped. That is said by name; what could not be done is not taken for done,
// and when there is room again it is.
func TestAFullStorage(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // a file system of its own is for root to mount
	}
	p, fill, free := onSmallDisk(t)
	s, w := task(config.KindService, server("full", nil)), task(config.KindService, server("full-too", nil))
	h := booted(t, p, s, w)
	first := started(t, h, s)

	fill()
	if _, err := h.Start(t.Context(), w); code(err) != "no_space" || !strings.Contains(err.Error(), "podman system df") {
		t.Errorf("create: %v", err)
	}
	fill() // what has failed has given something back
	if err := h.Stop(t.Context(), mustFind(t, h, "full")); code(err) != "no_space" && (err != nil || mustFind(t, h, "full").Running()) {
		t.Errorf("stop: %v, and it is %s", err, mustFind(t, h, "full").State)
	}
	fill()
	s.Service.Containers[0].Hostname = "elsewhere"                                // is to be replaced
	if _, err := h.Start(t.Context(), s); err != nil && code(err) != "no_space" { // what is removed may give enough back
		t.Errorf("replace: %v", err)
	}
	free()
	for _, again := range []func() error{
		func() error { _, err := h.Start(t.Context(), w); return err },
		func() error { _, err := h.Start(t.Context(), s); return err },
	} {
		if err := again(); err != nil {
			t.Errorf("there is room again: %v", err)
		}
	}
	if f := mustFind(t, h, "full"); f.ID == first[0].ID || !f.Running() {
		t.Errorf("%+v", f)
	}
}

// Podman answers pings, and nothing else, when its storage is locked: as when a
// layer can't be deleted (FAULTS, finding 6).
func TestALockedStorage(t *testing.T) {
	t.Parallel()
	p := mortal(t)
	s := task(config.KindService, server("locked", nil))
	h := booted(t, p, s)
	started(t, h, s)
	database, err := os.OpenFile(filepath.Join(p.Dir, "root", "libpod", "bolt_state.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(database.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := h.hello(t.Context()); err != nil {
		t.Errorf("it does not answer a ping: %v", err)
	}
	_, err = h.Snapshot(t.Context())
	database.Close()
	if code(err) != "podman_unresponsive" || !strings.Contains(err.Error(), "its storage is locked") {
		t.Errorf("it says %v", err)
	}
	if _, err := h.Start(t.Context(), s); err != nil {
		t.Errorf("it is free again: %v", err)
	}
}

// What a Podman knows is gone, and its containers run on: conmon has their
// ports, and no list has their names.
func TestALeftConmonIsNamed(t *testing.T) {
	t.Parallel()
	p := mortal(t)
	w := server("dns", nil, published(8080))
	h := booted(t, p, task(config.KindService, w))
	database := filepath.Join(p.Dir, "root", "libpod", "bolt_state.db")
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p, "run", "--detach", "--name=left", fmt.Sprintf("--publish=127.0.0.1:%d:8080", w.Ports[0].HostPort), host.Image)
	p.Kill()
	if err := os.WriteFile(database, before, 0o600); err != nil {
		t.Fatal(err)
	}
	restarted(t, p)
	_, err = h.Start(t.Context(), task(config.KindService, w))
	if code(err) != "port_busy" || !strings.Contains(err.Error(), "is in use by process conmon of container left (pid ") {
		t.Error(err)
	}
}

// One container that Podman can't look at makes it refuse the list of all: the
// network of this one is not where it was, as after a restart of the host with
// /run kept.
func TestOneBrokenContainerDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // rootless, these mounts are in a namespace of Podman's own
	}
	p := mortal(t)
	sound, sick := task(config.KindService, server("sound", nil)), task(config.KindService, server("sick", nil))
	h := booted(t, p, sound, sick)
	started(t, h, sound)
	started(t, h, sick)
	if err := syscall.Unmount(run(t, p, "container", "inspect", "--format={{.NetworkSettings.SandboxKey}}", "sick"), syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if _, err := h.list(t.Context(), false); err == nil {
		t.Log("this Podman lists it all the same")
	}
	found, err := h.Snapshot(t.Context())
	if err != nil || found.Container("sound") == nil || !found.Container("sound").Running() {
		t.Errorf("%+v, %v", found, err)
	}
	t.Log(found.Container("sick"))
	for range 2 { // what was broken is replaced
		if _, err := h.Start(t.Context(), sick); err != nil {
			t.Error(err)
		}
	}
}

// A database of Podman's that is garbage keeps its service from starting; one
// that is empty makes it forget everything. Neither is taken for an empty host.
func TestADamagedDatabaseOfPodmans(t *testing.T) {
	t.Parallel()
	p := mortal(t)
	s := task(config.KindService, server("forgotten", nil))
	h := booted(t, p, s)
	started(t, h, s)
	database := filepath.Join(p.Dir, "root", "libpod", "bolt_state.db")
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if err := os.WriteFile(database, []byte(strings.Repeat("garbage ", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(); err == nil {
		t.Error("podman starts with garbage")
	}
	if _, err := h.Snapshot(t.Context()); code(err) != "podman_unreachable" {
		t.Errorf("garbage: %v", err)
	}
	if err := os.WriteFile(database, before, 0o600); err != nil {
		t.Fatal(err)
	}
	restarted(t, p)
	if _, err := h.Start(t.Context(), s); err != nil {
		t.Errorf("whole again: %v", err)
	}
}
