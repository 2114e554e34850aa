package health

import (
	"context"
	"fmt"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// The checks that the runtime makes for us: exec, podman and none.

// execProbe passes when the command exits with 0 inside the container.
func (p *Prober) execProbe(h *config.Health, at []scheduler.Instance) probe {
	return func(ctx context.Context, _ bool) error {
		instance, err := oneOf(h, at)
		if err != nil {
			return err
		}
		code, output, err := p.containers.Exec(ctx, instance, h.Command)
		switch {
		case err != nil:
			return p.unanswered(ctx, h, instance, fmt.Errorf("cannot run it in container %s: %w", instance.Container, err))
		case code != 0:
			return fail("exec_exit", "exited with code %d%s", code, firstLine(output))
		}
		return nil
	}
}

// podmanProbe passes when the container's own HEALTHCHECK does. It is run by
// us each time: Podman leaves that to systemd's timers, and where there is no
// systemd its status stays "starting" for ever.
func (p *Prober) podmanProbe(h *config.Health, at []scheduler.Instance) probe {
	return func(ctx context.Context, _ bool) error {
		instance, err := oneOf(h, at)
		if err != nil {
			return err
		}
		ok, output, err := p.containers.Healthcheck(ctx, instance)
		switch {
		case codeOf(err) == "no_healthcheck":
			return fail("no_healthcheck", "container %s has no HEALTHCHECK", instance.Container)
		case err != nil:
			return p.unanswered(ctx, h, instance, fmt.Errorf("cannot run the HEALTHCHECK of container %s: %w", instance.Container, err))
		case !ok:
			return fail("unhealthy", "unhealthy%s", firstLine(output))
		}
		return nil
	}
}

// runningProbe passes when the container runs; without a component, when all
// of them do.
func (p *Prober) runningProbe(h *config.Health, at []scheduler.Instance) probe {
	return func(ctx context.Context, _ bool) error {
		if h.Component == "" {
			return p.look(ctx, at)
		}
		instance, err := oneOf(h, at)
		if err != nil {
			return err
		}
		return p.look(ctx, []scheduler.Instance{instance})
	}
}

// unanswered tells a command that took too long from a container that none can
// be run in, and these from a runtime that can't be asked: its own trouble is
// never the service's failure.
func (p *Prober) unanswered(ctx context.Context, h *config.Health, instance scheduler.Instance, err error) error {
	if timedOut(ctx, err) && codeOf(err) == "error" {
		return fail("timeout", "no answer within %s", h.Timeout)
	}
	if seen := p.look(ctx, []scheduler.Instance{instance}); isFailure(seen) {
		return seen // it is paused, or has ended
	}
	return err
}
