package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/journal"
	"bootgraph/scheduler"
)

func (a *app) recoverCommand() *cobra.Command {
	cmd := registeredArgs(&cobra.Command{
		Use:   "recover [NAME]",
		Short: "Boot what was last applied with success, without the boot file",
		Long: `recover boots a configuration from the registry, in which apply keeps what it has
booted: after a power loss, also when the boot file is gone or broken. Without
NAME it is the only one there is.

Sensitive values are not in the registry. What exists is started without them;
to create a container that has some, recover reads again the env files and the
sources of secrets, and fails that service if that is not enough.

It exits as apply does.`,
	}, cobra.MaximumNArgs(1))
	how := bootFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := how.check(); err != nil {
			return err
		}
		if len(a.vars)+len(a.varFiles) > 0 {
			return errors.New("recover takes no --var and no --var-file: what is in the registry was made of their values: bootgraph apply")
		}
		name, err := registeredName(args)
		if err != nil {
			return err
		}
		s, err := a.openRegistered(name)
		if err != nil {
			return err
		}
		return s.carryOut(cmd.Context(), "recover", *how, false)
	}
	return cmd
}

// registeredName is the name that the arguments have, or that of the only
// configuration in the registry. A name is looked for among those there are,
// and never made a path of before.
func registeredName(args []string) (string, error) {
	root, err := journal.Root()
	if err != nil {
		return "", err
	}
	names, err := journal.Names(root)
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", fmt.Errorf("there is nothing in the registry, %s: bootgraph apply keeps there what it has booted", root)
	case len(args) > 0 && slices.Contains(names, args[0]):
		return args[0], nil
	case len(args) > 0:
		return "", fmt.Errorf("there is no %q in the registry; there is %s", args[0], strings.Join(names, ", "))
	case len(names) > 1:
		return "", fmt.Errorf("there are several configurations in the registry: name one of %s", strings.Join(names, ", "))
	}
	return names[0], nil
}

// openRegistered is open for what was last applied. Nothing is contacted.
func (a *app) openRegistered(name string) (*session, error) {
	root, err := journal.Root()
	if err != nil {
		return nil, err
	}
	s := &session{app: a, dir: journal.At(root, name)}
	last, err := s.dir.Registered()
	if err != nil {
		return nil, err
	}
	s.file = last.File
	s.file.Recall()
	s.easeChecks()
	plan, diags := scheduler.Compile(s.file)
	if diags.HasErrors() {
		return nil, fmt.Errorf("cannot boot %s from the registry: %w", name, diags)
	}
	s.all, s.plan = plan, plan
	a.say("info", fmt.Sprintf("%s as it was applied at %s, from the registry", name, localTime(last.Applied)), "registry")
	return s, nil
}

func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// easeChecks replaces the checks that can't be made, since they have a header
// that was withheld. A server that wants it would never be ready without, and
// a foundation would wait for ever: so it has to listen, and that is said.
func (s *session) easeChecks() {
	for _, stage := range s.file.Stages {
		for _, service := range stage.Services {
			for i, h := range service.Health {
				for header := range h.Sensitive {
					if _, there := h.Headers[header]; there {
						continue
					}
					s.app.say("warning", fmt.Sprintf("%s is called ready as soon as it listens on port %d: the value of the header %s of its health check is sensitive, so it is not in the registry",
						service.Name, h.Port, header), "header_missing")
					service.Health[i] = &config.Health{Kind: config.HealthTCP, Port: h.Port, Component: h.Component,
						Interval: h.Interval, Timeout: h.Timeout, Successes: h.Successes, StartDelay: h.StartDelay}
					break
				}
			}
		}
	}
}

// openOrRegistered is open for the agent at power-on, when nobody is there to
// mend a boot file: where that can't be used, it is what was last applied from
// it instead; where there is none, and none is named, the only configuration
// in the registry. It says so, loudly. The error is that of the boot file.
func (a *app) openOrRegistered(ctx context.Context, args []string) (*session, error) {
	s, err := a.open(ctx, args, scheduler.Selection{}, nil, true)
	if err == nil {
		return s, nil
	}
	name, unknown := registeredFrom(args)
	if errors.Is(unknown, fs.ErrNotExist) {
		return nil, err
	}
	if !errors.Is(err, errTold) {
		a.say("error", err.Error(), "boot_file")
	}
	if unknown == nil {
		s, unknown = a.openRegistered(name)
	}
	if unknown != nil {
		a.say("error", unknown.Error(), "registry")
		return nil, errTold
	}
	a.say("warning", "THE BOOT FILE CAN'T BE USED, see above. This boots what was last applied instead; whatever has changed in the boot file since is not in it. Mend it, then: bootgraph apply", "registry")
	return s, nil
}

// registeredFrom finds what was applied from the boot file that the arguments
// name: a file that is broken doesn't tell its name.
func registeredFrom(args []string) (string, error) {
	path, err := absoluteBootFile(args)
	if err != nil {
		return registeredName(nil) // there is no boot file
	}
	root, err := journal.Root()
	if err != nil {
		return "", err
	}
	names, err := journal.Names(root)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if last, err := journal.At(root, name).Registered(); err == nil && last.BootFile == path {
			return name, nil
		}
	}
	return "", fmt.Errorf("nothing in the registry is from %s: %w", path, fs.ErrNotExist)
}
