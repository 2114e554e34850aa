// Package page shows a boot to a browser, live, and to Prometheus: a handler
// of HTTP that tells where a plan stands, and can do nothing else.
//
// It is a fold over the events of boots and of what is done after them. It
// knows nothing of gRPC, of Podman and of how outputs are written: the picture
// of the graph and the chain of a why are made by whoever has them made for
// the commands.
package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"bootgraph/scheduler"
)

// Sources are the documents that others make.
type Sources struct {
	Picture func(*scheduler.Plan) ([]byte, error) // of the graph, as SVG
	Why     func(*scheduler.Task, Standing) ([]byte, error)
}

// Standing is where everything of a plan stands.
type Standing struct {
	Plan    *scheduler.Plan
	Booting bool
	Stands  []Stand // by task
}

// Page is what is known of a configuration. Its methods may be called from any
// goroutine; none waits for a reader.
type Page struct {
	sources Sources
	id      string // of this page: numbers are compared with those of another for nothing

	mu    sync.Mutex
	board board
	drawn func() ([]byte, error) // the picture of board.plan, made when it is asked for
}

// New makes a page of a plan that has not been booted yet.
func New(plan *scheduler.Plan, sources Sources) *Page {
	p := &Page{sources: sources, id: fmt.Sprintf("%x-%x", time.Now().UnixNano(), os.Getpid()), board: newBoard()}
	p.Expect(plan)
	return p
}

// Expect makes the services of the plan those that the page is about. What is
// known of them stays.
func (p *Page) Expect(plan *scheduler.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.board.expect(plan)
	p.drawn = sync.OnceValues(func() ([]byte, error) { return p.sources.Picture(plan) })
}

// Add takes the next event.
func (p *Page) Add(e scheduler.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.board.add(e)
}

// Probed takes how long a probe has taken.
func (p *Page) Probed(t *scheduler.Task, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.board.byName[t.Name]; s != nil {
		s.probes.count++
		s.probes.took += took
	}
}

// Say sets the sentence about the whole.
func (p *Page) Say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.board.said = text
}

// most is how many connections there are at a time: a browser has six.
const most = 64

// Serve answers until ctx ends. Of a listener on TCP only those are answered
// who name its port, see guard.
func (p *Page) Serve(ctx context.Context, listener net.Listener) error {
	port := ""
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		port = fmt.Sprint(tcp.Port)
	}
	server := &http.Server{Handler: p.Handler(port), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { server.Close() }) // every answer is short, and is asked for again
	defer stop()
	if err := server.Serve(netutil.LimitListener(listener, most)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the page is not served any more: %w", err)
	}
	return nil
}
