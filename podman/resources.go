package podman

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"bootgraph/config"
)

// What containers need, and what is looked at before anything is changed.

// Snapshot is all containers of the Podman, in one call. If that fails
// because of one that is broken, those of the file are looked at one by one.
func (h *Host) Snapshot(ctx context.Context) (Snapshot, error) {
	all, err := h.list(ctx, false)
	if is(err, "podman_error") {
		all, err = h.inspectAll(ctx)
	}
	for i := range all {
		if f := &all[i]; f.Labels[LabelName] == h.file.Name && h.processLost(f) {
			f.State = lost
		}
	}
	return all, err
}

func (h *Host) inspectAll(ctx context.Context) (Snapshot, error) {
	var all Snapshot
	for _, name := range containerNames(h.file) {
		f, err := h.container(ctx, name)
		if err != nil {
			return nil, err
		}
		if f != nil {
			all = append(all, *f)
		}
	}
	slices.SortFunc(all, func(a, b Found) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Preflight looks for what would make services fail that can be known before
// anything is changed, and returns all of it, in the order of the file: names
// that are taken, existing containers that are not there, images that may not
// be pulled, and networks, secrets and paths that are missing. found is a
// Snapshot taken just now.
func (h *Host) Preflight(ctx context.Context, services []*config.Service, found Snapshot) []error {
	p := preflight{h: h, ctx: ctx}
	for _, s := range services {
		for i, d := range h.Decide(s, found) {
			if d.Conflict != nil {
				p.problems = append(p.problems, d.Conflict)
			}
			if i < len(s.Existing) {
				continue
			}
			w := s.Containers[i-len(s.Existing)]
			h.expect(w.Name, sight{d.Action, found.Container(w.Name)})
			if d.Action == Create || d.Action == Replace {
				p.check(w)
			}
		}
	}
	return append(p.problems, h.checkSecrets(ctx)...)
}

type preflight struct {
	h        *Host
	ctx      context.Context
	networks func() ([]string, error) // asked for once, and only if it matters
	secrets  func() ([]string, error)
	problems []error
}

func (p *preflight) report(code, format string, args ...any) {
	p.problems = append(p.problems, failed(code, format, args...))
}

// once remembers the answer of a list of names.
func once(ask func() ([]string, error)) func() ([]string, error) {
	var names []string
	var err error
	var done bool
	return func() ([]string, error) {
		if !done {
			names, err = ask()
			done = true
		}
		return names, err
	}
}

// check looks at what one container that is to be created needs.
func (p *preflight) check(w *config.Container) {
	if p.networks == nil {
		p.networks = once(func() ([]string, error) { return p.h.names(p.ctx, "networks") })
		p.secrets = once(func() ([]string, error) { return p.h.names(p.ctx, "secrets") })
	}
	if w.Pull != config.PullAlways {
		switch here, err := p.h.hasImage(p.ctx, w.Image); {
		case err != nil && !slices.Contains(p.problems, err):
			p.problems = append(p.problems, err)
		case err == nil && !here && w.Pull == config.PullNever:
			p.problems = append(p.problems, imageMissing(w))
		}
	}
	for _, name := range w.Networks {
		declared := slices.ContainsFunc(p.h.file.Networks, func(n config.Network) bool { return n.Name == name })
		if !declared && p.lacks(p.networks, name) {
			p.report("network_missing", "%s needs the network %s, which does not exist: create it, or declare it: network %q {}", w.Name, name, name)
		}
	}
	for _, s := range w.Secrets {
		declared := slices.ContainsFunc(p.h.file.Secrets, func(d *config.Secret) bool { return d.Name == s.Name })
		if !declared && p.lacks(p.secrets, s.Name) {
			p.report("secret_missing", "%s needs the secret %s, which does not exist: create it with podman secret create %s FILE, or declare it: secret %q { … }", w.Name, s.Name, s.Name, s.Name)
		}
	}
	for _, m := range w.Volumes {
		if p.h.Local() && m.Bind() && gone(m.Source) {
			p.report("bind_missing", "%s mounts %s, which does not exist: create the directory or file", w.Name, m.Source)
		}
	}
}

// lacks tells whether a name is not in a list; a list that can't be had is a
// problem of its own.
func (p *preflight) lacks(list func() ([]string, error), name string) bool {
	names, err := list()
	if err != nil && !slices.Contains(p.problems, err) {
		p.problems = append(p.problems, err)
	}
	return err == nil && !slices.Contains(names, name)
}

// names are the names of all networks or secrets.
func (c *Client) names(ctx context.Context, kind string) ([]string, error) {
	var answer []struct {
		Name string
		Spec struct{ Name string } // where a secret has it
	}
	if err := c.do(ctx, call{what: "list " + kind, path: "/" + kind + "/json", limit: readLimit}, &answer); err != nil {
		return nil, err
	}
	var names []string
	for _, a := range answer {
		names = append(names, a.Name+a.Spec.Name)
	}
	return names, nil
}

// ImageID is the ID of an image of this Podman, or "" if it has none of that name.
func (c *Client) ImageID(ctx context.Context, name string) (string, error) {
	var answer struct{ ID string }
	err := c.do(ctx, call{what: "inspect image " + name, path: "/images/" + url.PathEscape(name) + "/json", limit: readLimit}, &answer)
	if is(err, "image_missing") {
		return "", nil
	}
	return answer.ID, err
}

// Healthchecks are the HEALTHCHECKs of images, by name, in the form that the
// image has them. They are for advice, so an image that is not here, has none,
// or can't be looked at is left out, and nothing is an error.
func (c *Client) Healthchecks(ctx context.Context, images []string) map[string][]string {
	tests := make([][]string, len(images))
	var all sync.WaitGroup
	for i, image := range images {
		all.Go(func() { tests[i] = c.healthcheck(ctx, image) })
	}
	all.Wait()
	found := map[string][]string{}
	for i, image := range images {
		if len(tests[i]) > 0 {
			found[image] = tests[i]
		}
	}
	return found
}

func (c *Client) healthcheck(ctx context.Context, image string) []string {
	var answer struct{ Healthcheck struct{ Test []string } }
	if err := c.do(ctx, call{what: "inspect image " + image, path: "/images/" + url.PathEscape(image) + "/json", limit: readLimit}, &answer); err != nil {
		return nil
	}
	return answer.Healthcheck.Test
}

func imageMissing(w *config.Container) error {
	return failed("image_missing", "%s needs the image %s, which this host does not have, and pull = \"never\": build or pull it", w.Name, w.Image)
}

// hasImage asks whether an image is here, until it has been seen.
func (h *Host) hasImage(ctx context.Context, name string) (bool, error) {
	if h.hasSeen(name) {
		return true, nil
	}
	id, err := h.ImageID(ctx, name)
	h.sawImage(name, id != "")
	return id != "", err
}

func (h *Host) hasSeen(image string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.images[image]
}

func (h *Host) sawImage(image string, here bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.images[image] = here
}

// image makes the image of a container there, as its pull policy says.
func (h *Host) image(ctx context.Context, w *config.Container) error {
	wanted := func() (bool, error) {
		if w.Pull == config.PullAlways {
			return true, nil
		}
		here, err := h.hasImage(ctx, w.Image)
		return !here, err
	}
	if pull, err := wanted(); err != nil || !pull {
		return err
	}
	if w.Pull == config.PullNever {
		return imageMissing(w)
	}
	select {
	case h.pulls <- struct{}{}:
		defer func() { <-h.pulls }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if pull, err := wanted(); err != nil || !pull { // another service may have pulled it meanwhile
		return err
	}
	return h.pull(ctx, w.Image)
}

// pull pulls an image. Its status is 200 before it has begun; whether it went
// well is in the stream.
func (c *Client) pull(ctx context.Context, image string) error {
	stream, err := c.open(ctx, call{what: "pull " + image, method: "POST", path: "/images/pull", limit: pullLimit,
		query: url.Values{"reference": {image}, "policy": {"always"}}})
	if err != nil {
		return err
	}
	defer stream.Close()
	for lines := json.NewDecoder(stream); ; {
		var line struct{ Error string }
		switch err := lines.Decode(&line); {
		case err == io.EOF:
			return nil
		case errors.As(err, new(*Error)) || ctx.Err() != nil:
			return err
		case err != nil:
			return failed("pull_failed", "cannot pull %s: podman's answer is not what the API promises: %v", image, err)
		case line.Error != "":
			return failed("pull_failed", "cannot pull %s: %s", image, brief(line.Error))
		}
	}
}

// EnsureNetworksVolumes creates the declared networks and volumes that don't
// exist. Those that do are left as they are, whoever made them.
func (h *Host) EnsureNetworksVolumes(ctx context.Context) error {
	labels := map[string]string{LabelName: h.file.Name}
	if len(h.file.Networks) > 0 {
		there, err := h.names(ctx, "networks")
		if err != nil {
			return err
		}
		for _, n := range h.file.Networks {
			if slices.Contains(there, n.Name) {
				continue
			}
			// With a name server, as podman-network-create(1): services are found by name.
			err := h.ensure(ctx, call{what: "create network " + n.Name, path: "/networks/create",
				body: map[string]any{"name": n.Name, "labels": labels, "dns_enabled": true}})
			if err != nil {
				return err
			}
		}
	}
	for _, v := range h.file.Volumes {
		err := h.do(ctx, call{what: "inspect volume " + v.Name, path: "/volumes/" + url.PathEscape(v.Name) + "/json", limit: readLimit}, nil)
		if is(err, "not_found") {
			err = h.ensure(ctx, call{what: "create volume " + v.Name, path: "/volumes/create", body: map[string]any{"Name": v.Name, "Label": labels}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ensure creates something whole, also when ctx ends meanwhile. That somebody
// else was quicker is no error.
func (c *Client) ensure(ctx context.Context, q call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, end := grace(ctx)
	defer end()
	q.method, q.limit = "POST", createLimit
	if err := c.do(ctx, q, nil); !is(err, "exists") {
		return err
	}
	return nil
}

// RemoveNetworks removes the networks that the configuration has created and
// nobody uses any more. It is never forced: that would remove containers.
func (h *Host) RemoveNetworks(ctx context.Context) error { return h.removeOurs(ctx, "networks") }

// RemoveVolumes removes the volumes that the configuration has created and
// nobody uses any more, with all that is in them.
func (h *Host) RemoveVolumes(ctx context.Context) error { return h.removeOurs(ctx, "volumes") }

func (h *Host) removeOurs(ctx context.Context, kind string) error {
	filter, err := json.Marshal(map[string][]string{"label": {LabelName + "=" + h.file.Name}})
	if err != nil {
		return err
	}
	var ours []struct {
		Name   string
		Labels map[string]string
	}
	if err := h.do(ctx, call{what: "list " + kind, path: "/" + kind + "/json", query: url.Values{"filters": {string(filter)}}, limit: readLimit}, &ours); err != nil {
		return err
	}
	var errs []error
	for _, o := range ours {
		if o.Labels[LabelName] != h.file.Name {
			continue
		}
		err := h.do(ctx, call{what: "remove " + strings.TrimSuffix(kind, "s") + " " + o.Name, method: "DELETE", path: "/" + kind + "/" + url.PathEscape(o.Name), limit: createLimit}, nil)
		if !is(err, "in_use") && !is(err, "not_found") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// gone tells whether a file is not there.
func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}
