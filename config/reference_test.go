package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReference writes docs/attributes.md from the structs that decode the
// language, so that it can't go stale.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Attributes of the boot file\n\n")
	b.WriteString("Written by config.TestReference from the code; rewrite it with `go test ./config -update`.\n")
	b.WriteString("What the words mean is in [language.md](language.md).\n")
	for _, section := range []struct {
		title string
		raw   any
	}{
		{"The file", rawFile{}},
		{"podman", rawPodman{}},
		{"stage", rawStage{}},
		{"service and job", rawService{}},
		{"component, and every service and job with an image", rawContainer{}},
		{"health", rawHealth{}},
		{"tls", rawTLS{}},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| | |\n|---|---|\n", section.title)
		writeFields(&b, reflect.TypeOf(section.raw))
	}
	const path = "../docs/attributes.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is stale; rewrite it with -update:\n%s", path, diff)
	}
}

func writeFields(b *strings.Builder, typ reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, block, _ := strings.Cut(f.Tag.Get("hcl"), ",")
		if name == "" {
			continue // the block itself, and what is embedded
		}
		doc := f.Tag.Get("doc")
		if doc == "" {
			fmt.Fprintf(b, "| `%s` | **no doc** |\n", name)
			continue
		}
		head := "`" + name + "`"
		if block == "block" {
			head = "`" + strings.TrimSpace(name+` "`+strings.ToUpper(f.Tag.Get("label"))+`"`) + " {}`"
			if f.Tag.Get("label") == "" {
				head = "`" + name + " {}`"
			}
		}
		if kinds := f.Tag.Get("kinds"); kinds != "" {
			doc = strings.ReplaceAll(kinds, " ", ", ") + ": " + doc
		}
		fmt.Fprintf(b, "| %s | %s |\n", head, strings.ReplaceAll(doc, "|", `\|`))
	}
}
