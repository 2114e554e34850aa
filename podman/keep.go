package podman

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Keeper is a Host for the time after the boot: what falls is put back as it
// is, and what somebody wants to be otherwise is left so. It is a
// scheduler.Runtime and a scheduler.Keeper. It is safe for concurrent use.
type Keeper struct {
	*Host
	since  time.Time
	others func() (Work, bool)

	mu    sync.Mutex
	lives map[string]*life // by ID
}

// Work is what another bootgraph has done, or is doing, to the containers.
type Work struct {
	Command string // apply, down
	Since   time.Time
	Until   time.Time // zero: it is at work
}

// during tells whether it was at work at some time of a span.
func (w Work) during(from, to time.Time) bool {
	return !to.Before(w.Since) && (w.Until.IsZero() || !from.After(w.Until))
}

// NewKeeper makes a Keeper of a file's containers, which were booted since a
// time: what has become of them since then is of interest. others tells who
// besides was at work on them last, if anybody was.
func NewKeeper(client *Client, file *config.File, since time.Time, others func() (Work, bool)) *Keeper {
	k := &Keeper{Host: NewHost(client, file, nil), since: since, others: others, lives: map[string]*life{}}
	k.keeping = true
	return k
}

// Look tells what has become of the instances of a task; see scheduler.Keeper.
func (k *Keeper) Look(ctx context.Context, t *scheduler.Task, at []scheduler.Instance) (scheduler.Outcome, error) {
	var fallen scheduler.Outcome
	for _, was := range at {
		f, err := k.inspect(ctx, was.ID, was.Container)
		if err != nil && !is(err, "not_found") {
			return scheduler.Outcome{}, err
		}
		why := fate(was, f)
		switch {
		case why.IsZero() || t.Policy.Job && why.Code == "exited":
			if f == nil || !k.processLost(f) {
				continue
			}
			why = lostCause(was)
		case why.Code == "paused" || why.Code == "renamed": // it may run all the same, and have a volume that two must not have
			return scheduler.Outcome{Result: scheduler.Halted, Cause: why}, nil
		}
		if by := k.wanted(t, was, why); !by.IsZero() {
			return scheduler.Outcome{Result: scheduler.Halted, Cause: by}, nil
		}
		if fallen == (scheduler.Outcome{}) {
			fallen = scheduler.Outcome{Result: scheduler.Exited, Cause: k.withLog(ctx, was, why)}
		}
	}
	return fallen, nil
}

// wanted says who wants a container not to run; the zero Cause if nobody is
// known to.
func (k *Keeper) wanted(t *scheduler.Task, was scheduler.Instance, why scheduler.Cause) scheduler.Cause {
	if why.Code == "restarted" {
		return scheduler.Cause{} // it runs
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	l := k.lives[was.ID]
	if l != nil && l.byHand(now) && (!k.Local() || !l.died.Before(was.StartedAt)) {
		return scheduler.Cause{Code: "stopped", Text: "container " + was.Container + " was stopped by hand; podman start " + was.Container}
	}
	gone := why.Code == "gone"
	from, to := now.Add(-2*settles), now // what isn't known yet is not older
	switch {
	case l != nil && gone && !l.removed.IsZero():
		from, to = l.removed, l.removed
	case l != nil && !gone && !l.died.IsZero():
		from, to = l.died, l.died
	}
	other, ok := k.others()
	// Of what it doesn't remove a down has wanted the end; what is gone after
	// an apply is in the way, or not in its boot file.
	theirs := gone || strings.HasPrefix(other.Command, "down") && slices.Contains(t.Service.Existing, was.Container)
	if ok && theirs && other.during(from, to) {
		return scheduler.Cause{Code: "stopped", Text: "container " + was.Container + " was stopped by bootgraph " + other.Command}
	}
	return scheduler.Cause{}
}

// Halt stops the containers of a task, the last one first; see
// scheduler.Keeper. That they end is then nobody else's will.
func (k *Keeper) Halt(ctx context.Context, t *scheduler.Task) error {
	for _, name := range names(t) {
		f, err := k.container(ctx, name)
		if err != nil {
			return err
		}
		if f != nil && f.Running() {
			k.mu.Lock()
			k.life(f.ID).halted = time.Now()
			k.mu.Unlock()
		}
	}
	_, err := k.Host.Halt(ctx, t)
	return err
}

// names are those of the containers of a task.
func names(t *scheduler.Task) []string {
	list := slices.Clone(t.Service.Existing)
	for _, w := range t.Service.Containers {
		list = append(list, w.Name)
	}
	return list
}

// life is what is known of a container. The caller holds mu.
func (k *Keeper) life(id string) *life {
	l := k.lives[id]
	if l == nil {
		l = &life{}
		k.lives[id] = l
	}
	return l
}

// life is what Podman's events have told of a container since its last start.
type life struct {
	killed   time.Time // podman kill, with whatever signal
	stopped  bool      // podman stop, or rm --force; told only now and then
	died     time.Time
	heard    time.Time // when we heard of that
	cleanups int       // since it died
	removed  time.Time
	halted   time.Time // by ourselves
}

const (
	// settles is how long after a fall it may take until its events are all
	// there. Podman's own log of them is looked at every 250 ms.
	settles = time.Second

	// killTakes is how long after a signal an end is the doing of who sent it:
	// as long as podman stop gives by default.
	killTakes = 10 * time.Second
)

// add takes the next event.
func (l *life) add(e event, now time.Time) {
	switch at := time.Unix(0, e.TimeNano); e.Action {
	case "start":
		halted := l.halted
		if *l = (life{}); at.Before(halted) {
			l.halted = halted // events are late
		}
	case "kill":
		l.killed = at
	case "stop":
		l.stopped = true
	case "died":
		l.died, l.heard, l.cleanups = at, now, 0
	case "cleanup":
		l.cleanups++
	case "remove":
		l.removed = at
	}
}

// byHand tells whether somebody has stopped the container through Podman.
// Neither inspect nor an event says so (4.3.1), but after the end of each
// container conmon has it cleaned up, and podman stop does so once more, which
// a crash doesn't: 24 of 24 stops, 0 of 32 crashes. podman stop of what has
// crashed already shows in the same way. podman rm --force doesn't clean up
// twice; who removes a container by it gets a new one.
func (l *life) byHand(now time.Time) bool {
	switch {
	case !l.halted.IsZero() || l.died.IsZero():
		return false
	case l.cleanups > 1:
		return true
	case !l.killed.IsZero() && l.died.Sub(l.killed) < killTakes:
		return true
	}
	return l.stopped && l.removed.IsZero() && now.Sub(l.heard) >= settles
}

// event is one of Podman's, as its API writes it.
type event struct {
	Action string
	Actor  struct {
		ID         string
		Attributes struct{ Name string }
	}
	TimeNano int64 `json:"timeNano"`
}

// watched are the events that Watch asks for. Those of exec sessions, which
// health checks make many of, are not among them.
const watched = `{"type":["container"],"event":["start","kill","stop","died","cleanup","remove","pause","unpause"]}`

func eventsSince(t time.Time) url.Values {
	return url.Values{"stream": {"true"}, "filters": {watched}, "since": {t.UTC().Format(time.RFC3339Nano)}}
}
