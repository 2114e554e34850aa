package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"time"

	"bootgraph/config"
)

// The form of a configuration in the registry. It is written by one version of
// bootgraph and read by later ones, so it has structs of its own: renaming a
// field of package config changes nothing here. Fields may be added; one that
// changes its meaning or goes takes a new format_version. What a field leaves
// out is zero, as in package config.
//
// The road not taken is the boot file's own language: references by name and
// the limits of a source don't hold for what for_each has multiplied.
//
// The leaves have the fields of their counterparts in package config, in the
// same order, so that Go converts one to the other and doesn't compile if a
// field is forgotten; for the others a test sets each field in turn.

type (
	fileWire struct {
		Name       string       `json:"name"`
		Dir        string       `json:"dir"`
		Connection string       `json:"connection,omitempty"`
		Secrets    []secretWire `json:"secrets,omitempty"`
		Networks   []string     `json:"networks,omitempty"`
		Volumes    []string     `json:"volumes,omitempty"`
		Stages     []stageWire  `json:"stages"`
	}
	secretWire struct {
		Name     string `json:"name"`
		File     string `json:"file,omitempty"`
		Env      string `json:"env,omitempty"`
		Withheld string `json:"withheld,omitempty"` // the fingerprint of its value
	}
	stageWire struct {
		Name      string           `json:"name"`
		OnFailure config.OnFailure `json:"on_failure"`
		Timeout   duration         `json:"timeout"`
		Attempts  int              `json:"attempts"`
		Services  []serviceWire    `json:"services"`
	}
	serviceWire struct {
		Name       string          `json:"name"`
		Label      string          `json:"label,omitempty"`
		Kind       config.Kind     `json:"kind"`
		Containers []containerWire `json:"containers,omitempty"`
		Existing   []string        `json:"existing,omitempty"`
		DependsOn  []string        `json:"depends_on,omitempty"`
		Wants      []string        `json:"wants,omitempty"`
		After      []string        `json:"after,omitempty"`
		Timeout    duration        `json:"timeout"`
		Attempts   int             `json:"attempts"`
		Health     []healthWire    `json:"health,omitempty"`

		// Earlier versions have none.
		OnDependencyRestart config.OnDependencyRestart `json:"on_dependency_restart,omitempty"`
	}
	containerWire struct {
		Name        string            `json:"name"`
		Component   string            `json:"component,omitempty"`
		Image       string            `json:"image"`
		Command     []string          `json:"command,omitempty"`
		Entrypoint  []string          `json:"entrypoint,omitempty"`
		Env         map[string]string `json:"env,omitempty"`
		Sensitive   map[string]bool   `json:"sensitive,omitempty"`
		EnvFrom     map[string]string `json:"env_from,omitempty"`
		Withheld    map[string]string `json:"withheld,omitempty"`
		Ports       []portWire        `json:"ports,omitempty"`
		Volumes     []mountWire       `json:"volumes,omitempty"`
		Networks    []string          `json:"networks,omitempty"`
		NetworkMode string            `json:"network_mode,omitempty"`
		Secrets     []secretMountWire `json:"secrets,omitempty"`
		User        string            `json:"user,omitempty"`
		Workdir     string            `json:"workdir,omitempty"`
		Hostname    string            `json:"hostname,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
		Restart     restartWire       `json:"restart,omitzero"`
		StopTimeout duration          `json:"stop_timeout"`
		StopSignal  string            `json:"stop_signal,omitempty"`
		Memory      int64             `json:"memory,omitempty"`
		CPUs        float64           `json:"cpus,omitempty"`
		PidsLimit   int64             `json:"pids_limit,omitempty"`
		Ulimits     []ulimitWire      `json:"ulimits,omitempty"`
		CapAdd      []string          `json:"cap_add,omitempty"`
		CapDrop     []string          `json:"cap_drop,omitempty"`
		Privileged  bool              `json:"privileged,omitempty"`
		ReadOnly    bool              `json:"read_only,omitempty"`
		Tmpfs       []tmpfsWire       `json:"tmpfs,omitempty"`
		Devices     []deviceWire      `json:"devices,omitempty"`
		SecurityOpt []string          `json:"security_opt,omitempty"`
		DNS         []netip.Addr      `json:"dns,omitempty"`
		ExtraHosts  []extraHostWire   `json:"extra_hosts,omitempty"`
		Init        bool              `json:"init,omitempty"`
		Pull        config.Pull       `json:"pull"`
	}
	healthWire struct {
		Kind       string            `json:"kind"`
		Interval   duration          `json:"interval,omitzero"`
		Timeout    duration          `json:"timeout"`
		Successes  int               `json:"successes"`
		StartDelay duration          `json:"start_delay,omitzero"`
		Component  string            `json:"component,omitempty"`
		Port       uint16            `json:"port,omitempty"`
		Service    string            `json:"service,omitempty"`
		TLS        *tlsWire          `json:"tls,omitempty"`
		Path       string            `json:"path,omitempty"`
		Method     string            `json:"method,omitempty"`
		Headers    map[string]string `json:"headers,omitempty"`
		Sensitive  map[string]bool   `json:"sensitive,omitempty"`
		Status     []statusWire      `json:"status,omitempty"`
		Body       string            `json:"body,omitempty"`
		Command    []string          `json:"command,omitempty"`
		Pattern    string            `json:"pattern,omitempty"`
	}

	portWire struct {
		HostIP        netip.Addr `json:"host_ip,omitzero"`
		HostPort      uint16     `json:"host_port,omitempty"`
		ContainerPort uint16     `json:"container_port"`
		Range         uint16     `json:"range"`
		Protocol      string     `json:"protocol"`
	}
	mountWire struct {
		Source      string   `json:"source,omitempty"`
		Destination string   `json:"destination"`
		Options     []string `json:"options,omitempty"`
	}
	secretMountWire struct { // and no value
		Name   string `json:"name"`
		Type   string `json:"type"`
		Target string `json:"target,omitempty"`
		UID    uint32 `json:"uid,omitempty"`
		GID    uint32 `json:"gid,omitempty"`
		Mode   uint32 `json:"mode,omitempty"`
	}
	restartWire struct {
		Policy  string `json:"policy"`
		Retries uint   `json:"retries,omitempty"`
	}
	ulimitWire struct {
		Type string `json:"type"`
		Soft int64  `json:"soft"`
		Hard int64  `json:"hard"`
	}
	tmpfsWire struct {
		Destination string   `json:"destination"`
		Options     []string `json:"options,omitempty"`
	}
	deviceWire struct {
		Host        string `json:"host"`
		Container   string `json:"container,omitempty"`
		Permissions string `json:"permissions,omitempty"`
	}
	extraHostWire struct {
		Host string `json:"host"`
		IP   string `json:"ip"`
	}
	tlsWire struct {
		CA                 string `json:"ca,omitempty"`
		Cert               string `json:"cert,omitempty"`
		Key                string `json:"key,omitempty"`
		ServerName         string `json:"server_name,omitempty"`
		InsecureSkipVerify bool   `json:"insecure_skip_verify,omitempty"`
	}
	statusWire struct {
		From int `json:"from"`
		To   int `json:"to"`
	}
)

// duration is written as in a boot file: 1m30s.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

func each[T, U any](list []T, f func(T) U) []U {
	if len(list) == 0 {
		return nil
	}
	out := make([]U, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func target(r config.Reference) string    { return r.Target }
func reference(s string) config.Reference { return config.Reference{Target: s} }

func wireFile(f *config.File) fileWire {
	return fileWire{Name: f.Name, Dir: f.Dir, Connection: f.Connection,
		Secrets: each(f.Secrets, func(s *config.Secret) secretWire {
			return secretWire{s.Name, s.File, s.Env, s.Withheld}
		}),
		Networks: each(f.Networks, func(n config.Network) string { return n.Name }),
		Volumes:  each(f.Volumes, func(v config.Volume) string { return v.Name }),
		Stages: each(f.Stages, func(s *config.Stage) stageWire {
			return stageWire{s.Name, s.OnFailure, duration(s.Timeout), s.Attempts, each(s.Services, wireService)}
		})}
}

func (w fileWire) file() *config.File {
	return &config.File{Name: w.Name, Dir: w.Dir, Connection: w.Connection,
		Secrets: each(w.Secrets, func(s secretWire) *config.Secret {
			return &config.Secret{Name: s.Name, File: s.File, Env: s.Env, Withheld: s.Withheld}
		}),
		Networks: each(w.Networks, func(name string) config.Network { return config.Network{Name: name} }),
		Volumes:  each(w.Volumes, func(name string) config.Volume { return config.Volume{Name: name} }),
		Stages: each(w.Stages, func(s stageWire) *config.Stage {
			return &config.Stage{Name: s.Name, OnFailure: s.OnFailure, Timeout: time.Duration(s.Timeout), Attempts: s.Attempts,
				Services: each(s.Services, serviceWire.service)}
		})}
}

func wireService(s *config.Service) serviceWire {
	return serviceWire{Name: s.Name, Label: s.Label, Kind: s.Kind, Containers: each(s.Containers, wireContainer), Existing: s.Existing,
		DependsOn: each(s.DependsOn, target), Wants: each(s.Wants, target), After: each(s.After, target),
		Timeout: duration(s.Timeout), Attempts: s.Attempts, Health: each(s.Health, wireHealth),
		OnDependencyRestart: s.OnDependencyRestart}
}

func (w serviceWire) service() *config.Service {
	return &config.Service{Name: w.Name, Label: w.Label, Kind: w.Kind, Containers: each(w.Containers, containerWire.container), Existing: w.Existing,
		DependsOn: each(w.DependsOn, reference), Wants: each(w.Wants, reference), After: each(w.After, reference),
		Timeout: time.Duration(w.Timeout), Attempts: w.Attempts, Health: each(w.Health, healthWire.health),
		OnDependencyRestart: cmp.Or(w.OnDependencyRestart, config.Ignore)}
}

func wireContainer(c *config.Container) containerWire {
	return containerWire{
		Name: c.Name, Component: c.Component, Image: c.Image, Command: c.Command, Entrypoint: c.Entrypoint,
		Env: c.Env, Sensitive: c.Sensitive, EnvFrom: c.EnvFrom, Withheld: c.Withheld,
		Ports:    each(c.Ports, func(p config.Port) portWire { return portWire(p) }),
		Volumes:  each(c.Volumes, func(m config.Mount) mountWire { return mountWire(m) }),
		Networks: c.Networks, NetworkMode: c.NetworkMode,
		Secrets: each(c.Secrets, func(s config.SecretMount) secretMountWire {
			return secretMountWire{s.Name, s.Type, s.Target, s.UID, s.GID, s.Mode}
		}),
		User: c.User, Workdir: c.Workdir, Hostname: c.Hostname, Labels: c.Labels,
		Restart: restartWire(c.Restart), StopTimeout: duration(c.StopTimeout), StopSignal: c.StopSignal,
		Memory: c.Memory, CPUs: c.CPUs, PidsLimit: c.PidsLimit,
		Ulimits: each(c.Ulimits, func(u config.Ulimit) ulimitWire { return ulimitWire(u) }),
		CapAdd:  c.CapAdd, CapDrop: c.CapDrop, Privileged: c.Privileged, ReadOnly: c.ReadOnly,
		Tmpfs:       each(c.Tmpfs, func(t config.Tmpfs) tmpfsWire { return tmpfsWire(t) }),
		Devices:     each(c.Devices, func(d config.Device) deviceWire { return deviceWire(d) }),
		SecurityOpt: c.SecurityOpt, DNS: c.DNS,
		ExtraHosts: each(c.ExtraHosts, func(h config.ExtraHost) extraHostWire { return extraHostWire(h) }),
		Init:       c.Init, Pull: c.Pull,
	}
}

func (w containerWire) container() *config.Container {
	return &config.Container{
		Name: w.Name, Component: w.Component, Image: w.Image, Command: w.Command, Entrypoint: w.Entrypoint,
		Env: w.Env, Sensitive: w.Sensitive, EnvFrom: w.EnvFrom, Withheld: w.Withheld,
		Ports:    each(w.Ports, func(p portWire) config.Port { return config.Port(p) }),
		Volumes:  each(w.Volumes, func(m mountWire) config.Mount { return config.Mount(m) }),
		Networks: w.Networks, NetworkMode: w.NetworkMode,
		Secrets: each(w.Secrets, func(s secretMountWire) config.SecretMount {
			return config.SecretMount{Name: s.Name, Type: s.Type, Target: s.Target, UID: s.UID, GID: s.GID, Mode: s.Mode}
		}),
		User: w.User, Workdir: w.Workdir, Hostname: w.Hostname, Labels: w.Labels,
		Restart: config.Restart(w.Restart), StopTimeout: time.Duration(w.StopTimeout), StopSignal: w.StopSignal,
		Memory: w.Memory, CPUs: w.CPUs, PidsLimit: w.PidsLimit,
		Ulimits: each(w.Ulimits, func(u ulimitWire) config.Ulimit { return config.Ulimit(u) }),
		CapAdd:  w.CapAdd, CapDrop: w.CapDrop, Privileged: w.Privileged, ReadOnly: w.ReadOnly,
		Tmpfs:       each(w.Tmpfs, func(t tmpfsWire) config.Tmpfs { return config.Tmpfs(t) }),
		Devices:     each(w.Devices, func(d deviceWire) config.Device { return config.Device(d) }),
		SecurityOpt: w.SecurityOpt, DNS: w.DNS,
		ExtraHosts: each(w.ExtraHosts, func(h extraHostWire) config.ExtraHost { return config.ExtraHost(h) }),
		Init:       w.Init, Pull: w.Pull,
	}
}

func wireHealth(h *config.Health) healthWire {
	return healthWire{Kind: h.Kind, Interval: duration(h.Interval), Timeout: duration(h.Timeout), Successes: h.Successes,
		StartDelay: duration(h.StartDelay), Component: h.Component, Port: h.Port, Service: h.Service, TLS: (*tlsWire)(h.TLS),
		Path: h.Path, Method: h.Method, Headers: h.Headers, Sensitive: h.Sensitive,
		Status: each(h.Status, func(s config.StatusRange) statusWire { return statusWire(s) }),
		Body:   h.Body, Command: h.Command, Pattern: h.Pattern}
}

func (w healthWire) health() *config.Health {
	return &config.Health{Kind: w.Kind, Interval: time.Duration(w.Interval), Timeout: time.Duration(w.Timeout), Successes: w.Successes,
		StartDelay: time.Duration(w.StartDelay), Component: w.Component, Port: w.Port, Service: w.Service, TLS: (*config.TLS)(w.TLS),
		Path: w.Path, Method: w.Method, Headers: w.Headers, Sensitive: w.Sensitive,
		Status: each(w.Status, func(s statusWire) config.StatusRange { return config.StatusRange(s) }),
		Body:   w.Body, Command: w.Command, Pattern: w.Pattern}
}

// Alike reports whether two services are described alike, sensitive values
// by their fingerprints.
func Alike(a, b *config.Service) bool {
	was, is := wireService(a), wireService(b)
	was.Label, is.Label = "", "" // the same by hand and by for_each
	one, err := json.Marshal(was)
	two, err2 := json.Marshal(is)
	return err == nil && err2 == nil && bytes.Equal(one, two)
}

// decodeFile reads a configuration. Of what package config makes sure of, it
// makes sure again of that without which others would panic or wait for ever;
// the digest has told that nothing else has changed either.
func decodeFile(text []byte) (*config.File, error) {
	var w fileWire
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, fmt.Errorf("its configuration can't be read: %w", err)
	}
	stage := map[string]int{} // of each service
	for i, s := range w.Stages {
		for _, service := range s.Services {
			if _, again := stage[service.Name]; again || service.Name == "" {
				return nil, fmt.Errorf("its configuration can't be: there are two services %.80q, or one without a name", service.Name)
			}
			stage[service.Name] = i
		}
	}
	for i, s := range w.Stages {
		if s.Timeout <= 0 {
			return nil, fmt.Errorf("its configuration can't be: stage %.80q has no timeout", s.Name)
		}
		for _, service := range s.Services {
			if err := checkService(service, i, stage); err != nil {
				return nil, fmt.Errorf("its configuration can't be: service %.80q: %w", service.Name, err)
			}
		}
	}
	return w.file(), nil
}

func checkService(s serviceWire, own int, stage map[string]int) error {
	for _, list := range [][]string{s.DependsOn, s.Wants, s.After} {
		for _, name := range list {
			if of, known := stage[name]; !known || of > own {
				return fmt.Errorf("it refers to %.80q, which there is not, or not before it", name)
			}
		}
	}
	switch {
	case s.Timeout <= 0:
		return errors.New("it has no timeout")
	case s.Kind != config.KindService && s.Kind != config.KindJob:
		return fmt.Errorf("its kind is %.40q", s.Kind)
	case len(s.Containers) == 0 && len(s.Existing) == 0:
		return errors.New("it has no containers")
	}
	for _, h := range s.Health {
		if err := checkHealth(h); err != nil {
			return err
		}
	}
	return nil
}

func checkHealth(h healthWire) error {
	switch h.Kind {
	case config.HealthTCP, config.HealthGRPC, config.HealthHTTP, config.HealthExec, config.HealthPodman, config.HealthLog, config.HealthNone:
	default:
		return fmt.Errorf("its health check is %.40q", h.Kind)
	}
	if h.Timeout <= 0 || h.Interval < 0 || h.Successes < 1 {
		return fmt.Errorf("its health check %s has no timeout, or needs no success", h.Kind)
	}
	_, body := regexp.Compile(h.Body)
	_, pattern := regexp.Compile(h.Pattern)
	return errors.Join(body, pattern)
}
