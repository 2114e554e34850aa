package agent

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// manager is what a service manager hears.
func manager(t *testing.T) (hear func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		text := make([]byte, 4096)
		n, err := socket.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(text[:n])
	}
}

func TestNotifierTellsTheServiceManager(t *testing.T) {
	hear := manager(t)
	t.Setenv("WATCHDOG_USEC", "2000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n := NewNotifier()
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if v, left := os.LookupEnv(name); left {
			t.Errorf("what is started from here is told %s=%s", name, v)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for want, send := range map[string]func() error{
		"READY=1": n.Ready, "STOPPING=1": n.Stopping, "STATUS=one two": func() error { return n.Status("one\ntwo") },
		"EXTEND_TIMEOUT_USEC=30000000": func() error { go n.Extend(ctx); return nil },
		"WATCHDOG=1":                   func() error { go n.Watch(ctx, func() {}); return nil },
	} {
		if err := send(); err != nil {
			t.Error(err)
		}
		if got := hear(); got != want {
			t.Errorf("it tells %q, want %q", got, want)
		}
	}
}

// TestWatchdogIsFedAtHalfOfItsTime, and not at all by an agent that is stuck.
func TestWatchdogIsFedAtHalfOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Notifier{watchdog: 20 * time.Second, address: &net.UnixAddr{Name: filepath.Join(t.TempDir(), "absent"), Net: "unixgram"}}
		ctx, cancel := context.WithTimeout(t.Context(), 61*time.Second)
		defer cancel()
		var fed []time.Duration
		start := time.Now()
		n.Watch(ctx, func() { fed = append(fed, time.Since(start)) })
		if len(fed) != 7 || fed[1] != 10*time.Second || fed[6] != time.Minute {
			t.Errorf("fed at %v", fed)
		}
	})
}

func TestWithoutAManagerNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1") // another process
	n := NewNotifier()
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
	n.Watch(t.Context(), func() { t.Error("the watchdog of another process is fed") })
}

// TestManagerThatDoesNotReadHoldsNothingUp: there is a status for every event.
func TestManagerThatDoesNotReadHoldsNothingUp(t *testing.T) {
	manager(t)
	n := NewNotifier()
	var err error
	for i := 0; err == nil; i++ { // until its queue is full
		err = n.Status("again")
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Error(err)
	}
}
