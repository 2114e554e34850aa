package health

import (
	"context"
	"sync"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Of what is ready already, a probe is to find out that it is not any more.
// Most falls show by themselves, as the end of a container, so there is no
// hurry; a hundred services probed once a second would be a tenth of a CPU for
// nothing.
const (
	calmFirst = time.Second
	calmMost  = 30 * time.Second
	calmDear  = time.Minute // at most, where a probe is dear
	failsMost = 3           // in a row; a single one may be a hiccup
)

var _ scheduler.Watcher = (*Prober)(nil)

// Watch probes a service that is ready until one of its checks has failed
// several times in a row, or its containers are seen not to run, and says why;
// the zero Cause if ctx ended first. The time between two probes grows from the
// check's interval to half a minute, a minute where a probe is dear; after a
// failure it begins anew. That the runtime gives no answer proves nothing. What
// a log has said once is said: such a check is not made again, nor is a job
// watched.
func (p *Prober) Watch(ctx context.Context, t *scheduler.Task, at []scheduler.Instance) scheduler.Cause {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	failed := make(chan error, len(t.Service.Health))
	for _, h := range t.Service.Health {
		if h.Kind == config.HealthLog {
			continue
		}
		all.Go(func() {
			if err := p.watch(ctx, t, h, at); err != nil {
				failed <- labelled(h, err)
			}
		})
	}
	select {
	case err := <-failed:
		return causeOf(err)
	case <-ctx.Done():
		return scheduler.Cause{}
	}
}

// watch returns why a check fails; nil if ctx ended first.
func (p *Prober) watch(ctx context.Context, t *scheduler.Task, h *config.Health, at []scheduler.Instance) error {
	ask, _, hangUp := p.probeOf(h, at)
	defer hangUp()
	ask = p.timed(t, ask)
	pace := calm(h)
	for fails := 0; sleep(ctx, pace.after()); {
		err := probeOnce(ctx, time.Now().Add(h.Timeout), true, ask)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			if fails > 0 {
				fails, pace = 0, calm(h)
			}
			continue
		}
		pace = calm(h)
		if seen := p.lookOnce(ctx, at); isGone(seen) {
			return seen
		}
		if isFailure(err) {
			if fails++; fails == failsMost {
				return err
			}
		}
	}
	return nil
}

// calmPace says how long to wait between two probes of what is ready.
type calmPace struct{ next, most time.Duration }

func calm(h *config.Health) calmPace {
	p := calmPace{calmFirst, calmMost}
	if h.Kind == config.HealthExec || h.Kind == config.HealthPodman {
		p.most = calmDear
	}
	if h.Interval > 0 {
		p.next = h.Interval
		p.most = max(p.most, h.Interval)
	}
	return p
}

func (p *calmPace) after() time.Duration {
	wait := p.next
	p.next = min(p.next*3/2, p.most)
	return wait
}
