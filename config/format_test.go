package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func FuzzFormat(f *testing.F) {
	for _, src := range hostile {
		f.Add([]byte(src[:min(len(src), 2_000)]))
	}
	archives, err := filepath.Glob("../testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatal(archives, err)
	}
	for _, path := range archives {
		for _, file := range seeds(f, path) {
			if !inJSON(file.Name) {
				f.Add(file.Data)
			}
		}
	}
	for _, c := range layoutCases {
		f.Add([]byte(c.src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		once, ok := canonical(src)
		if !ok {
			return
		}
		if twice, ok := canonical(once); !ok || !bytes.Equal(once, twice) {
			t.Errorf("%q\ngives\n%q\nand that gives\n%q", src, once, twice)
		}
		if diff := cmp.Diff(words(src), words(once)); diff != "" {
			t.Errorf("not the same any more, -before +after:\n%s", diff)
		}
		in := Inputs{Getenv: func(name string) (string, bool) { return name, name == "HOME" }}
		before, _, _ := Parse("boot.hcl", src, in)
		after, _, _ := Parse("boot.hcl", once, in)
		if (before == nil) != (after == nil) {
			t.Errorf("read before: %v, and after: %v", before != nil, after != nil)
		}
		if before != nil && after != nil {
			if diff := cmp.Diff(dump(t, before), dump(t, after)); diff != "" {
				t.Errorf("means something else, -before +after:\n%s", diff)
			}
		}
	})
}

// words are the tokens of a source without the white space around them.
func words(src []byte) []string {
	tokens, _ := hclsyntax.LexConfig(bytes.TrimPrefix(src, []byte(byteOrderMark)), "", hcl.InitialPos)
	var all []string
	for _, token := range tokens {
		if token.Type != hclsyntax.TokenNewline && token.Type != hclsyntax.TokenEOF {
			all = append(all, strings.TrimRight(string(token.Bytes), "\r\n"))
		}
	}
	return all
}

// canonical formats a source; it is false where that has errors.
func canonical(src []byte) ([]byte, bool) {
	layouts, _, diags := FormatSource("boot.hcl", src)
	if diags.HasErrors() || len(layouts) != 1 {
		return nil, false
	}
	return layouts[0].Canonical, true
}

// layoutCases say what the layout is where that is not plain, and that it
// stays terraform's where another one would be nicer.
var layoutCases = map[string]struct{ src, want string }{
	"nothing":            {"", ""},
	"blank":              {"  ", ""},
	"last line":          {"a=1", "a = 1\n"},
	"blank last line":    {"a=1\n  ", "a = 1\n"},
	"comment at the end": {"a=1\n# end", "a = 1\n# end\n"},
	"alignment":          {"a=1\nlonger=2 # two\nb=3 // three\n\nc=4\n", "a      = 1\nlonger = 2 # two\nb      = 3 // three\n\nc = 4\n"},
	"comments and blank": {"# one\n\n\n/* two */ a=1\n   # three\n", "# one\n\n\n/* two */ a = 1\n# three\n"},
	"blocks":             {"stage   a{\nservice \"s\"   { image=\"x\" }\n}\n", "stage a {\n  service \"s\" { image = \"x\" }\n}\n"},
	"tabs":               {"a {\n\tb\t=\t1\n}\n", "a {\n  b = 1\n}\n"},
	"white space in text": {"a=\"  x  \"\nb=<<A\n  x  \n\nA\nc=<<-A\n      y\n    A\n",
		"a = \"  x  \"\nb = <<A\n  x  \n\nA\nc = <<-A\n      y\n    A\n"},
	"CRLF":            {"a=1\r\nbb=<<A\r\nx\r\nA\r\n# c\r\nc=1", "a  = 1\r\nbb = <<A\r\nx\r\nA\r\n# c\r\nc = 1\r\n"},
	"byte order mark": {"\uFEFFa=1\n", "a = 1\n"},
	"list":            {"a {\nb=[\n1,\n2\n]\n}\n", "a {\n  b = [\n    1,\n    2\n  ]\n}\n"},
	// A bracket that closes goes under the line that opened it, with what is
	// before it on its line.
	"list broken after its first item": {"a {\nb=[1,\n2,\n  3]\nc=1\n}\n", "a {\n  b = [1,\n    2,\n  3]\n  c = 1\n}\n"},
}

func TestLayout(t *testing.T) {
	for name, c := range layoutCases {
		if got, ok := canonical([]byte(c.src)); !ok || string(got) != c.want {
			t.Errorf("%s:\n%q, want\n%q", name, got, c.want)
		}
	}
}

func TestWhatDoesNotParseIsNotFormatted(t *testing.T) {
	sources := map[string]string{
		"syntax":            "a = \n",
		"unclosed":          "a {\n",
		"two indices":       "a = x.1 .5\n", // hclwrite makes x.1.5 of it, which is an error
		"control character": "a = \"\x1b\"\n",
		"not UTF-8":         "a = \"\xff\"\n",
	}
	for name, src := range hostile {
		if !strings.HasPrefix(name, "list of") && !strings.HasPrefix(name, "unknown") && !strings.Contains(name, "for") && name != "doubled text" {
			sources[name] = src // the others only mean too much
		}
	}
	for name, src := range sources {
		layouts, files, diags := FormatSource("boot.hcl", []byte(src))
		if len(layouts) != 0 || !diags.HasErrors() || diags[0].Subject == nil {
			t.Errorf("%s: %d layouts, %s", name, len(layouts), render(t, files, diags))
		}
	}
}

func TestFormatTakesTheFilesThatLoadTakes(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, src := range map[string]string{"b.hcl": "b=1", "a.hcl": "a = 1\n", "c.hcl": "c=", "d.hcl.json": "{ }", ".e.hcl": "e=1", "f.txt": "f=1", "sub/g.hcl": "g=1"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(src), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	layouts, sources, diags := Format(".")
	want := []Layout{{"a.hcl", []byte("a = 1\n"), []byte("a = 1\n")}, {"b.hcl", []byte("b=1"), []byte("b = 1\n")}}
	if diff := cmp.Diff(want, layouts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if out := render(t, sources, diags); len(diags) != 1 || !strings.Contains(out, "on c.hcl line 1") {
		t.Error(out)
	}
	layouts, _, diags = Format("d.hcl.json")
	if len(layouts) != 0 || len(diags) != 1 || diags[0].Severity != hcl.DiagWarning {
		t.Errorf("JSON: %d layouts, %v", len(layouts), diags)
	}
	if _, _, diags = Format("missing.hcl"); !diags.HasErrors() {
		t.Error("a file that is missing is no error")
	}
}

// The boot files that people read are examples of the layout, too.
func TestBootFilesAreFormatted(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"../testdata/demo/*.hcl", "../testdata/rift/*.hcl", "../testdata/graphs/*/*.hcl"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		layouts, sources, diags := Format(path)
		if len(diags) > 0 {
			t.Error(render(t, sources, diags))
			continue
		}
		if diff := cmp.Diff(string(layouts[0].Canonical), string(layouts[0].Source)); diff != "" {
			t.Errorf("bootgraph fmt %s, -canonical +is:\n%s", path, diff)
		}
	}
}
