package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bootgraph/testdata/host"
)

// saved is a plan as it is written, with changes to it.
func saved(t testing.TB, change ...func(*savedPlan)) []byte {
	t.Helper()
	s := savedPlan{FormatVersion: savedVersion, Kind: savedKind, Version: versionText(), Plan: json.RawMessage(`{}`),
		Inputs:   inputs{File: "/srv/boot.hcl", Targets: []string{"web"}, Prune: true},
		MadeFrom: []part{partOf("container web", "running", 1), shown(json.RawMessage(`{}`))}}
	for _, f := range change {
		f(&s)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSavedPlansAreToldByWhatTheySay(t *testing.T) {
	whole := string(saved(t))
	for text, want := range map[string]bool{
		whole:                                  true,
		strings.ReplaceAll(whole, ",", " ,\n"): true,
		whole[:strings.Index(whole, "made_from")]: true, // cut off
		whole + "}": true,
		`{"inputs":{"kind":"x"},"kind":"bootgraph saved plan"}`: true, // in another order
		`{"kind":"another"}`:                         false,
		`{"inputs":{"kind":"bootgraph saved plan"}}`: false,
		`{"kind":7}`:                                 false,
		`{"kind":`:                                   false,
		`["kind","bootgraph saved plan"]`:            false,
		`name = "x"`:                                 false,
		"":                                           false,
		strings.Repeat("[", 100_000):                 false,
		`{"a":` + strings.Repeat("[", 100_000):       false,
	} {
		if got := isSavedPlan([]byte(text)); got != want {
			t.Errorf("%.80s: %v", text, got)
		}
	}
}

func TestDamagedPlansAreRefused(t *testing.T) {
	for want, text := range map[string][]byte{
		"it is damaged: unexpected end of JSON input":                               saved(t)[:200],
		"it is damaged: invalid character '}' after top-level value":                append(saved(t), '}'),
		`it is no saved plan: kind is "other"`:                                      saved(t, func(s *savedPlan) { s.Kind = "other" }),
		"its format_version is 2, and this bootgraph reads 1":                       saved(t, func(s *savedPlan) { s.FormatVersion = 2 }),
		"it was made by bootgraph 0.1, and this is " + versionText():                saved(t, func(s *savedPlan) { s.Version = "0.1" }),
		`it is damaged: the boot file is "boot.hcl", not an absolute path`:          saved(t, func(s *savedPlan) { s.Inputs.File = "boot.hcl" }),
		`it is damaged: what it says of "container web" can't be`:                   saved(t, func(s *savedPlan) { s.MadeFrom[0].Digest = "" }),
		`it is damaged: what it says of "` + wholePlan + `" can't be`:               saved(t, func(s *savedPlan) { s.MadeFrom[0].Name = wholePlan }),
		"it is damaged: it does not say what it was made from":                      saved(t, func(s *savedPlan) { s.MadeFrom = nil }),
		"it is damaged or was edited: the plan in it is not the one that was saved": saved(t, func(s *savedPlan) { s.Plan = json.RawMessage(`{"a":1}`) }),
	} {
		if _, err := decodeSaved(text); err == nil || err.Error() != want {
			t.Errorf("it says %v, want %s", err, want)
		}
	}
}

func TestHugePlansAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan")
	if err := os.WriteFile(path, saved(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, savedMost+1); err != nil {
		t.Fatal(err)
	}
	if _, err := savedText(path); err == nil || !strings.Contains(err.Error(), "is larger than 64 MiB") {
		t.Errorf("it says %v", err)
	}
}

func TestEveryChangeIsTold(t *testing.T) {
	then := []part{partOf("a", "running", 1), partOf("b", "running", 1), partOf("c", "", 1), partOf("d", "", 1), partOf("e", "", 1)}
	now := []part{partOf("f", "", 1), partOf("e", "", 1), partOf("c", "", 2), partOf("b", "running", 2), partOf("a", "exited", 1)}
	got := strings.Join(changes(then, now), "\n")
	if want := "a was running and is exited now\nb is running as it was, but another one, or started again\nc has changed\nand 2 more"; got != want {
		t.Errorf("it tells\n%s", got)
	}
	if got := strings.Join(changes(then[3:], now[:2]), "\n"); got != "d is not part of it any more\nf is new" {
		t.Errorf("it tells\n%s", got)
	}
	if got := changes(then, then); got != nil {
		t.Errorf("it tells %q of nothing", got)
	}
}

// TestASavedPlanIsForOnePodman: another one is as empty as the first, so that
// there is the very same to do.
func TestASavedPlanIsForOnePodman(t *testing.T) {
	b := newBench(t, host.Shared(t), `name = "elsewhere"
stage "one" {
  service "elsewhere-web" { image = "localhost/bootgraph/server:1" }
}
`)
	plan := filepath.Join(t.TempDir(), "plan")
	if code, _, said := b.run("plan", "--out", plan); code != 0 {
		t.Fatal(said)
	}
	other, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	there := *b
	there.file = plan
	code, _, said := there.run("apply", "--connection", other.URI())
	if code != 1 || !strings.Contains(said, "podman was podman") || !strings.Contains(said, "with its containers in") {
		t.Errorf("it exits with %d and says %s", code, said)
	}
	if code, _, said := there.run("apply"); code != 0 {
		t.Errorf("where it was made it exits with %d: %s", code, said)
	}
}

// FuzzSavedPlan: whatever a file says, reading it ends with an error or with
// a plan that says the same when it is written and read again.
func FuzzSavedPlan(f *testing.F) {
	f.Add(saved(f))
	f.Add(saved(f)[:100])
	f.Add(saved(f, func(s *savedPlan) { s.MadeFrom = nil }))
	f.Add([]byte(`{"kind":"bootgraph saved plan","made_from":[{"name":"` + wholePlan + `"}]}`))
	f.Add([]byte(strings.Repeat(`{"kind":`, 20_000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decodeSaved(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeSaved(again)
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if !reflect.DeepEqual(s.Inputs, back.Inputs) || !reflect.DeepEqual(s.MadeFrom, back.MadeFrom) {
			t.Errorf("%+v became %+v", s, back)
		}
	})
}
