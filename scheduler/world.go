package scheduler

import (
	"context"
	"net/netip"
	"time"

	"bootgraph/config"
)

// What the scheduler asks of the world. The world is a few small interfaces,
// so that a test can stand in for it in virtual time, and so that nothing in
// this package has to know what a container is made of.

// Runtime makes tasks run.
type Runtime interface {
	// Prepare does what a start needs and what must not eat the task's
	// time nor hold a start slot: it pulls images. It may be called again
	// after an error.
	Prepare(ctx context.Context, t *Task) error

	// Start makes the containers of a task run and returns where they are
	// to be found. What already runs as described is left alone. It is
	// whole or not at all: when ctx ends in the middle, Start finishes what
	// it has begun, within a bound of its own.
	Start(ctx context.Context, t *Task) ([]Instance, error)
}

// Preparer does what can be done of a start before the turn of its task comes.
type Preparer interface {
	// Ahead prepares a task that has not been started, and reports whether
	// its start will be quick now. Nothing of the task runs by it. What goes
	// wrong is not told: Start, in its turn, meets it again.
	Ahead(ctx context.Context, t *Task) bool

	// PutBack undoes Ahead for a task that was not started after all.
	PutBack(ctx context.Context, t *Task)
}

// Prober proves readiness.
type Prober interface {
	// Await probes until the task is proven ready, its containers have
	// exited, the deadline has passed, or ctx ends. The last probe is made
	// at the deadline, not one interval before it. A deadline that has
	// passed already still gets one probe. note is told, whenever it
	// changes, why the task is not ready yet; it returns at once and may be
	// called from any goroutine, but not after Await has returned.
	Await(ctx context.Context, t *Task, at []Instance, deadline time.Time, note func(Cause)) Outcome
}

// Sentry tells of tasks that were ready and are not any more.
type Sentry interface {
	// Guard waits until one of the instances no longer runs, and says why;
	// the zero Cause if ctx ended first.
	Guard(ctx context.Context, t *Task, at []Instance) Cause

	// Fallen looks once at the tasks that were found ready and returns
	// those whose instances no longer run, with the cause, by task ID. An
	// error means that it could not look, which proves nothing.
	Fallen(ctx context.Context, ready []Ready) (map[int]Cause, error)
}

// Keeper tells Supervise what becomes of containers after the boot, and by
// whose will.
type Keeper interface {
	// Watch calls changed whenever something may have become of a container
	// of a task, and for each task once it can tell, until ctx ends. That is
	// a hint: what has become of it is to be looked at.
	Watch(ctx context.Context, tasks []*Task, changed func(*Task))

	// Look tells what has become of the instances of a task: the zero
	// Outcome if all run; Halted if somebody has stopped or paused one and so
	// wants it; else Exited. In the first second after a fall it may not be
	// known whose will it was; then it is Exited. An error means that it
	// could not look, which proves nothing.
	Look(ctx context.Context, t *Task, at []Instance) (Outcome, error)

	// Instances tells as what a task runs now; if it doesn't, the cause says
	// why.
	Instances(ctx context.Context, t *Task) ([]Instance, Cause, error)

	// Halt stops the containers of a task, for Start to start them again.
	// What doesn't run is no error. It is whole or not at all, as Start is.
	Halt(ctx context.Context, t *Task) error
}

// Watcher goes on probing what is ready.
type Watcher interface {
	// Watch probes a task that is ready, at a calm pace, until its health
	// checks fail several times in a row, and says why; the zero Cause if
	// ctx ended first.
	Watch(ctx context.Context, t *Task, at []Instance) Cause
}

// Ready is a task with the instances it was proven ready with.
type Ready struct {
	Task *Task
	At   []Instance
}

// Instance is one container of a task as it was found running: which one it
// is, and where its ports are. A health result counts only for the instance
// it was taken from: the same ID, the same process.
type Instance struct {
	Container   string        // name
	Component   string        // "" where the service has no components
	ID          string        // full ID
	StartedAt   time.Time     // or when its start was asked for, which is known sooner
	PID         int           // of its first process on this host; 0 if it can't be known (remote) or it has exited
	Job         bool          // runs to its end; may have exited already
	HostNetwork bool          // its ports are the host's
	Ports       []config.Port // published, as the runtime reports them, HostPort filled in
	Addresses   []netip.Addr  // its own, on its networks
	Reachable   bool          // Addresses can be dialled from this host (rootful, local)
}

// Same tells whether two instances are the same run of the same container: by
// its process where that is known, since StartedAt may be when it was asked for.
func (i Instance) Same(j Instance) bool {
	if i.PID != 0 && j.PID != 0 {
		return i.ID == j.ID && i.PID == j.PID
	}
	return i.ID == j.ID && i.StartedAt.Equal(j.StartedAt)
}

// Cause says why. The zero Cause means that there is nothing to explain.
type Cause struct {
	Code string `json:"code,omitempty"` // stable short name, for programs: port_busy
	Text string `json:"text,omitempty"` // for people: "port 127.0.0.1:53 is in use by container old-dns"
	Root string `json:"root,omitempty"` // the task where it began, if that is another one
}

// IsZero reports whether there is nothing to explain.
func (c Cause) IsZero() bool   { return c == Cause{} }
func (c Cause) String() string { return c.Text }

// Coded is an error that carries the stable short name of its class. Errors
// of a Runtime should be Coded; others get the code "error".
type Coded interface {
	error
	Code() string
}
