package health

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The kernel's tables as files are walked from one end to the other, 5 to 10 ms
// of CPU where memory, and so the tables, are large. sock_diag(7) finds one
// connection at once, if only in the network of this process.

// sockDiag asks the kernel for connections of this host.
type sockDiag struct{ fd int }

func openSockDiag() (*sockDiag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	return &sockDiag{fd}, err
}

func (d *sockDiag) close() { unix.Close(d.fd) }

const (
	sockDiagByFamily = 20 // linux/sock_diag.h
	inetDiagRequest  = 56 // bytes, struct inet_diag_req_v2 of linux/inet_diag.h
	tcpEstablished   = 1  // linux/tcp_states.h
)

var errNoSocket = errors.New("there is no such connection")

// established finds the socket of a connection by the address of either end. A
// kernel without sock_diag has none.
func (d *sockDiag) established(local, remote netip.AddrPort) (s socket, err error) {
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
	binary.NativeEndian.PutUint32(body[4:], 1<<tcpEstablished)
	binary.BigEndian.PutUint16(body[8:], local.Port())
	binary.BigEndian.PutUint16(body[10:], remote.Port())
	copy(body[12:28], local.Addr().AsSlice())
	copy(body[28:44], remote.Addr().AsSlice())
	for i := 48; i < 56; i++ {
		body[i] = 0xff // no cookie: any
	}
	if err := unix.Sendto(d.fd, q, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return s, err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(d.fd, answer, 0)
	if err != nil {
		return s, err
	}
	// struct inet_diag_msg: family, state, …, and the inode at its end.
	const message = 72
	if answer = answer[:n]; n < unix.SizeofNlMsghdr+message || binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return s, errNoSocket
	}
	body = answer[unix.SizeofNlMsghdr:]
	if body[1] != tcpEstablished { // the kernel's second choice is who listens there
		return s, errNoSocket
	}
	return socket{local: local, remote: remote, inode: uint64(binary.NativeEndian.Uint32(body[68:]))}, nil
}
