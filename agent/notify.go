package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier tells the service manager how far this process is, by the protocol
// of sd_notify(3). Without a manager it tells nobody.
//
// It is written out here since github.com/coreos/go-systemd reads the
// environment each time: the variables have to go before anything else is
// started, or Podman takes itself to be the service.
type Notifier struct {
	address  *net.UnixAddr // nil: there is nobody to tell
	watchdog time.Duration // the manager wants a sign of life this often; 0: it doesn't
}

// NewNotifier reads the environment, and takes out of it what it has read.
func NewNotifier() *Notifier {
	n := &Notifier{}
	if path := os.Getenv("NOTIFY_SOCKET"); strings.HasPrefix(path, "/") || strings.HasPrefix(path, "@") {
		n.address = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	return n
}

// Ready tells that what this process is for is there.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Stopping tells that the end has begun.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status tells in a line where things stand. It never waits: a manager that
// doesn't read misses it.
func (n *Notifier) Status(text string) error {
	return n.deliver("STATUS="+strings.ReplaceAll(text, "\n", " "), func(conn *net.UnixConn, line []byte) error {
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		var failed error
		err = raw.Write(func(fd uintptr) bool {
			failed = unix.Send(int(fd), line, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			return true
		})
		return errors.Join(err, failed)
	})
}

// Extend asks, over and over until ctx ends, for more time to start or to
// stop. It is for what has no bound of its own: a foundation tries for ever.
func (n *Notifier) Extend(ctx context.Context) {
	n.repeat(ctx, extendEvery, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (3*extendEvery).Microseconds()))
}

const extendEvery = 10 * time.Second

// Watch gives signs of life until ctx ends, as long as alive returns.
func (n *Notifier) Watch(ctx context.Context, alive func()) {
	if n.watchdog > 0 {
		n.repeat(ctx, n.watchdog/2, "WATCHDOG=1", alive)
	}
}

func (n *Notifier) repeat(ctx context.Context, every time.Duration, line string, before ...func()) {
	if n.address == nil {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for _, f := range before {
			f()
		}
		_ = n.send(line) // the manager that doesn't take it acts on it
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sendMost bounds what takes no time with a manager that works.
const sendMost = 5 * time.Second

func (n *Notifier) send(line string) error {
	return n.deliver(line, func(conn *net.UnixConn, line []byte) error {
		_ = conn.SetWriteDeadline(time.Now().Add(sendMost))
		_, err := conn.Write(line)
		return err
	})
}

func (n *Notifier) deliver(line string, write func(*net.UnixConn, []byte) error) error {
	if n.address == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, n.address)
	if err == nil {
		defer conn.Close()
		err = write(conn, []byte(line))
	}
	if err != nil {
		return fmt.Errorf("cannot notify the service manager: %w", err)
	}
	return nil
}
