package podman

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// service is a `podman system service` of our own, on a socket that only this
// user can open, for hosts where podman.socket is not enabled.
type service struct {
	dir   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
}

const serviceStop = 10 * time.Second // what it has under way takes a moment

func (s *service) socket() string { return filepath.Join(s.dir, "podman.sock") }

// startService returns when the service answers.
//
// It must not outlive us, even if we are killed: the kernel sends it SIGTERM
// then (prctl(2), PR_SET_PDEATHSIG). That goes by the *thread* that started
// it, and Go ends threads as it likes, so one goroutine keeps its thread for
// this until the service has ended. The other road, a short --time and a ping
// that keeps it alive, leaves it running for that time, and a stopped
// bootgraph (SIGSTOP) would lose it.
//
// It has a process group of its own: Ctrl-C is for bootgraph, which finishes
// what it has begun and needs Podman for it.
func startService(ctx context.Context) (*service, error) {
	dir, err := os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "bootgraph-podman-") // 0700
	if err != nil {
		return nil, failed("podman_unreachable", "cannot start a private podman: %v", err)
	}
	s := &service{dir: dir, ended: make(chan struct{})}
	// Into a file, since conmon may inherit it: a pipe would have to be read
	// until the last container is gone.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, failed("podman_unreachable", "cannot start a private podman: %v", errors.Join(err, os.RemoveAll(dir)))
	}
	defer log.Close()
	s.cmd = exec.Command("podman", "system", "service", "--time=0", "unix://"+s.socket())
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.cmd.Wait()
		}
		close(s.ended)
	}()
	if err = <-started; err == nil {
		err = s.answers(ctx)
	}
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		lines := strings.Split(strings.TrimSpace(string(said)), "\n") // warnings, and at the end why
		return nil, failed("podman_unreachable", "cannot start a private podman: %v: %s", errors.Join(err, s.stop()), brief(lines[len(lines)-1]))
	}
	return s, nil
}

// answers waits until the socket accepts.
func (s *service) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, 100*time.Millisecond) {
		if conn, err := net.Dial("unix", s.socket()); err == nil {
			return conn.Close()
		}
		select {
		case <-s.ended:
			return errors.New("it has ended")
		default:
		}
		if !sleep(ctx, delay) {
			return ctx.Err()
		}
	}
}

// stop ends the service and removes its directory.
func (s *service) stop() error {
	if s.cmd.Process != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(serviceStop):
			s.cmd.Process.Kill()
			<-s.ended
		}
	}
	return os.RemoveAll(s.dir)
}
