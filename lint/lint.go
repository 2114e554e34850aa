// Package lint warns of what a boot file may say, and should not: it boots, but
// otherwise than it seems to, or not the same way next time. Each rule has a
// reason, and a comment in the file silences it.
//
// It is pure: it reads no file and asks nobody. What an image says of itself
// is given to CheckImages by who has asked Podman.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"bootgraph/config"
)

// rule is one thing to warn of. A warning says what it has found, then why and
// what to do, which are the same each time and stand in docs/lint.md too.
type rule struct {
	name    string // in comments and in JSON; never changed
	summary string
	of      string // what it warns of, for docs/lint.md
	why     string
	do      string
	check   func(l *linter)
}

// rules in the order of docs/lint.md. A test writes that page.
var rules = []rule{{
	name:    "implied-dependency",
	summary: "Implied dependency",
	of: "`wants` or `after` of an earlier stage, and `depends_on` of one that blocks or aborts the boot " +
		"(behind one that continues, `depends_on` still decides who is skipped)",
	why:   "Stages are barriers, so the boot is the same without it, and the file seems to say more than it does.",
	do:    "Take it out, unless --target, --exclude or down should follow it.",
	check: (*linter).impliedDependencies,
}, {
	name:    "skip-under-block",
	summary: "Needed by a stage that blocks",
	of:      "a `depends_on` of a stage that blocks, to an earlier stage that continues",
	why:     "An earlier stage is not tried again, so if that is not ready by then, this is skipped, its stage can never be passed, and the boot ends there.",
	do:      "Let the earlier stage block too, or leave the reference out: this then starts after that stage all the same, whatever has become of the other.",
	check:   (*linter).skippedUnderBlock,
}, {
	name:    "no-health-check",
	summary: "No health check",
	of:      "a service that others depend on, without a `health` block and without a published TCP port to check",
	why:     "It counts as ready as soon as its container runs, which is before the program in it can serve, so what depends on it starts too early.",
	do:      "Give it a health block (the port of a tcp check need not be published), or health \"none\" {} if to run is all it does.",
	check:   (*linter).missingHealth,
}, {
	name:    genericCheck,
	summary: "Generic health check",
	of: "a `tcp` check, written or by default, as the only one of a container whose image has a HEALTHCHECK, which may speak gRPC or HTTP. " +
		"It takes a look at the image, so only `plan` says so, where Podman has the image already",
	why:   "A port that is listened on is no proof that the program behind it can serve, and the image knows how to ask.",
	do:    "", // depends on what the image has
	check: (*linter).genericChecks,
}, {
	name:    "mutable-tag",
	summary: "Image by a mutable tag",
	of: "an image with neither a tag nor a digest, or with a tag that is made to move: " + codes(movingTags) +
		". `:1` and the like are allowed: they move too, but within what they promise",
	why:   "What it stands for changes without the boot file, so the next boot may run another program, and two hosts two of them.",
	do:    "Write a version, or a digest (NAME@sha256:…).",
	check: (*linter).mutableTags,
}, {
	name:    "racing-restart",
	summary: "Restart policy that races the boot",
	of: "`restart = \"always\"`, which podman-restart.service starts by, where it is enabled, and `\"unless-stopped\"`, " +
		"by which it does from Podman 5.8 on. `on-failure` is fine: nothing is started by it at power-on",
	why:   "All that it starts, it starts at once, in no order, and perhaps before this boot.",
	do:    "Write on-failure, and leave the start at power-on to bootgraph.",
	check: (*linter).racingRestarts,
}, {
	name:    "public-port",
	summary: "Port published on all addresses",
	of:      "a port published without an address, or on `0.0.0.0` or `[::]`, whoever chooses its number",
	why:     "Whoever reaches any address of this host reaches the container.",
	do:      "Write the address that it is for, as in 127.0.0.1:HOST:CONTAINER.",
	check:   (*linter).publicPorts,
}}

func codes(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

// Check finds what can be seen in the boot file alone. All of its diagnostics
// are warnings, in the order of the source.
func Check(f *config.File) hcl.Diagnostics {
	l := newLinter(f)
	l.run(func(r rule) bool { return r.name != genericCheck })
	return l.tidy()
}

// CheckImages finds what takes a look at the images, of which there need not
// be all; see Images.
func CheckImages(f *config.File, images map[string]Image) hcl.Diagnostics {
	l := newLinter(f)
	l.images, l.diags = images, nil // Check has told what is wrong with comments
	l.run(func(r rule) bool { return r.name == genericCheck })
	return l.tidy()
}

// Rule is the name of the rule that a diagnostic comes from; "" if it comes
// from none.
func Rule(diag *hcl.Diagnostic) string {
	name, _ := diag.Extra.(extra)
	return string(name)
}

// extra is what Diagnostic.Extra holds: the name of a rule.
type extra string

type linter struct {
	file    *config.File
	images  map[string]Image
	stage   map[string]int    // of services and jobs, by name
	sure    map[string]bool   // ready, whenever the boot gets past its stage
	silence map[string][]span // by rule
	rule    rule              // that is being checked
	diags   hcl.Diagnostics
}

func newLinter(f *config.File) *linter {
	l := &linter{file: f, stage: map[string]int{}, sure: map[string]bool{}, silence: map[string][]span{}}
	l.readComments()
	l.each(func(stage int, s *config.Service) {
		l.stage[s.Name], l.sure[s.Name] = stage, f.Stages[stage].OnFailure != config.Continue
	})
	return l
}

func (l *linter) run(wanted func(rule) bool) {
	for _, r := range rules {
		if wanted(r) {
			l.rule = r
			r.check(l)
		}
	}
}

// each calls visit with every service and job, in the order of the file.
func (l *linter) each(visit func(stage int, s *config.Service)) {
	for i, stage := range l.file.Stages {
		for _, s := range stage.Services {
			visit(i, s)
		}
	}
}

// warn adds a warning of the rule at hand, unless a comment silences it there.
// found is a format, of one sentence or more.
func (l *linter) warn(where hcl.Range, found string, args ...any) {
	if l.silenced(l.rule.name, where) {
		return
	}
	comment := "# " + directive + " " + l.rule.name
	if inJSON(where.Filename) {
		comment = fmt.Sprintf(`"//": "%s %s"`, directive, l.rule.name)
	}
	text := []string{fmt.Sprintf(found, args...), l.rule.why}
	if l.rule.do != "" {
		text = append(text, l.rule.do)
	}
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: l.rule.summary, Subject: &where, Extra: extra(l.rule.name),
		Detail: strings.Join(text, " ") + "\nIf it is meant: " + comment})
}

// tidy brings the warnings into the order of the source, and leaves of those
// of one rule at one place the first: a block with for_each is looked at once
// for each of its instances.
func (l *linter) tidy() hcl.Diagnostics {
	order := func(a, b *hcl.Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Subject.Filename, b.Subject.Filename),
			cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
			cmp.Compare(Rule(a), Rule(b)))
	}
	slices.SortStableFunc(l.diags, order)
	return slices.CompactFunc(l.diags, func(a, b *hcl.Diagnostic) bool { return order(a, b) == 0 && Rule(a) != "" })
}
