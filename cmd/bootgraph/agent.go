package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"bootgraph/agent"
	"bootgraph/page"
	"bootgraph/report"
	"bootgraph/scheduler"
)

func (a *app) agentCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "agent [FILE|DIR]",
		Short: "Boot, then serve: gRPC health, status, plan, apply, down, events",
		Long: `agent boots as apply does and then serves gRPC; before the boot is through nobody
can connect. A boot that is degraded is served, too. Without FILE, and where there
is no boot.hcl, it boots what is in the registry; where the boot file is broken or
gone, what was last applied from it.

It listens on a unix socket that only its user can open, or where --listen says:
unix:PATH, or HOST:PORT with mutual TLS.

With --http it shows, from the first moment on, what it does: a page for browsers on
this machine, and /metrics for Prometheus. Nothing can be changed there.

A Podman that doesn't answer is waited for. SIGTERM ends it and leaves all containers as they are.`,
	})
	how := bootFlags(cmd)
	flags := cmd.Flags()
	listen := flags.StringArray("listen", nil, "listen at this `address`, unix:PATH or HOST:PORT (repeatable; default: a socket of its own)")
	http := flags.String("http", "", "show a page and /metrics at this `address`, 127.0.0.1:PORT or unix:PATH")
	var files agent.Files
	flags.StringVar(&files.Cert, "tls-cert", "", "with --listen HOST:PORT: the certificate `file` of the agent; read again when it changes")
	flags.StringVar(&files.Key, "tls-key", "", "its key `file`")
	flags.StringVar(&files.CA, "tls-client-ca", "", "the `file` of the authority that signs the certificates of clients")
	stopOnExit := flags.Bool("stop-on-exit", false, "stop all services in reverse order at the end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		notify := agent.NewNotifier()
		if err := how.check(); err != nil {
			return err
		}
		s, err := a.openOrRegistered(cmd.Context(), args)
		if err != nil {
			return err
		}
		unlock, err := s.dir.LockAgent(cmd.Context())
		if err != nil {
			return err
		}
		defer unlock()
		endpoints, err := a.endpoints(s.file.Name, *listen, files)
		if err != nil {
			return err
		}
		var shown *agent.Endpoint
		if *http != "" {
			if shown, err = agent.NewLocalEndpoint(*http); err != nil {
				return fmt.Errorf("--http: %w", err)
			}
		}
		patience := time.Duration(math.MaxInt64) // nobody is there to start it again
		how.lockTimeout = &patience
		d := &daemon{app: a, args: args, how: *how, stopOnExit: *stopOnExit, notify: notify, booted: s, turn: make(chan struct{}, 1)}
		d.agent, d.page = agent.New(d.work()), page.New(s.all, pageSources)
		s.probed = d.page.Probed
		if shown != nil {
			done, err := d.show(shown)
			if err != nil {
				return err
			}
			defer done()
		}
		return d.run(cmd.Context(), endpoints)
	}
	return cmd
}

// endpoints are checked before the boot: afterwards nobody may look.
func (a *app) endpoints(name string, addresses []string, files agent.Files) (list []*agent.Endpoint, err error) {
	if len(addresses) == 0 {
		e, err := agent.DefaultEndpoint(name)
		return []*agent.Endpoint{e}, err
	}
	for _, address := range addresses {
		e, err := agent.NewEndpoint(address, files, func(err error) { a.say("warning", err.Error(), "tls") })
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// daemon is an agent at work on a configuration.
type daemon struct {
	app        *app
	args       []string // as the agent was given
	how        bootOptions
	stopOnExit bool
	agent      *agent.Agent
	page       *page.Page
	notify     *agent.Notifier

	turn    chan struct{} // of who boots, and of keeping
	keeping *keeping      // nil before the first boot is through

	mu     sync.Mutex
	booted *session // what the last boot was of

	telling sync.Mutex // events, one after the other
	fold    report.Fold
	taken   map[string]bool // services that a boot has come to, while others are still kept
}

func (d *daemon) run(ctx context.Context, endpoints []*agent.Endpoint) error {
	alive, dead := context.WithCancel(context.Background())
	defer dead()
	go d.notify.Watch(alive, d.agent.Alive)

	s := d.booted
	err := d.boot(ctx, s)
	if err == nil || errors.Is(err, errNotReady) {
		d.keepBooted(s, kept{})
		err = d.serve(ctx, endpoints) // and every call is over
		d.rest()
	}
	if d.stopOnExit && ctx.Err() != nil {
		return errors.Join(err, d.stop(context.WithoutCancel(ctx)))
	}
	return err
}

// boot is that of the agent's start. The service manager is asked for more
// time as long as it takes. Podman is waited for, as the lock is: nobody is there
// to start the agent again.
func (d *daemon) boot(ctx context.Context, s *session) error {
	extend, done := context.WithCancel(ctx)
	defer done()
	go d.notify.Extend(extend)
	if holder, held := s.dir.Working(); held {
		text := fmt.Sprintf("waits for bootgraph %s, pid %d, which is at work on %s", holder.Command, holder.PID, s.file.Name)
		d.app.say("info", text, "locked")
		d.status(text)
	}
	for attempt := 1; ; attempt++ {
		err := s.carryOut(ctx, "agent", d.how, false, d.sinks(s)...)
		if !awaited(err) {
			return err
		}
		if !d.awaitPodman(ctx, err, attempt) {
			return context.Cause(ctx)
		}
	}
}

// awaited tells whether an error is that of a Podman that doesn't answer, or not
// as it should: at power-on it may still be on its way. No boot has begun then.
func awaited(err error) bool {
	var e scheduler.Coded
	return errors.As(err, &e) && slices.Contains([]string{"podman_unreachable", "podman_unresponsive", "podman_error"}, e.Code())
}

// awaitPodman waits before the next attempt; false: it is to end. The log has it
// once.
func (d *daemon) awaitPodman(ctx context.Context, why error, attempt int) bool {
	text := why.Error() + "; the agent tries again until it answers"
	if attempt == 1 {
		d.app.say("warning", text, scheduler.CauseOf(why).Code)
	}
	d.status(text)
	select {
	case <-time.After(min(time.Duration(attempt)*time.Second, podmanMost)):
		return true
	case <-ctx.Done():
		return false
	}
}

// podmanMost is how long a Podman that doesn't answer is left alone, at most.
const podmanMost = 10 * time.Second

// sinks are where the events of a boot go, whoever asked for it.
func (d *daemon) sinks(s *session, more ...func(scheduler.Event)) []func(scheduler.Event) {
	return append(more, func(e scheduler.Event) {
		if e.Type == scheduler.RunStarted {
			d.expect(s)
		}
		d.telling.Lock()
		defer d.telling.Unlock()
		if e.Type == scheduler.ServiceMoved {
			d.taken[e.Service] = true
		}
		d.tell(e)
	})
}

// expect makes what a boot begins with what there is.
func (d *daemon) expect(s *session) {
	lasting := *s // the app of a call ends with the call
	lasting.app = d.app
	d.mu.Lock()
	d.booted = &lasting
	d.mu.Unlock()
	d.telling.Lock()
	defer d.telling.Unlock()
	d.agent.Expect(s.all)
	d.page.Expect(s.all)
	d.fold.Expect(s.all)
	d.taken = map[string]bool{}
}

// add is for the events of what is done after a boot, and beside the next one,
// which knows better once it has come to a service.
func (d *daemon) add(e scheduler.Event) {
	d.telling.Lock()
	defer d.telling.Unlock()
	if !d.taken[e.Service] {
		d.tell(e)
	}
}

// tell is for every event there is. Clients wait for those of the agent, and
// then find the same wherever else they look. The caller holds telling.
func (d *daemon) tell(e scheduler.Event) {
	d.page.Add(e)
	d.fold.Add(e)
	d.agent.Add(e)
	d.status(d.fold.Glance())
}

// recall is where each service stands as far as the agent knows.
func (d *daemon) recall() *report.Fold {
	d.telling.Lock()
	defer d.telling.Unlock()
	return d.fold.Clone()
}

// status tells the service manager, and who looks, where things stand.
func (d *daemon) status(text string) {
	if d.fellBack() {
		text = "THE BOOT FILE CAN'T BE USED, this is what was last applied; " + text
	}
	d.page.Say(text)
	_ = d.notify.Status(text) // it is told again at the next event
}

// fellBack reports whether what runs is from the registry, and was to be from
// a boot file.
func (d *daemon) fellBack() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, none := bootFile(d.args)
	return d.booted.path == "" && none == nil
}

// serve lets clients in until ctx ends, which is a good end: it came by a
// signal, and nothing was going on that the signal could spoil.
func (d *daemon) serve(ctx context.Context, endpoints []*agent.Endpoint) error {
	err := d.agent.Serve(ctx, endpoints, func() {
		for _, e := range endpoints {
			d.app.say("info", "serves gRPC at "+e.String(), "serving")
		}
		if err := d.notify.Ready(); err != nil {
			d.app.say("warning", err.Error(), "notify")
		}
	})
	_ = d.notify.Stopping()
	if err == nil {
		d.app.say("info", "the agent ends: "+context.Cause(ctx).Error(), "stopping")
	}
	return err
}

// stop stops all services, and removes none.
func (d *daemon) stop(ctx context.Context) error {
	extend, done := context.WithCancel(ctx)
	defer done()
	go d.notify.Extend(extend)
	d.mu.Lock()
	s := *d.booted
	d.mu.Unlock()
	release, err := s.takeOver(ctx, "agent --stop-on-exit", *d.how.lockTimeout)
	if err != nil {
		return err
	}
	defer release()
	var any atomic.Bool
	return scheduler.Down(ctx, s.all, s.stopWith(s.host.Halt, &any))
}

// open is open for a call. It reads the boot file again; an agent that has
// none takes the registry, which apply may have changed.
func (d *daemon) open(ctx context.Context, a *app, sel scheduler.Selection, replace []string, secrets bool, advise ...advice) (*session, error) {
	name := d.name()
	if _, none := bootFile(d.args); none != nil {
		s, err := a.openRegistered(name)
		if err == nil {
			err = s.narrow(sel, replace)
		}
		return s, err
	}
	s, err := a.open(ctx, d.args, sel, replace, secrets, advise...)
	if err == nil && s.file.Name != name {
		return nil, fmt.Errorf("the boot file is that of %s now, and this agent is that of %s: start it again", s.file.Name, name)
	}
	return s, err
}

// openAnyway is open for calls that tell of what runs: they do so too when the
// boot file can't be used, as far as the last boot knows.
func (d *daemon) openAnyway(ctx context.Context, a *app, sel scheduler.Selection) (*session, error) {
	s, err := d.open(ctx, a, sel, nil, false)
	var unknown *scheduler.Unknown
	if err == nil {
		s.recall = d.recall
	}
	if err == nil || errors.As(err, &unknown) {
		return s, err
	}
	if !errors.Is(err, errTold) {
		a.say("error", err.Error(), "boot_file")
	}
	a.say("warning", "THE BOOT FILE CAN'T BE USED, see above. This is about what was last booted", "boot_file")
	d.mu.Lock()
	last := d.booted
	d.mu.Unlock()
	s = &session{app: a, file: last.file, all: last.all, plan: last.all, dir: last.dir, path: last.path, recall: d.recall}
	return s, s.narrow(sel, nil)
}

func (d *daemon) name() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.booted.file.Name
}
