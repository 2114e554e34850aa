package podman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bootgraph/scheduler"
)

// The kernel tells of the end of a container's process at once, and to wait
// for that costs nobody anything. Podman's own call looks for it four times a
// second, for each container that is waited for.

// errNoProcess: the kernel can't be asked about the container, but Podman can.
var errNoProcess = errors.New("its process is not known here")

// awaitProcess returns nil when the process of an instance has ended. It is a
// pidfd_open(2) descriptor that is waited for.
func (c *Client) awaitProcess(ctx context.Context, was scheduler.Instance) error {
	if !c.local || was.PID <= 0 {
		return errNoProcess
	}
	fd, err := unix.PidfdOpen(was.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return errNoProcess // Linux before 5.10, or it has ended
	}
	process := os.NewFile(uintptr(fd), fmt.Sprint("process ", was.PID))
	defer process.Close()
	// From here on the descriptor is of this very process; before, its number
	// may have become another's.
	if stat := statOf(was.PID); stat == nil || !stat.isOf(was.ID) {
		return errNoProcess
	}
	conn, err := process.SyscallConn()
	if err != nil {
		return errNoProcess
	}
	stop := context.AfterFunc(ctx, func() { _ = process.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = conn.Read(func(fd uintptr) bool {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, 0)
		return n > 0 && err == nil // false: wait until the kernel says so
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return errNoProcess
	}
	return nil
}

// runsOn tells by the kernel alone that the very same instance still runs, and
// is not paused. False only means that Podman has to be asked.
func (c *Client) runsOn(was scheduler.Instance) bool {
	if !c.local || was.PID <= 0 || was.StartedAt.IsZero() {
		return false
	}
	stat := statOf(was.PID)
	if stat == nil || strings.Contains("ZX", stat.state) || !stat.isOf(was.ID) {
		return false
	}
	// Process IDs come round again; then this is a later run.
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return false
	}
	began := time.Now().Add(stat.began - time.Duration(up.Nano()))
	return began.Before(was.StartedAt.Add(time.Second)) && thawed(was.PID)
}

// processStat is proc_pid_stat(5) as far as it is needed.
type processStat struct {
	state  string
	parent int
	began  time.Duration // since the host was booted
}

func statOf(pid int) *processStat {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The fields from the third on come after the name, which may have brackets
	// and blanks in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return nil
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return nil
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return nil
	}
	return &processStat{fields[0], parent, time.Duration(ticks) * time.Second / userHZ}
}

// userHZ is the unit of times in /proc, the same on all that Go runs on.
const userHZ = 100

// isOf tells whether the process is the first one of a container: then its
// parent is a conmon that has the ID among its arguments.
func (p *processStat) isOf(id string) bool {
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.parent))
	return err == nil && id != "" && bytes.Contains(arguments, []byte("\x00"+id+"\x00"))
}

// zombie tells whether a process has ended and its parent has not noticed: after
// a conmon that was killed that is init, which may take its time.
func zombie(pid int) bool {
	stat := statOf(pid)
	return stat != nil && stat.state == "Z"
}

// thawed tells whether the control group of a process is known not to be
// frozen, which is what podman pause does to it.
func thawed(pid int) bool {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(groups)) { // cgroups(7): ID:CONTROLLERS:PATH
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) < 3:
		case fields[1] == "freezer":
			state, err := os.ReadFile("/sys/fs/cgroup/freezer" + fields[2] + "/freezer.state")
			return err == nil && string(state) == "THAWED\n"
		case fields[0] == "0": // the last line, and the only one of version 2
			events, err := os.ReadFile("/sys/fs/cgroup" + fields[2] + "/cgroup.events")
			return err == nil && bytes.Contains(events, []byte("frozen 0\n"))
		}
	}
	return false
}
