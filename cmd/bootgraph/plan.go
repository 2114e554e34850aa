package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/config"
	"bootgraph/lint"
	"bootgraph/podman"
	"bootgraph/report"
)

func (a *app) planCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "plan [FILE|DIR]",
		Short: "Show what apply would do, in order, and why; changes nothing",
		Long: `plan shows what apply would do, in order, and why. It changes nothing.

With --out it saves the plan for apply, which then carries out exactly that, or
refuses if the boot file or the host has changed meanwhile. With --format sh it
writes a script that does the same with the podman command alone.`,
	})
	sel := selection(cmd)
	format := formatFlag(cmd, "text", "json", "sh")
	offline := cmd.Flags().Bool("offline", false, "contact nothing: plan for a host without containers")
	detailed := cmd.Flags().Bool("detailed-exitcode", false, "exit with 2 if there are changes to make")
	prune := cmd.Flags().Bool("prune", false, "count containers that are not in the boot file any more as to be removed")
	replace := cmd.Flags().StringArray("replace", nil, "as if apply were told to recreate this `service` (repeatable)")
	out := cmd.Flags().String("out", "", "save the plan in this `file`, for apply")
	remote := remoteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("format", *format, "text", "json", "sh"); err != nil {
			return err
		}
		if remote.used() {
			changed, err := a.remotePlan(cmd, remote, args, &pb.PlanRequest{Selection: selected(*sel), Replace: *replace, Prune: *prune, Format: formatOf(*format)})
			if err == nil && *detailed && changed {
				return errChanges
			}
			return err
		}
		in, err := a.inputs(args, *sel, *replace, *prune)
		if err == nil && *out != "" {
			err = maySave(*out, *offline)
		}
		if err != nil {
			return err
		}
		// To plan for nothing found, nothing is compared.
		s, err := a.open(cmd.Context(), args, *sel, *replace, !*offline || *format == "sh", lint.Check, config.Missing)
		if err != nil {
			return err
		}
		in.withhold(a.vars, s.file)
		preview, err := s.show(cmd.Context(), in, *format, *offline, *out)
		if err == nil && *detailed && preview.Changed() {
			return errChanges
		}
		return err
	}
	return cmd
}

// show makes a plan, saves it if out is set, and writes it.
func (s *session) show(ctx context.Context, in inputs, format string, offline bool, out string) (*report.Preview, error) {
	var p *report.Preview
	var err error
	if offline {
		s.host = podman.NewHost(nil, s.file, s.replace) // to decide, which asks nobody
		if p, err = s.preview(ctx, s.pretendExisting(), false); err != nil {
			return nil, err
		}
	} else {
		if err := s.connect(ctx); err != nil {
			return nil, err
		}
		defer s.close()
		found, err := s.look(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.adviseOnImages(ctx); err != nil {
			return nil, err
		}
		if p, err = s.preview(ctx, found, in.Prune); err != nil {
			return nil, err
		}
		if out != "" {
			if err := s.save(ctx, out, in, p, found); err != nil {
				return nil, err
			}
		}
	}
	s.expect(p) // after it is saved: how long it takes is no part of what there is to do
	switch format {
	case "json":
		return p, report.WritePlanJSON(s.app.stdout, p)
	case "sh":
		return p, report.WriteScript(s.app.stdout, s.script(in.File, p))
	}
	return p, report.WritePlan(s.app.stdout, p)
}

// preview decides about each container as apply would. Podman is asked for
// what else there is to prune.
func (s *session) preview(ctx context.Context, found podman.Snapshot, prune bool) (p *report.Preview, err error) {
	p = &report.Preview{Plan: s.plan, Actions: map[int][]report.ContainerAction{}, Prune: prune}
	if s.client != nil {
		p.Runtime = &report.Runtime{Kind: "podman", Version: s.client.Version(), Rootless: s.client.Rootless()}
	}
	for _, f := range found.Orphans(s.file) {
		p.Orphans = append(p.Orphans, report.ContainerAction{Name: f.Name, Image: f.Image, Action: report.Remove,
			Reason: "it was created for service " + f.Labels[podman.LabelService]})
	}
	if prune {
		p.OrphanSecrets, err = s.host.OrphanSecrets(ctx)
	}
	s.decide(p, found)
	return p, err
}

// adviseOnImages warns of what takes a look at the images. Podman is asked only
// about those that a warning could come of.
func (s *session) adviseOnImages(ctx context.Context) error {
	images := map[string]lint.Image{}
	for name, test := range s.client.Healthchecks(ctx, lint.Images(s.file)) {
		images[name] = lint.Image{Healthcheck: test}
	}
	return s.app.tell(s.file.Sources, lint.CheckImages(s.file, images))
}

// pretendExisting is what is on a host without containers but those that the
// boot file says exist.
func (s *session) pretendExisting() podman.Snapshot {
	var found podman.Snapshot
	for _, t := range s.plan.Tasks {
		for _, name := range t.Service.Existing {
			found = append(found, podman.Found{Name: name, State: "created"})
		}
	}
	slices.SortFunc(found, func(a, b podman.Found) int { return strings.Compare(a.Name, b.Name) })
	return found
}

func (s *session) decide(p *report.Preview, found podman.Snapshot) {
	for _, t := range s.plan.Tasks {
		names := containerNames(t)
		for i, d := range s.host.Decide(t.Service, found) {
			a := report.ContainerAction{Name: names[i], Action: report.Action(d.Action), Reason: d.Reason}
			if own := i - len(t.Service.Existing); own >= 0 {
				a.Image = t.Service.Containers[own].Image
			} else if f := found.Container(names[i]); f != nil {
				a.Image = f.Image
			}
			for _, f := range d.Diff {
				a.Diff = append(a.Diff, report.Field(f))
			}
			p.Actions[t.ID] = append(p.Actions[t.ID], a)
		}
	}
}
