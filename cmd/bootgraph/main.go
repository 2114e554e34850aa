// Command bootgraph boots the containers of a host in the right order, as fast
// as the dependencies allow, and says why when it can't.
//
// This package is the wiring: it reads flags, connects the packages to each
// other, and maps how things came out to exit codes. It decides nothing about
// a boot.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"bootgraph/agent"
	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/journal"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// Exit codes, the same for every command.
const (
	exitDone     = 0 // done; after apply: everything is ready
	exitCannot   = 1 // it could not; nothing was begun if the file or the flags were bad
	exitChanges  = 2 // plan --detailed-exitcode: there are changes to make
	exitNotReady = 3 // through, but something is not ready
	exitLocked   = 4 // another apply or down of the same configuration is at work
)

// version is set by the linker in a release: -X main.version=1.2.3.
var version = ""

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program but for the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	// net/http writes to it what a server says unasked; a check has told it
	// as its cause, without the server's escape codes.
	log.SetOutput(io.Discard)
	ctx, stop := withSignals(context.Background())
	defer stop()
	a := &app{stdout: stdout, stderr: stderr}
	root := a.command()
	root.SetArgs(longFlags(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.exitCode(ctx, root.ExecuteContext(ctx))
}

// withSignals ends the context at the first SIGINT, SIGTERM or SIGHUP, with
// the Interrupt as its cause, and the process at the second. A reader of the
// output that goes away is no reason to leave a host half booted, so SIGPIPE
// is ignored and the write fails instead.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		interrupt := interruptOf(<-signals)
		cancel(interrupt)
		<-signals
		os.Exit(interrupt.Exit)
	}()
	return ctx, func() { cancel(nil) }
}

func interruptOf(s os.Signal) scheduler.Interrupt {
	switch s {
	case syscall.SIGINT:
		return scheduler.Interrupt{Signal: "SIGINT", Exit: 130}
	case syscall.SIGHUP:
		return scheduler.Interrupt{Signal: "SIGHUP", Exit: 129}
	}
	return scheduler.Interrupt{Signal: "SIGTERM", Exit: 143}
}

// app is what all commands share.
type app struct {
	stdout, stderr io.Writer
	dir            string // -C
	connection     string
	vars, varFiles []string // --var, --var-file
	logFormat      string
	noColor        bool
	relay          agent.Say // is told what say would write; nil: write it
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "bootgraph",
		Short: "Boot the containers of a host in the right order",
		Long: `bootgraph boots the containers of a host in the right order, as fast as the
dependencies allow, and says why when it can't. What to boot stands in a boot
file: boot.hcl (or boot.hcl.json) in the current directory, or the one named.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.logFormat != "text" && a.logFormat != "json" {
				return fmt.Errorf("--log-format is text or json, not %q", a.logFormat)
			}
			if a.dir != "" {
				return os.Chdir(a.dir)
			}
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.dir, "directory", "C", "", "run as if started in this directory")
	flags.StringVar(&a.connection, "connection", "", "Podman's `URI`: unix://, ssh:// or tcp:// (default: the boot file's, $CONTAINER_HOST, this user's socket)")
	flags.StringArrayVar(&a.vars, "var", nil, "a value for a variable: `NAME=VALUE` (repeatable)")
	flags.StringArrayVar(&a.varFiles, "var-file", nil, "a `file` of values for variables, a line of NAME = VALUE each (repeatable)")
	flags.StringVar(&a.logFormat, "log-format", "text", "how messages are written: text or json")
	flags.BoolVar(&a.noColor, "no-color", false, "no colour (also: $NO_COLOR)")
	root.AddCommand(a.validateCommand(), a.fmtCommand(), a.schemaCommand(), a.planCommand(), a.graphCommand(), a.simulateCommand(),
		a.applyCommand(), a.recoverCommand(), a.registryCommand(), a.statusCommand(), a.whyCommand(), a.analyzeCommand(), a.historyCommand(),
		a.downCommand(), a.logsCommand(), a.agentCommand(), a.enableCommand(), a.disableCommand(), a.versionCommand())
	return root
}

// errNotReady ends a command that went through, with something not ready that
// its output has told already; errChanges, that there are changes to make;
// errTold, a failure that has been told in full.
var (
	errNotReady = errors.New("not everything is ready")
	errChanges  = errors.New("there are changes to make")
	errTold     = errors.New("told already")
)

func (a *app) exitCode(ctx context.Context, err error) int {
	f := failure(ctx, err)
	if f.Text != "" {
		a.say("error", f.Text, f.Code)
	}
	return f.Exit
}

// failure is what a command ends with, or a call of an agent.
func failure(ctx context.Context, err error) *agent.Failure {
	var interrupt scheduler.Interrupt
	var held *journal.Held
	var unknown *scheduler.Unknown
	var answered *agent.Failure
	cause := scheduler.Cause{}
	if err != nil {
		cause = scheduler.CauseOf(err)
	}
	switch {
	case err == nil:
		return &agent.Failure{Status: codes.OK, Exit: exitDone}
	case errors.Is(err, errNotReady):
		return &agent.Failure{Status: codes.OK, Exit: exitNotReady}
	case errors.Is(err, errChanges):
		return &agent.Failure{Status: codes.OK, Exit: exitChanges}
	case errors.As(context.Cause(ctx), &interrupt):
		return &agent.Failure{Status: codes.Canceled, Exit: interrupt.Exit, Code: "interrupted", Text: interrupt.Error()}
	case errors.As(err, &answered):
		return answered
	case errors.Is(err, errTold), errors.Is(err, syscall.EPIPE): // who read the output has gone: head, less
		return &agent.Failure{Status: codes.FailedPrecondition, Exit: exitCannot}
	case errors.As(err, &held):
		return &agent.Failure{Status: codes.Aborted, Exit: exitLocked, Code: "locked", Text: cause.Text}
	case errors.As(err, &unknown):
		return &agent.Failure{Status: codes.InvalidArgument, Exit: exitCannot, Code: cause.Code, Text: cause.Text}
	}
	return &agent.Failure{Status: codes.FailedPrecondition, Exit: exitCannot, Code: cause.Code, Text: cause.Text}
}

// say tells a person something on standard error.
func (a *app) say(level, text, code string) {
	if a.relay != nil {
		a.relay(&pb.Message{Level: level, Text: text, Code: code})
		return
	}
	if a.logFormat == "json" {
		line, _ := json.Marshal(map[string]string{"level": level, "message": text, "code": code})
		fmt.Fprintln(a.stderr, string(line))
		return
	}
	fmt.Fprintf(a.stderr, "bootgraph: %s: %s\n", level, report.Lines(text, "  "))
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, "bootgraph", versionText())
			return err
		}}
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
