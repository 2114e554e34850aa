// Package podman is the world as Podman keeps it: a thin client of its REST
// API (libpod, from 4.0 on), the pure decision what to do about a container
// (Decide), and Host, which carries that out and watches over it.
//
// The API is spoken directly, never through the podman command: a client that
// dies in the middle of a request does no harm, a killed command does
// (FAULTS, finding 2). Podman's own bindings were left for their retries of
// requests that change things, their slow cancelling, and 60 to 100 modules.
//
// It knows nothing of stages, of the order of a boot, and of health checks.
package podman

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Bounds of calls. A service that hangs still accepts connections, so each
// call has one. They are far above what a busy host needs.
const (
	readLimit   = 10 * time.Second
	createLimit = 30 * time.Second
	startLimit  = 60 * time.Second // the network setup of parallel starts queues up in Podman
	stopExtra   = 10 * time.Second // on top of the container's own stop timeout
	pullLimit   = 30 * time.Minute
	checkLimit  = 2 * time.Minute // a HEALTHCHECK; Podman doesn't enforce its timeout while it runs
)

const (
	answerLimit = 64 << 20 // bytes of one JSON answer: a list of 1,000 containers is about 2 MiB
	callsMost   = 8        // short calls under way; more only queue up in Podman
	apiPath     = "/v4.0.0/libpod"
)

// Client speaks to one Podman service. It is safe for concurrent use.
type Client struct {
	http     *http.Client
	calls    chan struct{} // a slot for each short call under way
	uri      string
	version  string
	rootless bool
	local    bool
	pidFiles atomic.Pointer[pidFiles]
	service  *service // a private one, ended by Close; nil: somebody else's
}

// Version is the version of the Podman service, such as 4.3.1.
func (c *Client) Version() string { return c.version }

// Rootless reports whether Podman runs as an ordinary user.
func (c *Client) Rootless() bool { return c.rootless }

// Local reports whether Podman runs on this host and in this PID namespace:
// only then are its process IDs, addresses and paths ours too.
func (c *Client) Local() bool { return c.local }

// URI is where Podman answers.
func (c *Client) URI() string { return c.uri }

// Close ends the connections, and the private service if there is one.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	if c.service != nil {
		return c.service.stop()
	}
	return nil
}

// call is one request to the API.
type call struct {
	what   string        // for people, after "cannot": "start mcns"
	method string        // default GET
	path   string        // below the API's root, its elements escaped
	query  url.Values    // nil: none
	body   any           // sent as JSON, or as it is if it is bytes; nil: none
	limit  time.Duration // of the whole call; 0: only that of its context
}

// do makes a short call and decodes its answer into the value pointed to, if
// that is not nil. An answer of 304 ("it is so already") is no error.
func (c *Client) do(ctx context.Context, q call, into any) error {
	select {
	case c.calls <- struct{}{}:
		defer func() { <-c.calls }()
	case <-ctx.Done():
		return fmt.Errorf("cannot %s: %w", q.what, ctx.Err())
	}
	answer, err := c.open(ctx, q)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		io.Copy(io.Discard, io.LimitReader(answer, 1<<20)) // so that the connection can be used again
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(answer, answerLimit+1))
	switch {
	case err != nil:
		return err
	case len(text) > answerLimit:
		return failed("podman_error", "cannot %s: the answer of podman is larger than %d MiB", q.what, answerLimit>>20)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return failed("podman_error", "cannot %s: podman's answer is not what the API promises: %v", q.what, err)
	}
	return nil
}

// open makes a call and returns the body of its answer, for streams. These
// take no slot: they are idle, and may last as long as a container.
//
// Nothing is sent twice: net/http repeats only a GET, or what was never
// written to a connection found closed.
func (c *Client) open(ctx context.Context, q call) (io.ReadCloser, error) {
	parent, end := ctx, context.CancelFunc(func() {})
	if q.limit > 0 {
		ctx, end = context.WithTimeoutCause(ctx, q.limit, errLimit)
	} else {
		ctx, end = context.WithCancel(ctx)
	}
	explain := func(err error) error { return c.explain(parent, ctx, q, err) }
	body, err := c.send(ctx, q)
	if err != nil {
		err = explain(err)
		end()
		return nil, err
	}
	return &stream{body, end, explain}, nil
}

var errLimit = errors.New("the time limit of the call")

func (c *Client) send(ctx context.Context, q call) (io.ReadCloser, error) {
	var body io.Reader
	kind := "application/json"
	switch given := q.body.(type) {
	case nil:
	case []byte:
		// With the type of a form Podman would look for one in it.
		body, kind = bytes.NewReader(given), "application/octet-stream"
	default:
		text, err := json.Marshal(given)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	address := "http://podman" + apiPath + q.path
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.method, address, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	return nil, refusal(q.what, resp.StatusCode, text)
}

// stream is the body of an answer whose errors say what they mean.
type stream struct {
	io.ReadCloser
	end     context.CancelFunc
	explain func(error) error
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = s.explain(err)
	}
	return n, err
}

func (s *stream) Close() error {
	s.end() // first: Close would otherwise wait for the rest of a chunked body
	return s.ReadCloser.Close()
}
