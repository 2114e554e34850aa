package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/journal"
	"bootgraph/podman"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// keep makes what was booted what recover boots.
//
// A boot with everything ready is kept. One that is degraded is kept too, as
// long as each service that is not ready was the same in what is kept already:
// then it is not this configuration that broke it, and one flaky service must
// not keep a host on an old configuration. A service that is new or changed,
// and not ready, may be a mistake; what is known to boot stays then. Where
// nothing is kept yet, anything is better than nothing.
//
// A part of a configuration never takes the place of the whole.
func (s *session) keep(run string, out scheduler.Report) {
	through := out.Outcome == scheduler.EndReady || out.Outcome == scheduler.EndDegraded
	if s.path == "" || !through || len(s.plan.Tasks) != len(s.all.Tasks) {
		return
	}
	file := podman.Withhold(s.file)
	if last, err := s.dir.Registered(); err == nil {
		if culprit := s.unproven(last.File, file, out); culprit != "" {
			s.app.say("warning", fmt.Sprintf("recover still boots what was applied at %s: %s is not ready, and was not described like this then", localTime(last.Applied), culprit), "registry")
			return
		}
	}
	err := s.dir.Register(&journal.Registration{File: file, Applied: time.Now(), Run: run, Outcome: out.Outcome,
		Version: versionText(), BootFile: s.path, SHA256: s.sourceDigest()})
	if err != nil {
		s.app.say("warning", err.Error(), "registry")
	}
}

// unproven is the first service that is not ready and not as it was; "" if
// there is none.
func (s *session) unproven(was, is *config.File, out scheduler.Report) string {
	before, now := services(was), services(is)
	for _, t := range s.plan.Tasks {
		if old := before[t.Name]; !out.Status[t.ID].State.Ready() && (old == nil || !journal.Alike(old, now[t.Name])) {
			return t.Name
		}
	}
	return ""
}

func services(f *config.File) map[string]*config.Service {
	all := map[string]*config.Service{}
	for _, stage := range f.Stages {
		for _, s := range stage.Services {
			all[s.Name] = s
		}
	}
	return all
}

// sourceDigest is that of the boot file as it was read, or of the files of a
// directory one after another. Files of variables are not in it: they are
// often short, and secret.
func (s *session) sourceDigest() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.file.Sources)) {
		if !slices.Contains(s.app.varFiles, name) {
			sum.Write(s.file.Sources[name].Bytes)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// registeredArgs is for commands that take NAME.
func registeredArgs(cmd *cobra.Command, args cobra.PositionalArgs) *cobra.Command {
	cmd.Args = args
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		root, _ := journal.Root()
		names, _ := journal.Names(root)
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func (a *app) registryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "What recover boots: list it, show it, forget it",
		Long: `The registry has, of each configuration, what was last applied with success.
It is what recover boots, and an agent whose boot file is gone or broken.`,
	}
	cmd.AddCommand(a.registryListCommand(), a.registryShowCommand(), a.registryForgetCommand())
	return cmd
}

func (a *app) registryListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "A line a configuration: when it was applied, from which boot file", Args: cobra.NoArgs}
	format := formatFlag(cmd, "text", "json")
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := oneOf("format", *format, "text", "json"); err != nil {
			return err
		}
		list, bad, err := registrations()
		if err != nil {
			return err
		}
		if *format == "json" {
			err = report.WriteRegistryJSON(a.stdout, list)
		} else {
			err = report.WriteRegistry(a.stdout, list)
		}
		for _, problem := range bad {
			a.say("error", problem.Error(), "registry")
		}
		if err == nil && len(bad) > 0 {
			return errTold
		}
		return err
	}
	return cmd
}

// registrations are those that can be read, and what is wrong with the others.
func registrations() (list []report.Registered, bad []error, err error) {
	root, err := journal.Root()
	if err != nil {
		return nil, nil, err
	}
	names, err := journal.Names(root)
	for _, name := range names {
		if r, err := journal.At(root, name).Registered(); err == nil {
			list = append(list, registered(r))
		} else {
			bad = append(bad, err)
		}
	}
	return list, bad, err
}

func registered(r *journal.Registration) report.Registered {
	return report.Registered{Name: r.File.Name, Applied: r.Applied, Run: r.Run, Outcome: r.Outcome, Version: r.Version,
		BootFile: r.BootFile, SHA256: r.SHA256, Services: len(services(r.File))}
}

// registeredDir is where the configuration is kept that the arguments name.
func registeredDir(args []string) (dir journal.Dir, err error) {
	name, err := registeredName(args)
	if err != nil {
		return dir, err
	}
	root, err := journal.Root()
	return journal.At(root, name), err
}

func (a *app) registryShowCommand() *cobra.Command {
	cmd := registeredArgs(&cobra.Command{
		Use:   "show NAME",
		Short: "Show what recover would boot; with --format json all of it, as it is kept",
	}, cobra.ExactArgs(1))
	format := formatFlag(cmd, "text", "json")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := oneOf("format", *format, "text", "json"); err != nil {
			return err
		}
		dir, err := registeredDir(args)
		if err != nil {
			return err
		}
		r, err := dir.Registered()
		if err != nil {
			return err
		}
		if *format == "json" {
			text, err := dir.RegistryText()
			if err == nil {
				_, err = a.stdout.Write(text)
			}
			return err
		}
		return a.showRegistered(r)
	}
	return cmd
}

func (a *app) showRegistered(r *journal.Registration) error {
	plan, diags := scheduler.Compile(r.File)
	if diags.HasErrors() {
		return diags
	}
	picture, err := report.Draw(plan, report.View{})
	if err == nil {
		err = report.WriteRegistered(a.stdout, registered(r))
	}
	if err == nil {
		err = report.WriteTree(a.stdout, picture)
	}
	return err
}

func (a *app) registryForgetCommand() *cobra.Command {
	cmd := registeredArgs(&cobra.Command{
		Use:   "forget NAME",
		Short: "Remove it from the registry; containers stay as they are",
	}, cobra.ExactArgs(1))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := registeredDir(args)
		if err != nil {
			return err
		}
		unlock, err := dir.Lock(cmd.Context(), "registry forget", 0) // not while an apply is about to write it
		if err != nil {
			return err
		}
		defer unlock()
		return dir.Forget()
	}
	return cmd
}
