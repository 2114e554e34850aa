package podman

import (
	"context"
	"slices"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Down stops the containers of a task, the last one first, and removes those
// that are ours. Containers that the boot file only names are stopped, the
// opposite of what a boot does to them, and stay. It returns the names of what
// it has stopped or removed; what isn't there, or isn't ours, is passed over.
//
// found is a Snapshot taken just before: what somebody creates later under one
// of the names has another ID, and is left alone.
//
// A container is stopped and removed in one call: Podman gives it its stop
// timeout. When ctx ends, what has been begun is finished.
func (h *Host) Down(ctx context.Context, t *scheduler.Task, found Snapshot) (names []string, err error) {
	ctx, end := grace(ctx)
	defer end()
	for _, w := range slices.Backward(t.Service.Containers) {
		f := found.Container(w.Name)
		if f == nil || notOurs(h.file.Name, f) != nil {
			continue
		}
		if err := h.remove(ctx, f, true); err != nil {
			return names, err
		}
		names = append(names, f.Name)
	}
	for _, name := range slices.Backward(t.Service.Existing) {
		f := found.Container(name)
		if f == nil || !f.Running() {
			continue
		}
		if err := h.stop(ctx, f, stopMost); err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

// Halt stops the containers of a task, the last one first, and removes none.
// It returns the names of what it has stopped.
func (h *Host) Halt(ctx context.Context, t *scheduler.Task) (names []string, err error) {
	ctx, end := grace(ctx)
	defer end()
	all := slices.Clone(t.Service.Existing)
	for _, w := range t.Service.Containers {
		all = append(all, w.Name)
	}
	for i, name := range slices.Backward(all) {
		f, err := h.container(ctx, name)
		if err != nil {
			return names, err
		}
		ours := i >= len(t.Service.Existing)
		if f == nil || !f.Running() || ours && notOurs(h.file.Name, f) != nil {
			continue
		}
		limit := time.Duration(stopMost)
		if ours {
			limit = f.stopTimeout() + stopExtra
		}
		if err := h.stop(ctx, f, limit); err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

// stopMost bounds the stop of a container that we don't know the stop timeout of.
const stopMost = 10 * (config.DefaultStopTimeout + stopExtra)

// Instances tells as what a task runs now. If it doesn't, the cause says why:
// not_found, or what became of a container.
func (h *Host) Instances(ctx context.Context, t *scheduler.Task) ([]scheduler.Instance, scheduler.Cause, error) {
	var at []scheduler.Instance
	find := func(name, component string, ours bool) (scheduler.Cause, error) {
		f, err := h.look(ctx, name)
		switch {
		case err != nil:
			return scheduler.Cause{}, err
		case f == nil:
			return scheduler.Cause{Code: "not_found", Text: "no container named " + name}, nil
		case ours && notOurs(h.file.Name, f) != nil:
			return scheduler.CauseOf(notOurs(h.file.Name, f)), nil
		case !f.Running() && !(t.Policy.Job && f.State == "exited"):
			return fate(scheduler.Instance{Container: f.Name, ID: f.ID, StartedAt: f.StartedAt}, f), nil
		}
		at, err = h.located(ctx, at, t, f, component)
		return scheduler.Cause{}, err
	}
	for _, name := range t.Service.Existing {
		if why, err := find(name, "", false); err != nil || !why.IsZero() {
			return nil, why, err
		}
	}
	for _, w := range t.Service.Containers {
		if why, err := find(w.Name, w.Component, true); err != nil || !why.IsZero() {
			return nil, why, err
		}
	}
	return at, scheduler.Cause{}, nil
}
