package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/config"
	"bootgraph/health"
	"bootgraph/journal"
	"bootgraph/podman"
	"bootgraph/report"
	"bootgraph/scheduler"
	"bootgraph/trace"
)

// defaultParallelism is how many containers are started at a time. A start
// spends most of its time in Podman, which sets up networks under one lock of
// the host: about two at a time is where more only queue up (measured, see
// ARCHITECTURE.md).
func defaultParallelism() int { return max(2, runtime.NumCPU()) }

func (a *app) applyCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "apply [FILE|DIR|PLAN]",
		Short: "Boot: create and start what the boot file describes, in order",
		Long: `apply boots the host: stage after stage, each service when what it depends on
is ready. What already runs as described is left alone and probed once.

Of a plan saved by plan --out it carries out exactly that, and refuses if the
boot file or the host has changed since.

It exits with 0 when everything is ready, with 3 when it went through but
something is degraded, failed or skipped.`,
	})
	sel := selection(cmd)
	how := bootFlags(cmd)
	var (
		replace = cmd.Flags().StringArray("replace", nil, "recreate this `service` even if nothing differs (repeatable)")
		prune   = cmd.Flags().Bool("prune", false, "remove containers that are not in the boot file any more")
	)
	how.lockTimeout = lockTimeoutFlag(cmd)
	remote := remoteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := how.check(); err != nil {
			return err
		}
		if remote.used() {
			return a.remoteApply(cmd, remote, args, *how, &pb.ApplyRequest{Selection: selected(*sel), Replace: *replace, Prune: *prune})
		}
		saved, err := readSaved(cmd, args)
		if err != nil {
			return err
		}
		var s *session
		if saved != nil {
			*prune = saved.Inputs.Prune
			s, err = a.openSaved(cmd.Context(), saved)
		} else {
			s, err = a.open(cmd.Context(), args, *sel, *replace, true, config.Missing)
		}
		if err != nil {
			return err
		}
		return s.carryOut(cmd.Context(), "apply", *how, *prune)
	}
	return cmd
}

// bootOptions are how to boot, whatever is booted.
type bootOptions struct {
	progress    string
	parallelism int
	otlp        string // where traces go; "": where the environment says
	lockTimeout *time.Duration
}

func bootFlags(cmd *cobra.Command) *bootOptions {
	var o bootOptions
	flags := cmd.Flags()
	flags.StringVar(&o.progress, "progress", "auto", "auto, tty, plain, json (events on standard output) or quiet")
	flags.IntVar(&o.parallelism, "parallelism", defaultParallelism(), "starts at a time; who waits or is probed doesn't count")
	flags.StringVar(&o.otlp, "otlp", "", "export the boot as an OpenTelemetry trace to the OTLP/gRPC `endpoint` (default: $OTEL_EXPORTER_OTLP_ENDPOINT; none: no trace)")
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions([]string{"auto", "tty", "plain", "json", "quiet"}, cobra.ShellCompDirectiveNoFileComp))
	return &o
}

func lockTimeoutFlag(cmd *cobra.Command) *time.Duration {
	return cmd.Flags().Duration("lock-timeout", 0, "how long to wait for another apply or down")
}

func (o *bootOptions) check() error {
	if err := checkParallelism(o.parallelism); err != nil {
		return err
	}
	if o.otlp != "" {
		if _, err := trace.Wanted(o.otlp, os.Getenv); err != nil {
			return err
		}
	}
	return oneOf("progress", o.progress, "auto", "tty", "plain", "json", "quiet")
}

func checkParallelism(n int) error {
	if n < 1 || n > 64 {
		return fmt.Errorf("--parallelism is 1 to 64, not %d", n)
	}
	return nil
}

// carryOut boots under the lock.
func (s *session) carryOut(ctx context.Context, command string, how bootOptions, prune bool, sinks ...func(scheduler.Event)) error {
	done, err := s.takeOver(ctx, command, *how.lockTimeout)
	if err != nil {
		return err
	}
	defer done()
	if err := s.prepare(ctx, prune); err != nil {
		return err
	}
	traced, export := s.app.trace(how.otlp)
	defer export(ctx)
	return s.boot(ctx, how.progress, how.parallelism, append(sinks, traced...))
}

// trace is the sink that makes a trace of a boot, if that is wanted; export
// sends it. What goes wrong with it is told, and no more: a boot doesn't fail
// for want of a collector.
func (a *app) trace(endpoint string) (sinks []func(scheduler.Event), export func(context.Context)) {
	wanted, err := trace.Wanted(endpoint, os.Getenv)
	if err != nil {
		a.say("warning", err.Error(), "trace")
	}
	if !wanted {
		return nil, func(context.Context) {}
	}
	t := trace.New(endpoint, versionText())
	return []func(scheduler.Event){t.Add}, func(ctx context.Context) {
		if err := t.Export(context.WithoutCancel(ctx)); err != nil { // of a boot that was interrupted, too
			a.say("warning", err.Error(), "trace")
		}
	}
}

// progress is the sink that shows a boot.
func (a *app) progress(kind string) func(scheduler.Event) {
	if kind == "auto" {
		kind = map[bool]string{true: "tty", false: "plain"}[a.onTerminal()]
	}
	switch kind {
	case "json":
		return report.JSON(a.stdout)
	case "quiet":
		return report.Quiet(a.stderr)
	case "tty":
		return report.NewLive(a.stderr, report.LiveOptions{Size: a.size, Color: a.color(), Unicode: inUnicode()}).Add
	}
	return report.Plain(a.stderr)
}

// prepare makes what a boot needs to stand on.
func (s *session) prepare(ctx context.Context, prune bool) error {
	found, err := s.look(ctx)
	if err != nil {
		return err
	}
	s.starts = s.toStart(found)
	if prune {
		// Before the boot: an orphan may hold the port of what replaces it.
		if err := s.removeOrphans(ctx, found); err != nil {
			return err
		}
		if err := s.removeOrphanSecrets(ctx); err != nil {
			return err
		}
	}
	if err := s.host.EnsureSecrets(ctx); err != nil {
		return err
	}
	return s.host.EnsureNetworksVolumes(ctx)
}

func (s *session) removeOrphans(ctx context.Context, found podman.Snapshot) error {
	for _, orphan := range found.Orphans(s.file) {
		if err := s.host.Remove(ctx, &orphan, true); err != nil {
			return err
		}
		s.app.say("info", "removed "+orphan.Name+", which is not in the boot file any more", "removed")
	}
	return nil
}

func (s *session) removeOrphanSecrets(ctx context.Context) error {
	names, err := s.host.OrphanSecrets(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	if err := s.host.RemoveSecrets(ctx, names); err != nil {
		return err
	}
	s.app.say("info", "removed the secrets that nothing in the boot file needs any more: "+strings.Join(names, ", "), "removed")
	return nil
}

// boot runs the plan, and keeps its journal and what was booted.
func (s *session) boot(ctx context.Context, progress string, parallelism int, sinks []func(scheduler.Event)) error {
	run := journal.NewRun(time.Now(), os.Getpid())
	record, err := s.dir.Create(run)
	if err != nil {
		return err
	}
	if err := s.dir.Trim(runsKept); err != nil {
		s.app.say("warning", err.Error(), "journal")
	}
	screen := s.app
	if s.screen != nil {
		screen = s.screen
	}
	prober := health.New(s.host)
	prober.Probed = s.probed
	whole, each := s.usual()
	out := scheduler.Run(ctx, s.plan, scheduler.World{Runtime: s.host, Prober: prober, Sentry: s.host, Preparer: s.host},
		scheduler.Options{Run: run, Parallelism: parallelism, Usual: whole, Took: each, Running: s.running(), Sinks: append(sinks, record.Add, screen.progress(progress))})
	if err := record.Close(); err != nil {
		s.app.say("warning", err.Error(), "journal")
	}
	s.keep(run, out)
	s.booted = booted{run, out}
	switch out.Outcome {
	case scheduler.EndReady:
		return nil
	case scheduler.EndDegraded:
		return errNotReady
	case scheduler.EndInterrupted:
		return context.Cause(ctx)
	}
	return errTold // by the progress
}
