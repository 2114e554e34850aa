package config

import "testing"

// FuzzPort: a port that is taken is within the bounds of ports, however it is
// spelled.
func FuzzPort(f *testing.F) {
	for _, s := range []string{"80", "8080:80", "127.0.0.1:8080:80/tcp", "[::1]:53:53/udp", "8000-8010:9000-9010", "127.0.0.1::80", ":80", "0:0", "65535:65536", "80-79", "[fe80::1%eth0]:1:1", "1:2:3:4:5", "80/sctp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePort(s)
		if err != nil {
			return
		}
		if p.ContainerPort == 0 || p.Range == 0 || int(p.ContainerPort)+int(p.Range) > 1<<16 || p.HostPort != 0 && last(p) >= 1<<16 {
			t.Errorf("%q is %+v", s, p)
		}
	})
}
