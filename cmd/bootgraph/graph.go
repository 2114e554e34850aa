package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"bootgraph/report"
)

func (a *app) graphCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "graph [FILE|DIR]",
		Short: "Write the dependency graph; contacts nothing",
		Example: `  bootgraph graph --format svg > boot.svg
  bootgraph graph --format text --focus orders --up
  bootgraph graph --format mermaid --collapse apps`,
	})
	writers := map[string]func(io.Writer, *report.Picture) error{
		"dot":     report.WriteDOT,
		"mermaid": report.WriteMermaid,
		"svg":     report.WriteSVG,
		"json":    report.WriteGraphJSON,
		"text":    report.WriteTree,
	}
	formats := []string{"dot", "mermaid", "svg", "json", "text"}
	format := formatFlag(cmd, formats...)
	var v report.View
	flags := cmd.Flags()
	flags.StringVar(&v.Focus, "focus", "", "only this `service`, what it waits for and what waits for it")
	flags.IntVar(&v.Depth, "depth", 0, "only what is at most `N` arrows from the focus")
	flags.BoolVar(&v.Up, "up", false, "of the focus, only what it waits for")
	flags.BoolVar(&v.Down, "down", false, "of the focus, only what waits for it")
	flags.StringArrayVar(&v.Stages, "stage", nil, "only the services of this `stage` (repeatable)")
	flags.StringArrayVar(&v.Collapse, "collapse", nil, "draw this `stage` as one box (repeatable)")
	flags.BoolVar(&v.Reduce, "reduce", false, "leave out arrows that others and the barriers imply (default: true for svg only)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := oneOf("format", *format, formats...); err != nil {
			return err
		}
		switch {
		case v.Focus == "" && (flags.Changed("depth") || v.Up || v.Down):
			return errors.New("--depth, --up and --down say how much to show around a service: name it with --focus")
		case flags.Changed("depth") && v.Depth < 1:
			return errors.New("--depth is 1 or more; without it, there is no limit")
		}
		if !flags.Changed("reduce") {
			// Other programs read the other formats, and can leave out
			// arrows themselves.
			v.Reduce = *format == "svg"
		}
		_, plan, err := a.load(cmd.Context(), args, false)
		if err != nil {
			return err
		}
		picture, err := report.Draw(plan, v)
		if err != nil {
			return err
		}
		return writers[*format](a.stdout, picture)
	}
	return cmd
}
