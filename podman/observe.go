package podman

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Found is a container as Podman has it.
type Found struct {
	Name        string
	ID          string // full
	Image       string // its name, as the container was created with
	ImageID     string
	State       string // created, initialized, running, paused, stopping, stopped, exited, removing, unknown
	ExitCode    int    // of its last run
	OOMKilled   bool   // its last run
	PID         int    // of its first process, where Podman runs; 0 if it does not run
	StartedAt   time.Time
	Labels      map[string]string
	Ports       []config.Port // published
	NetworkMode string        // bridge, host, none, container:ID, …; not from a list
	Networks    []string      // names
	Addresses   []netip.Addr  // its own, on its networks; not from a list
}

// Running reports whether its processes run.
func (f *Found) Running() bool { return f.State == "running" }

// ended reports whether it has run and runs no more.
func (f *Found) ended() bool { return f.State == "exited" || f.State == "stopped" }

func (f *Found) shortID() string { return f.ID[:min(len(f.ID), 12)] }

// Snapshot is what was found at one moment, sorted by name.
type Snapshot []Found

// Container returns the container of exactly that name, or nil.
func (s Snapshot) Container(name string) *Found {
	i, ok := slices.BinarySearchFunc(s, name, func(f Found, name string) int { return cmp.Compare(f.Name, name) })
	if !ok {
		return nil
	}
	return &s[i]
}

// Orphans are the containers of a configuration that its file doesn't name
// any more.
func (s Snapshot) Orphans(file *config.File) []Found {
	named := map[string]bool{}
	for _, name := range containerNames(file) {
		named[name] = true
	}
	var orphans []Found
	for _, f := range s {
		if f.Labels[LabelName] == file.Name && !named[f.Name] {
			orphans = append(orphans, f)
		}
	}
	return orphans
}

// containerNames are the names of all containers of a file, existing ones too.
func containerNames(file *config.File) []string {
	var names []string
	for _, stage := range file.Stages {
		for _, s := range stage.Services {
			names = append(names, s.Existing...)
			for _, w := range s.Containers {
				names = append(names, w.Name)
			}
		}
	}
	return names
}

// list is all containers in one call. It has neither addresses nor network
// modes, and its times are whole seconds.
func (c *Client) list(ctx context.Context, external bool) (Snapshot, error) {
	var answer []struct {
		ID, Image, ImageID, State string
		Names, Networks, Command  []string
		ExitCode, Pid             int
		StartedAt                 int64
		Labels                    map[string]string
		Ports                     []struct {
			HostIP        string `json:"host_ip"`
			HostPort      uint16 `json:"host_port"`
			ContainerPort uint16 `json:"container_port"`
			Range         uint16
			Protocol      string
		}
	}
	query := url.Values{"all": {"true"}}
	if external {
		query.Set("external", "true") // also what the storage has and Podman has not
	}
	if err := c.do(ctx, call{what: "list containers", path: "/containers/json", query: query, limit: readLimit}, &answer); err != nil {
		return nil, err
	}
	found := make(Snapshot, 0, len(answer))
	for _, a := range answer {
		f := Found{ID: a.ID, Image: a.Image, ImageID: a.ImageID, State: a.State, ExitCode: a.ExitCode, PID: a.Pid, Labels: a.Labels, Networks: a.Networks}
		if len(a.Names) > 0 {
			f.Name = a.Names[0]
		}
		if external && f.State == "storage" && slices.Contains(a.Command, "buildah") {
			f.State = "buildah" // a build under way
		}
		if a.StartedAt > 0 { // the zero time.Time is far below
			f.StartedAt = time.Unix(a.StartedAt, 0)
		}
		for _, p := range a.Ports {
			ip, _ := netip.ParseAddr(p.HostIP) // "": all
			f.Ports = append(f.Ports, config.Port{HostIP: ip, HostPort: p.HostPort, ContainerPort: p.ContainerPort, Range: max(p.Range, 1), Protocol: cmp.Or(p.Protocol, "tcp")})
		}
		slices.SortFunc(f.Ports, comparePorts)
		slices.Sort(f.Networks)
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return found, nil
}

func comparePorts(a, b config.Port) int {
	return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
}

// container returns the container of exactly that name, or nil. What Podman
// answers to a name that nobody has may be a stranger whose ID begins so: db
// and cafe are hex numbers. So callers act on the full ID of what is found
// here, and never on a name.
func (c *Client) container(ctx context.Context, name string) (*Found, error) {
	f, err := c.inspect(ctx, name, name)
	if is(err, "not_found") || f != nil && f.Name != name {
		return nil, nil
	}
	return f, err
}

// containerPath is the path of a container, or of what there is to do with it.
func containerPath(id string, more ...string) string {
	return "/containers/" + strings.Join(append([]string{url.PathEscape(id)}, more...), "/")
}

// inspect looks at one container; name is for messages.
func (c *Client) inspect(ctx context.Context, id, name string) (*Found, error) {
	type binding struct{ HostIP, HostPort string }
	var a struct {
		ID, Name, Image, ImageName, PidFile string
		State                               struct {
			Status        string
			Pid, ExitCode int
			OOMKilled     bool
			StartedAt     time.Time
		}
		Config          struct{ Labels map[string]string }
		HostConfig      struct{ NetworkMode string }
		NetworkSettings struct {
			Ports    map[string][]binding
			Networks map[string]struct{ IPAddress, GlobalIPv6Address string }
		}
	}
	q := call{what: "inspect " + name, path: containerPath(id, "json"), limit: readLimit}
	err := c.do(ctx, q, &a)
	// Podman 4.3 fails where the process ends while it reads about it in /proc; a
	// moment later it has noticed.
	for try := 1; try <= 3 && is(err, "podman_error") && strings.Contains(err.Error(), "no such process") && sleep(ctx, 20*time.Millisecond); try++ {
		err = c.do(ctx, q, &a)
	}
	if err != nil {
		return nil, err
	}
	if before, after, ok := strings.Cut(a.PidFile, a.ID); ok {
		c.pidFiles.Store(&pidFiles{before, after})
	}
	f := &Found{
		Name: a.Name, ID: a.ID, Image: a.ImageName, ImageID: a.Image,
		State: a.State.Status, ExitCode: a.State.ExitCode, OOMKilled: a.State.OOMKilled, PID: a.State.Pid, StartedAt: a.State.StartedAt,
		Labels: a.Config.Labels, NetworkMode: a.HostConfig.NetworkMode,
	}
	for key, bindings := range a.NetworkSettings.Ports { // 8080/tcp, one a port of a range
		number, protocol, _ := strings.Cut(key, "/")
		port, _ := strconv.ParseUint(number, 10, 16)
		for _, b := range bindings {
			ip, _ := netip.ParseAddr(b.HostIP)
			host, _ := strconv.ParseUint(b.HostPort, 10, 16)
			f.Ports = append(f.Ports, config.Port{HostIP: ip, HostPort: uint16(host), ContainerPort: uint16(port), Range: 1, Protocol: protocol})
		}
	}
	slices.SortFunc(f.Ports, comparePorts)
	for name, n := range a.NetworkSettings.Networks {
		f.Networks = append(f.Networks, name)
		for _, text := range []string{n.IPAddress, n.GlobalIPv6Address} {
			if ip, err := netip.ParseAddr(text); err == nil {
				f.Addresses = append(f.Addresses, ip)
			}
		}
	}
	slices.Sort(f.Networks)
	slices.SortFunc(f.Addresses, netip.Addr.Compare)
	return f, nil
}

// fate compares an instance with what is there now: the zero Cause if it
// still runs, else what became of it. f is nil if there is no such container.
func fate(was scheduler.Instance, f *Found) scheduler.Cause {
	same := f != nil && f.ID == was.ID && sameRun(was, f)
	switch {
	case f == nil || f.ID != was.ID:
		return scheduler.Cause{Code: "gone", Text: fmt.Sprintf("container %s has been removed", was.Container)}
	case f.Name != was.Container && f.Name != "":
		return scheduler.Cause{Code: "renamed", Text: fmt.Sprintf("container %s has been renamed to %s", was.Container, f.Name)}
	case f.Running() && same:
		return scheduler.Cause{}
	case f.Running():
		return scheduler.Cause{Code: "restarted", Text: fmt.Sprintf("container %s has been started again by somebody else", was.Container)}
	case f.State == "paused":
		return scheduler.Cause{Code: "paused", Text: fmt.Sprintf("container %s is paused; podman unpause %s", was.Container, was.Container)}
	case f.ended():
		return scheduler.Cause{Code: "exited", Text: fmt.Sprintf("container %s %s", was.Container, f.exit())}
	}
	return scheduler.Cause{Code: "not_running", Text: fmt.Sprintf("container %s is %s", was.Container, f.State)}
}

// sameRun tells one run of a container from another, by its first process. Of
// times a list has whole seconds only, and of what was started here it is known
// when that was asked of Podman, which may have taken its time. Process IDs
// don't come round again that soon.
func sameRun(was scheduler.Instance, f *Found) bool {
	if was.PID != 0 && f.PID != 0 {
		return was.PID == f.PID && f.StartedAt.Sub(was.StartedAt).Abs() < startLimit
	}
	return f.StartedAt.Unix() == was.StartedAt.Unix()
}

// exit says how the last run ended.
func (f *Found) exit() string {
	if f.OOMKilled {
		return fmt.Sprintf("exited with code %d: it ran out of memory", f.ExitCode)
	}
	return fmt.Sprintf("exited with code %d", f.ExitCode)
}
