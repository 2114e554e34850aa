package main

import (
	"bytes"
	"context"
	"time"

	"bootgraph/agent"
	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/journal"
	"bootgraph/lint"
	"bootgraph/scheduler"
)

// What an agent does when it is asked is what the commands do, with what they
// write and say as the answer.

func (d *daemon) work() agent.Work {
	return agent.Work{Plan: d.planCall, Apply: d.applyCall, Down: d.downCall, Status: d.statusCall, Why: d.whyCall, History: d.historyCall}
}

// forCall is the app for a call: it writes into document, and says to say.
func (a *app) forCall(say agent.Say) (call *app, document *bytes.Buffer) {
	document = &bytes.Buffer{}
	return &app{stdout: document, stderr: asMessages(say), connection: a.connection, vars: a.vars, varFiles: a.varFiles,
		logFormat: a.logFormat, noColor: true, relay: say}, document
}

// asMessages makes text with a layout of its own messages.
type asMessages agent.Say

func (say asMessages) Write(text []byte) (int, error) {
	say(&pb.Message{Text: string(text)})
	return len(text), nil
}

// refused is the error of a call, if it has one.
func refused(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return failure(ctx, err)
}

func (d *daemon) planCall(ctx context.Context, r *pb.PlanRequest, say agent.Say) (*pb.PlanResponse, error) {
	a, document := d.app.forCall(say)
	s, err := d.open(ctx, a, selectionOf(r.Selection), r.Replace, true, lint.Check)
	if err != nil {
		return nil, refused(ctx, err)
	}
	preview, err := s.show(ctx, inputs{File: s.path, Prune: r.Prune}, formatName(r.Format), false, "")
	if err != nil {
		return nil, refused(ctx, err)
	}
	return &pb.PlanResponse{Document: document.String(), Changed: preview.Changed()}, nil
}

// applyCall boots again. Its outcome is in the last event, so only that it
// could not boot is an error.
func (d *daemon) applyCall(ctx context.Context, r *pb.ApplyRequest, say agent.Say, sink func(scheduler.Event)) error {
	a, _ := d.app.forCall(say)
	how, timeout := d.how, r.LockTimeout.AsDuration()
	how.lockTimeout = &timeout
	if r.Parallelism != 0 {
		how.parallelism = int(r.Parallelism)
	}
	if err := how.check(); err != nil {
		return refused(ctx, err)
	}
	s, err := d.open(ctx, a, selectionOf(r.Selection), r.Replace, true)
	if err != nil {
		return refused(ctx, err)
	}
	s.screen, s.probed = d.app, d.page.Probed
	if err := d.takeTurn(ctx, timeout); err != nil {
		return refused(ctx, err)
	}
	defer func() { <-d.turn }()
	// What was booted before is kept until this boot is through, and watched
	// only: supervision waits for the lock that a boot has. It ends while the
	// boot still has it.
	var before kept
	over := false
	err = s.carryOut(ctx, "apply by its agent", how, r.Prune, d.sinks(s, func(e scheduler.Event) {
		if e.Type == scheduler.RunDone {
			over, before = true, d.rest()
		}
		sink(e)
	})...)
	if !over {
		return refused(ctx, err)
	}
	d.keepBooted(s, before)
	return nil
}

// takeTurn waits for the other applies of this agent, as the lock of the
// configuration does for those of other processes.
func (d *daemon) takeTurn(ctx context.Context, timeout time.Duration) error {
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	select {
	case d.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-patience.C:
		d.mu.Lock()
		defer d.mu.Unlock()
		holder, _ := d.booted.dir.Working()
		return &journal.Held{Name: d.booted.file.Name, Holder: holder}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *daemon) downCall(ctx context.Context, r *pb.DownRequest, say agent.Say) error {
	a, _ := d.app.forCall(say)
	s, err := d.openAnyway(ctx, a, scheduler.Selection{})
	if err == nil {
		err = s.selectDown(selectionOf(r.Selection), r.KeepStages)
	}
	if err != nil {
		return refused(ctx, err)
	}
	return refused(ctx, s.takeDown(ctx, "down by its agent", r.LockTimeout.AsDuration(), r.Volumes))
}

func (d *daemon) statusCall(ctx context.Context, r *pb.StatusRequest, say agent.Say) (*pb.StatusResponse, error) {
	a, document := d.app.forCall(say)
	if d.fellBack() {
		a.say("warning", "THE BOOT FILE COULDN'T BE USED when this agent started: what was last applied was booted instead. Mend it, then: bootgraph apply", "registry")
	}
	s, err := d.openAnyway(ctx, a, selectionOf(r.Selection))
	if err != nil {
		return nil, refused(ctx, err)
	}
	ready, err := s.showStatus(ctx, formatName(r.Format))
	if err != nil {
		return nil, refused(ctx, err)
	}
	return &pb.StatusResponse{Document: document.String(), Ready: ready}, nil
}

func (d *daemon) whyCall(ctx context.Context, r *pb.WhyRequest, say agent.Say) (*pb.WhyResponse, error) {
	a, document := d.app.forCall(say)
	s, err := d.openAnyway(ctx, a, scheduler.Selection{})
	if err != nil {
		return nil, refused(ctx, err)
	}
	ready, err := s.showWhy(ctx, r.Service, formatName(r.Format))
	if err != nil {
		return nil, refused(ctx, err)
	}
	return &pb.WhyResponse{Document: document.String(), Ready: ready}, nil
}

func (d *daemon) historyCall(ctx context.Context, r *pb.HistoryRequest, say agent.Say) (*pb.HistoryResponse, error) {
	a, document := d.app.forCall(say)
	s, err := d.openAnyway(ctx, a, scheduler.Selection{})
	if err == nil {
		err = s.history(formatName(r.Format))
	}
	if err != nil {
		return nil, refused(ctx, err)
	}
	return &pb.HistoryResponse{Document: document.String()}, nil
}
