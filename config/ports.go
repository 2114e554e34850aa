package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const portForm = "write [[IP:][HOST]:]CONTAINER[/tcp|udp|sctp]"

// parsePort reads an element of ports as podman-run(1) --publish does:
// [[IP:][HOST]:]CONTAINER[/PROTOCOL], both ports as ranges of one length if
// there are to be several. Without HOST Podman chooses a port. An IPv6
// address stands in brackets.
func parsePort(s string) (Port, error) {
	p := Port{Range: 1, Protocol: "tcp"}
	rest, protocol, found := strings.Cut(s, "/")
	if found {
		switch p.Protocol = strings.ToLower(protocol); p.Protocol {
		case "tcp", "udp", "sctp":
		default:
			return Port{}, fmt.Errorf("%.40q: %.20q is none of tcp, udp, sctp", s, protocol)
		}
	}
	host, container := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, container = rest[:i], rest[i+1:]
	}
	var err error
	if p.HostIP, host, err = cutAddr(host); err != nil {
		return Port{}, fmt.Errorf("%.60q: %w", s, err)
	}
	first, last, err := parseRange(container)
	if err != nil {
		return Port{}, fmt.Errorf("%.60q: container port %w; %s", s, err, portForm)
	}
	p.ContainerPort, p.Range = first, last-first+1
	if host == "" {
		return p, nil
	}
	if first, last, err = parseRange(host); err != nil {
		return Port{}, fmt.Errorf("%.60q: host port %w; %s", s, err, portForm)
	}
	if n := last - first + 1; n != p.Range {
		return Port{}, fmt.Errorf("%.60q: %d host ports for %d container ports: both ranges have one length", s, n, p.Range)
	}
	p.HostPort = first
	return p, nil
}

// cutAddr splits [IP:][HOST] where the colon after HOST has been cut off.
func cutAddr(s string) (ip netip.Addr, host string, err error) {
	text := ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if text, host, ok = strings.Cut(inner, "]:"); !ok {
			return ip, "", fmt.Errorf("after an address in brackets come a colon and the host port, which may be empty; %s", portForm)
		}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if text, host = s[:i], s[i+1:]; strings.Contains(text, ":") {
			return ip, "", fmt.Errorf("an IPv6 address stands in brackets; %s", portForm)
		}
	} else if strings.Contains(s, ".") {
		return ip, "", fmt.Errorf("after an address comes the host port, which may be empty, as in %.40s::CONTAINER", s)
	} else {
		return ip, s, nil
	}
	ip, err = netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return ip, "", fmt.Errorf("%.40q is not an IP address", text)
	}
	return ip.Unmap(), host, nil
}

// parseRange reads PORT or PORT-PORT.
func parseRange(s string) (first, last uint16, err error) {
	from, to, found := strings.Cut(s, "-")
	if first, err = parsePortNumber(from); err != nil || !found {
		return first, first, err
	}
	if last, err = parsePortNumber(to); err == nil && last < first {
		err = fmt.Errorf("range %s goes down", s)
	}
	return first, last, err
}

func parsePortNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%.20q is not a number from 1 to 65535", s)
	}
	return uint16(n), nil
}
