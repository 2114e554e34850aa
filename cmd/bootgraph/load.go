package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/report"
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
	if err != nil {
		return "", err
	}
	others, _ := filepath.Glob("*.hcl*") // of a pattern that is right
	others = slices.DeleteFunc(others, func(name string) bool {
		return !strings.HasSuffix(name, ".hcl") && !strings.HasSuffix(name, ".hcl.json")
	})
	switch {
	case len(others) == 1:
		return "", fmt.Errorf("there is no boot.hcl or boot.hcl.json in %s, but %s: name it", dir, others[0])
	case len(others) > 1:
		return "", fmt.Errorf("there is no boot.hcl or boot.hcl.json in %s, but %s and %s: name one of them, or the directory for all of them as one: .", dir, others[0], report.Count(len(others)-1, "other"))
	}
	return "", fmt.Errorf("there is no boot.hcl or boot.hcl.json in %s: name a file or a directory, or go there with -C", dir)
}

func absoluteBootFile(args []string) (string, error) {
	path, err := bootFile(args)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// checked is a boot file with all that there is to say about it.
type checked struct {
	file    *config.File
	plan    *scheduler.Plan // nil where diags have an error
	sources config.Sources
	diags   hcl.Diagnostics
}

// advice adds warnings about a boot file that is in order.
type advice func(*config.File) hcl.Diagnostics

// check reads, checks and compiles the boot file. secrets asks for the values
// of secret blocks, which only those need that compare or create them.
func (a *app) check(ctx context.Context, args []string, secrets bool, advise ...advice) (checked, error) {
	path, err := bootFile(args)
	if err != nil {
		return checked{}, err
	}
	switch text, err := savedText(path); {
	case err != nil:
		return checked{}, err
	case text != nil:
		return checked{}, fmt.Errorf("%s is a saved plan, not a boot file: only apply takes it", path)
	}
	// Nothing in hcl can be told to stop, so who is interrupted leaves it
	// behind.
	done := make(chan checked, 1)
	go func() { done <- a.read(path, secrets, advise) }()
	select {
	case c := <-done:
		return c, nil
	case <-ctx.Done():
		return checked{}, context.Cause(ctx)
	}
}

func (a *app) read(path string, secrets bool, advise []advice) (c checked) {
	c.file, c.sources, c.diags = config.Load(path, config.Inputs{Vars: a.vars, VarFiles: a.varFiles, Secrets: secrets})
	if !c.diags.HasErrors() {
		plan, more := scheduler.Compile(c.file)
		c.plan, c.diags = plan, append(c.diags, more...)
	}
	if !c.diags.HasErrors() {
		for _, advise := range advise {
			c.diags = append(c.diags, advise(c.file)...)
		}
	}
	return c
}

// load is check for who goes on only with a boot file that is in order. All
// that is wrong with it is told here, with its place; the error then is
// errTold.
func (a *app) load(ctx context.Context, args []string, secrets bool, advise ...advice) (*config.File, *scheduler.Plan, error) {
	c, err := a.check(ctx, args, secrets, advise...)
	if err != nil {
		return nil, nil, err
	}
	if err := a.tell(c.sources, c.diags); err != nil {
		return nil, nil, err
	}
	return c.file, c.plan, nil
}

// tell writes diagnostics for a person. Where there are errors among them, it
// gives errTold.
func (a *app) tell(sources config.Sources, diags hcl.Diagnostics) error {
	if err := config.WriteDiagnostics(a.stderr, sources, diags, 100, a.color()); err != nil {
		return err
	}
	if diags.HasErrors() {
		return errTold
	}
	return nil
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
