package host

import (
	"context"
	"errors"
	"os"
)

// PowerOff is a loss of power, as far as one Host can have one of its own: no
// process is asked, what the kernel had of them is gone, and so is what Podman
// has under /run. What is on the disk says what it said at that moment: that
// containers run. Restart is the next power-on.
func (h *Host) PowerOff() error {
	h.Kill()
	database := h.path("root/libpod/bolt_state.db")
	before, err := os.ReadFile(database)
	if err != nil {
		return err
	}
	// SIGKILL, by Podman: with the kernel the rules of the network and the
	// mounts would be gone too, and only Podman knows them all. It writes down
	// what it has done, so its database is put back.
	_, err = h.Podman(context.Background(), "stop", "--all", "--time=0")
	killAll(func(p process) bool { return p.of(h) })
	if os.Getuid() == 0 {
		deleteContainers(h.Dir)
	}
	return errors.Join(err, unmountBelow(h.Dir), os.RemoveAll(h.path("runroot")), os.RemoveAll(h.path("tmp")),
		os.WriteFile(database, before, 0o600))
}
