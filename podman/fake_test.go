package podman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// What can't be made to happen with a real Podman at will: it hangs at a
// certain call, breaks off in the middle, or talks nonsense.

// pipes is a listener in memory, which virtual time can stand still for.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// fake is a client of a Podman that answers as the handler says.
func fake(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	p := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: handler}
	go server.Serve(p)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case p.conns <- theirs:
			return ours, nil
		case <-p.done:
			return nil, syscall.ECONNREFUSED
		}
	}}
	c := &Client{http: &http.Client{Transport: transport}, calls: make(chan struct{}, callsMost), uri: "unix:///fake"}
	t.Cleanup(func() {
		server.Close()
		c.Close()
	})
	return c
}

// fakeHost has one service, web.
func fakeHost(t *testing.T, handler http.HandlerFunc) (*Host, *scheduler.Task) {
	s := task(config.KindService, server("web", nil))
	file := &config.File{Name: "shop", Stages: []*config.Stage{{Name: "core", Services: []*config.Service{s.Service}}}}
	return NewHost(fake(t, handler), file, nil), s
}

const webID = "4d4a000000000000000000000000000000000000000000000000000000000000"

// inspection is the answer to an inspect of web, ours and as described.
func inspection(state string, pid int) string {
	l := labels("shop", "core", "web", server("web", nil))
	return fmt.Sprintf(`{"Id":%q,"Name":"web","State":{"Status":%q,"Pid":%d},"Config":{"Labels":%s}}`, webID, state, pid, asJSON(l))
}

// hang answers nothing until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestEveryCallEndsWithinItsBoundWhenPodmanHangs(t *testing.T) {
	in := scheduler.Instance{Container: "web", ID: webID}
	ours := &Found{Name: "web", ID: webID, Labels: labels("shop", "core", "web", server("web", nil))}
	for name, test := range map[string]struct {
		bound time.Duration
		do    func(context.Context, *Host, *scheduler.Task) error
	}{
		"list":    {10 * time.Second, func(ctx context.Context, h *Host, _ *scheduler.Task) error { _, err := h.Snapshot(ctx); return err }},
		"inspect": {10 * time.Second, func(ctx context.Context, h *Host, _ *scheduler.Task) error { _, err := h.Look(ctx, in); return err }},
		"create": {30 * time.Second, func(ctx context.Context, h *Host, s *scheduler.Task) error {
			_, err := h.create(ctx, s.Service, s.Service.Containers[0])
			return err
		}},
		"start": {60 * time.Second, func(ctx context.Context, h *Host, _ *scheduler.Task) error { return h.start(ctx, webID, "web", nil) }},
		"stop":  {20 * time.Second, func(ctx context.Context, h *Host, _ *scheduler.Task) error { return h.Stop(ctx, ours) }},
		"pull":  {30 * time.Minute, func(ctx context.Context, h *Host, _ *scheduler.Task) error { return h.pull(ctx, "localhost/web:1") }},
		"hello": {10 * time.Second, func(ctx context.Context, h *Host, _ *scheduler.Task) error { return h.hello(ctx) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, s := fakeHost(t, hang)
				began := time.Now()
				err := test.do(t.Context(), h, s)
				if took := time.Since(began); code(err) != "podman_unresponsive" || took != test.bound {
					t.Errorf("after %s: %v", took, err)
				}
			})
		})
	}
}

func TestStartOfAHangingPodmanEndsSoonAfterAnInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := fakeHost(t, hang)
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(3*time.Second, cancel)
		_, err := h.Start(ctx, s)
		// The inspect has its own bound of 10 s; the grace ends at 13.
		if took := time.Since(began); took > 13*time.Second || err == nil {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestGraceEndsTenSecondsAfterItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		ctx, end := grace(parent)
		defer end()
		began := time.Now()
		cancel()
		<-ctx.Done()
		if took := time.Since(began); took != graceTime {
			t.Errorf("it ended after %s", took)
		}
	})
}

func TestTheCallersDeadlineIsNotPodmansFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := fakeHost(t, hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Look(ctx, scheduler.Instance{ID: webID}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A command that was never begun is not a command that takes too long.
func TestACommandThatPodmanDoesNotBeginIsPodmansFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := fakeHost(t, hang)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, _, err := h.Exec(ctx, scheduler.Instance{Container: "web", ID: webID}, []string{"true"}); code(err) != "podman_unresponsive" {
			t.Error(err)
		}
	})
}

func TestNonsenseIsAnErrorAndNeverAnAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		code   string
	}{
		"no JSON":         {func(w http.ResponseWriter) { io.WriteString(w, "<html>") }, "podman_error"},
		"another type":    {func(w http.ResponseWriter) { io.WriteString(w, `{"a":1}`) }, "podman_error"},
		"nothing":         {func(http.ResponseWriter) {}, "podman_error"},
		"cut":             {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "999"); io.WriteString(w, `[{"Id":"`) }, "podman_unreachable"},
		"hung up":         {func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, "podman_unreachable"},
		"500 and no JSON": {func(w http.ResponseWriter) { w.WriteHeader(500); io.WriteString(w, "\x1b[31mpanic\u202e") }, "podman_error"},
		"no space": {func(w http.ResponseWriter) {
			w.WriteHeader(500)
			io.WriteString(w, `{"cause":"no space left on device","message":"write /x: no space left on device","response":500}`)
		}, "no_space"},
		"too much": {func(w http.ResponseWriter) {
			for range answerLimit/(1<<20) + 1 {
				io.WriteString(w, strings.Repeat(" ", 1<<20))
			}
		}, "podman_error"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fake(t, func(w http.ResponseWriter, _ *http.Request) { test.answer(w) })
			found, err := c.list(t.Context(), false)
			if code(err) != test.code || found != nil {
				t.Errorf("%v, %v", found, err)
			}
			if strings.ContainsAny(fmt.Sprint(err), "\x1b\u202e") {
				t.Errorf("%q can steer a terminal", err)
			}
		})
	}
}

func TestNothingThatChangesIsSentTwice(t *testing.T) {
	var posts atomic.Int32
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && posts.Add(1) > 0 {
			panic(http.ErrAbortHandler)
		}
	})
	c.do(t.Context(), call{path: "/containers/json"}, nil) // so that there is a connection to use again
	if err := c.do(t.Context(), call{what: "start web", method: "POST", path: "/containers/web/start"}, nil); code(err) != "podman_unreachable" || posts.Load() != 1 {
		t.Errorf("sent %d times: %v", posts.Load(), err)
	}
}

func TestALostAnswerIsLookedUp(t *testing.T) {
	var running atomic.Bool
	h, s := fakeHost(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/start"): // done, but its answer is lost
			running.Store(true)
			panic(http.ErrAbortHandler)
		case running.Load():
			io.WriteString(w, inspection("running", 0))
		default:
			io.WriteString(w, inspection("exited", 0))
		}
	})
	if at, err := h.Start(t.Context(), s); err != nil || len(at) != 1 || at[0].ID != webID {
		t.Errorf("%+v, %v", at, err)
	}
}

func TestAPodmanThatSaysYesAndStartsNothingIsNotBelieved(t *testing.T) {
	h, s := fakeHost(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			io.WriteString(w, inspection("exited", 0))
		case strings.HasSuffix(r.URL.Path, "/create"):
			io.WriteString(w, `{"Id":"`+webID+`"}`)
		}
	})
	if _, err := h.Start(t.Context(), s); code(err) != "bad_state" {
		t.Error(err)
	}
}

// After a restart of the host with /run kept, Podman takes what ran for
// running (FAULTS, finding 7).
func TestARunningContainerWithoutAProcessIsReplaced(t *testing.T) {
	var created atomic.Bool
	h, s := fakeHost(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && created.Load():
			io.WriteString(w, strings.Replace(inspection("running", os.Getpid()), "4d4a", "5e5e", 1))
		case r.Method == http.MethodGet:
			io.WriteString(w, inspection("running", 1<<22+1)) // above what the kernel gives
		case strings.HasSuffix(r.URL.Path, "/create"):
			created.Store(true)
			io.WriteString(w, `{"Id":"`+strings.Replace(webID, "4d4a", "5e5e", 1)+`"}`)
		}
	})
	h.local = true
	r := record(h)
	if _, err := h.Start(t.Context(), s); err != nil || r.verbs() != "delete create start" {
		t.Errorf("%v, %v", err, r.changes)
	}
}

func TestAListThatFailsIsReplacedByLooksAtOurOwn(t *testing.T) {
	h, s := fakeHost(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/containers/json") {
			w.WriteHeader(500)
			io.WriteString(w, `{"cause":"unknown FS magic on \"/run/netns/x\": 1021994","message":"...","response":500}`)
			return
		}
		io.WriteString(w, inspection("running", 0))
	})
	found, err := h.Snapshot(t.Context())
	if err != nil || len(found) != 1 || found.Container("web") == nil {
		t.Errorf("%+v, %v", found, err)
	}
	elsewhere := scheduler.Ready{Task: s, At: []scheduler.Instance{{Container: "web", ID: webID}}} // its process is not known here
	if _, err := h.Fallen(t.Context(), []scheduler.Ready{elsewhere}); code(err) != "podman_error" {
		t.Errorf("Fallen could not look: %v", err)
	}
}

func TestWaitOutlivesAPodmanThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		h, _ := fakeHost(t, func(w http.ResponseWriter, r *http.Request) {
			switch n := calls.Add(1); {
			case n < 5:
				panic(http.ErrAbortHandler)
			case n == 5:
				io.WriteString(w, inspection("running", 0))
			case strings.HasSuffix(r.URL.Path, "/wait"):
				io.WriteString(w, "0")
			case strings.HasSuffix(r.URL.Path, "/logs"):
			default:
				io.WriteString(w, inspection("exited", 0))
			}
		})
		n, why, err := h.Wait(t.Context(), scheduler.Instance{Container: "web", ID: webID})
		if n != 0 || why.Code != "exited" || err != nil {
			t.Errorf("%d, %+v, %v", n, why, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		calls.Store(-1 << 20)
		if _, _, err := h.Wait(ctx, scheduler.Instance{Container: "web", ID: webID}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestTheEndOfALogIsHarmlessAndShort(t *testing.T) {
	for name, test := range map[string]struct{ log, want string }{
		"nothing":          {"", ""},
		"only line breaks": {"\n\n", ""},
		"lines":            {"a\nb\tc\n", "  a\n  b c"},
		"escapes":          {"\x1b]0;x\x07\x1b[31mred\u202e\u0085\r\xff", "  ]0;x[31mred\uFFFD"},
		"many lines":       {strings.Repeat("a\n", 100), strings.TrimSuffix(strings.Repeat("  a\n", tailLines), "\n")},
		"a long line":      {strings.Repeat("x", 1<<20), "  …" + strings.Repeat("x", outputMost-1)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tail([]byte(test.log)); got != test.want {
				t.Errorf("%d bytes: %.200q, want %d bytes: %.200q", len(got), got, len(test.want), test.want)
			}
		})
	}
}

// serving is a fake Podman on a real socket.
func serving(t *testing.T, handler http.HandlerFunc) (uri string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	s.Start()
	t.Cleanup(s.Close)
	return "unix://" + path
}

func TestConnectTellsWhatAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		header map[string]string
		want   string
	}{
		"docker":     {map[string]string{"Api-Version": "1.41"}, "is docker, not podman"},
		"nginx":      {map[string]string{"Server": "nginx"}, "is not podman"},
		"old podman": {map[string]string{"Libpod-Api-Version": "3.4.4", "Api-Version": "1.40"}, "speaks API 3.4.4; 4.0 or newer is needed"},
		"podman 6":   {map[string]string{"Libpod-Api-Version": "6.0.2", "Server": "Libpod/6.0.2 (linux)"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Connect(t.Context(), serving(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range test.header {
					w.Header().Set(k, v)
				}
			}))
			switch {
			case test.want == "" && (err != nil || c.Version() != "6.0.2"):
				t.Error(c, err)
			case test.want == "":
				c.Close()
			case code(err) != "podman_version" || !strings.Contains(err.Error(), test.want):
				t.Error(err)
			}
		})
	}
}

// Podman writes down the start when the runtime has returned, and the program
// has printed something by then: the end of its log begins before.
func TestTheEndOfALogIsReadFromBeforeTheStart(t *testing.T) {
	began := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	since := make(chan string, 1)
	h, _ := fakeHost(t, func(w http.ResponseWriter, r *http.Request) { since <- r.URL.Query().Get("since") })
	h.withLog(t.Context(), scheduler.Instance{ID: webID, StartedAt: began}, scheduler.Cause{Code: "exited"})
	if from, err := time.Parse(time.RFC3339Nano, <-since); err != nil || began.Sub(from) != startLag {
		t.Errorf("it is read from %v (%v) of a start at %v", from, err, began)
	}
}

// Podman 4.3.1, when a process ends while it reads of it.
func TestAContainerThatEndsWhileItIsLookedAtIsLookedAtAgain(t *testing.T) {
	var calls atomic.Int32
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			http.Error(w, `{"cause":"no such process","message":"read /proc/28353/cgroup: no such process","response":500}`, 500)
			return
		}
		io.WriteString(w, `{"Id":"`+webID+`","Name":"web","State":{"Status":"exited","ExitCode":143}}`)
	})
	f, err := c.inspect(t.Context(), webID, "web")
	if err != nil || f.State != "exited" || f.ExitCode != 143 {
		t.Errorf("%+v, %v", f, err)
	}
}
