package main

import (
	"cmp"
	"context"

	"bootgraph/report"
	"bootgraph/scheduler"
)

// keeping is the supervision of what an agent has booted, while it goes on.
type keeping struct {
	of    kept
	end   context.CancelFunc
	stood chan scheduler.Report // one: where everything stands at its end
}

// kept is what there is to supervise: all of the boot file that was booted
// last, and where each service of it stands.
type kept struct {
	session *session // its plan is the whole file
	after   booted
}

// keepOn supervises until rest is called.
func (d *daemon) keepOn(k kept) {
	d.telling.Lock()
	d.taken = nil
	d.telling.Unlock()
	ctx, end := context.WithCancel(context.Background())
	d.keeping = &keeping{of: k, end: end, stood: make(chan scheduler.Report, 1)}
	go func(stood chan<- scheduler.Report) {
		stood <- k.session.supervise(ctx, k.after, d.how.parallelism, d.add, d.sayKept())
	}(d.keeping.stood)
}

// sayKept is the sink for the agent's log.
func (d *daemon) sayKept() func(scheduler.Event) {
	var kept report.Kept
	return func(e scheduler.Event) {
		if level, text := kept.Line(e); text != "" {
			d.app.say(level, text, cmp.Or(e.Cause.Code, string(e.To)))
		}
	}
}

// rest ends the supervision, and gives what keepOn goes on with.
func (d *daemon) rest() kept {
	d.keeping.end()
	k := d.keeping.of
	k.after.report = <-d.keeping.stood
	return k
}

// keepBooted goes on with what a session has booted, and with what was kept
// before of what that boot was not of.
func (d *daemon) keepBooted(s *session, before kept) {
	lasting := *s
	lasting.app, lasting.plan = d.app, s.all
	if before.session == nil {
		before.session = &lasting
		before.after.report = scheduler.Report{Status: make([]scheduler.Status, len(s.all.Tasks)), At: make([][]scheduler.Instance, len(s.all.Tasks))}
	}
	lasting.booted.report = s.all.Whole(s.plan, s.booted.report, before.session.all, before.after.report)
	d.keepOn(kept{&lasting, lasting.booted})
}
