package health

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// place is where a port of a container is to be found from this host.
type place struct {
	at        scheduler.Instance
	port      uint16           // the container's
	published bool             // the addresses are the host's, and something forwards from there
	addresses []netip.AddrPort // to dial, in this order; empty: it can't be dialled
	network   *network         // that knows whether somebody listens; nil: nobody knows
}

// locate finds the port a check is about. Only TCP is looked for: a mapping of
// the same number for UDP is another port.
func locate(h *config.Health, at []scheduler.Instance) (place, error) {
	instance, err := oneOf(h, at)
	if err != nil && h.Component == "" { // several: the one that publishes it
		for _, i := range at {
			if len(mapped(i.Ports, h.Port)) > 0 {
				instance, err = i, nil
				break
			}
		}
	}
	if err != nil {
		return place{}, fail("no_port", "no container publishes port %d/tcp, and %s", h.Port, err)
	}
	l := place{at: instance, port: h.Port, addresses: mapped(instance.Ports, h.Port)}
	switch {
	case instance.HostNetwork:
		l.addresses = []netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), h.Port),
			netip.AddrPortFrom(netip.IPv6Loopback(), h.Port),
		}
	case len(l.addresses) > 0:
		l.published = true
	case instance.Reachable:
		for _, address := range instance.Addresses {
			l.addresses = append(l.addresses, netip.AddrPortFrom(address, h.Port))
		}
	}
	return l, nil
}

// mapped returns the addresses of this host where a port is published. An
// unspecified address is dialled as the loopback of its family, others as they
// are: what is published on ::1 or on a LAN address does not answer elsewhere.
func mapped(ports []config.Port, port uint16) (addresses []netip.AddrPort) {
	for _, m := range ports {
		if m.Protocol != "tcp" || m.HostPort == 0 || port < m.ContainerPort || int(port) >= int(m.ContainerPort)+int(max(m.Range, 1)) {
			continue
		}
		host := m.HostIP.Unmap()
		switch {
		case !host.IsValid() || host == netip.IPv4Unspecified():
			host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		case host == netip.IPv6Unspecified():
			host = netip.IPv6Loopback()
		}
		addresses = append(addresses, netip.AddrPortFrom(host, m.HostPort+port-m.ContainerPort))
	}
	return addresses
}

// dial connects to the first of the addresses that accepts. The error is that
// of the first address, the one that causes and names speak of. Nothing is
// resolved, and no proxy is asked. While the kernel knows that nobody listens
// there, it would be refused.
func (l place) dial(ctx context.Context) (net.Conn, error) {
	if listens, known := l.network.listens(l); known && !listens {
		return nil, syscall.ECONNREFUSED
	}
	var first error
	for _, address := range l.addresses {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address.String())
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// dialable is the error of a check that has to speak to the port and can't.
func (l place) dialable() error {
	if len(l.addresses) == 0 {
		return fail("not_published", "the port is not published; publish it on 127.0.0.1, or use an exec check")
	}
	return nil
}
