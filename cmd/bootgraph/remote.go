package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"bootgraph/agent"
	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/scheduler"
)

// remote is the agent that a command is to ask, if any.
type remote struct {
	address string
	files   agent.Files
}

func remoteFlags(cmd *cobra.Command) *remote {
	var r remote
	flags := cmd.Flags()
	flags.StringVar(&r.address, "agent", "", "ask the agent at this `address`: unix:PATH, HOST:PORT, or the name of its configuration")
	flags.StringVar(&r.files.Cert, "tls-cert", "", "with --agent HOST:PORT: the certificate `file` of this client")
	flags.StringVar(&r.files.Key, "tls-key", "", "its key `file`")
	flags.StringVar(&r.files.CA, "tls-ca", "", "the `file` of the authority that signed the agent's certificate")
	return &r
}

func (r *remote) used() bool { return r.address != "" || r.files != agent.Files{} }

// notAsked are flags about what the agent knows better, or that make no sense
// with it.
var notAsked = []string{"var", "var-file", "connection", "offline", "out", "otlp"}

// ask runs a command by an agent.
func (a *app) ask(cmd *cobra.Command, r *remote, args []string, do func(context.Context, *agent.Client) error) error {
	if r.address == "" {
		return errors.New("--tls-cert, --tls-key and --tls-ca go with --agent HOST:PORT")
	}
	if len(args) > 0 {
		return fmt.Errorf("cannot take %s and --agent together: the agent has a boot file of its own", args[0])
	}
	for _, flag := range notAsked {
		if cmd.Flags().Changed(flag) {
			return fmt.Errorf("cannot take --%s and --agent together", flag)
		}
	}
	client, err := agent.Dial(r.address, r.files)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := do(cmd.Context(), client); err != nil {
		return client.FailureOf(err, a.repeat)
	}
	return nil
}

// repeat says what an agent has said.
func (a *app) repeat(m *pb.Message) {
	if m.Level == "" {
		_, _ = io.WriteString(a.stderr, m.Text)
		return
	}
	a.say(m.Level, m.Text, m.Code)
}

// answer is what an agent answers instead of a command.
type answer interface {
	GetDocument() string
	GetMessages() []*pb.Message
}

// askFor asks an agent for a document, and writes and says what it answers.
func askFor[R answer](a *app, cmd *cobra.Command, r *remote, args []string, call func(context.Context, *agent.Client) (R, error)) (response R, err error) {
	err = a.ask(cmd, r, args, func(ctx context.Context, c *agent.Client) (err error) {
		response, err = call(ctx, c)
		return err
	})
	if err != nil {
		return response, err
	}
	for _, m := range response.GetMessages() {
		a.repeat(m)
	}
	_, err = io.WriteString(a.stdout, response.GetDocument())
	return response, err
}

func (a *app) remotePlan(cmd *cobra.Command, r *remote, args []string, request *pb.PlanRequest) (changed bool, err error) {
	response, err := askFor(a, cmd, r, args, func(ctx context.Context, c *agent.Client) (*pb.PlanResponse, error) { return c.Plan(ctx, request) })
	return response.GetChanged(), err
}

func (a *app) remoteStatus(cmd *cobra.Command, r *remote, args []string, request *pb.StatusRequest) error {
	response, err := askFor(a, cmd, r, args, func(ctx context.Context, c *agent.Client) (*pb.StatusResponse, error) { return c.Status(ctx, request) })
	if err == nil && !response.Ready {
		return errNotReady
	}
	return err
}

func (a *app) remoteWhy(cmd *cobra.Command, r *remote, args []string, format string) error {
	request := &pb.WhyRequest{Service: args[0], Format: formatOf(format)}
	response, err := askFor(a, cmd, r, args[1:], func(ctx context.Context, c *agent.Client) (*pb.WhyResponse, error) { return c.Why(ctx, request) })
	if err == nil && !response.Ready {
		return errNotReady
	}
	return err
}

func (a *app) remoteHistory(cmd *cobra.Command, r *remote, args []string, format string) error {
	request := &pb.HistoryRequest{Format: formatOf(format)}
	_, err := askFor(a, cmd, r, args, func(ctx context.Context, c *agent.Client) (*pb.HistoryResponse, error) {
		return c.History(ctx, request)
	})
	return err
}

func (a *app) remoteApply(cmd *cobra.Command, r *remote, args []string, how bootOptions, request *pb.ApplyRequest) error {
	if cmd.Flags().Changed("parallelism") { // else it is for the agent to say
		request.Parallelism = int32(how.parallelism)
	}
	request.LockTimeout = durationpb.New(*how.lockTimeout)
	progress := a.progress(how.progress)
	var last scheduler.Event
	err := a.ask(cmd, r, args, func(ctx context.Context, c *agent.Client) error {
		return c.Boot(ctx, request, a.repeat, func(e scheduler.Event) {
			last = e
			progress(e)
		})
	})
	switch {
	case err != nil:
		return err
	case last.Outcome == scheduler.EndReady:
		return nil
	case last.Outcome == scheduler.EndDegraded:
		return errNotReady
	}
	return errTold // by the progress
}

func (a *app) remoteDown(cmd *cobra.Command, r *remote, args []string, request *pb.DownRequest) error {
	return a.ask(cmd, r, args, func(ctx context.Context, c *agent.Client) error { return c.Stop(ctx, request, a.repeat) })
}

func selected(s scheduler.Selection) *pb.Selection {
	return &pb.Selection{Targets: s.Targets, Excludes: s.Excludes, Stages: s.Stages}
}

func selectionOf(s *pb.Selection) scheduler.Selection {
	return scheduler.Selection{Targets: s.GetTargets(), Excludes: s.GetExcludes(), Stages: s.GetStages()}
}

var formats = map[string]pb.Format{"json": pb.Format_FORMAT_JSON, "text": pb.Format_FORMAT_TEXT, "sh": pb.Format_FORMAT_SHELL}

func formatOf(name string) pb.Format { return formats[name] }

// formatName is json unless the request says otherwise.
func formatName(f pb.Format) string {
	for name, is := range formats {
		if is == f {
			return name
		}
	}
	return "json"
}
