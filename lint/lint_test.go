package lint

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"bootgraph/config"
)

var update = flag.Bool("update", false, "rewrite docs/lint.md and the golden parts of testdata/lint")

// Each archive is a boot file, the images that its containers have ("images":
// a line NAME WORD… each, the words being the HEALTHCHECK), what people are
// told ("want"), and by which rules, where ("rules").
func TestRules(t *testing.T) {
	paths, err := filepath.Glob("../testdata/lint/*.txtar")
	if err != nil || len(paths) < len(rules) {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f := load(t, archive.Files[0].Name, archive.Files[0].Data)
			diags := Check(f)
			var golden []*txtar.File
			for i, part := range archive.Files {
				switch part.Name {
				case "images":
					diags = append(diags, CheckImages(f, imagesOf(part.Data))...)
				case "want", "rules":
					golden = append(golden, &archive.Files[i])
				}
			}
			got := map[string]string{"want": render(t, f, diags), "rules": rulesOf(diags)}
			for _, part := range golden {
				if diff := cmp.Diff(string(part.Data), got[part.Name]); diff != "" && !*update {
					t.Errorf("%s (go test -update rewrites it), -want +got:\n%s", part.Name, diff)
				}
				part.Data = []byte(got[part.Name])
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func load(t *testing.T, name string, src []byte) *config.File {
	t.Helper()
	f, sources, diags := config.Parse(name, src, config.Inputs{})
	if diags.HasErrors() {
		var out bytes.Buffer
		config.WriteDiagnostics(&out, sources, diags, 100, false)
		t.Fatal(out.String())
	}
	return f
}

func imagesOf(text []byte) map[string]Image {
	images := map[string]Image{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		images[words[0]] = Image{Healthcheck: words[1:]}
	}
	return images
}

func render(t *testing.T, f *config.File, diags hcl.Diagnostics) string {
	t.Helper()
	var out bytes.Buffer
	if err := config.WriteDiagnostics(&out, f.Sources, diags, 100, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func rulesOf(diags hcl.Diagnostics) string {
	var out strings.Builder
	for _, diag := range diags {
		fmt.Fprintf(&out, "%d,%d-%d,%d %s\n", diag.Subject.Start.Line, diag.Subject.Start.Column, diag.Subject.End.Line, diag.Subject.End.Column, Rule(diag))
	}
	return out.String()
}

// What is shown to people as an example is one.
func TestExamplesAreFreeOfWarnings(t *testing.T) {
	paths, err := filepath.Glob("../testdata/*/boot.hcl")
	more, err2 := filepath.Glob("../testdata/graphs/*/boot.hcl")
	if err != nil || err2 != nil || len(paths) < 2 || len(more) < 3 {
		t.Fatal(paths, more, err, err2)
	}
	for _, path := range append(paths, more...) {
		f, _, diags := config.Load(path, config.Inputs{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if diags = append(diags, Check(f)...); len(diags) > 0 {
			t.Errorf("%s:\n%s", path, render(t, f, diags))
		}
	}
}

// Examples in documents are in fences of hcl; those that don't stand alone
// are no configuration.
func TestExamplesOfDocumentsAreFreeOfWarnings(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, rest := range strings.Split(string(text), "```hcl\n") {
			src, _, fenced := strings.Cut(rest, "```")
			f, _, diags := config.Parse("boot.hcl", []byte(src), config.Inputs{})
			if i == 0 || !fenced || diags.HasErrors() {
				continue
			}
			seen++
			if diags = append(diags, Check(f)...); len(diags) > 0 {
				t.Errorf("%s, example %d:\n%s", page, i, render(t, f, diags))
			}
		}
	}
	if seen < 2 {
		t.Errorf("%d examples", seen)
	}
}

func TestOneWarningAPlace(t *testing.T) {
	const src = `
stage "a" {
  service "s" {
    for_each = toset([for i in range(900) : tostring(i)])
    image    = "localhost/s"
    ports    = ["80"]
  }
}`
	diags := Check(load(t, "boot.hcl", []byte(src)))
	if got := rulesOf(diags); got != "5,16-5,29 mutable-tag\n6,17-6,21 public-port\n" {
		t.Error(got)
	}
}

// Podman is asked about no image that no warning could come of.
func TestImagesThatNothingCouldComeOfAreNotAskedAbout(t *testing.T) {
	const src = `
stage "a" {
  service "checked" {
    image = "localhost/checked:1"
    ports = ["127.0.0.1:80:80"]
    health "http" {}
  }
  service "unpublished" {
    image = "localhost/unpublished:1"
  }
  # bootgraph:ignore generic-check
  service "meant" {
    image = "localhost/meant:1"
    ports = ["127.0.0.1:81:80"]
  }
  service "second" {
    image = "localhost/wanted:1"
    ports = ["127.0.0.1:82:80"]
  }
  service "first" {
    image = "localhost/wanted:1"
    ports = ["127.0.0.1:83:80"]
  }
  job "done" {
    image = "localhost/job:1"
    ports = ["127.0.0.1:84:80"]
  }
  service "there" {
    containers = ["there"]
    health "tcp" {
      port = 80
    }
  }
}`
	if got := Images(load(t, "boot.hcl", []byte(src))); !slices.Equal(got, []string{"localhost/wanted:1"}) {
		t.Error(got)
	}
}

func TestReferenceOfRules(t *testing.T) {
	const path, begin, end = "../docs/lint.md", "<!-- rules: written by a test -->\n", "<!-- end of rules -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the rules", path)
	}
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "\n### %s\n\nWarns of %s.\n\n%s\n", r.name, r.of, strings.TrimSpace(r.why+" "+r.do))
	}
	want := before + begin + b.String() + "\n" + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(page), want); diff != "" {
		t.Errorf("%s is stale; rewrite it with go test ./lint -update:\n%s", path, diff)
	}
}
