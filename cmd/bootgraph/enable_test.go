package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// enabled is what enable says and writes for a boot file.
func enabled(t *testing.T, dir string, args ...string) (unit, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"enable", "--unit-dir", dir}, args...), &stdout, &stderr); code != 0 {
		t.Fatalf("enable exits with %d: %s", code, stderr.String())
	}
	text, err := os.ReadFile(filepath.Join(dir, "bootgraph-power.service"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), stderr.String()
}

func powerFile(t *testing.T, head string) (dir, path string) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("CONTAINER_HOST", "")
	dir = filepath.Join(t.TempDir(), `it's 100% "here" $HOME`)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "boot.hcl")
	if err := os.WriteFile(path, []byte("name = \"power\"\n"+head+"stage \"s\" {\n  service \"x\" {\n    image = \"localhost/x:1\"\n  }\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

// TestUnitsAreWhatSystemdTakes has systemd's own word for it.
func TestUnitsAreWhatSystemdTakes(t *testing.T) {
	for name, test := range map[string]struct {
		head string
		args []string
		want []string
	}{
		"system":           {"", nil, []string{"WantedBy=multi-user.target", "After=network-online.target", "Delegate=yes"}},
		"user":             {"", []string{"--user"}, []string{"WantedBy=default.target", "Delegate=yes"}},
		"system, a socket": {"podman {\n  connection = \"unix:///run/podman/podman.sock\"\n}\n", nil, []string{"NoNewPrivileges=yes", "ProtectSystem=full"}},
		"user, a socket":   {"", []string{"--user", "--connection", "unix:///run/user/1000/podman/podman.sock"}, []string{"NoNewPrivileges=yes", "--connection unix:///run/user/1000/podman/podman.sock"}},
		"page":             {"", []string{"--http", "127.0.0.1:8080"}, []string{"--http 127.0.0.1:8080"}},
		"sockets":          {"", []string{"--http", "unix:../p.sock", "--listen", "unix:a.sock"}, []string{"--listen unix:/", "/cmd/bootgraph/a.sock", "--http unix:/"}},
		"TCP": {"", []string{"--listen", "0.0.0.0:7443", "--tls-cert", "/c.pem", "--tls-key", "/k.pem", "--tls-client-ca", "/ca.pem"},
			[]string{"--tls-cert /c.pem --tls-key /k.pem --tls-client-ca /ca.pem --listen 0.0.0.0:7443"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, path := powerFile(t, test.head)
			out := t.TempDir()
			unit, _ := enabled(t, out, append(test.args, path)...)
			for _, want := range append(test.want, "Type=notify", "NotifyAccess=main", "KillMode=process", "WatchdogSec=", `100%% \"here\" $$HOME/boot.hcl"`) {
				if !strings.Contains(unit, want) {
					t.Errorf("there is no %s in\n%s", want, unit)
				}
			}
			verify := []string{"verify", "--man=no", "--recursive-errors=no", filepath.Join(out, "bootgraph-power.service")}
			if strings.HasPrefix(name, "user") {
				verify = append([]string{"--user"}, verify...)
			}
			cmd := exec.Command("systemd-analyze", verify...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
			said, err := cmd.CombinedOutput()
			if err != nil || len(bytes.TrimSpace(said)) > 0 {
				t.Errorf("systemd-analyze verify: %v: %s\n%s", err, said, unit)
			}
		})
	}
}

func TestEnableAndDisableTouchTheirUnitAlone(t *testing.T) {
	_, path := powerFile(t, "")
	out := t.TempDir()
	stranger := filepath.Join(out, "stranger.service")
	if err := os.WriteFile(stranger, []byte("[Unit]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	first, _ := enabled(t, out, path)
	if again, _ := enabled(t, out, path); again != first {
		t.Errorf("the second time it writes\n%s", again)
	}
	info, err := os.Stat(filepath.Join(out, "bootgraph-power.service"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the mode of the unit is %v, %v", info.Mode(), err)
	}
	exits := func(args ...string) (code int, said string) {
		var stderr bytes.Buffer
		code = run(args, t.Output(), &stderr)
		return code, stderr.String()
	}
	if code, said := exits("disable", "power", "--unit-dir", out); code != 0 || !strings.Contains(said, "removed ") {
		t.Errorf("disable exits with %d: %s", code, said)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 1 || left[0].Name() != "stranger.service" {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if code, said := exits("disable", path, "--unit-dir", out); code != 1 || !strings.Contains(said, "nothing to disable") {
		t.Errorf("the second time disable exits with %d: %s", code, said)
	}
	if err := os.Rename(stranger, filepath.Join(out, "bootgraph-power.service")); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"enable", "disable"} {
		if code, said := exits(command, path, "--unit-dir", out); code != 1 || !strings.Contains(said, "was not written by bootgraph enable") {
			t.Errorf("%s over another unit exits with %d: %s", command, code, said)
		}
	}
	if code, said := exits("enable", path, "--unit-dir", out, "--var", "a=b"); code != 1 || !strings.Contains(said, "which everybody can read") {
		t.Errorf("enable --var exits with %d: %s", code, said)
	}
}

// TestEnableWithoutSystemdSaysWhatToRun: this machine has no systemd at work
// for the user that the test makes up.
func TestEnableWithoutSystemdSaysWhatToRun(t *testing.T) {
	_, path := powerFile(t, "")
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	var stderr bytes.Buffer
	if code := run([]string{"enable", "--user", path}, t.Output(), &stderr); code != 0 {
		t.Fatalf("enable exits with %d: %s", code, stderr.String())
	}
	for _, want := range []string{"wrote " + config + "/systemd/user/bootgraph-power.service", "systemctl --user daemon-reload", "systemctl --user enable bootgraph-power.service", "loginctl enable-linger"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("it does not say %q: %s", want, stderr.String())
		}
	}
	if code := run([]string{"disable", "--user", "power"}, t.Output(), &stderr); code != 0 {
		t.Errorf("disable exits with %d: %s", code, stderr.String())
	}
}
