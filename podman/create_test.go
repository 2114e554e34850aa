package podman

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootgraph/config"
	"bootgraph/testdata/host"
)

// TestEveryAttributeIsAsPodmanRunMakesIt creates each container twice, as
// bootgraph does and by the flags of podman create, and compares all that
// podman inspect tells of the two. Podman ignores fields of a request that it
// does not know, so nothing less tells that one works.
func TestEveryAttributeIsAsPodmanRunMakesIt(t *testing.T) {
	h := host.Shared(t)
	dir := t.TempDir()
	profile := filepath.Join(dir, "seccomp.json")
	if err := os.WriteFile(profile, []byte(`{"defaultAction":"SCMP_ACT_ALLOW"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, `a,"b`)
	if err := syscall.Mknod(odd, syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		t.Fatal(err)
	}
	removed(t, h, "by-us", "by-hand", "by-words", "other")
	run(t, h, "create", "--name=other", host.Image)
	run(t, h, "network", "create", "attributes")
	t.Cleanup(func() { run(t, h, "network", "rm", "--force", "attributes") })
	for _, name := range []string{"token", "certificate"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("secret of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, h, "secret", "create", name, file)
		t.Cleanup(func() { run(t, h, "secret", "rm", name) })
	}

	said := map[string]bool{}
	for _, test := range []struct {
		name  string
		want  config.Container
		flags string
		argv  string
	}{
		{"nothing", config.Container{}, "", ""},
		{"command and entrypoint", config.Container{Command: []string{"check", "exit", "0"}, Entrypoint: []string{"/server", "-x"}}, `--entrypoint=["/server","-x"]`, "check exit 0"},
		{"env", config.Container{Env: map[string]string{"A": "1", "B": "x=y"}}, "--env=A=1 --env=B=x=y", ""},
		{"ports", config.Container{Ports: []config.Port{
			{HostIP: addr("127.0.0.1"), HostPort: 28000, ContainerPort: 80, Range: 3, Protocol: "tcp"},
			{HostPort: 28053, ContainerPort: 53, Range: 1, Protocol: "udp"}}}, "--publish=127.0.0.1:28000-28002:80-82 --publish=28053:53/udp", ""},
		{"volumes", config.Container{Volumes: []config.Mount{
			{Source: dir, Destination: "/a", Options: []string{"ro", "nosuid"}}, {Source: dir, Destination: "/b"}, {Source: "attributes", Destination: "/c", Options: []string{"ro"}}}},
			"--volume=" + dir + ":/a:ro,nosuid --volume=" + dir + ":/b --volume=attributes:/c:ro", ""},
		{"an overlay", config.Container{Volumes: []config.Mount{{Source: dir, Destination: "/a", Options: []string{"O"}}}}, "--volume=" + dir + ":/a:O", ""},
		{"networks", config.Container{Networks: []string{"attributes"}}, "--network=attributes:alias=service", ""},
		{"host network", config.Container{NetworkMode: "host"}, "--network=host", ""},
		{"no network", config.Container{NetworkMode: "none"}, "--network=none", ""},
		{"a container's network", config.Container{NetworkMode: "container:other"}, "--network=container:other", ""},
		{"secrets", config.Container{Secrets: []config.SecretMount{
			{Name: "token", Type: "env", Target: "TOKEN"}, {Name: "certificate", Type: "mount", Target: "tls.pem", UID: 7, GID: 8, Mode: 0o400}, {Name: "token", Type: "mount"}}},
			"--secret=token,type=env,target=TOKEN --secret=certificate,target=tls.pem,uid=7,gid=8,mode=0400 --secret=token", ""},
		{"user and workdir", config.Container{User: "7:8", Workdir: "/w"}, "--user=7:8 --workdir=/w", ""},
		{"hostname", config.Container{Hostname: "a.example"}, "--hostname=a.example", ""},
		{"labels", config.Container{Labels: map[string]string{"a.b": "c"}}, "--label=a.b=c", ""},
		{"restart", config.Container{Restart: config.Restart{Policy: "on-failure", Retries: 3}}, "--restart=on-failure:3", ""},
		{"restart always", config.Container{Restart: config.Restart{Policy: "unless-stopped"}}, "--restart=unless-stopped", ""},
		{"stop", config.Container{StopTimeout: 42 * time.Second, StopSignal: "SIGRTMIN+3"}, "--stop-timeout=42 --stop-signal=SIGRTMIN+3", ""},
		{"stop by a plain signal", config.Container{StopSignal: "SIGUSR1"}, "--stop-signal=SIGUSR1", ""},
		{"memory", config.Container{Memory: 64 << 20}, "--memory=64m", ""},
		{"cpus and pids", config.Container{CPUs: 0.5, PidsLimit: 77}, "--cpus=0.5 --pids-limit=77", ""},
		{"no limit of pids", config.Container{PidsLimit: -1}, "--pids-limit=-1", ""},
		{"ulimits", config.Container{Ulimits: []config.Ulimit{{Type: "nofile", Soft: 10, Hard: 20}, {Type: "core", Soft: -1, Hard: -1}}}, "--ulimit=nofile=10:20 --ulimit=core=-1:-1", ""},
		{"capabilities", config.Container{CapAdd: []string{"CAP_NET_ADMIN"}, CapDrop: []string{"CAP_CHOWN"}}, "--cap-add=CAP_NET_ADMIN --cap-drop=CAP_CHOWN", ""},
		{"all capabilities", config.Container{CapAdd: []string{"CAP_CHOWN"}, CapDrop: []string{"ALL"}}, "--cap-add=CAP_CHOWN --cap-drop=ALL", ""},
		{"privileged", config.Container{Privileged: true}, "--privileged", ""},
		{"read-only", config.Container{ReadOnly: true}, "--read-only", ""},
		{"read-only with a tmpfs", config.Container{ReadOnly: true, Tmpfs: []config.Tmpfs{{Destination: "/tmp", Options: []string{"size=1m", "mode=1777"}}}}, "--read-only --tmpfs=/tmp:size=1m,mode=1777", ""},
		{"devices", config.Container{Devices: []config.Device{{Host: "/dev/null", Container: "/dev/zilch", Permissions: "rw"}, {Host: "/dev/full", Container: "/dev/full"}}}, "--device=/dev/null:/dev/zilch:rw --device=/dev/full:/dev/full", ""},
		{"a device with a comma", config.Container{Devices: []config.Device{{Host: odd, Container: "/dev/odd"}}}, `--device="` + dir + `/a,""b:/dev/odd"`, ""},
		{"security", config.Container{SecurityOpt: []string{"no-new-privileges", "seccomp=" + profile, "label=disable", "mask=/proc/a:/proc/b", "unmask=/proc/kcore:/sys/firmware", "proc-opts=nosuid,exec"}},
			"--security-opt=no-new-privileges --security-opt=seccomp=" + profile + " --security-opt=label=disable --security-opt=mask=/proc/a:/proc/b --security-opt=unmask=/proc/kcore:/sys/firmware --security-opt=proc-opts=nosuid,exec", ""},
		{"unconfined", config.Container{SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined", "unmask=ALL"}}, "--security-opt=seccomp=unconfined --security-opt=apparmor=unconfined --security-opt=unmask=ALL", ""},
		{"names", config.Container{Hostname: "", DNS: addrs("10.0.0.1", "10.0.0.2"), ExtraHosts: []config.ExtraHost{{Host: "a.example", IP: "10.9.8.7"}}}, "--dns=10.0.0.1 --dns=10.0.0.2 --add-host=a.example:10.9.8.7", ""},
		{"init", config.Container{Init: true}, "--init", ""},
		{"system paths", config.Container{SecurityOpt: []string{"systempaths=unconfined", "no-new-privileges=0"}}, "--security-opt=systempaths=unconfined --security-opt=no-new-privileges=0", ""},
		{"a bridge", config.Container{NetworkMode: "bridge"}, "--network=bridge", ""},
		{"no entrypoint", config.Container{Entrypoint: []string{""}, Command: []string{"/server"}}, `--entrypoint=[""]`, "/server"},
		{"a third of a cpu", config.Container{CPUs: 0.29}, "--cpu-period=100000 --cpu-quota=29000", ""},
	} {
		v := reflect.ValueOf(test.want)
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				said[v.Type().Field(i).Name] = true
			}
		}
		t.Run(test.name, func(t *testing.T) {
			removed(t, h, "by-us", "by-hand", "by-words")
			want := test.want
			want.Name, want.Image = "by-us", host.Image
			s := &config.Service{Name: "service", Containers: []*config.Container{&want}}
			us := NewHost(connected(t, h), &config.File{Name: "attributes", Stages: []*config.Stage{{Name: "core", Services: []*config.Service{s}}}}, nil)
			if _, err := us.create(t.Context(), s, &want); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"create", "--name=by-hand", "--http-proxy=false", "--restart=no"}, strings.Fields(test.flags)...)
			run(t, h, append(append(args, host.Image), strings.Fields(test.argv)...)...)
			if diff := cmp.Diff(inspected(t, h, "by-hand"), inspected(t, h, "by-us")); diff != "" {
				t.Errorf("podman run (-) and bootgraph (+) differ:\n%s", diff)
			}
			want.Name = "by-words"
			run(t, h, texts(CommandLine("attributes", "core", "service", &want))...)
			if diff := cmp.Diff(inspected(t, h, "by-us"), inspected(t, h, "by-words")); diff != "" {
				t.Errorf("bootgraph (-) and its command line (+) differ:\n%s", diff)
			}
			if len(test.want.SecurityOpt) > 0 { // of these podman inspect tells only what podman create was told
				us := runtimeConfig(t, h, "by-us")
				if diff := cmp.Diff(runtimeConfig(t, h, "by-hand"), us); diff != "" {
					t.Errorf("the runtime is told other things by podman run (-) and bootgraph (+):\n%s", diff)
				}
				if diff := cmp.Diff(us, runtimeConfig(t, h, "by-words")); diff != "" {
					t.Errorf("the runtime is told other things by bootgraph (-) and its command line (+):\n%s", diff)
				}
			}
		})
	}
	for _, name := range []string{"Name", "Component", "Image", "Pull", "Range", "Ranges", "Sensitive", "EnvFrom", "Withheld"} { // who it is, and how its image gets here
		said[name] = true
	}
	for i := range reflect.TypeFor[config.Container]().NumField() {
		if name := reflect.TypeFor[config.Container]().Field(i).Name; !said[name] {
			t.Errorf("nothing tests %s", name)
		}
	}
}

func texts(words []Word) (list []string) {
	for _, w := range words {
		list = append(list, w.Text)
	}
	return list
}

func addrs(all ...string) (list []netip.Addr) {
	for _, a := range all {
		list = append(list, addr(a))
	}
	return list
}

// inspected is all that podman inspect tells of a container, but what is
// different in any two.
func inspected(t *testing.T, h *host.Host, name string) map[string]any {
	t.Helper()
	text := run(t, h, "container", "inspect", name)
	var all []map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	id := all[0]["Id"].(string)
	text = strings.NewReplacer(id, "ID", id[:12], "SHORT", `"`+name+`"`, `"NAME"`).Replace(text)
	all = nil
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	c := all[0]
	labels, _ := c["Config"].(map[string]any)["Labels"].(map[string]any)
	for label := range labels {
		if strings.HasPrefix(label, "bootgraph.") {
			delete(labels, label)
		}
	}
	if len(labels) == 0 {
		c["Config"].(map[string]any)["Labels"] = nil
	}
	for path, isSet := range map[string]bool{"Created": false, "GraphDriver": false, "Config.sdNotifyMode": false, "Config.CreateCommand": false, "Config.Annotations": false, "HostConfig.SecurityOpt": false, "Mounts": true, "HostConfig.Binds": true, "Config.Env": true} {
		keys := strings.Split(path, ".")
		at := c
		for _, key := range keys[:len(keys)-1] {
			at = at[key].(map[string]any)
		}
		last := keys[len(keys)-1]
		if list, ok := at[last].([]any); ok && isSet {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(asJSON(a), asJSON(b)) })
		} else {
			delete(at, last)
		}
	}
	return c
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// runtimeConfig is what Podman tells runc: config.json of the OCI runtime
// specification, without what is different in any two containers.
func runtimeConfig(t *testing.T, h *host.Host, name string) map[string]any {
	t.Helper()
	run(t, h, "init", name)
	defer run(t, h, "rm", "--force", "--time=0", name)
	text, err := os.ReadFile(run(t, h, "container", "inspect", "--format={{.OCIConfigPath}}", name))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Process, Linux map[string]any
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"env", "namespaces", "cgroupsPath"} {
		delete(c.Process, key)
		delete(c.Linux, key)
	}
	return map[string]any{"process": c.Process, "linux": c.Linux}
}
