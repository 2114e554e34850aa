package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"bootgraph/config"
	"bootgraph/podman"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// What a plan is made from, as digests. Values of the boot file, which may be
// secret, go into them and nowhere else.

// wholePlan is the part that a plan can't be without, imagePart how the names
// of those begin that are images.
const (
	wholePlan = "what there is to do"
	imagePart = "image "
)

// partOf makes a part of values that have a fixed form in JSON.
func partOf(name, state string, values ...any) part {
	text, err := json.Marshal(append(values, state))
	if err != nil {
		panic("bootgraph: a part of a plan is no JSON: " + err.Error()) // strings, numbers, lists and maps of them
	}
	sum := sha256.Sum256(text)
	return part{name, state, hex.EncodeToString(sum[:])}
}

// shown is the part that a plan is to a person: all that it says there is to do.
func shown(plan json.RawMessage) part {
	text, err := json.Marshal(plan) // the same, however it is indented
	if err != nil {
		return part{Name: wholePlan}
	}
	return partOf(wholePlan, "", string(text))
}

// parts are what the plan was made from: the boot file as far as it is part of
// the plan, the Podman, and what was found there; and the plan as it is shown.
func (s *session) parts(ctx context.Context, p *report.Preview, found podman.Snapshot) (parts []part, plan json.RawMessage, err error) {
	place, err := s.client.Place(ctx)
	if err != nil {
		return nil, nil, err
	}
	parts = []part{s.settings(), partOf("podman", fmt.Sprintf("%s %s%s on %s with its containers in %s", p.Runtime.Kind, p.Runtime.Version,
		map[bool]string{true: ", rootless,"}[p.Runtime.Rootless], place.Hostname, place.Storage))}
	for _, st := range s.plan.Stages {
		parts = append(parts, partOf("stage "+st.Name+" of the boot file", "", st.OnFailure, st.Timeout))
	}
	for _, t := range s.plan.Tasks {
		parts = append(parts, described(s.plan, t))
	}
	var images []string
	for _, t := range s.plan.Tasks {
		for _, a := range p.Actions[t.ID] {
			parts = append(parts, seen(a.Name, found.Container(a.Name)))
			if a.Action == report.Create || a.Action == report.Replace {
				images = append(images, a.Image)
			}
		}
	}
	if p.Prune {
		for _, o := range p.Orphans {
			parts = append(parts, seen(o.Name, found.Container(o.Name)))
		}
	}
	slices.Sort(images)
	for _, image := range slices.Compact(images) {
		// Where a name points to is what a new container is made from.
		id, err := s.host.ImageID(ctx, image)
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, partOf(imagePart+image, "", id))
	}
	var doc bytes.Buffer
	if err := report.WritePlanJSON(&doc, p); err != nil {
		return nil, nil, err
	}
	return append(parts, shown(doc.Bytes())), doc.Bytes(), nil
}

// settings are what the boot file says beside its stages.
func (s *session) settings() part {
	var networks, volumes []string
	for _, n := range s.file.Networks {
		networks = append(networks, n.Name)
	}
	for _, v := range s.file.Volumes {
		volumes = append(volumes, v.Name)
	}
	secrets := map[string]string{}
	for _, secret := range s.file.Secrets {
		secrets[secret.Name] = podman.SecretHash(secret)
	}
	return partOf("the head of the boot file", "", s.file.Name, s.file.Connection, networks, volumes, secrets)
}

// described is what the boot file says of a service: all of it that a boot
// goes by.
func described(p *scheduler.Plan, t *scheduler.Task) part {
	names := func(ids []int) (list []string) {
		for _, id := range ids {
			list = append(list, p.Tasks[id].Name)
		}
		return list
	}
	var containers [][]string
	for _, c := range t.Service.Containers {
		containers = append(containers, []string{c.Name, c.Component, string(c.Pull), podman.Hash(c)})
	}
	checks := make([]config.Health, len(t.Service.Health))
	for i, h := range t.Service.Health {
		checks[i] = *h
		checks[i].Range = hcl.Range{} // another line of the file is no change
	}
	return partOf(string(t.Service.Kind)+" "+t.Name+" of the boot file", "", p.Stages[t.Stage].Name, t.Policy, t.Timeout,
		names(t.DependsOn), names(t.Wants), names(t.After), t.Service.Existing, containers, checks)
}

// seen is what was found of a container, in words as far as there are any.
// Times are in whole seconds, as a list of Podman has them: who was started
// twice in one looks as before, and there is the same to do about it.
func seen(name string, f *podman.Found) part {
	if f == nil {
		return partOf("container "+name, "not there")
	}
	state := f.State
	if state == "exited" || state == "stopped" {
		state = fmt.Sprintf("exited with code %d", f.ExitCode)
	}
	return partOf("container "+name, state, f.ID, f.State, f.ExitCode, f.StartedAt.Unix(), f.ImageID, f.Labels[podman.LabelSpec])
}
