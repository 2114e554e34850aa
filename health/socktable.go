package health

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// socket is one of a socket table.
type socket struct {
	local, remote netip.AddrPort
	inode         uint64 // 0: of no process
}

// States of a socket, as the table has them.
const (
	stateListen      = "0A"
	stateEstablished = "01"
)

// listening returns the TCP sockets that listen in the network of a process:
// /proc/PID/net/tcp6 and tcp, as in proc_pid_net(5). It needs no right but that
// to see the process, and is an error where the process is not of this host.
func listening(pid int) ([]socket, error) {
	if pid <= 0 {
		return nil, errors.New("the process is not known on this host")
	}
	return socketTable(strconv.Itoa(pid), stateListen)
}

// nobodys reports whether the other end of a connection is on this host, and no
// process has taken it: it waits in the queue of a socket that listens. On its
// way it may have got another source address, but hardly another port.
func nobodys(conn net.Conn) bool {
	from, to := addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	if other, err := otherEnd(from, to); err == nil {
		return other != nil && other.inode == 0
	}
	here, err := socketTable("self", stateEstablished)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(here, func(s socket) bool { return s.local == to && s.remote.Port() == from.Port() && s.inode == 0 })
}

// otherEnd asks the kernel for the other end of a connection of ours; nil: it is
// not on this host, or it was accepted. The source address that it has got on its way, if another
// one, is one of the host's.
func otherEnd(from, to netip.AddrPort) (*socket, error) {
	d, err := openSockDiag()
	if err != nil {
		return nil, err
	}
	defer d.close()
	// That it doesn't find our end either tells that it can't find any.
	if ours, err := d.established(from, to); err != nil || ours.inode == 0 {
		return nil, errNoSocket
	}
	// One that was passed on to a container, as most are, is in no queue here.
	if waiting, err := d.queued(to); err == nil && waiting == 0 {
		return nil, nil
	}
	sources := []netip.Addr{from.Addr()}
	links, err := links()
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		if link.Addr().Is4() == to.Addr().Is4() {
			sources = append(sources, link.Addr())
		}
	}
	for _, source := range sources {
		if s, err := d.established(to, netip.AddrPortFrom(source, from.Port())); err == nil {
			return &s, nil
		}
	}
	return nil, nil
}

// links are the addresses of this host, each with the network it is of.
func links() (list []netip.Prefix, err error) {
	addresses, err := net.InterfaceAddrs()
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok {
			address, _ := netip.AddrFromSlice(network.IP)
			bits, _ := network.Mask.Size()
			list = append(list, netip.PrefixFrom(address.Unmap(), bits))
		}
	}
	return list, err
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(tcp.Addr().Unmap(), tcp.Port())
}

// socketTable has the sockets of a process's network that are in one state.
func socketTable(pid, state string) ([]socket, error) {
	var all []socket
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open("/proc/" + pid + "/net/" + name)
		if name == "tcp6" && errors.Is(err, fs.ErrNotExist) {
			break // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		sockets, err := parseSocketTable(f, state)
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, sockets...)
	}
	return all, nil
}

// parseSocketTable reads the sockets in one state from a table as in
// /proc/net/tcp:
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//	 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 ...
func parseSocketTable(r io.Reader, state string) (sockets []socket, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) < 10 || field[3] != state {
			continue
		}
		local, err := parseHexAddress(field[1])
		if err != nil {
			return nil, err
		}
		remote, err := parseHexAddress(field[2])
		if err != nil {
			return nil, err
		}
		inode, err := strconv.ParseUint(field[9], 10, 64)
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, socket{local, remote, inode})
	}
	return sockets, lines.Err()
}

// parseHexAddress reads 0100007F:1F90. The address is in words of 32 bits,
// each printed as a number of this machine; the port is a plain number.
func parseHexAddress(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("not an address of a socket table: %q", s)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("not an address of a socket table: %q", s)
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(p)), nil
}

// owns reports whether one of the sockets is open in a process of the
// container, that is one in the pid namespace of its first process, which comes
// first as it mostly is the server. Where /proc does not let us see, it says
// yes: then the table alone is the proof, as it is for a container with
// pid = host.
func owns(pid int, sockets []socket) bool {
	if opens(pid, sockets) {
		return true
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		return true
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		other, err := strconv.Atoi(filepath.Base(process))
		if err != nil || other == pid {
			continue
		}
		if ns, err := os.Readlink(process + "/ns/pid"); err == nil && ns == namespace && opens(other, sockets) {
			return true
		}
	}
	return false
}

// opens reports whether a process has one of the sockets open, or keeps it
// from us.
func opens(pid int, sockets []socket) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	for _, entry := range entries {
		link, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue
		}
		for _, s := range sockets {
			if link == fmt.Sprintf("socket:[%d]", s.inode) {
				return true
			}
		}
	}
	return false
}
