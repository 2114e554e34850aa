// Package report writes every output that a person or a program reads: the
// plan, the graph, the progress of a boot, the status. Each is a fold over a
// scheduler.Plan or over the list of events, and gives the same bytes for the
// same input.
//
// It knows nothing of how events come about, of containers, and of flags: who
// calls it says what to write and where to.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Clean makes text of anybody's (an error of a server, a line of a log) safe
// for a terminal and for one line: line breaks become spaces, and control,
// format and bidi characters are written out as escapes.
func Clean(s string) string {
	safe := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range strings.TrimSpace(s) {
		switch {
		case safe(r):
			b.WriteRune(r)
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// Elapsed writes a duration as people read it: 0.35s, 12.4s, 3m04s.
func Elapsed(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Limit writes a duration of the boot file: 60s, 2m, 1m30s.
func Limit(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

// healthText names the checks of a task: tcp 8443, exec.
func healthText(t *scheduler.Task) string {
	if t.Policy.Job {
		return "exit 0"
	}
	var list []string
	for _, h := range t.Service.Health {
		s := h.Kind
		if h.Port != 0 {
			s += " " + strconv.Itoa(int(h.Port))
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func names(p *scheduler.Plan, ids []int) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = p.Tasks[id].Name
	}
	return list
}

func kind(t *scheduler.Task) config.Kind {
	if t.Policy.Job {
		return config.KindJob
	}
	return config.KindService
}

// moment is a time in JSON, as precise as journals have it; null if it is zero.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

// Lines is Clean for text that may have several lines: those after the first
// are indented, as what belongs to it.
func Lines(s, indent string) string {
	var kept []string
	for line := range strings.Lines(s) {
		if line = strings.TrimRight(line, " \t\r\n"); line != "" {
			kept = append(kept, Clean(line))
		}
	}
	return strings.Join(kept, "\n"+indent)
}

// Count writes a number of things.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// writeJSON escapes besides what JSON demands the control and bidi characters
// that it doesn't: text of anybody's may end up on a terminal as JSON, too.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeUnprintable(b.Bytes()))
	return err
}

// escapeUnprintable is for JSON, which has such characters in strings only.
func escapeUnprintable(doc []byte) []byte {
	hidden := func(r rune) bool { return r >= utf8.RuneSelf-1 && !unicode.IsPrint(r) }
	if bytes.IndexFunc(doc, hidden) < 0 {
		return doc
	}
	var b bytes.Buffer
	for _, r := range string(doc) {
		if !hidden(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.Bytes()
}
