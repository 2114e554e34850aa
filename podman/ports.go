package podman

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bootgraph/config"
)

// Who has a port that a container could not get.

// busy is how a refused start says which port it was.
var busy = regexp.MustCompile(`listen (tcp|udp)[46]? (\S*):([0-9]+): bind: address already in use`)

// holder names a port that a start was refused for, and who has it as the end
// of a sentence, " by container old-dns", or "" if that can't be found out.
// final tells that it is a container, and so nothing that goes by itself.
func (h *Host) holder(ctx context.Context, refusal, id string, ports []config.Port) (port, by string, final bool) {
	if m := busy.FindStringSubmatch(refusal); m != nil {
		ip, _ := netip.ParseAddr(strings.Trim(m[2], "[]"))
		number, _ := strconv.ParseUint(m[3], 10, 16)
		ports = []config.Port{{HostIP: ip, HostPort: uint16(number), Range: 1, Protocol: m[1]}}
	}
	all, err := h.list(ctx, false)
	for _, p := range ports {
		if err == nil {
			for _, f := range all {
				if f.ID != id && (f.Running() || f.State == "paused") && slices.ContainsFunc(f.Ports, func(q config.Port) bool { return overlap(p, q) }) {
					return hostPort(p), " by container " + f.Name, true
				}
			}
		}
		if by := h.process(p); by != "" {
			return hostPort(p), " by " + by, false
		}
	}
	if len(ports) == 0 {
		return "of the container", "", false
	}
	return hostPort(ports[0]), "", false
}

// hostPort is the side of the host: 127.0.0.1:53/udp.
func hostPort(p config.Port) string {
	ip := "0.0.0.0"
	if p.HostIP.IsValid() {
		ip = p.HostIP.String()
	}
	s := net.JoinHostPort(ip, strconv.Itoa(int(p.HostPort)))
	if p.Range > 1 {
		s += fmt.Sprintf("-%d", int(p.HostPort)+int(p.Range)-1)
	}
	if p.Protocol != "tcp" {
		s += "/" + p.Protocol
	}
	return s
}

// overlap tells whether two published ports can't be there at the same time.
func overlap(p, q config.Port) bool {
	return cmp.Or(p.Protocol, "tcp") == cmp.Or(q.Protocol, "tcp") && sameAddress(p.HostIP, q.HostIP) &&
		int(p.HostPort) < int(q.HostPort)+int(max(q.Range, 1)) && int(q.HostPort) < int(p.HostPort)+int(max(p.Range, 1))
}

// sameAddress tells whether two listeners clash: one on all addresses clashes
// with every other one, of IPv6 also with those of IPv4.
func sameAddress(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	all := func(ip netip.Addr) bool { return !ip.IsValid() || ip.IsUnspecified() }
	return all(a) || all(b) || a == b
}

// process is the process that has the port, as far as this user may know.
func (h *Host) process(p config.Port) string {
	if !h.Local() {
		return ""
	}
	for _, table := range []string{p.Protocol, p.Protocol + "6"} {
		text, err := os.ReadFile("/proc/net/" + table) // proc_net(5)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || p.Protocol == "tcp" && f[3] != "0A" { // TCP_LISTEN
				continue
			}
			at, ok := socketAddress(f[1])
			if ok && at.Port() >= p.HostPort && int(at.Port()) < int(p.HostPort)+int(max(p.Range, 1)) && sameAddress(at.Addr(), p.HostIP) {
				return socketOwner(f[9])
			}
		}
	}
	return ""
}

// socketAddress reads 0100007F:0035: words of 32 bits in the order of the
// machine, which is little-endian wherever Podman is met.
func socketAddress(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(b, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip, uint16(number)), ok
}

// socketOwner is the process that has a socket open.
func socketOwner(inode string) string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(link, "/")[2]
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		argv, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		of := ""
		// conmon, which holds a container's ports, has its name after -n; one
		// that is left of a killed Podman is in no list.
		if args := strings.Split(string(argv), "\x00"); slices.Contains(args, "-n") && strings.TrimSpace(string(comm)) == "conmon" {
			of = " of container " + brief(args[slices.Index(args, "-n")+1])
		}
		return fmt.Sprintf("process %s%s (pid %s)", brief(string(comm)), of, pid)
	}
	return ""
}
