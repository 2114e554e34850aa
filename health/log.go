package health

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// longestLine is how much of a line of a log is matched; the rest is passed over.
const longestLine = 64 << 10

// follow passes when a line that the instance printed since its start matches.
// It is one long probe rather than many, since nothing is to be asked twice: the
// stream stays open past the deadline for the timeout of one probe, which
// stands for the last one. A stream that breaks is opened again, from the start
// of the container.
func (p *Prober) follow(ctx context.Context, h *config.Health, at []scheduler.Instance, deadline time.Time, said func(error)) error {
	pattern := regexp.MustCompile(h.Pattern) // config has tried it
	end := time.Now()
	if end.Before(deadline) {
		end = deadline
	}
	ctx, cancel := context.WithDeadline(ctx, end.Add(h.Timeout))
	defer cancel()
	pace := paceOf(h)
	said(noMatch(h))
	for {
		err := p.readLog(ctx, h, at, pattern)
		if err == nil {
			said(nil)
			return nil
		}
		said(err)
		if !sleep(ctx, pace.after(err, 0)) || !time.Now().Before(end) {
			return err
		}
	}
}

// readLog reads the log from the instance's start on. It returns nil once a
// line matches; else why it can't go on reading.
func (p *Prober) readLog(ctx context.Context, h *config.Health, at []scheduler.Instance, pattern *regexp.Regexp) error {
	instance, err := oneOf(h, at)
	if err != nil {
		return err
	}
	stream, err := p.containers.Logs(ctx, instance, instance.StartedAt)
	if err != nil && ctx.Err() != nil {
		return noMatch(h) // a log without a line may be silent up to here
	}
	if err != nil {
		return fmt.Errorf("cannot read the log of container %s: %w", instance.Container, err)
	}
	defer stream.Close()
	lines := bufio.NewReaderSize(stream, longestLine)
	for {
		line, more, err := lines.ReadLine()
		if err == io.EOF || err != nil && ctx.Err() != nil {
			return noMatch(h)
		}
		if err != nil {
			return fmt.Errorf("cannot read the log of container %s: %w", instance.Container, err)
		}
		if pattern.Match(line) {
			return nil
		}
		for more && err == nil {
			_, more, err = lines.ReadLine()
		}
	}
}

func noMatch(h *config.Health) error {
	return fail("no_match", "no line matches %q yet", clean(h.Pattern))
}
