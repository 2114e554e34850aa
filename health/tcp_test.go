package health

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// listenOn listens on an address and does with each connection as it is told,
// until the test ends.
func listenOn(t *testing.T, address string, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	ok(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// What a server may do with a connection.
var (
	hangUp = func(net.Conn) {}
	silent = func(c net.Conn) { io.Copy(io.Discard, c) }
	speak  = func(c net.Conn) { c.Write([]byte("220 hello\r\n")); silent(c) }
	reset  = func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }
)

// closedPort is a port of 127.0.0.1 where nobody listens.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// published is a container whose port 8443 is published at an address.
func published(at netip.AddrPort) scheduler.Instance {
	c := container("c")
	c.Ports = []config.Port{{HostIP: at.Addr(), HostPort: at.Port(), ContainerPort: 8443, Range: 1, Protocol: "tcp"}}
	return c
}

var tcpCheck = config.Health{Kind: config.HealthTCP, Port: 8443}

// The processes here have a network of their own, as a container has, so what
// this test listens on stands for the forwarder of their published port.
func TestTCPBelievesTheSocketTableOnly(t *testing.T) {
	for _, c := range []struct {
		name, listens string // inside
		forwards      bool   // the published port accepts
		want          string
	}{
		{"listens", "0.0.0.0:8443", true, "passed"},
		{"listens on IPv6", "[::]:8443", true, "passed"},
		{"only the forwarder", "idle", true, "late forwarder: tcp 8443: only the port forwarder listens at HOST; the container listens on nothing"},
		{"another port", "0.0.0.0:9090 127.0.0.1:9091", true,
			"late forwarder: tcp 8443: only the port forwarder listens at HOST; the container listens on 127.0.0.1:9091, 9090"},
		{"loopback only", "127.0.0.1:8443", true,
			"late loopback_only: tcp 8443: the container listens on 127.0.0.1:8443 only, where nobody outside reaches it; let it listen on 0.0.0.0"},
		{"loopback only, IPv6", "[::1]:8443", true,
			"late loopback_only: tcp 8443: the container listens on [::1]:8443 only, where nobody outside reaches it; let it listen on 0.0.0.0"},
		{"loopback and more", "127.0.0.1:8443 10.1.2.3:8443", true, "passed"},
		{"refused", "idle", false, "late refused: tcp 8443: connection refused at HOST; the container listens on nothing"},
		{"refused, another port", "0.0.0.0:9090", false, "late refused: tcp 8443: connection refused at HOST; the container listens on 9090"},
		{"refused, loopback only", "127.0.0.1:8443", false,
			"late loopback_only: tcp 8443: the container listens on 127.0.0.1:8443 only, where nobody outside reaches it; let it listen on 0.0.0.0"},
		{"refused, though it listens", "0.0.0.0:8443", false,
			"late port_unreachable: tcp 8443: the container listens, but connection refused at HOST; try podman network reload c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := published(closedPort(t))
			if c.forwards {
				at = published(listenOn(t, "127.0.0.1:0", hangUp))
			}
			at.PID, _ = process(t, syscall.CLONE_NEWNET, c.listens)
			host := fmt.Sprintf("%s:%d", at.Ports[0].HostIP, at.Ports[0].HostPort)
			same(t, strings.ReplaceAll(probeNow(t, &fake{}, tcpCheck, at), host, "HOST"), c.want)
		})
	}
}

func TestTCPOfAPortThatIsNotPublished(t *testing.T) {
	for _, c := range []struct{ name, listens, want string }{
		{"listens", "0.0.0.0:8443", "passed"},
		{"nothing listens", "0.0.0.0:9090", "late not_listening: tcp 8443: nothing listens on the port; the container listens on 9090"},
		{"loopback only", "127.0.0.1:8443", "passed"}, // for those who share its network
	} {
		for _, reachable := range []bool{false, true} { // rootless, rootful
			t.Run(fmt.Sprintf("%s, reachable=%t", c.name, reachable), func(t *testing.T) {
				at := container("c")
				at.Addresses, at.Reachable = []netip.Addr{netip.MustParseAddr("127.0.0.1")}, reachable
				at.PID, _ = process(t, syscall.CLONE_NEWNET, c.listens)
				same(t, probeNow(t, &fake{}, tcpCheck, at), c.want)
			})
		}
	}
	t.Run("a remote one", func(t *testing.T) {
		same(t, probeNow(t, &fake{}, tcpCheck, container("c")),
			"late not_published: tcp 8443: the port is not published; publish it on 127.0.0.1, or use an exec check")
	})
}

// What the kernel tells at once has to be what its table tells.
func TestTheKernelKnowsWhoListensInAContainer(t *testing.T) {
	for _, c := range []struct {
		listens           string
		outside, fromHere bool // for who comes by its address; for its own network, too
	}{
		{"0.0.0.0:8443", true, true},
		{"[::]:8443", true, true},
		{"10.1.2.3:8443", true, true},
		{"127.0.0.1:8443", false, true},
		{"[::1]:8443", false, true},
		{"0.0.0.0:9090", false, false},
		{"10.1.2.4:8443", false, false},
		{"idle", false, false},
	} {
		t.Run(c.listens, func(t *testing.T) {
			at := container("c")
			at.Addresses, at.Reachable = []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00::3")}, true
			at.PID, _ = process(t, syscall.CLONE_NEWNET, c.listens)
			for published, want := range map[bool]bool{true: c.outside, false: c.fromHere} {
				n := &network{}
				defer n.close()
				got, known := n.listens(place{at: at, port: 8443, published: published})
				if !known || got != want {
					t.Errorf("published %t: listens %t, known %t", published, got, known)
				}
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		at := container("c")
		at.Addresses, at.Reachable, at.PID = []netip.Addr{netip.MustParseAddr("10.1.2.3")}, true, 1<<22+1 // more than there can be
		if listens, known := (&network{}).listens(place{at: at, port: 8443}); listens || known {
			t.Errorf("listens %t, known %t", listens, known)
		}
	})
}

// A client may dial when the check is over: what it would ask is closed then, and
// the number of its descriptor somebody else's.
func TestAClosedNetworkTellsNothing(t *testing.T) {
	at := container("c")
	at.Addresses, at.Reachable = []netip.Addr{netip.MustParseAddr("10.1.2.3")}, true
	at.PID, _ = process(t, syscall.CLONE_NEWNET, "0.0.0.0:8443")
	n, l := &network{}, place{at: at, port: 8443, published: true}
	if listens, known := n.listens(l); !listens || !known {
		t.Errorf("open: listens %t, known %t", listens, known)
	}
	n.close()
	if listens, known := n.listens(l); listens || known {
		t.Errorf("closed: listens %t, known %t", listens, known)
	}
	never := &network{}
	never.close()
	if _, known := never.listens(l); known {
		t.Error("one that was closed before it was asked opens again")
	}
}

// A port that nobody listens on is found out without a dial, which would be
// accepted here.
func TestWhatNobodyListensOnIsNotDialled(t *testing.T) {
	dialled := make(chan bool, 1)
	at := published(listenOn(t, "127.0.0.1:0", func(net.Conn) { dialled <- true }))
	at.Addresses, at.Reachable = []netip.Addr{netip.MustParseAddr("10.1.2.3")}, true
	at.PID, _ = process(t, syscall.CLONE_NEWNET, "idle")
	for _, kind := range []string{config.HealthTCP, config.HealthGRPC, config.HealthHTTP} {
		h := tcpCheck
		h.Kind, h.Path, h.Method, h.Timeout = kind, "/", "GET", time.Second
		ask, _, hangUp := New(&fake{}).probeOf(&h, []scheduler.Instance{at})
		err := ask(t.Context(), false)
		hangUp()
		same(t, codeOf(err), "refused")
	}
	select {
	case <-dialled:
		t.Error("it was dialled")
	default:
	}
}

// Where the socket table is out of reach (a remote Podman), a connection has to
// stay open to be believed.
func TestTCPHoldsTheConnectionWhereThereIsNoSocketTable(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		want  string
	}{
		{"waits for us", silent, "passed"},
		{"speaks first", speak, "passed"},
		{"hangs up", hangUp, "late forwarder: tcp 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"resets", reset, "late forwarder: tcp 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"is not there", nil, "late refused: tcp 8443: connection refused at HOST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := closedPort(t)
			if c.serve != nil {
				address = listenOn(t, "127.0.0.1:0", c.serve)
			}
			same(t, strings.ReplaceAll(probeNow(t, &fake{}, tcpCheck, published(address)), address.String(), "HOST"), c.want)
		})
	}
}

// On the host's network anybody may have the port.
func TestTCPOnTheHostNetworkBelongsToTheContainer(t *testing.T) {
	hostNetwork := func(pid int, port uint16) (scheduler.Instance, config.Health) {
		c := container("c")
		c.HostNetwork, c.PID = true, pid
		return c, config.Health{Kind: config.HealthTCP, Port: port}
	}
	portOf := func(a net.Addr) uint16 { return a.(*net.TCPAddr).AddrPort().Port() }

	t.Run("its own", func(t *testing.T) {
		pid, addresses := process(t, syscall.CLONE_NEWPID, "127.0.0.1:0")
		at, h := hostNetwork(pid, portOf(addresses[0]))
		same(t, probeNow(t, &fake{}, h, at), "passed")
	})
	t.Run("its child's", func(t *testing.T) {
		pid, addresses := process(t, syscall.CLONE_NEWPID, "parent of 127.0.0.1:0")
		at, h := hostNetwork(pid, portOf(addresses[0]))
		same(t, probeNow(t, &fake{}, h, at), "passed")
	})
	t.Run("on another address only", func(t *testing.T) {
		pid, addresses := process(t, syscall.CLONE_NEWPID, "10.1.2.3:0")
		at, h := hostNetwork(pid, portOf(addresses[0]))
		same(t, probeNow(t, &fake{}, h, at), "passed")
	})
	t.Run("a stranger's", func(t *testing.T) {
		pid, _ := process(t, syscall.CLONE_NEWPID, "idle")
		at, h := hostNetwork(pid, listenOn(t, "127.0.0.1:0", silent).Port())
		want := fmt.Sprintf("late port_busy: tcp %d: another process of the host listens on port %d", h.Port, h.Port)
		same(t, probeNow(t, &fake{}, h, at), want)
	})
	t.Run("nobody's", func(t *testing.T) {
		pid, _ := process(t, syscall.CLONE_NEWPID, "idle")
		at, h := hostNetwork(pid, closedPort(t).Port())
		want := fmt.Sprintf("late refused: tcp %d: connection refused at 127.0.0.1:%d", h.Port, h.Port)
		same(t, probeNow(t, &fake{}, h, at), want)
	})
}

func TestTCPWaitsUntilTheContainerListens(t *testing.T) {
	address := closedPort(t)
	var noted []string
	note := func(c scheduler.Cause) { // the server starts when it was seen not to be there
		if len(noted) == 0 {
			listenOn(t, address.String(), silent)
		}
		noted = append(noted, c.Code)
	}
	o := New(&fake{}).Await(t.Context(), service(tcpCheck), []scheduler.Instance{published(address)}, time.Now().Add(time.Hour), note)
	same(t, say(o)+" after "+strings.Join(noted, ", "), "passed after refused")
}

func TestWhereAPortIs(t *testing.T) {
	ip := netip.MustParseAddr
	port := func(hostIP string, host, inside, row uint16, protocol string) config.Port {
		p := config.Port{HostPort: host, ContainerPort: inside, Range: row, Protocol: protocol}
		if hostIP != "" {
			p.HostIP = ip(hostIP)
		}
		return p
	}
	one := func(component string, ports ...config.Port) scheduler.Instance {
		return scheduler.Instance{Component: component, Ports: ports}
	}
	for _, c := range []struct {
		name, component string
		at              []scheduler.Instance
		want            string
	}{
		{"published", "", []scheduler.Instance{one("", port("127.0.0.1", 28443, 8443, 1, "tcp"))}, "127.0.0.1:28443"},
		{"on all addresses", "", []scheduler.Instance{one("", port("", 28443, 8443, 1, "tcp"))}, "127.0.0.1:28443"},
		{"on 0.0.0.0", "", []scheduler.Instance{one("", port("0.0.0.0", 28443, 8443, 1, "tcp"))}, "127.0.0.1:28443"},
		{"on ::", "", []scheduler.Instance{one("", port("::", 28443, 8443, 1, "tcp"))}, "[::1]:28443"},
		{"on ::1", "", []scheduler.Instance{one("", port("::1", 28443, 8443, 1, "tcp"))}, "[::1]:28443"},
		{"on LAN and VPN", "", []scheduler.Instance{one("", port("192.168.1.5", 8443, 8443, 1, "tcp"), port("100.64.0.5", 8443, 8443, 1, "tcp"))},
			"192.168.1.5:8443 100.64.0.5:8443"},
		{"not the first mapping", "", []scheduler.Instance{one("", port("", 9090, 9090, 1, "tcp"), port("", 28443, 8443, 1, "tcp"))}, "127.0.0.1:28443"},
		{"in a range", "", []scheduler.Instance{one("", port("", 28440, 8440, 4, "tcp"))}, "127.0.0.1:28443"},
		{"behind a range", "", []scheduler.Instance{one("", port("", 28440, 8440, 3, "tcp"))}, "not published"},
		{"before a range", "", []scheduler.Instance{one("", port("", 28440, 8444, 3, "tcp"))}, "not published"},
		{"a range at the end", "", []scheduler.Instance{one("", port("", 1, 65535, 1, "tcp"))}, "not published"},
		{"UDP is another port", "", []scheduler.Instance{one("", port("", 8443, 8443, 1, "udp"))}, "not published"},
		{"UDP, then TCP", "", []scheduler.Instance{one("", port("", 1, 8443, 1, "udp"), port("", 2, 8443, 1, "tcp"))}, "127.0.0.1:2"},
		{"host network", "", []scheduler.Instance{{HostNetwork: true}}, "127.0.0.1:8443 [::1]:8443"},
		{"to be reached", "", []scheduler.Instance{{Reachable: true, Addresses: []netip.Addr{ip("10.88.0.2"), ip("fd00::2")}}}, "10.88.0.2:8443 [fd00::2]:8443"},
		{"not to be reached", "", []scheduler.Instance{{Addresses: []netip.Addr{ip("10.88.0.2")}}}, "not published"},
		{"the component", "web", []scheduler.Instance{one("api", port("", 1, 8443, 1, "tcp")), one("web", port("", 2, 8443, 1, "tcp"))}, "127.0.0.1:2"},
		{"the component, not published", "web", []scheduler.Instance{one("api", port("", 1, 8443, 1, "tcp")), one("web")}, "not published"},
		{"the one that publishes it", "", []scheduler.Instance{one("api"), one("web", port("", 2, 8443, 1, "tcp"))}, "127.0.0.1:2"},
		{"none of two publishes it", "", []scheduler.Instance{one("api"), one("web")},
			"no container publishes port 8443/tcp, and it is not clear which of the 2 containers is meant; say component = ..."},
		{"no such component", "db", []scheduler.Instance{one("api"), one("web")}, `no container publishes port 8443/tcp, and there is no component "db"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := tcpCheck
			h.Component = c.component
			l, err := locate(&h, c.at)
			got := "not published"
			switch {
			case err != nil:
				got = err.Error()
			case len(l.addresses) > 0:
				got = fmt.Sprint(l.addresses)
				got = got[1 : len(got)-1]
			}
			same(t, got, c.want)
		})
	}
}
