package podman

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"bootgraph/config"
)

// Labels that say whose a container is, and what it was created from.
const (
	LabelName    = "bootgraph.name"    // of the configuration: who has this label is ours
	LabelStage   = "bootgraph.stage"   // for people; a container may move to another stage
	LabelService = "bootgraph.service" // for people and for orphans
	LabelSpec    = "bootgraph.spec"    // what was asked for; see specText
	LabelHash    = "bootgraph.hash"    // sha256 of the spec, for a quick look
)

const specVersion = 1

// describe is what a container is asked to be: the fields that the boot file
// sets, under their names in the language, in the spelling of podman run.
// Whatever stands for a set is sorted, so that its order is no drift.
//
// Drift is decided by comparing these, never by what Podman reports: it adds
// defaults of its own, which change from version to version, and docker
// compose recreates every running container on Podman 4.3 because of that.
func describe(c *config.Container) map[string]any {
	d := map[string]any{}
	set := func(field string, value any, said bool) {
		if said {
			d[field] = value
		}
	}
	list := func(field string, values []string) { set(field, values, len(values) > 0) }
	sorted := func(field string, values []string) { list(field, slices.Sorted(slices.Values(values))) }
	text := func(field, value string) { set(field, value, value != "") }
	flag := func(field string, value bool) { set(field, value, value) }

	text("image", c.Image)
	list("command", c.Command)
	list("entrypoint", c.Entrypoint)
	set("env", c.Env, len(c.Env) > 0)
	sorted("ports", each(c.Ports, portText))
	sorted("volumes", each(c.Volumes, func(m config.Mount) string {
		return joinSet(":", m.Source, m.Destination, strings.Join(m.Options, ","))
	}))
	sorted("networks", c.Networks)
	text("network_mode", c.NetworkMode)
	sorted("secrets", each(c.Secrets, func(s config.Secret) string {
		return fmt.Sprintf("%s,type=%s,target=%s,uid=%d,gid=%d,mode=%#o", s.Name, s.Type, s.Target, s.UID, s.GID, s.Mode)
	}))
	text("user", c.User)
	text("workdir", c.Workdir)
	text("hostname", c.Hostname)
	set("labels", c.Labels, len(c.Labels) > 0)
	text("restart", restartText(c.Restart))
	set("stop_timeout", c.StopTimeout.String(), c.StopTimeout != config.DefaultStopTimeout)
	text("stop_signal", c.StopSignal)
	set("memory", c.Memory, c.Memory != 0)
	set("cpus", c.CPUs, c.CPUs != 0)
	set("pids_limit", c.PidsLimit, c.PidsLimit != 0)
	sorted("ulimits", each(c.Ulimits, ulimitText))
	sorted("cap_add", c.CapAdd)
	sorted("cap_drop", c.CapDrop)
	flag("privileged", c.Privileged)
	flag("read_only", c.ReadOnly)
	sorted("tmpfs", each(c.Tmpfs, func(t config.Tmpfs) string { return joinSet(":", t.Destination, strings.Join(t.Options, ",")) }))
	sorted("devices", each(c.Devices, deviceText))
	sorted("security_opt", c.SecurityOpt)
	list("dns", each(c.DNS, netip.Addr.String))
	sorted("extra_hosts", each(c.ExtraHosts, hostText))
	flag("init", c.Init)
	return d
}

// specText is the description as canonical JSON: map keys are sorted by
// encoding/json.
func specText(c *config.Container) string {
	d := describe(c)
	d["version"] = specVersion
	text, err := json.Marshal(d)
	if err != nil {
		panic("podman: a description is no JSON: " + err.Error()) // strings, numbers and maps of them
	}
	return string(text)
}

// labels of a container, those of the user among them.
func labels(owner, stage, service string, c *config.Container) map[string]string {
	spec := specText(c)
	sum := sha256.Sum256([]byte(spec))
	l := map[string]string{LabelName: owner, LabelStage: stage, LabelService: service, LabelSpec: spec, LabelHash: hex.EncodeToString(sum[:])}
	for k, v := range c.Labels {
		if _, ours := l[k]; !ours {
			l[k] = v
		}
	}
	return l
}

// Diff is a field that differs. Elements of maps are fields of their own:
// env.HTTP. An empty text stands for a field that is not set. Values of env
// are hidden: any may come from a sensitive variable, and nothing here can tell.
type Diff struct{ Field, From, To string }

// differences compares the description a container was created from with what
// is wanted. A field that isn't there has its default, so a version of
// bootgraph that knows more fields finds no drift in older containers; a field
// that this version doesn't know is passed over.
func differences(spec string, want *config.Container) ([]Diff, error) {
	var was map[string]any
	if err := json.Unmarshal([]byte(spec), &was); err != nil {
		return nil, err
	}
	var wanted map[string]any
	if err := json.Unmarshal([]byte(specText(want)), &wanted); err != nil {
		return nil, err
	}
	from, to := flatten(was), flatten(wanted)
	var names []string
	for name := range from {
		names = append(names, name)
	}
	for name := range to {
		if _, ok := from[name]; !ok {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var diffs []Diff
	for _, name := range names {
		if from[name] != to[name] {
			d := Diff{name, from[name], to[name]}
			if strings.HasPrefix(name, "env.") {
				d.From, d.To = hidden(d.From), hidden(d.To)
			}
			diffs = append(diffs, d)
		}
	}
	return diffs, nil
}

func hidden(value string) string {
	if value == "" {
		return ""
	}
	return "(hidden)"
}

// fields of the language that a description may have.
var fields = strings.Fields(`image command entrypoint env ports volumes networks network_mode secrets user workdir hostname labels
	restart stop_timeout stop_signal memory cpus pids_limit ulimits cap_add cap_drop privileged read_only tmpfs devices
	security_opt dns extra_hosts init`)

func flatten(spec map[string]any) map[string]string {
	flat := map[string]string{}
	for name, value := range spec {
		if !slices.Contains(fields, name) {
			continue
		}
		if m, ok := value.(map[string]any); ok {
			for k, v := range m {
				flat[name+"."+k] = valueText(v)
			}
			continue
		}
		flat[name] = valueText(value)
	}
	return flat
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		return strings.Join(each(v, valueText), " ")
	}
	return fmt.Sprint(v)
}

// portText spells a port as podman run does: 127.0.0.1:53:53/udp.
func portText(p config.Port) string {
	span := func(first uint16) string {
		if p.Range > 1 {
			return fmt.Sprintf("%d-%d", first, int(first)+int(p.Range)-1)
		}
		return strconv.Itoa(int(first))
	}
	s := span(p.ContainerPort) + "/" + p.Protocol
	host := ""
	if p.HostPort != 0 {
		host = span(p.HostPort)
	}
	if p.HostIP.IsValid() {
		return net.JoinHostPort(p.HostIP.String(), host) + ":" + s
	}
	return joinSet(":", host, s)
}

// restartText is "" for the policy no, which is the default.
func restartText(r config.Restart) string {
	switch {
	case r.Policy == "no":
		return ""
	case r.Retries > 0:
		return fmt.Sprintf("%s:%d", r.Policy, r.Retries)
	}
	return r.Policy
}

func ulimitText(u config.Ulimit) string { return fmt.Sprintf("%s=%d:%d", u.Type, u.Soft, u.Hard) }

func deviceText(d config.Device) string { return joinSet(":", d.Host, d.Container, d.Permissions) }

func hostText(h config.ExtraHost) string { return h.Host + ":" + h.IP }

// joinSet joins the parts that are not empty.
func joinSet(by string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), by)
}

func each[T, U any](list []T, f func(T) U) []U {
	out := make([]U, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}
