package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func unknown(n int) string {
	var src strings.Builder
	for i := range n {
		fmt.Fprintf(&src, "attribute%d = 1\n", i)
	}
	return src.String()
}

// doubled are locals, each of which is the one before it twice.
func doubled(n int) string {
	src := "a0 = local.a\n"
	for i := range n {
		src += fmt.Sprintf("a%d = \"${local.a%d}${local.a%d}\"\n", i+1, i, i)
	}
	return src
}

// hostile sources would overflow the stack of HCL's parser, which nothing can
// recover from, or take minutes or gigabytes.
var hostile = map[string]string{
	"parentheses":         "name = " + strings.Repeat("(", 50_000),
	"brackets":            "name = " + strings.Repeat("[", 50_000),
	"braces":              "name = " + strings.Repeat("{a=", 50_000),
	"blocks":              strings.Repeat("a {\n", 50_000),
	"templates":           "name = " + strings.Repeat(`"${`, 50_000),
	"heredocs":            "name = " + strings.Repeat("<<A\n${", 50_000),
	"calls":               "name = " + strings.Repeat("f(", 50_000),
	"not":                 "name = " + strings.Repeat("!", 200_000),
	"minus":               "name = " + strings.Repeat("-", 200_000),
	"sum":                 "name = 1" + strings.Repeat("+1", 30_000),
	"conditions":          "name = " + strings.Repeat("true?1:", 50_000),
	"indices":             "name = a" + strings.Repeat("[0]", 50_000),
	"attributes":          "name = a" + strings.Repeat(".a", 30_000),
	"splats":              "name = a" + strings.Repeat("[*]", 50_000),
	"if directives":       `name = "` + strings.Repeat("%{if true}", 90_000),
	"list of 30,000":      "stage \"a\" {\nservice \"s\" {\nimage = \"x\"\ndns = [" + strings.Repeat(`"a",`, 30_000) + "]\n}\n}\n",
	"unknown attributes":  unknown(20_000),
	"garbage":             strings.Repeat("@ ", 2<<20),
	"mismatched":          "name = " + strings.Repeat("(]", 50_000),
	"multiplying for":     "name = [for a in [1,2]: [for b in [1,2]: [for c in [1,2]: 1]]]",
	"for in a template":   `name = "%{ for a in range(1000) }%{ for b in range(1000) }%{ for c in range(1000) }x%{ endfor }%{ endfor }%{ endfor }"`,
	"for in a for":        "name = join(\"\", flatten([for a in range(1000): [for b in range(1000): [for c in range(1000): a]]]))",
	"doubled text":        "locals {\na = join(\"\", [for i in range(1000) : \"0123456789abcdef\"])\n" + doubled(40) + "}\nname = local.a40",
	"for after a comment": "name = [ # comment\n\n for a in [1]: a]",
	"huge number":         "name = 1e999999999",
	"long number":         "name = " + strings.Repeat("9", 200_000),
	"4 MiB and a byte":    strings.Repeat(" ", MaxSource+1),
}

var hostileJSON = map[string]string{
	"arrays":          strings.Repeat("[", 50_000),
	"objects":         strings.Repeat(`{"a":`, 50_000),
	"mismatched":      strings.Repeat("[}", 50_000),
	"template":        `{"name": "${` + strings.Repeat("(", 50_000) + `"}`,
	"escaped":         `{"name": "\u0024\u007b` + strings.Repeat(`\u0028`, 50_000) + `"}`,
	"operators":       `{"name": "${` + strings.Repeat("!", 50_000) + `"}`,
	"directives":      `{"name": "` + strings.Repeat("%{if true}", 90_000) + `"}`,
	"key":             `{"stage": {"a": {"service": {"s": {"image": "x", "env": {"${` + strings.Repeat("(", 50_000) + `": 1}}}}}}`,
	"after a bad one": "{\"name\": \"a\tb ${" + strings.Repeat("(", 50_000) + `"}`,
	"number":          `{"name": 1e999999999}`,
	"for":             `{"name": "${[for a in [1]: a]}"}`,
}

func TestHostileSourceIsRefused(t *testing.T) {
	for filename, sources := range map[string]map[string]string{"boot.hcl": hostile, "boot.hcl.json": hostileJSON} {
		for name, src := range sources {
			t.Run(filename+" "+name, func(t *testing.T) {
				file, sources, diags := Parse(filename, []byte(src), Inputs{})
				if file != nil || !diags.HasErrors() {
					t.Fatal("it was taken")
				}
				if out := render(t, sources, diags); len(out) > 100_000 {
					t.Errorf("%d bytes of diagnostics", len(out))
				}
			})
		}
	}
}

// What the guard lets pass goes through the parser and the evaluation within
// a stack that is a fraction of what Go allows: otherwise this test doesn't
// fail, it ends the program.
func TestDeepestSourceAllowedNeedsLittleStack(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(16 << 20))
	const deep = MaxNesting - 1
	for name, src := range map[string]string{
		"operators in parentheses": "name = " + strings.Repeat(strings.Repeat("!", maxOperators/deep)+"(", deep) + "true" + strings.Repeat(")", deep),
		"a chain of operators":     "name = " + strings.Repeat("!", maxOperators) + "true",
		"a sum in parentheses":     "name = " + strings.Repeat("(", deep) + "1" + strings.Repeat("+1", maxOperators) + strings.Repeat(")", deep),
		"conditions":               "name = " + strings.Repeat("(", deep) + strings.Repeat("true?1:", maxOperators/2) + "1" + strings.Repeat(")", deep),
		"templates":                "name = " + strings.Repeat(`"${`, deep/2) + "1" + strings.Repeat(`}"`, deep/2),
		"blocks":                   strings.Repeat("a {\n", deep) + strings.Repeat("}\n", deep),
		"indices":                  "name = [1]" + strings.Repeat("[0]", maxOperators-2),
	} {
		if _, sources, diags := Parse("boot.hcl", []byte(src), Inputs{}); strings.Contains(render(t, sources, diags), "too ") {
			t.Errorf("%s: refused, so this tests nothing:\n%s", name, render(t, sources, diags)[:200])
		}
	}
	src := strings.Repeat("[", deep) + strings.Repeat("]", deep)
	if bad := checkJSON("boot.hcl.json", []byte(src)); bad != nil {
		t.Error(bad)
	}
	Parse("boot.hcl.json", []byte(src), Inputs{})
}

// The pieces the guard lexes are to give it the same tokens as the whole.
func TestGuardSeesOverTheEndOfAPiece(t *testing.T) {
	filler := strings.Repeat("stage \"a\" {\n}\n", chunk/10)
	deep := strings.Repeat("(", MaxNesting+1)
	for name, src := range map[string]string{
		"heredoc":      filler + "name = <<A\n}\n" + filler + "${" + deep,
		"open block":   "a {\n" + strings.ReplaceAll(filler, "stage", " stage") + filler + deep,
		"comment":      filler + "/* \"\n}\n" + filler + "*/ name = " + deep,
		"line comment": filler + "# ${ \"\n}\n" + filler + "name = " + deep,
		"crlf":         strings.ReplaceAll(filler, "\n", "\r\n") + "name = " + deep,
	} {
		_, _, diags := Parse("boot.hcl", []byte(src), Inputs{})
		if len(diags) != 1 || diags[0].Summary != "Nesting too deep" {
			t.Errorf("%s: %v", name, diags)
			continue
		}
		at := strings.LastIndex(src, "(")
		if want := 1 + strings.Count(src[:at], "\n"); diags[0].Subject.Start.Line != want || diags[0].Subject.Start.Byte > at {
			t.Errorf("%s: found on line %d, it is on %d", name, diags[0].Subject.Start.Line, want)
		}
	}
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo.hcl")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large.hcl")
	if err := os.WriteFile(large, make([]byte, MaxSource+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, why := range map[string]string{
		fifo:                              "not a regular file",
		"/dev/zero":                       "not a regular file",
		dir:                               "fifo.hcl: it is not a regular file",
		t.TempDir():                       "there is no *.hcl or *.hcl.json in this directory",
		large:                             "larger than 4 MiB",
		filepath.Join(dir, "missing.hcl"): "no such file",
	} {
		file, sources, diags := Load(path, Inputs{})
		if out := render(t, sources, diags); file != nil || !strings.Contains(out, why) || !strings.Contains(out, path) {
			t.Errorf("%s: %q is not in\n%s", path, why, out)
		}
	}
}

func TestAtMostTenThousandServices(t *testing.T) {
	source := func(n int) []byte {
		var src strings.Builder
		src.WriteString("stage \"a\" {\n")
		for i := range n {
			fmt.Fprintf(&src, "service \"s%d\" {\nimage = \"x\"\ndepends_on = [service.s%d]\n}\n", i, (i+1)%n)
		}
		src.WriteString("}\n")
		return []byte(src.String())
	}
	if file, sources, diags := Parse("boot.hcl", source(MaxServices), Inputs{}); file == nil {
		t.Error(render(t, sources, diags))
	}
	_, _, diags := Parse("boot.hcl", source(MaxServices+1), Inputs{})
	if len(diags) != 1 || diags[0].Summary != "Too many services" {
		t.Error(diags)
	}
}

// Each expression, block and instance is within its own bound, and all of them
// together are not.
func TestTheWholeIsBounded(t *testing.T) {
	thousand := `for_each = toset([for i in range(1000) : "i${i}"])`
	for name, text := range map[string]string{
		"calls":      `locals { a = [for i in range(1000) : format("%1000000d", i)] }` + "\nstage \"a\" {}",
		"values":     "stage \"a\" {\nservice \"s\" {\n" + thousand + "\nimage = \"x\"\nlabels = {\nA = \"" + strings.Repeat("x", 1_000_000) + "\"\n}\n}\n}",
		"checks":     "stage \"a\" {\n" + strings.Repeat("health \"none\" {}\n", 1_000) + "service \"s\" {\n" + thousand + "\nimage = \"x\"\n}\n}",
		"components": "stage \"a\" {\nservice \"s\" {\n" + thousand + "\ncomponent \"c\" {\n" + thousand + "\nimage = \"x\"\n}\n}\n}",
	} {
		_, _, diags := Parse("boot.hcl", []byte(text), Inputs{})
		if len(diags) == 0 || diags[0].Summary != "Configuration too large" {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

func TestDistinctKeepsTheFirstOfEach(t *testing.T) {
	file, _, diags := Parse("boot.hcl", []byte(`stage "a" {
  service "s" {
    image   = "x"
    command = distinct(["b", "a", "b", "c", "a"])
  }
}`), Inputs{})
	if diags.HasErrors() || strings.Join(file.Stages[0].Services[0].Containers[0].Command, "") != "bac" {
		t.Error(diags)
	}
}

// Near names are looked for among all services, so only a few times.
func TestManyUnknownReferencesAreQuick(t *testing.T) {
	var src strings.Builder
	src.WriteString("stage \"a\" {\n")
	const many = 2_000
	for i := range many {
		fmt.Fprintf(&src, "service \"service-%d\" {\nimage = \"x\"\nafter = [service.servicee-%d]\n}\n", i, i)
	}
	src.WriteString("}\n")
	_, sources, diags := Parse("boot.hcl", []byte(src.String()), Inputs{})
	if len(diags) != many {
		t.Errorf("%d diagnostics", len(diags))
	}
	if out := render(t, sources, diags); !strings.Contains(out, `Did you mean "service-0"?`) || !strings.Contains(out, "… and 1980 more") {
		t.Error(out)
	}
}

func FuzzParse(f *testing.F) {
	for name, sources := range map[bool]map[string]string{false: hostile, true: hostileJSON} {
		for _, src := range sources {
			f.Add([]byte(src[:min(len(src), 2_000)]), name)
		}
	}
	archives, err := filepath.Glob("../testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatal(archives, err)
	}
	for _, path := range archives {
		for _, file := range seeds(f, path) {
			f.Add(file.Data, strings.HasSuffix(file.Name, ".json"))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, inJSON bool) {
		filename := map[bool]string{false: "boot.hcl", true: "boot.hcl.json"}[inJSON]
		in := Inputs{Getenv: func(name string) (string, bool) { return name, name == "HOME" }}
		file, sources, diags := Parse(filename, src, in)
		if (file == nil) != diags.HasErrors() {
			t.Errorf("file %v, errors %v", file != nil, diags.HasErrors())
		}
		for _, diag := range diags {
			if diag.Subject == nil || !inside(*diag.Subject, sources) {
				t.Errorf("%s: points outside the file: %v", diag.Summary, diag.Subject)
			}
		}
		out := render(t, sources, diags)
		if i := strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }); i >= 0 {
			t.Errorf("a control character is printed: %q", out[i:])
		}
		_, sources, diags = Parse(filename, src, in)
		if again := render(t, sources, diags); again != out {
			t.Errorf("the same source gives\n%s\nand then\n%s", out, again)
		}
	})
}

func inside(r hcl.Range, sources Sources) bool {
	return sources[r.Filename] != nil && r.Start.Byte <= r.End.Byte && r.Start.Byte <= len(sources[r.Filename].Bytes)
}

// What execve(2) does not take, Podman would say only when it starts the
// container, and at length.
func TestNoStringIsLongerThanTheKernelTakes(t *testing.T) {
	for _, length := range []int{argMost, argMost + 1} {
		text := strings.Repeat("x", length-2)
		for what, line := range map[string]string{
			"env": `env = { A = "` + text + `" }`, "command": `command = ["` + text + `xx"]`, "entrypoint": `entrypoint = ["` + text + `xx"]`,
			"exec": "health \"exec\" {\ncommand = [\"" + text + "xx\"]\n}",
		} {
			_, sources, diags := Parse("boot.hcl", []byte("stage \"a\" {\nservice \"s\" {\nimage = \"x\"\n"+strings.Replace(line, "{ command", "{\ncommand", 1)+"\n}\n}\n"), Inputs{})
			if diags.HasErrors() != (length > argMost) {
				t.Errorf("%s of %d bytes: %.500s", what, length, render(t, sources, diags))
			}
		}
	}
}
