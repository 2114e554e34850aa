// Command bench boots the same workloads with bootgraph and with what people
// would use instead, on a Podman of its own, and says how long each took, and
// how far that is from what the machine could do at best in the same run.
//
//	make bench BENCH='-runs 5 -peers 1 -workloads chain,realistic'
//
// Run it at the root of the module. It leaves nothing behind but the peers that
// it has built, in bin/peers, and podman-compose, if apt had to bring it.
//
// It knows tools only from outside: their files, their commands, and what the
// servers in the containers say of when they began and when they listened.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bootgraph/testdata/host"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "original" { // a tool of its own
		exitOn(bootOriginal(os.Args[2]))
		return
	}
	if len(os.Args) > 3 && os.Args[1] == "observe" {
		exitOn(observe(os.Args[2], os.Args[3:]))
		return
	}
	runs := flag.Int("runs", 5, "runs of bootgraph")
	peerRuns := flag.Int("peers", 1, "runs of each peer; 0: none")
	names := flag.String("workloads", "chain,wide,realistic,hundred,latency,rest", "`which`, separated by commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exitOn(bench(ctx, strings.Split(*names, ","), *runs, *peerRuns))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, names []string, runs, peerRuns int) (err error) {
	l, err := newLab()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	list := tools()
	if peerRuns == 0 {
		list = list[:ours]
	}
	missing := map[*tool]error{}
	for _, t := range list {
		missing[t] = t.get(l)
	}
	if err := missing[list[0]]; err != nil {
		return err
	}
	fmt.Println(machine(ctx, l))
	for _, w := range workloads() {
		isChain := strings.HasPrefix(w.name, "chain-")
		rests := w.name == "hundred" && slices.Contains(names, "rest")
		if !slices.Contains(names, w.name) && !(isChain && slices.Contains(names, "latency")) && !rests {
			continue
		}
		for i := range w.services {
			w.services[i].port = host.FreePort()
		}
		s := series{lab: l, workload: w, tools: list, missing: missing}
		if rests {
			line, err := s.rest(ctx)
			if err != nil {
				return err
			}
			fmt.Println(line)
			if !slices.Contains(names, w.name) {
				continue
			}
		}
		if isChain {
			s.tools = list[:ours]
		}
		if err := s.run(ctx, runs, peerRuns); err != nil {
			return err
		}
		if isChain {
			fmt.Println(s.latency())
		} else {
			fmt.Println(s.table())
		}
	}
	return nil
}

// ours is how many of the tools are bootgraph.
const ours = 2

// A series is one workload, booted again and again by each tool in turn, so
// that what slows the machine down slows all of them.
type series struct {
	*lab
	workload
	tools   []*tool
	missing map[*tool]error
	bare    bare
	results map[*tool][]result
	calls   traffic
}

func (s *series) run(ctx context.Context, runs, peerRuns int) (err error) {
	s.results = map[*tool][]result{}
	var bares []bare
	for i := range max(runs, peerRuns, 1) {
		if err := s.clean(ctx); err != nil {
			return err
		}
		b, err := s.bareCosts(ctx, s.workload)
		if err != nil {
			return err
		}
		bares = append(bares, b)
		for k, t := range s.tools {
			n := peerRuns
			if k < ours {
				n = runs
			}
			if i >= n || s.missing[t] != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s: %s, run %d of %d\n", s.name, t.name, i+1, n)
			r := s.once(ctx, t)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if r.err != nil {
				fmt.Fprintln(os.Stderr, "  failed:", r.err)
			}
			s.results[t] = append(s.results[t], r)
		}
	}
	s.bare = middle(bares)
	s.calls, err = s.count(ctx, s.tools[0])
	return errors.Join(err, s.clean(ctx))
}

// A result is one boot of a workload and what comes after it. What is zero has
// not been had.
type result struct {
	stamps
	moved   []time.Time   // when bootgraph says that it has started a service, or is about to
	seen    []time.Time   // when bootgraph has found it ready
	ready   time.Duration // from the call to when the last server listened
	cold    cost
	list    time.Duration // one list of all that runs
	noop    cost
	touched int           // containers that noop has started or made anew
	restart time.Duration // as ready
	down    cost
	err     error
}

// manyServices is where peers take minutes, so that they only boot and go down.
const manyServices = 50

// phaseLimit bounds what takes seconds.
const phaseLimit = 100 * time.Second

func (s *series) once(ctx context.Context, t *tool) (r result) {
	if r.err = s.clean(ctx); r.err != nil {
		return r
	}
	if !t.knows {
		if r.err = s.forget(); r.err != nil {
			return r
		}
	}
	dir := filepath.Join(s.dir, "project")
	if r.err = errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); r.err != nil {
		return r
	}
	if r.err = t.write(s.lab, s.workload, dir); r.err != nil {
		return r
	}
	if r.err = s.coldBoot(ctx, t, dir, &r); r.err != nil || t.stays {
		return r
	}
	steps := []func(context.Context, *tool, string, *result) error{s.noopBoot, s.restartBoot, s.takeDown}
	if !slices.Contains(s.tools[:ours], t) && len(s.services) > manyServices {
		steps = steps[2:]
	}
	for _, step := range steps {
		if r.err = step(ctx, t, dir, &r); r.err != nil {
			return r
		}
	}
	return r
}

// boot runs up, or what is up another time, until everything listens.
func (s *series) boot(ctx context.Context, t *tool, dir string, argv []string, then func() error) (c, end cost, err error) {
	ctx, cancel := context.WithTimeout(ctx, phaseLimit)
	defer cancel()
	if t.beside != nil {
		beside, end := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { t.beside(beside, s.lab); close(ended) }()
		defer func() { end(); <-ended }()
	}
	cmd := s.command(ctx, argv...)
	cmd.Dir = dir
	if !t.stays {
		c, err := s.measure(cmd)
		if err == nil {
			err = s.await(ctx)
		}
		if err == nil {
			err = then()
		}
		return c, cost{}, err
	}
	done := make(chan error, 1)
	go func() {
		var failure error
		c, failure = s.measure(cmd)
		cancel() // nobody gets ready any more
		done <- failure
	}()
	if err := s.await(ctx); err != nil {
		cancel()
		return c, end, errors.Join(err, <-done)
	}
	err = then()
	before, began := s.podmanCPU(), time.Now()
	cmd.Process.Signal(syscall.SIGTERM)
	<-done // it exits with whatever it likes
	return c, cost{wall: time.Since(began), podman: s.podmanCPU() - before}, err
}

func (s *series) coldBoot(ctx context.Context, t *tool, dir string, r *result) (err error) {
	began := time.Now()
	r.cold, r.down, err = s.boot(ctx, t, dir, t.up, func() error {
		r.stamps, err = s.stamps(ctx, s.workload, t.containerOf)
		return err
	})
	if err != nil {
		return err
	}
	r.ready = r.stamps.ready().Sub(began)
	r.moved, r.seen, err = readEvents(filepath.Join(dir, "stdout"), s.workload)
	return err
}

func (s *series) noopBoot(ctx context.Context, t *tool, dir string, r *result) error {
	if !t.noop {
		return nil
	}
	before, err := s.ids(ctx)
	if err != nil {
		return err
	}
	if r.list, err = s.list(ctx); err != nil {
		return err
	}
	if r.noop, _, err = s.boot(ctx, t, dir, t.up, func() error { return nil }); err != nil {
		return err
	}
	after, err := s.ids(ctx)
	for id, started := range after {
		if before[id] != started {
			r.touched++
		}
	}
	return err
}

func (s *series) restartBoot(ctx context.Context, t *tool, dir string, r *result) error {
	if err := s.stopAll(ctx); err != nil {
		return err
	}
	argv := t.up
	if t.again != nil {
		argv = t.again
	}
	began := time.Now()
	_, _, err := s.boot(ctx, t, dir, argv, func() error {
		said, err := s.stamps(ctx, s.workload, t.containerOf)
		r.restart = said.ready().Sub(began)
		return err
	})
	return err
}

func (s *series) takeDown(ctx context.Context, t *tool, dir string, r *result) (err error) {
	cmd := s.command(ctx, t.down...)
	cmd.Dir = dir
	r.down, err = s.measure(cmd)
	return err
}
