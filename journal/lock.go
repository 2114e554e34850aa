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
	Until   time.Time `json:"until,omitzero"` // zero: it holds it, or was killed
	Killed  bool      `json:"-"`              // it was; Until is the latest that may be
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
	// Beside the file the directory is locked, which is not deleted by mistake.
	// That alone was the other road, but NFS has no locks on directories.
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	free, err := d.lock(ctx, "lock", dir, command, timeout)
	if err != nil {
		dir.Close()
		return nil, err
	}
	return func() { dir.Close(); free() }, nil // who gets the file finds the directory free
}

// LockAgent makes the caller the only agent of the configuration. It keeps
// nobody from working on it: an agent has Lock only while it works, too.
func (d Dir) LockAgent(ctx context.Context) (unlock func(), err error) {
	return d.lock(ctx, "agent", nil, "agent", 0)
}

// lock locks the file of that name, and dir if it is not nil.
func (d Dir) lock(ctx context.Context, name string, dir *os.File, command string, timeout time.Duration) (unlock func(), err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	if err := d.acquire(ctx, file, dir, timeout); err != nil {
		file.Close()
		return nil, err
	}
	holder := Holder{PID: os.Getpid(), Command: command, Since: time.Now().UTC()}
	if err := writeHolder(file, holder); err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	return func() {
		holder.Until = time.Now().UTC()
		_ = writeHolder(file, holder)
		file.Close() // this frees the lock
	}, nil
}

// writeHolder says who has the lock, or has had it. Who reads that does so
// without the lock; a torn read is as good as none.
func writeHolder(file *os.File, h Holder) error {
	text, _ := json.Marshal(h)
	return errors.Join(file.Truncate(0), ignoreCount(file.WriteAt(text, 0)))
}

// shareMost is how long a lock that is only shared is waited for in any case:
// who shares it is about to put back a container, and lets go by itself.
const shareMost = time.Minute

// Share waits until nobody has the lock, and keeps others from taking it until
// release. Any number of callers may share it, and status doesn't take it for
// a boot.
func (d Dir) Share(ctx context.Context) (release func(), err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", file.Name(), err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			file.Close()
			return nil, context.Cause(ctx)
		}
	}
}

// killedMost is how long one who was killed may have been at work.
const killedMost = 10 * time.Minute

// LastHolder is who has the lock, or had it last. When one that was killed
// has ended is not known; it is taken for the longest that may be.
func (d Dir) LastHolder() (h Holder, ok bool) {
	h, working := d.Working()
	if working {
		h.Until = time.Time{}
		return h, h.PID != 0
	}
	file, err := os.Open(filepath.Join(d.path, "lock"))
	if err != nil {
		return Holder{}, false
	}
	defer file.Close()
	h, _ = readHolder(file)
	if h.Until.IsZero() {
		h.Until, h.Killed = h.Since.Add(killedMost), true
	}
	return h, h.PID != 0
}

// acquire asks ten times a second: flock(2) has no timeout, and a blocking
// call could not be interrupted. Who is refused and finds nobody's name in the
// file asks again for a moment: it met Working, or a holder that is just
// coming or going.
func (d Dir) acquire(ctx context.Context, file, dir *os.File, timeout time.Duration) error {
	begin := time.Now()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		deleted := err == nil && taken(dir) // under somebody who is at work
		if err == nil && !deleted {
			return nil
		}
		if !deleted && !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("cannot lock %s: %w", file.Name(), err)
		}
		holder, named := readHolder(file)
		patience := timeout
		switch {
		case deleted:
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			holder = Holder{}
		case syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil:
			// Nobody has it, others share it. To keep it shared meanwhile
			// would have two who wait for it wait for each other.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			patience, holder = max(timeout, shareMost), Holder{}
		case !named:
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

// taken tells whether another has locked the directory; else we have, if it can
// be locked at all.
func taken(dir *os.File) bool {
	return dir != nil && errors.Is(syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// Working returns who is at work on the configuration now, if anybody is.
func (d Dir) Working() (Holder, bool) { return d.holder("lock") }

// Agent returns the agent of the configuration, if there is one.
func (d Dir) Agent() (Holder, bool) { return d.holder("agent") }

func (d Dir) holder(name string) (Holder, bool) {
	file, err := os.Open(filepath.Join(d.path, name))
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
	return h, json.Unmarshal(data[:n], &h) == nil && h.Until.IsZero()
}

func ignoreCount(_ int, err error) error { return err }
