package podman

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// FuzzAnswers: whatever Podman answers, each call ends with a value or an
// error, and what came from it is decided about without a panic; nothing that
// is not ours by its labels is to be started, replaced or removed.
func FuzzAnswers(f *testing.F) {
	for _, text := range []string{
		inspection("running", 4711), "[" + inspection("exited", 0) + "]", "{}", "[]", "null", `{"Id":1}`, `[{"Id":"","Names":null,"Labels":{"bootgraph.name":"shop"}}]`,
		`[{"Id":"x","Names":["web"],"State":"running","Labels":{"bootgraph.name":"shop","bootgraph.service":"web","bootgraph.spec":"{"},"Ports":[{"host_port":-1}]}]`,
		`{"cause":"no such container","message":"no container with name or ID","response":404}`, "\x01\x00\x00\x00\x00\x00\x00\x05hello", strings.Repeat("[", 10_000),
	} {
		f.Add(200, []byte(text))
		f.Add(404, []byte(text))
		f.Add(500, []byte(text))
	}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		if status < 200 || status > 599 {
			return
		}
		var changed []string
		h, s := fakeHost(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "DELETE" || r.Method == "POST" && !strings.HasSuffix(r.URL.Path, "/wait") {
				changed = append(changed, r.Method+" "+r.URL.Path)
			}
			w.WriteHeader(status)
			w.Write(text)
		})
		w := s.Service.Containers[0]
		for _, found := range []func() *Found{
			func() *Found { f, _ := h.inspect(t.Context(), webID, "web"); return f },
			func() *Found { f, _ := h.container(t.Context(), "web"); return f },
			func() *Found { all, _ := h.Snapshot(t.Context()); return all.Container("web") },
		} {
			d := Decide("shop", w, config.KindService, found(), false)
			if c := found(); c != nil && c.Labels[LabelName] != "shop" && d.Conflict == nil {
				t.Errorf("%s of what is not ours: %+v", d.Action, c)
			}
		}
		_, _ = h.Look(t.Context(), scheduler.Instance{Container: "web", ID: webID, StartedAt: time.Now()})
		_, _ = h.secret(t.Context(), "s")
		_, _ = h.ImageID(t.Context(), "x")
		_, _, _ = h.Exec(t.Context(), scheduler.Instance{Container: "web", ID: webID}, []string{"x"})
		for _, call := range changed {
			if !strings.Contains(call, "/exec") {
				t.Errorf("to look changed something: %s", call)
			}
		}
	})
}
