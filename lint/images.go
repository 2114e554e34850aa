package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"bootgraph/config"
)

const genericCheck = "generic-check"

// Image is what an image says of itself. That it exposes a port says nothing
// of what is spoken there, and no label for it has become a custom, so what is
// left is its HEALTHCHECK.
type Image struct {
	Healthcheck []string // as the image has it: CMD and its words, CMD-SHELL and a line, or NONE; empty: none
}

// Images are the images that CheckImages has to know of, sorted: those of
// containers whose only check is tcp, where no comment silences the rule.
func Images(f *config.File) []string {
	l := newLinter(f)
	var names []string
	l.each(func(_ int, s *config.Service) {
		for _, c := range onlyTCP(s) {
			if !l.silenced(genericCheck, c.where(s)) {
				names = append(names, c.container.Image)
			}
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// checked is a container with the check that it has.
type checked struct {
	container *config.Container
	check     *config.Health
}

// where is the check if it is the service's own, else the service: a stage's
// check may be right for its other services.
func (c checked) where(s *config.Service) hcl.Range {
	if c.check.Inherited {
		return s.Range
	}
	return c.check.Range
}

// onlyTCP are the containers of a service that are checked by tcp and by
// nothing else.
func onlyTCP(s *config.Service) (all []checked) {
	for _, c := range s.Containers {
		var tcp *config.Health
		other := false
		for _, h := range s.Health {
			switch {
			case h.Component != c.Component:
			case h.Kind == config.HealthTCP && tcp == nil:
				tcp = h
			case h.Kind != config.HealthTCP:
				other = true
			}
		}
		if tcp != nil && !other {
			all = append(all, checked{c, tcp})
		}
	}
	return all
}

// genericChecks takes what a HEALTHCHECK runs for what the image speaks.
func (l *linter) genericChecks() {
	l.each(func(_ int, s *config.Service) {
		for _, c := range onlyTCP(s) {
			test := l.images[c.container.Image].Healthcheck
			if len(test) < 2 || test[0] == "NONE" {
				continue
			}
			command := strings.Join(test[1:], " ")
			l.warn(c.where(s), "%s is checked by tcp alone, and its image has the HEALTHCHECK %.100q. %s", c.container.Name, command, instead(command))
		}
	})
}

// What a HEALTHCHECK is likely to speak.
var (
	speaksGRPC = regexp.MustCompile(`\bgrpc[-_]?health|\bgrpcurl\b`) // grpc_health_probe, under both of its spellings
	speaksHTTP = regexp.MustCompile(`\b(curl|wget)\b|\bhttps?://`)
)

// instead says which check would be better. The kind podman is named last: it
// costs Podman two processes a probe, the others none.
func instead(command string) string {
	switch {
	case speaksGRPC.MatchString(command):
		return `That speaks gRPC: health "grpc" with its port asks the same.`
	case speaksHTTP.MatchString(command):
		return `That speaks HTTP: health "http" with its port and path asks the same.`
	}
	return `health "podman" {} runs it.`
}
