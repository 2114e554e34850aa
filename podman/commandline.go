package podman

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bootgraph/config"
)

// Word is one word of a command line.
type Word struct {
	Text string
	// Sensitive is the name of a variable of the container whose value
	// follows Text, and which is not to be written down; "" for none.
	Sensitive string
}

// CommandLine returns the words that, after the word podman, create a
// container as bootgraph does.
//
// It spells the request that would be sent, not the description a second
// time: what newBody knows of Podman (the swap that goes with memory, the
// tmpfs of read_only) is known in one place, and the container is the same.
// That podman create makes the same of it is tested for every attribute.
// What it does by itself and the API does not (take over the proxies of its
// own environment) is switched off.
//
// Flags and values are one word, --hostname=x, so that a value may begin with
// a dash. All that stands for a map is sorted.
func CommandLine(owner, stage, service string, c *config.Container) []Word {
	b := newBody(owner, stage, service, "", c)
	l := line{}
	l.add("", "create")
	l.add("name", b.Name)
	if c.Pull != "" && c.Pull != config.PullMissing {
		l.add("pull", string(c.Pull))
	}
	l.add("http-proxy", "false")
	l.add("restart", cmp.Or(restartText(c.Restart), "no"))
	l.add("stop-timeout", fmt.Sprint(b.StopTimeout))
	l.text("stop-signal", c.StopSignal)
	l.process(b, c)
	l.storage(b)
	l.network(b, c)
	l.security(b)
	l.limits(b, c)
	for _, key := range slices.Sorted(maps.Keys(b.Labels)) {
		l.add("label", key+"="+b.Labels[key])
	}
	l.add("", b.Image)
	l.add("", b.Command...)
	return l
}

// line is a command line that is being written.
type line []Word

// add adds words, each with the flag before it; "" for none.
func (l *line) add(flag string, values ...string) {
	if flag != "" {
		flag = "--" + flag + "="
	}
	for _, v := range values {
		*l = append(*l, Word{Text: flag + v})
	}
}

// text adds a flag unless its value is empty.
func (l *line) text(flag, value string) {
	if value != "" {
		l.add(flag, value)
	}
}

func (l *line) on(flag string, value bool) {
	if value {
		*l = append(*l, Word{Text: "--" + flag})
	}
}

func (l *line) process(b createBody, c *config.Container) {
	if len(b.Entrypoint) > 0 {
		words, _ := json.Marshal(b.Entrypoint) // podman-run(1): a list is written as JSON
		l.add("entrypoint", string(words))
	}
	for _, key := range slices.Sorted(maps.Keys(b.Env)) {
		if c.Sensitive[key] {
			*l = append(*l, Word{Text: "--env=" + key + "=", Sensitive: key})
			continue
		}
		l.add("env", key+"="+b.Env[key])
	}
	l.text("user", b.User)
	l.text("workdir", b.WorkDir)
	l.text("hostname", b.Hostname)
	l.on("init", b.Init)
}

func (l *line) storage(b createBody) {
	for _, v := range b.Volumes {
		l.add("volume", joinSet(":", v.Name, v.Dest, strings.Join(v.Options, ",")))
	}
	for _, o := range b.Overlays {
		l.add("volume", joinSet(":", o.Source, o.Destination, strings.Join(append([]string{"O"}, o.Options...), ",")))
	}
	for _, m := range b.Mounts {
		if m.Type == "tmpfs" {
			l.add("tmpfs", joinSet(":", m.Destination, strings.Join(m.Options, ",")))
		} else {
			l.add("volume", joinSet(":", m.Source, m.Destination, strings.Join(m.Options, ",")))
		}
	}
	if b.ReadOnly {
		l.on("read-only", true)
		l.add("read-only-tmpfs", "false") // they are among the mounts; which ones it adds changes with its version
	}
	for _, d := range b.Devices {
		l.add("device", listed(d.Path))
	}
	for _, s := range b.Secrets {
		l.add("secret", fmt.Sprintf("%s,type=mount,target=%s,uid=%d,gid=%d,mode=%04o", s.Source, s.Target, s.UID, s.GID, s.Mode))
	}
	for _, variable := range slices.Sorted(maps.Keys(b.SecretEnv)) {
		l.add("secret", b.SecretEnv[variable]+",type=env,target="+variable)
	}
}

func (l *line) network(b createBody, c *config.Container) {
	switch names := slices.Sorted(maps.Keys(b.Networks)); {
	case len(names) > 0:
		for _, name := range names {
			l.add("network", name+":alias="+strings.Join(b.Networks[name].Aliases, ",alias="))
		}
	case b.Netns != nil:
		l.add("network", b.Netns.Mode)
	}
	l.add("publish", each(c.Ports, portText)...)
	l.add("dns", b.DNS...)
	l.add("add-host", b.Hosts...)
}

func (l *line) security(b createBody) {
	l.on("privileged", b.Privileged)
	l.add("cap-add", b.CapAdd...)
	l.add("cap-drop", b.CapDrop...)
	if b.NoNewPrivileges {
		l.add("security-opt", "no-new-privileges")
	}
	for _, opt := range []struct {
		key    string
		values []string
	}{
		{"apparmor", []string{b.AppArmor}}, {"seccomp", []string{b.Seccomp}}, {"label", b.SELinux},
		{"mask", []string{strings.Join(b.Mask, ":")}}, {"unmask", b.Unmask}, {"proc-opts", []string{strings.Join(b.ProcOpts, ",")}},
	} {
		for _, v := range opt.values {
			if v != "" {
				l.add("security-opt", opt.key+"="+v)
			}
		}
	}
}

// limits of the CPU are written as a quota: podman rounds --cpus another way.
func (l *line) limits(b createBody, c *config.Container) {
	if m := b.Limits.Memory; m != nil {
		l.add("memory", strconv.FormatInt(m.Limit, 10))
		l.add("memory-swap", strconv.FormatInt(m.Swap, 10))
	}
	if cpu := b.Limits.CPU; cpu != nil {
		l.add("cpu-period", strconv.FormatUint(cpu.Period, 10))
		l.add("cpu-quota", strconv.FormatInt(cpu.Quota, 10))
	}
	if c.PidsLimit != 0 {
		l.add("pids-limit", strconv.FormatInt(c.PidsLimit, 10))
	}
	for _, u := range c.Ulimits {
		l.add("ulimit", ulimitText(u))
	}
}

// listed writes an element of a flag that podman reads as a line of CSV.
func listed(s string) string {
	if strings.ContainsAny(s, `,"`) {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}
