package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func bootgraph() *tool {
	return &tool{
		name: "bootgraph",
		get: func(l *lab) error {
			// Built by make.
			return os.Symlink(filepath.Join(l.root, "bin/bootgraph"), filepath.Join(l.bin, "bootgraph"))
		},
		write: writeBootFile,
		up:    []string{"bootgraph", "apply", "--progress", "json"},
		down:  []string{"bootgraph", "down"},
		noop:  true,
	}
}

// bootgraphAgain is bootgraph on a host that it has booted before: it knows how
// long each service takes.
func bootgraphAgain() *tool {
	t := bootgraph()
	t.name, t.knows, t.get = "bootgraph, booted before", true, func(*lab) error { return nil }
	return t
}

func writeBootFile(_ *lab, w workload, dir string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "name = %q\n", "bench")
	for stage, members := range w.inStages() {
		fmt.Fprintf(&b, "stage \"stage%d\" {\n", stage)
		for _, i := range members {
			s := w.services[i]
			var needs []string
			for _, d := range s.dependsOn {
				needs = append(needs, "service."+w.services[d].name)
			}
			fmt.Fprintf(&b, "  service %q {\n    image = %q\n    depends_on = [%s]\n    ports = [%q]\n    env = {\n", s.name, image, strings.Join(needs, ", "), s.published())
			for key, value := range s.env() {
				fmt.Fprintf(&b, "      %s = %q\n", key, value)
			}
			fmt.Fprintf(&b, "    }\n    health %q {\n      port = 8080\n", s.kind)
			if s.kind == "http" {
				b.WriteString("      path = \"/\"\n")
			}
			b.WriteString("    }\n  }\n")
		}
		b.WriteString("}\n")
	}
	return os.WriteFile(filepath.Join(dir, "boot.hcl"), []byte(b.String()), 0o644)
}
