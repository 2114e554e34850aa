package main

import (
	"bufio"
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bootgraph/health"
	"bootgraph/podman"
	"bootgraph/report"
	"bootgraph/scheduler"
)

func (a *app) whyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why SERVICE [FILE|DIR]",
		Short: "Show what a service waits for or failed from, down to the root",
		Long: `why shows where a service stands and, if it is not ready, the whole chain of what
it waits for or failed from, now or in the last boot: each with its state, since
when, the last cause, and the end of the logs of what holds it up.

It exits with 3 when the service is not ready.`,
		Args: cobra.RangeArgs(1, 2),
	}
	format := formatFlag(cmd, "text", "json")
	remote := remoteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("format", *format, "text", "json"); err != nil {
			return err
		}
		if remote.used() {
			return a.remoteWhy(cmd, remote, args, *format)
		}
		s, err := a.openApplied(cmd.Context(), args[1:], scheduler.Selection{})
		if err != nil {
			return err
		}
		ready, err := s.showWhy(cmd.Context(), args[0], *format)
		if err == nil && !ready {
			return errNotReady
		}
		return err
	}
	return cmd
}

func (s *session) showWhy(ctx context.Context, service, format string) (ready bool, err error) {
	t, err := s.all.Find(service)
	if err != nil {
		return false, err
	}
	chain, err := s.why(ctx, t)
	switch {
	case err != nil:
		return false, err
	case format == "json":
		err = report.WriteWhyJSON(s.app.stdout, chain)
	default:
		err = report.WriteWhy(s.app.stdout, chain, time.Now())
	}
	return chain.Ready(), err
}

// why asks Podman how things are. Where it does not answer, there is what is
// remembered.
func (s *session) why(ctx context.Context, t *scheduler.Task) (*report.Chain, error) {
	before := s.remember()
	if err := s.connect(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.unreachable(err)
		return report.Why(s.all, s.remembered(before), t), nil
	}
	defer s.close()
	status, err := s.status(ctx, before)
	if err != nil {
		return nil, err
	}
	chain := report.Why(s.all, status, t)
	found, err := s.host.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	for i := range chain.Links {
		s.lookInto(ctx, chain, i, found)
	}
	return chain, nil
}

// logTail is how many lines of a log are shown.
const logTail = 5

// lookInto adds to a link what its containers say, if it is one where the
// chain ends, and why it is not ready yet, if it is being probed.
func (s *session) lookInto(ctx context.Context, chain *report.Chain, i int, found podman.Snapshot) {
	l := &chain.Links[i]
	holdsOn := func(other report.Link) bool { return other.Of == l.Name }
	if l.State.Ready() || slices.ContainsFunc(chain.Links, holdsOn) {
		return
	}
	t, err := s.all.Find(l.Name)
	if err != nil {
		return
	}
	if l.State == scheduler.Probing && l.Cause.IsZero() {
		if at, why, err := s.host.Instances(ctx, t); err == nil && why.IsZero() {
			l.Cause = health.New(s.host).Await(ctx, once(t), at, time.Now(), func(scheduler.Cause) {}).Cause
		}
	}
	for _, name := range containerNames(t) {
		f := found.Container(name)
		if f == nil {
			continue
		}
		c := report.Container{Name: name, State: f.State, Log: s.tail(ctx, f.ID)}
		if f.State == "exited" || f.State == "stopped" {
			c.Exit = &f.ExitCode
		}
		l.Containers = append(l.Containers, c)
	}
}

func containerNames(t *scheduler.Task) []string {
	names := slices.Clone(t.Service.Existing)
	for _, c := range t.Service.Containers {
		names = append(names, c.Name)
	}
	return names
}

// tail is the end of a log. What can't be had is left out: it is an addition.
func (s *session) tail(ctx context.Context, id string) (lines []string) {
	stream, err := s.client.ContainerLogs(ctx, id, podman.LogOptions{Tail: logTail})
	if err != nil {
		return nil
	}
	defer stream.Close()
	text := bufio.NewScanner(io.LimitReader(stream, 1<<20))
	for text.Scan() {
		lines = append(lines, text.Text())
	}
	return lines[max(0, len(lines)-logTail):]
}

func (a *app) historyCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "history [FILE|DIR]",
		Short: "Show past boots: when, how long, how they came out",
	})
	format := formatFlag(cmd, "text", "json")
	remote := remoteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("format", *format, "text", "json"); err != nil {
			return err
		}
		if remote.used() {
			return a.remoteHistory(cmd, remote, args, *format)
		}
		s, err := a.openApplied(cmd.Context(), args, scheduler.Selection{})
		if err != nil {
			return err
		}
		return s.history(*format)
	}
	return cmd
}
