// Package health proves readiness: it runs the health checks of a service
// until all of them pass for one and the same run of its containers, and waits
// for a job to exit with 0.
//
// A probe speaks to the container itself, or to its published port, or asks
// the runtime through the interface Containers. The package knows nothing of
// stages, attempts and dependencies, nor of what the runtime is.
package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Prober is a scheduler.Prober.
type Prober struct {
	containers Containers

	// Probed is told how long each probe of a check has taken, whatever it
	// said; nil: nobody wants to know. It is set before the first probe, and
	// called from any goroutine. A check of the log, and an exit, are waited
	// for and not probed.
	Probed func(t *scheduler.Task, took time.Duration)
}

var _ scheduler.Prober = (*Prober)(nil)

// New returns a Prober that asks the given runtime. It may be used by many
// goroutines at once and keeps nothing between two calls of Await.
func New(containers Containers) *Prober { return &Prober{containers: containers} }

// Await waits until the task is proven ready (Passed), one of its containers
// does not run any more (Exited; for a job: it exited with a code other than
// 0), the deadline has passed without proof (Late), or ctx ended (Ended). A
// probe begun at the deadline has its own timeout, and the look at the
// containers after it has one of 2 s; then it returns, and leaves no goroutine
// and no connection behind. note is told why the task is not ready yet,
// whenever that changes.
//
// The exit of a container is waited for beside the probes, so that it ends
// them at once: a process that is gone won't listen any more.
func (p *Prober) Await(ctx context.Context, t *scheduler.Task, at []scheduler.Instance, deadline time.Time, note func(scheduler.Cause)) scheduler.Outcome {
	inner, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()

	exits := make(chan exit, len(at))
	for _, instance := range at {
		work.Go(func() {
			if code, why, err := p.containers.Wait(inner, instance); err == nil {
				exits <- exit{code, why}
			}
		})
	}
	var o scheduler.Outcome
	if t.Service.Kind == config.KindJob {
		note(causeOf(errRunning))
		o = p.awaitJob(inner, at, exits, deadline)
	} else {
		proven := make(chan error, 1)
		work.Go(func() { proven <- p.prove(inner, t, at, deadline, note) })
		o = awaitService(inner, proven, exits)
	}
	if ctx.Err() != nil { // whatever was seen last was seen while all was being torn down
		return scheduler.Outcome{Result: scheduler.Ended}
	}
	return o
}

// exit is how a container ended.
type exit struct {
	code int
	why  scheduler.Cause
}

// errRunning is what a job waits for.
var errRunning = fail("running", "it has not exited yet")

// awaitJob returns Passed once all instances have exited with 0.
func (p *Prober) awaitJob(ctx context.Context, at []scheduler.Instance, exits <-chan exit, deadline time.Time) scheduler.Outcome {
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	var why error // what the look at the deadline saw
	for left := len(at); left > 0; {
		select {
		case e := <-exits:
			// The code of a container that was removed or started anew is
			// not the code of this run.
			if e.code != 0 || e.why.Code != "" && e.why.Code != "exited" {
				return scheduler.Outcome{Result: scheduler.Exited, Cause: e.why}
			}
			left--
		case <-late.C:
			switch {
			case why == nil:
				// The last probe. What ended just now, or before Await was
				// called, is about to come out of Wait: give it the time.
				if why = p.lookOnce(ctx, at); why != nil {
					late.Reset(config.DefaultProbe)
					continue
				}
				why = errRunning
			case isGone(why): // one of several has exited, another has not
				why = errRunning
			}
			return scheduler.Outcome{Result: scheduler.Late, Cause: causeOf(why)}
		case <-ctx.Done():
			return scheduler.Outcome{Result: scheduler.Ended}
		}
	}
	return scheduler.Outcome{Result: scheduler.Passed}
}

// awaitService returns what comes first: the proof, or its failure, or an exit.
func awaitService(ctx context.Context, proven <-chan error, exits <-chan exit) scheduler.Outcome {
	var err error
	select {
	case e := <-exits:
		return scheduler.Outcome{Result: scheduler.Exited, Cause: e.why}
	case <-ctx.Done():
		return scheduler.Outcome{Result: scheduler.Ended}
	case err = <-proven:
	}
	if err == nil {
		return scheduler.Outcome{Result: scheduler.Passed}
	}
	if !isGone(err) {
		return scheduler.Outcome{Result: scheduler.Late, Cause: causeOf(err)}
	}
	// Look was quicker than Wait, but only Wait has the exit code and the last
	// lines of the log.
	select {
	case e := <-exits:
		return scheduler.Outcome{Result: scheduler.Exited, Cause: e.why}
	case <-time.After(config.DefaultProbe):
	case <-ctx.Done():
	}
	return scheduler.Outcome{Result: scheduler.Exited, Cause: causeOf(err)}
}

// prove runs all checks at the same time and then looks whether what they
// spoke to is still there. Nil means proven; else why not, at the deadline.
func (p *Prober) prove(ctx context.Context, t *scheduler.Task, at []scheduler.Instance, deadline time.Time, note func(scheduler.Cause)) error {
	checks := t.Service.Health
	errs := make([]error, len(checks))
	notes := notes{errs: make([]error, len(checks)+1), note: note} // one more for the look
	var work sync.WaitGroup
	for i, h := range checks {
		work.Go(func() {
			errs[i] = p.check(ctx, t, h, at, deadline, func(err error) { notes.set(i, err) })
		})
	}
	work.Wait()

	if err := together(errs); err != nil {
		// Late says "it runs", so look; a paused container explains more
		// than what its probes saw.
		if seen := p.lookOnce(ctx, at); isFailure(seen) {
			return seen
		}
		return err
	}
	look := func(ctx context.Context, _ bool) error { return p.look(ctx, at) }
	return poll(ctx, running, deadline, look, nil, func(err error) { notes.set(len(checks), err) })
}

// notes tells why a task is not ready, as the checks see it at the moment.
type notes struct {
	mu   sync.Mutex
	errs []error // of each check, nil once it has passed
	told scheduler.Cause
	note func(scheduler.Cause)
}

// set takes the last answer of a check.
func (n *notes) set(i int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs[i] = err
	if why := together(n.errs); why != nil && causeOf(why) != n.told {
		n.told = causeOf(why)
		n.note(n.told)
	}
}

// running is the check that all others end with.
var running = &config.Health{Kind: config.HealthNone, Timeout: config.DefaultProbe, Successes: 1}

// lookOnce looks at the instances, for as long as one probe may take.
func (p *Prober) lookOnce(ctx context.Context, at []scheduler.Instance) error {
	return probeOnce(ctx, time.Now().Add(running.Timeout), true, func(ctx context.Context, _ bool) error { return p.look(ctx, at) })
}

// check runs one health check until it passes or the deadline has passed.
func (p *Prober) check(ctx context.Context, t *scheduler.Task, h *config.Health, at []scheduler.Instance, deadline time.Time, said func(error)) error {
	// The delay counts from the start of the container, not from the first
	// look at it: one that has been running for long is probed at once.
	delay := min(h.StartDelay, time.Until(lastStart(at).Add(h.StartDelay)), time.Until(deadline))
	tell := func(err error) { said(labelled(h, err)) }
	if delay > 0 {
		tell(fail("start_delay", "it has not run for %s yet", h.StartDelay))
	}
	if !sleep(ctx, delay) {
		return ctx.Err()
	}
	if h.Kind == config.HealthLog {
		return labelled(h, p.follow(ctx, h, at, deadline, tell))
	}
	ask, news, hangUp := p.probeOf(h, at)
	defer hangUp()
	return labelled(h, poll(ctx, h, deadline, p.timed(t, ask), news, tell))
}

// probeOf is the probe of a check that asks; one that follows the log doesn't.
// news, if not nil, has a token when it may pass now. hangUp gives back what it
// holds.
func (p *Prober) probeOf(h *config.Health, at []scheduler.Instance) (ask probe, news <-chan struct{}, hangUp func()) {
	n := &network{}
	switch h.Kind {
	case config.HealthTCP:
		return tcpProbe(h, at, n), nil, n.close
	case config.HealthGRPC:
		ask, news, hangUp := grpcProbe(h, at, n)
		return ask, news, func() { hangUp(); n.close() }
	case config.HealthHTTP:
		return httpProbe(h, at, n), nil, n.close
	case config.HealthExec:
		return p.execProbe(h, at), nil, func() {}
	case config.HealthPodman:
		return p.podmanProbe(h, at), nil, func() {}
	case config.HealthNone:
		return p.runningProbe(h, at), nil, func() {}
	}
	panic(fmt.Sprintf("health: a check of kind %q", h.Kind)) // config lets none pass
}

// timed is a probe that tells how long it has taken, unless it was cut short.
func (p *Prober) timed(t *scheduler.Task, ask probe) probe {
	if p.Probed == nil {
		return ask
	}
	return func(ctx context.Context, last bool) error {
		start := time.Now()
		err := ask(ctx, last)
		if !errors.Is(ctx.Err(), context.Canceled) {
			p.Probed(t, time.Since(start))
		}
		return err
	}
}

// probe asks once. Nil means that the answer was "ready", a failure that it
// was not, and any other error that there is no answer, which proves nothing.
// last is set for the probe at the deadline: whatever is dear to find out and
// only explains why it is not ready belongs there.
type probe func(ctx context.Context, last bool) error

// poll probes until h.Successes probes in a row have passed, or ctx ends, or
// the deadline has passed and the probe made then did not pass either. said
// gets each answer. news cuts a pause short.
func poll(ctx context.Context, h *config.Health, deadline time.Time, ask probe, news <-chan struct{}, said func(error)) error {
	pace := paceOf(h)
	passes := 0
	for {
		now := time.Now()
		last := !now.Before(deadline)
		limit := now.Add(h.Timeout)
		cut := !last && limit.After(deadline)
		if cut {
			limit = deadline
		}
		err := probeOnce(ctx, limit, last, ask)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if passes++; passes >= h.Successes {
				said(nil)
				return nil
			}
			err = fail("successes", "passed %d of %d times in a row", passes, h.Successes)
		case cut && codeOf(err) == "timeout" && !time.Now().Before(deadline):
			continue // it was not its own time that was over: the last probe decides
		case isGone(err):
			return err
		case isFailure(err):
			passes = 0
		}
		said(err)
		if last {
			return err
		}
		if !sleepUntil(ctx, min(pace.after(err, time.Since(now)), time.Until(deadline)), news) {
			return ctx.Err()
		}
	}
}

// probeOnce asks once, until limit at most.
func probeOnce(ctx context.Context, limit time.Time, last bool, ask probe) error {
	ctx, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	return ask(ctx, last)
}

// Adaptive polling: how long it has taken so far says how much a moment more
// matters. So a probe comes after a hundredth of that: what is ready after 0.4 s
// is found ready 2 ms later, on average, and what takes a minute 0.3 s later. It
// is some 600 probes in the first minute, each of which costs some microseconds
// where the kernel can be asked, and a tenth of a millisecond where the port is
// dialled. What costs more comes less often: pauses are costPart times as long.
const (
	paceFirst = 2 * time.Millisecond
	pacePart  = 100
	paceMost  = time.Second
	paceDear  = 5 * time.Second // at most, where a probe is dear
	dearFirst = 20 * time.Millisecond
	costPart  = 20
	costMost  = 50 * time.Millisecond
)

// pace says how long to wait between two probes.
type pace struct {
	interval time.Duration // 0: adaptive
	most     time.Duration
	dear     bool          // pauses grow by half each time
	next     time.Duration // pause, where a probe is dear
	kind     string        // of the last answer
	since    time.Time     // when answers began to be of that kind
}

// paceOf is that of a check. A command that runs inside a container costs
// Podman a tenth of a second of CPU and two processes, which it keeps for five
// minutes after the command has ended (exit_command_delay in
// containers.conf(5)); once a second for as long as a foundation blocks would
// be 600 of them.
func paceOf(h *config.Health) pace {
	p := pace{interval: h.Interval, most: paceMost}
	switch h.Kind {
	case config.HealthExec, config.HealthPodman:
		p.most, p.dear = paceDear, true
	case config.HealthLog: // a look is a call of Podman
		p.dear = true
	}
	return p
}

// after returns the time from an answer, which has taken some time, to the next
// probe. When the kind of the answer changes (from refused to NOT_SERVING),
// something happens in the container, and the next change is likely to be near.
func (p *pace) after(answer error, took time.Duration) time.Duration {
	if p.interval > 0 {
		return p.interval
	}
	now := time.Now()
	if kind := codeOf(answer); p.since.IsZero() || kind != p.kind {
		p.kind, p.since, p.next = kind, now, dearFirst
	}
	if p.dear {
		wait := p.next
		p.next = min(p.next*3/2, p.most)
		return wait
	}
	return min(max(paceFirst, now.Sub(p.since)/pacePart, min(costPart*took, costMost)), p.most)
}

// look tells whether all instances still run and are the same. An error that
// is a failure says what became of one of them; gone means for good.
func (p *Prober) look(ctx context.Context, at []scheduler.Instance) error {
	for _, instance := range at {
		why, err := p.containers.Look(ctx, instance)
		if err != nil {
			return fmt.Errorf("cannot look at container %s: %w", instance.Container, err)
		}
		if !why.IsZero() {
			// A paused container may go on, and starting it is no cure.
			return &failure{code: why.Code, text: why.Text, gone: why.Code != "paused"}
		}
	}
	return nil
}

// timedOut reports whether err is only that the time of a probe is over. The
// timer of a connection may be quicker than that of its context.
func timedOut(ctx context.Context, err error) bool {
	var timer interface{ Timeout() bool }
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &timer) && timer.Timeout()
}

// sleep waits, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool { return sleepUntil(ctx, d, nil) }

// sleepUntil is sleep until there is news, at most.
func sleepUntil(ctx context.Context, d time.Duration, news <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-news:
		return true
	case <-ctx.Done():
		return false
	}
}

// lastStart is when the youngest of the instances was started.
func lastStart(at []scheduler.Instance) (t time.Time) {
	for _, instance := range at {
		if instance.StartedAt.After(t) {
			t = instance.StartedAt
		}
	}
	return t
}
