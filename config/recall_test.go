package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecallReadsAgainWhatHasASource(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	env := path("web.env", "A=now\nNEW=x\n")
	t.Setenv("RECALL_TOKEN", "from-env")
	c := &Container{
		Env:      map[string]string{"PLAIN": "p"},
		EnvFrom:  map[string]string{"A": env, "GONE": env, "LOST": filepath.Join(dir, "none.env")},
		Withheld: map[string]string{"env.A": "1", "env.GONE": "2", "env.LOST": "3", "env.VAR": "4", "secrets.token": "5", "secrets.value": "6"},
		Secrets:  []SecretMount{{Name: "token"}, {Name: "value"}},
	}
	file := &File{
		Secrets: []*Secret{{Name: "token", Env: "RECALL_TOKEN", Withheld: "5"}, {Name: "value", Withheld: "6"},
			{Name: "key", File: path("key", "from-file"), Withheld: "7"}},
		Stages: []*Stage{{Services: []*Service{{Containers: []*Container{c}}}}},
	}
	file.Recall()
	if diff := cmp.Diff(map[string]string{"PLAIN": "p", "A": "now"}, c.Env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"env.GONE": "2", "env.LOST": "3", "env.VAR": "4", "secrets.value": "6"}, c.Withheld); diff != "" {
		t.Error(diff)
	}
	if c.Secrets[0].Value.Reveal() != "from-env" || file.Secrets[2].Value.Reveal() != "from-file" || file.Secrets[1].Withheld != "6" {
		t.Errorf("secrets: %+v", file.Secrets)
	}
}
