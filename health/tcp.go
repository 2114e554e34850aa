package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// holdTime is how long a connection has to stay open to be believed where the
// socket table can't be read. A forwarder that finds nobody behind it hangs up
// after about 200 ms.
const holdTime = 300 * time.Millisecond

// tcpProbe passes when the container itself listens on the port.
//
// That a connection is accepted proves nothing: rootless Podman's forwarder
// accepts for a container that does not listen yet, and conmon keeps published
// ports open for one whose NAT rule is gone. The proof is the socket that
// listens in the container's network. The kernel finds it at once where we may
// ask there; the table of all, which anybody may read, costs it 5 to 10 ms of
// CPU, so then a dial is asked first whether it is worth that.
// What is not published is there for the container's neighbours, and the socket
// alone tells: rootless, its addresses can't be dialled, and rootful must not
// give another answer.
func tcpProbe(h *config.Health, at []scheduler.Instance, n *network) probe {
	return func(ctx context.Context, last bool) error {
		l, err := n.locate(h, at, last)
		if err != nil {
			return err
		}
		if !l.published && !l.at.HostNetwork {
			if answer, known := l.inside(n, last); known {
				return answer
			}
		}
		if err := l.dialable(); err != nil {
			return err
		}
		conn, err := l.dial(ctx)
		if err != nil {
			refused := l.explain(ctx, h, err)
			// On the host's network it may listen on another address than
			// loopback. Else the table only explains, so it can wait.
			if last || l.at.HostNetwork {
				return l.behind(ctx, refused)
			}
			return refused
		}
		defer conn.Close()
		if listens, _ := n.listens(l); listens {
			return l.forwarded(conn)
		}
		if sockets, err := listening(l.at.PID); err == nil {
			if err := l.judge(sockets); err != nil {
				return err
			}
			return l.forwarded(conn)
		}
		return l.explain(ctx, h, hold(ctx, conn, min(holdTime, h.Timeout/2)))
	}
}

// inside is the answer where a port is not published, and whether it is known.
func (l place) inside(n *network, last bool) (answer error, known bool) {
	switch listens, known := n.listens(l); {
	case listens:
		return nil, true
	case known && !last:
		return fail("not_listening", "nothing listens on the port"), true
	}
	sockets, err := listening(l.at.PID)
	if err != nil {
		return nil, false
	}
	return l.judge(sockets), true
}

// behind tells by the socket table what is behind a port that can't be
// connected to.
func (l place) behind(ctx context.Context, refused error) error {
	sockets, err := listening(l.at.PID)
	if err != nil {
		return refused
	}
	err = l.judge(sockets)
	switch code := codeOf(err); {
	case code == "forwarder", code == "not_listening":
		return fail(codeOf(refused), "%s%s", refused, l.listens(sockets))
	case err != nil || l.at.HostNetwork:
		return err
	}
	// It may have begun to listen since it was dialled.
	conn, err := l.dial(ctx)
	if err != nil {
		return l.unreachable(refused)
	}
	return conn.Close()
}

// judge decides by the sockets that listen in the container's network.
func (l place) judge(sockets []socket) error {
	var onPort []socket
	loopback := true // all of them
	for _, s := range sockets {
		if s.local.Port() == l.port {
			onPort = append(onPort, s)
			loopback = loopback && s.local.Addr().IsLoopback()
		}
	}
	switch {
	case len(onPort) == 0 && l.published:
		return fail("forwarder", "only the port forwarder listens at %s%s", l.addresses[0], l.listens(sockets))
	case len(onPort) == 0:
		return fail("not_listening", "nothing listens on the port%s", l.listens(sockets))
	case l.published && loopback:
		return fail("loopback_only", "the container listens on %s only, where nobody outside reaches it; let it listen on 0.0.0.0", onPort[0].local)
	case l.at.HostNetwork && !owns(l.at.PID, onPort): // the table is the host's: anybody's socket is in it
		return fail("port_busy", "another process of the host listens on port %d", l.port)
	}
	return nil
}

// forwarded tells whether the connection to a published port has got to the
// container, which listens. Where the NAT rule is gone (a firewall that was
// loaded anew, a start of Podman's that was killed) it ends at conmon, which
// holds the port, listens, and takes nothing. Rootless there is no rule, and
// the forwarder hangs up if it can't pass on.
func (l place) forwarded(conn net.Conn) error {
	if l.published && l.at.Reachable && nobodys(conn) {
		return l.unreachable(fmt.Errorf("it is not passed on from %s", conn.RemoteAddr()))
	}
	return nil
}

// unreachable is the answer of a port behind which the container listens. A
// start of Podman's that was killed leaves a rule that comes before all later
// ones, and that Podman doesn't know of.
func (l place) unreachable(why error) error {
	hint := "try podman network reload " + l.at.Container
	if codeOf(why) == "timeout" {
		hint = fmt.Sprintf("an older rule may lead elsewhere: iptables -t nat -S | grep %d", l.addresses[0].Port())
	}
	return fail("port_unreachable", "the container listens, but %s; %s", why, hint)
}

// hold waits for a connection that was accepted to be closed again, for d at
// most. Nothing is sent. It is wrong only about a server that hangs up at once.
func hold(ctx context.Context, conn net.Conn, d time.Duration) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetReadDeadline(time.Now().Add(d))
	_, err := conn.Read(make([]byte, 1))
	switch {
	case err == nil: // it speaks
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded): // it waits for us to speak
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return err
}

// listens tells what the container does listen on, as the end of a sentence:
// "; the container listens on 8080, 127.0.0.1:9090". On the host's network
// that would be everything there is.
func (l place) listens(sockets []socket) string {
	if l.at.HostNetwork {
		return ""
	}
	var names []string
	for _, s := range sockets {
		name := s.local.String()
		if s.local.Addr().IsUnspecified() {
			name = fmt.Sprint(s.local.Port())
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	const most = 8
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	if len(names) == 0 {
		names = []string{"nothing"}
	}
	return "; the container listens on " + strings.Join(names, ", ")
}
