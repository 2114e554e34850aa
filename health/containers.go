package health

import (
	"context"
	"io"
	"time"

	"bootgraph/scheduler"
)

// Containers is what the probes ask of the runtime. Package podman has it;
// nothing here knows that.
type Containers interface {
	// Look tells whether the very same instance (ID and start) still runs:
	// the zero Cause if so, else what became of it, with one of the codes
	// exited, paused, gone (removed), renamed, restarted, not_running. An error
	// means that it could not look, which proves nothing.
	Look(ctx context.Context, was scheduler.Instance) (scheduler.Cause, error)

	// Wait returns once the instance does not run any more, with its exit
	// code and a Cause as Look's, the last lines of its log in the text. A
	// job that has exited already returns at once. It reconnects by itself
	// when the runtime goes away meanwhile, and returns an error only when
	// ctx ends.
	Wait(ctx context.Context, was scheduler.Instance) (code int, why scheduler.Cause, err error)

	// Exec runs a command inside the container and returns its exit code
	// and the beginning of what it printed (stdout and stderr, at most 4 KiB).
	Exec(ctx context.Context, was scheduler.Instance, command []string) (code int, output string, err error)

	// Healthcheck runs the container's own HEALTHCHECK once, now. ok tells
	// whether it passed; output is what it printed, at most 4 KiB. A
	// container without a HEALTHCHECK is an error with code no_healthcheck.
	Healthcheck(ctx context.Context, was scheduler.Instance) (ok bool, output string, err error)

	// Logs follows what the instance printed since the given time, stdout
	// and stderr as plain lines, until ctx ends, the reader is closed, or
	// the container exits.
	Logs(ctx context.Context, was scheduler.Instance, since time.Time) (io.ReadCloser, error)
}
