package scheduler

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Down calls stop for every task of a plan, in the reverse order of a boot:
// the last stage first, and within a stage a task only when all that waits for
// it there has been stopped. A stop that fails holds nothing up: the errors
// are joined. When ctx ends, no further stop begins.
func Down(ctx context.Context, p *Plan, stop func(context.Context, *Task) error) error {
	errs := make([]error, len(p.Tasks))
	stopped := make([]chan struct{}, len(p.Tasks))
	heirs := make([][]int, len(p.Tasks))
	for _, t := range p.Tasks {
		stopped[t.ID] = make(chan struct{})
		for _, d := range inStage(p, t) {
			heirs[d] = append(heirs[d], t.ID)
		}
	}
	for _, st := range slices.Backward(p.Stages) {
		var barrier errgroup.Group
		for _, t := range st.Tasks {
			barrier.Go(func() error {
				defer close(stopped[t.ID])
				for _, heir := range heirs[t.ID] {
					<-stopped[heir] // it always comes: the graph has no cycle
				}
				if ctx.Err() == nil {
					errs[t.ID] = stop(ctx, t)
				}
				return nil
			})
		}
		_ = barrier.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}
