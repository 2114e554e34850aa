// Package host gives tests and the demo a Podman service of their own: with
// its own storage, sockets, networks and configuration in one temporary
// directory, and with the image of testdata/server. It can run as root or
// rootless, and everything it has made is gone after Close, also when the
// process that started it has been killed.
//
// The Podman of the machine is neither used nor changed. What can't be
// private, because the kernel has only one of it or a rootful Podman knows
// only one path, is shared with it: ports, the bridge podman0 and the
// addresses of its network, netavark's common iptables chains, the segment of
// locks in /dev/shm, and the cache of what registries have in
// /var/lib/containers/cache. Networks that are created have subnets of their
// own, but tests that run at the same time must give them different names
// (aardvark-dns and the pool of addresses go by these).
//
// It knows nothing of bootgraph and imports none of its packages.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options of a service.
type Options struct {
	// Rootless runs it as an ordinary user. Where the tests run as root
	// that is a user made for it, and removed by Close; else it makes no
	// difference.
	Rootless bool
}

// Host is one running Podman service.
type Host struct {
	Dir      string // all its files
	Rootless bool
	UID      int // of the user that it runs as

	user    *account // nil: as this process
	service *exec.Cmd
	reaper  *reaper
}

// startTimeout bounds what takes milliseconds on a good day.
const startTimeout = 30 * time.Second

// Start starts a service and returns when it answers.
func Start(o Options) (h *Host, err error) {
	for _, program := range []string{"podman", "conmon"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("cannot start a private podman: %s is not installed: run `make test`, which installs it", program)
		}
	}
	// Not under TMPDIR: the path of a socket has to be below 108 bytes.
	dir, err := os.MkdirTemp("/tmp", "bootgraph-")
	if err != nil {
		return nil, err
	}
	h = &Host{Dir: dir, Rootless: o.Rootless || os.Getuid() != 0, UID: os.Getuid()}
	if h.reaper, err = startReaper(dir); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot start a private podman: %w", err), h.Close())
			h = nil
		}
	}()
	if o.Rootless && os.Getuid() == 0 {
		if h.user, err = addUser(dir); err != nil {
			return h, err
		}
		h.UID = h.user.uid
	}
	if err = h.configure(); err != nil {
		return h, err
	}
	return h, h.Restart()
}

// configure writes what the service reads: a containers.conf, which by
// CONTAINERS_CONF takes the place of all others. It differs from Podman's
// defaults only as far as needed: to be private, and where this machine would
// not start a container with the defaults.
func (h *Host) configure() error {
	for _, name := range []string{"home", "xdg", "networks"} {
		if err := os.Mkdir(h.path(name), 0o700); err != nil {
			return err
		}
	}
	var containers, engine []string
	if !h.Rootless && !mayRaiseLimits() {
		// Podman gives root's containers higher limits than this root has;
		// the OCI runtime then fails: "error setting rlimit".
		containers = append(containers, `default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]`)
	}
	if _, err := exec.LookPath("crun"); err != nil {
		engine = append(engine, `runtime = "runc"`)
	}
	if h.user != nil { // has no session, so no systemd of its own
		engine = append(engine, `cgroup_manager = "cgroupfs"`, `events_logger = "file"`)
	}
	network := []string{
		`network_backend = "netavark"`,
		fmt.Sprintf("network_config_dir = %q", h.path("networks")),
		// At random, so that networks made by several Hosts don't overlap.
		fmt.Sprintf(`default_subnet_pools = [{base = "10.%d.0.0/16", size = 24}]`, 128+rand.IntN(128)),
	}
	var conf strings.Builder
	for _, table := range []struct {
		name  string
		lines []string
	}{{"containers", containers}, {"engine", engine}, {"network", network}} {
		fmt.Fprintf(&conf, "[%s]\n%s\n", table.name, strings.Join(table.lines, "\n"))
	}
	if err := os.WriteFile(h.path("containers.conf"), []byte(conf.String()), 0o644); err != nil {
		return err
	}
	if h.user != nil {
		return h.user.chown()
	}
	if h.Rootless {
		return nil
	}
	// The lock that serialises changes of iptables lies beside the networks,
	// which are private here, while iptables is not.
	const locks = "/run/containers/networks"
	if err := os.MkdirAll(locks, 0o755); err != nil {
		return err
	}
	return os.Symlink(filepath.Join(locks, "netavark.lock"), h.path("networks/netavark.lock"))
}

func (h *Host) path(name string) string { return filepath.Join(h.Dir, name) }

// URI is what CONTAINER_HOST and --connection take.
func (h *Host) URI() string { return "unix://" + h.socket() }

func (h *Host) socket() string { return h.path("podman.sock") }

// Podman runs the podman command, without the service, on the same storage:
// to set things up and to check them independently. It returns stdout; an
// error carries stderr.
func (h *Host) Podman(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := h.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("podman %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// command is a command of podman.
func (h *Host) command(ctx context.Context, args ...string) *exec.Cmd {
	return h.run(ctx, append(h.PodmanArgs(), args...))
}

// PodmanArgs is podman on the private storage, without a command.
func (h *Host) PodmanArgs() []string {
	return []string{"podman", "--root", h.path("root"), "--runroot", h.path("runroot"), "--tmpdir", h.path("tmp")}
}

// Sh is a script for sh that finds in $PODMAN the command that Podman runs.
func (h *Host) Sh(ctx context.Context, script string) *exec.Cmd {
	cmd := h.run(ctx, []string{"sh", "-s"})
	cmd.Env = append(cmd.Env, "PODMAN="+strings.Join(h.PodmanArgs(), " "))
	cmd.Stdin = strings.NewReader(script)
	return cmd
}

// Command is a command with nothing of the caller's environment, to which the
// service's configuration, home and user are its own.
func (h *Host) Command(ctx context.Context, argv ...string) *exec.Cmd { return h.run(ctx, argv) }

// run is a command with nothing of the caller's environment, which could name
// another Podman or another storage.
func (h *Host) run(ctx context.Context, argv []string) *exec.Cmd {
	argv = h.user.wrap(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = h.Dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + h.path("home"),
		"XDG_RUNTIME_DIR=" + h.path("xdg"),
		"CONTAINERS_CONF=" + h.path("containers.conf"),
	}
	return cmd
}

// Restart starts the service, after killing the one that runs, and returns
// when it answers. Containers go on meanwhile.
func (h *Host) Restart() error {
	h.Kill()
	log, err := os.OpenFile(h.path("service.log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	// Without the timeout of the command, as only Kill shall end it.
	cmd := h.command(context.Background(), "system", "service", "--time=0", h.URI())
	cmd.Stdout, cmd.Stderr = log, log
	// A signal to the tests, say of Ctrl-C, is not one to the service.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	h.service = cmd
	if err := h.ping(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
	}
	return nil
}

// ping waits until the service answers.
func (h *Host) ping() error {
	client := &http.Client{Timeout: startTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", h.socket())
		},
	}}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		resp, err := client.Get("http://podman/_ping")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		var status syscall.WaitStatus
		if pid, _ := syscall.Wait4(h.service.Process.Pid, &status, syscall.WNOHANG, nil); pid > 0 {
			h.service = nil
			return fmt.Errorf("podman system service ended with %d", status.ExitStatus())
		}
	}
}

// Kill ends the service at once, with SIGKILL. Containers go on.
func (h *Host) Kill() {
	if h.service != nil {
		group := h.service.Process.Pid
		h.signal(syscall.SIGKILL)
		h.service.Wait()
		awaitStates(group, "ZX")
		h.service = nil
	}
}

// Stop makes the service hang, with SIGSTOP, until Continue or Kill.
func (h *Host) Stop() {
	h.signal(syscall.SIGSTOP)
	awaitStates(h.service.Process.Pid, "TtZX")
}

// Continue ends Stop.
func (h *Host) Continue() { h.signal(syscall.SIGCONT) }

// signal goes to the process group, as a rootless podman is two processes.
func (h *Host) signal(s syscall.Signal) { syscall.Kill(-h.service.Process.Pid, s) }

// awaitStates waits until each process of a group is gone or in one of these
// states, proc(5): a signal that has been sent has not yet been obeyed, and on
// a busy machine the process goes on for a while. It gives up after some
// seconds, for the test to say what is wrong.
func awaitStates(group int, states string) {
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		obeyed := true
		files, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, file := range files {
			stat, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			// After the name, which may have any characters in it: state,
			// parent, group.
			fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
			if len(fields) > 2 && fields[2] == strconv.Itoa(group) && !strings.Contains(states, fields[0]) {
				obeyed = false
			}
		}
		if obeyed {
			return
		}
	}
}

// FreePort is a port that nothing listens on, TCP or UDP, at any address. It
// is below the kernel's ephemeral ports, so that no outgoing connection comes
// to take it; no process is given one twice, and no two processes the same. Nor
// is it one that a Podman which was killed has left a rule for: who connects to
// that gets nowhere.
func FreePort() int {
	first, rules := ports()
	for {
		port := first + int(nextPort.Add(1)-1)%portsEach
		if bytes.Contains(rules, fmt.Appendf(nil, "--dport %d ", port)) {
			continue
		}
		addr := ":" + strconv.Itoa(port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		p, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		p.Close()
		return port
	}
}

const portsEach = 22000 / 8 // no package's tests take as many, and no eight run at a time

var nextPort atomic.Int64

// ports is the first of those that belong to this process for as long as it
// lives, and the rules that there were by then: nobody else makes one for these.
// A name in the abstract namespace is a lock without a file.
var ports = sync.OnceValues(func() (first int, rules []byte) {
	for {
		first = 10000 + portsEach*rand.IntN(8)
		if l, err := net.Listen("unix", fmt.Sprint("@bootgraph-ports-", first)); err == nil {
			portsLock = l
			nextPort.Store(rand.Int64N(portsEach))
			rules, _ = exec.Command("iptables", "-t", "nat", "-S").Output() // of root alone, and so are these rules
			return first, rules
		}
	}
})

var portsLock net.Listener // a listener that nobody refers to would be closed

// mayRaiseLimits tells whether this process has CAP_SYS_RESOURCE, which a
// root inside a container or a sandbox often has not.
func mayRaiseLimits() bool {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "CapEff:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return false
	}
	caps, err := strconv.ParseUint(fields[0], 16, 64)
	const sysResource = 24 // linux/capability.h
	return err == nil && caps>>sysResource&1 == 1
}
