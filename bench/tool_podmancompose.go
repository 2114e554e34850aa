package main

import (
	"path/filepath"
)

func podmanCompose() *tool {
	return &tool{
		name: "podman-compose",
		note: "knows no condition but that something was started",
		get:  func(l *lab) error { return l.install("podman-compose") },
		write: func(_ *lab, w workload, dir string) error {
			return writeJSON(filepath.Join(dir, "compose.yaml"), w.composeFile("service_started"))
		},
		up:   []string{"podman-compose", "up", "--detach"},
		down: []string{"podman-compose", "down"},
		noop: true,
	}
}
