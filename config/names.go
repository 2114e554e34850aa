package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// Names: of what is in the configuration, and of what it refers to elsewhere.

// checkName checks a name of the configuration. Names become parts of names
// of containers, so the rule is Podman's: names must match
// [a-zA-Z0-9][a-zA-Z0-9_.-]*. The bound is ours: Podman takes 300 characters
// and no name at all, for which it invents one.
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

// validName is checkName for those who want the name back.
func validName(s string) (string, error) { return s, checkName(s) }

// nameOf makes a valid name of the last element of a path, for a file that
// gives none.
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

// parseNetwork reads the name of a network. Options, as in
// podman-run(1) --network NAME:ip=…, are not part of the language.
func parseNetwork(s string) (string, error) { return s, errors.Join(checkName(s), checkNetwork(s)) }

// checkNetwork refuses what Podman would take for a mode.
func checkNetwork(name string) error {
	switch name {
	case "bridge", "host", "none", "private", "slirp4netns", "pasta", "default":
		return fmt.Errorf("%q is a network mode of Podman, not a network: see network_mode", name)
	}
	return nil
}

// parseNetworkMode reads a mode of podman-run(1) --network. Of the others,
// private is bridge or slirp4netns depending on who runs it, and ns:PATH has
// no counterpart on a host that has just booted.
func (d *decoder) parseNetworkMode(s string) (string, error) {
	if name, ok := strings.CutPrefix(s, "container:"); ok {
		if _, label, dotted := strings.Cut(name, "."); dotted && d.known[label] != nil {
			return s, fmt.Errorf("%.80q is the name of no container: write %q", name, "container:"+label)
		}
		return s, checkName(name)
	}
	if name, network := strings.CutPrefix(s, "network."); network || d.names["network"][s].Filename != "" {
		return s, fmt.Errorf("%.40q is a network: write networks = [network.%.40s]", s, name)
	}
	return choice("bridge", "host", "none", "container:NAME")(s)
}

// The grammar of an image's name, after github.com/distribution/reference,
// reference.go. It is copied because that module is the only thing that would
// be used of it.
const (
	imageHost = `(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?`
	imagePart = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
)

// imageRef finds the name without tag and digest, and the digits of the digest.
var (
	imageRef = regexp.MustCompile(`^((?:` + imageHost + `/)?` + imagePart + `(?:/` + imagePart + `)*)` +
		`(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:([0-9a-fA-F]{32,}))?$`)
	imageScheme = regexp.MustCompile(`^[a-z-]+://|^(docker|oci|dir|docker-archive|oci-archive|containers-storage):[./]`)
)

// parseImage checks the name of an image. A name without a registry is taken:
// which registries it is looked for in is the host's registries.conf to say.
// A transport is not, since Podman's API pulls from registries only.
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

// checkEnvKey checks the name of a variable: Podman's API takes any, and A=B
// then is a variable A whose value begins with B=.
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

// checkEnv checks a variable. What may be sensitive is not shown.
func checkEnv(key, value string) error {
	if size := len(key) + 1 + len(value); size > argMost {
		return fmt.Errorf("%.40q and its value have %d bytes; a program is given %d at most", key, size, argMost)
	}
	return checkEnvKey(key)
}

// checkLabel checks the name of a label.
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

// headerName is a token of RFC 9110, section 5.6.2.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110, token

// checkHeader refuses what would begin another header, or a request.
func checkHeader(key, value string) error {
	if !headerName.MatchString(key) {
		return fmt.Errorf("%.60q is not the name of a header", key)
	}
	if strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%.60q has a line end in its value", key)
	}
	return nil
}

// hostForm is a host name of RFC 1123, section 2.1.
var hostForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)

// parseHostname reads a host name. Linux allows 64 characters in all: with
// more, Podman creates the container and the start fails.
func parseHostname(s string) (string, error) {
	if len(s) > 64 || !hostForm.MatchString(s) {
		return "", fmt.Errorf("%.80q is not a host name: letters, digits and -, in parts of at most 63 joined by dots, at most 64 in all", s)
	}
	return s, nil
}

// userForm: Podman takes anything, and the start fails.
var userForm = regexp.MustCompile(`^[^\s:]+(:[^\s:]+)?$`)

// parseUser reads USER[:GROUP], names or numbers.
func parseUser(s string) (string, error) {
	if !userForm.MatchString(s) {
		return "", fmt.Errorf("%.40q is not USER[:GROUP], names or numbers", s)
	}
	return s, nil
}

// hostsName is more than a host name: files of hosts often have a _ in one.
var hostsName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// parseExtraHost reads HOST:IP; an IPv6 address may stand in brackets.
// host-gateway is known to Podman from 4.7 on; 4.3.1 refuses it.
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

// parseAddr reads an IP address. Podman's "none" for dns leaves the image's own
// resolv.conf, which the type has no place for.
func parseAddr(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return ip, fmt.Errorf("%.60q is not an IP address", s)
	}
	return ip, nil
}
