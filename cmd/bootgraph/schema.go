package main

import (
	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/report"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Describe the language of the boot file as JSON, for editors and generators",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return report.WriteSchema(a.stdout, config.Schema()) },
	}
}
