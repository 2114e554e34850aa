package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"bootgraph/config"
)

// A rule is a function that looks at the whole file and warns. It warns only
// of what is so for sure: a false alarm costs more than a silence.

// impliedDependencies: behind a barrier everything is settled, so wants and
// after say nothing there; nor does depends_on of what is ready by then for
// sure. graph --reduce has the same rule.
func (l *linter) impliedDependencies() {
	needed := map[hcl.Range]bool{} // with for_each a place is many references, and says something if one of them does
	implied := func(stage int, ref config.Reference, strong bool) bool {
		return l.stage[ref.Target] < stage && (!strong || l.sure[ref.Target])
	}
	visit := func(warn bool) {
		l.each(func(stage int, s *config.Service) {
			for i, refs := range [][]config.Reference{s.DependsOn, s.Wants, s.After} {
				for _, ref := range refs {
					switch {
					case !implied(stage, ref, i == 0):
						needed[ref.Range] = true
					case warn && !needed[ref.Range]:
						l.warn(ref.Range, "%s", l.implication(ref.Target, stage, i == 0))
					}
				}
			}
		})
	}
	visit(false)
	visit(true)
}

func (l *linter) implication(target string, stage int, strong bool) string {
	earlier, later := l.file.Stages[l.stage[target]], l.file.Stages[stage].Name
	switch {
	case !strong:
		return fmt.Sprintf("Stage %s begins only when all of stage %s is settled, %s too.", later, earlier.Name, target)
	case earlier.OnFailure == config.Abort:
		return fmt.Sprintf("Stage %s begins only when %s is ready: without it, stage %s ends the boot.", later, target, earlier.Name)
	}
	return fmt.Sprintf("Stage %s begins only when %s is ready: until then, stage %s blocks.", later, target, earlier.Name)
}

// skippedUnderBlock: who writes block expects that all of it is tried for ever.
func (l *linter) skippedUnderBlock() {
	l.each(func(stage int, s *config.Service) {
		for _, ref := range s.DependsOn {
			to := l.stage[ref.Target]
			if l.file.Stages[stage].OnFailure == config.Block && to < stage && !l.sure[ref.Target] {
				l.warn(ref.Range, "Stage %s blocks, but stage %s before it may have given %s up.", l.file.Stages[stage].Name, l.file.Stages[to].Name, ref.Target)
			}
		}
	})
}

// missingHealth: wants and after don't ask for readiness, so only depends_on
// counts.
func (l *linter) missingHealth() {
	waiting := map[string]string{} // for whom, the first in the file who waits
	l.each(func(_ int, s *config.Service) {
		for _, ref := range s.DependsOn {
			if waiting[ref.Target] == "" {
				waiting[ref.Target] = s.Name
			}
		}
	})
	l.each(func(_ int, s *config.Service) {
		none := func(h *config.Health) bool { return h.Kind == config.HealthNone && byDefault(s, h) }
		if who := waiting[s.Name]; who != "" && s.Kind == config.KindService && !slices.ContainsFunc(s.Health, func(h *config.Health) bool { return !none(h) }) {
			l.warn(s.Range, "%s depends on %s, of which nothing is checked.", who, s.Name)
		}
	})
}

// byDefault tells whether a check is there because none is written.
func byDefault(s *config.Service, h *config.Health) bool {
	return h.Range == s.Range || slices.ContainsFunc(s.Containers, func(c *config.Container) bool { return c.Range == h.Range })
}

// movingTags are tags that by custom stand for whatever is newest.
var movingTags = []string{"latest", "stable", "mainline", "lts", "current", "edge", "rolling", "nightly", "canary", "testing", "unstable",
	"snapshot", "main", "master", "trunk", "head", "dev", "devel", "develop"}

// mutableTags: any tag can be moved; these are moved by custom. A digest says
// which image it is, whatever tag stands before it.
func (l *linter) mutableTags() {
	l.each(func(_ int, s *config.Service) {
		for _, c := range s.Containers {
			name, _, digest := strings.Cut(c.Image, "@")
			_, tag, tagged := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
			switch {
			case digest:
			case !tagged:
				l.warn(c.Ranges.Image, "%s has no tag, which stands for latest.", c.Image)
			case slices.Contains(movingTags, strings.ToLower(tag)):
				l.warn(c.Ranges.Image, "The tag %s is made to move.", tag)
			}
		}
	})
}

// racingRestarts: on-failure is left alone. No version of
// podman-restart.service starts it.
func (l *linter) racingRestarts() {
	l.each(func(_ int, s *config.Service) {
		for _, c := range s.Containers {
			switch c.Restart.Policy {
			case "always":
				l.warn(c.Ranges.Restart, "Where podman-restart.service is enabled, it starts %s at power-on.", c.Name)
			case "unless-stopped":
				l.warn(c.Ranges.Restart, "Where podman-restart.service is enabled, it starts %s at power-on, from Podman 5.8 on.", c.Name)
			}
		}
	})
}

// publicPorts: a port that Podman chooses is as open as one that is written.
func (l *linter) publicPorts() {
	l.each(func(_ int, s *config.Service) {
		for _, c := range s.Containers {
			for i, p := range c.Ports {
				if !p.HostIP.IsValid() || p.HostIP.IsUnspecified() {
					l.warn(c.Ranges.Ports[i], "Port %d/%s of %s is published on all addresses of the host.", p.ContainerPort, p.Protocol, c.Name)
				}
			}
		}
	})
}
