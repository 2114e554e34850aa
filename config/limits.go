package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a container may use, and what it may do.

// Bounds of memory. runc needs about the lower one to start a container at
// all (Podman takes a single byte, and the start fails); more than the upper
// one no machine has.
const (
	minMemory = 6 << 20
	maxMemory = 1 << 50
)

// sizeForm is that of docker/go-units, which Podman uses: kb and kib are k.
var sizeForm = regexp.MustCompile(`^(?i)([0-9]+(?:\.[0-9]+)?)(?:([kmgt])i?)?b?$`)

// parseMemory reads a number of bytes, or one with a unit k, m, g or t, each
// 1024 times the one before.
func parseMemory(s string) (int64, error) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%.40q is not an amount of memory: write it like 512m or 1.5g", s)
	}
	n, _ := strconv.ParseFloat(m[1], 64)
	if m[2] != "" {
		n = math.Ldexp(n, 10*(1+strings.Index("kmgt", strings.ToLower(m[2]))))
	}
	if n < minMemory || n > maxMemory {
		return 0, fmt.Errorf("%.40q is %.0f bytes; memory is from 6m to 1024t", s, n)
	}
	return int64(n), nil
}

// parseCPUs reads a number of processors. The kernel's quota is at least 1 ms
// in 100; Podman's 0, for no limit, is spelled by leaving it out.
func parseCPUs(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0.01 && n <= 1024) {
		return 0, fmt.Errorf("%.40q is not a number from 0.01 to 1024", s)
	}
	return n, nil
}

// parsePidsLimit reads a number of processes. Linux has 2^22 at most. Podman
// takes 0 and -2 as well, and it depends on the runtime what they do.
func parsePidsLimit(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n != -1 && (n < 1 || n > 1<<22) {
		return 0, fmt.Errorf("%.40q is neither a number from 1 to 4194304 nor -1, which is no limit", s)
	}
	return n, nil
}

// ulimits are the types that Podman knows, as in getrlimit(2).
var ulimits = strings.Fields("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack")

// parseUlimit reads TYPE=SOFT[:HARD]. Podman's "host" is no limit that a plan
// could show.
func parseUlimit(s string) (u Ulimit, err error) {
	kind, value, _ := strings.Cut(s, "=")
	if !slices.Contains(ulimits, kind) {
		return u, fmt.Errorf("%.40q is none of %s.%s Write TYPE=SOFT[:HARD]", kind, strings.Join(ulimits, ", "), DidYouMean(kind, ulimits))
	}
	soft, hard, found := strings.Cut(value, ":")
	if !found {
		hard = soft
	}
	u.Type = kind
	if u.Soft, err = strconv.ParseInt(soft, 10, 64); err == nil {
		u.Hard, err = strconv.ParseInt(hard, 10, 64)
	}
	switch {
	case err != nil || u.Soft < -1 || u.Hard < -1:
		return u, fmt.Errorf("%.40q: limits are numbers, or -1 for unlimited; write TYPE=SOFT[:HARD]", s)
	case u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1):
		return u, fmt.Errorf("%.40q: the soft limit is above the hard one", s)
	}
	return u, nil
}

// capabilities of Linux, capabilities(7). Podman refuses others when the
// container is created.
var capabilities = strings.Fields("AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE " +
	"DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN " +
	"NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT " +
	"SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM")

// parseCapability reads ALL, or NET_ADMIN in either case, with or without
// CAP_, and gives CAP_NET_ADMIN.
func parseCapability(s string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(s), "CAP_")
	switch {
	case name == "ALL":
		return name, nil
	case !slices.Contains(capabilities, name):
		return "", fmt.Errorf("%.40q is not a capability.%s", s, DidYouMean(name, capabilities))
	}
	return "CAP_" + name, nil
}

// securityOpts are the keys of podman-run(1) --security-opt.
var securityOpts = []string{"apparmor", "label", "mask", "no-new-privileges", "proc-opts", "seccomp", "systempaths", "unmask"}

// parseSecurityOpt checks the key; what the value means is the runtime's. The
// path of a seccomp profile starts at the file's directory, like every path.
func (d *decoder) parseSecurityOpt(s string) (string, error) {
	key, value, found := strings.Cut(s, "=")
	switch {
	case !slices.Contains(securityOpts, key):
		return "", fmt.Errorf("%.40q is none of %s.%s", key, strings.Join(securityOpts, ", "), DidYouMean(key, securityOpts))
	case key == "no-new-privileges":
		return s, nil
	case !found || value == "":
		return "", fmt.Errorf("%.40q: write %s=VALUE", s, key)
	case key == "seccomp" && value != "unconfined":
		return "seccomp=" + d.path(value), nil
	}
	return s, nil
}
