package journal

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bootgraph/scheduler"
)

// FuzzRead: whatever a journal holds, reading it gives the events up to the
// damage, and says which line that is in.
func FuzzRead(f *testing.F) {
	whole := `{"format_version":1,"seq":1,"time":"2026-01-02T15:04:05.000000Z","run":"r","type":"run_started","name":"shop","stages":[{"name":"a","services":["s"]}],"edges":[{"from":"s","to":"s","kind":"after"}],"elapsed_s":0}` + "\n" +
		`{"format_version":1,"seq":2,"time":"2026-01-02T15:04:06.000000Z","run":"r","type":"service","stage":"a","service":"s","from":"probing","to":"healthy","attempt":1,"cause":"","elapsed_s":1.5,"containers":[{"name":"s","id":"1","started_at":"2026-01-02T15:04:05Z"}]}` + "\n"
	for _, text := range []string{whole, whole[:300], whole + "\x00\n", "\n", "null\n", "[]\n", `{"time":"2026-01-02T15:04:05.000000Z","elapsed_s":1e308,"attempt":-9}` + "\n"} {
		f.Add([]byte(text))
	}
	dir := At(f.TempDir(), "shop")
	if err := os.MkdirAll(filepath.Join(dir.path, "runs"), 0o700); err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir.path, "runs", "r.jsonl")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		events, err := dir.Read("r")
		var damage *Damage
		if err != nil && (!errors.As(err, &damage) || damage.Line != len(events)+1) {
			t.Errorf("%d events, then %v", len(events), err)
		}
		for _, e := range events {
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			var back scheduler.Event
			if err := json.Unmarshal(text, &back); err != nil {
				t.Errorf("%s does not come back: %v", text, err)
			}
		}
	})
}
