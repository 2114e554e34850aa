package podman

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/testdata/host"
)

func TestConnectToARealPodman(t *testing.T) {
	p := host.Shared(t)
	for name, connect := range map[string]func() (*Client, error){
		"by its URI": func() (*Client, error) { return Connect(t.Context(), p.URI()) },
		"by CONTAINER_HOST": func() (*Client, error) {
			t.Setenv("CONTAINER_HOST", p.URI())
			return Connect(t.Context(), "")
		},
	} {
		c, err := connect()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		version := run(t, p, "version", "--format={{.Client.Version}}")
		if c.Version() != version || c.Rootless() != p.Rootless || !c.Local() || c.URI() != p.URI() {
			t.Errorf("%s: version %s (want %s), rootless %v, local %v", name, c.Version(), version, c.Rootless(), c.Local())
		}
		c.Close()
	}
}

func TestConnectionsThatCanNotBe(t *testing.T) {
	stale := filepath.Join(t.TempDir(), "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for uri, want := range map[string]string{
		"unix:///nope/podman.sock":                      "podman_unreachable: there is no socket",
		"unix://" + stale:                               "podman_unreachable: nobody listens",
		"tcp://192.0.2.1:8080":                          "podman_connection: only the loopback is allowed",
		"tcp://podman.example:8080":                     "podman_connection: only the loopback is allowed",
		"tcp://localhost.example:8080":                  "podman_connection: only the loopback is allowed",
		"http://127.0.0.1":                              "podman_connection: write unix:///PATH",
		"unix://podman.sock":                            "podman_connection: write unix:///PATH",
		"ssh://-oProxyCommand=x/":                       "podman_connection: ",
		"://":                                           "podman_connection: ",
		fmt.Sprint("tcp://127.0.0.1:", host.FreePort()): "podman_unreachable: nobody listens",
	} {
		wantCode, wantText, _ := strings.Cut(want, ": ")
		if c, err := Connect(t.Context(), uri); code(err) != wantCode || !strings.Contains(err.Error(), wantText) {
			t.Errorf("%s: %v, %v", uri, c, err)
		} else {
			t.Log(err)
		}
	}
}

func TestTheSocketOfAnotherUserIsDenied(t *testing.T) {
	uri := serving(t, func(http.ResponseWriter, *http.Request) {})
	path := strings.TrimPrefix(uri, "unix://")
	err := unreachable(uri, "connect", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if code(err) != "podman_denied" || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}

func TestPodmanOverLoopbackTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Libpod-API-Version", "5.1.0")
		if strings.HasSuffix(r.URL.Path, "/info") {
			io.WriteString(w, `{"host":{"security":{"rootless":true}}}`)
		}
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	c, err := Connect(t.Context(), "tcp://"+l.Addr().String())
	if err != nil || c.Version() != "5.1.0" || !c.Rootless() || c.Local() {
		t.Fatal(c, err)
	}
	c.Close()
}

// fakeSSH is an ssh that runs the command on this host.
func fakeSSH(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestPodmanOverSSH(t *testing.T) {
	p := host.Shared(t)
	args := filepath.Join(t.TempDir(), "args")
	fakeSSH(t, `echo "$@" >`+args+`; while [ "$1" != -- ]; do shift; done; shift 2; exec sh -c "$*"`)
	c, err := Connect(t.Context(), "ssh://core@vm.example:2222"+strings.TrimPrefix(p.URI(), "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.list(t.Context(), false); err != nil || c.Local() || c.Rootless() != p.Rootless {
		t.Errorf("local %v, rootless %v, %v", c.Local(), c.Rootless(), err)
	}
	told, _ := os.ReadFile(args)
	if want := "-T -o BatchMode=yes -p 2222 -- core@vm.example podman --url 'unix://" + p.Dir + "/podman.sock' system dial-stdio\n"; string(told) != want {
		t.Errorf("ssh was told %s, want %s", told, want)
	}
}

func TestSSHSaysWhyItCanNotConnect(t *testing.T) {
	fakeSSH(t, `echo 'core@vm.example: Permission denied (publickey).' >&2; exit 255`)
	if _, err := Connect(t.Context(), "ssh://core@vm.example/run/podman/podman.sock"); code(err) != "podman_unreachable" || !strings.Contains(err.Error(), "Permission denied (publickey)") {
		t.Error(err)
	}
}

// privateStorage lets a private service of Podman have storage of its own.
func privateStorage(t testing.TB) {
	t.Helper()
	// Not t.TempDir: the path of a socket has to be below 108 bytes.
	dir, err := os.MkdirTemp("/tmp", "bootgraph-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("CONTAINERS_CONF", write("containers.conf", fmt.Sprintf(
		"[engine]\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\ntmp_dir=%q\n[network]\nnetwork_config_dir=%q\n", dir+"/tmp", dir+"/net")))
	t.Setenv("CONTAINERS_STORAGE_CONF", write("storage.conf", fmt.Sprintf("[storage]\ndriver=\"vfs\"\ngraphroot=%q\nrunroot=%q\n", dir+"/root", dir+"/run")))
	t.Setenv("TMPDIR", dir)
	t.Setenv("XDG_RUNTIME_DIR", "")
}

func TestAPrivatePodmanIsStartedAndEnded(t *testing.T) {
	privateStorage(t)
	c, err := connectDefault(t.Context(), "/nope/podman.sock")
	if err != nil {
		t.Fatal(err)
	}
	pid, dir := c.service.cmd.Process.Pid, c.service.dir
	if group, err := syscall.Getpgid(pid); group != pid || err != nil {
		t.Errorf("its process group is %d, %v: Ctrl-C would end it", group, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v: others can reach its socket", info.Mode(), err)
	}
	h := NewHost(c, &config.File{Name: "x"}, nil)
	if found, err := h.Snapshot(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if syscall.Kill(pid, 0) != syscall.ESRCH || !gone(dir) {
		t.Error("it is still there")
	}
}

func TestAPrivatePodmanThatCanNotStartSaysWhy(t *testing.T) {
	privateStorage(t)
	t.Setenv("CONTAINERS_CONF", "/nope/containers.conf")
	_, err := connectDefault(t.Context(), "/nope/podman.sock")
	if code(err) != "podman_unreachable" || !strings.Contains(err.Error(), "/nope/containers.conf") {
		t.Error(err)
	}
	t.Setenv("PATH", "")
	if _, err := connectDefault(t.Context(), "/nope/podman.sock"); code(err) != "podman_unreachable" || !strings.Contains(err.Error(), "podman is not installed") {
		t.Error(err)
	}
}

// childEnv turns the test binary into a bootgraph with a private Podman.
const childEnv = "BOOTGRAPH_PODMAN_TEST_CHILD"

func child() {
	c, err := connectDefault(context.Background(), "/nope/podman.sock")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.service.cmd.Process.Pid)
	time.Sleep(time.Hour)
}

func TestAPrivatePodmanEndsWithAKilledBootgraph(t *testing.T) {
	privateStorage(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(line)
	}
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "the service ends", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ") // a zombie, where nobody reaps orphans
	})
}
