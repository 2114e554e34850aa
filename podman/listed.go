package podman

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// A boot of what runs already looks at everything in one list. That lacks the
// network of a container, and is old by the time its turn comes. A create or a
// start tells nothing of what it has brought about. The kernel has all of that,
// for a hundredth of what it costs to ask Podman once more.

// runsAsListed is a container that is to be kept, as a list had it, with what
// the list lacks. Nil: the kernel can't tell, or it doesn't run any more, and
// Podman is to be asked.
func (c *Client) runsAsListed(f *Found, w *config.Container) *Found {
	runs := c.runsOn(scheduler.Instance{ID: f.ID, StartedAt: f.StartedAt, PID: f.PID})
	if !runs || strings.HasPrefix(w.NetworkMode, "container:") || strings.HasPrefix(f.NetworkMode, "container:") {
		return nil // its ports are another's
	}
	whole := *f
	onHost, err := sharesNetwork(f.PID)
	switch {
	case err != nil:
		return nil
	case onHost:
		whole.NetworkMode = "host"
	default:
		whole.Addresses, err = addressesOf(f.PID)
		if err != nil || !ofNetworks(whole.Addresses, len(f.Networks)) {
			return nil
		}
	}
	return &whole
}

// asDescribed is a container as it will be found that was just created.
func asDescribed(id string, w *config.Container) Found {
	f := Found{Name: w.Name, ID: id, Image: w.Image, Ports: w.Ports, NetworkMode: w.NetworkMode, Networks: w.Networks}
	if len(f.Networks) == 0 {
		f.Networks = []string{"podman"} // one at most, whatever its name
	}
	return f
}

// runsSince is a container that Podman was asked to start at that time. Nil: as
// with runsAsListed. Rootless it is, unless the container is on networks of its
// own: the address of a forwarder's would be none of them.
func (c *Client) runsSince(f Found, w *config.Container, asked time.Time) *Found {
	f.State, f.StartedAt, f.PID = "running", asked, c.pidOf(f.ID)
	if f.PID == 0 || c.rootless && len(w.Networks) == 0 || slices.ContainsFunc(f.Ports, func(p config.Port) bool { return p.HostPort == 0 }) {
		return nil // which port it has been given, Podman alone knows
	}
	return c.runsAsListed(&f, w)
}

// pidFiles is where Podman has its process IDs, one of a container: the parts of
// the path before and after its ID. An inspect tells.
type pidFiles struct{ before, after string }

// pidOf is the process ID that Podman has of a container; 0: it isn't known, or
// not here. It may be that of an earlier run.
func (c *Client) pidOf(id string) int {
	at := c.pidFiles.Load()
	if at == nil || !c.local {
		return 0
	}
	text, err := os.ReadFile(at.before + id + at.after)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// sharesNetwork tells whether a process is on the network that we are on, see
// network_namespaces(7).
func sharesNetwork(pid int) (bool, error) {
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return false, err
	}
	ours, err := os.Readlink("/proc/self/ns/net")
	return its == ours, err
}

// addressesOf are the addresses of the network that a process is on, but for
// loopback and those that are good on one link only, sorted.
func addressesOf(pid int) ([]netip.Addr, error) {
	routes, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/fib_trie", pid))
	if err != nil {
		return nil, err
	}
	interfaces, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/if_inet6", pid))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
		return nil, err
	}
	list := append(localRoutes(string(routes)), globalAddresses(string(interfaces))...)
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list), nil
}

// ofNetworks tells whether that many networks of Podman can have given these
// addresses: each gives one of a kind. More are the container's own doing (a VPN,
// a bridge in it), and here they may be somebody else's.
func ofNetworks(addresses []netip.Addr, networks int) bool {
	v4 := 0
	for _, a := range addresses {
		if a.Is4() {
			v4++
		}
	}
	return v4 <= networks && len(addresses)-v4 <= networks
}

// localRoutes finds a network's own IPv4 addresses in its routes: each has one
// of its own, in the line after it (net/ipv4/fib_trie.c). There is no file of
// addresses.
//
//	|-- 10.88.0.5
//	   /32 host LOCAL
func localRoutes(trie string) (list []netip.Addr) {
	var last string
	for line := range strings.Lines(trie) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "|-- "); ok {
			last = text
		}
		if line == "/32 host LOCAL" {
			if address, err := netip.ParseAddr(last); err == nil && !address.IsLoopback() {
				list = append(list, address)
			}
		}
	}
	return list
}

// globalAddresses takes if_inet6 of proc_pid_net(5): the address, the number of
// the interface, the length of the prefix, the scope, flags and the name.
func globalAddresses(interfaces string) (list []netip.Addr) {
	const global = "00"
	for line := range strings.Lines(interfaces) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != global {
			continue
		}
		bytes, err := hex.DecodeString(fields[0])
		if address, ok := netip.AddrFromSlice(bytes); err == nil && ok {
			list = append(list, address)
		}
	}
	return list
}
