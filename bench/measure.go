package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// cost is what a command took.
type cost struct {
	wall   time.Duration
	tool   time.Duration // CPU, of the command and all that it ran
	podman time.Duration // CPU, of the Podman service and all that it ran
	peak   int64         // bytes, of the largest of its processes
}

// measure runs a command to its end. What it says is in files beside its own.
//
// It is run by this program once more (see observe): the kernel lets a process
// begin with the peak of the one that it was forked from, and ours is large.
func (l *lab) measure(cmd *exec.Cmd) (c cost, err error) {
	files := [2]*os.File{}
	for i, name := range []string{"stdout", "stderr"} {
		if files[i], err = os.Create(filepath.Join(cmd.Dir, name)); err != nil {
			return c, err
		}
		defer files[i].Close()
	}
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	said := filepath.Join(cmd.Dir, "cost")
	argv := cmd.Args
	cmd.Path, cmd.Args = self, append([]string{self, "observe", said}, argv...)
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	before, began := l.podmanCPU(), time.Now()
	err = cmd.Run()
	c = cost{wall: time.Since(began), podman: l.podmanCPU() - before}
	if err != nil {
		said, _ := os.ReadFile(files[1].Name())
		return c, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, lastLines(string(said)))
	}
	text, err := os.ReadFile(said)
	if err == nil {
		_, err = fmt.Sscan(string(text), &c.wall, &c.tool, &c.peak)
	}
	return c, err
}

// observe is the command that runs another one and writes down what it took.
func observe(into string, argv []string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	wall, usage := time.Since(began), cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return errors.Join(err, os.WriteFile(into, fmt.Appendln(nil, int64(wall), int64(cpu), usage.Maxrss<<10), 0o644))
}

func lastLines(s string) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-500):]
}

// tick is the unit of CPU time in /proc, sysconf(_SC_CLK_TCK): 100 Hz on every
// Linux that Go knows.
const tick = 10 * time.Millisecond

// podmanCPU is what the service has used, with the children that it has waited
// for: netavark, iptables, the OCI runtime, conmon's first process.
func (l *lab) podmanCPU() time.Duration { return cpuOf(l.service, true) }

// cpuOf is that of a process, proc_pid_stat(5).
func cpuOf(proc string, children bool) (d time.Duration) {
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	times := fields[11:13] // utime, stime; then those of the children
	if children {
		times = fields[11:15]
	}
	for _, text := range times {
		n, _ := strconv.Atoi(text)
		d += time.Duration(n) * tick
	}
	return d
}

// listener is the process that listens on a unix socket.
func listener(socket string) (pid int32, err error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *syscall.Ucred
	raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil {
		return 0, err
	}
	return peer.Pid, nil
}

// bareCosts measures the calls that a boot is made of, with containers like
// those of the workloads.
func (l *lab) bareCosts(ctx context.Context, w workload) (b bare, err error) {
	n := min(len(w.services), 24)
	ids := make([]string, n)
	for i, s := range w.services[:n] {
		var answer struct{ ID string }
		body := map[string]any{"name": s.name, "image": image, "env": s.env(), "restart_policy": "no",
			"portmappings": []map[string]any{{"host_ip": "127.0.0.1", "host_port": s.port, "container_port": 8080, "protocol": "tcp"}}}
		if err := l.api(ctx, "POST", "/containers/create", body, &answer); err != nil {
			return b, err
		}
		ids[i] = answer.ID
	}
	rate := func(method, path string, ids []string) (float64, error) {
		began := time.Now()
		var calls errgroup.Group
		calls.SetLimit(2) // more only queue up at the lock of Podman's network
		for _, id := range ids {
			calls.Go(func() error { return l.api(ctx, method, fmt.Sprintf(path, id), nil, nil) })
		}
		err := calls.Wait()
		return float64(len(ids)) / time.Since(began).Seconds(), err
	}
	if b.initRate, err = rate("POST", "/containers/%s/init", ids); err != nil {
		return b, err
	}
	var starts []time.Duration
	called := make([]time.Time, n)
	for i := range n {
		called[i] = time.Now()
		if err := l.api(ctx, "POST", "/containers/"+ids[i]+"/start", nil, nil); err != nil {
			return b, err
		}
	}
	part := workload{services: w.services[:n]}
	said, err := l.stamps(ctx, part, func(s service) string { return s.name })
	if err != nil {
		return b, err
	}
	for i := range n {
		starts = append(starts, said.began[i].Sub(called[i]))
	}
	b.start = median(starts)
	const remove = "/containers/%s?force=true&v=true"
	var stops []time.Duration
	for _, id := range ids[:4] {
		began := time.Now()
		if err := l.api(ctx, "DELETE", fmt.Sprintf(remove, id), nil, nil); err != nil {
			return b, err
		}
		stops = append(stops, time.Since(began))
	}
	b.stop = median(stops)
	b.stopRate, err = rate("DELETE", remove, ids[4:])
	return b, err
}
