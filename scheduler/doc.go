// Package scheduler decides what starts when.
//
// Compile turns a configuration into a Plan, once: stages, tasks in an order
// that never changes, who waits for whom, attempts and timeouts. The policy of
// a service is one pure function, next, over a small state machine. Run drives
// it, a goroutine a task and an errgroup a stage. All that anyone ever sees of
// a boot is a fold over the list of Events that it gives.
//
// It knows nothing of Podman, of sockets, of printing and of files: the world
// is small interfaces (Runtime, Prober, Sentry; Keeper and Watcher), and events
// go to sinks.
//
// Simulate is a second driver of the same policy: a queue of moments in virtual
// time, without goroutines, in an imagined world. It gives the events that Run
// would give there.
//
// Supervise goes on where Run has ended: the same policy, the same gate, the
// same events, for what falls after the boot.
package scheduler
