package podman

import (
	"context"
	"encoding/json"
	"time"

	"bootgraph/scheduler"
)

const (
	// watchLimit is when a stream of events is opened anew: one whose other
	// end has gone without a word is silent for ever.
	watchLimit = 10 * time.Minute

	// repeated is how far before the begin of a stream the next one begins: how
	// long a stream has been silent for being dead can't be known, and events
	// of processes that end side by side may be written in another order than
	// that of their times.
	repeated = 5 * time.Second
)

// Watch follows Podman's events; see scheduler.Keeper. When the stream breaks,
// since Podman's service was restarted, it is opened again from before its begin,
// and all tasks are to be looked at.
func (k *Keeper) Watch(ctx context.Context, tasks []*scheduler.Task, changed func(*scheduler.Task)) {
	byName := map[string]*scheduler.Task{}
	for _, t := range tasks {
		for _, name := range names(t) {
			byName[name] = t
		}
	}
	seen := map[event]time.Time{} // those that the next stream may repeat
	since := k.since
	all := true
	for delay := time.Duration(0); sleep(ctx, delay); {
		if all {
			for _, t := range tasks {
				changed(t)
			}
		}
		began := time.Now()
		open, err := k.follow(ctx, since, func(e event) {
			t := byName[e.Actor.Attributes.Name]
			if _, again := seen[e]; t == nil || again {
				return
			}
			seen[e] = time.Now()
			k.mu.Lock()
			k.life(e.Actor.ID).add(e, time.Now())
			k.mu.Unlock()
			changed(t)
		})
		if open {
			since = began.Add(-repeated)
		}
		for e, at := range seen {
			if at.Before(since) {
				delete(seen, e)
			}
		}
		k.forget(since)
		all = !is(err, "podman_unresponsive")
		delay = 0
		if all && !k.wait(ctx, backMost) && ctx.Err() == nil || time.Since(began) < time.Second {
			delay = time.Second
		}
	}
}

// follow reads events until the stream ends, if it can be opened.
func (k *Keeper) follow(ctx context.Context, since time.Time, each func(event)) (open bool, err error) {
	stream, err := k.open(ctx, call{what: "follow podman's events", path: "/events", query: eventsSince(since), limit: watchLimit})
	if err != nil {
		return false, err
	}
	defer stream.Close()
	for lines := json.NewDecoder(stream); ; {
		var e event
		if err := lines.Decode(&e); err != nil {
			return true, err
		}
		each(e)
	}
}

// forget drops what is known of containers that are gone for long.
func (k *Keeper) forget(before time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, l := range k.lives {
		if !l.removed.IsZero() && l.removed.Before(before.Add(-time.Hour)) {
			delete(k.lives, id)
		}
	}
}
