package page

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"bootgraph/scheduler"
)

var (
	//go:embed page.html
	html []byte
	//go:embed page.css
	css []byte
	//go:embed page.js
	script []byte
	//go:embed icon.svg
	icon []byte
)

// policy lets a browser load what this handler gives, and nothing else from
// anywhere. Nothing is inline, and no text can be made into markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler is all that is served, on a port; "" is any.
func (p *Page) Handler(port string) http.Handler {
	mux := http.NewServeMux()
	asset := func(path, kind string, text []byte) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, kind, text) })
	}
	asset("/{$}", "text/html; charset=utf-8", html)
	asset("/page.css", "text/css; charset=utf-8", css)
	asset("/page.js", "text/javascript; charset=utf-8", script)
	asset("/icon.svg", "image/svg+xml", icon)
	mux.HandleFunc("GET /graph.svg", p.serveGraph(func(picture, _ []byte) []byte { return picture }, "image/svg+xml"))
	mux.HandleFunc("GET /graph.css", p.serveGraph(func(_, style []byte) []byte { return style }, "text/css; charset=utf-8"))
	mux.HandleFunc("GET /state", p.serveState)
	mux.HandleFunc("GET /why", p.serveWhy)
	mux.HandleFunc("GET /metrics", p.serveMetrics)
	return guard(port, mux)
}

// guard answers nobody but those on this machine who mean it. The listener is
// on the loopback; but a browser there also does what pages of the world ask
// it to, under a name of theirs that leads here (DNS rebinding).
func guard(port string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		switch {
		case !local(r.Host, port):
			http.Error(w, "this page is served to this machine alone: open it as localhost or 127.0.0.1, with its port", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this page changes nothing: GET and HEAD only", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// local reports whether a Host header names the loopback and the port.
func local(host, port string) bool {
	name, named := strings.Trim(host, "[]"), "80"
	if h, p, err := net.SplitHostPort(host); err == nil {
		name, named = h, p
	}
	if port != "" && named != port {
		return false
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback() || strings.EqualFold(name, "localhost")
}

func answer(w http.ResponseWriter, kind string, text []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // who has gone has gone
}

func (p *Page) serveState(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseUint(r.FormValue("after"), 10, 64) // none: from the beginning
	text, err := json.Marshal(p.document(r.FormValue("page"), after))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, "application/json", text)
}

// serveGraph gives a part of the picture. It has a style in it, which the
// policy would not let pass; as a file of its own it is one of ours.
func (p *Page) serveGraph(part func(picture, style []byte) []byte, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		drawn := p.drawn
		p.mu.Unlock()
		text, err := drawn()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		begin, rest, _ := bytes.Cut(text, []byte("<style>"))
		style, end, _ := bytes.Cut(rest, []byte("</style>"))
		answer(w, kind, part(slices.Concat(begin, end), style))
	}
}

func (p *Page) serveWhy(w http.ResponseWriter, r *http.Request) {
	now := p.standing()
	t, err := now.Plan.Find(r.FormValue("service"))
	var text []byte
	if err == nil {
		text, err = p.sources.Why(t, now)
	}
	var unknown *scheduler.Unknown
	switch {
	case errors.As(err, &unknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		answer(w, "application/json", text)
	}
}

func (p *Page) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	_ = p.writeMetrics(&b) // a Buffer doesn't fail
	answer(w, "text/plain; version=0.0.4; charset=utf-8", b.Bytes())
}
