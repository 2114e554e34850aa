package podman

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"bootgraph/config"
)

func described(change ...func(*config.Container)) *config.Container {
	c := &config.Container{Name: "web", Image: "localhost/web:1", Env: map[string]string{"A": "1", "B": "2"}, StopTimeout: config.DefaultStopTimeout,
		Ports: []config.Port{{HostPort: 80, ContainerPort: 8080, Range: 1, Protocol: "tcp"}, {HostPort: 443, ContainerPort: 8443, Range: 1, Protocol: "tcp"}}}
	for _, f := range change {
		f(c)
	}
	return c
}

func TestEveryDecision(t *testing.T) {
	ours := labels("shop", "front", "web", described())
	was := func(state string, change ...func(*Found)) *Found {
		f := &Found{Name: "web", ID: strings.Repeat("4d4a", 16), Image: "localhost/web:1", State: state, Labels: ours, StartedAt: time.Unix(1, 0)}
		for _, c := range change {
			c(f)
		}
		return f
	}
	label := func(key, value string) func(*Found) {
		return func(f *Found) {
			l := map[string]string{}
			for k, v := range f.Labels {
				l[k] = v
			}
			l[key] = value
			f.Labels = l
		}
	}
	code := func(n int) func(*Found) { return func(f *Found) { f.ExitCode = n } }
	same := described()
	moved := described(func(c *config.Container) {
		c.Image = "localhost/web:2"
		c.Env = map[string]string{"A": "1", "C": "3"}
		c.Ports = c.Ports[:1]
		c.ReadOnly = true
	})
	shuffled := described(func(c *config.Container) { c.Ports[0], c.Ports[1] = c.Ports[1], c.Ports[0] })
	newer := strings.Replace(ours[LabelSpec], `"version":1`, `"version":9,"invented_later":true`, 1)

	for _, test := range []struct {
		name    string
		want    *config.Container
		kind    config.Kind
		found   *Found
		replace bool
		answer  string
	}{
		{"not there", same, config.KindService, nil, false, "create: no container named web"},
		{"runs", same, config.KindService, was("running"), false, "keep: it runs as described"},
		{"runs, asked to replace", same, config.KindService, was("running"), true, "replace: asked for"},
		{"exited", same, config.KindService, was("exited", code(137)), false, "start: exited with code 137"},
		{"exited with 0", same, config.KindService, was("exited"), false, "start: exited with code 0"},
		{"stopped", same, config.KindService, was("stopped"), false, "start: exited with code 0"},
		{"created", same, config.KindService, was("created"), false, "start: it was never started"},
		{"a job that has completed", same, config.KindJob, was("exited"), false, "keep: it has completed"},
		{"a job that was only prepared", same, config.KindJob, was("exited", func(f *Found) { f.StartedAt = time.Time{} }), false, "start: exited with code 0"},
		{"a job that failed", same, config.KindJob, was("exited", code(3)), false, "start: exited with code 3"},
		{"a job that runs", same, config.KindJob, was("running"), false, "keep: it runs as described"},
		{"paused", same, config.KindService, was("paused"), false, "paused: container web is paused: podman unpause web"},
		{"initialized", same, config.KindService, was("initialized"), false, "start: it was never started"},
		{"stopping", same, config.KindService, was("stopping"), false, "replace: it is stuck in state stopping"},
		{"differs", moved, config.KindService, was("running"), false, `replace: it was created from another description
	env.B: "2" -> ""
	env.C: "" -> "3"
	image: "localhost/web:1" -> "localhost/web:2"
	ports: "443:8443/tcp 80:8080/tcp" -> "80:8080/tcp" -443:8443/tcp
	read_only: "" -> "true"`},
		{"the same ports in another order", shuffled, config.KindService, was("running"), false, "keep: it runs as described"},
		{"moved to another stage", same, config.KindService, was("running", label(LabelStage, "back")), false, "keep: it runs as described"},
		{"created by a newer bootgraph", same, config.KindService, was("running", label(LabelSpec, newer)), false, "keep: it runs as described"},
		{"a label that is no description", same, config.KindService, was("running", label(LabelSpec, "{")), false, "replace: the description in its label can't be read"},
		{"somebody else's", same, config.KindService, was("running", func(f *Found) { f.Labels = nil }), false,
			`name_in_use: container web (4d4a4d4a4d4a, image localhost/web:1) was not created by bootgraph: rename the service, remove the container, or use it as it is with containers = ["web"]`},
		{"somebody else's, asked to replace", same, config.KindService, was("exited", func(f *Found) { f.Labels = nil }), true,
			`name_in_use: container web (4d4a4d4a4d4a, image localhost/web:1) was not created by bootgraph: rename the service, remove the container, or use it as it is with containers = ["web"]`},
		{"another configuration's", same, config.KindService, was("running", label(LabelName, "bank")), false,
			`name_in_use: container web (4d4a4d4a4d4a) belongs to the configuration "bank": rename the service, or take it down there first`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := answer(Decide("shop", test.want, test.kind, test.found, test.replace)); got != test.answer {
				t.Errorf("it decided\n%s\nwant\n%s", got, test.answer)
			}
		})
	}
}

func TestWhatLooksAlikeDiffersNevertheless(t *testing.T) {
	for _, test := range []struct {
		name     string
		was, now func(*config.Container)
		answer   string
	}{
		{"an empty variable and none", nil, func(c *config.Container) { c.Env["C"] = "" }, `env.C: "" -> "\"\""`},
		{"an empty label and none", func(c *config.Container) { c.Labels = map[string]string{"l": ""} }, nil, `labels.l: "\"\"" -> ""`},
		{"no entrypoint and the image's", nil, func(c *config.Container) { c.Entrypoint = []string{""} }, `entrypoint: "" -> "\"\""`},
		{"one word and two", func(c *config.Container) { c.Command = []string{"a b"} }, func(c *config.Container) { c.Command = []string{"a", "b"} },
			`command: "\"a b\"" -> "a b"`},
		{"words in another order", func(c *config.Container) { c.Command = []string{"a", "b"} }, func(c *config.Container) { c.Command = []string{"b", "a"} },
			`command: "a b" -> "b a"`},
		{"memory in its unit", func(c *config.Container) { c.Memory = 512 << 20 }, func(c *config.Container) { c.Memory = 1 << 30 }, `memory: "512m" -> "1g"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			was, now := described(), described()
			for c, change := range map[*config.Container]func(*config.Container){was: test.was, now: test.now} {
				if change != nil {
					change(c)
				}
			}
			found := &Found{Name: "web", State: "running", Labels: labels("shop", "front", "web", was)}
			want := "replace: it was created from another description\n\t" + test.answer
			if got := answer(Decide("shop", now, config.KindService, found, false)); got != want {
				t.Errorf("it decided\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestEveryDecisionAboutAnExistingContainer(t *testing.T) {
	for state, want := range map[string]string{
		"":         "not_found: there is no container named old-redis: create it, or give the service an image",
		"running":  "keep: it runs as described",
		"exited":   "start: exited with code 1",
		"created":  "start: it was never started",
		"paused":   "paused: container old-redis is paused: podman unpause old-redis",
		"stopping": "bad_state: container old-redis is stopping, and it was not created by bootgraph: see podman inspect old-redis",
	} {
		var found *Found
		if state != "" {
			found = &Found{Name: "old-redis", ID: "4d4a", State: state, ExitCode: 1}
		}
		if got := answer(DecideExisting("old-redis", found)); got != want {
			t.Errorf("%s: it decided %s, want %s", state, got, want)
		}
	}
}

func answer(d Decision) string {
	if d.Conflict != nil {
		return d.Conflict.Code() + ": " + d.Conflict.Error()
	}
	s := fmt.Sprintf("%s: %s", d.Action, d.Reason)
	for _, f := range d.Diff {
		s += fmt.Sprintf("\n\t%s: %q -> %q", f.Field, f.From, f.To)
		for _, v := range f.Removed {
			s += " -" + v
		}
		for _, v := range f.Added {
			s += " +" + v
		}
	}
	return s
}

// TestEveryAttributeIsPartOfTheDescription sets each field of config.Container
// in turn: one that changed nothing would be an attribute whose change apply
// doesn't notice.
func TestEveryAttributeIsPartOfTheDescription(t *testing.T) {
	none := map[string]bool{
		"Name": true, "Component": true, "Range": true, "Ranges": true, // who it is, not what
		"Sensitive": true, "EnvFrom": true, // how the environment is written in it, and where it is from
		"Pull": true, // about the image's way here; what came of it is no property of the container
	}
	empty := specText(&config.Container{StopTimeout: config.DefaultStopTimeout})
	typ := reflect.TypeFor[config.Container]()
	for i := range typ.NumField() {
		c := &config.Container{StopTimeout: config.DefaultStopTimeout}
		name := typ.Field(i).Name
		fill(reflect.ValueOf(c).Elem().Field(i))
		if changed := specText(c) != empty; changed == none[name] {
			t.Errorf("%s: the description changed: %v", name, changed)
		}
	}
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(7 * time.Second))
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if e := v.Index(0); e.Kind() == reflect.String {
			e.SetString("x")
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if v.Type().Elem().Kind() == reflect.String {
			v.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf("v"))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[config.Restart]() {
			v.Set(reflect.ValueOf(config.Restart{Policy: "always"}))
		}
	}
}

// A sensitive value is in a description as its fingerprint only: whether it
// has changed can be seen, and so can that it was not sensitive before.
func TestASensitiveValueIsAFingerprintInTheDescription(t *testing.T) {
	with := func(name, value string, sensitive bool) *config.Container {
		return &config.Container{Name: name, Env: map[string]string{"P": value}, Sensitive: map[string]bool{"P": sensitive}, StopTimeout: config.DefaultStopTimeout}
	}
	was := specText(with("web", "hunter2", true))
	if strings.Contains(was, "hunter2") {
		t.Errorf("it is in clear: %s", was)
	}
	if specText(with("api", "hunter2", true)) == was {
		t.Error("in another container it looks the same")
	}
	for _, test := range []struct {
		spec string
		want *config.Container
		diff []Diff
	}{
		{was, with("web", "hunter2", true), nil},
		{was, with("web", "hunter3", true), []Diff{{Field: "env.P", From: "(sensitive)", To: "(sensitive)"}}},
		{specText(with("web", "hunter2", false)), with("web", "hunter2", true), []Diff{{Field: "env.P", From: "(sensitive)", To: "(sensitive)"}}},
		{was, &config.Container{Name: "web", StopTimeout: config.DefaultStopTimeout}, []Diff{{Field: "env.P", From: "(sensitive)"}}},
	} {
		got, err := differences(test.spec, test.want)
		if err != nil || !reflect.DeepEqual(got, test.diff) {
			t.Errorf("%+v, %v, want %+v", got, err, test.diff)
		}
	}
}

func TestDescriptionsAreTheSameBytes(t *testing.T) {
	for range 20 {
		if a, b := specText(described()), specText(described()); a != b {
			t.Fatalf("%s\n%s", a, b)
		}
	}
}

func TestUsersLabelsCanNotTakeTheNamesOfOurs(t *testing.T) {
	l := labels("shop", "front", "web", described(func(c *config.Container) {
		c.Labels = map[string]string{LabelName: "bank", "mine": "1"}
	}))
	if l[LabelName] != "shop" || l["mine"] != "1" {
		t.Errorf("%v", l)
	}
}

func TestPortsAreSpelledAsOnTheCommandLine(t *testing.T) {
	for want, p := range map[string]config.Port{
		"8080/tcp":                      {ContainerPort: 8080, Range: 1, Protocol: "tcp"},
		"53:53/udp":                     {HostPort: 53, ContainerPort: 53, Range: 1, Protocol: "udp"},
		"127.0.0.1:8000-8005:80-85/tcp": {HostIP: addr("127.0.0.1"), HostPort: 8000, ContainerPort: 80, Range: 6, Protocol: "tcp"},
		"[::1]:80:80/tcp":               {HostIP: addr("::1"), HostPort: 80, ContainerPort: 80, Range: 1, Protocol: "tcp"},
		"127.0.0.1::80/tcp":             {HostIP: addr("127.0.0.1"), ContainerPort: 80, Range: 1, Protocol: "tcp"},
	} {
		if got := portText(p); got != want {
			t.Errorf("%+v is %s, want %s", p, got, want)
		}
	}
}

func TestSpecIsVersionedJSON(t *testing.T) {
	var spec map[string]any
	if err := json.Unmarshal([]byte(specText(described())), &spec); err != nil || spec["version"] != float64(specVersion) {
		t.Errorf("%v, %v", spec, err)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
