package podman

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// What becomes of containers that run: their end, their logs, and programs
// run inside of them.

const (
	outputMost = 4 << 10 // bytes of an output that are kept
	tailLines  = 20      // of the log, in the cause of an exit
)

// Guard waits until one of the instances no longer runs, and says why; the
// zero Cause if ctx ended first. A job is expected to end.
func (h *Host) Guard(ctx context.Context, t *scheduler.Task, at []scheduler.Instance) scheduler.Cause {
	if t.Service.Kind == config.KindJob {
		<-ctx.Done()
		return scheduler.Cause{}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	first := make(chan scheduler.Cause, len(at))
	for _, instance := range at {
		all.Go(func() {
			if _, why, err := h.Wait(ctx, instance); err == nil {
				first <- why
			}
		})
	}
	select {
	case why := <-first:
		return why
	case <-ctx.Done():
		return scheduler.Cause{}
	}
}

// Fallen looks at all tasks, with one call of Podman at most.
func (h *Host) Fallen(ctx context.Context, ready []scheduler.Ready) (map[int]scheduler.Cause, error) {
	doubtful := func(r scheduler.Ready) bool {
		return r.Task.Service.Kind != config.KindJob && slices.ContainsFunc(r.At, func(was scheduler.Instance) bool { return !h.runsOn(was) })
	}
	if !slices.ContainsFunc(ready, doubtful) {
		return nil, nil
	}
	all, err := h.list(ctx, false)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*Found, len(all))
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	fallen := map[int]scheduler.Cause{}
	for _, r := range ready {
		if r.Task.Service.Kind == config.KindJob {
			continue
		}
		for _, was := range r.At {
			if why := fate(was, byID[was.ID]); !why.IsZero() {
				fallen[r.Task.ID] = h.withLog(ctx, was, why)
				break
			}
		}
	}
	return fallen, nil
}

// Look tells whether the very same instance still runs; see health.Containers.
func (h *Host) Look(ctx context.Context, was scheduler.Instance) (scheduler.Cause, error) {
	if h.runsOn(was) {
		return scheduler.Cause{}, nil
	}
	f, err := h.inspect(ctx, was.ID, was.Container)
	if err != nil && !is(err, "not_found") {
		return scheduler.Cause{}, err
	}
	return fate(was, f), nil
}

const (
	// waitLimit bounds one wait by Podman, which looks only every 250 ms: a
	// container that was restarted in between is waited for as if nothing had
	// happened. It also finds out about a Podman that hangs.
	waitLimit = 5 * time.Second

	// lagMost is how long Podman may have a container as running, or stopping,
	// whose process has ended: conmon has to tell it. If conmon was killed, it
	// never hears.
	lagMost = 5 * time.Second
)

// Wait returns once the instance does not run any more; see
// health.Containers. The code is -1 where it can't be known. A paused
// container has not ended.
func (h *Host) Wait(ctx context.Context, was scheduler.Instance) (code int, why scheduler.Cause, err error) {
	// Whoever waits has just looked.
	if err := h.awaitProcess(ctx, was); err != nil && !errors.Is(err, errNoProcess) {
		return 0, scheduler.Cause{}, err
	}
	var lost time.Time // since when it has no process, and Podman doesn't know
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, 2*time.Second) {
		f, err := h.inspect(ctx, was.ID, was.Container)
		if err == nil || is(err, "not_found") {
			why := fate(was, f)
			if why.Code == "exited" {
				return f.ExitCode, h.withLog(ctx, was, why), nil
			}
			ending := f != nil && (f.State == "stopping" || h.processLost(f))
			if !why.IsZero() && why.Code != "paused" && !ending {
				return -1, why, nil
			}
			switch {
			case !ending:
				lost = time.Time{}
				if err = h.awaitEnd(ctx, was); err == nil || is(err, "podman_unresponsive") {
					delay = 25 * time.Millisecond
				}
			case lost.IsZero():
				lost = time.Now()
			case time.Since(lost) > lagMost:
				return -1, lostCause(was), nil
			}
		}
		// Podman is away, or the state lags behind the wait, or it was long.
		if !sleep(ctx, delay) {
			return 0, scheduler.Cause{}, ctx.Err()
		}
	}
}

// lostCause is the cause of an end that Podman doesn't know of.
func lostCause(was scheduler.Instance) scheduler.Cause {
	return scheduler.Cause{Code: "not_running", Text: "container " + was.Container + " has lost its process"}
}

// awaitEnd returns when the instance has ended, or some time has passed.
func (h *Host) awaitEnd(ctx context.Context, was scheduler.Instance) error {
	if err := h.awaitProcess(ctx, was); !errors.Is(err, errNoProcess) {
		return err
	}
	answer, err := h.open(ctx, call{what: "wait for " + was.Container, method: "POST", path: containerPath(was.ID, "wait"), limit: waitLimit})
	if err != nil {
		return err
	}
	defer answer.Close()
	_, err = io.Copy(io.Discard, answer)
	return err
}

// withLog adds the last lines of the log to the cause of an exit.
func (h *Host) withLog(ctx context.Context, was scheduler.Instance, why scheduler.Cause) scheduler.Cause {
	if why.Code != "exited" {
		return why
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	r, err := h.ContainerLogs(ctx, was.ID, LogOptions{Tail: tailLines, Since: was.StartedAt.Add(-startLag)})
	if err != nil {
		return why // the exit is told; its log is a courtesy
	}
	defer r.Close()
	text, _ := io.ReadAll(io.LimitReader(r, 1<<20)) // 20 lines can be of any length
	if lines := tail(text); lines != "" {
		why.Text += "; the end of its log:\n" + lines
	}
	return why
}

// tail is the end of a log: at most 20 lines and 4 KiB, harmless, indented.
func tail(text []byte) string {
	lines := strings.Split(strings.TrimSpace(clean(strings.ToValidUTF8(string(text), "\uFFFD"))), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if size += len(lines[i]) + 1; size > outputMost {
			lines[i] = "…" + strings.ToValidUTF8(lines[i][min(size-outputMost, len(lines[i])):], "")
			lines = lines[i:]
			break
		}
	}
	text = []byte(strings.Join(lines, "\n  "))
	if len(text) == 0 {
		return ""
	}
	return "  " + string(text)
}

// Exec runs a command inside the container; see health.Containers. When ctx
// ends, the command goes on: Podman has no call to end it.
func (h *Host) Exec(ctx context.Context, was scheduler.Instance, command []string) (code int, output string, err error) {
	what := "run a command in " + was.Container
	var session struct{ ID string }
	create := call{what: what, method: "POST", path: containerPath(was.ID, "exec"), limit: createLimit,
		body: map[string]any{"AttachStdout": true, "AttachStderr": true, "Cmd": command}}
	if err := h.do(ctx, create, &session); errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// The command has not even begun: it is not what takes so long.
		return 0, "", failed("podman_unresponsive", "cannot %s: podman (%s) has not answered in time; it hangs, or its storage is locked", what, h.uri)
	} else if err != nil {
		return 0, "", err
	}
	path := "/exec/" + url.PathEscape(session.ID)
	stream, err := h.open(ctx, call{what: what, method: "POST", path: path + "/start", body: map[string]any{"Detach": false, "Tty": false}})
	if err != nil {
		return 0, "", err
	}
	defer stream.Close()
	var said bytes.Buffer
	frames := &frames{source: stream}
	_, err = io.Copy(&said, io.LimitReader(frames, outputMost))
	if err == nil {
		_, err = io.Copy(io.Discard, frames)
	}
	if err != nil {
		return 0, "", err
	}
	var end struct{ ExitCode int }
	err = h.do(ctx, call{what: what, path: path + "/json", limit: readLimit}, &end)
	return end.ExitCode, said.String(), err
}

// Healthcheck runs the container's own HEALTHCHECK once, now; see
// health.Containers. Podman measures its timeout, but doesn't end it in time:
// the caller's context has to.
func (h *Host) Healthcheck(ctx context.Context, was scheduler.Instance) (ok bool, output string, err error) {
	var result struct{ Status string }
	err = h.do(ctx, call{what: "run the HEALTHCHECK of " + was.Container, path: containerPath(was.ID, "healthcheck"), limit: checkLimit}, &result)
	if is(err, "unhealthy") {
		return false, err.Error(), nil
	}
	if err != nil || result.Status == "healthy" {
		return err == nil, "", err
	}
	// The answer has no output (4.3.1); the container's own record has.
	var record struct {
		State struct {
			Health struct{ Log []struct{ Output string } }
		}
	}
	err = h.do(ctx, call{what: "inspect " + was.Container, path: containerPath(was.ID, "json"), limit: readLimit}, &record)
	if log := record.State.Health.Log; len(log) > 0 {
		output = log[len(log)-1].Output
		output = output[:min(len(output), outputMost)]
	}
	return false, output, err
}

// startLag is how far a container's own first lines may lie before the start
// that Podman has written down: it takes the time when the OCI runtime has
// returned, and the program runs by then. Without it a program that is ready at
// once was never seen to say so. A former run is out of reach: bootgraph starts
// again after a second at the soonest.
const startLag = 500 * time.Millisecond

// Logs follows what the instance prints; see health.Containers. It returns
// when there is a line: Podman 4.3 sends no header before.
func (h *Host) Logs(ctx context.Context, was scheduler.Instance, since time.Time) (io.ReadCloser, error) {
	return h.ContainerLogs(ctx, was.ID, LogOptions{Follow: true, Since: since.Add(-startLag)})
}

// LogOptions say which part of a log.
type LogOptions struct {
	Tail   int  // this many lines from the end; 0: all
	Follow bool // until the container exits
	Since  time.Time
}

// ContainerLogs reads the log of a container, stdout and stderr as they were
// printed, until its end, or for Follow until the container exits or ctx ends.
func (c *Client) ContainerLogs(ctx context.Context, id string, o LogOptions) (io.ReadCloser, error) {
	query := url.Values{"stdout": {"true"}, "stderr": {"true"}, "follow": {strconv.FormatBool(o.Follow)}}
	if o.Tail > 0 {
		query.Set("tail", strconv.Itoa(o.Tail))
	}
	if !o.Since.IsZero() {
		query.Set("since", o.Since.Format(time.RFC3339Nano))
	}
	stream, err := c.open(ctx, call{what: "read the log of " + id[:min(len(id), 12)], path: containerPath(id, "logs"), query: query})
	if err != nil {
		return nil, err
	}
	return &frames{source: stream}, nil
}

// frames takes Podman's stream of stdout and stderr apart: each piece has a
// header of 8 bytes, of which the first says which of them, and the last four
// how long the piece is.
type frames struct {
	source io.ReadCloser
	left   uint32 // of the piece
}

func (f *frames) Read(p []byte) (int, error) {
	for f.left == 0 {
		var header [8]byte
		if _, err := io.ReadFull(f.source, header[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = failed("podman_unreachable", "the stream from podman broke")
			}
			return 0, err
		}
		if header[0] > 3 || header[1]|header[2]|header[3] != 0 {
			return 0, failed("podman_error", "the stream from podman is not what the API promises: a piece begins with %v", header)
		}
		f.left = binary.BigEndian.Uint32(header[4:])
	}
	n, err := f.source.Read(p[:min(len(p), int(f.left))])
	f.left -= uint32(n)
	if err == io.EOF && f.left > 0 {
		err = failed("podman_unreachable", "the stream from podman broke")
	}
	return n, err
}

func (f *frames) Close() error { return f.source.Close() }

// stopTimeout is how long the container has between its stop signal and
// SIGKILL: what it was created with, if it is ours.
func (f *Found) stopTimeout() time.Duration {
	var spec struct {
		StopTimeout string `json:"stop_timeout"`
	}
	json.Unmarshal([]byte(f.Labels[LabelSpec]), &spec)
	if d, err := time.ParseDuration(spec.StopTimeout); err == nil {
		return d
	}
	return config.DefaultStopTimeout
}
