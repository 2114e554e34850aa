// Package journal keeps what has to outlive the process on disk: the lock of
// a configuration and the events of each of its boots. Plain files, one folder
// a configuration:
//
//	STATE/NAME/lock           held by the apply or down that is at work
//	STATE/NAME/agent          held by the agent, as long as it runs
//	STATE/NAME/runs/ID.jsonl  the events of one boot, a JSON object a line
//
// It knows nothing of what the events mean.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bootgraph/scheduler"
)

// Dir is the folder of one configuration.
type Dir struct{ path string }

// Root returns where state is kept: $XDG_STATE_HOME/bootgraph if that is set,
// else /var/lib/bootgraph for root and ~/.local/state/bootgraph for others
// (XDG Base Directory Specification 0.8).
func Root() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "bootgraph"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/bootgraph", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot tell where to keep state: %w; set XDG_STATE_HOME", err)
	}
	return filepath.Join(home, ".local", "state", "bootgraph"), nil
}

// At returns the folder of the configuration with this name below root.
// Nothing is created before something is written.
func At(root, name string) Dir { return Dir{filepath.Join(root, name)} }

// Writer appends the events of one run. Lines are written whole and at once,
// so that a journal can be read while it grows and to its last whole line
// after a crash; only the first and the last events are synced, a sync a line
// would have every boot wait for the disk.
type Writer struct {
	file *os.File
	size int64 // bytes in it
	most int64 // bytes that may be
	lost error // why it is not complete

	after *after // nil: it is that of a boot that goes on
}

// after is the part of a journal that comes after its boot. It may go on for
// years: when it has grown too large, of each service its last event is left.
type after struct {
	boot int64 // bytes before it
	last map[string]scheduler.Event
	warn func(error)
}

const (
	journalMost = 64 << 20 // bytes of a boot; one of 10,000 services has about 15 MiB
	afterMost   = 8 << 20  // bytes of what comes after it
)

// Create begins the journal of a run. The file must not exist yet.
func (d Dir) Create(run string) (*Writer, error) {
	dir := filepath.Join(d.path, "runs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot keep a journal: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, run+".jsonl"), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot keep a journal: %w", err)
	}
	return &Writer{file: file, most: journalMost}, nil
}

// Append goes on with the journal of a run, for what comes after its boot. warn
// is told when it is not complete any more: it may be long until Close.
func (d Dir) Append(run string, warn func(error)) (*Writer, error) {
	file, err := os.OpenFile(filepath.Join(d.path, "runs", run+".jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot go on with a journal: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot go on with a journal: %w", err)
	}
	return &Writer{file: file, size: info.Size(), most: info.Size() + afterMost,
		after: &after{boot: info.Size(), last: map[string]scheduler.Event{}, warn: warn}}, nil
}

// Add appends an event. It is a sink for scheduler.Run: what can't be written
// holds up no boot. It is lost, and Close tells of it; where there is room
// again, the journal goes on.
func (w *Writer) Add(e scheduler.Event) {
	if w.after != nil && e.Type == scheduler.ServiceMoved {
		w.after.last[e.Service] = e
	}
	line, err := lineOf(e)
	if err == nil {
		err = w.put(line)
	}
	if err == nil && (e.Type == scheduler.RunStarted || e.Type == scheduler.RunDone) {
		err = w.file.Sync()
	}
	if err != nil && w.lost == nil {
		w.lost = fmt.Errorf("the journal %s is not complete: %w", w.file.Name(), err)
		if w.after != nil {
			w.after.warn(w.lost)
		}
	}
}

func lineOf(e scheduler.Event) ([]byte, error) {
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}

// put writes a line, or nothing: a torn one would hide all after it.
func (w *Writer) put(line []byte) error {
	if w.size+int64(len(line)) > w.most {
		if w.after == nil {
			return fmt.Errorf("it has %d MiB", w.most>>20)
		}
		return w.compact()
	}
	n, err := w.file.Write(line)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, w.file.Truncate(w.size))
		}
		return err
	}
	w.size += int64(n)
	return nil
}

// compact leaves the last event of each service, the newest of all among them.
func (w *Writer) compact() error {
	var text []byte
	for _, e := range slices.SortedFunc(maps.Values(w.after.last), func(a, b scheduler.Event) int { return a.Seq - b.Seq }) {
		line, err := lineOf(e)
		if err != nil {
			return err
		}
		text = append(text, line...)
	}
	if err := w.file.Truncate(w.after.boot); err != nil {
		return err
	}
	w.size = w.after.boot
	w.most = max(w.most, w.size+2*int64(len(text))) // of very many services
	return w.put(text)
}

// Close ends the journal and returns the first error of writing it.
func (w *Writer) Close() error {
	if err := w.file.Close(); err != nil && w.lost == nil {
		w.lost = fmt.Errorf("the journal %s is not complete: %w", w.file.Name(), err)
	}
	return w.lost
}

// Runs returns the IDs of the runs there are journals of, oldest first: IDs
// begin with the time.
func (d Dir) Runs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, "runs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read journals: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".jsonl"); ok && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Trim removes the oldest journals so that as many as these are left.
func (d Dir) Trim(keep int) error {
	runs, err := d.Runs()
	if err != nil {
		return err
	}
	for _, run := range runs[:max(0, len(runs)-keep)] {
		if err := os.Remove(filepath.Join(d.path, "runs", run+".jsonl")); err != nil {
			return fmt.Errorf("cannot remove an old journal: %w", err)
		}
	}
	return nil
}

// Damage is a journal that could be read only up to a line.
type Damage struct {
	Path string
	Line int
	Err  error
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged at line %d (%v): read up to there", d.Path, d.Line, d.Err)
}

// Read returns the events of a run. A last line without its end is one that
// is being written, or that a crash cut off, and is passed over; any other
// line that can't be read gives *Damage with the events before it.
func (d Dir) Read(run string) ([]scheduler.Event, error) {
	path := filepath.Join(d.path, "runs", run+".jsonl")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal of run %s: %w", run, err)
	}
	var events []scheduler.Event
	lines := bufio.NewReader(bytes.NewReader(data))
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return events, nil
		}
		var e scheduler.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return events, &Damage{path, n, err}
		}
		events = append(events, e)
	}
}

const runTime = "20060102T150405.000Z"

// NewRun returns the ID of a run that begins now: the time in UTC, to be read
// and sorted by people and programs alike, and the process, since two agents
// may begin in one second.
func NewRun(now time.Time, pid int) string {
	return now.UTC().Format(runTime) + "-" + fmt.Sprint(pid)
}

// Began tells whether it is the holder who began a run, since it has its lock.
func (h Holder) Began(run string) bool {
	return strings.HasSuffix(run, fmt.Sprintf("-%d", h.PID)) && run >= h.Since.UTC().Format(runTime)
}
