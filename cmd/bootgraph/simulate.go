package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bootgraph/analysis"
	"bootgraph/config"
	"bootgraph/report"
	"bootgraph/scheduler"
)

func (a *app) simulateCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "simulate [FILE|DIR]",
		Short: "Foretell a boot: when what is ready, and what follows if something is not",
		Long: `simulate boots in virtual time, with the scheduler of apply and the durations of
earlier boots: when what starts and is ready, what is degraded or skipped and
why, and which stage would wait for ever. It contacts and changes nothing, and
takes no time.

A service that was never booted here is assumed to take what is said at the top
of the output; --durations and --slow say better.

It exits as apply would: with 0 if everything comes to be ready, with 3 if not,
with 1 if the boot is aborted or never ends.`,
	})
	sel := selection(cmd)
	format := formatFlag(cmd, "text", "json")
	parallelism := cmd.Flags().Int("parallelism", defaultParallelism(), "starts at a time")
	durations := cmd.Flags().String("durations", "", "what services take, if not what they took in earlier boots: a `file`")
	fail := cmd.Flags().StringArray("fail", nil, "this `service` runs, and is never ready (repeatable)")
	slow := cmd.Flags().StringArray("slow", nil, "`SERVICE=DURATION`: so long from when it runs until it is ready (repeatable)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("format", *format, "text", "json"); err != nil {
			return err
		}
		if err := checkParallelism(*parallelism); err != nil {
			return err
		}
		s, err := a.open(cmd.Context(), args, *sel, nil, false)
		if err != nil {
			return err
		}
		times, from, err := s.durations(*durations)
		if err != nil {
			return err
		}
		attempts, err := s.imagine(times, *fail, *slow)
		if err != nil {
			return err
		}
		opt := scheduler.Options{Run: "simulated", Parallelism: *parallelism}
		for _, t := range times {
			opt.Took = append(opt.Took, t.UntilReady())
		}
		return s.simulate(scheduler.Imagined{Attempts: attempts}, opt, *format, from)
	}
	return cmd
}

// imagine makes attempts of durations: all go well but for those that are told
// not to.
func (s *session) imagine(times []analysis.Times, fail, slow []string) ([][]scheduler.Attempt, error) {
	attempts := make([][]scheduler.Attempt, len(times))
	for id, took := range times {
		a := scheduler.Attempt{Pull: took.Pulling, Start: took.Starting, Ready: took.Probing}
		if a.Start+a.Ready > s.plan.Tasks[id].Timeout {
			a.Unready = takes("it", a.Ready)
		}
		attempts[id] = []scheduler.Attempt{a}
	}
	for _, text := range slow {
		name, value, _ := strings.Cut(text, "=")
		d, err := config.ParseDelay(value)
		if err != nil {
			return nil, fmt.Errorf("--slow is SERVICE=DURATION, such as db=90s, not %q: %w", text, err)
		}
		if err := s.each("slow", name, func(t *scheduler.Task) {
			attempts[t.ID][0].Ready, attempts[t.ID][0].Unready = d, takes("--slow: it", d)
		}); err != nil {
			return nil, err
		}
	}
	for _, name := range fail {
		if err := s.each("fail", name, func(t *scheduler.Task) {
			attempts[t.ID][0].Never, attempts[t.ID][0].Unready = true, scheduler.Cause{Code: "simulated", Text: "--fail: it is never ready"}
		}); err != nil {
			return nil, err
		}
	}
	return attempts, nil
}

func takes(what string, d time.Duration) scheduler.Cause {
	return scheduler.Cause{Code: "simulated", Text: what + " takes " + report.Limit(d.Round(time.Millisecond)) + " to be ready"}
}

func (s *session) each(flag, name string, do func(*scheduler.Task)) error {
	tasks, err := s.plan.FindAll(name)
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	for _, t := range tasks {
		do(t)
	}
	return nil
}

func (s *session) simulate(world scheduler.Imagined, opt scheduler.Options, format string, from report.Sources) error {
	forecast := report.Forecast{Parallelism: opt.Parallelism, From: from}
	take := forecast.Add
	if format == "json" {
		take = report.JSON(s.app.stdout)
	}
	opt.Sinks = []func(scheduler.Event){take}
	out := scheduler.Simulate(s.plan, world, opt)
	if format == "text" {
		if err := forecast.Write(s.app.stdout); err != nil {
			return err
		}
	}
	switch out.Outcome {
	case scheduler.EndReady:
		return nil
	case scheduler.EndDegraded:
		return errNotReady
	}
	return errTold
}
