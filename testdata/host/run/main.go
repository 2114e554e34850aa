// Command run gives a program a Podman service of its own:
//
//	go run ./testdata/host/run [-rootless] -- COMMAND ARGS…
//
// It starts a private service (package host) with the images of
// testdata/server, runs COMMAND with CONTAINER_HOST set to it, removes
// everything, and exits with the status of COMMAND (of which `go run` keeps
// only whether it is 0). SIGINT, SIGTERM and SIGHUP are passed on to COMMAND,
// which then decides when it ends.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"bootgraph/testdata/host"
)

func main() {
	rootless := flag.Bool("rootless", false, "run Podman as an ordinary user")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: run [-rootless] -- COMMAND ARGS…")
		os.Exit(2)
	}
	status, err := run(*rootless, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(status)
}

func run(rootless bool, argv []string) (status int, err error) {
	// Before the start: a signal during it ends COMMAND as soon as it runs,
	// rather than this process with half of a service.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	h, err := host.Start(host.Options{Rootless: rootless})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.BuildImages(); err != nil {
		return 0, err
	}
	fmt.Fprintln(os.Stderr, "private podman: export CONTAINER_HOST="+h.URI())

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "CONTAINER_HOST="+h.URI())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			// Ctrl-C reaches all of the terminal's foreground, so COMMAND
			// has it already, and may take a second one for impatience.
			if s != os.Interrupt || !hasTerminal() {
				cmd.Process.Signal(s)
			}
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				return max(exit.ExitCode(), 1), nil // -1: ended by a signal
			}
			return 0, err
		}
	}
}

// hasTerminal tells whether this process has a controlling terminal: tty(4).
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err == nil {
		f.Close()
	}
	return err == nil
}
