package health

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"bootgraph/config"
	"bootgraph/scheduler"
)

const (
	mostBody      = 64 << 10 // bytes of a body that are matched
	mostHeader    = 64 << 10 // bytes of header that are read
	mostRedirects = 5
)

// httpProbe passes when the status is one of h.Status and the body matches.
// Each probe has a connection of its own, made and closed: it takes
// milliseconds, and nothing is left to go stale between two probes.
func httpProbe(h *config.Health, at []scheduler.Instance, n *network) probe {
	body := regexp.MustCompile(h.Body) // config has tried it
	return func(ctx context.Context, last bool) error {
		l, err := n.locate(h, at, last)
		if err != nil {
			return err
		}
		if err := l.dialable(); err != nil {
			return err
		}
		request, err := l.request(ctx, h)
		if err != nil {
			return err
		}
		client, err := l.httpClient(h)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return l.explain(ctx, h, errors.Unwrap(err)) // without method and URL
		}
		defer response.Body.Close()
		var content []byte
		if h.Body != "" || response.StatusCode == http.StatusBadRequest { // else the header is the whole answer
			if content, err = io.ReadAll(io.LimitReader(response.Body, mostBody)); err != nil {
				return l.explain(ctx, h, err)
			}
		}
		return judgeResponse(h, response, body, string(content))
	}
}

// judgeResponse decides by the status and the beginning of the body.
func judgeResponse(h *config.Health, response *http.Response, body *regexp.Regexp, content string) error {
	status := response.StatusCode
	if !slices.ContainsFunc(h.Status, func(r config.StatusRange) bool { return r.From <= status && status <= r.To }) {
		location := response.Header.Get("Location")
		switch {
		case status >= 300 && status < 400 && location != "":
			return fail("redirect", "status %d, a redirect to %s, which is elsewhere and not followed", status, clean(location))
		// What Go's server, nginx and Apache say to plain text.
		case h.TLS == nil && status == http.StatusBadRequest && strings.Contains(content, "HTTPS"):
			return fail("tls_mismatch", "the server speaks TLS; add tls {}")
		}
		return fail("http_status", "status %d", status)
	}
	if !body.MatchString(content) {
		return fail("http_body", "status %d, but the body does not match %q%s", status, clean(h.Body), firstLine(content))
	}
	return nil
}

func (l place) request(ctx context.Context, h *config.Health) (*http.Request, error) {
	scheme := "http://"
	if h.TLS != nil {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, h.Method, scheme+l.addresses[0].String()+h.Path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "bootgraph")
	for name, value := range h.Headers {
		if strings.EqualFold(name, "Host") { // net/http has it apart
			request.Host = value
			continue
		}
		request.Header.Set(name, value)
	}
	return request, nil
}

// httpClient makes a client that can reach nothing but this place, whatever a
// redirect or a proxy variable says.
func (l place) httpClient(h *config.Health) (*http.Client, error) {
	tls, err := tlsConfig(h.TLS)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) },
			TLSClientConfig:        tls,
			ForceAttemptHTTP2:      true,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: mostHeader,
		},
		CheckRedirect: sameHost,
	}, nil
}

// sameHost follows a redirect that stays with the host, by the address that
// was dialled or by the name in the Host header. Any other is the answer.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0]
	if next.URL.Host != first.URL.Host && next.URL.Host != first.Host || next.URL.Scheme != first.URL.Scheme {
		return http.ErrUseLastResponse
	}
	if len(via) > mostRedirects {
		return fail("redirect", "more than %d redirects", mostRedirects)
	}
	return nil
}
