package health

import (
	"net"
	"net/netip"
	"sync"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// network is what the kernel tells of the network of a container: whether
// somebody listens there. That takes microseconds, where a dial, through NAT
// and refused, takes a hundred of them, so that what is about to be ready can be
// looked for more often. Its zero value is ready for use; it is for one check,
// and so for one container. Clients of gRPC and HTTP dial in goroutines of their
// own, which may outlast the probe.
type network struct {
	mu     sync.Mutex
	diag   *sockDiag
	failed bool // the kernel can't be asked, or not any more
}

// locate is where the port of a check is, and who knows whether it is worth a
// dial. The last probe dials in any case: there is more to tell of what is
// refused.
func (n *network) locate(h *config.Health, at []scheduler.Instance, last bool) (place, error) {
	l, err := locate(h, at)
	if !last {
		l.network = n
	}
	return l, err
}

// listens tells whether the container listens on the port, and whether that is
// known.
func (n *network) listens(l place) (listens, known bool) {
	if n == nil || !l.at.Reachable || l.at.HostNetwork || l.at.PID <= 0 || len(l.at.Addresses) == 0 {
		return false, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.diag == nil && !n.failed {
		n.diag = diagOf(l.at)
		n.failed = n.diag == nil
	}
	addresses := l.at.Addresses
	if !l.published { // then its neighbours ask, and itself
		addresses = append([]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, addresses...)
	}
	for _, address := range addresses {
		if n.failed {
			break
		}
		found, err := n.diag.listens(netip.AddrPortFrom(address, l.port))
		if found {
			return true, true
		}
		n.failed = err != nil
	}
	return false, !n.failed
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = true
	if n.diag != nil {
		n.diag.close()
	}
}

// diagOf asks in the network of a container; nil if that can't be done.
func diagOf(at scheduler.Instance) *sockDiag {
	if !diagWorks() {
		return nil
	}
	d, err := openSockDiagOf(at.PID)
	if err != nil {
		return nil
	}
	return d
}

// diagWorks tells whether the kernel has sock_diag: to one that hasn't, every
// socket is one that doesn't exist.
var diagWorks = sync.OnceValue(func() bool {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return false
	}
	defer l.Close()
	d, err := openSockDiag()
	if err != nil {
		return false
	}
	defer d.close()
	found, err := d.listens(addrPort(l.Addr()))
	return found && err == nil
})
