package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestReference writes docs/attributes.md from the schema, which is made of
// the structs that decode the language, so that it can't go stale.
func TestReference(t *testing.T) {
	const path = "../docs/attributes.md"
	got := attributesPage(Schema())
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is stale; rewrite it with -update:\n%s", path, diff)
	}
}

func attributesPage(s LanguageSchema) string {
	var b strings.Builder
	b.WriteString(`# Attributes and functions of the boot file

What the words mean is in [language.md](language.md); ` + "`bootgraph schema`" + ` prints this page as JSON.
Written by config.TestReference from the code; rewrite it with ` + "`go test ./config -update`" + `.

- Numbers, bools and strings stand for each other where they can: ` + "`\"8080\"` for `8080`" + `.
- A *duration* is a string such as ` + "`\"90s\"`, `\"2m\"` or `\"1m30s\"`" + `.
- A *reference* is ` + "`service.NAME` or `job.NAME`; in JSON, `\"service.NAME\"`" + `.
- Spellings in capitals stand for what you write; what is in ` + "`[ ]`" + ` can be left out.

`)
	file := s.File
	stage := block(file, "stage")
	service := block(stage.BodySchema, "service")
	component := block(service.BodySchema, "component")
	health := block(service.BodySchema, "health")
	own := service.BodySchema
	own.Attributes = slices.DeleteFunc(slices.Clone(own.Attributes), func(a AttributeSchema) bool { return has(component.BodySchema, a.Name) })
	sections := []struct {
		title string
		body  BodySchema
	}{
		{"The file", file},
		{"podman", block(file, "podman").BodySchema},
		{"variable", block(file, "variable").BodySchema},
		{"locals", block(file, "locals").BodySchema},
		{"secret", block(file, "secret").BodySchema},
		{"stage", stage.BodySchema},
		{"service and job", own},
		{"service, job and component", component.BodySchema},
		{"health", health.BodySchema},
		{"tls", block(health.BodySchema, "tls").BodySchema},
	}
	for _, section := range sections {
		fmt.Fprintf(&b, "[%s](#%s) ·\n", section.title, anchor(section.title))
	}
	b.WriteString("[Functions](#functions) ·\n[Limits](#limits)\n")
	for _, section := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", section.title)
		switch section.title {
		case "locals":
			b.WriteString("Attributes of any names; each is a value of any type, used as `local.NAME`.\n")
			continue
		case "service, job and component":
			b.WriteString("`for_each` and `enabled` go into all of them. The others describe a container: they go into a\ncomponent, or into a service or job that has neither `component` blocks nor `containers`.\n\n")
		case "health":
			fmt.Fprintf(&b, "The kinds are `%s`.\n\n", strings.Join(health.LabelValues, "`, `"))
		}
		writeBody(&b, section.body)
	}
	b.WriteString("\n## Functions\n\nNames and arguments are Terraform's, `env` apart. `…` is any number of arguments.\n\n| function | gives |\n|---|---|\n")
	for _, f := range s.Functions {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Usage, cell(f.Doc))
	}
	b.WriteString("\n## Limits\n\n| at most | |\n|---|---|\n")
	for _, limit := range s.Limits {
		fmt.Fprintf(&b, "| %s | %s |\n", amount(limit), limit.Doc)
	}
	return b.String()
}

func writeBody(b *strings.Builder, body BodySchema) {
	ofKinds := slices.ContainsFunc(body.Attributes, func(a AttributeSchema) bool { return len(a.Kinds) > 0 })
	row := func(name, kind string, kinds []string, doc string) {
		fmt.Fprintf(b, "| `%s` | %s |", name, kind)
		if ofKinds {
			of := "all"
			if len(kinds) > 0 {
				of = strings.Join(kinds, ", ")
			}
			fmt.Fprintf(b, " %s |", of)
		}
		fmt.Fprintf(b, " %s |\n", cell(doc))
	}
	if ofKinds {
		b.WriteString("| | type | kinds | |\n|---|---|---|---|\n")
	} else {
		b.WriteString("| | type | |\n|---|---|---|\n")
	}
	for _, a := range body.Attributes {
		row(a.Name, typeWords[a.Type], a.Kinds, a.Doc)
	}
	for _, inner := range body.Blocks {
		head := inner.Name
		if inner.Label != "" {
			head += ` "` + strings.ToUpper(inner.Label) + `"`
		}
		row(head+" {}", "block", inner.Kinds, inner.Doc)
	}
}

// typeWords are the types of attributes as a reader calls them.
var typeWords = map[string]string{
	"string":                  "string",
	"number":                  "number",
	"bool":                    "bool",
	"any":                     "any value",
	"type":                    "type",
	"duration":                "duration",
	"list(string)":            "list of strings",
	"list(reference)":         "list of references",
	"map(string)":             "map of strings",
	"set(string) or map(any)": "set of strings, or map",
}

func amount(limit LimitSchema) string {
	switch limit.Unit {
	case "bytes":
		return sizeText(limit.Value)
	case "seconds":
		return strings.TrimSuffix((time.Duration(limit.Value) * time.Second).String(), "0m0s")
	}
	return fmt.Sprintf("%d %s", limit.Value, limit.Unit)
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// anchor is where GitHub puts a heading.
func anchor(title string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(title), ",", ""), " ", "-")
}

func block(body BodySchema, name string) BlockSchema {
	return body.Blocks[slices.IndexFunc(body.Blocks, func(b BlockSchema) bool { return b.Name == name })]
}

func has(body BodySchema, attribute string) bool {
	return slices.ContainsFunc(body.Attributes, func(a AttributeSchema) bool { return a.Name == attribute })
}

func TestSchemaSaysEverythingOfEveryAttribute(t *testing.T) {
	var walk func(path string, body BodySchema)
	walk = func(path string, body BodySchema) {
		for _, a := range body.Attributes {
			if a.Doc == "" || typeWords[a.Type] == "" {
				t.Errorf("%s%s: type %q, doc %q", path, a.Name, a.Type, a.Doc)
			}
		}
		for _, inner := range body.Blocks {
			if inner.Doc == "" {
				t.Errorf("%s%s has no doc", path, inner.Name)
			}
			walk(path+inner.Name+".", inner.BodySchema)
		}
	}
	walk("", Schema().File)
}

func TestEveryFunctionIsDescribed(t *testing.T) {
	all := (&decoder{}).functions()
	for name := range functionDocs {
		if _, there := all[name]; !there {
			t.Errorf("%s is described, and there is no such function", name)
		}
	}
	for name, f := range all {
		doc := functionDocs[name]
		want := len(f.Params())
		if f.VarParam() != nil {
			want++
		}
		if doc.text == "" || len(strings.Split(doc.params, ", ")) != want {
			t.Errorf("%s has %d parameters, and is described as (%s): %q", name, want, doc.params, doc.text)
		}
		if last := strings.HasSuffix(doc.params, "…") || strings.HasSuffix(doc.params, "]"); last != (f.VarParam() != nil) {
			t.Errorf("%s(%s): is the last one there any number of times?", name, doc.params)
		}
	}
}

// The limits are read out of the source: reflection doesn't see constants.
func TestSchemaHasEveryLimit(t *testing.T) {
	source, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	ast.Inspect(source, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && regexp.MustCompile(`^Max[A-Z]`).MatchString(spec.Names[0].Name) {
			want = append(want, spec.Names[0].Name)
		}
		return true
	})
	for _, limit := range Schema().Limits {
		got = append(got, limit.Name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-config.go +schema:\n%s", diff)
	}
}
