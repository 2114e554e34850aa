package podman

import (
	"fmt"

	"bootgraph/config"
)

// Action is what is to be done about a container.
type Action string

const (
	Keep    Action = "keep"    // leave it alone
	Start   Action = "start"   // it is there and does not run
	Create  Action = "create"  // it is not there; create and start
	Replace Action = "replace" // stop and remove, then create and start
)

// Decision is what is to be done about a container, and why. With a Conflict
// nothing is: it can't be had without touching what isn't ours.
type Decision struct {
	Action   Action
	Reason   string
	Diff     []Diff // under Replace: the fields that differ
	Conflict *Error
}

// Decide compares what is described with what was found under its name (nil:
// nothing). It is pure, and the one place where it is decided whether a
// container is touched: plan shows its answer, Start carries it out.
//
// owner is the name of the configuration. replace asks for a new container
// even where nothing differs.
func Decide(owner string, want *config.Container, kind config.Kind, found *Found, replace bool) Decision {
	if found == nil {
		return Decision{Action: Create, Reason: "no container named " + want.Name}
	}
	if conflict := notOurs(owner, found); conflict != nil {
		return Decision{Conflict: conflict}
	}
	if replace {
		return Decision{Action: Replace, Reason: "asked for"}
	}
	diff, err := differences(found.Labels[LabelSpec], want)
	switch {
	case err != nil:
		return Decision{Action: Replace, Reason: "the description in its label can't be read"}
	case len(diff) > 0:
		return Decision{Action: Replace, Reason: "it was created from another description", Diff: diff}
	}
	return wake(kind, found)
}

// DecideExisting is Decide for a container that the boot file only names
// (containers = [...]): it is started if it does not run, and that is all.
func DecideExisting(name string, found *Found) Decision {
	if found == nil {
		return Decision{Conflict: failed("not_found", "there is no container named %s: create it, or give the service an image", name)}
	}
	d := wake(config.KindService, found)
	if d.Action == Replace {
		return Decision{Conflict: failed("bad_state", "container %s is %s, and it was not created by bootgraph: see podman inspect %s", name, found.State, name)}
	}
	return d
}

// wake decides about a container that is as described.
func wake(kind config.Kind, found *Found) Decision {
	switch found.State {
	case "running":
		return Decision{Action: Keep, Reason: "it runs as described"}
	case "paused":
		return Decision{Conflict: failed("paused", "container %s is paused: podman unpause %s", found.Name, found.Name)}
	case "exited", "stopped":
		// One that was only ever prepared has an exit code, too.
		if kind == config.KindJob && found.ExitCode == 0 && !found.StartedAt.IsZero() {
			return Decision{Action: Keep, Reason: "it has completed"}
		}
		return Decision{Action: Start, Reason: fmt.Sprintf("exited with code %d", found.ExitCode)}
	case "created", "configured", "initialized":
		return Decision{Action: Start, Reason: "it was never started"}
	}
	// stopping, removing, unknown: what a Podman killed in the middle of
	// something leaves behind; a start of these fails for ever. So it does for
	// some that are initialized; they are replaced then.
	return Decision{Action: Replace, Reason: "it is stuck in state " + found.State}
}

// renamed is the conflict of a container that is to be created while the one
// that was created for its name runs under another: two that share a volume
// destroy it. One that doesn't run is left aside.
func renamed(owner, name string, found Snapshot) *Error {
	for i := range found {
		f := &found[i]
		if f.Name == name || f.Labels[LabelContainer] != name || notOurs(owner, f) != nil || !f.Running() && f.State != "paused" {
			continue
		}
		return failed("renamed", "container %s has been renamed to %s, and two must not run at once: podman rename %s %s, or remove it: podman rm --force %s", name, f.Name, f.Name, name, f.Name)
	}
	return nil
}

// notOurs is the conflict over a name that somebody else's container has.
func notOurs(owner string, found *Found) *Error {
	switch who := found.Labels[LabelName]; who {
	case owner:
		return nil
	case "":
		return failed("name_in_use", "container %s (%s, image %s) was not created by bootgraph: rename the service, remove the container, or use it as it is with containers = [%q]",
			found.Name, found.shortID(), found.Image, found.Name)
	default:
		return failed("name_in_use", "container %s (%s) belongs to the configuration %q: rename the service, or take it down there first",
			found.Name, found.shortID(), who)
	}
}
