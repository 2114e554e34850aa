package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// Faults of the host that bootgraph itself runs on.

// gated is a configuration of one service in a stage that goes on, and one
// behind it. The first is ready when the file open is in the directory.
func gated(name, gate string) string {
	return fmt.Sprintf(`name = "%[1]s"
stage "first" {
  on_failure = "continue"
  timeout    = "2s"
  service "%[1]s-a" {
    image   = "localhost/bootgraph/server:1"
    volumes = ["%[2]s:/gate"]
    env     = { FILE = "/gate/late 3s" }
    health "exec" {
      command  = ["/server", "check", "file", "/gate/open"]
      interval = "100ms"
    }
  }
}
stage "second" {
  service "%[1]s-b" {
    image = "localhost/bootgraph/server:1"
  }
}
`, name, gate)
}

func open(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(gate, "open"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// untilThere waits for a file that a container makes.
func untilThere(t *testing.T, file string) {
	t.Helper()
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(file + " never came")
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: 1e7}, nil)
	}
}

// TestStoppedForLongerThanATimeout: a host that was suspended, or a bootgraph
// that was, has missed the deadline of what has become ready meanwhile. The
// last probe decides.
func TestStoppedForLongerThanATimeout(t *testing.T) {
	t.Parallel()
	gate := t.TempDir()
	b := newBench(t, host.Shared(t), gated("asleep", gate))
	a := b.apply()
	a.untilState("asleep-a", scheduler.Probing)
	a.signal(syscall.SIGSTOP)
	untilThere(t, filepath.Join(gate, "late")) // 3 s after it started; it had 2
	open(t, gate)
	a.signal(syscall.SIGCONT)
	if code := a.end(); code != 0 {
		t.Errorf("apply exits with %d", code)
	}
}

// TestTheBootFileIsReadOnce: what becomes of it during the boot is of no
// interest.
func TestTheBootFileIsReadOnce(t *testing.T) {
	t.Parallel()
	gate := t.TempDir()
	text := gated("edited", gate)
	b := newBench(t, host.Shared(t), text)
	a := b.apply()
	a.untilState("edited-a", scheduler.Probing)
	b.write("stage \"first\" {")
	open(t, gate)
	if code := a.end(); code != 0 {
		t.Errorf("apply exits with %d", code)
	}
	b.write(text)
}

// TestNobodyReadsTheOutput: a reader that goes away, or never reads, holds up
// no boot.
func TestNobodyReadsTheOutput(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		broken func(r *os.File) // before the boot goes on
	}{
		{"gone", func(r *os.File) { r.Close() }},
		{"mute", func(*os.File) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			gate, name := t.TempDir(), "unread-"+test.name
			b := newBench(t, host.Shared(t), gated(name, gate))
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil { // the least there is
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, 4096)); err != nil { // full from the start
				t.Fatal(err)
			}
			cmd := b.command("apply", "--progress", "json")
			cmd.Stdout, cmd.Stderr = w, w
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			w.Close()
			untilThere(t, filepath.Join(gate, "late")) // it starts what it is to start
			test.broken(r)
			open(t, gate)
			for !strings.Contains(b.containers(name), name+"-b ") { // it goes on
				if t.Context().Err() != nil {
					t.Fatal("it has stopped")
				}
			}
			r.Close() // the last event may still wait for its reader
			_ = cmd.Wait()
			if code, out, _ := b.run("plan", "--detailed-exitcode"); code != 0 {
				t.Errorf("there is something left to do: %s", out)
			}
		})
	}
}

// TestFewFilesMayBeOpen: with too few descriptors it says so, or gets by; it
// neither panics nor leaves anything half made.
func TestFewFilesMayBeOpen(t *testing.T) {
	t.Parallel()
	gate := t.TempDir()
	open(t, gate)
	for _, most := range []uint64{8, 12, 20} {
		b := newBench(t, host.Shared(t), gated(fmt.Sprint("few", most), gate))
		cmd := b.command("apply", "--progress", "quiet")
		said := new(strings.Builder)
		cmd.Stderr = said
		// By a shell, since the limit is that of a process and Go raises its own.
		cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, most), "sh"}, cmd.Args...)
		cmd.Args[4] = "bootgraph"
		cmd.Path = "/bin/sh"
		cmd.Env = append(cmd.Env, "PATH="+bootgraphOnPath(t)+":"+os.Getenv("PATH"))
		_ = cmd.Run()
		code := cmd.ProcessState.ExitCode()
		if strings.Contains(said.String(), "goroutine ") || code != 0 && code != 1 && code != 3 {
			t.Errorf("with %d files it exits with %d and says %s", most, code, said)
		}
		if code != 0 && !strings.Contains(said.String(), "too many open files") {
			t.Errorf("with %d files it exits with %d and doesn't say why: %s", most, code, said)
		}
		t.Logf("%d files: exit %d: %s", most, code, said)
		if code, _, said := b.run("apply"); code != 0 {
			t.Errorf("the next apply exits with %d: %s", code, said)
		}
	}
}

// bootgraphOnPath is a directory with this program, called bootgraph.
func bootgraphOnPath(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "bootgraph")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNoPlaceForItsState: where nothing can be kept, nothing is begun; where
// that comes about in the middle, the boot goes on and says what is missing.
func TestNoPlaceForItsState(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // a file system of its own is for root to mount
	}
	for _, fault := range []struct {
		name, says string
		on, off    func(*testing.T, string)
	}{
		{"full", "no space left on device", fill, func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "ballast"))) }},
		{"read-only", "read-only file system",
			func(t *testing.T, dir string) {
				must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
			},
			func(t *testing.T, dir string) { must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND, "")) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			gate, name, state := t.TempDir(), "nowhere-"+fault.name, t.TempDir()
			b := newBench(t, host.Shared(t), gated(name, gate))
			b.env = append(b.env, "XDG_STATE_HOME="+state)
			must(t, unix.Mount("tmpfs", state, "tmpfs", 0, "size=256k"))
			t.Cleanup(func() { must(t, unix.Unmount(state, unix.MNT_DETACH)) })

			fault.on(t, state)
			if code, _, said := b.run("apply"); code != 1 || !strings.Contains(said, fault.says) || b.containers(name) != "" {
				t.Errorf("from the start: apply exits with %d, says %s and leaves %s", code, said, b.containers(name))
			}
			fault.off(t, state)
			if fault.name == "read-only" {
				return // it can't become so while a file is being written
			}

			cmd := b.command("apply", "--progress", "plain")
			said := new(strings.Builder)
			cmd.Stderr = said
			must(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			for !strings.Contains(b.containers(name), name+"-a ") { // it is being probed, or about to be
			}
			fault.on(t, state)
			open(t, gate)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(said.String(), fault.says) || !strings.Contains(b.containers(name), name+"-b ") {
				t.Errorf("in the middle: apply exits with %d, says %s and leaves %s", code, said, b.containers(name))
			}
			t.Log(said)
			fault.off(t, state)
			if code, _, said := b.run("apply"); code != 0 {
				t.Errorf("the next apply exits with %d: %s", code, said)
			}
			if code, out, said := b.run("status"); code != 0 {
				t.Errorf("status exits with %d: %s%s", code, out, said)
			}
		})
	}
}

// fill leaves no room in a file system.
func fill(t *testing.T, dir string) {
	t.Helper()
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	must(t, err)
	defer ballast.Close()
	for err == nil {
		_, err = ballast.Write(make([]byte, 1<<10))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
