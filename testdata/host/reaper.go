package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A reaper is a process that waits for the end of the one that started a
// Host, whatever that end is (Close, a panic, a test's timeout, SIGKILL), and
// then removes everything the Host has left. It is this program once more:
// init, below, turns it into a reaper before main or any test runs.
type reaper struct {
	cmd   *exec.Cmd
	alive *os.File // its stdin: the kernel closes it when this process ends
	said  *os.File // its stderr
}

const reaperEnv = "BOOTGRAPH_HOST_REAPER"

func init() {
	if dir := os.Getenv(reaperEnv); dir != "" {
		io.Copy(io.Discard, os.Stdin)
		if err := reap(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func startReaper(dir string) (*reaper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	said, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), reaperEnv+"="+dir)
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stderr = stdin, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // survives Ctrl-C and the terminal
	return &reaper{cmd, alive, said}, cmd.Start()
}

// Close ends the service and removes its containers, images, volumes,
// networks, processes, mounts, files and its user.
func (h *Host) Close() error {
	h.Kill()
	h.reaper.alive.Close()
	said, _ := io.ReadAll(h.reaper.said)
	h.reaper.said.Close()
	if err := h.reaper.cmd.Wait(); err != nil {
		return fmt.Errorf("cannot clean up %s: %w: %s", h.Dir, err, bytes.TrimSpace(said))
	}
	return nil
}

// reap removes what a Host has left. Each step is tried, whatever became of
// the one before.
func reap(dir string) error {
	user, err := findUser(dir)
	if err != nil {
		return err
	}
	h := &Host{Dir: dir, user: user}
	var errs []error
	// First the service and commands, which may hold locks or hang.
	killAll(func(p process) bool { return p.podman(dir) })
	if _, err := os.Stat(h.path("root")); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		// By Podman, as nobody else knows its iptables rules, network
		// namespaces and locks.
		steps := [][]string{{"rm", "--all", "--force", "--time=0"}, {"volume", "rm", "--all", "--force"}}
		if os.Getuid() != 0 { // some files belong to user IDs of containers
			steps = append(steps, []string{"unshare", "rm", "-rf", h.path("root")})
		}
		for _, args := range steps {
			if _, err := h.Podman(ctx, args...); err != nil {
				errs = append(errs, err)
			}
		}
	}
	killAll(func(p process) bool { return p.of(h) })
	if os.Getuid() == 0 {
		deleteContainers(dir)
	}
	errs = append(errs, unmountBelow(dir), os.RemoveAll(dir), user.remove())
	return errors.Join(errs...)
}

type process struct{ pid int }

func (p process) read(name string) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, name))
	return string(b)
}

func (p process) podman(dir string) bool {
	return p.read("comm") == "podman\n" && strings.Contains(p.read("cmdline"), dir+"/")
}

// of tells whether a process belongs to a Host: its user runs it, or the
// command names its directory (conmon does), or, rootless, it has inherited
// the environment (the pause process, slirp4netns), or its root is in there
// (what a dead conmon left running).
func (p process) of(h *Host) bool {
	if h.user.runs(p) || strings.Contains(p.read("cmdline"), h.Dir+"/") {
		return true
	}
	// Not as root: the one aardvark-dns, which serves other Podmans too, has
	// the environment of the first that needed it.
	if os.Getuid() != 0 && strings.Contains(p.read("environ"), "CONTAINERS_CONF="+h.Dir+"/") {
		return true
	}
	for line := range strings.Lines(p.read("mountinfo")) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" && strings.Contains(line, h.Dir+"/") {
			return true
		}
	}
	return false
}

// killAll kills the processes that match, until there are none.
func killAll(match func(process) bool) {
	for range 100 {
		var found bool
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err == nil && match(process{pid}) {
				found = true
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if !found {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// deleteContainers removes what the OCI runtime remembers of containers, and
// their control groups. Only those whose conmon was killed are still there.
func deleteContainers(dir string) {
	for _, runtime := range []string{"runc", "crun"} {
		files, _ := filepath.Glob("/run/" + runtime + "/*/*.json")
		for _, file := range files {
			if state, _ := os.ReadFile(file); bytes.Contains(state, []byte(dir+"/")) {
				exec.Command(runtime, "delete", "--force", filepath.Base(filepath.Dir(file))).Run()
			}
		}
	}
}

// unmountBelow unmounts everything below dir, the newest first.
func unmountBelow(dir string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var points []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, fields[4])
		}
	}
	for i := len(points) - 1; i >= 0; i-- {
		if err := syscall.Unmount(points[i], syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("cannot unmount %s: %w", points[i], err)
		}
	}
	return nil
}
