package main

import (
	"fmt"
	"path/filepath"
)

func processCompose() *tool {
	return &tool{
		name: "process-compose",
		note: "runs `podman run` for each service, and connects once a second, the most often that it can",
		get: func(l *lab) error {
			return l.build("process-compose", "github.com/f1bonacc1/process-compose", "v1.64.1", "./src")
		},
		write: func(_ *lab, w workload, dir string) error {
			processes := map[string]any{}
			for _, s := range w.services {
				needs := map[string]any{}
				for _, d := range s.dependsOn {
					needs[w.services[d].name] = map[string]any{"condition": "process_healthy"}
				}
				run := "podman run --rm --name " + s.name + " --publish " + s.published()
				for key, value := range s.env() {
					run += fmt.Sprintf(" --env '%s=%s'", key, value)
				}
				processes[s.name] = map[string]any{
					"command": "exec " + run + " " + image, "depends_on": needs,
					"readiness_probe": map[string]any{"period_seconds": 1, "failure_threshold": 100, "exec": map[string]any{
						"command": fmt.Sprintf("bash -c ': </dev/tcp/127.0.0.1/%d'", s.port)}},
				}
			}
			return writeJSON(filepath.Join(dir, "process-compose.yaml"), map[string]any{"version": "0.5", "processes": processes})
		},
		up:    []string{"process-compose", "--tui=false", "--no-server", "--config", "process-compose.yaml", "up"},
		stays: true,
	}
}
