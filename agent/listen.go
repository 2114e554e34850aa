package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
)

// SocketPath is where the agent of a configuration listens unless it is told
// otherwise: $XDG_RUNTIME_DIR/bootgraph/NAME.sock, for root
// /run/bootgraph/NAME.sock.
func SocketPath(name string) (string, error) {
	if os.Geteuid() == 0 {
		return filepath.Join("/run/bootgraph", name+".sock"), nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return "", errors.New("cannot tell where the agent's socket is: set XDG_RUNTIME_DIR, or name it: unix:PATH")
	}
	return filepath.Join(dir, "bootgraph", name+".sock"), nil
}

// Endpoint is where the agent will listen. It is made, and all checked that
// can be checked, before the boot; nobody can connect before Listen.
type Endpoint struct {
	path  string // of the unix socket; "" for TCP
	tcp   string // HOST:PORT
	creds credentials.TransportCredentials
	home  string // directory that may be created; "": it has to be there
	local bool   // of NewLocalEndpoint
}

// pathMost is what fits into a sockaddr_un.
const pathMost = 107

// NewEndpoint reads an address: unix:PATH, or HOST:PORT, which takes all of
// files. warn is told of certificates that can't be read again.
func NewEndpoint(address string, files Files, warn func(error)) (*Endpoint, error) {
	path, isUnix := unixPath(address)
	switch {
	case isUnix && len(path) > pathMost:
		return nil, fmt.Errorf("cannot listen on %s: the path of a socket has at most %d bytes: name a shorter one", path, pathMost)
	case isUnix:
		if err := free(path); err != nil {
			return nil, err
		}
		return &Endpoint{path: path, creds: peerCredentials{}}, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("cannot listen on %q: it is neither unix:PATH nor HOST:PORT", address)
	}
	creds, err := files.server(warn)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return &Endpoint{tcp: address, creds: creds}, nil
}

// NewLocalEndpoint reads the address of a listener without TLS for what this
// machine alone may see: unix:PATH, or a port of the loopback. A name is no
// such address, since it may lead anywhere.
func NewLocalEndpoint(address string) (*Endpoint, error) {
	if _, isUnix := unixPath(address); isUnix {
		e, err := NewEndpoint(address, Files{}, nil)
		if err == nil {
			e.local = true
		}
		return e, err
	}
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %q: it is neither 127.0.0.1:PORT nor unix:PATH", address)
	case !at.Addr().IsLoopback():
		return nil, fmt.Errorf("cannot listen on %s: everybody who reaches the machine could read it: take 127.0.0.1:%d, or unix:PATH", address, at.Port())
	}
	return &Endpoint{tcp: address, local: true}, nil
}

// DefaultEndpoint is at SocketPath. Its directory is made if need be.
func DefaultEndpoint(name string) (*Endpoint, error) {
	path, err := SocketPath(name)
	if err != nil {
		return nil, err
	}
	e, err := NewEndpoint("unix:"+path, Files{}, nil)
	if err == nil {
		e.home = filepath.Dir(path)
	}
	return e, err
}

// Absolute is an address that leads to the same place from everywhere.
func Absolute(address string) string {
	if path, isUnix := unixPath(address); isUnix {
		return "unix:" + path
	}
	return address
}

func unixPath(address string) (path string, ok bool) {
	path, ok = strings.CutPrefix(address, "unix:")
	if !ok {
		return "", false
	}
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		path = rest // unix:///path
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path, true
}

// free tells that there is nothing at path, or the socket of an agent that is
// dead. Anything else is not ours to remove.
func free(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot listen on %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("cannot listen on %s: there is something else of that name, which is no socket", path)
	}
	conn, err := net.DialTimeout("unix", path, 5*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot tell whether another agent listens: %w", err)
	}
	conn.Close()
	return fmt.Errorf("cannot listen on %s: another agent does: end it, or choose another address", path)
}

// Listen opens the endpoint.
func (e *Endpoint) Listen() (net.Listener, error) {
	if e.path == "" {
		listener, err := net.Listen("tcp", e.tcp)
		if err != nil {
			return nil, fmt.Errorf("cannot listen: %w", err)
		}
		return listener, nil
	}
	if e.home != "" {
		if err := private(e.home); err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", e.path, err)
		}
	}
	if err := free(e.path); err != nil {
		return nil, err
	}
	listener, err := listenUnix(e.path)
	if err == nil && e.local {
		listener = ownListener{listener}
	}
	return listener, err
}

// ownListener lets in whom peerCredentials lets in, where no gRPC asks these.
type ownListener struct{ net.Listener }

func (l ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if _, _, err := (peerCredentials{}).ServerHandshake(conn); err == nil {
			return conn, nil
		}
		conn.Close()
	}
}

// private makes a directory of this user alone, or makes sure that it is one.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || stat == nil || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a directory of this user", dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to %s (mode %#o)", dir, info.Mode().Perm())
	}
	return nil
}

// listenUnix gives the socket its mode before it gets its name: nobody can
// come in between. The rename also takes the place of a dead agent's socket.
func listenUnix(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".") // mode 0700; a short name, since it counts
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	defer os.RemoveAll(dir)
	temporary := filepath.Join(dir, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false) // it would unlink the temporary name
	if err = os.Chmod(temporary, 0o600); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen on %s: %w", path, err), listener.Close())
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &unixListener{listener, path, info}, nil
}

// unixListener removes its socket when it is closed, unless another one has
// taken its place.
type unixListener struct {
	net.Listener
	path string
	made os.FileInfo
}

func (l *unixListener) Close() error {
	if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.made) {
		_ = os.Remove(l.path)
	}
	return l.Listener.Close()
}

// peerCredentials lets in over a unix socket the user that the agent runs as,
// and root, who could take the user's place anyway. The modes of the socket
// and of its directory say the same, but somebody may loosen these, or pass
// on a connection.
type peerCredentials struct{}

type peer struct {
	credentials.CommonAuthInfo
	uid uint32
}

func (peer) AuthType() string { return "peercred" }

func (peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	uid, err := peerUID(conn)
	if err != nil {
		return nil, nil, err
	}
	if !allowed(uid, os.Geteuid()) {
		return nil, nil, fmt.Errorf("user %d is refused: only user %d and root may connect", uid, os.Geteuid())
	}
	return conn, peer{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, uid}, nil
}

// ClientHandshake makes sure that it is not a stranger who listens at a path
// to which others may write.
func (peerCredentials) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	uid, err := peerUID(conn)
	if err != nil {
		return nil, nil, err
	}
	if os.Geteuid() != 0 && !allowed(uid, os.Geteuid()) {
		return nil, nil, fmt.Errorf("what listens there is of user %d, and no agent of this one", uid)
	}
	return conn, peer{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, uid}, nil
}

func allowed(uid uint32, own int) bool { return uid == 0 || int(uid) == own }

func peerUID(conn net.Conn) (uint32, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("%s is no unix socket", conn.RemoteAddr())
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var who *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	return who.Uid, nil
}

func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "peercred"}
}
func (c peerCredentials) Clone() credentials.TransportCredentials { return c }
func (peerCredentials) OverrideServerName(string) error           { return nil }

// String is the address as a client would name it.
func (e *Endpoint) String() string {
	if e.path != "" {
		return "unix:" + e.path
	}
	return e.tcp
}
