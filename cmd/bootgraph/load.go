package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/lint"
	"bootgraph/scheduler"
)

// bootFile returns the path of the boot file, or of the directory of files,
// that the arguments name.
func bootFile(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil // config says what is wrong with it
	}
	for _, name := range []string{"boot.hcl", "boot.hcl.json"} {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	dir, err := os.Getwd()
	return "", errors.Join(err, fmt.Errorf("there is no boot.hcl or boot.hcl.json in %s: name a file or a directory, or go there with -C", dir))
}

func absoluteBootFile(args []string) (string, error) {
	path, err := bootFile(args)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// load reads, checks and compiles the boot file. All that is wrong with it is
// told here, with its place; the error then is errTold. secrets asks for the
// values of secret blocks, which only those need that compare or create them;
// advice adds warnings about a file that is good.
func (a *app) load(args []string, secrets bool, advice ...func(*config.File) hcl.Diagnostics) (*config.File, *scheduler.Plan, error) {
	path, err := bootFile(args)
	if err != nil {
		return nil, nil, err
	}
	switch text, err := savedText(path); {
	case err != nil:
		return nil, nil, err
	case text != nil:
		return nil, nil, fmt.Errorf("%s is a saved plan, not a boot file: only apply takes it", path)
	}
	file, sources, diags := config.Load(path, config.Inputs{Vars: a.vars, VarFiles: a.varFiles, Secrets: secrets})
	var plan *scheduler.Plan
	if !diags.HasErrors() {
		compiled, more := scheduler.Compile(file)
		plan, diags = compiled, append(diags, more...)
	}
	if !diags.HasErrors() {
		for _, advise := range advice {
			diags = append(diags, advise(file)...)
		}
	}
	if err := a.tell(sources, diags); err != nil {
		return nil, nil, err
	}
	if diags.HasErrors() {
		return nil, nil, errTold
	}
	return file, plan, nil
}

// tell writes diagnostics to standard error, errors and warnings in one form.
func (a *app) tell(sources config.Sources, diags hcl.Diagnostics) error {
	return config.WriteDiagnostics(a.stderr, sources, diags, 100, a.color())
}

// selection adds the flags that narrow a plan down.
func selection(cmd *cobra.Command) *scheduler.Selection {
	var s scheduler.Selection
	flags := cmd.Flags()
	flags.StringArrayVar(&s.Targets, "target", nil, "only this `service`, with its dependencies (repeatable)")
	flags.StringArrayVar(&s.Excludes, "exclude", nil, "not this `service`, nor what depends on it (repeatable)")
	flags.StringArrayVar(&s.Stages, "stage", nil, "only the services of this `stage` (repeatable)")
	return &s
}

func formatFlag(cmd *cobra.Command, formats ...string) *string {
	format := cmd.Flags().String("format", formats[0], "how to write it: "+join(formats))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return format
}

func join(list []string) string {
	s := ""
	for i, v := range list {
		switch {
		case i == 0:
		case i == len(list)-1:
			s += " or "
		default:
			s += ", "
		}
		s += v
	}
	return s
}

// oneOf checks a flag before anything else is done.
func oneOf(flag, value string, values ...string) error {
	for _, v := range values {
		if v == value {
			return nil
		}
	}
	return fmt.Errorf("--%s is %s, not %q", flag, join(values), value)
}

// bootFileArgs is for commands that take FILE or DIR.
func bootFileArgs(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.MaximumNArgs(1)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"hcl", "hcl.json"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return cmd
}

func (a *app) validateCommand() *cobra.Command {
	return bootFileArgs(&cobra.Command{
		Use:   "validate [FILE|DIR]",
		Short: "Read and check the boot file; contacts nothing",
		RunE: func(_ *cobra.Command, args []string) error {
			_, plan, err := a.load(args, false, lint.Check)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s is valid: %d stages, %d services and jobs\n", plan.Name, len(plan.Stages), len(plan.Tasks))
			return err
		}})
}
