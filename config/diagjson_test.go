package config

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// What programs are told shows no more than what people are: the archives
// give secrets that begin with "hunter".
func TestDiagnosticsForPrograms(t *testing.T) {
	paths, err := filepath.Glob("../testdata/diag/*.txtar")
	if err != nil || len(paths) < 50 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		path, _ := filepath.Abs(path)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			_, sources, diags := Load(inputsOf(unpack(t, path)))
			for _, diag := range diags {
				d := DescribeDiagnostic(sources, diag)
				text, err := json.Marshal(d)
				if err != nil {
					t.Fatal(err)
				}
				if shown := render(t, sources, diags); strings.Contains(string(text), "hunter") && !strings.Contains(shown, "hunter") {
					t.Errorf("it shows what is sensitive: %s", text)
				}
				if (d.Snippet == nil) != (snippet(sources, diag) == nil) || (d.Range == nil) != (diag.Subject == nil) {
					t.Errorf("%s: snippet %v, range %v", d.Summary, d.Snippet, d.Range)
				}
				if d.Snippet == nil {
					continue
				}
				all := strings.Split(string(sources[d.Range.Filename].Bytes), "\n")
				first, _, _ := strings.Cut(d.Snippet.Code, "\n")
				if d.Snippet.StartLine < 1 || strings.TrimSuffix(all[d.Snippet.StartLine-1], "\r") != strings.TrimSuffix(first, "\r") {
					t.Errorf("line %d is not %q", d.Snippet.StartLine, first)
				}
			}
		})
	}
}
