package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long an agent is left alone before it is watched, and then watched: its
// probes come at a calm pace, several a minute.
const (
	restBefore = 20 * time.Second
	restFor    = 60 * time.Second
)

// rest tells what an agent costs when there is nothing to do.
func (s *series) rest(ctx context.Context) (line string, err error) {
	if err := s.clean(ctx); err != nil {
		return "", err
	}
	dir := filepath.Join(s.dir, "project")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), writeBootFile(s.lab, s.workload, dir)); err != nil {
		return "", err
	}
	cmd := s.command(ctx, "bootgraph", "agent", "--progress", "quiet")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		err = errors.Join(err, cmd.Wait(), s.clean(context.WithoutCancel(ctx)))
	}()
	limited, cancel := context.WithTimeout(ctx, phaseLimit)
	defer cancel()
	if err := s.await(limited); err != nil {
		return "", err
	}
	proc := fmt.Sprintf("/proc/%d", cmd.Process.Pid)
	if !wait(ctx, restBefore) {
		return "", ctx.Err()
	}
	cpu, podman, wakes := cpuOf(proc, false), s.podmanCPU(), wakeUps(proc)
	if !wait(ctx, restFor) {
		return "", ctx.Err()
	}
	hour := float64(time.Hour / restFor)
	return fmt.Sprintf("agent at rest, %d healthy services, %s: %.1f CPU seconds an hour, %.1f more in Podman, %.1f wake-ups a second, %d MiB resident\n",
		len(s.services), restFor, (cpuOf(proc, false)-cpu).Seconds()*hour, (s.podmanCPU()-podman).Seconds()*hour,
		float64(wakeUps(proc)-wakes)/restFor.Seconds(), statusField(proc, "VmRSS")>>10), nil
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// wakeUps counts how often a thread of a process has waited for something.
func wakeUps(proc string) (n int) {
	threads, _ := filepath.Glob(proc + "/task/*")
	for _, thread := range threads {
		n += statusField(thread, "voluntary_ctxt_switches")
	}
	return n
}

// statusField is a number of proc_pid_status(5).
func statusField(proc, name string) int {
	text, _ := os.ReadFile(proc + "/status")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	return 0
}
