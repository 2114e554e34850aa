package main

import (
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"bootgraph/analysis"
	"bootgraph/config"
	"bootgraph/report"
)

// assumed is what a service takes that was never seen: a start as Podman has
// it on a host at rest, and a check that passes at the second try.
var assumed = analysis.Times{Starting: 500 * time.Millisecond, Probing: time.Second}

// durations are what each task takes, by ID: as a file says, as earlier boots
// had it, as it is assumed.
func (s *session) durations(path string) ([]analysis.Times, report.Sources, error) {
	past, err := s.past()
	if err != nil {
		return nil, report.Sources{}, err
	}
	s.tellDamage(past...)
	boots := analysed(past)
	usual := analysis.Usual(boots)
	from := report.Sources{Boots: len(boots), File: path, Start: assumed.Starting, Ready: assumed.Probing}
	times := make([]analysis.Times, len(s.plan.Tasks))
	known := make([]bool, len(times))
	for _, t := range s.plan.Tasks {
		if times[t.ID], known[t.ID] = usual[t.Name]; !known[t.ID] {
			times[t.ID] = assumed
		}
	}
	if path != "" {
		sources, diags := s.readDurations(path, times, known)
		if err := s.app.tell(sources, diags); err != nil {
			return nil, from, err
		}
	}
	for _, t := range s.plan.Tasks {
		if !known[t.ID] {
			from.Assumed = append(from.Assumed, t.Name)
		}
	}
	return times, from, nil
}

// readDurations reads a file of durations:
//
//	service "db" {
//	  pull  = "0s"
//	  start = "400ms"
//	  ready = "12s"
//	}
//
// It is HCL, as the boot file is, because people write it: mistakes are told
// with their place. What it leaves out stays as it was.
func (s *session) readDurations(path string, times []analysis.Times, known []bool) (config.Sources, hcl.Diagnostics) {
	parser, parse := hclparse.NewParser(), (*hclparse.Parser).ParseHCLFile
	if strings.HasSuffix(path, ".json") {
		parse = (*hclparse.Parser).ParseJSONFile
	}
	file, diags := parse(parser, path)
	if diags.HasErrors() {
		return parser.Files(), diags
	}
	content, diags := file.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "service", LabelNames: []string{"name"}}}})
	for _, block := range content.Blocks {
		// Of the whole file, so that one list serves every selection.
		if _, err := s.all.FindAll(block.Labels[0]); err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown service", Detail: sentence(err), Subject: &block.LabelRanges[0]})
			continue
		}
		inner, more := block.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "pull"}, {Name: "start"}, {Name: "ready"}}})
		diags = append(diags, more...)
		selected, _ := s.plan.FindAll(block.Labels[0])
		for _, kind := range []struct {
			name string
			of   func(*analysis.Times) *time.Duration
		}{
			{"pull", func(v *analysis.Times) *time.Duration { return &v.Pulling }},
			{"start", func(v *analysis.Times) *time.Duration { return &v.Starting }},
			{"ready", func(v *analysis.Times) *time.Duration { return &v.Probing }},
		} {
			attribute, given := inner.Attributes[kind.name]
			if !given {
				continue
			}
			d, more := durationOf(attribute)
			diags = append(diags, more...)
			for _, t := range selected {
				*kind.of(&times[t.ID]), known[t.ID] = d, true
			}
		}
	}
	return parser.Files(), diags
}

func durationOf(a *hcl.Attribute) (d time.Duration, diags hcl.Diagnostics) {
	var text string
	if diags = gohcl.DecodeExpression(a.Expr, nil, &text); diags.HasErrors() {
		return 0, diags
	}
	d, err := config.ParseDelay(text)
	if err != nil {
		where := a.Expr.Range()
		return 0, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Invalid duration", Detail: sentence(err), Subject: &where}}
	}
	return d, nil
}

func sentence(err error) string {
	s := err.Error()
	return strings.TrimSuffix(strings.ToUpper(s[:1])+s[1:], "?") + map[bool]string{true: "?", false: "."}[strings.HasSuffix(s, "?")]
}
