package config

import (
	"net/netip"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"
)

// clash is the rule in its slowest form: two ports of the host can't both be
// published.
func clash(a, b Port) bool {
	if a.Protocol != b.Protocol || a.HostPort == 0 || b.HostPort == 0 || last(a) < int(b.HostPort) || last(b) < int(a.HostPort) {
		return false
	}
	every := func(ip netip.Addr) bool { return !ip.IsValid() || ip == netip.IPv6Unspecified() }
	switch x, y := a.HostIP, b.HostIP; {
	case every(x) || every(y) || x == y:
		return true
	default:
		return x.Is4() && y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
	}
}

func TestHostPortsClashAsTheirAddressesDo(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"80:80", "80:81", true},
		{"80:80", "127.0.0.1:80:80", true},
		{"0.0.0.0:80:80", "127.0.0.1:80:80", true},
		{"[::]:80:80", "0.0.0.0:80:80", true},
		{"[::]:80:80", "127.0.0.1:80:80", true},
		{"80:80", "[::1]:80:80", true},
		{"0.0.0.0:80:80", "[::1]:80:80", false},
		{"127.0.0.1:80:80", "127.0.0.2:80:80", false},
		{"127.0.0.1:80:80", "[::ffff:127.0.0.1]:80:80", true},
		{"80:80", "80:80/udp", false},
		{"80:80/sctp", "80:80/udp", false},
		{"8000-8010:1-11", "8010-8020:1-11", true},
		{"8000-8010:1-11", "8011-8020:1-10", false},
		{"80", "80", false}, // Podman chooses
		{"127.0.0.1::80", "127.0.0.1::80", false},
	} {
		a, err := parsePort(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parsePort(c.b)
		if err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][]Port{{a, b}, {b, a}} {
			if got := len(reported(pair)) > 0; got != c.want || clash(pair[0], pair[1]) != c.want {
				t.Errorf("%s and %s: %v, by the slow rule %v, want %v", c.a, c.b, got, clash(a, b), c.want)
			}
		}
	}
}

func reported(ports []Port) hcl.Diagnostics {
	d := newDecoder(".", Inputs{}, nil)
	for i, port := range ports {
		d.ports = append(d.ports, published{at: at[Port]{port, hcl.Range{Filename: "boot.hcl", Start: hcl.Pos{Line: i + 1, Byte: i}, End: hcl.Pos{Line: i + 1, Byte: i + 1}}}})
	}
	d.checkPorts()
	return d.diags
}

// The sweep reports a clash if and only if there is one.
func TestPortSweepAgreesWithComparingAllPairs(t *testing.T) {
	ips := []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.MustParseAddr("127.0.0.1"),
		netip.MustParseAddr("127.0.0.2"), netip.IPv6Loopback()}
	one := rapid.Custom(func(t *rapid.T) Port {
		return Port{
			HostIP:   rapid.SampledFrom(ips).Draw(t, "ip"),
			HostPort: uint16(rapid.IntRange(0, 12).Draw(t, "port")),
			Range:    uint16(rapid.IntRange(1, 4).Draw(t, "range")),
			Protocol: rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "protocol"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		ports := rapid.SliceOfN(one, 0, 8).Draw(t, "ports")
		want := false
		for i, a := range ports {
			for _, b := range ports[:i] {
				want = want || clash(a, b)
			}
		}
		diags := reported(ports)
		if got := len(diags) > 0; got != want {
			t.Fatalf("reported %v, want %v", diags, want)
		}
	})
}
