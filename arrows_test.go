package bootgraph_test

import (
	"bufio"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rules are the arrows between packages: what each may import of the project,
// and why. A package imports only from rings below its own (ARCHITECTURE.md).
//
// Do not change this text to make a build pass: an arrow that is missing here
// is a decision, not an oversight.
const rules = `
config:                                         the boot file as values; knows nobody
dag:                                            order in a graph; knows nobody
lint: config                                    warns of what a boot file may say and should not
scheduler: config dag                           compiles a configuration into a plan, and boots it
analysis: scheduler                             where the time of a boot went, from its events
health: config scheduler                        proves a task's readiness for the scheduler
podman: config scheduler                        makes tasks run for the scheduler
journal: config scheduler                       keeps events, and what was last applied
report: config dag scheduler analysis           shows plans and events, reduces their graph
trace: scheduler analysis                       exports a boot as an OpenTelemetry trace
agent/bootgraph/v1:                             the API of the agent, generated
agent/genproto:                                 generates it
agent: scheduler agent/bootgraph/v1             serves a configuration to gRPC clients
page: scheduler                                 shows events to browsers, and to Prometheus
cmd/bootgraph: config lint scheduler analysis health podman journal report agent agent/bootgraph/v1 page trace    wires all of them
bench: testdata/host                            boots workloads with bootgraph and its peers, from outside
testdata/host:                                  a private Podman for tests and the demo
testdata/host/run: testdata/host                the same as a command
testdata/server:                                what runs in the containers of tests and the demo
`

// pure lists what scheduler and lint must not import, besides: decisions touch no
// network, no file, no process, no logger and no random number.
const pure = `net os os/exec log log/slog math/rand math/rand/v2 google.golang.org/grpc`

func allowed(t *testing.T) map[string][]string {
	arrows := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(rules)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		to, why, _ := strings.Cut(strings.TrimLeft(rest, " "), "  ")
		if strings.HasPrefix(rest, "  ") {
			to, why = "", strings.TrimSpace(rest)
		}
		if !ok || strings.TrimSpace(why) == "" {
			t.Fatalf("a rule is NAME: IMPORTS  REASON, not %q", line)
		}
		arrows[name] = strings.Fields(to)
	}
	return arrows
}

func TestPackagesImportOnlyWhatTheArrowsAllow(t *testing.T) {
	arrows := allowed(t)
	// ./... leaves testdata out.
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...", "./testdata/host", "./testdata/host/run", "./testdata/server")
	list.Stderr = t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		name, ok := strings.CutPrefix(fields[0], "bootgraph/")
		if !ok {
			continue // the root: this test
		}
		seen[name] = true
		to, known := arrows[name]
		if !known {
			t.Errorf("package %s has no rule: which ring is it in?", name)
		}
		for _, imported := range fields[1:] {
			if target, own := strings.CutPrefix(imported, "bootgraph/"); own && !slices.Contains(to, target) {
				t.Errorf("%s imports %s", name, target)
			}
			if (name == "scheduler" || name == "lint") && slices.Contains(strings.Fields(pure), imported) {
				t.Errorf("%s imports %s: decisions are pure", name, imported)
			}
		}
	}
	for name := range arrows {
		if !seen[name] {
			t.Errorf("there is a rule for %s, but no such package", name)
		}
	}
}
