package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// From the text of a boot file to the last event of its boot in virtual time:
// all that bootgraph itself does, with nothing of Podman. docs/performance.md
// has figures; the graph alone is in package dag.

var sizes = []struct{ services, edges int }{{100, 1_000}, {1_000, 10_000}, {10_000, 100_000}}

// bootFile has ten stages and edges from anywhere before.
func bootFile(services, edges int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(services)))
	needs := make([][]int, services)
	for range edges {
		i := 1 + r.IntN(services-1)
		needs[i] = append(needs[i], r.IntN(i))
	}
	var b strings.Builder
	b.WriteString("name = \"scale\"\n")
	for stage := range 10 {
		fmt.Fprintf(&b, "stage \"s%d\" {\n", stage)
		for i := stage * services / 10; i < (stage+1)*services/10; i++ {
			var refs []string
			seen := map[int]bool{}
			for _, d := range needs[i] {
				if !seen[d] {
					refs, seen[d] = append(refs, fmt.Sprintf("service.v%d", d)), true
				}
			}
			fmt.Fprintf(&b, "  service \"v%d\" {\n    image = \"localhost/x:1\"\n    depends_on = [%s]\n    health \"none\" {}\n  }\n", i, strings.Join(refs, ", "))
		}
		b.WriteString("}\n")
	}
	return []byte(b.String())
}

func BenchmarkScale(b *testing.B) {
	for _, size := range sizes {
		text := bootFile(size.services, size.edges)
		parse := func() *config.File {
			file, _, diags := config.Parse("boot.hcl", text, config.Inputs{})
			if diags.HasErrors() {
				b.Fatal(diags)
			}
			return file
		}
		compile := func(file *config.File) *scheduler.Plan {
			plan, diags := scheduler.Compile(file)
			if diags.HasErrors() {
				b.Fatal(diags)
			}
			return plan
		}
		simulate := func(plan *scheduler.Plan, each scheduler.Attempt) {
			script := make([][]scheduler.Attempt, len(plan.Tasks))
			for i := range script {
				script[i] = []scheduler.Attempt{each}
			}
			if out := scheduler.Simulate(plan, scheduler.Imagined{Attempts: script}, scheduler.Options{Parallelism: 1000}); out.Exit != 0 {
				b.Fatal(out.Outcome)
			}
		}
		file := parse()
		plan := compile(file)
		for _, part := range []struct {
			name string
			do   func()
		}{
			{"parse", func() { parse() }},
			{"compile", func() { compile(file) }},
			{"walk", func() { simulate(plan, scheduler.Attempt{}) }},
			{"simulate", func() {
				simulate(plan, scheduler.Attempt{Start: 150 * time.Millisecond, Ready: 300 * time.Millisecond})
			}}} {
			b.Run(fmt.Sprintf("%s/%d", part.name, size.services), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					part.do()
				}
			})
		}
	}
}
