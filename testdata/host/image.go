package host

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Images that BuildImages makes of testdata/server.
const (
	Image            = "localhost/bootgraph/server:1"
	ImageNew         = "localhost/bootgraph/server:2"           // another ID, otherwise the same
	ImageHealthcheck = "localhost/bootgraph/server:healthcheck" // with HEALTHCHECK /server check
)

// BuildImages builds the server and makes its images FROM scratch. The
// working directory has to be inside the module.
func (h *Host) BuildImages() error {
	binary := filepath.Join(h.Dir, "server")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "bootgraph/testdata/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build testdata/server: %w: %s", err, bytes.TrimSpace(out))
	}
	server, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	archive := filepath.Join(h.Dir, "images.tar")
	if err := os.WriteFile(archive, imageArchive(server), 0o644); err != nil {
		return err
	}
	_, err = h.Podman(context.Background(), "load", "--input", archive)
	os.Remove(archive)
	return err
}

// imageArchive is what `docker save` writes: images that share one layer with
// one file. `podman build` would take three runs of Buildah, and its default
// format, OCI, knows no HEALTHCHECK.
func imageArchive(server []byte) []byte {
	layer := tarball(tarFile{"server", 0o755, server})
	sum := sha256.Sum256(layer)
	type object = map[string]any
	config := func(more object) []byte {
		more["Entrypoint"] = []string{"/server"}
		b, _ := json.Marshal(object{
			"architecture": runtime.GOARCH, "os": "linux", "created": "1970-01-01T00:00:00Z",
			"config": more,
			"rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
		})
		return b
	}
	images := []struct {
		tag    string
		config object
	}{
		{Image, object{}},
		{ImageNew, object{"Labels": object{"version": "2"}}},
		{ImageHealthcheck, object{"Healthcheck": object{"Test": []string{"CMD", "/server", "check"}}}},
	}
	var manifest []object
	files := []tarFile{{"layer.tar", 0o644, layer}}
	for i, image := range images {
		name := fmt.Sprintf("%d.json", i)
		files = append(files, tarFile{name, 0o644, config(image.config)})
		manifest = append(manifest, object{"Config": name, "RepoTags": []string{image.tag}, "Layers": []string{"layer.tar"}})
	}
	index, _ := json.Marshal(manifest)
	return tarball(append(files, tarFile{"manifest.json", 0o644, index})...)
}

type tarFile struct {
	name string
	mode int64
	body []byte
}

func tarball(files ...tarFile) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b) // into memory: can't fail
	for _, f := range files {
		w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body))})
		w.Write(f.body)
	}
	w.Close()
	return b.Bytes()
}
