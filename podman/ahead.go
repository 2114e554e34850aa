package podman

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// What a start takes time for is the network, the mounts and the OCI runtime.
// Podman's init does all of that and leaves the program to a start, which then
// takes a tenth of the time. So containers are created and initialized ahead of
// their turn, where nothing can tell that it happened sooner.

// prepared is a container that Ahead has had to do with.
type prepared struct {
	found       Found // as it was, or as it was described
	created     bool  // by Ahead; else it was there
	initialized bool  // a start is all it needs
}

// Ahead prepares the containers of a task; see scheduler.Preparer. What was
// begun is finished when ctx ends.
func (h *Host) Ahead(ctx context.Context, t *scheduler.Task) bool {
	if ctx.Err() != nil || len(t.Service.Existing) > 0 || !h.mayPrepare(t.Service) {
		return false
	}
	ctx, end := grace(ctx)
	defer end()
	for _, w := range t.Service.Containers {
		if !h.prepareContainer(ctx, t.Service, w) {
			return false
		}
	}
	return true
}

// mayPrepare tells whether nothing could tell that the containers of a service
// were prepared before its turn.
func (h *Host) mayPrepare(s *config.Service) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.replacing {
		return false // ports and volumes go from an old container to a new one
	}
	for _, w := range s.Containers {
		switch a := h.seen[w.Name].action; {
		case a == Create && h.images[w.Image] && w.Pull != config.PullAlways && len(w.Withheld) == 0:
		case a == Start && s.Kind != config.KindJob: // to be put back it is stopped, and then its exit code is 0
		default:
			return false
		}
		if strings.HasPrefix(w.NetworkMode, "container:") || !h.alone(w) {
			return false
		}
	}
	return true
}

// alone tells whether a container shares nothing that is settled when it is
// initialized with what may run before it: a file or link that is mounted may
// have given place to another by its turn, and the first to mount a volume
// fills it.
func (h *Host) alone(w *config.Container) bool {
	for _, m := range w.Volumes {
		switch {
		case slices.Contains(m.Options, "O"):
			return false
		case !m.Bind():
			if h.mounts[m.Source] > 1 {
				return false
			}
		default:
			path, err := filepath.EvalSymlinks(m.Source)
			if err != nil || path != filepath.Clean(m.Source) || !h.Local() {
				return false
			}
			if info, err := os.Stat(path); err != nil || !info.IsDir() {
				return false
			}
		}
	}
	return true
}

// mountsOf counts who mounts each volume.
func mountsOf(file *config.File) map[string]int {
	mounts := map[string]int{}
	for _, stage := range file.Stages {
		for _, s := range stage.Services {
			for _, w := range s.Containers {
				for _, m := range w.Volumes {
					mounts[m.Source]++
				}
			}
		}
	}
	return mounts
}

func (h *Host) prepareContainer(ctx context.Context, s *config.Service, w *config.Container) bool {
	seen, _ := h.expected(w.Name, true) // from now on, who doesn't find it prepared looks
	var p prepared
	switch seen.action {
	case Create:
		id, err := h.create(ctx, s, w)
		if err != nil {
			return false
		}
		p = prepared{found: asDescribed(id, w), created: true}
	case Start:
		f, err := h.look(ctx, w.Name)
		if err != nil || f == nil {
			return false
		}
		if d := h.decide(w, s.Kind, f, h.asked(w.Name)); d.Conflict != nil || d.Action != Start {
			return false
		}
		p = prepared{found: *f}
	}
	err := h.do(ctx, call{what: "prepare " + w.Name, method: "POST", path: containerPath(p.found.ID, "init"), limit: startLimit}, nil)
	p.initialized = err == nil
	h.mu.Lock()
	defer h.mu.Unlock()
	h.prepared[w.Name] = p
	return p.initialized
}

func (h *Host) isPrepared(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.prepared[name].initialized
}

// takePrepared is what Ahead has made of a container, once.
func (h *Host) takePrepared(name string) (p prepared, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok = h.prepared[name]
	delete(h.prepared, name)
	return p, ok
}

// startPrepared starts what was prepared. Nil: it wasn't, or it didn't work,
// and everything else is still to be tried.
func (h *Host) startPrepared(ctx context.Context, w *config.Container) *Found {
	p, ok := h.takePrepared(w.Name)
	if !ok || !p.initialized || h.asked(w.Name) {
		return nil
	}
	asked := time.Now()
	if err := h.start(ctx, p.found.ID, w.Name, p.found.Ports); err != nil {
		return nil
	}
	if f := h.runsSince(p.found, w, asked); f != nil {
		return f
	}
	f, err := h.inspect(ctx, p.found.ID, w.Name)
	if err != nil || f.Name != w.Name || !f.Running() && !f.ended() {
		return nil
	}
	return f
}

// PutBack undoes Ahead; see scheduler.Preparer. What can't be undone now is
// found by the next boot, which starts it in its turn.
func (h *Host) PutBack(ctx context.Context, t *scheduler.Task) {
	for _, w := range slices.Backward(t.Service.Containers) {
		p, ok := h.takePrepared(w.Name)
		if !ok {
			continue
		}
		f, err := h.inspect(ctx, p.found.ID, w.Name)
		switch {
		case err != nil || f.State != "initialized" && f.State != "created" && f.State != "configured":
			// Somebody has done something about it.
		case p.created:
			_ = h.remove(ctx, f, true)
		case f.State == "initialized":
			_ = h.stop(ctx, f, f.stopTimeout()+stopExtra)
		}
	}
}
