package podman

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"bootgraph/config"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// again is a Host of a later boot that has looked at everything, and what it asks
// of Podman from then on.
func again(t *testing.T, before *Host, tasks ...*scheduler.Task) (*Host, *recorder) {
	t.Helper()
	h := NewHost(before.Client, before.file, nil)
	look(t, h, tasks...)
	return h, record(h)
}

// networked are the ways for a container to be on networks.
func networked(t *testing.T, p *host.Host) map[string]func(*config.Container) {
	t.Helper()
	run(t, p, "network", "create", "--ipv6", "--subnet=10.97.1.0/24", "--subnet=fd97:1::/64", "listed-two")
	run(t, p, "network", "create", "--ipv6", "--subnet=fd97:2::/64", "listed-six")
	t.Cleanup(func() { run(t, p, "network", "rm", "--force", "listed-two", "listed-six") })
	return map[string]func(*config.Container){
		"published":      published(8080),
		"by itself":      func(*config.Container) {},
		"on the host":    func(w *config.Container) { w.NetworkMode = "host" },
		"with two ports": func(w *config.Container) { published(8080)(w); published(9090)(w) },
		"on no network":  func(w *config.Container) { w.NetworkMode = "none" },
		"on two stacks":  func(w *config.Container) { w.Networks = []string{"listed-two"} },
		"on an IPv6 one": func(w *config.Container) { w.Networks = []string{"listed-six"} },
	}
}

// What a list and the kernel tell of a container is what inspect would, but for
// the fraction of a second of its start.
func TestWhatRunsIsFoundByOneList(t *testing.T) {
	p := host.Shared(t)
	for name, change := range networked(t, p) {
		t.Run(name, func(t *testing.T) {
			service := task(config.KindService, server("listed", map[string]string{}, change))
			first := booted(t, p, service)
			want := started(t, first, service)
			h, asked := again(t, first, service)
			got := started(t, h, service)
			if asked.calls > 0 {
				t.Errorf("podman was asked %d times", asked.calls)
			}
			if want[0].StartedAt.Unix() != got[0].StartedAt.Unix() {
				t.Errorf("started at %s, not %s", got[0].StartedAt, want[0].StartedAt)
			}
			got[0].StartedAt = want[0].StartedAt
			if !reflect.DeepEqual(got, want) {
				t.Errorf("found\n%+v, and it is\n%+v", got, want)
			}
		})
	}
}

// What the kernel tells of a container that was just started is what inspect
// would, but for the moment of its start.
func TestWhatWasStartedIsFoundByTheKernel(t *testing.T) {
	p := host.Shared(t)
	for name, change := range networked(t, p) {
		t.Run(name, func(t *testing.T) {
			known, service := task(config.KindService, server("known", map[string]string{})), task(config.KindService, server("began", map[string]string{}, change))
			h := expectant(t, p, known, service)
			started(t, h, known) // an inspect of it tells where process IDs are
			asked := record(h)
			got := started(t, h, service)
			if did := asked.verbs(); asked.calls != 2 || did != "create start" {
				t.Errorf("podman was asked %d times, and did %s", asked.calls, did)
			}
			want := started(t, NewHost(h.Client, h.file, nil), service)
			if asked.verbs() != "" || asked.calls == 2 {
				t.Error("it was started again, or not looked at")
			}
			if was := want[0].StartedAt.Sub(got[0].StartedAt); was < 0 || was > startLimit {
				t.Errorf("started at %s, not %s", got[0].StartedAt, want[0].StartedAt)
			}
			got[0].StartedAt = want[0].StartedAt
			if !reflect.DeepEqual(got, want) {
				t.Errorf("found\n%+v, and it is\n%+v", got, want)
			}
		})
	}
}

// After a boot what is there is started as it is, whatever the file says by then.
func TestWhatIsStartedAsItIsHasItsOwnPorts(t *testing.T) {
	p := host.Shared(t)
	w := server("as-it-is", map[string]string{}, published(8080))
	service := task(config.KindService, w)
	h := booted(t, p, service)
	was := started(t, h, service)
	run(t, p, "stop", "--time=0", "as-it-is")
	w.Ports = nil
	published(9090)(w)
	h.keeping = true
	if at := started(t, h, service); at[0].Same(was[0]) || !reflect.DeepEqual(at[0].Ports, was[0].Ports) {
		t.Errorf("it was %+v, and is %+v", was, at)
	}
}

// A port that Podman has chosen, only Podman knows.
func TestWhatHasAPortOfPodmansChoiceIsLookedAt(t *testing.T) {
	p := host.Shared(t)
	known := task(config.KindService, server("chosen-known", map[string]string{}))
	service := task(config.KindService, server("chosen", map[string]string{}, func(w *config.Container) {
		w.Ports = []config.Port{{ContainerPort: 8080, Range: 1, Protocol: "tcp"}}
	}))
	h := expectant(t, p, known, service)
	started(t, h, known)
	if at := started(t, h, service); len(at[0].Ports) != 1 || at[0].Ports[0].HostPort == 0 {
		t.Errorf("found %+v", at)
	}
}

func TestWhatHasEndedSinceTheListIsLookedAt(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *host.Host){
		"killed":    func(t *testing.T, p *host.Host) { run(t, p, "kill", "since") },
		"restarted": func(t *testing.T, p *host.Host) { run(t, p, "restart", "--time=0", "since") },
		"removed":   func(t *testing.T, p *host.Host) { run(t, p, "rm", "--force", "--time=0", "since") },
	} {
		t.Run(name, func(t *testing.T) {
			p := host.Shared(t)
			service := task(config.KindService, server("since", map[string]string{}))
			first := booted(t, p, service)
			started(t, first, service)
			h, asked := again(t, first, service)
			change(t, p)
			at := started(t, h, service)
			if asked.calls == 0 {
				t.Error("podman was not asked")
			}
			if why, err := h.Look(t.Context(), at[0]); err != nil || !why.IsZero() {
				t.Errorf("it does not run as %+v: %v %v", at[0], why, err)
			}
		})
	}
}

func TestWhoSharesANetworkIsLookedAt(t *testing.T) {
	p := host.Shared(t)
	owner := task(config.KindService, server("shared-net", map[string]string{}, published(8080)))
	guest := task(config.KindService, server("shared-guest", map[string]string{}, func(w *config.Container) { w.NetworkMode = "container:shared-net" }))
	first := booted(t, p, owner, guest)
	started(t, first, owner)
	want := started(t, first, guest)
	h, _ := again(t, first, owner, guest)
	if got := started(t, h, guest); !reflect.DeepEqual(got, want) {
		t.Errorf("found\n%+v, and it is\n%+v", got, want)
	}
}

func TestAddressesOfTheContainersOwnMakingAreNotBelieved(t *testing.T) {
	for text, want := range map[string]bool{
		"10.88.0.5":            true,
		"":                     true, // its network gave none, or it has none yet
		"10.88.0.5 fd00::5":    true,
		"10.88.0.5 172.17.0.1": false,
		"fd00::5 fd00::6":      false,
	} {
		var addresses []netip.Addr
		for word := range strings.FieldsSeq(text) {
			a, _ := netip.ParseAddr(word)
			addresses = append(addresses, a)
		}
		if got := ofNetworks(addresses, 1); got != want {
			t.Errorf("%q of one network: %t", text, got)
		}
	}
}
