package main

import (
	"context"
	"os"
	"strings"
	"time"

	"bootgraph/health"
	"bootgraph/journal"
	"bootgraph/podman"
	"bootgraph/scheduler"
)

// booted is what a boot leaves to its supervision.
type booted struct {
	run    string
	report scheduler.Report
}

// supervise keeps running what a boot of this session has made run, until ctx
// ends. It holds no lock in between: while another bootgraph is at work, it
// starts nothing, and looks again afterwards. Its events go on from those of
// the boot, to the boot's journal and to the sinks.
// It returns where everything stands then.
func (s *session) supervise(ctx context.Context, after booted, parallelism int, sinks ...func(scheduler.Event)) scheduler.Report {
	if !s.connectAtLast(ctx) {
		return after.report
	}
	defer s.close()
	warn := func(err error) { s.app.say("warning", err.Error(), "journal") }
	if record, err := s.dir.Append(after.run, warn); err != nil {
		warn(err)
	} else {
		defer record.Close() // what there is to say of it has been said
		sinks = append(sinks, record.Add)
	}
	keeper := &lockedKeeper{podman.NewKeeper(s.client, s.file, after.report.Began, s.others), s.dir}
	prober := health.New(keeper.Host)
	prober.Probed = s.probed
	return scheduler.Supervise(ctx, s.plan, scheduler.World{Runtime: keeper, Prober: prober, Keeper: keeper, Watcher: prober},
		scheduler.Options{Run: after.run, Parallelism: parallelism, Sinks: sinks}, after.report)
}

// connectAtLast connects however long Podman is away; false if ctx ended first.
func (s *session) connectAtLast(ctx context.Context) bool {
	for delay := time.Second; ; delay = min(2*delay, 30*time.Second) {
		err := s.connect(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() == nil && delay == time.Second {
			s.app.say("warning", err.Error()+"; nothing is put back until it answers", scheduler.CauseOf(err).Code)
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return false
		}
	}
}

// others is who was at work on the configuration last, besides supervision and
// what that goes on from: boots of this process. A down by it is as good as
// anybody's. An apply that was killed wanted everything to run in the end; a
// down that was killed has wanted the end of what it had not come to, too.
func (s *session) others() (podman.Work, bool) {
	h, ok := s.dir.LastHolder()
	if (h.Killed || h.PID == os.Getpid()) && !strings.HasPrefix(h.Command, "down") {
		return podman.Work{}, false
	}
	return podman.Work{Command: h.Command, Since: h.Since, Until: h.Until}, ok
}

// lockedKeeper changes nothing while another bootgraph is at work on the
// configuration, and has those wait that come while it changes something.
type lockedKeeper struct {
	*podman.Keeper
	dir journal.Dir
}

// Prepare waits for the others before anything of a start begins, so that the
// wait eats none of the task's time.
func (k *lockedKeeper) Prepare(ctx context.Context, t *scheduler.Task) error {
	release, err := k.dir.Share(ctx)
	if err != nil {
		return err
	}
	release() // a pull may take long
	return k.Keeper.Prepare(ctx, t)
}

func (k *lockedKeeper) Start(ctx context.Context, t *scheduler.Task) ([]scheduler.Instance, error) {
	release, err := k.dir.Share(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return k.Keeper.Start(ctx, t)
}

func (k *lockedKeeper) Halt(ctx context.Context, t *scheduler.Task) error {
	release, err := k.dir.Share(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.Keeper.Halt(ctx, t)
}
