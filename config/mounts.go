package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// What a container gets to see of the host: volumes, tmpfs, secrets, devices.

// mountOptions are those of podman-run(1) --volume, with their groups. With
// upperdir= and workdir=, which go with O, 4.3 does nothing in --volume.
var mountOptions = map[string]string{
	"rw": "rw", "ro": "rw", "z": "z", "Z": "z", "O": "z", "U": "U", "idmap": "idmap", "copy": "copy", "nocopy": "copy",
	"dev": "dev", "nodev": "dev", "exec": "exec", "noexec": "exec", "suid": "suid", "nosuid": "suid",
	"bind": "bind", "rbind": "bind",
	"shared": "propagation", "rshared": "propagation", "slave": "propagation", "rslave": "propagation",
	"private": "propagation", "rprivate": "propagation", "unbindable": "propagation", "runbindable": "propagation",
}

// tmpfsOptions are those of podman-run(1) --tmpfs; those with a value end in =.
// uid= and gid= came with later versions.
var tmpfsOptions = map[string]string{
	"rw": "rw", "ro": "rw", "dev": "dev", "nodev": "dev", "exec": "exec", "noexec": "exec", "suid": "suid", "nosuid": "suid",
	"U": "U", "tmpcopyup": "copyup", "notmpcopyup": "copyup", "size=": "size", "mode=": "mode",
}

// parseOptions reads options joined by commas. Of each group, which is the
// value in known, there may be one: Podman refuses ro,rw and ro,ro alike, when
// the container is created.
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
			return nil, fmt.Errorf("%.40q is not an option.%s", option, DidYouMean(name, slices.Sorted(maps.Keys(known))))
		}
		if other, twice := seen[group]; twice {
			return nil, fmt.Errorf("options %s and %s exclude each other", other, option)
		}
		seen[group] = option
		options = append(options, option)
	}
	return options, nil
}

// parseInside reads an absolute path in a container. Podman takes .. and
// cleans it away: /../etc is /etc then, and nobody means that.
func parseInside(s string) (string, error) {
	switch {
	case !path.IsAbs(s):
		return "", fmt.Errorf("%.80q is not an absolute path in the container", s)
	case slices.Contains(strings.Split(s, "/"), ".."):
		return "", fmt.Errorf("%.80q has .. in it", s)
	}
	return path.Clean(s), nil
}

// parseTarget is parseInside for something that is mounted there. Podman takes
// /, and the image is gone under the mount.
func parseTarget(s string) (string, error) {
	clean, err := parseInside(s)
	if clean == "/" {
		return "", fmt.Errorf("%q is all of the container: nothing can be mounted there", s)
	}
	return clean, err
}

// parseMount reads an element of volumes, [SOURCE:]DESTINATION[:OPTIONS]. A
// source that begins with / or . is a path of the host; there is no ~, which
// is the shell's to expand. Whether the path exists is found out when the
// container is created: it may be on a disk that this boot mounts.
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
		if label, dotted := strings.CutPrefix(source, "volume."); dotted && d.names["volume"][label].Filename != "" {
			return m, fmt.Errorf("%.80q: a volume is named without volume: write %q", s, strings.TrimPrefix(s, "volume."))
		}
		m.Source, err = validName(source)
	}
	return m, err
}

// parseTmpfs reads an element of tmpfs, DESTINATION[:OPTIONS].
func parseTmpfs(s string) (t Tmpfs, err error) {
	destination, options, found := strings.Cut(s, ":")
	if t.Destination, err = parseTarget(destination); err != nil || !found {
		return t, err
	}
	t.Options, err = parseOptions(options, tmpfsOptions)
	return t, err
}

// parseSecret reads an element of secrets as podman-run(1) --secret does:
// NAME[,type=mount|env][,target=T][,uid=U][,gid=G][,mode=M].
func parseSecret(s string) (SecretMount, error) {
	parts := strings.Split(s, ",")
	secret := SecretMount{Name: parts[0], Type: "mount"}
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

// parseDevice reads HOST[:CONTAINER][:PERMISSIONS]. The second part is one or
// the other by whether it is made of r, w and m, as Podman tells them apart.
// (An empty one makes Podman 4.3.1 panic.)
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

// parseFile reads the path of a file of the host. It is not opened: a
// certificate may well be made by this boot.
func (d *decoder) parseFile(s string) (string, error) {
	if s == "" {
		return "", errors.New(`"" is not the name of a file`)
	}
	return d.path(s), nil
}
