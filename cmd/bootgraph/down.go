package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/report"
	"bootgraph/scheduler"
)

func (a *app) downCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "down [FILE|DIR]",
		Short: "Stop in reverse order, and remove what apply created",
		Long: `down stops the services in the reverse order of a boot, side by side where the
graph allows, and removes the containers, networks and secrets that apply created.
Containers that were there before (containers = [...]) are stopped and stay.
Volumes stay unless --volumes is given.`,
	})
	var sel scheduler.Selection
	flags := cmd.Flags()
	flags.StringArrayVar(&sel.Targets, "target", nil, "only this `service`, and what depends on it (repeatable)")
	flags.StringArrayVar(&sel.Excludes, "exclude", nil, "not this `service`, nor what it depends on (repeatable)")
	flags.StringArrayVar(&sel.Stages, "stage", nil, "only the services of this `stage` (repeatable)")
	keep := flags.StringArray("keep", nil, "leave this `stage` as it is, with what it depends on (repeatable)")
	volumes := flags.Bool("volumes", false, "remove the volumes that apply created, too: their data is lost")
	lockTimeout := lockTimeoutFlag(cmd)
	remote := remoteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if remote.used() {
			return a.remoteDown(cmd, remote, args, &pb.DownRequest{Selection: selected(sel), KeepStages: *keep, Volumes: *volumes, LockTimeout: durationpb.New(*lockTimeout)})
		}
		s, err := a.openApplied(cmd.Context(), args, scheduler.Selection{})
		if err != nil {
			return err
		}
		if err := s.selectDown(sel, *keep); err != nil {
			return err
		}
		return s.takeDown(cmd.Context(), "down", *lockTimeout, *volumes)
	}
	return cmd
}

// selectDown narrows the session down to what is to be stopped.
func (s *session) selectDown(sel scheduler.Selection, keep []string) (err error) {
	if s.plan, err = s.all.WithoutStages(keep); err == nil {
		s.plan, err = s.plan.SelectDown(sel)
	}
	return err
}

// takeDown stops and removes under the lock.
func (s *session) takeDown(ctx context.Context, command string, lockTimeout time.Duration, volumes bool) error {
	done, err := s.takeOver(ctx, command, lockTimeout)
	if err != nil {
		return err
	}
	defer done()
	return s.down(ctx, volumes)
}

func (s *session) down(ctx context.Context, volumes bool) error {
	whole := len(s.plan.Tasks) == len(s.all.Tasks)
	var stopped atomic.Bool
	found, err := s.host.Snapshot(ctx)
	if err == nil && whole {
		// What is not in the file any more may lean on what is; nothing in the
		// file leans on it.
		err = s.removeOrphans(ctx, found)
	}
	if err != nil {
		return err
	}
	stop := func(ctx context.Context, t *scheduler.Task) ([]string, error) { return s.host.Down(ctx, t, found) }
	err = scheduler.Down(ctx, s.plan, s.stopWith(stop, &stopped))
	if err == nil && whole {
		err = s.host.RemoveNetworks(ctx)
	}
	if err == nil && whole {
		err = s.host.RemoveSecrets(ctx, nil)
	}
	if err == nil && whole && volumes {
		err = s.host.RemoveVolumes(ctx)
	}
	switch {
	case err != nil:
	case !stopped.Load():
		s.app.say("info", "nothing had to be stopped", "nothing_to_do")
	case whole && !volumes && len(s.file.Volumes) > 0:
		s.app.say("info", fmt.Sprintf("kept %s, with the data; --volumes removes them", report.Count(len(s.file.Volumes), "volume")), "volumes_kept")
	}
	return err
}

// stopWith tells of each task that it stops; any is set when there was one.
func (s *session) stopWith(stop func(context.Context, *scheduler.Task) ([]string, error), any *atomic.Bool) func(context.Context, *scheduler.Task) error {
	return func(ctx context.Context, t *scheduler.Task) error {
		names, err := stop(ctx, t)
		if len(names) > 0 {
			any.Store(true)
			s.app.say("info", fmt.Sprintf("stopped %s (%s)", t.Name, strings.Join(names, ", ")), "stopped")
		}
		return err
	}
}
