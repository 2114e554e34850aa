package main

import (
	"bootgraph/podman"
	"bootgraph/report"
)

// script is a preview with the commands to carry it out.
func (s *session) script(file string, p *report.Preview) *report.Script {
	script := &report.Script{Preview: p, Version: versionText(), File: file, Networks: s.file.Networks, Volumes: s.file.Volumes,
		Create: map[string]report.Creation{}, LabelName: podman.LabelName, LabelHash: podman.LabelHash}
	for _, secret := range s.file.Secrets {
		script.Secrets = append(script.Secrets, report.ScriptSecret{Name: secret.Name, Hash: podman.SecretHash(secret), File: secret.File, Env: secret.Env})
	}
	for _, t := range s.plan.Tasks {
		for _, c := range t.Service.Containers {
			creation := report.Creation{Hash: podman.Hash(c)}
			for _, w := range podman.CommandLine(s.file.Name, s.plan.Stages[t.Stage].Name, t.Name, c) {
				creation.Words = append(creation.Words, report.Word(w))
			}
			script.Create[c.Name] = creation
		}
	}
	return script
}
