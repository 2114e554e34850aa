package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"

	"bootgraph/testdata/host"
)

// shownPage is the page of an agent at a unix socket.
type shownPage struct {
	t      *testing.T
	client http.Client
}

func showAt(t *testing.T, path string) *shownPage {
	return &shownPage{t, http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}}
}

func (s *shownPage) get(path string) string {
	s.t.Helper()
	r, err := s.client.Get("http://localhost" + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s, %v: %s", path, r.Status, err, text)
	}
	return string(text)
}

// services are those of the page by name.
func (s *shownPage) services() map[string]map[string]any {
	s.t.Helper()
	var d struct{ Services []map[string]any }
	if err := json.Unmarshal([]byte(s.get("/state")), &d); err != nil {
		s.t.Fatal(err)
	}
	list := map[string]map[string]any{}
	for _, v := range d.Services {
		list[v["name"].(string)] = v
	}
	return list
}

func TestPageIsThereFromTheFirstMomentUntilTheEnd(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("shown", "3s"))
	dir := t.TempDir()
	path := filepath.Join(dir, "p.sock")
	s := b.agent("--http", "unix:"+path)
	s.until("STATUS=shown: booting stage foundation: 2 pending, 1 probing; shown-db: tcp 5432: connection refused")
	if _, err := os.Lstat(s.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gRPC is served during the boot: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket of the page is %v, %v", info, err)
	}
	p := showAt(t, path)
	now := p.services()
	if db := now["shown-db"]; db["state"] != "probing" || !strings.HasPrefix(fmt.Sprint(db["cause"]), "tcp 5432: connection refused") {
		t.Errorf("during the boot it shows %v", db)
	}
	if web := now["shown-web"]; web["state"] != "pending" || fmt.Sprint(web["needs"]) == "[]" {
		t.Errorf("during the boot it shows %v", web)
	}
	for _, want := range []string{`"booting": true`, `"relation": "depends_on"`, `"relation": "stage"`, "tcp 5432: connection refused"} {
		if why := p.get("/why?service=shown-web"); !strings.Contains(why, want) {
			t.Errorf("during the boot why does not say %s:\n%s", want, why)
		}
	}
	if svg := p.get("/graph.svg"); strings.Count(svg, "<g data-name=") != 3 || strings.Contains(svg, "<style") {
		t.Errorf("the graph is\n%s", svg)
	}
	if text := p.get("/metrics"); !strings.Contains(text, "\nbootgraph_booting 1\n") {
		t.Errorf("during the boot the metrics are\n%s", text)
	}

	s.until("READY=1")
	if db := p.services()["shown-db"]; db["state"] != "healthy" || len(db["spans"].([]any)) < 3 {
		t.Errorf("after the boot it shows %v", db)
	}
	for _, want := range []string{"bootgraph_booting 0\n", "bootgraph_boots_total{outcome=\"ready\"} 1\n", "bootgraph_boot_duration_seconds ", `bootgraph_service_restarts_total{stage="foundation",service="shown-db"} 0` + "\n"} {
		if text := p.get("/metrics"); !strings.Contains(text, "\n"+want) {
			t.Errorf("after the boot there is no %q in the metrics\n%s", want, text)
		}
	}
	if text := p.get("/metrics"); strings.Contains(text, `bootgraph_probe_duration_seconds_count{stage="foundation",service="shown-db"} 0`) || !strings.Contains(text, "bootgraph_probe_duration_seconds_sum") {
		t.Errorf("after the boot no probe of shown-db was counted\n%s", text)
	}
	if code, said := s.end(syscall.SIGTERM); code != 0 || !strings.Contains(said, "shows the boot at unix:"+path) {
		t.Errorf("it exits with %d: %s", code, said)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of the page is still there: %v", err)
	}
}

func TestPageShowsWhatIsPutBack(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("again", "0s"))
	path := filepath.Join(t.TempDir(), "p.sock")
	s := b.agent("--progress", "quiet", "--http", "unix:"+path)
	s.until("READY=1")
	becomes := s.becomes("again-db")
	becomes(grpc_health_v1.HealthCheckResponse_SERVING)
	if _, err := b.host.Podman(t.Context(), "rm", "--force", "again-db"); err != nil {
		t.Fatal(err)
	}
	becomes(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	becomes(grpc_health_v1.HealthCheckResponse_SERVING)
	p := showAt(t, path)
	if db := p.services()["again-db"]; db["state"] != "healthy" || db["restarts"] == 0.0 {
		t.Errorf("it shows %v", db)
	}
	if code, out, said := s.ask("apply", "--progress", "quiet", "--target", "again-api"); code != 0 {
		t.Fatalf("apply exits with %d: %s%s", code, out, said)
	}
	if now := p.services(); now["again-web"]["state"] != "healthy" || fmt.Sprint(now["again-web"]["spans"]) != "[]" || fmt.Sprint(now["again-api"]["spans"]) == "[]" {
		t.Errorf("after another boot, of all but again-web, it shows %v", now)
	}
}

// TestPageIsForThisMachineAlone, and that is told before anything is begun.
func TestPageIsForThisMachineAlone(t *testing.T) {
	b := newBench(t, host.Shared(t), slowly("secret", "0s"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, want := range map[string]string{
		"0.0.0.0:8080":        "--http: cannot listen on 0.0.0.0:8080: everybody who reaches the machine could read it: take 127.0.0.1:8080, or unix:PATH",
		"[::]:8080":           "everybody who reaches the machine could read it",
		"192.0.2.1:8080":      "everybody who reaches the machine could read it",
		":8080":               "it is neither 127.0.0.1:PORT nor unix:PATH",
		"localhost:8080":      "it is neither 127.0.0.1:PORT nor unix:PATH",
		"127.0.0.1":           "it is neither 127.0.0.1:PORT nor unix:PATH",
		"unix:/nowhere/p":     "/nowhere",
		"unix:/etc/passwd":    "there is something else of that name",
		taken.Addr().String(): "address already in use",
	} {
		code, _, said := b.run("agent", "--http", address, "--listen", "unix:"+filepath.Join(t.TempDir(), "a.sock"))
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("--http %s exits with %d: %s", address, code, said)
		}
	}
	if there := b.containers("secret"); there != "" {
		t.Errorf("there are containers:\n%s", there)
	}
}
