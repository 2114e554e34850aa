package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/scheduler"
)

// Client is a connection to an agent.
type Client struct {
	pb.BootGraphClient
	conn    *grpc.ClientConn
	address string
	tls     bool
}

// Dial makes a client for the agent at an address: unix:PATH, HOST:PORT with
// files, or the name of a configuration, whose agent listens at SocketPath.
// Nothing is contacted yet.
func Dial(address string, files Files) (*Client, error) {
	target, creds, err := resolve(address, files)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(responseMost)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("cannot reach the agent at %s: %w", address, err)
	}
	return &Client{pb.NewBootGraphClient(conn), conn, address, files != Files{}}, nil
}

func resolve(address string, files Files) (target string, creds credentials.TransportCredentials, err error) {
	path, isUnix := unixPath(address)
	if !isUnix && !strings.ContainsAny(address, ":/") {
		path, err = SocketPath(address)
		isUnix = true
	}
	switch {
	case err != nil:
		return "", nil, err
	case isUnix && files != Files{}:
		return "", nil, errors.New("a unix socket takes no TLS: leave --tls-cert, --tls-key and --tls-ca out")
	case isUnix:
		return "unix:" + path, peerCredentials{}, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", nil, fmt.Errorf("%q is no address of an agent: it is unix:PATH, HOST:PORT or the name of a configuration", address)
	}
	if creds, err = files.client(); err != nil {
		return "", nil, fmt.Errorf("cannot reach the agent at %s: %w", address, err)
	}
	return "passthrough:///" + address, creds, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Boot has the agent boot. It returns when that has ended; that not all came
// up is no error.
func (c *Client) Boot(ctx context.Context, r *pb.ApplyRequest, say Say, sink func(scheduler.Event)) error {
	stream, err := c.BootGraphClient.Apply(ctx, r)
	return drain(stream, err, func(r *pb.ApplyResponse) {
		switch of := r.Of.(type) {
		case *pb.ApplyResponse_Message:
			say(of.Message)
		case *pb.ApplyResponse_Event:
			sink(decode(of.Event))
		}
	})
}

// Stop has the agent stop what it has booted.
func (c *Client) Stop(ctx context.Context, r *pb.DownRequest, say Say) error {
	stream, err := c.BootGraphClient.Down(ctx, r)
	return drain(stream, err, func(r *pb.DownResponse) { say(r.Message) })
}

func drain[R any](stream grpc.ServerStreamingClient[R], err error, take func(*R)) error {
	for err == nil {
		var r *R
		if r, err = stream.Recv(); err == nil {
			take(r)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// FailureOf reads what an agent, or the way to it, answered instead; say gets
// the messages that go with it.
func (c *Client) FailureOf(err error, say Say) *Failure {
	s := status.Convert(err)
	for _, detail := range s.Details() {
		if f, ok := detail.(*pb.Failure); ok {
			for _, m := range f.Messages {
				say(m)
			}
			return &Failure{Status: s.Code(), Exit: int(f.ExitCode), Code: f.Code, Text: f.Text}
		}
	}
	f := &Failure{Status: s.Code(), Exit: 1, Code: "agent", Text: fmt.Sprintf("the agent at %s: %s", c.address, s.Message())}
	if s.Code() == codes.Unavailable {
		hint := "it can't be connected to before its boot is through, which bootgraph status shows without --agent"
		if c.tls { // a server of TLS 1.3 refuses without a word, after the handshake
			hint = "its boot is not through, or it refuses the certificate of this client"
		}
		f.Code, f.Text = "agent_unreachable", fmt.Sprintf("cannot reach the agent at %s: %s; %s", c.address, s.Message(), hint)
	}
	return f
}
