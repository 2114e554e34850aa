package podman

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Host makes the services of one configuration run on one Podman. It is a
// scheduler.Runtime and a scheduler.Sentry, and what package health asks of
// containers (health.Containers). It is safe for concurrent use.
//
// What it changes, it changes by the full ID of a container that was looked
// at in the same step, bore the configuration's label, and had exactly the
// name described. An answer of Podman is a hint only; what counts is what the
// next look shows.
type Host struct {
	*Client
	file  *config.File
	stage map[string]string // the name of each service's stage
	pulls chan struct{}     // a slot for each pull under way

	// keeping is set after the boot: what is there is started as it is. To
	// replace what somebody has applied meanwhile from another boot file would
	// be to fight them.
	keeping bool

	mu      sync.Mutex
	replace map[string]bool  // containers still to be replaced, because it was asked for
	seen    map[string]sight // what there was before the boot, of containers not started yet
	images  map[string]bool  // that have been seen here

	mounts    map[string]int      // of each volume; only read
	replacing bool                // something is to be replaced
	prepared  map[string]prepared // by Ahead, and not started yet
}

const (
	graceTime = 10 * time.Second       // to finish what has been begun when a boot is interrupted
	portRetry = 5 * time.Second        // how long a port may be busy with what a failed start has left
	portDelay = 250 * time.Millisecond // between two tries
	backMost  = 5 * time.Second        // how long a service of Podman may be away in the middle of a start
	pullsMost = 3                      // more don't make a network faster
)

// NewHost makes a Host for the containers of a file; those of the services
// named in replace are replaced once, whatever is found.
func NewHost(client *Client, file *config.File, replace []string) *Host {
	h := &Host{Client: client, file: file, stage: map[string]string{}, replace: map[string]bool{}, seen: map[string]sight{}, images: map[string]bool{}, mounts: mountsOf(file), prepared: map[string]prepared{}, pulls: make(chan struct{}, pullsMost)}
	asked := map[string]bool{}
	for _, name := range replace {
		asked[name] = true
	}
	for _, stage := range file.Stages {
		for _, s := range stage.Services {
			h.stage[s.Name] = stage.Name
			for _, w := range s.Containers {
				h.replace[w.Name] = asked[s.Name]
			}
		}
	}
	return h
}

// sight is what Preflight has seen of a container, and what there was to do.
type sight struct {
	action Action
	found  *Found // nil: there was none
}

// expect takes down what Preflight has seen. It saves looks where these decide
// nothing: a name that was free is tried, and Podman refuses if it isn't any
// more; an image that was there is taken to be there until a create says
// otherwise; of what is kept the kernel says whether it still runs. What is
// started, replaced or removed is looked at first in any case.
func (h *Host) expect(name string, s sight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[name] = s
	h.replacing = h.replacing || s.action == Replace
}

// expected is what was seen of a container; once, take is set, and then never
// again: whoever tries a second time looks.
func (h *Host) expected(name string, take bool) (s sight, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok = h.seen[name]; take {
		delete(h.seen, name)
	}
	return s, ok
}

func (h *Host) asked(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.replace[name]
}

func (h *Host) replaced(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replace[name] = false
}

// Decide says what there is to do about each container of a service, in the
// order of the file.
func (h *Host) Decide(s *config.Service, found Snapshot) []Decision {
	var list []Decision
	for _, name := range s.Existing {
		list = append(list, DecideExisting(name, found.Container(name)))
	}
	for _, w := range s.Containers {
		d := Decide(h.file.Name, w, s.Kind, found.Container(w.Name), h.asked(w.Name))
		if d.Action == Create {
			d.Conflict = renamed(h.file.Name, w.Name, found)
		}
		list = append(list, d)
	}
	return list
}

func (h *Host) decide(w *config.Container, kind config.Kind, found *Found, replace bool) Decision {
	if h.keeping && !replace && found != nil && notOurs(h.file.Name, found) == nil {
		return wake(kind, found)
	}
	return Decide(h.file.Name, w, kind, found, replace)
}

// Prepare pulls the images of the containers that are to be created,
// according to their pull policy.
func (h *Host) Prepare(ctx context.Context, t *scheduler.Task) error {
	for _, w := range t.Service.Containers {
		switch seen, ok := h.expected(w.Name, false); {
		case h.isPrepared(w.Name):
			continue
		case ok && (seen.action == Keep || seen.action == Start):
			continue
		case ok && seen.action == Create && w.Pull != config.PullAlways && len(w.Withheld) == 0 && h.hasSeen(w.Image):
			continue
		}
		found, err := h.look(ctx, w.Name)
		if err != nil {
			return err
		}
		d := h.decide(w, t.Service.Kind, found, h.asked(w.Name))
		if d.Conflict != nil {
			return d.Conflict
		}
		if err := h.values(ctx, d.Action, w); err != nil {
			return err
		}
		if d.Action == Create || d.Action == Replace {
			if err := h.image(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// Start makes the containers of a task run, one after another, in the order
// of the file.
func (h *Host) Start(ctx context.Context, t *scheduler.Task) ([]scheduler.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, end := grace(ctx)
	defer end()
	var at []scheduler.Instance
	for _, name := range t.Service.Existing {
		f, err := h.startExisting(ctx, name)
		if err == nil {
			at, err = h.located(ctx, at, t, f, "")
		}
		if err != nil {
			return nil, err
		}
	}
	for _, w := range t.Service.Containers {
		f, err := h.converge(ctx, t.Service, w)
		if err == nil {
			at, err = h.located(ctx, at, t, f, w.Component)
		}
		if err != nil {
			return nil, err
		}
	}
	return at, nil
}

// grace is a context that goes on for a while when its parent ends: a request
// cut in the middle leaves something that nobody knows the state of.
func grace(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		timer := time.AfterFunc(graceTime, cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() { stop(); cancel() }
}

// converge makes one container run as described. It looks, decides, acts and
// looks again: only that tells whether it worked. What a killed Podman has
// left in a state that no call but a removal gets it out of is replaced; a
// Podman that is away for a moment is waited for.
func (h *Host) converge(ctx context.Context, s *config.Service, w *config.Container) (*Found, error) {
	if f := h.startPrepared(ctx, w); f != nil {
		return f, nil
	}
	force := h.asked(w.Name)
	seen, ok := h.expected(w.Name, true)
	if ok && seen.action == Keep && !force {
		if f := h.runsAsListed(seen.found, w); f != nil {
			return f, nil
		}
	}
	free := ok && seen.action == Create && !force // its name was free
	for try := 1; ; try++ {
		var before *Found
		var err error
		if !free {
			before, err = h.look(ctx, w.Name)
		}
		if err == nil {
			d := h.decide(w, s.Kind, before, force)
			if d.Action == Create && !free {
				all, err := h.list(ctx, false)
				if err != nil {
					return nil, err
				}
				d.Conflict = renamed(h.file.Name, w.Name, all)
			}
			if d.Conflict != nil {
				return nil, d.Conflict
			}
			if d.Action == Keep {
				return before, nil
			}
			if err := h.values(ctx, d.Action, w); err != nil {
				return nil, err
			}
			var after *Found
			if after, err = h.act(ctx, d.Action, s, w, before); err == nil {
				return after, nil
			}
		}
		switch {
		case try == 3:
			return nil, err
		case free && (is(err, "name_in_use") || is(err, "bad_state")):
			free = false // it isn't any more: look who has it
		case is(err, "image_missing") && h.hasSeen(w.Image):
			h.sawImage(w.Image, false)
			if err := h.image(ctx, w); err != nil {
				return nil, err
			}
		case is(err, "podman_unreachable") && h.wait(ctx, backMost):
		case is(err, "bad_state"):
			force = true
		default:
			return nil, err
		}
	}
}

// act carries out what was decided, and looks: whatever the answers, what counts
// is whether it runs.
func (h *Host) act(ctx context.Context, a Action, s *config.Service, w *config.Container, before *Found) (*Found, error) {
	after, err := h.carryOut(ctx, a, s, w, before)
	var lost error
	if after == nil {
		after, lost = h.container(ctx, w.Name)
	}
	switch {
	case lost == nil && begun(a, before, after):
		h.replaced(w.Name)
		return after, nil
	case err == nil && lost != nil:
		return nil, lost
	case err == nil:
		return nil, failed("bad_state", "cannot start %s: podman has said yes, but it does not run", w.Name)
	}
	return nil, err
}

// begun tells whether an action has brought about a new run.
func begun(a Action, before, after *Found) bool {
	switch {
	case after == nil || !after.Running() && !after.ended():
		return false
	case before == nil || before.ID != after.ID:
		return true
	}
	return a == Start && (after.Running() || !after.StartedAt.Equal(before.StartedAt))
}

// carryOut returns what runs then, where the kernel can tell.
func (h *Host) carryOut(ctx context.Context, a Action, s *config.Service, w *config.Container, found *Found) (*Found, error) {
	if a == Replace {
		if err := h.remove(ctx, found, false); err != nil {
			return nil, err
		}
	}
	if a != Start {
		id, err := h.create(ctx, s, w)
		if err != nil {
			return nil, err
		}
		created := asDescribed(id, w)
		found = &created
	}
	asked := time.Now()
	if err := h.start(ctx, found.ID, w.Name, found.Ports); err != nil {
		return nil, err
	}
	return h.runsSince(*found, w, asked), nil
}

// startExisting starts a container of somebody else's if it does not run.
func (h *Host) startExisting(ctx context.Context, name string) (*Found, error) {
	found, err := h.container(ctx, name)
	if err != nil {
		return nil, err
	}
	d := DecideExisting(name, found)
	if d.Conflict != nil {
		return nil, d.Conflict
	}
	if d.Action == Keep {
		return found, nil
	}
	err = h.start(ctx, found.ID, name, found.Ports)
	after, lost := h.inspect(ctx, found.ID, name)
	switch {
	case lost == nil && begun(Start, found, after):
		return after, nil
	case err == nil && lost == nil:
		err = failed("bad_state", "cannot start %s: podman has said yes, but it is %s", name, after.State)
	case err == nil:
		err = lost
	}
	return nil, err
}

// look is container with a second look at one whose process is gone though
// Podman has it as running. For a moment that is so after every crash; it
// stays so where the host was restarted and /run was not emptied.
func (h *Host) look(ctx context.Context, name string) (*Found, error) {
	f, err := h.container(ctx, name)
	if err != nil || f == nil || !h.processLost(f) {
		return f, err
	}
	sleep(ctx, 500*time.Millisecond)
	if f, err = h.container(ctx, name); err == nil && f != nil && h.processLost(f) {
		f.State = lost
	}
	return f, err
}

// lost is the state, not one of Podman's, of a container that it takes for
// running after a restart of the host.
const lost = "lost"

func (c *Client) processLost(f *Found) bool {
	return c.local && f.Running() && f.PID > 0 && (syscall.Kill(f.PID, 0) == syscall.ESRCH || zombie(f.PID))
}

func (h *Host) create(ctx context.Context, s *config.Service, w *config.Container) (string, error) {
	var shares string
	if name, ok := strings.CutPrefix(w.NetworkMode, "container:"); ok {
		f, err := h.container(ctx, name)
		if err != nil {
			return "", err
		}
		if f == nil {
			return "", failed("not_found", "cannot create %s: there is no container %s to share the network of", w.Name, name)
		}
		shares = f.ID
	}
	q := call{
		what: "create " + w.Name, method: "POST", path: "/containers/create", limit: createLimit,
		body: newBody(h.file.Name, h.stage[s.Name], s.Name, shares, w),
	}
	var answer struct{ ID string }
	err := h.do(ctx, q, &answer)
	if is(err, "name_in_use") {
		if err = h.removeOrphan(ctx, w, err); err == nil {
			err = h.do(ctx, q, &answer)
		}
	}
	return answer.ID, err
}

// removeOrphan removes what a create that was killed has left in the storage:
// a name that is taken, by a container that Podman doesn't know. It has no
// labels, so it is told by its name, by the image that we wanted to use, and
// by being no build's. Three looks over more than 2 s, since for a moment
// every create looks like that, also somebody else's.
func (h *Host) removeOrphan(ctx context.Context, w *config.Container, taken error) error {
	var id string
	for range 3 {
		if f, err := h.container(ctx, w.Name); err != nil || f != nil {
			return failed("bad_state", "cannot create %s: somebody else has just created it", w.Name) // looked at again
		}
		all, err := h.list(ctx, true)
		if err != nil {
			return err
		}
		f := all.Container(w.Name)
		image, err := h.ImageID(ctx, w.Image)
		if err != nil || f == nil || f.State != "storage" || f.ImageID != image || id != "" && f.ID != id {
			return taken
		}
		id = f.ID
		sleep(ctx, time.Second)
	}
	return h.do(ctx, call{what: "remove what is left of " + w.Name, method: "DELETE", path: containerPath(id), query: url.Values{"force": {"true"}}, limit: createLimit}, nil)
}

// start starts a container. A port that is busy is tried again for a moment:
// after a start that has failed, Podman itself may still hold it.
func (h *Host) start(ctx context.Context, id, name string, ports []config.Port) error {
	for until := time.Now().Add(portRetry); ; {
		err := h.do(ctx, call{what: "start " + name, method: "POST", path: containerPath(id, "start"), limit: startLimit}, nil)
		if !is(err, "port_busy") {
			return err
		}
		port, holder, final := h.holder(ctx, err.Error(), id, ports)
		if final || !time.Now().Before(until) || !sleep(ctx, portDelay) {
			return failed("port_busy", "cannot start %s: port %s is in use%s", name, port, holder)
		}
	}
}

// remove stops a container, in the time that it has for that, and removes
// it; its anonymous volumes too if that is asked for.
func (h *Host) remove(ctx context.Context, f *Found, volumes bool) error {
	query := url.Values{"force": {"true"}}
	if volumes {
		query.Set("v", "true")
	}
	err := h.do(ctx, call{what: "remove " + f.Name, method: "DELETE", path: containerPath(f.ID), query: query, limit: f.stopTimeout() + stopExtra}, nil)
	if err != nil {
		// "device or resource busy", and gone nevertheless: FAULTS, finding 3.
		if _, lost := h.inspect(ctx, f.ID, f.Name); is(lost, "not_found") {
			return nil
		}
	}
	return err
}

// located adds the Instance of a container that was found running, or that
// has run.
func (h *Host) located(ctx context.Context, at []scheduler.Instance, t *scheduler.Task, f *Found, component string) ([]scheduler.Instance, error) {
	i := scheduler.Instance{
		Container: f.Name, Component: component, ID: f.ID, StartedAt: f.StartedAt,
		Job: t.Service.Kind == config.KindJob, Reachable: h.Local() && !h.Rootless(),
	}
	if h.Local() {
		i.PID = f.PID
	}
	net := f
	// Who shares another's network has its ports and addresses.
	if id, ok := strings.CutPrefix(f.NetworkMode, "container:"); ok {
		var err error
		if net, err = h.inspect(ctx, id, "the container whose network "+f.Name+" shares"); err != nil {
			return nil, err
		}
	}
	i.HostNetwork = net.NetworkMode == "host"
	i.Ports, i.Addresses = net.Ports, append([]netip.Addr(nil), net.Addresses...)
	return append(at, i), nil
}

// Stop stops a container: its stop signal, the time that it has, SIGKILL. f
// is one of a Snapshot; what the configuration doesn't own is refused.
func (h *Host) Stop(ctx context.Context, f *Found) error {
	if err := h.owns(f, "stop"); err != nil {
		return err
	}
	return h.stop(ctx, f, f.stopTimeout()+stopExtra)
}

func (h *Host) stop(ctx context.Context, f *Found, limit time.Duration) error {
	return h.do(ctx, call{what: "stop " + f.Name, method: "POST", path: containerPath(f.ID, "stop"), limit: limit}, nil)
}

// Remove stops and removes a container, and its anonymous volumes if volumes
// is set. f is as in Stop. One that is gone already is no error.
func (h *Host) Remove(ctx context.Context, f *Found, volumes bool) error {
	if err := h.owns(f, "remove"); err != nil {
		return err
	}
	return h.remove(ctx, f, volumes)
}

func (h *Host) owns(f *Found, verb string) error {
	if conflict := notOurs(h.file.Name, f); conflict != nil {
		return fmt.Errorf("cannot %s %s: %w", verb, f.Name, conflict)
	}
	return nil
}
