package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestFmtKeepsModeAndOwner(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "boot.hcl", "a=1")
	owner := os.Getuid()
	if owner == 0 {
		owner = 4711
		if err := os.Chown("boot.hcl", owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod("boot.hcl", 0o640|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if code := run([]string{"fmt"}, t.Output(), t.Output()); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	info, err := os.Stat("boot.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if got := int(info.Sys().(*syscall.Stat_t).Uid); got != owner || info.Mode() != 0o640|fs.ModeSetgid {
		t.Errorf("owner %d, mode %v", got, info.Mode())
	}
	if src, _ := os.ReadFile("boot.hcl"); string(src) != "a = 1\n" {
		t.Errorf("%q", src)
	}
}

func TestFmtDoesNotTouchWhatIsFormatted(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "boot.hcl", "a = 1\n")
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes("boot.hcl", long, long); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat("boot.hcl")
	var out bytes.Buffer
	if code := run([]string{"fmt"}, &out, &out); code != 0 || out.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, &out)
	}
	if after, _ := os.Stat("boot.hcl"); !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Error("it was written")
	}
}

func TestFmtNamesFilesWithoutSteeringTheTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "\x1b]0;title\a.hcl", "a=1")
	for _, flag := range []string{"--check", "--write"} {
		var out bytes.Buffer
		run([]string{"fmt", flag, "."}, &out, &out)
		if got := out.String(); bytes.ContainsAny(out.Bytes(), "\x1b\a") || got == "" {
			t.Errorf("%s: %q", flag, got)
		}
	}
}

// A write that fails leaves the old file, and nothing beside it.
func TestReplaceFileLeavesNothingWhereItFails(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "missing.hcl"), dir} {
		if err := replaceFile(path, []byte("a = 1\n")); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("there is %s", entries)
	}
}

func TestFlagsOfTerraform(t *testing.T) {
	for _, c := range [][2][]string{
		{{"fmt", "-check", "a"}, {"fmt", "--check", "a"}},
		{{"-C", "x", "fmt", "-write=false"}, {"-C", "x", "fmt", "--write=false"}},
		{{"fmt", "--check", "--", "-check"}, {"fmt", "--check", "--", "-check"}},
		{{"plan", "-check"}, {"plan", "-check"}},
		{{"fmt", "-"}, {"fmt", "-"}},
	} {
		if got := longFlags(c[0]); !slices.Equal(got, c[1]) {
			t.Errorf("%q gives %q, want %q", c[0], got, c[1])
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
