package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Holder is who holds a lock.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"` // apply, down
	Since   time.Time `json:"since"`
}

// Held is the error of Lock when somebody else is at work.
type Held struct {
	Name   string
	Holder Holder // the zero Holder if it has yet to write who it is
}

func (h *Held) Error() string {
	if h.Holder.PID == 0 {
		return fmt.Sprintf("another bootgraph is at work on %s: wait for it (--lock-timeout)", h.Name)
	}
	return fmt.Sprintf("%s is locked by bootgraph %s, pid %d, since %s: wait for it (--lock-timeout) or end it",
		h.Name, h.Holder.Command, h.Holder.PID, h.Holder.Since.Local().Format(time.TimeOnly))
}

// Lock makes the caller the only one at work on the configuration, until
// Unlock or until the process dies: it is a kernel lock (flock(2)) on a file
// that stays, so a dead holder never has to be cleaned up after. If another
// holds it for longer than timeout, the error is *Held.
func (d Dir) Lock(ctx context.Context, command string, timeout time.Duration) (unlock func(), err error) {
	return d.lock(ctx, "lock", command, timeout)
}

// LockAgent makes the caller the only agent of the configuration. It keeps
// nobody from working on it: an agent has Lock only while it works, too.
func (d Dir) LockAgent(ctx context.Context) (unlock func(), err error) {
	return d.lock(ctx, "agent", "agent", 0)
}

func (d Dir) lock(ctx context.Context, name, command string, timeout time.Duration) (unlock func(), err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	if err := d.acquire(ctx, file, timeout); err != nil {
		file.Close()
		return nil, err
	}
	holder, _ := json.Marshal(Holder{os.Getpid(), command, time.Now().UTC()})
	// Who reads the holder does so without the lock. It is for the message
	// alone, so a torn read does no harm.
	if err := errors.Join(file.Truncate(0), ignoreCount(file.WriteAt(holder, 0))); err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	return func() {
		_ = file.Truncate(0)
		file.Close() // this frees the lock
	}, nil
}

// acquire asks ten times a second: flock(2) has no timeout, and a blocking
// call could not be interrupted. Who is refused and finds nobody's name in the
// file asks again for a moment: it met Working, or a holder that is just
// coming or going.
func (d Dir) acquire(ctx context.Context, file *os.File, timeout time.Duration) error {
	begin := time.Now()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("cannot lock %s: %w", file.Name(), err)
		}
		holder, named := readHolder(file)
		patience := timeout
		if !named {
			patience = max(timeout, time.Second)
		}
		if time.Since(begin) >= patience {
			return &Held{filepath.Base(d.path), holder}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Working returns who is at work on the configuration now, if anybody is.
func (d Dir) Working() (Holder, bool) {
	file, err := os.Open(filepath.Join(d.path, "lock"))
	if err != nil {
		return Holder{}, false
	}
	defer file.Close()
	// A shared lock is had only while nobody holds the exclusive one; closing
	// the file gives it back.
	if syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return Holder{}, false
	}
	holder, _ := readHolder(file)
	return holder, true
}

func readHolder(file *os.File) (h Holder, named bool) {
	data := make([]byte, 4096)
	n, _ := file.ReadAt(data, 0)
	return h, json.Unmarshal(data[:n], &h) == nil
}

func ignoreCount(_ int, err error) error { return err }
