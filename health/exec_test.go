package health

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

func TestExec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			code   int
			output string
			err    error
			want   string
		}{
			{0, "fine", nil, "passed"},
			{3, "", nil, "late exec_exit: exec pg_isready: exited with code 3"},
			{3, "\nno response\nmore\n", nil, "late exec_exit: exec pg_isready: exited with code 3: no response"},
			{1, "\x1b]0;title\x07\u202eevil\x00", nil, "late exec_exit: exec pg_isready: exited with code 1: evil"},
			{0, "", trouble{}, "late podman_unreachable: exec pg_isready: cannot run it in container c: podman does not answer on /run/podman/podman.sock"},
			{0, "", errors.New("no such\ncommand"), "late error: exec pg_isready: cannot run it in container c: no such command"},
		} {
			f := &fake{exec: func(context.Context) (int, string, error) { return c.code, c.output, c.err }}
			same(t, probeNow(t, f, config.Health{Kind: config.HealthExec, Command: []string{"pg_isready", "--password=secret"}}, container("c")), c.want)
		}
	})
}

func TestPodmanHealthcheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			ok     bool
			output string
			err    error
			want   string
		}{
			{true, "", nil, "passed"},
			{false, "curl: (7) refused\n", nil, "late unhealthy: podman: unhealthy: curl: (7) refused"},
			{false, "", nil, "late unhealthy: podman: unhealthy"},
			{false, "", fail("no_healthcheck", "has none"), "late no_healthcheck: podman: container c has no HEALTHCHECK"},
			{false, "", trouble{}, "late podman_unreachable: podman: cannot run the HEALTHCHECK of container c: podman does not answer on /run/podman/podman.sock"},
		} {
			f := &fake{healthcheck: func() (bool, string, error) { return c.ok, c.output, c.err }}
			same(t, probeNow(t, f, config.Health{Kind: config.HealthPodman}, container("c")), c.want)
		}
	})
}

func TestACheckIsAboutItsComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, web := container("s-api"), container("s-web")
		api.Component, web.Component = "api", "web"
		f := &fake{exec: func(context.Context) (int, string, error) { return 1, "", nil }}
		for _, c := range []struct {
			component string
			at        []scheduler.Instance
			want      string
		}{
			{"web", []scheduler.Instance{api, web}, "late exec_exit: exec ready of web: exited with code 1"},
			{"", []scheduler.Instance{api}, "late exec_exit: exec ready: exited with code 1"},
			{"", []scheduler.Instance{api, web}, "late no_container: exec ready: it is not clear which of the 2 containers is meant; say component = ..."},
			{"db", []scheduler.Instance{api, web}, `late no_container: exec ready of db: there is no component "db"`},
		} {
			h := execCheck
			h.Component = c.component
			same(t, probeNow(t, f, h, c.at...), c.want)
		}
	})
}

func TestNoneIsReadyWhenItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := container("s-a"), container("s-b")
		a.Component, b.Component = "a", "b"
		for component, want := range map[string]string{"": "passed", "b": "passed", "c": `late no_container: there is no component "c"`} {
			same(t, probeNow(t, &fake{}, config.Health{Kind: config.HealthNone, Component: component}, a, b), want)
		}
	})
}

func TestLog(t *testing.T) {
	printed := func(lines ...string) func(context.Context) (io.ReadCloser, error) {
		return func(ctx context.Context) (io.ReadCloser, error) {
			stays, err := openLog(ctx)
			return struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader(strings.Join(lines, "\n")+"\n"), stays), stays}, err
		}
	}
	broken := 0
	for _, c := range []struct {
		name string
		logs func(context.Context) (io.ReadCloser, error)
		want string
	}{
		{"matches", printed("starting", "listening on 8080", "more"), "passed"},
		{"does not match", printed("starting", "listening on", "8080"), `late no_match: log: no line matches "listening on \\d+$" yet`},
		{"matches after a long line", printed(strings.Repeat("x", 1<<20), "listening on 8080\r"), "passed"},
		{"matches too far behind", printed(strings.Repeat("x", 1<<20) + "listening on 8080"), `late no_match: log: no line matches "listening on \\d+$" yet`},
		{"ends", func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("starting\n")), nil
		},
			`late no_match: log: no line matches "listening on \\d+$" yet`},
		{"breaks and is opened again", func(ctx context.Context) (io.ReadCloser, error) {
			if broken++; broken < 3 {
				return io.NopCloser(io.MultiReader(strings.NewReader("starting\nlist"), brokenReader{})), nil
			}
			return printed("starting", "listening on 8080")(ctx)
		}, "passed"},
		{"can't be read", func(context.Context) (io.ReadCloser, error) { return nil, trouble{} },
			"late podman_unreachable: log: cannot read the log of container c: podman does not answer on /run/podman/podman.sock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := config.Health{Kind: config.HealthLog, Pattern: `listening on \d+$`}
				o := New(&fake{logs: c.logs}).Await(t.Context(), service(h), []scheduler.Instance{container("c")}, time.Now().Add(time.Minute), quiet)
				same(t, say(o), c.want)
				broken = 0
				if c.name != "breaks and is opened again" { // which needs more than one look
					same(t, probeNow(t, &fake{logs: c.logs}, h, container("c")), c.want)
				}
			})
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, trouble{} }
