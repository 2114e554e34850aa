package main

import (
	"bytes"
	"context"
	"fmt"

	"bootgraph/agent"
	"bootgraph/page"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// show serves the page until done is called.
func (d *daemon) show(at *agent.Endpoint) (done func(), err error) {
	listener, err := at.Listen()
	if err != nil {
		return nil, fmt.Errorf("--http: %w", err)
	}
	where := at.String()
	if listener.Addr().Network() == "tcp" {
		where = "http://" + listener.Addr().String() // the port may have been 0
	}
	d.app.say("info", "shows the boot at "+where, "page")
	ctx, end := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := d.page.Serve(ctx, listener); err != nil {
			d.app.say("warning", err.Error(), "page") // who boots goes on
		}
	}()
	return func() { end(); <-over }, nil
}

// pageSources are the documents of the page that the commands write, too.
var pageSources = page.Sources{Picture: livePicture, Why: liveWhy}

// pictureMost is how many services are drawn: a browser has to lay them out.
const pictureMost = 500

// livePicture leaves out the arrows that say nothing new: it is looked at to
// see what holds up what.
func livePicture(p *scheduler.Plan) ([]byte, error) {
	view := report.View{Reduce: true}
	if len(p.Tasks) > pictureMost {
		for _, st := range p.Stages {
			view.Collapse = append(view.Collapse, st.Name)
		}
	}
	picture, err := report.Draw(p, view)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = report.WriteSVG(&b, picture)
	return b.Bytes(), err
}

// liveWhy asks nobody: it is asked again with every change.
func liveWhy(t *scheduler.Task, now page.Standing) ([]byte, error) {
	status := &report.Status{Name: now.Plan.Name, Booting: now.Booting}
	for i, at := range now.Stands {
		of := now.Plan.Tasks[i]
		status.Services = append(status.Services, report.Service{Stage: now.Plan.Stages[of.Stage].Name, Name: of.Name,
			State: at.State, Since: at.Since, Attempt: at.Attempt, Cause: at.Cause})
	}
	var b bytes.Buffer
	err := report.WriteWhyJSON(&b, report.Why(now.Plan, status, t))
	return b.Bytes(), err
}
