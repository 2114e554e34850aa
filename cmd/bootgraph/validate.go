package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/lint"
	"bootgraph/report"
	"bootgraph/scheduler"
)

func (a *app) validateCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "validate [FILE|DIR]",
		Short: "Read and check the boot file; contacts nothing",
	})
	format := formatFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("format", *format, "text", "json"); err != nil {
			return err
		}
		if *format == "json" {
			return a.validateJSON(cmd.Context(), args)
		}
		_, plan, err := a.load(cmd.Context(), args, false, lint.Check, config.Missing)
		if err != nil {
			return err
		}
		if len(plan.Tasks) == 0 {
			a.say("warning", "there is nothing to boot: no stage has a service or job", "empty")
		}
		_, err = fmt.Fprintf(a.stdout, "%s is valid: %s, %s\n", plan.Name, report.Count(len(plan.Stages), "stage"), tally(plan))
		return err
	}
	return cmd
}

// tally counts services and jobs.
func tally(plan *scheduler.Plan) string {
	jobs := 0
	for _, t := range plan.Tasks {
		if t.Policy.Job {
			jobs++
		}
	}
	text := report.Count(len(plan.Tasks)-jobs, "service")
	if jobs > 0 {
		text += " and " + report.Count(jobs, "job")
	}
	return text
}

func (a *app) validateJSON(ctx context.Context, args []string) error {
	c, err := a.check(ctx, args, false, lint.Check, config.Missing)
	if err != nil {
		return err
	}
	v := report.Validation{FormatVersion: 1, Valid: !c.diags.HasErrors(), Diagnostics: []config.DiagnosticJSON{}}
	if v.Valid {
		v.Name, v.Stages, v.Services = c.plan.Name, len(c.plan.Stages), len(c.plan.Tasks)
	}
	for _, diag := range c.diags {
		if diag.Severity == hcl.DiagError {
			v.ErrorCount++
		} else {
			v.WarningCount++
		}
		described := config.DescribeDiagnostic(c.sources, diag)
		described.Rule = lint.Rule(diag)
		v.Diagnostics = append(v.Diagnostics, described)
	}
	if err := report.WriteValidation(a.stdout, v); err != nil {
		return err
	}
	if !v.Valid {
		return errTold
	}
	return nil
}
