package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"bootgraph/testdata/host"
)

// A lab is a private Podman, and what measures on it.
type lab struct {
	*host.Host
	http    *http.Client
	root    string // of the module
	dir     string // for files of the tools
	bin     string // first in PATH: podman is the private one
	service string // /proc/PID of the Podman service
}

func newLab() (*lab, error) {
	h, err := host.Start(host.Options{})
	if err != nil {
		return nil, err
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	l := &lab{Host: h, root: root, dir: filepath.Join(h.Dir, "bench"), bin: filepath.Join(h.Dir, "bench/bin")}
	socket := strings.TrimPrefix(h.URI(), "unix://")
	l.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	if err := l.prepare(socket); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return l, nil
}

func (l *lab) prepare(socket string) error {
	if err := os.MkdirAll(l.bin, 0o755); err != nil {
		return err
	}
	podman, err := exec.LookPath("podman")
	if err != nil {
		return err
	}
	private := append([]string{podman}, l.PodmanArgs()[1:]...) // not by its name, which would be this script's
	script := fmt.Sprintf("#!/bin/sh\nunset CONTAINER_HOST # it is not a remote one\nexec %s \"$@\"\n", strings.Join(private, " "))
	if err := os.WriteFile(filepath.Join(l.bin, "podman"), []byte(script), 0o755); err != nil {
		return err
	}
	// Where Docker and Podman would look for credentials.
	if err := os.WriteFile(filepath.Join(l.dir, "config.json"), []byte("{}"), 0o644); err != nil {
		return err
	}
	pid, err := listener(socket)
	if err != nil {
		return err
	}
	l.service = fmt.Sprintf("/proc/%d", pid)
	return l.BuildImages()
}

// command is one with nothing of our environment but what leads to the private
// Podman, by either road.
func (l *lab) command(ctx context.Context, argv ...string) *exec.Cmd {
	if own := filepath.Join(l.bin, argv[0]); !filepath.IsAbs(argv[0]) {
		if _, err := os.Stat(own); err == nil { // exec looks in our PATH
			argv = append([]string{own}, argv[1:]...)
		}
	}
	cmd := l.Command(ctx, argv...)
	path := "PATH=" + l.bin + ":" + os.Getenv("PATH")
	cmd.Env = append(cmd.Env, path, "CONTAINER_HOST="+l.URI(), "DOCKER_HOST="+l.URI(), "XDG_STATE_HOME="+filepath.Join(l.dir, "state"), "DOCKER_CONFIG="+l.dir)
	return cmd
}

// api makes a call to Podman, and decodes its answer unless into is nil.
func (l *lab) api(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://podman/v4.0.0/libpod"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	if b, ok := into.(*[]byte); ok {
		*b = answer
		return nil
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// clean removes every container and pod, by whomever.
func (l *lab) clean(ctx context.Context) error {
	for _, args := range [][]string{{"pod", "rm", "--all", "--force", "--time=0"}, {"rm", "--all", "--force", "--time=0"}, {"volume", "prune", "--force"}, {"network", "prune", "--force"}} {
		if _, err := l.Podman(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// forget removes what bootgraph remembers.
func (l *lab) forget() error { return os.RemoveAll(filepath.Join(l.dir, "state")) }

// stopAll ends the containers and leaves them there, as a power cut does.
func (l *lab) stopAll(ctx context.Context) error {
	_, err := l.Podman(ctx, "stop", "--all", "--time=0")
	return err
}

// await waits until every published port accepts: of a rootful Podman that is
// the truth, and costs nobody anything.
func (w workload) await(ctx context.Context) error {
	for _, s := range w.services {
		for {
			conn, err := net.DialTimeout("tcp", s.address(), time.Second)
			if err == nil {
				conn.Close()
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s was not ready in time", s.name)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

func (s service) address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// stamps reads what the servers have said of their last run. They listen a
// moment before it is in their log.
func (l *lab) stamps(ctx context.Context, w workload, container func(service) string) (s stamps, err error) {
	for range 50 {
		if s, err = l.readStamps(ctx, w, container); err != nil || !s.ready().IsZero() {
			return s, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return s, errors.New("not all servers have said that they listen")
}

func (l *lab) readStamps(ctx context.Context, w workload, container func(service) string) (stamps, error) {
	s := stamps{make([]time.Time, len(w.services)), make([]time.Time, len(w.services))}
	var all errgroup.Group
	all.SetLimit(4)
	for i, v := range w.services {
		all.Go(func() error {
			var log []byte
			err := l.api(ctx, "GET", "/containers/"+container(v)+"/logs?stdout=true", nil, &log)
			s.began[i], s.listening[i] = lastRun(log)
			return err
		})
	}
	return s, all.Wait()
}

// lastRun finds the stamps of package server in a log, each piece of which has
// a header of eight bytes.
func lastRun(log []byte) (began, listening time.Time) {
	for len(log) >= 8 {
		n := int(log[4])<<24 | int(log[5])<<16 | int(log[6])<<8 | int(log[7])
		n = min(n, len(log)-8)
		for line := range strings.Lines(string(log[8 : 8+n])) {
			word := strings.Fields(line)
			if len(word) < 2 {
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, word[0])
			switch {
			case err != nil:
			case word[1] == "start":
				began, listening = at, time.Time{}
			case word[1] == "listening":
				listening = at
			}
		}
		log = log[8+n:]
	}
	return began, listening
}

// list is what one list of all containers takes.
func (l *lab) list(ctx context.Context) (time.Duration, error) {
	var took []time.Duration
	for range 5 {
		began := time.Now()
		if err := l.api(ctx, "GET", "/containers/json?all=true", nil, nil); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	return median(took), nil
}

// ids are the containers by the service that they are of, and when each was
// started, to tell whether something was touched.
func (l *lab) ids(ctx context.Context) (map[string]string, error) {
	var list []struct {
		ID        string
		StartedAt int64
	}
	err := l.api(ctx, "GET", "/containers/json?all=true", nil, &list)
	found := map[string]string{}
	for _, c := range list {
		found[c.ID] = strconv.FormatInt(c.StartedAt, 10)
	}
	return found, err
}
