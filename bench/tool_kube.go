package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
)

func kubePlay() *tool {
	play := []string{"podman", "kube", "play", "pods.yaml"}
	return &tool{
		name: "podman kube play",
		note: "knows no order; a second time it can only replace",
		get:  func(*lab) error { return nil },
		write: func(_ *lab, w workload, dir string) error {
			var b bytes.Buffer
			for _, s := range w.services {
				b.WriteString("---\n")
				if err := json.NewEncoder(&b).Encode(s.pod()); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(dir, "pods.yaml"), b.Bytes(), 0o644)
		},
		up:        play,
		again:     append(play, "--replace"),
		down:      []string{"podman", "kube", "down", "pods.yaml"},
		container: func(s service) string { return s.name + "-server" },
	}
}

func (s service) pod() map[string]any {
	type list = []map[string]any
	var env list
	for name, value := range s.env() {
		env = append(env, map[string]any{"name": name, "value": value})
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": s.name},
		"spec": map[string]any{"containers": list{{"name": "server", "image": image, "env": env,
			"ports": list{{"hostIP": "127.0.0.1", "hostPort": s.port, "containerPort": 8080}}}}},
	}
}
