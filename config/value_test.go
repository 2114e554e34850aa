package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

func mustParse(t *testing.T, src string, in Inputs) *File {
	t.Helper()
	file, sources, diags := Parse("boot.hcl", []byte(src), in)
	if diags.HasErrors() {
		t.Fatal(render(t, sources, diags))
	}
	return file
}

func TestVariablesTakeTheStrongestValue(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second := write("first.vars", `tag = "first"`), write("second.vars.json", `{"tag": "second"}`)
	env := func(name string) (string, bool) { return "environment", name == "BOOTGRAPH_VAR_tag" }
	none := func(string) (string, bool) { return "", false }
	const src = "variable \"tag\" {\ntype = string\ndefault = \"default\"\n}\nname = var.tag\n"
	for want, in := range map[string]Inputs{
		"default":     {Getenv: none},
		"environment": {Getenv: env},
		"first":       {Getenv: env, VarFiles: []string{first}},
		"second":      {Getenv: env, VarFiles: []string{first, second}},
		"said":        {Getenv: env, VarFiles: []string{first, second}, Vars: []string{"tag=other", "tag=said"}},
	} {
		if got := mustParse(t, src, in).Name; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestVariablesOfComplexTypesAreExpressions(t *testing.T) {
	const src = `variable "v" {
  type = map(object({ port = number, tags = optional(list(string), ["x"]) }))
}
locals { s = join(" ", [for k, v in var.v : "${k}-${v.port}-${join("-", v.tags)}"]) }
stage "a" {
  service "s" {
    image   = "x"
    command = [local.s]
  }
}`
	for _, value := range []string{`{a = {port = 1}}`, `{"a": {"port": 1}}`, ` {"a" = {port = "1", tags = ["x"]}}`} {
		file := mustParse(t, src, Inputs{Vars: []string{"v=" + value}})
		if got := file.Stages[0].Services[0].Containers[0].Command; len(got) != 1 || got[0] != "a-1-x" {
			t.Errorf("%s: %q", value, got)
		}
	}
}

// What for_each makes is what one would have written by hand: nothing after
// this package can tell the difference.
func TestForEachIsWhatOneWouldWriteByHand(t *testing.T) {
	short := `
stage "a" {
  service "w" {
    for_each = toset([for i in range(1, 13) : format("%02d", i)])
    image    = "localhost/worker:1"
    ports    = ["127.0.0.1:90${each.key}:80"]
  }
}
stage "b" {
  service "end" {
    depends_on = [service.w]
    image      = "x"
  }
}`
	long, all := "stage \"a\" {\n", []string{}
	for i := 1; i <= 12; i++ {
		long += fmt.Sprintf("service \"w-%02d\" {\nimage = \"localhost/worker:1\"\nports = [\"127.0.0.1:90%02d:80\"]\n}\n", i, i)
		all = append(all, fmt.Sprintf("service.w-%02d", i))
	}
	long += "}\nstage \"b\" {\nservice \"end\" {\ndepends_on = [" + strings.Join(all, ", ") + "]\nimage = \"x\"\n}\n}\n"
	if diff := cmp.Diff(dump(t, mustParse(t, long, Inputs{})), dump(t, mustParse(t, short, Inputs{}))); diff != "" {
		t.Errorf("-by hand +for_each:\n%s", diff)
	}
}

func TestWhatIsSensitiveStaysSo(t *testing.T) {
	const src = `
variable "password" {
  sensitive = true
}
locals {
  url   = upper("x://${var.password}@db")
  pairs = merge({ A = "a" }, { B = local.url })
  named = { for k, v in local.pairs : "${k}2" => v }
}
stage "a" {
  service "plain" {
    image = "x"
    env   = { SAID = nonsensitive(var.password), HOST = "x" }
  }
  service "own" {
    image = "x"
    env   = { URL = local.url, HOME = env("HOME"), DEFAULT = env("NOT_SET", "x"), MARKED = sensitive("y"), PLAIN = "z" }
  }
  service "merged" {
    image = "x"
    env   = merge(local.pairs, { C = "c" })
  }
  service "made" {
    image = "localhost/${env("HOME")}"
    env   = { ALL = jsonencode(local.named) }
  }
}`
	file := mustParse(t, src, Inputs{Vars: []string{"password=hunter2"}, Getenv: func(name string) (string, bool) { return "home", name == "HOME" }})
	want := map[string]string{"plain": "", "own": "HOME MARKED URL", "merged": "B", "made": "ALL"}
	for _, s := range file.Stages[0].Services {
		var hidden []string
		for _, key := range []string{"A", "ALL", "B", "C", "DEFAULT", "HOME", "HOST", "MARKED", "PLAIN", "SAID", "URL"} {
			if s.Containers[0].Sensitive[key] {
				hidden = append(hidden, key)
			}
		}
		if got := strings.Join(hidden, " "); got != want[s.Name] {
			t.Errorf("%s: %s are sensitive, want %s", s.Name, got, want[s.Name])
		}
	}
	if got := file.Stages[0].Services[1].Containers[0].Env["URL"]; got != "X://HUNTER2@DB" {
		t.Errorf("the container would be given %s", got)
	}
}

func TestSensitiveIsPrintedNoWay(t *testing.T) {
	secret := Secret{Name: "db", Value: Sensitive{"hunter2"}}
	text, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text = fmt.Appendf(text, verb+verb+verb, secret, &secret, secret.Value)
	}
	if strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "68756e746572") {
		t.Errorf("%s", text)
	}
}

func TestSecretsAreReadOnlyWhereAskedFor(t *testing.T) {
	const src = "secret \"a\" {\nenv = \"TOKEN\"\n}\nsecret \"b\" {\nfile = \"/nowhere\"\n}\nsecret \"c\" {\nvalue = \"x\"\n}\n"
	file := mustParse(t, src, Inputs{Getenv: func(string) (string, bool) { return "", false }})
	for _, s := range file.Secrets {
		if !s.Value.IsZero() {
			t.Errorf("%s was read", s.Name)
		}
	}
}

// Ten times a thousand instances, each waiting for all before it, are 45
// million pairs in a few lines.
func TestReferencesAreBounded(t *testing.T) {
	src, before := "stage \"a\" {\n", []string{}
	for i := range 10 {
		src += fmt.Sprintf("service \"s%d\" {\nfor_each = toset([for i in range(1000) : tostring(i)])\nimage = \"x\"\ndepends_on = [%s]\n}\n", i, strings.Join(before, ", "))
		before = append(before, fmt.Sprintf("service.s%d", i))
	}
	_, _, diags := Parse("boot.hcl", []byte(src+"}\n"), Inputs{})
	if len(diags) != 1 || diags[0].Summary != "Too many references" {
		t.Error(diags)
	}
}

func TestTheSameFunctionIsSuggestedEachTime(t *testing.T) {
	const src = "name = ea(\"\")\n"
	_, sources, diags := Parse("boot.hcl", []byte(src), Inputs{})
	first := render(t, sources, diags)
	for range 50 {
		_, sources, diags := Parse("boot.hcl", []byte(src), Inputs{})
		if again := render(t, sources, diags); again != first {
			t.Fatalf("%s\nand then\n%s", first, again)
		}
	}
}

// Every function gives something, or an error: none panics on what no one
// would write.
func FuzzEvaluate(f *testing.F) {
	d := newDecoder(f.TempDir(), Inputs{}, Sources{})
	for name, fn := range d.functions() {
		var args []string
		for _, param := range fn.Params() {
			args = append(args, map[bool]string{true: "1", false: `"a"`}[param.Type == cty.Number])
		}
		f.Add(name+"("+strings.Join(args, ", ")+")", "x")
		f.Add(name+"(var.v, var.list, each.key)", "1")
	}
	for _, expr := range []string{`[for k, v in var.map : "${k}${v}" if v != ""]`, `{ for v in var.list : v => v... }`, `var.map["a"]`, `var.list[*].a`,
		`var.v == "x" ? 1 : null`, "<<-EOT\n  ${var.v}\nEOT", `"%{ for v in var.list ~}${v}%{ endfor }"`, `"%{ if true }a%{ else }b%{ endif }"`, `-(1 + 2) * 3 % 2`, `!true || false && 1 < 2`} {
		f.Add(expr, "[1, {a = 2}]")
	}
	f.Fuzz(func(t *testing.T, expr, value string) {
		src := "variable \"v\" {}\nvariable \"list\" {\ndefault = [1, \"a\", true, null, {}]\n}\nvariable \"map\" {\ndefault = { a = \"b\", c = \"d\" }\nsensitive = true\n}\n" +
			"locals {\nl = " + expr + "\n}\nstage \"s\" {\nservice \"s\" {\nfor_each = { a = local.l }\nimage = \"x\"\ncommand = [local.l]\nenv = local.l\nenabled = each.value\n}\n}\n"
		in := Inputs{Vars: []string{"v=" + value}, Getenv: func(name string) (string, bool) { return name, len(name)%2 == 0 }}
		_, sources, diags := Parse("boot.hcl", []byte(src), in)
		out := render(t, sources, diags)
		if i := strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }); i >= 0 {
			t.Errorf("a control character is printed: %q", out[i:])
		}
	})
}
