package health

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// httpServer returns what starts an HTTP/1 server that lives until the test
// ends; nil answers 200 "ok".
func httpServer(secure *tls.Config, handler http.HandlerFunc) func(*testing.T) netip.AddrPort {
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	}
	return func(t *testing.T) netip.AddrPort {
		s := httptest.NewUnstartedServer(handler)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		if secure != nil {
			s.TLS = secure
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		return s.Listener.Addr().(*net.TCPAddr).AddrPort()
	}
}

// afterRequest answers with the same whatever it is asked.
func afterRequest(answer string) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, answer)
	}
}

func TestHTTP(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	clientCert, clientKey := ours.leaf("client", hour)
	trust := &config.TLS{CA: ours.file}
	status := func(code int) func(*testing.T) netip.AddrPort {
		return httpServer(nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	plain := func(serve func(net.Conn)) func(*testing.T) netip.AddrPort {
		return func(t *testing.T) netip.AddrPort { return listenOn(t, "127.0.0.1:0", serve) }
	}
	// to redirects / to a target, in which HOST is the server itself, and
	// answers 204 to all other paths.
	to := func(target string) func(*testing.T) netip.AddrPort {
		return httpServer(nil, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				w.WriteHeader(204)
				return
			}
			http.Redirect(w, r, strings.ReplaceAll(target, "HOST", r.Host), http.StatusFound)
		})
	}
	only := func(from, to int) config.Health {
		return config.Health{Status: []config.StatusRange{{From: 418, To: 418}, {From: from, To: to}}}
	}
	usual, ok204 := config.Health{}, only(204, 204)
	with := func(c *config.TLS) config.Health { return config.Health{TLS: c} }

	for _, c := range []struct {
		name   string
		server func(*testing.T) netip.AddrPort
		health config.Health
		want   string
	}{
		{"200", status(200), usual, "passed"},
		{"399", status(399), usual, "passed"},
		{"400", status(400), usual, "late http_status: http 8443: status 400"},
		{"503", status(503), usual, "late http_status: http 8443: status 503"},
		{"503 is wanted", status(503), only(500, 503), "passed"},
		{"200 is not wanted", status(200), only(500, 503), "late http_status: http 8443: status 200"},
		{"body matches", httpServer(nil, nil), config.Health{Body: "^ok$|^ok\n"}, "passed"},
		{"body does not match", httpServer(nil, nil), config.Health{Body: "^ready"}, `late http_body: http 8443: status 200, but the body does not match "^ready": ok`},
		{"body matches too far behind", httpServer(nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(strings.Repeat("\n", 64<<10) + "ok"))
		}), config.Health{Body: "ok"}, `late http_body: http 8443: status 200, but the body does not match "ok"`},
		{"body never ends, and nobody asks", httpServer(nil, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), usual, "passed"},
		{"body never ends", httpServer(nil, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), config.Health{Body: "ok"}, "late timeout: http 8443: no answer within 1s at HOST"},
		{"body of 10 GB", httpServer(nil, func(w http.ResponseWriter, _ *http.Request) {
			for line := []byte(strings.Repeat("x", 1<<10)); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}), config.Health{Body: "^x+$"}, "passed"},
		{"header of a megabyte", httpServer(nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}), usual, `late unreachable: http 8443: net/http: server response headers exceeded 65536 bytes; aborted at HOST`},
		{"method, headers, path", httpServer(nil, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Method, " ", r.URL, " ", r.Host, " ", r.Header.Get("X-Token"), " ", r.Header.Get("User-Agent"))
		}), config.Health{Method: "POST", Path: "/healthz?full=1", Headers: map[string]string{"host": "app.example", "X-Token": "t"}, Body: `^POST /healthz\?full=1 app.example t bootgraph$`},
			"passed"},

		{"redirect within the host", to("/ready"), ok204, "passed"},
		{"redirect within the host, absolute", to("http://HOST/ready"), ok204, "passed"},
		{"redirect within the virtual host", to("http://HOST/ready"), config.Health{Status: ok204.Status, Headers: map[string]string{"Host": "app.example"}}, "passed"},
		{"redirect to another host", to("http://sso.example/login"), usual, "passed"},
		{"redirect to another host, not wanted", to("http://sso.example/login"), ok204,
			"late redirect: http 8443: status 302, a redirect to http://sso.example/login, which is elsewhere and not followed"},
		{"redirect to another port", to("http://127.0.0.1:1/"), ok204, "late redirect: http 8443: status 302, a redirect to http://127.0.0.1:1/, which is elsewhere and not followed"},
		{"redirect to TLS", to("https://HOST/"), ok204, "late redirect: http 8443: status 302, a redirect to https://HOST/, which is elsewhere and not followed"},
		{"redirect without end", to("/"), usual, "late redirect: http 8443: more than 5 redirects"},

		{"refused", closedPort, usual, "late refused: http 8443: connection refused at HOST"},
		{"hangs up", plain(hangUp), usual, "late forwarder: http 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"resets", plain(reset), usual, "late forwarder: http 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"silent", plain(silent), usual, "late timeout: http 8443: no answer within 1s at HOST"},
		{"speaks first", plain(speak), usual, "late not_http: http 8443: the server does not speak HTTP at HOST"},
		{"not HTTP", plain(afterRequest("220 hello\r\n")), usual, "late not_http: http 8443: the server does not speak HTTP at HOST"},

		{"TLS", httpServer(ours.server("127.0.0.1", hour), nil), with(trust), "passed"},
		{"TLS, by name", httpServer(ours.server("app.example", hour), nil), with(&config.TLS{CA: ours.file, ServerName: "app.example"}), "passed"},
		{"TLS, anybody", httpServer(theirs.server("elsewhere", hour), nil), with(&config.TLS{InsecureSkipVerify: true}), "passed"},
		{"TLS, but asked in plain text", httpServer(ours.server("127.0.0.1", hour), nil), usual, "late tls_mismatch: http 8443: the server speaks TLS; add tls {}"},
		{"gRPC over TLS, but asked in plain text", func(t *testing.T) netip.AddrPort {
			return grpcServer(t, loopback(t), ours.server("127.0.0.1", hour), nil)
		}, usual, "late tls_mismatch: http 8443: the server speaks TLS; add tls {} at HOST"},
		{"TLS that answers with an alert", plain(afterRequest("\x15\x03\x03\x00\x02\x02\x46")), usual, "late tls_mismatch: http 8443: the server speaks TLS; add tls {} at HOST"},
		{"plain, but asked in TLS", httpServer(nil, nil), with(trust), "late tls_mismatch: http 8443: the server does not speak TLS; leave out tls {} at HOST"},
		{"TLS to a forwarder", plain(hangUp), with(trust), "late forwarder: http 8443: the connection is accepted and closed; only a port forwarder listens yet at HOST"},
		{"TLS 1.1 only", httpServer(&tls.Config{Certificates: ours.server("127.0.0.1", hour).Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, nil), with(trust),
			"late tls_mismatch: http 8443: the server refuses this kind of TLS at HOST"},
		{"unknown authority", httpServer(theirs.server("127.0.0.1", hour), nil), with(trust),
			"late tls_verify: http 8443: the server's certificate is signed by an unknown authority; set ca in tls {} at HOST"},
		{"expired", httpServer(ours.server("127.0.0.1", time.Now().Add(-time.Hour)), nil), with(trust),
			"late tls_verify: http 8443: the server's certificate has expired or is not valid yet at HOST"},
		{"other name", httpServer(ours.server("app.example", hour), nil), with(&config.TLS{CA: ours.file, ServerName: "web.example"}),
			"late tls_verify: http 8443: the server's certificate is for another name; set server_name in tls {} at HOST"},
		{"mutual TLS", httpServer(ours.mutual(0), nil), with(&config.TLS{CA: ours.file, Cert: clientCert, Key: clientKey}), "passed"},
		{"no client certificate", httpServer(ours.mutual(0), nil), with(trust),
			"late tls_verify: http 8443: the server wants a client certificate; set cert and key in tls {} at HOST"},
		{"no client certificate, TLS 1.2", httpServer(ours.mutual(tls.VersionTLS12), nil), with(trust),
			"late tls_verify: http 8443: the server refuses the TLS handshake; it may want a client certificate, see cert and key in tls {} at HOST"},
		{"no ca file", status(200), with(&config.TLS{CA: "/nowhere/ca.pem"}), "late tls_file: http 8443: cannot read ca of tls {}: open /nowhere/ca.pem: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := c.server(t)
			h := c.health
			h.Kind, h.Port, h.Timeout = config.HealthHTTP, 8443, time.Second
			got := probeNow(t, &fake{}, h, published(address))
			same(t, strings.ReplaceAll(got, address.String(), "HOST"), c.want)
		})
	}
}

func TestHTTPOverHTTP2(t *testing.T) {
	ours := newAuthority(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.TLS = ours.server("127.0.0.1", time.Now().Add(time.Hour))
	s.StartTLS()
	defer s.Close()
	h := config.Health{Kind: config.HealthHTTP, Port: 8443, TLS: &config.TLS{CA: ours.file}, Body: `^HTTP/2\.0$`}
	same(t, probeNow(t, &fake{}, h, published(s.Listener.Addr().(*net.TCPAddr).AddrPort())), "passed")
}

func TestHTTPOverIPv6(t *testing.T) {
	address := listenOn(t, "[::1]:0", afterRequest("HTTP/1.1 204 \r\n\r\n"))
	same(t, probeNow(t, &fake{}, config.Health{Kind: config.HealthHTTP, Port: 8443}, published(address)), "passed")
}

func TestHTTPOnTheHostNetworkTriesBothLoopbacks(t *testing.T) {
	address := listenOn(t, "[::1]:0", afterRequest("HTTP/1.1 204 \r\n\r\n"))
	at := scheduler.Instance{HostNetwork: true}
	same(t, probeNow(t, &fake{}, config.Health{Kind: config.HealthHTTP, Port: address.Port()}, at), "passed")
}

func TestHTTPAsksNoProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://"+closedPort(t).String())
	}
	at := published(httpServer(nil, nil)(t))
	same(t, probeNow(t, &fake{}, config.Health{Kind: config.HealthHTTP, Port: 8443}, at), "passed")
}
