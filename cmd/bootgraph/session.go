package main

import (
	"context"
	"strings"
	"time"

	"bootgraph/config"
	"bootgraph/journal"
	"bootgraph/podman"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// session is a boot file at work on a Podman.
type session struct {
	app  *app
	file *config.File
	all  *scheduler.Plan // the whole file
	plan *scheduler.Plan // what was selected
	dir  journal.Dir
	path string // of the boot file, absolute; "" where the file is from the registry

	replace []string
	client  *podman.Client
	host    *podman.Host
	starts  []string // the services that prepare has found to be started
	booted  booted   // what boot has left

	saved *savedPlan // that is to be carried out; nil: whatever there is to do

	recall func() *report.Fold // what an agent remembers, which is asked; nil: nobody's
	screen *app                // where a boot is shown; nil: by app

	probed func(*scheduler.Task, time.Duration) // is told how long probes take; may be nil
}

// open reads the boot file and the flags that go with it. Nothing is contacted.
func (a *app) open(ctx context.Context, args []string, sel scheduler.Selection, replace []string, secrets bool, advise ...advice) (*session, error) {
	file, all, err := a.load(ctx, args, secrets, advise...)
	if err != nil {
		return nil, err
	}
	return a.sessionOf(file, all, args, sel, replace)
}

// openApplied is open for commands that are about what is there, and not about
// what is to be. Who has booted with --var need not give each value again to
// see or to end it: where nothing but values is missing, it is what was last
// applied from this boot file.
func (a *app) openApplied(ctx context.Context, args []string, sel scheduler.Selection) (*session, error) {
	c, err := a.check(ctx, args, false)
	if err != nil {
		return nil, err
	}
	if config.OnlyValuesMissing(c.diags) {
		if name, err := registeredFrom(args); err == nil {
			s, err := a.openRegistered(name)
			if err == nil {
				err = s.narrow(sel, nil)
			}
			return s, err
		}
	}
	if err := a.tell(c.sources, c.diags); err != nil {
		return nil, err
	}
	return a.sessionOf(c.file, c.plan, args, sel, nil)
}

func (a *app) sessionOf(file *config.File, all *scheduler.Plan, args []string, sel scheduler.Selection, replace []string) (*session, error) {
	root, err := journal.Root()
	if err != nil {
		return nil, err
	}
	path, err := absoluteBootFile(args)
	if err != nil {
		return nil, err
	}
	s := &session{app: a, file: file, all: all, dir: journal.At(root, file.Name), path: path}
	return s, s.narrow(sel, replace)
}

// narrow selects from the whole file.
func (s *session) narrow(sel scheduler.Selection, replace []string) (err error) {
	if s.plan, err = s.all.Select(sel); err != nil {
		return err
	}
	s.replace = nil
	for _, name := range replace {
		tasks, err := s.plan.FindAll(name)
		if err != nil {
			return err
		}
		for _, t := range tasks {
			s.replace = append(s.replace, t.Name)
		}
	}
	return nil
}

// connect finds the Podman that the flag, the boot file or the environment
// names; who connects closes.
func (s *session) connect(ctx context.Context) error {
	uri := s.app.connection
	if uri == "" {
		uri = s.file.Connection
	}
	client, err := podman.Connect(ctx, uri)
	if err != nil {
		return err
	}
	s.client, s.host = client, podman.NewHost(client, s.file, s.replace)
	return nil
}

// takeOver makes this process the only one at work on the configuration and
// connects; done gives both back.
func (s *session) takeOver(ctx context.Context, command string, timeout time.Duration) (done func(), err error) {
	unlock, err := s.dir.Lock(ctx, command, timeout)
	if err != nil {
		return nil, err
	}
	if err := s.connect(ctx); err != nil {
		unlock()
		return nil, err
	}
	return func() { s.close(); unlock() }, nil
}

func (s *session) close() {
	if err := s.client.Close(); err != nil {
		s.app.say("warning", err.Error(), "close")
	}
}

// look takes a snapshot and checks all that can be checked before anything is
// changed. Every problem is told; the error then is errTold.
func (s *session) look(ctx context.Context) (podman.Snapshot, error) {
	found, err := s.host.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if s.saved != nil {
		if err := s.unchanged(ctx, found); err != nil {
			return nil, err
		}
	}
	services := make([]*config.Service, len(s.plan.Tasks))
	for i, t := range s.plan.Tasks {
		services[i] = t.Service
	}
	problems := s.host.Preflight(ctx, services, found)
	for _, problem := range problems {
		cause := scheduler.CauseOf(problem)
		if strings.HasPrefix(cause.Code, "podman_") {
			return nil, problem // of Podman, not of what is described
		}
		s.app.say("error", cause.Text, cause.Code)
	}
	if len(problems) > 0 {
		return nil, errTold
	}
	return found, nil
}
