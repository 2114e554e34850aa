package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bootgraph/analysis"
	"bootgraph/report"
	"bootgraph/scheduler"
)

func (a *app) analyzeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "analyze",
		Short: "Show where the time of a boot went",
		Long: `analyze shows where the time of the last boot went, or of another one (--run;
history lists them). It reads journals and contacts nothing.`,
		Example: `  bootgraph analyze blame
  bootgraph analyze critical-chain --run 20260102T150405.000Z-4711
  bootgraph analyze plot > boot.svg
  bootgraph analyze html > boot.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.analysis("blame", "Show what each service took itself, the longest first", "text", report.WriteBlame),
		a.analysis("critical-chain", "Show what made the boot as long as it was", "text", report.WriteCriticalChain),
		a.analysis("plot", "Draw what each service did when, as an SVG", "svg", report.WritePlot),
		a.htmlCommand())
	return cmd
}

// analysis is a command that writes one view of a boot, or all that is known
// of it as JSON.
func (a *app) analysis(name, short, first string, write func(io.Writer, *report.Analysed) error) *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{Use: name + " [FILE|DIR]", Short: short})
	format := formatFlag(cmd, first, "json")
	run := runFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("format", *format, first, "json"); err != nil {
			return err
		}
		_, boot, err := a.analyse(cmd.Context(), args, *run)
		if err != nil {
			return err
		}
		if *format == "json" {
			return report.WriteAnalysisJSON(a.stdout, boot)
		}
		return write(a.stdout, boot)
	}
	return cmd
}

func (a *app) htmlCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{Use: "html [FILE|DIR]", Short: "Write a page with the timeline, the graph and all figures; it needs nothing else"})
	run := runFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, boot, err := a.analyse(cmd.Context(), args, *run)
		if err != nil {
			return err
		}
		graph, err := report.Draw(s.plan, report.View{Reduce: true})
		if err != nil {
			return err
		}
		return report.WriteAnalysisHTML(a.stdout, boot, graph)
	}
	return cmd
}

func runFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("run", "", "the boot with this `ID` (default: the last one)")
}

// analyse reads the journal of a boot, and those before it to compare it with.
func (a *app) analyse(ctx context.Context, args []string, run string) (*session, *report.Analysed, error) {
	s, err := a.openApplied(ctx, args, scheduler.Selection{})
	if err != nil {
		return nil, nil, err
	}
	past, err := s.past()
	if err != nil {
		return nil, nil, err
	}
	at := len(past) - 1
	for run != "" && at >= 0 && past[at].run != run {
		at--
	}
	switch {
	case len(past) == 0:
		return nil, nil, fmt.Errorf("there was no boot of %s yet: apply makes one", s.file.Name)
	case at < 0:
		return nil, nil, fmt.Errorf("there is no journal of a run %q: history lists them", run)
	}
	s.tellDamage(past[at])
	if past[at].boot == nil {
		return nil, nil, fmt.Errorf("cannot tell where the time of run %s went: %w; --run names another one", past[at].run, analysis.NoBeginning)
	}
	return s, report.Analyse(past[at].boot, analysed(past[:at])), nil
}
