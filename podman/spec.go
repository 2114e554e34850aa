package podman

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"bootgraph/config"
)

// Labels that say whose a container is, and what it was created from.
const (
	LabelName      = "bootgraph.name"      // of the configuration: who has this label is ours
	LabelStage     = "bootgraph.stage"     // for people; a container may move to another stage
	LabelService   = "bootgraph.service"   // for people and for orphans
	LabelContainer = "bootgraph.container" // its name, by which it is found again if somebody has renamed it
	LabelSpec      = "bootgraph.spec"      // what was asked for; see specText
	LabelHash      = "bootgraph.hash"      // sha256 of the spec, for a quick look
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
	plain, hidden := map[string]string{}, map[string]string{}
	for key, value := range c.Env {
		if c.Sensitive[key] {
			hidden["env."+key] = fingerprint(c.Name+" env."+key, value)
		} else {
			plain[key] = value
		}
	}
	maps.Copy(hidden, c.Withheld) // it looks as it would with the values
	for _, s := range c.Secrets {
		if !s.Value.IsZero() {
			hidden["secrets."+s.Name] = fingerprint("secret "+s.Name, s.Value.Reveal())
		}
	}
	set("env", plain, len(plain) > 0)
	set(sensitiveField, hidden, len(hidden) > 0)
	sorted("ports", each(c.Ports, portText))
	sorted("volumes", each(c.Volumes, func(m config.Mount) string {
		return joinSet(":", m.Source, m.Destination, strings.Join(m.Options, ","))
	}))
	sorted("networks", c.Networks)
	text("network_mode", c.NetworkMode)
	sorted("secrets", each(c.Secrets, func(s config.SecretMount) string {
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

// Hash is the hash of a container's description, the value of LabelHash.
func Hash(c *config.Container) string {
	sum := sha256.Sum256([]byte(specText(c)))
	return hex.EncodeToString(sum[:])
}

// labels of a container, those of the user among them.
func labels(owner, stage, service string, c *config.Container) map[string]string {
	l := map[string]string{LabelName: owner, LabelStage: stage, LabelService: service, LabelContainer: c.Name, LabelSpec: specText(c), LabelHash: Hash(c)}
	for k, v := range c.Labels {
		if _, ours := l[k]; !ours {
			l[k] = v
		}
	}
	return l
}

// Diff is a field that differs. Elements of maps are fields of their own:
// env.HTTP. An empty text stands for a field that is not set.
type Diff struct {
	Field, From, To string
	// Of a list in which the order means nothing: the elements that only one
	// of the two has.
	Removed, Added []string
}

// differences compares the description a container was created from with what
// is wanted. A field that isn't there has its default, so a version of
// bootgraph that knows more fields finds no drift in older containers; a field
// that this version doesn't know is passed over.
func differences(spec string, want *config.Container) ([]Diff, error) {
	from, err := flatten(spec)
	if err != nil {
		return nil, err
	}
	to, err := flatten(specText(want))
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(from))
	for name := range to {
		if _, ok := from[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var diffs []Diff
	for _, name := range names {
		// As values, not as the texts that are shown: ["a b"] is not ["a", "b"],
		// and a variable that is empty is not one that isn't set.
		if !reflect.DeepEqual(from[name], to[name]) {
			diffs = append(diffs, diffOf(name, from[name], to[name]))
		}
	}
	return diffs, nil
}

func diffOf(name string, from, to any) Diff {
	_, hide := from.(hidden)
	if _, now := to.(hidden); hide || now { // one of them may be there in clear
		return Diff{Field: name, From: covered(from), To: covered(to)}
	}
	d := Diff{Field: name, From: valueText(name, from), To: valueText(name, to)}
	was, _ := from.([]any)
	is, _ := to.([]any)
	if slices.Contains(inOrder, name) || was == nil && is == nil {
		return d
	}
	d.Removed, d.Added = without(was, is), without(is, was)
	return d
}

// covered says that there is a value, and not which.
func covered(v any) string {
	if v == nil {
		return ""
	}
	return "(sensitive)"
}

// without are the elements of a list that another doesn't have.
func without(list, other []any) (rest []string) {
	for _, v := range list {
		if !slices.Contains(other, v) {
			rest = append(rest, fmt.Sprint(v))
		}
	}
	return rest
}

// fields of the language that a description may have.
var fields = strings.Fields(`image command entrypoint env ports volumes networks network_mode secrets user workdir hostname labels
	restart stop_timeout stop_signal memory cpus pids_limit ulimits cap_add cap_drop privileged read_only tmpfs devices
	security_opt dns extra_hosts init ` + sensitiveField)

// sensitiveField holds, of a description, what is not to be read in it: the
// fingerprints of values, by the names of the fields they are of, such as
// env.PASSWORD.
const sensitiveField = "sensitive"

// hidden is the fingerprint of a value.
type hidden string

// inOrder are the lists of which the order is part of the value.
var inOrder = []string{"command", "entrypoint", "dns"}

// flatten reads a description: the values by field, and by key where a field
// is a map. What isn't set has none.
func flatten(spec string) (map[string]any, error) {
	var described map[string]any
	if err := json.Unmarshal([]byte(spec), &described); err != nil {
		return nil, err
	}
	flat := map[string]any{}
	for name, value := range described {
		if !slices.Contains(fields, name) {
			continue
		}
		m, ok := value.(map[string]any)
		if !ok {
			flat[name] = value
			continue
		}
		for k, v := range m {
			if name == sensitiveField {
				flat[k] = hidden(fmt.Sprint(v))
			} else {
				flat[name+"."+k] = v
			}
		}
	}
	return flat, nil
}

// valueText shows a value, nil as "". Words are written so that one can tell
// where they end.
func valueText(field string, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		if field == "memory" {
			return sizeText(int64(v))
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		return strings.Join(each(v, func(v any) string { return wordText(fmt.Sprint(v)) }), " ")
	case string:
		if v == "" {
			return `""`
		}
		return v
	}
	return fmt.Sprint(v)
}

// wordText quotes a word of a list that would look like several, or like none.
func wordText(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\"") {
		return strconv.Quote(s)
	}
	return s
}

// sizeText writes bytes as the boot file does: 512m.
func sizeText(n int64) string {
	unit := 0
	for unit < 4 && n != 0 && n%1024 == 0 {
		n /= 1024
		unit++
	}
	return strconv.FormatInt(n, 10) + []string{"", "k", "m", "g", "t"}[unit]
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
