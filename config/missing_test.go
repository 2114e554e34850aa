package config

import (
	"os"
	"path/filepath"
	"testing"
)

// What is in the directory of the boot file is looked for; what is elsewhere
// is another host's, perhaps.
func TestMissingFilesOfTheConfigurationAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, sources, diags := Parse(filepath.Join(dir, "boot.hcl"), []byte(`
secret "gone" {
  file = "secrets/gone"
}
secret "there" {
  file = "there"
}
secret "elsewhere" {
  file = "/nobody/is/here"
}
stage "one" {
  service "s" {
    for_each = toset(["a", "b"])
    image    = "x:1"
    volumes  = ["./conf:/conf", "./there:/there", "/nobody/is/here:/x", "named:/y"]
    health "http" {
      port = 80
      tls {
        ca   = "ca.pem"
        cert = "there"
        key  = "../key.pem"
      }
    }
  }
}
`), Inputs{})
	if len(diags) > 0 {
		t.Fatal(render(t, sources, diags))
	}
	want := []string{
		"gone is made from " + dir + "/secrets/gone, which does not exist.",
		"s-a mounts " + dir + "/conf, which does not exist.",
		"s-b mounts " + dir + "/conf, which does not exist.",
		"s-a is checked with the CA " + dir + "/ca.pem, which does not exist.",
		"s-b is checked with the CA " + dir + "/ca.pem, which does not exist.",
	}
	got := Missing(f)
	if len(got) != len(want) {
		t.Fatal(render(t, sources, got))
	}
	for i, diag := range got {
		if diag.Detail != want[i] || diag.Subject == nil {
			t.Errorf("%q, want %q", diag.Detail, want[i])
		}
	}
}
