package health

import (
	"context"
	"errors"
	"strings"

	"bootgraph/config"
)

// symptoms tell what is wrong from the text of an error. They go by text
// because grpc-go hands on nothing else; the tests hold each of them against a
// real server.
var symptoms = []struct{ sign, code, text string }{
	{"connection refused", "refused", "connection refused"},
	{"first record does not look like a TLS handshake", "tls_mismatch", "the server does not speak TLS; leave out tls {}"},
	{"server gave HTTP response to HTTPS client", "tls_mismatch", "the server does not speak TLS; leave out tls {}"},
	{`malformed HTTP response "\x15\x03`, "tls_mismatch", "the server speaks TLS; add tls {}"},
	{"certificate signed by unknown authority", "tls_verify", "the server's certificate is signed by an unknown authority; set ca in tls {}"},
	{"certificate has expired or is not yet valid", "tls_verify", "the server's certificate has expired or is not valid yet"},
	{"certificate is valid for", "tls_verify", "the server's certificate is for another name; set server_name in tls {}"},
	{"certificate is not valid for any names", "tls_verify", "the server's certificate is for another name; set server_name in tls {}"},
	{"doesn't contain any IP SANs", "tls_verify", "the server's certificate is for a name, not an address; set server_name in tls {}"},
	{"x509:", "tls_verify", ""}, // in its own words
	{"certificate required", "tls_verify", "the server wants a client certificate; set cert and key in tls {}"},
	{"tls: bad certificate", "tls_verify", "the server wants a client certificate, or another one; see cert and key in tls {}"},
	{"tls: unknown certificate", "tls_verify", "the server wants a client certificate, or another one; see cert and key in tls {}"},
	{"tls: handshake failure", "tls_verify", "the server refuses the TLS handshake; it may want a client certificate, see cert and key in tls {}"},
	{"no application protocol", "not_http2", "the server does not speak HTTP/2, which gRPC needs"},
	{"missing selected ALPN property", "not_http2", "the server does not speak HTTP/2, which gRPC needs"},
	{"looked like an HTTP/1.1 header", "not_http2", "the server speaks HTTP/1, not gRPC"},
	{alert, "tls_mismatch", "the server refuses this kind of TLS"},
	{"malformed HTTP", "not_http", "the server does not speak HTTP"},
	{"connection reset by peer", "forwarder", closed},
	{"broken pipe", "forwarder", closed},
	{"server closed idle connection", "forwarder", closed}, // before net/http had asked
	{"EOF", "forwarder", closed},
	{"readLoopPeekFailLocked", "not_http", "the server does not speak HTTP"}, // it spoke before it was asked,
}

const closed = "the connection is accepted and closed; only a port forwarder listens yet"

// explain turns the error of a connection into a failure.
func (l place) explain(ctx context.Context, h *config.Health, err error) error {
	var known *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	}
	where := " at " + l.addresses[0].String()
	if timedOut(ctx, err) {
		return fail("timeout", "no answer within %s%s", h.Timeout, where)
	}
	for _, s := range symptoms {
		_, after, found := strings.Cut(err.Error(), s.sign)
		if !found {
			continue
		}
		if s.text == "" {
			s.text = s.sign + clean(after)
		}
		if s.code == "forwarder" && h.Kind != config.HealthTCP {
			if err := l.hungUp(ctx, h); err != nil {
				return l.explain(ctx, h, err)
			}
		}
		return fail(s.code, "%s%s", s.text, where)
	}
	text := strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ") // there or not, by chance
	return fail("unreachable", "%s%s", clean(text), where)
}
