package podman

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"bootgraph/config"
)

// createBody is what POST /containers/create takes: Podman's SpecGenerator
// (pkg/specgen/specgen.go of Podman 4.0). Podman silently ignores a field it
// doesn't know, so each one here has a test that looks for its effect.
type createBody struct {
	Name        string            `json:"name"`
	Image       string            `json:"image"`
	Command     []string          `json:"command,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	Labels      map[string]string `json:"labels"`
	User        string            `json:"user,omitempty"`
	WorkDir     string            `json:"work_dir,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Restart     string            `json:"restart_policy"`
	Tries       *uint             `json:"restart_tries,omitempty"`
	StopTimeout uint              `json:"stop_timeout"`
	StopSignal  int               `json:"stop_signal,omitempty"`
	Init        bool              `json:"init,omitempty"`

	Mounts    []mount           `json:"mounts,omitempty"`
	Volumes   []namedVolume     `json:"volumes,omitempty"`
	Overlays  []overlay         `json:"overlay_volumes,omitempty"`
	Devices   []device          `json:"devices,omitempty"`
	Secrets   []secret          `json:"secrets,omitempty"`
	SecretEnv map[string]string `json:"secret_env,omitempty"` // variable: name of the secret

	Netns    *namespace         `json:"netns,omitempty"`
	Networks map[string]network `json:"Networks,omitempty"`
	Ports    []portMapping      `json:"portmappings,omitempty"`
	DNS      []string           `json:"dns_server,omitempty"`
	Hosts    []string           `json:"hostadd,omitempty"`

	Privileged      bool      `json:"privileged,omitempty"`
	ReadOnly        bool      `json:"read_only_filesystem,omitempty"`
	CapAdd          []string  `json:"cap_add,omitempty"`
	CapDrop         []string  `json:"cap_drop,omitempty"`
	NoNewPrivileges bool      `json:"no_new_privileges,omitempty"`
	AppArmor        string    `json:"apparmor_profile,omitempty"`
	Seccomp         string    `json:"seccomp_profile_path,omitempty"`
	SELinux         []string  `json:"selinux_opts,omitempty"`
	Mask            []string  `json:"mask,omitempty"`
	Unmask          []string  `json:"unmask,omitempty"`
	ProcOpts        []string  `json:"procfs_opts,omitempty"`
	Limits          resources `json:"resource_limits"`
	Rlimits         []rlimit  `json:"r_limits,omitempty"`
}

type (
	mount struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options,omitempty"`
	}
	namedVolume struct {
		Name    string
		Dest    string
		Options []string
	}
	overlay struct {
		Destination string   `json:"destination"`
		Source      string   `json:"source"`
		Options     []string `json:"options,omitempty"`
	}
	device struct {
		Path string `json:"path"` // HOST[:CONTAINER][:PERMISSIONS]; Podman takes it apart
	}
	secret struct {
		Source, Target string
		UID, GID, Mode uint32
	}
	namespace struct {
		Mode  string `json:"nsmode"`
		Value string `json:"value,omitempty"`
	}
	network struct {
		Aliases []string `json:"aliases,omitempty"`
	}
	portMapping struct {
		HostIP        string `json:"host_ip,omitempty"`
		ContainerPort uint16 `json:"container_port"`
		HostPort      uint16 `json:"host_port"`
		Range         uint16 `json:"range"`
		Protocol      string `json:"protocol"`
	}
	rlimit struct {
		Type string `json:"type"`
		Hard uint64 `json:"hard"`
		Soft uint64 `json:"soft"`
	}
	resources struct {
		Memory *struct {
			Limit int64 `json:"limit"`
			Swap  int64 `json:"swap"`
		} `json:"memory,omitempty"`
		CPU *struct {
			Quota  int64  `json:"quota"`
			Period uint64 `json:"period"`
		} `json:"cpu,omitempty"`
		Pids *struct {
			Limit int64 `json:"limit"`
		} `json:"pids,omitempty"`
	}
)

// secretMode is the mode of a mounted secret unless the file says another,
// podman-run(1) --secret.
const secretMode = 0o444

// newBody describes a container to Podman. stage and service go into labels;
// the service's name is an alias on its networks too, so that others find
// SERVICE-COMPONENT and SERVICE alike. shares is the full ID of the container
// of network_mode container:NAME: Podman would take a name for the beginning
// of an ID.
func newBody(owner, stage, service, shares string, c *config.Container) createBody {
	b := createBody{
		Name: c.Name, Image: c.Image, Command: c.Command, Entrypoint: c.Entrypoint, Env: c.Env,
		Labels: labels(owner, stage, service, c), User: c.User, WorkDir: c.Workdir, Hostname: c.Hostname,
		Restart: c.Restart.Policy, StopTimeout: uint(cmp.Or(c.StopTimeout, config.DefaultStopTimeout).Seconds()), StopSignal: signalNumber(c.StopSignal), Init: c.Init,
		Privileged: c.Privileged, ReadOnly: c.ReadOnly, CapAdd: c.CapAdd, CapDrop: c.CapDrop,
		DNS:     each(c.DNS, netip.Addr.String),
		Hosts:   each(c.ExtraHosts, hostText),
		Devices: each(c.Devices, func(d config.Device) device { return device{deviceText(d)} }),
	}
	if b.Restart == "" {
		b.Restart = "no" // bootgraph starts again, in order and with backoff; Podman would do neither
	}
	if c.Restart.Retries > 0 {
		b.Tries = &c.Restart.Retries
	}
	b.storage(c)
	b.network(c, service, shares)
	b.security(c)
	b.limits(c)
	return b
}

func (b *createBody) storage(c *config.Container) {
	taken := map[string]bool{}
	for _, m := range c.Volumes {
		taken[m.Destination] = true
		switch i := slices.Index(m.Options, "O"); {
		case i >= 0:
			b.Overlays = append(b.Overlays, overlay{m.Destination, m.Source, slices.Delete(slices.Clone(m.Options), i, i+1)})
		case m.Bind():
			b.Mounts = append(b.Mounts, mount{m.Destination, "bind", m.Source, m.Options})
		default:
			b.Volumes = append(b.Volumes, namedVolume{m.Source, m.Destination, m.Options})
		}
	}
	for _, t := range c.Tmpfs {
		taken[t.Destination] = true
		b.Mounts = append(b.Mounts, mount{t.Destination, "tmpfs", "tmpfs", t.Options})
	}
	if c.ReadOnly { // podman-run(1) --read-only-tmpfs, on by default there; the API has no such default
		for _, dir := range []string{"/run", "/tmp", "/var/tmp"} {
			if !taken[dir] {
				b.Mounts = append(b.Mounts, mount{dir, "tmpfs", "tmpfs", []string{"rw", "rprivate", "nosuid", "nodev", "tmpcopyup"}})
			}
		}
	}
	for _, s := range c.Secrets {
		target := s.Target
		if target == "" {
			target = s.Name
		}
		if s.Type == "env" {
			if b.SecretEnv == nil {
				b.SecretEnv = map[string]string{}
			}
			b.SecretEnv[target] = s.Name
			continue
		}
		mode := s.Mode
		if mode == 0 {
			mode = secretMode
		}
		b.Secrets = append(b.Secrets, secret{s.Name, target, s.UID, s.GID, mode})
	}
}

func (b *createBody) network(c *config.Container, service, shares string) {
	for _, p := range c.Ports {
		m := portMapping{ContainerPort: p.ContainerPort, HostPort: p.HostPort, Range: max(p.Range, 1), Protocol: p.Protocol}
		if p.HostIP.IsValid() {
			m.HostIP = p.HostIP.String()
		}
		b.Ports = append(b.Ports, m)
	}
	mode := c.NetworkMode
	if shares != "" {
		mode = "container"
	}
	if len(c.Networks) > 0 {
		mode, b.Networks = "bridge", map[string]network{}
		for _, name := range c.Networks {
			b.Networks[name] = network{Aliases: []string{service}} // Podman adds the container's name
		}
	}
	if mode != "" { // else Podman's default: a bridge, or rootless its forwarder
		b.Netns = &namespace{mode, shares}
	}
}

// security takes security_opt apart as podman-run(1) does; config has checked
// the spelling.
func (b *createBody) security(c *config.Container) {
	for _, opt := range c.SecurityOpt {
		key, value, _ := strings.Cut(opt, "=")
		switch key {
		case "no-new-privileges":
			on, err := strconv.ParseBool(value)
			b.NoNewPrivileges = on || err != nil
		case "apparmor":
			b.AppArmor = value
		case "seccomp":
			b.Seccomp = value
		case "label":
			b.SELinux = append(b.SELinux, value)
		case "mask":
			b.Mask = append(b.Mask, strings.Split(value, ":")...)
		case "unmask":
			b.Unmask = append(b.Unmask, strings.Split(value, ":")...)
		case "proc-opts":
			b.ProcOpts = append(b.ProcOpts, strings.Split(value, ",")...)
		case "systempaths": // =unconfined, which podman create takes for Docker's sake
			b.Unmask = append(b.Unmask, "ALL")
		}
	}
}

func (b *createBody) limits(c *config.Container) {
	type limit = struct {
		Limit int64 `json:"limit"`
	}
	if c.Memory != 0 {
		b.Limits.Memory = &struct {
			Limit int64 `json:"limit"`
			Swap  int64 `json:"swap"`
		}{c.Memory, 2 * c.Memory} // podman-run(1) --memory-swap
	}
	if c.PidsLimit != 0 {
		b.Limits.Pids = &limit{max(c.PidsLimit, 0)} // podman-run(1): -1 is no limit, which runtimes call 0
	}
	if c.CPUs != 0 {
		const period = 100_000 // microseconds, the kernel's default
		b.Limits.CPU = &struct {
			Quota  int64  `json:"quota"`
			Period uint64 `json:"period"`
		}{int64(math.Round(c.CPUs * period)), period}
	}
	for _, u := range c.Ulimits {
		b.Rlimits = append(b.Rlimits, rlimit{u.Type, unlimited(u.Hard), unlimited(u.Soft)})
	}
}

func unlimited(n int64) uint64 {
	if n < 0 {
		return math.MaxUint64
	}
	return uint64(n)
}

// signalNumber is 0 for "". The real-time signals are counted from the first
// that the C libraries leave to programs, as Podman does.
func signalNumber(name string) int {
	const rtmin, rtmax = 34, 64
	n, found := strings.CutPrefix(name, "SIGRTMIN+")
	switch {
	case found:
		number, _ := strconv.Atoi(n)
		return rtmin + number
	case name == "SIGRTMIN":
		return rtmin
	case name == "SIGRTMAX":
		return rtmax
	}
	return int(unix.SignalNum(name))
}
