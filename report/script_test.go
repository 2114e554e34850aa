package report

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootgraph/config"
)

// script is preview as a script; the words of its containers are a few only.
func script(t *testing.T) *Script {
	t.Helper()
	s := &Script{Preview: preview(t), Version: "1.2.3", File: "/srv/boot\n.hcl", Networks: []config.Network{{Name: "shop"}},
		Create: map[string]Creation{}, LabelName: "bootgraph.name", LabelHash: "bootgraph.hash"}
	for _, task := range s.Plan.Tasks {
		for _, c := range task.Service.Containers {
			s.Create[c.Name] = Creation{Hash: "hash-of-" + c.Name, Words: []Word{{Text: "create"}, {Text: "--name=" + c.Name}, {Text: c.Image}}}
		}
	}
	s.Create["orders-api"] = Creation{Hash: "1", Words: []Word{{Text: "create"}, {Text: "--env=DB_PASSWORD=", Sensitive: "DB_PASSWORD"}, {Text: "it's"}}}
	return s
}

// hostileValues are words that mean something to a shell.
var hostileValues = []string{"", "-", "--", "a b", " ", "\n", "a\nb\n", "\t", "'", "''", `'\''`, `"`, `\`, `\\`, "$HOME", "$(touch pwned)", "`touch pwned`", "${x}",
	"*", "?", "[a]", "~", "~root", "#", "a#b", ";", "&", "|", "<", ">", "(", ")", "{a,b}", "!", "!!", "%s", "=", "a=b", "é", "\xff", "\r", "\x1b[31m", "$'\\n'"}

// argv runs a command line by sh, with a podman that tells its arguments.
func argv(t *testing.T, command string, env ...string) []string {
	t.Helper()
	dir := t.TempDir()
	podman := filepath.Join(dir, "podman")
	if err := os.WriteFile(podman, []byte("#!/bin/sh\nfor word do printf '%s\\0' \"$word\"; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-euc", "podman="+podman+"\n"+command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Errorf("it was run: %s", command)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestWordsReachTheCommandAsTheyAre(t *testing.T) {
	s := script(t)
	var words []Word
	for _, h := range hostileValues {
		words = append(words, Word{Text: h})
	}
	s.Create["x"] = Creation{Words: words}
	f := &scriptWriter{Script: s}
	if got := argv(t, f.create("x")); !slices.Equal(got, hostileValues) {
		t.Errorf("they are\n%q\nof\n%q", got, hostileValues)
	}
}

// TestSensitiveValuesComeFromTheShell also holds that they are as safe there.
func TestSensitiveValuesComeFromTheShell(t *testing.T) {
	s := script(t)
	f := &scriptWriter{Script: s, variables: map[[2]string]string{}}
	f.require()
	const want = `: "${ORDERS_API__DB_PASSWORD:?set it to the value of env.DB_PASSWORD of container orders-api}"` + "\n"
	required := f.String()
	if required != want {
		t.Errorf("it requires\n%s", required)
	}
	for _, value := range hostileValues[1:] {
		got := argv(t, required+f.create("orders-api"), "ORDERS_API__DB_PASSWORD="+value)
		if wanted := []string{"create", "--env=DB_PASSWORD=" + value, "it's"}; !slices.Equal(got, wanted) {
			t.Errorf("%q becomes %q", value, got)
		}
	}
	cmd := exec.Command("sh", "-s")
	var all, said bytes.Buffer
	if err := WriteScript(&all, s); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stderr, cmd.Env = &all, &said, []string{"PATH=/nowhere"}
	if exit := (&exec.ExitError{}); !errors.As(cmd.Run(), &exit) || !strings.Contains(said.String(), "set it to the value of env.DB_PASSWORD of container orders-api") {
		t.Errorf("without the value it says %q", said.String())
	}
}

func TestVariablesOfTheShellAreToldApart(t *testing.T) {
	s := script(t)
	creations := map[string]Creation{}
	for i, name := range []string{"3.a", "3-a", "b"} {
		key := []string{"A.B", "A-B", "$(x)`}\""}[i]
		creations[name] = Creation{Words: []Word{{Text: "--env=" + key + "=", Sensitive: key}}}
		s.Actions[s.Plan.Tasks[i+2].ID] = []ContainerAction{{Name: name, Action: Create}}
	}
	s.Create = creations
	f := &scriptWriter{Script: s, variables: map[[2]string]string{}}
	f.require()
	const want = `: "${_3_A__A_B:?set it to the value of env.A.B of container 3.a}"
: "${_3_A__A_B_2:?set it to the value of env.A-B of container 3-a}"
: "${B____X____:?set it to the value of env.__x____ of container b}"
`
	if f.String() != want {
		t.Errorf("it requires\n%s", f.String())
	}
}
