package main

import (
	"context"
	"net/url"
	"path/filepath"
	"sync"
	"time"
)

// composeVersion is the last of docker compose v2.
const composeVersion = "v2.40.3"

// compose is docker compose on Podman's socket. It calls a container's name
// what it is called, and leaves the network to Podman, as the others do.
func compose(name, condition string) *tool {
	return &tool{
		name: name,
		get: func(l *lab) error {
			return l.build("docker-compose", "github.com/docker/compose/v2", composeVersion, "./cmd")
		},
		write: func(_ *lab, w workload, dir string) error {
			return writeJSON(filepath.Join(dir, "compose.yaml"), w.composeFile(condition))
		},
		up:   []string{"docker-compose", "up", "--detach"},
		down: []string{"docker-compose", "down"},
		noop: true,
	}
}

func composeHealthy() *tool {
	t := compose("docker compose, health-gated", "service_healthy")
	t.note = "its health checks are Podman's, which need systemd's timers; where these are missing, as here, the benchmark runs each every 0.5 s in their place"
	t.beside = runHealthchecks
	return t
}

func composeStarted() *tool {
	t := compose("docker compose, started-gated", "service_started")
	t.note = "waits for no readiness, as it is told"
	return t
}

func (w workload) composeFile(condition string) map[string]any {
	services := map[string]any{}
	for _, s := range w.services {
		needs := map[string]any{}
		for _, d := range s.dependsOn {
			needs[w.services[d].name] = map[string]any{"condition": condition}
		}
		v := map[string]any{
			"container_name": s.name, "image": image, "environment": s.env(), "ports": []string{s.published()},
			"network_mode": "bridge", "depends_on": needs,
		}
		if condition == "service_healthy" {
			v["healthcheck"] = map[string]any{"test": []string{"CMD", "/server", "check"}, "interval": "1s", "timeout": "5s", "retries": 60}
		}
		services[s.name] = v
	}
	return map[string]any{"services": services}
}

// runHealthchecks stands in for systemd's timers.
func runHealthchecks(ctx context.Context, l *lab) {
	query := "/containers/json?filters=" + url.QueryEscape(`{"health":["starting"],"status":["running"]}`)
	for ctx.Err() == nil {
		var list []struct{ ID string }
		_ = l.api(ctx, "GET", query, nil, &list) // what can't be had now is had next time
		var all sync.WaitGroup
		for _, c := range list {
			all.Go(func() { _ = l.api(ctx, "GET", "/containers/"+c.ID+"/healthcheck", nil, nil) })
		}
		all.Wait()
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}
