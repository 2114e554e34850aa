package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootgraph/testdata/host"
)

// sensitiveBoot has a value in each place that may have a sensitive one.
const sensitiveBoot = `name = "sensitive"
variable "password" {
  type      = string
  sensitive = true
}
variable "pin" {
  type      = string
  sensitive = true
}
variable "plain" {
  default = "shown"
}
locals {
  url = "postgres://user:${var.password}@db/${var.plain}"
}
secret "sensitive-file" {
  file = "key"
}
secret "sensitive-env" {
  env = "CANARY"
}
secret "sensitive-value" {
  value = local.url
}
stage "one" {
  on_failure = "continue"
  timeout    = "8s"
  service "sensitive-web" {
    image    = "localhost/bootgraph/server:1"
    env      = { HTTP = ":80", URL = local.url, OWN = env("CANARY"), PLAIN = var.plain }
    env_file = ["more.env"]
    secrets  = [secret.sensitive-file, "${secret.sensitive-value},target=/etc/value,mode=0400", "${secret.sensitive-env},type=env,target=TOKEN"]
    health "http" {
      port    = 80
      headers = { Authorization = "Bearer ${var.pin}" }
    }
    health "exec" {
      command = ["/server", "check", "file", "/run/secrets/sensitive-file"]
    }
  }
  service "sensitive-fails" {
    image      = "localhost/bootgraph/server:1"
    entrypoint = ["/nope"]
    env        = { URL = local.url }
  }
}
`

// canaries are the values that must be nowhere.
var canaries = []string{"CANARY-password", "CANARY-pin", "CANARY-env", "CANARY-file", "CANARY-more", "CANARY-changed"}

func TestASensitiveValueIsNowhere(t *testing.T) {
	h := host.Shared(t)
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("boot.hcl", sensitiveBoot)
	write("key", "CANARY-file\n")
	write("more.env", "MORE=CANARY-more\n")
	write("prod.vars", "pin = \"CANARY-pin\"\n")
	state := t.TempDir()
	b := &bench{t, h, filepath.Join(dir, "boot.hcl"), append(os.Environ(), "CONTAINER_HOST="+h.URI(), "XDG_STATE_HOME="+state,
		"CANARY=CANARY-env", "BOOTGRAPH_VAR_password=CANARY-password")}
	vars := []string{"--var-file", filepath.Join(dir, "prod.vars")}
	saved := filepath.Join(dir, "saved.json")
	shown := map[string]string{}
	does := func(want int, name string, args ...string) (out string) {
		t.Helper()
		code, out, said := b.run(name, append(args, vars...)...)
		if code != want {
			t.Errorf("%s %v exits with %d: %s%s", name, args, code, out, said)
		}
		shown[name+" "+strings.Join(args, " ")] += out + said
		return out
	}
	t.Cleanup(func() { does(0, "down", "--volumes") })

	does(0, "validate")
	does(0, "plan")
	does(0, "plan", "--format", "json")
	does(0, "plan", "--out", saved)
	does(0, "plan", "--offline")
	script := does(0, "plan", "--format", "sh")
	for _, format := range []string{"dot", "mermaid", "svg", "json", "text"} {
		does(0, "graph", "--format", format)
	}
	does(3, "apply", "--progress", "json")
	does(3, "status")
	does(3, "status", "--format", "json")
	inside := func(container string) string {
		out, err := h.Podman(context.Background(), "container", "inspect", "--format={{json .Config.Env}}", container)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := inside("sensitive-web"); !strings.Contains(got, "URL=postgres://user:CANARY-password@db/shown") || !strings.Contains(got, "OWN=CANARY-env") || !strings.Contains(got, "MORE=CANARY-more") {
		t.Errorf("the container has %s", got)
	}
	if out := does(0, "plan", "--target", "sensitive-web"); !strings.Contains(out, "= keep     sensitive-web") {
		t.Errorf("nothing has changed, and plan says\n%s", out)
	}

	// Each kind of change is seen, and not shown.
	write("key", "CANARY-changed\n")
	if out := does(0, "plan"); !strings.Contains(out, "~ secrets.sensitive-file: (sensitive), changed") {
		t.Errorf("the file of a secret has changed, and plan says\n%s", out)
	}
	vars = append(vars, "--var", "password=CANARY-changed")
	out := does(0, "plan", "--out", saved)
	for _, field := range []string{"env.URL", "secrets.sensitive-file", "secrets.sensitive-value"} {
		if !strings.Contains(out, "~ "+field+": (sensitive), changed") {
			t.Errorf("%s has changed, and plan says\n%s", field, out)
		}
	}
	if strings.Contains(out, "env.OWN") || strings.Contains(out, "env.PLAIN") {
		t.Errorf("plan shows more than has changed:\n%s", out)
	}
	all := vars
	vars = []string{"--var", "password=CANARY-changed"} // withheld by the plan
	b.file, shown["file"] = saved, b.file
	does(3, "apply")
	b.file, vars = shown["file"], all
	if got := inside("sensitive-web"); !strings.Contains(got, "CANARY-changed@db") {
		t.Errorf("after the change the container has %s", got)
	}
	if out := does(0, "plan", "--target", "sensitive-web"); !strings.Contains(out, "= keep     sensitive-web") {
		t.Errorf("all has been changed, and plan says\n%s", out)
	}

	// What Podman keeps that others may read: labels.
	for _, list := range [][]string{
		{"container", "inspect", "--format={{json .Config.Labels}}", "sensitive-web", "sensitive-fails"},
		{"secret", "inspect", "sensitive-file", "sensitive-env", "sensitive-value"},
	} {
		text, err := h.Podman(context.Background(), list...)
		if err != nil {
			t.Fatal(err)
		}
		shown["podman "+list[0]] = string(text)
	}
	var secrets []struct {
		Spec struct{ Labels map[string]string }
	}
	if err := json.Unmarshal([]byte(shown["podman secret"]), &secrets); err != nil || len(secrets) != 3 || secrets[0].Spec.Labels["bootgraph.name"] != "sensitive" {
		t.Errorf("%v: %s", err, shown["podman secret"])
	}
	does(0, "down", "--volumes")
	if out, err := h.Podman(context.Background(), "secret", "ls", "--noheading"); err != nil || strings.Contains(string(out), "sensitive") {
		t.Errorf("down leaves secrets: %s, %v", out, err)
	}

	// The script asks for the values.
	cmd := h.Sh(context.Background(), script)
	cmd.Env = append(cmd.Env, "CANARY=CANARY-env", "SECRET__SENSITIVE_VALUE=CANARY-value", "SENSITIVE_WEB__MORE=CANARY-more",
		"SENSITIVE_WEB__OWN=CANARY-env", "SENSITIVE_WEB__URL=CANARY-password", "SENSITIVE_FAILS__URL=CANARY-password")
	said, err := cmd.CombinedOutput()
	shown["sh"] = string(said)
	if got := inside("sensitive-web"); !strings.Contains(got, "URL=CANARY-password") {
		t.Errorf("the script (%v) says\n%s\nand the container has %s", err, said, got)
	}

	for _, root := range []string{state, saved} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				var text []byte
				text, err = os.ReadFile(path)
				shown[path] = string(text)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(shown) < 20 {
		t.Errorf("only %d places were looked at", len(shown))
	}
	for where, text := range shown {
		for _, canary := range canaries {
			if strings.Contains(text, canary) {
				t.Errorf("%s is in the output of %s:\n%s", canary, where, text)
			}
		}
	}
}

func TestASecretOfSomebodyElseIsNotTouched(t *testing.T) {
	h := host.Shared(t)
	const text = `name = "thief"
secret "theirs" {
  value = "ours"
}
stage "one" {
  service "thief-web" {
    image   = "localhost/bootgraph/server:1"
    secrets = [secret.theirs]
  }
}
`
	b := newBench(t, h, text)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Podman(context.Background(), "secret", "create", "theirs", key); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Podman(context.Background(), "secret", "rm", "theirs") })
	for _, command := range []string{"plan", "apply"} {
		if code, _, said := b.run(command); code != 1 || !strings.Contains(said, "the secret theirs was not created by bootgraph") {
			t.Errorf("%s exits with %d: %s", command, code, said)
		}
	}
	if code, _, said := b.run("down"); code != 0 {
		t.Errorf("down exits with %d: %s", code, said)
	}
	if out, err := h.Podman(context.Background(), "secret", "ls", "--noheading"); err != nil || !strings.Contains(string(out), "theirs") {
		t.Errorf("it is gone: %s, %v", out, err)
	}
}

// TestPruneShowsTheSecretsItRemoves: another configuration's stay.
func TestPruneShowsTheSecretsItRemoves(t *testing.T) {
	h := host.Shared(t)
	const stage = `
stage "one" {
  service "pruned-web" { image = "localhost/bootgraph/server:1" }
}
`
	b := newBench(t, h, `name = "pruned"
secret "pruned-old" {
  value = "x"
}`+stage)
	other := newBench(t, h, `name = "unpruned"
secret "unpruned" {
  value = "x"
}
stage "one" {
  service "unpruned-web" { image = "localhost/bootgraph/server:1" }
}
`)
	for _, b := range []*bench{b, other} {
		if code, _, said := b.run("apply"); code != 0 {
			t.Fatal(said)
		}
	}
	if err := os.WriteFile(b.file, []byte(`name = "pruned"`+stage), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, _ := b.run("plan", "--prune", "--detailed-exitcode")
	if code != 2 || !strings.Contains(out, "- remove  secret pruned-old\n") || strings.Contains(out, "unpruned") || !strings.Contains(out, "1 to remove") {
		t.Errorf("plan exits with %d: %s", code, out)
	}
	if _, out, _ := b.run("plan", "--prune", "--format", "sh"); !strings.Contains(out, "! secret_ours pruned-old || $podman secret rm pruned-old") {
		t.Errorf("the script is %s", out)
	}
	if code, _, said := b.run("apply", "--prune"); code != 0 || !strings.Contains(said, "removed the secrets that nothing in the boot file needs any more: pruned-old") {
		t.Errorf("apply exits with %d: %s", code, said)
	}
	list, err := h.Podman(t.Context(), "secret", "ls", "--format", "{{.Name}}")
	if err != nil || strings.Contains(string(list), "pruned-old") || !strings.Contains(string(list), "unpruned") {
		t.Errorf("podman lists %s (%v)", list, err)
	}
}
