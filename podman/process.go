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
	if !isContainers(was.PID, was.ID) {
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

// isContainers tells whether a process is the first one of a container: then
// its parent is a conmon that has the ID among its arguments.
func isContainers(pid int, id string) bool {
	_, parent := processStat(pid)
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", parent))
	return err == nil && id != "" && bytes.Contains(arguments, []byte("\x00"+id+"\x00"))
}

// zombie tells whether a process has ended and its parent has not noticed: after
// a conmon that was killed that is init, which may take its time.
func zombie(pid int) bool {
	state, _ := processStat(pid)
	return state == "Z"
}

// processStat is the state of a process and its parent; "" and 0 if it can't be
// seen.
func processStat(pid int) (state string, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// proc_pid_stat(5): they come after the name, which may have brackets and
	// blanks in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}
