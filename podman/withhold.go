package podman

import (
	"context"
	"maps"
	"slices"
	"strings"

	"bootgraph/config"
)

// A configuration without its sensitive values: enough to tell what is there
// as described and to start it, not enough to create what needs one of them.

// Withhold returns a copy of a configuration in which each sensitive value has
// given place to its fingerprint, so that the copy may be kept on disk. The
// descriptions of its containers are the same. Values are taken out here and
// nowhere else; what keeps the copy has none to write by mistake.
func Withhold(f *config.File) *config.File {
	file := *f
	file.Secrets = nil
	for _, s := range f.Secrets {
		kept := *s
		if !s.Value.IsZero() {
			kept.Value, kept.Withheld = config.Sensitive{}, SecretHash(s)
		}
		file.Secrets = append(file.Secrets, &kept)
	}
	file.Stages = nil
	for _, st := range f.Stages {
		stage := *st
		stage.Services = each(st.Services, withholdService)
		file.Stages = append(file.Stages, &stage)
	}
	return &file
}

func withholdService(s *config.Service) *config.Service {
	service := *s
	service.Containers = each(s.Containers, withholdContainer)
	service.Health = each(s.Health, func(h *config.Health) *config.Health {
		check := *h
		check.Headers = plain(h.Headers, h.Sensitive)
		return &check
	})
	return &service
}

func withholdContainer(c *config.Container) *config.Container {
	kept := *c
	kept.Withheld = maps.Clone(c.Withheld)
	if hidden, _ := describe(c)[sensitiveField].(map[string]string); hidden != nil {
		kept.Withheld = hidden
	}
	kept.Env = plain(c.Env, c.Sensitive)
	kept.Secrets = slices.Clone(c.Secrets)
	for i := range kept.Secrets {
		kept.Secrets[i].Value = config.Sensitive{}
	}
	return &kept
}

// plain are the values that are not sensitive.
func plain(values map[string]string, sensitive map[string]bool) map[string]string {
	kept := maps.Clone(values)
	maps.DeleteFunc(kept, func(key, _ string) bool { return sensitive[key] })
	return kept
}

// values tells what is missing for an action: to create a container takes the
// values that were withheld. Before anything is removed, so that what is there
// stays; and not in Preflight, since only this one service fails of it.
func (h *Host) values(ctx context.Context, a Action, w *config.Container) error {
	if a != Create && a != Replace {
		return nil
	}
	for _, field := range slices.Sorted(maps.Keys(w.Withheld)) {
		name, isSecret := strings.CutPrefix(field, "secrets.")
		if isSecret {
			found, err := h.secret(ctx, name)
			if err != nil {
				return err
			}
			if found != nil && found.Spec.Labels[LabelHash] == w.Withheld[field] {
				continue // Podman has it
			}
		}
		from := ""
		if path := w.EnvFrom[strings.TrimPrefix(field, "env.")]; path != "" {
			from = " nor read from " + path
		}
		return failed("value_missing", "cannot create %s: the value of %s is sensitive, so it is not in the registry%s: boot with the boot file, which has it: bootgraph apply", w.Name, field, from)
	}
	return nil
}
