package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// How values are spelled: as on the command line of podman-run(1), 4.3, where
// there is such an option. What Podman takes and then fails on, or silently
// ignores, is an error here.

func anyText(s string) (string, error) { return s, nil }

// choice accepts a few words.
func choice[T ~string](words ...T) func(string) (T, error) {
	return func(s string) (T, error) {
		var all []string
		for _, word := range words {
			if T(s) == word {
				return word, nil
			}
			all = append(all, string(word))
		}
		return "", fmt.Errorf("%.40q is none of %s.%s", s, strings.Join(all, ", "), didYouMean(s, all))
	}
}

// checkName checks a name of the configuration. Names become parts of names
// of containers, so the rule is Podman's, with a bound.
func checkName(s string) error {
	if s == "" {
		return errors.New(`"" is not a name: a name has 1 to 63 characters`)
	}
	if len(s) > 63 {
		return fmt.Errorf("a name has at most 63 characters; %.20q… has %d", s, len(s))
	}
	for i, r := range s {
		switch {
		case r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
		case strings.ContainsRune("_.-", r) && i > 0:
		case strings.ContainsRune("_.-", r):
			return fmt.Errorf("%q begins with %q; a name begins with a letter or digit", s, r)
		default:
			return fmt.Errorf("%q has the character %q (U+%04X) in it; a name has letters A-Z and a-z, digits, and after the first character also _ . -", s, r, r)
		}
	}
	return nil
}

func validName(s string) (string, error) { return s, checkName(s) }

// nameOf makes a valid name of the last element of a path.
func nameOf(dir string) string {
	name := strings.Map(func(r rune) rune {
		if checkName("x"+string(r)) != nil {
			return '-'
		}
		return r
	}, filepath.Base(dir))
	name = strings.TrimLeft(name, "_.-")
	if name == "" {
		return "boot"
	}
	return name[:min(len(name), 63)]
}

// parseNetwork reads the name of a network; the modes have an attribute of
// their own.
func parseNetwork(s string) (string, error) { return s, errors.Join(checkName(s), checkNetwork(s)) }

func checkNetwork(name string) error {
	switch name {
	case "bridge", "host", "none", "private", "slirp4netns", "pasta", "default":
		return fmt.Errorf("%q is a network mode of Podman, not a network: see network_mode", name)
	}
	return nil
}

func parseNetworkMode(s string) (string, error) {
	if name, ok := strings.CutPrefix(s, "container:"); ok {
		return s, checkName(name)
	}
	return choice("bridge", "host", "none", "container:NAME")(s)
}

// parseDuration reads a duration in Go's spelling, positive, at most MaxDuration.
func parseDuration(s string) (time.Duration, error) {
	v, err := time.ParseDuration(s)
	number, notNumber := strconv.ParseFloat(s, 64)
	switch {
	case err != nil && notNumber == nil && number > 0 && number < MaxDuration.Seconds():
		return 0, fmt.Errorf("%q has no unit: write %q", s, strconv.FormatFloat(number, 'f', -1, 64)+"s")
	case err == nil && v <= 0, notNumber == nil && number <= 0:
		return 0, fmt.Errorf("%.40q is not more than 0", s)
	case err != nil:
		return 0, fmt.Errorf("%.40q is not a duration: write it like 500ms, 90s or 2m30s", s)
	case v > MaxDuration:
		return 0, fmt.Errorf("%.40q is longer than 24h, the longest there is", s)
	}
	return v, nil
}

// parseDelay is parseDuration with 0.
func parseDelay(s string) (time.Duration, error) {
	if v, err := time.ParseDuration(s); err == nil && v == 0 {
		return 0, nil
	}
	return parseDuration(s)
}

// parseSeconds is a duration in whole seconds, all that Podman knows of.
func parseSeconds(s string) (time.Duration, error) {
	v, err := parseDuration(s)
	if err == nil && v%time.Second != 0 {
		return 0, fmt.Errorf("%q is not a number of whole seconds", s)
	}
	return v, err
}

// parseConnection reads where Podman listens.
func parseConnection(s string) (string, error) {
	u, err := url.Parse(s)
	if err == nil {
		switch u.Scheme {
		case "unix":
			if u.Host == "" && path.IsAbs(u.Path) {
				return s, nil
			}
		case "ssh", "tcp":
			if u.Host != "" {
				return s, nil
			}
		}
	}
	return "", fmt.Errorf("%.60q is none of unix:///path, ssh://user@host/path, tcp://host:port", s)
}

// The grammar of an image's name, from distribution/reference.
const (
	imageHost = `(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?`
	imagePart = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
)

var (
	imageRef = regexp.MustCompile(`^((?:` + imageHost + `/)?` + imagePart + `(?:/` + imagePart + `)*)` +
		`(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:([0-9a-fA-F]{32,}))?$`)
	imageScheme = regexp.MustCompile(`^[a-z-]+://|^(docker|oci|dir|docker-archive|oci-archive|containers-storage):[./]`)
)

func parseImage(s string) (string, error) {
	const form = "write [REGISTRY/]NAME[:TAG][@DIGEST]"
	m := imageRef.FindStringSubmatch(s)
	switch {
	case s == "":
		return "", errors.New(`"" is not the name of an image: ` + form)
	case strings.ContainsFunc(s, unicode.IsSpace):
		return "", fmt.Errorf("%.80q has white space in it: %s", s, form)
	case imageScheme.MatchString(s):
		return "", fmt.Errorf("%.80q has a transport before the name: leave it out and %s", s, form)
	case m == nil && imageRef.MatchString(strings.ToLower(s)):
		return "", fmt.Errorf("%.80q has a capital letter in its repository: names are lower case, registries and tags need not be", s)
	case m == nil:
		return "", fmt.Errorf("%.80q is not the name of an image: %s", s, form)
	case len(m[1]) > 255:
		return "", fmt.Errorf("%.40q… is longer than 255 characters", s)
	case strings.Contains(s, "@sha256:") && len(m[2]) != 64:
		return "", fmt.Errorf("%.120q: a sha256 digest has 64 digits, not %d", s, len(m[2]))
	}
	return s, nil
}

func checkEnvKey(key string) error {
	switch {
	case key == "":
		return errors.New(`"" is not the name of a variable`)
	case strings.Contains(key, "="):
		return fmt.Errorf("%.40q has = in it, which ends the name of a variable", key)
	case strings.ContainsFunc(key, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Errorf("%.40q has white space or a control character in it", key)
	}
	return nil
}

func checkLabel(key, _ string) error {
	switch {
	case key == "":
		return errors.New(`"" is not the name of a label`)
	case strings.HasPrefix(key, "bootgraph."):
		return fmt.Errorf("%.60q: labels that begin with bootgraph. are how containers are known to be ours", key)
	case strings.ContainsFunc(key, func(r rune) bool { return r == '=' || unicode.IsControl(r) }):
		return fmt.Errorf("%.60q has = or a control character in it", key)
	}
	return nil
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110, token

func checkHeader(key, value string) error {
	if !headerName.MatchString(key) {
		return fmt.Errorf("%.60q is not the name of a header", key)
	}
	if strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%.60q has a line end in its value", key)
	}
	return nil
}

// mountOptions are those of podman-run(1) --volume; of each group a mount has
// at most one.
var mountOptions = map[string]string{
	"rw": "rw", "ro": "rw", "z": "z", "Z": "z", "O": "z", "U": "U", "idmap": "idmap", "copy": "copy", "nocopy": "copy",
	"dev": "dev", "nodev": "dev", "exec": "exec", "noexec": "exec", "suid": "suid", "nosuid": "suid",
	"bind": "bind", "rbind": "bind",
	"shared": "propagation", "rshared": "propagation", "slave": "propagation", "rslave": "propagation",
	"private": "propagation", "rprivate": "propagation", "unbindable": "propagation", "runbindable": "propagation",
}

// tmpfsOptions are those of podman-run(1) --tmpfs; those with a value end in =.
var tmpfsOptions = map[string]string{
	"rw": "rw", "ro": "rw", "dev": "dev", "nodev": "dev", "exec": "exec", "noexec": "exec", "suid": "suid", "nosuid": "suid",
	"U": "U", "tmpcopyup": "copyup", "notmpcopyup": "copyup", "size=": "size", "mode=": "mode",
}

func parseOptions(s string, known map[string]string) ([]string, error) {
	var options []string
	seen := map[string]string{}
	for _, option := range strings.Split(s, ",") {
		name := option
		if key, _, found := strings.Cut(option, "="); found {
			name = key + "="
		}
		group, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("%.40q is not an option.%s", option, didYouMean(name, slices.Sorted(maps.Keys(known))))
		}
		if other, twice := seen[group]; twice {
			return nil, fmt.Errorf("options %s and %s exclude each other", other, option)
		}
		seen[group] = option
		options = append(options, option)
	}
	return options, nil
}

// parseInside reads an absolute path in a container.
func parseInside(s string) (string, error) {
	switch {
	case !path.IsAbs(s):
		return "", fmt.Errorf("%.80q is not an absolute path in the container", s)
	case slices.Contains(strings.Split(s, "/"), ".."):
		return "", fmt.Errorf("%.80q has .. in it", s)
	}
	return path.Clean(s), nil
}

// parseTarget is parseInside for something that is mounted there.
func parseTarget(s string) (string, error) {
	clean, err := parseInside(s)
	if clean == "/" {
		return "", fmt.Errorf("%q is all of the container: nothing can be mounted there", s)
	}
	return clean, err
}

// parseMount reads an element of volumes: [SOURCE:]DESTINATION[:OPTIONS]. A
// source that begins with / or . is a path of the host.
func (d *decoder) parseMount(s string) (m Mount, err error) {
	parts := strings.Split(s, ":")
	switch {
	case len(parts) > 3:
		return m, fmt.Errorf("%.80q has more than three parts: write [SOURCE:]DESTINATION[:OPTIONS]", s)
	case len(parts) == 3:
		if m.Options, err = parseOptions(parts[2], mountOptions); err != nil {
			return m, err
		}
	case len(parts) == 1:
		m.Destination, err = parseTarget(s)
		return m, err
	}
	if m.Destination, err = parseTarget(parts[1]); err != nil {
		return m, err
	}
	switch source := parts[0]; {
	case source == "":
		return m, fmt.Errorf("%.80q: the source is empty", s)
	case source[0] == '/' || source[0] == '.':
		m.Source = d.path(source)
	case strings.Contains(source, "/"):
		return m, fmt.Errorf("%.80q is neither a path, which begins with / or ./, nor the name of a volume", source)
	default:
		m.Source, err = validName(source)
	}
	return m, err
}

func parseTmpfs(s string) (t Tmpfs, err error) {
	destination, options, found := strings.Cut(s, ":")
	if t.Destination, err = parseTarget(destination); err != nil || !found {
		return t, err
	}
	t.Options, err = parseOptions(options, tmpfsOptions)
	return t, err
}

// parseSecret reads NAME[,type=mount|env][,target=][,uid=][,gid=][,mode=].
func parseSecret(s string) (Secret, error) {
	parts := strings.Split(s, ",")
	secret := Secret{Name: parts[0], Type: "mount"}
	if err := checkName(secret.Name); err != nil {
		return secret, err
	}
	inFile := false // an option that only a file can have
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		var number *uint32
		base := 10
		switch key {
		case "type":
			if value != "mount" && value != "env" {
				return secret, fmt.Errorf("%.40q: type is mount or env", part)
			}
			secret.Type = value
		case "target":
			if value == "" {
				return secret, fmt.Errorf("%q has no value", part)
			}
			secret.Target = value
		case "uid":
			number = &secret.UID
		case "gid":
			number = &secret.GID
		case "mode":
			number, base = &secret.Mode, 8
		default:
			return secret, fmt.Errorf("%.40q is none of type=, target=, uid=, gid=, mode=", part)
		}
		if number != nil {
			n, err := strconv.ParseUint(value, base, 32)
			if err != nil || base == 8 && n > 0o7777 {
				return secret, fmt.Errorf("%.40q: uid and gid are numbers, mode is an octal one up to 7777", part)
			}
			*number, inFile = uint32(n), true
		}
	}
	if secret.Type == "env" {
		if inFile {
			return secret, fmt.Errorf("%.80q: uid, gid and mode are for type=mount", s)
		}
		return secret, checkEnvKey(cmp.Or(secret.Target, secret.Name))
	}
	return secret, nil
}

var userForm = regexp.MustCompile(`^[^\s:]+(:[^\s:]+)?$`)

func parseUser(s string) (string, error) {
	if !userForm.MatchString(s) {
		return "", fmt.Errorf("%.40q is not USER[:GROUP], names or numbers", s)
	}
	return s, nil
}

var hostForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)

// parseHostname follows RFC 1123; Linux allows 64 characters in all.
func parseHostname(s string) (string, error) {
	if len(s) > 64 || !hostForm.MatchString(s) {
		return "", fmt.Errorf("%.80q is not a host name: letters, digits and -, in parts of at most 63 joined by dots, at most 64 in all", s)
	}
	return s, nil
}

func parseRestart(s string) (Restart, error) {
	policy, retries, found := strings.Cut(s, ":")
	r := Restart{Policy: policy}
	switch {
	case found && policy == "on-failure":
		n, err := strconv.ParseUint(retries, 10, 31)
		if err != nil || n == 0 {
			return r, fmt.Errorf("%.40q: after on-failure: comes a number of retries, 1 or more", s)
		}
		r.Retries = uint(n)
		return r, nil
	case found:
		return r, fmt.Errorf("%.40q: only on-failure takes a number", s)
	}
	_, err := choice("no", "on-failure", "always", "unless-stopped")(s)
	return r, err
}

// signals of Linux by number, from 1 on; rtSignals are the further ones that
// Podman knows.
var signals = strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT " +
	"CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS")

var rtSignals = regexp.MustCompile(`^(RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)$`)

// parseSignal reads SIGTERM, TERM or 15, and gives SIGTERM.
func parseSignal(s string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= len(signals) {
		name = signals[n-1]
	}
	if !slices.Contains(signals, name) && !rtSignals.MatchString(name) {
		return "", fmt.Errorf("%.40q is not a signal.%s", s, didYouMean(name, signals))
	}
	return "SIG" + name, nil
}

var sizeForm = regexp.MustCompile(`^(?i)([0-9]+(?:\.[0-9]+)?)(?:([kmgt])i?)?b?$`)

// Bounds of memory: runc needs about as much to start a container at all, and
// more than the upper one no machine has.
const (
	minMemory = 6 << 20
	maxMemory = 1 << 50
)

// parseMemory reads a number of bytes, or with a unit k, m, g, t, of which
// each is 1024 of the one before.
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

// parseCPUs: the kernel's quota is at least 1 ms in 100.
func parseCPUs(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0.01 && n <= 1024) {
		return 0, fmt.Errorf("%.40q is not a number from 0.01 to 1024", s)
	}
	return n, nil
}

// parsePidsLimit: 4194304 is the most processes Linux can have.
func parsePidsLimit(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n != -1 && (n < 1 || n > 1<<22) {
		return 0, fmt.Errorf("%.40q is neither a number from 1 to 4194304 nor -1, which is no limit", s)
	}
	return n, nil
}

var ulimits = strings.Fields("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack")

func parseUlimit(s string) (u Ulimit, err error) {
	kind, value, _ := strings.Cut(s, "=")
	if !slices.Contains(ulimits, kind) {
		return u, fmt.Errorf("%.40q is none of %s.%s Write TYPE=SOFT[:HARD]", kind, strings.Join(ulimits, ", "), didYouMean(kind, ulimits))
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

// capabilities of Linux, capabilities(7).
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
		return "", fmt.Errorf("%.40q is not a capability.%s", s, didYouMean(name, capabilities))
	}
	return "CAP_" + name, nil
}

// parseDevice reads HOST[:CONTAINER][:PERMISSIONS].
func parseDevice(s string) (dev Device, err error) {
	parts := strings.Split(s, ":")
	if n := len(parts) - 1; n > 0 && strings.Trim(parts[n], "rwm") == "" {
		dev.Permissions, parts = parts[n], parts[:n]
		if p := dev.Permissions; p == "" || strings.Count(p, "r") > 1 || strings.Count(p, "w") > 1 || strings.Count(p, "m") > 1 {
			return dev, fmt.Errorf("%.80q: permissions are some of r, w, m, each once", s)
		}
	}
	dev.Host, dev.Container = parts[0], parts[len(parts)-1]
	if len(parts) > 2 || !path.IsAbs(dev.Host) || !path.IsAbs(dev.Container) {
		return dev, fmt.Errorf("%.80q is not HOST[:CONTAINER][:PERMISSIONS] with absolute paths, such as /dev/fuse:rw", s)
	}
	return dev, nil
}

var securityOpts = []string{"apparmor", "label", "mask", "no-new-privileges", "proc-opts", "seccomp", "systempaths", "unmask"}

// parseSecurityOpt checks the key; a relative path of a seccomp profile starts
// at the file's directory.
func (d *decoder) parseSecurityOpt(s string) (string, error) {
	key, value, found := strings.Cut(s, "=")
	switch {
	case !slices.Contains(securityOpts, key):
		return "", fmt.Errorf("%.40q is none of %s.%s", key, strings.Join(securityOpts, ", "), didYouMean(key, securityOpts))
	case key == "no-new-privileges":
		return s, nil
	case !found || value == "":
		return "", fmt.Errorf("%.40q: write %s=VALUE", s, key)
	case key == "seccomp" && value != "unconfined":
		return "seccomp=" + d.path(value), nil
	}
	return s, nil
}

func parseAddr(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return ip, fmt.Errorf("%.60q is not an IP address", s)
	}
	return ip, nil
}

// hostsName is more than a host name: files of hosts often have a _ in one.
var hostsName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// parseExtraHost reads HOST:IP; an IPv6 address may stand in brackets.
func parseExtraHost(s string) (h ExtraHost, err error) {
	host, ip, _ := strings.Cut(s, ":")
	if h.Host = host; !hostsName.MatchString(host) {
		return h, fmt.Errorf("%.60q is not HOST:IP: a host has letters, digits and . _ -", s)
	}
	h.IP = strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]")
	if _, bad := netip.ParseAddr(h.IP); bad != nil && h.IP != "host-gateway" {
		return h, fmt.Errorf("%.60q is not HOST:IP, where IP may be host-gateway", s)
	}
	return h, nil
}

// parseFile reads the path of a file of the host.
func (d *decoder) parseFile(s string) (string, error) {
	if s == "" {
		return "", errors.New(`"" is not the name of a file`)
	}
	return d.path(s), nil
}

func parsePath(s string) (string, error) {
	if !strings.HasPrefix(s, "/") || strings.ContainsFunc(s, func(r rune) bool { return r == '#' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", fmt.Errorf("%.80q is not a path: it begins with / and has no white space or # in it; host and port follow from the service", s)
	}
	return s, nil
}

var methodForm = regexp.MustCompile(`^[A-Z]+$`)

func parseMethod(s string) (string, error) {
	if !methodForm.MatchString(s) {
		return "", fmt.Errorf("%.40q is not a method: write it like GET or HEAD", s)
	}
	return s, nil
}

// parseStatus reads statuses and ranges of them, as in 200-299,404.
func parseStatus(s string) (ranges []StatusRange, err error) {
	for _, part := range strings.Split(s, ",") {
		from, to, found := strings.Cut(strings.TrimSpace(part), "-")
		if !found {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 100 || last > 599 || last < first {
			return nil, fmt.Errorf("%.40q: statuses are numbers from 100 to 599 and ranges of them, as in 200-299,404", s)
		}
		ranges = append(ranges, StatusRange{first, last})
	}
	return ranges, nil
}

func parseRegexp(s string) (string, error) {
	if s == "" {
		return "", errors.New(`"" is not an expression`)
	}
	if _, err := regexp.Compile(s); err != nil {
		return "", fmt.Errorf("%s; the syntax is that of RE2", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return s, nil
}
