package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// traffic counts the calls of Podman.
type traffic struct{ cold, noop, most int }

// count boots once more through a proxy that counts. It is not timed: the
// proxy costs something.
func (s *series) count(ctx context.Context, t *tool) (n traffic, err error) {
	if err := s.clean(ctx); err != nil {
		return n, err
	}
	socket := filepath.Join(s.dir, "count.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return n, err
	}
	defer os.Remove(socket)
	var mu sync.Mutex
	calls, under, most := 0, 0, 0
	add := func(c, u int) {
		mu.Lock()
		defer mu.Unlock()
		calls, under = calls+c, under+u
		most = max(most, under)
	}
	proxy := &httputil.ReverseProxy{
		Director:      func(r *http.Request) { r.URL.Scheme, r.URL.Host = "http", "podman" },
		Transport:     s.http.Transport,
		FlushInterval: -1,
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/wait") || strings.HasSuffix(r.URL.Path, "/events") { // idle
			proxy.ServeHTTP(w, r)
			return
		}
		add(1, 1)
		defer add(0, -1)
		proxy.ServeHTTP(w, r)
	})}
	go server.Serve(listener)
	defer server.Close()
	boot := func() (int, error) {
		before := calls
		cmd := s.command(ctx, t.up...)
		cmd.Dir = filepath.Join(s.dir, "project")
		cmd.Env = append(cmd.Env, "CONTAINER_HOST=unix://"+socket)
		_, err := s.measure(cmd)
		return calls - before, err
	}
	if err = t.write(s.lab, s.workload, filepath.Join(s.dir, "project")); err != nil {
		return n, err
	}
	n.cold, err = boot()
	n.most = most
	var again error
	n.noop, again = boot()
	return n, errors.Join(err, again)
}
