package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// unpack writes the files of an archive into a directory of their own, goes
// there, and returns the archive.
func unpack(t *testing.T, path string) *txtar.Archive {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "rift")
	if err := txtar.Write(archive, dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	return archive
}

// golden compares a part of an archive, or rewrites it.
func golden(t *testing.T, path string, archive *txtar.Archive, part, got string) {
	t.Helper()
	for i, file := range archive.Files {
		if file.Name != part {
			continue
		}
		if diff := cmp.Diff(string(file.Data), got); diff != "" && !*update {
			t.Errorf("%s (go test -update rewrites it), -want +got:\n%s", part, diff)
		}
		archive.Files[i].Data = []byte(got)
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Each archive is one class of mistake: the boot file, what people are told
// ("want"), and what exactly each diagnostic points to ("subjects"), which a
// rendering without colour doesn't show.
func TestDiagnostics(t *testing.T) {
	paths, err := filepath.Glob("../testdata/diag/*.txtar")
	if err != nil || len(paths) < 50 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		path, _ := filepath.Abs(path)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive := unpack(t, path)
			what, in := inputsOf(archive)
			file, sources, diags := Load(what, in)
			if (file == nil) != diags.HasErrors() {
				t.Errorf("file %v with errors %v", file != nil, diags.HasErrors())
			}
			golden(t, path, archive, "want", render(t, sources, diags))
			golden(t, path, archive, "subjects", subjects(sources, diags))
		})
	}
}

// inputsOf is what an archive loads, and with what: its first file, unless its
// part "given" says "directory", with its lines of --var, --var-file, env
// NAME=VALUE and secrets.
func inputsOf(archive *txtar.Archive) (path string, in Inputs) {
	path = archive.Files[0].Name
	env := map[string]string{}
	in.Getenv = func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	for _, file := range archive.Files {
		if file.Name != "given" {
			continue
		}
		for line := range strings.Lines(string(file.Data)) {
			word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			switch word {
			case "directory":
				path = "."
			case "--var":
				in.Vars = append(in.Vars, rest)
			case "--var-file":
				in.VarFiles = append(in.VarFiles, rest)
			case "env":
				name, value, _ := strings.Cut(rest, "=")
				env[name] = value
			case "secrets":
				in.Secrets = true
			}
		}
	}
	return path, in
}

func seeds(f *testing.F, path string) []txtar.File {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return slices.DeleteFunc(archive.Files, func(file txtar.File) bool { return !strings.HasPrefix(file.Name, "boot.hcl") })
}

func render(t *testing.T, sources Sources, diags hcl.Diagnostics) string {
	t.Helper()
	var out bytes.Buffer
	if err := WriteDiagnostics(&out, sources, diags, 100, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func subjects(sources Sources, diags hcl.Diagnostics) string {
	var out strings.Builder
	for _, diag := range diags {
		if diag.Subject != nil {
			r, text := *diag.Subject, ""
			if file := sources[r.Filename]; file != nil {
				text = string(r.SliceBytes(file.Bytes))
			}
			fmt.Fprintf(&out, "%d,%d-%d,%d %s\n", r.Start.Line, r.Start.Column, r.End.Line, r.End.Column, text)
		}
	}
	return out.String()
}

// The archive has a file that uses everything, its twin in JSON, and what
// both of them mean.
const everything = "../testdata/config/everything.txtar"

func TestEverythingDecodes(t *testing.T) {
	path, _ := filepath.Abs(everything)
	archive := unpack(t, path)
	_, in := inputsOf(archive)
	file, sources, diags := Load("boot.hcl", in)
	if len(diags) > 0 {
		t.Fatal(render(t, sources, diags))
	}
	golden(t, path, archive, "want.json", dump(t, file))

	twin, sources, diags := Load("boot.hcl.json", in)
	if len(diags) > 0 {
		t.Fatal(render(t, sources, diags))
	}
	if diff := cmp.Diff(dump(t, file), dump(t, twin)); diff != "" {
		t.Errorf("the twin in JSON differs, -native +json:\n%s", diff)
	}
}

// dump writes what a file means: without places in the source, and without
// the directory of this run.
func dump(t *testing.T, file *File) string {
	t.Helper()
	raw, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	var prune func(v any) any
	prune = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				_, place := value.(map[string]any)
				if empty := reflect.ValueOf(value); !empty.IsValid() || empty.IsZero() || key == "Range" && place {
					delete(v, key)
					continue
				}
				v[key] = prune(value)
			}
		case []any:
			for i := range v {
				v[i] = prune(v[i])
			}
		}
		return v
	}
	pretty, err := json.MarshalIndent(prune(tree), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(file.Dir, "/DIR", filepath.Dir(file.Dir), "/PARENT").Replace(string(pretty)) + "\n"
}

func TestEverythingUsesEveryAttribute(t *testing.T) {
	archive, err := txtar.ParseFile(everything)
	if err != nil {
		t.Fatal(err)
	}
	for raw, s := range schemas {
		for _, name := range append(s.attrs, s.blocks...) {
			if !regexp.MustCompile(`(?m)^\s*` + name + `\b`).Match(archive.Files[0].Data) {
				t.Errorf("%s of %s is not in it", name, raw)
			}
			if field := raw.FieldByIndex(s.fields[name]); field.Tag.Get("doc") == "" {
				t.Errorf("%s of %s has no doc tag", name, raw)
			}
		}
	}
}

func TestNameDefaultsToTheDirectory(t *testing.T) {
	for dir, want := range map[string]string{
		"rift":                     "rift",
		"My Boot (2)":              "My-Boot--2-",
		"..hidden":                 "hidden",
		"ünïcode":                  "n-code",
		"---":                      "boot",
		strings.Repeat("long", 50): strings.Repeat("long", 50)[:63],
	} {
		if got := nameOf("/srv/" + dir); got != want || checkName(got) != nil {
			t.Errorf("%q: %q, want %q (%v)", dir, got, want, checkName(got))
		}
	}
	if got := nameOf("/"); got != "boot" {
		t.Errorf("root: %q", got)
	}
}

func TestFileWithoutStagesIsValid(t *testing.T) {
	for _, src := range []string{"", "# nothing yet\n", "\uFEFF", "\r\n"} {
		file, sources, diags := Parse("boot.hcl", []byte(src), Inputs{})
		if file == nil || len(diags) > 0 || len(file.Stages) > 0 {
			t.Errorf("%q: %s", src, render(t, sources, diags))
		}
	}
	if file, _, diags := Parse("boot.hcl.json", []byte("{}"), Inputs{}); file == nil || len(diags) > 0 {
		t.Errorf("JSON: %v", diags)
	}
}

func TestLineEndsAndByteOrderMarkMakeNoDifference(t *testing.T) {
	const src = "stage \"a\" {\n  service \"s\" {\n    image = \"x\"\n    env = {\n      A = \"1\"\n    }\n  }\n}\n"
	want, _, diags := Parse("boot.hcl", []byte(src), Inputs{})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	for _, other := range []string{strings.ReplaceAll(src, "\n", "\r\n"), "\uFEFF" + src} {
		got, sources, diags := Parse("boot.hcl", []byte(other), Inputs{})
		if len(diags) > 0 {
			t.Fatal(render(t, sources, diags))
		}
		if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFileNamesCannotSteerTheTerminal(t *testing.T) {
	_, sources, diags := Parse("\x1b]0;title\a.hcl", []byte("stage \"a\" {\n  nothing = 1\n}\n"), Inputs{})
	if got := render(t, sources, diags); strings.ContainsAny(got, "\x1b\a") || !strings.Contains(got, "nothing = 1") {
		t.Errorf("%q", got)
	}
}

// Who comes later, as lint does, shows no more than who reads the file.
func TestWhatIsSensitiveStaysOutOfSight(t *testing.T) {
	for name, src := range map[string]string{
		"boot.hcl.json": `{"variable": {"v": {"default": "hunter2", "sensitive": true}}, "stage": {"a": {}}}`,
		"boot.hcl":      "variable \"v\" {\n  sensitive = true\n  default = \"hunter2\"\n}\n",
	} {
		_, sources, diags := Parse(name, []byte(src), Inputs{})
		if len(diags) > 0 {
			t.Fatal(render(t, sources, diags))
		}
		where := hcl.Range{Filename: name, Start: hcl.Pos{Line: 1, Byte: 0}, End: hcl.Pos{Line: 3, Byte: len(src) - 2}}
		later := &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Later", Subject: &where}
		if got := render(t, sources, hcl.Diagnostics{later}); strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s", name, got)
		}
		if DescribeDiagnostic(sources, later).Snippet != nil {
			t.Errorf("%s: a snippet for programs", name)
		}
	}
}
