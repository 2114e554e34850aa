package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build builds a peer from the Go module proxy, once, in a module of its own:
// its source, copied, with its own go.mod. `go install` refuses modules whose
// go.mod has exclude directives, and a go.mod of ours must not need them.
func (l *lab) build(name, module, version, pkg string) error {
	binary := filepath.Join(l.root, "bin/peers", name+"-"+version)
	if _, err := os.Stat(binary); err != nil {
		fmt.Fprintf(os.Stderr, "building %s %s: minutes, once\n", name, version)
		if err := buildPeer(binary, module, version, pkg); err != nil {
			return fmt.Errorf("cannot build %s %s: %w", name, version, err)
		}
	}
	_ = os.Remove(filepath.Join(l.bin, name)) // two tools may be one program
	return os.Symlink(binary, filepath.Join(l.bin, name))
}

func buildPeer(binary, module, version, pkg string) error {
	dir, err := os.MkdirTemp("", "bootgraph-peer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	download := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	download.Dir = dir
	out, err := download.Output()
	var source struct{ Dir, Error string }
	if json.Unmarshal(out, &source); source.Dir == "" {
		return fmt.Errorf("%w: %s", err, source.Error)
	}
	if err := os.CopyFS(filepath.Join(dir, "source"), os.DirFS(source.Dir)); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", binary, pkg)
	build.Dir = filepath.Join(dir, "source")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(string(out)))
	}
	return nil
}

// install installs a peer from the system's packages, if it is missing.
func (l *lab) install(name string) error {
	if _, err := exec.LookPath(name); err == nil {
		return nil
	}
	install := exec.Command("apt-get", "install", "--quiet", "--yes", "--no-install-recommends", name)
	install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot install %s: %w: %s", name, err, lastLines(string(out)))
	}
	return nil
}

func (s service) published() string { return fmt.Sprintf("127.0.0.1:%d%s", s.port, containerPort) }

// writeJSON writes what is YAML, too.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
