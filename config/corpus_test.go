package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEachBadInputIsRefusedForItsReason: testdata/bad-input.tsv has a boot file
// a line: the row of the corpus it is from, the summary of what it gets first
// (empty: it is taken), and its text, quoted as in Go. What is too long for a
// line is in hostile.
func TestEachBadInputIsRefusedForItsReason(t *testing.T) {
	path := filepath.Join("testdata", "bad-input.tsv")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	for line := range strings.Lines(string(text)) {
		field := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		src, err := strconv.Unquote(field[2])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		_, sources, diags := Parse("boot.hcl", []byte(src), Inputs{})
		summary := ""
		if diags.HasErrors() {
			summary = diags[0].Summary
			if diags[0].Subject == nil || diags[0].Subject.Filename != "boot.hcl" {
				t.Errorf("row %s: %q has no place", field[0], summary)
			}
		}
		if summary != field[1] && !*update {
			t.Errorf("row %s: %q gives %q, want %q", field[0], src, summary, field[1])
		}
		if out := render(t, sources, diags); strings.ContainsAny(out, "\x1b\x00\u202e\r") {
			t.Errorf("row %s: %q can steer a terminal", field[0], out)
		}
		now.WriteString(field[0] + "\t" + summary + "\t" + field[2] + "\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
