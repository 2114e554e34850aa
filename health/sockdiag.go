package health

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"
)

// The kernel's tables as files are walked from one end to the other, 5 to 10 ms
// of CPU where memory, and so the tables, are large. sock_diag(7) finds one
// socket at once, in microseconds, in the network where it was opened.

// sockDiag asks the kernel for sockets of one network.
type sockDiag struct{ fd int }

// openSockDiag is for the network that this process is on.
func openSockDiag() (*sockDiag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	return &sockDiag{fd}, nil
}

// openSockDiagOf is for the network that another process is on. It takes
// CAP_SYS_ADMIN, setns(2).
func openSockDiagOf(pid int) (d *sockDiag, err error) {
	namespace, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(namespace)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and need not find back
		if err = unix.Setns(namespace, unix.CLONE_NEWNET); err == nil {
			d, err = openSockDiag()
		}
	}()
	<-done
	return d, err
}

func (d *sockDiag) close() { unix.Close(d.fd) }

const (
	sockDiagByFamily = 20 // linux/sock_diag.h
	inetDiagRequest  = 56 // bytes, struct inet_diag_req_v2 of linux/inet_diag.h
	inetDiagMessage  = 72 // bytes, struct inet_diag_msg
	tcpEstablished   = 1  // linux/tcp_states.h
	tcpListen        = 10
)

var errNoSocket = errors.New("there is no such socket")

// established finds the socket of a connection by the address of either end. A
// kernel without sock_diag has none.
func (d *sockDiag) established(local, remote netip.AddrPort) (socket, error) {
	m, err := d.find(local, remote)
	if err == nil && m.state != tcpEstablished { // the kernel's second choice is who listens there
		err = errNoSocket
	}
	if err != nil {
		return socket{}, err
	}
	return socket{local: local, remote: remote, inode: m.inode}, nil
}

// listens tells whether a socket listens for what comes to an address, be it
// for all addresses. An error is that the kernel can't tell.
func (d *sockDiag) listens(at netip.AddrPort) (bool, error) {
	m, err := d.find(at, nobodyOf(at))
	if errors.Is(err, errNoSocket) {
		return false, nil
	}
	return m.state == tcpListen, err
}

// queued is how many connections to an address nobody has accepted yet.
func (d *sockDiag) queued(at netip.AddrPort) (int, error) {
	m, err := d.find(at, nobodyOf(at))
	if errors.Is(err, errNoSocket) {
		return 0, nil // who would they wait for
	}
	return int(m.received), err
}

func nobodyOf(at netip.AddrPort) netip.AddrPort {
	if at.Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}

// message is what is of use of a struct inet_diag_msg.
type message struct {
	state    byte
	received uint32 // bytes that nobody has read; of one that listens, connections that nobody has accepted
	inode    uint64
}

// find is what the kernel would give a packet to that came from remote.
func (d *sockDiag) find(local, remote netip.AddrPort) (message, error) {
	if err := unix.Sendto(d.fd, request(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return message{}, err
	}
	answer := make([]byte, 512) // a message and some attributes
	n, _, err := unix.Recvfrom(d.fd, answer, 0)
	if err != nil {
		return message{}, err
	}
	header, body := answer[:unix.SizeofNlMsghdr], answer[unix.SizeofNlMsghdr:max(n, unix.SizeofNlMsghdr)]
	switch kind := binary.NativeEndian.Uint16(header[4:]); {
	case kind == unix.NLMSG_ERROR && len(body) >= 4:
		err = unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		if errors.Is(err, unix.ENOENT) {
			err = errNoSocket
		}
		return message{}, err
	case kind != sockDiagByFamily || len(body) < inetDiagMessage:
		return message{}, fmt.Errorf("the kernel's answer is of kind %d, %d bytes", kind, n)
	}
	// struct inet_diag_msg: family, state, …, at 56 the queues, and the inode at its end.
	return message{body[1], binary.NativeEndian.Uint32(body[56:]), uint64(binary.NativeEndian.Uint32(body[68:]))}, nil
}

// request asks for one socket of any state.
func request(local, remote netip.AddrPort) []byte {
	family := byte(unix.AF_INET6)
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	q := make([]byte, unix.SizeofNlMsghdr+inetDiagRequest)
	binary.NativeEndian.PutUint32(q[0:], uint32(len(q)))
	binary.NativeEndian.PutUint16(q[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(q[6:], unix.NLM_F_REQUEST)
	body := q[unix.SizeofNlMsghdr:]
	body[0], body[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(body[4:], 1<<tcpEstablished|1<<tcpListen)
	binary.BigEndian.PutUint16(body[8:], local.Port())
	binary.BigEndian.PutUint16(body[10:], remote.Port())
	copy(body[12:28], local.Addr().AsSlice())
	copy(body[28:44], remote.Addr().AsSlice())
	for i := 48; i < 56; i++ {
		body[i] = 0xff // no cookie: any
	}
	return q
}
