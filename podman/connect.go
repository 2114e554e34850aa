package podman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Connect finds Podman and checks that it is one that can be spoken to.
//
// uri is what the user has chosen; "" means CONTAINER_HOST, and else the
// socket of this user's rootless Podman or, for root, of the system's. Where
// none is chosen, nobody answers, and podman is installed, a private service
// is started and ended with Close.
//
//	unix:///PATH
//	ssh://[USER@]HOST[:PORT][/PATH]  runs the user's ssh, so that its configuration, keys and agent hold
//	tcp://HOST:PORT                  of the loopback only: it is plain text, and who reaches it is root
func Connect(ctx context.Context, uri string) (*Client, error) {
	if uri == "" {
		uri = os.Getenv("CONTAINER_HOST")
	}
	if uri != "" {
		return connect(ctx, uri)
	}
	return connectDefault(ctx, defaultSocket())
}

// connectDefault speaks to the Podman on a socket, or else to a private one.
func connectDefault(ctx context.Context, socket string) (*Client, error) {
	c, err := connect(ctx, "unix://"+socket)
	if !is(err, "podman_unreachable") {
		return c, err
	}
	if _, missing := exec.LookPath("podman"); missing != nil {
		return nil, failed("podman_unreachable", "%v; and podman is not installed here", err)
	}
	s, err := startService(ctx)
	if err != nil {
		return nil, err
	}
	if c, err = connect(ctx, "unix://"+s.socket()); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	c.service = s
	return c, nil
}

// defaultSocket is where systemd's podman.socket listens.
func defaultSocket() string {
	if os.Geteuid() == 0 {
		return "/run/podman/podman.sock"
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = fmt.Sprintf("/run/user/%d", os.Geteuid())
	}
	return dir + "/podman/podman.sock"
}

// connect speaks to the one Podman that the URI names.
func connect(ctx context.Context, uri string) (*Client, error) {
	c := &Client{uri: uri, calls: make(chan struct{}, callsMost)}
	dial, err := c.dialer()
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:         dial,
		MaxIdleConnsPerHost: callsMost, // the default, 2, would close what is about to be used again
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}}
	if err := c.hello(ctx); err != nil {
		c.http.CloseIdleConnections()
		return nil, err
	}
	return c, nil
}

// dialer says how a connection is made; for a unix socket it also learns who
// is on the other side.
func (c *Client) dialer() (func(context.Context, string, string) (net.Conn, error), error) {
	u, err := url.Parse(c.uri)
	if err != nil {
		return nil, failed("podman_connection", "cannot connect to podman: %v", err)
	}
	address := u.Path
	switch {
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		peer, err := peerOf(u.Path)
		if err != nil {
			return nil, unreachable(c.uri, "connect", err)
		}
		// Podman in another PID namespace has no process ID here: its files
		// and processes are not ours, although the socket is.
		c.local, c.rootless = peer.Pid != 0, peer.Uid != 0
	case u.Scheme == "ssh" && u.Hostname() != "" && !strings.HasPrefix(u.Host, "-"):
		return func(context.Context, string, string) (net.Conn, error) { return dialSSH(u) }, nil
	case u.Scheme == "tcp":
		ip, err := netip.ParseAddr(u.Hostname())
		if u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
			return nil, failed("podman_connection", "cannot connect to podman at %s: over plain tcp whoever reaches it is root there, so only the loopback is allowed; use ssh://USER@HOST/PATH", c.uri)
		}
		address = u.Host
	default:
		return nil, failed("podman_connection", "cannot connect to podman at %q: write unix:///PATH, ssh://USER@HOST/PATH or tcp://127.0.0.1:PORT", c.uri)
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, u.Scheme, address)
	}, nil
}

// peerOf is who listens on a unix socket, unix(7) SO_PEERCRED. It costs
// nothing; asking Podman (info) takes it 0.2 s.
func peerOf(path string) (*syscall.Ucred, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *syscall.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) {
		peer, failure = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	return peer, errors.Join(err, failure)
}

// hello asks what answers, and which version.
func (c *Client) hello(ctx context.Context) error {
	q := call{what: "connect", limit: readLimit}
	limited, cancel := context.WithTimeoutCause(ctx, q.limit, errLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, "http://podman/_ping", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(ctx, limited, q, err)
	}
	resp.Body.Close()
	api := resp.Header.Get("Libpod-API-Version")
	major, _, _ := strings.Cut(api, ".")
	n, err := strconv.Atoi(major)
	switch {
	case api == "" && resp.Header.Get("API-Version") != "":
		return failed("podman_version", "what answers at %s is docker, not podman", c.uri)
	case api == "" || err != nil:
		return failed("podman_version", "what answers at %s is not podman", c.uri)
	case n < 4:
		return failed("podman_version", "podman at %s speaks API %s; 4.0 or newer is needed", c.uri, api)
	}
	c.version = api
	if _, v, ok := strings.Cut(resp.Header.Get("Server"), "Libpod/"); ok {
		c.version, _, _ = strings.Cut(v, " ")
	}
	if strings.HasPrefix(c.uri, "unix:") {
		return nil // its peer has told
	}
	info, err := c.info(ctx)
	c.rootless = info.Host.Security.Rootless
	return err
}

// info is what Podman tells of itself, as far as it is used.
type info struct {
	Host struct {
		Hostname string
		Security struct{ Rootless bool }
	}
	Store struct{ GraphRoot string }
}

func (c *Client) info(ctx context.Context) (i info, err error) {
	err = c.do(ctx, call{what: "ask podman about its host", path: "/info", limit: createLimit}, &i)
	return i, err
}

// Place tells one Podman from another, whatever it is reached by. There is
// nothing better: Podman has no ID of its own.
type Place struct {
	Hostname string
	Storage  string // the directory of its containers
}

// Place asks where Podman has its containers.
func (c *Client) Place(ctx context.Context) (Place, error) {
	i, err := c.info(ctx)
	return Place{i.Host.Hostname, i.Store.GraphRoot}, err
}

// dialSSH runs `ssh HOST podman system dial-stdio` and is connected to its
// standard input and output. A library for ssh would not read ~/.ssh/config,
// nor jump hosts. The process is in a group of its own, so that Ctrl-C
// doesn't cut a request in the middle.
func dialSSH(u *url.URL) (net.Conn, error) {
	args := []string{"-T", "-o", "BatchMode=yes"} // no command asks a question
	if u.Port() != "" {
		args = append(args, "-p", u.Port())
	}
	host := u.Hostname()
	if u.User.Username() != "" {
		host = u.User.Username() + "@" + host
	}
	args = append(args, "--", host, "podman")
	if u.Path != "" {
		args = append(args, "--url", "'unix://"+strings.ReplaceAll(u.Path, "'", `'\''`)+"'")
	}
	cmd := exec.Command("ssh", append(args, "system", "dial-stdio")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said := new(bytes.Buffer)
	cmd.Stderr = said
	cmd.WaitDelay = time.Second // what ssh has left in the background may hold stderr

	// A socket pair rather than two pipes: it is a net.Conn by itself.
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ssh"), os.NewFile(uintptr(pair[1]), "ssh")
	defer ours.Close()
	defer theirs.Close()
	cmd.Stdin, cmd.Stdout = theirs, theirs
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	return &sshConn{Conn: conn, cmd: cmd, said: said}, nil
}

// sshConn is a connection through a process, which ends with it.
type sshConn struct {
	net.Conn
	cmd  *exec.Cmd
	said *bytes.Buffer // stderr, complete once waited
	once sync.Once
}

// Read reads. The end of the stream is where ssh says why it could not connect.
func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && err != nil {
		err = c.why(err)
	}
	return n, err
}

// Write writes. An ssh that has ended may be met here first.
func (c *sshConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		err = c.why(err)
	}
	return n, err
}

// why is what ssh has said, if it has said anything, for an error that it has
// caused by its end.
func (c *sshConn) why(err error) error {
	c.end()
	if said := brief(c.said.String()); said != "" {
		return failed("podman_unreachable", "cannot connect to podman by %s: %s", strings.Join(c.cmd.Args, " "), said)
	}
	return err
}

func (c *sshConn) Close() error {
	err := c.Conn.Close()
	c.end()
	return err
}

func (c *sshConn) end() {
	c.once.Do(func() {
		// It ends by itself when its input does; a hung network doesn't.
		timer := time.AfterFunc(time.Second, func() { c.cmd.Process.Kill() })
		c.cmd.Wait()
		timer.Stop()
	})
}

// wait returns when Podman answers again, and false if it doesn't within the
// time given. A service that is restarted is away for a moment.
func (c *Client) wait(ctx context.Context, most time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, 2*time.Second) {
		if !sleep(ctx, delay) {
			return false
		}
		if c.do(ctx, call{what: "ask for the version", path: "/_ping", limit: readLimit}, nil) == nil {
			return true
		}
	}
}

// sleep is false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
