package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/config"
	"bootgraph/health"
	"bootgraph/report"
	"bootgraph/scheduler"
)

func (a *app) statusCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "status [FILE|DIR]",
		Short: "Show where each service stands, since when, and why",
		Long: `status looks at the containers and probes what runs once, so what it says is
true now. While a boot is going on, it says where that stands.

It exits with 3 when something is not ready.`,
	})
	sel := selection(cmd)
	format := formatFlag(cmd, "text", "json")
	remote := remoteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("format", *format, "text", "json"); err != nil {
			return err
		}
		if remote.used() {
			return a.remoteStatus(cmd, remote, args, &pb.StatusRequest{Selection: selected(*sel), Format: formatOf(*format)})
		}
		s, err := a.openApplied(cmd.Context(), args, *sel)
		if err != nil {
			return err
		}
		ready, err := s.showStatus(cmd.Context(), *format)
		if err == nil && !ready {
			return errNotReady
		}
		return err
	}
	return cmd
}

func (s *session) showStatus(ctx context.Context, format string) (ready bool, err error) {
	var status *report.Status
	before := s.remember()
	if err = s.connect(ctx); err == nil {
		defer s.close()
		status, err = s.status(ctx, before)
	} else if before.goesOn && ctx.Err() == nil {
		s.unreachable(err)
		status, err = s.remembered(before), nil
	}
	switch {
	case err != nil:
		return false, err
	case format == "json":
		err = report.WriteStatusJSON(s.app.stdout, status)
	default:
		err = report.WriteStatus(s.app.stdout, status, time.Now())
	}
	return status.Ready(), err
}

// status is what is found now, and, where that alone doesn't tell, what is
// remembered.
func (s *session) status(ctx context.Context, before memory) (*report.Status, error) {
	_, booting := s.dir.Working()
	status := &report.Status{Name: s.file.Name, Booting: booting, Services: make([]report.Service, len(s.plan.Tasks))}
	prober := health.New(s.host)
	var all errgroup.Group
	all.SetLimit(16) // probes are cheap, but not for a Podman that has to exec each
	for _, t := range s.plan.Tasks {
		all.Go(func() error {
			var err error
			status.Services[t.ID], err = s.serviceStatus(ctx, prober, t, before)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return status, context.Cause(ctx)
}

func (s *session) serviceStatus(ctx context.Context, prober scheduler.Prober, t *scheduler.Task, memory memory) (report.Service, error) {
	now := report.Service{Stage: s.plan.Stages[t.Stage].Name, Name: t.Name}
	before, known := memory.Find(t.Name)
	if known && memory.goesOn && !before.State.Settled() {
		return before, nil // the boot, or the agent that puts it back, knows best
	}
	at, why, err := s.host.Instances(ctx, t)
	switch {
	case err != nil:
		return now, err
	case !why.IsZero() && known && before.State.Settled() && !before.State.Ready() && before.State != scheduler.Degraded:
		return before, nil // it has not run since, and the boot knows why
	case why.Code == "not_found":
		now.State, now.Cause = scheduler.Pending, why
		return now, nil
	case !why.IsZero():
		now.State, now.Cause = scheduler.Failed, why
		return now, nil
	}
	o := prober.Await(ctx, once(t), at, time.Now(), func(scheduler.Cause) {})
	now.Cause = o.Cause
	switch {
	case o.Result == scheduler.Passed && t.Policy.Job:
		now.State = scheduler.Completed
	case o.Result == scheduler.Passed:
		now.State = scheduler.Healthy
	case o.Result == scheduler.Late:
		now.State = scheduler.Degraded
	default:
		now.State = scheduler.Failed
	}
	for _, instance := range at { // since the last of its containers was started
		if instance.StartedAt.After(now.Since) {
			now.Since = instance.StartedAt
		}
	}
	if before.State == now.State && before.Since.After(now.Since) {
		now.Since = before.Since // it was not ready at once, or not all the time
	}
	return now, nil
}

// once is a task whose checks have to pass a single time, at once.
func once(t *scheduler.Task) *scheduler.Task {
	task, service := *t, *t.Service
	task.Service = &service
	service.Health = make([]*config.Health, len(t.Service.Health))
	for i, h := range t.Service.Health {
		single := *h
		single.Successes, single.StartDelay = 1, 0
		service.Health[i] = &single
	}
	return &task
}
