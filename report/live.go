package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"

	"bootgraph/scheduler"
)

// Live shows a boot on a terminal: what has been passed stays above as a line
// a stage, and below it a block is drawn again and again that says of each
// service where it stands and what it waits for.
//
// It is a sink of events like the others and knows no more than they tell. A
// framework for terminals was left out: the one block needs the cursor moved
// up and lines erased, and they take over input, signals and /dev/tty.
type Live struct {
	w    io.Writer
	opt  LiveOptions
	mu   sync.Mutex
	view view

	drawn []int // widths of the lines of the block on the screen
	last  string
	dirty chan struct{} // one token: something has happened
	stop  chan struct{} // closed when the boot is over
	done  chan struct{} // closed when nothing more is written
}

// LiveOptions say what the terminal is like.
type LiveOptions struct {
	Size    func() (columns, rows int) // asked before each frame, so that it may be resized
	Color   bool
	Unicode bool
}

const (
	frameEvery = 100 * time.Millisecond // at most 10 frames a second
	clockEvery = time.Second            // nothing but the clock has changed
)

// NewLive begins to draw; it ends with the boot.
func NewLive(w io.Writer, opt LiveOptions) *Live {
	l := &Live{w: w, opt: opt, dirty: make(chan struct{}, 1), done: make(chan struct{}), stop: make(chan struct{})}
	go l.draw()
	return l
}

// Add takes the next event. After the last one of the boot it returns when all
// is drawn; what comes then is not shown.
func (l *Live) Add(e scheduler.Event) {
	select {
	case <-l.done:
		return
	default:
	}
	l.mu.Lock()
	l.view.add(e)
	l.mu.Unlock()
	if e.Type == scheduler.RunDone {
		close(l.stop)
		<-l.done
		return
	}
	select {
	case l.dirty <- struct{}{}:
	default:
	}
}

// draw draws when something has happened, and no more often than is seen.
func (l *Live) draw() {
	defer close(l.done)
	clock := time.NewTicker(clockEvery)
	defer clock.Stop()
	for {
		select {
		case <-l.dirty:
		case <-clock.C:
		case <-l.stop:
			l.frame()
			return
		}
		l.frame()
		select {
		case <-time.After(frameEvery):
		case <-l.stop:
			l.frame()
			return
		}
	}
}

// frame brings the screen to what is now: lines that stay, then the block.
func (l *Live) frame() {
	columns, rows := l.opt.Size()
	l.mu.Lock()
	stay := l.view.stay
	l.view.stay = nil
	p := painter{view: &l.view, LiveOptions: l.opt, columns: max(columns, 20), rows: max(rows, 6), now: time.Now()}
	block := p.block()
	l.mu.Unlock()

	shown := strings.Join(block, "\n")
	if len(stay) == 0 && shown == l.last {
		return
	}
	l.last = shown
	var b bytes.Buffer
	// The terminal shows what is between these at once, if it can.
	b.WriteString("\x1b[?2026h")
	if up := height(l.drawn, columns); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteString("\r")
	for _, s := range stay {
		for _, line := range broken(s, columns) { // whole: it scrolls away
			b.WriteString(p.colour(line) + "\x1b[K\n")
		}
	}
	l.drawn = l.drawn[:0]
	for _, line := range block {
		b.WriteString(line + "\x1b[K\n")
		l.drawn = append(l.drawn, p.width(line))
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	_, _ = l.w.Write(b.Bytes()) // nothing can be done about a terminal that is gone
}

// broken breaks a line at spaces where it doesn't fit: a terminal would break
// words. A word that is longer than all of it is left to the terminal.
func broken(line string, columns int) (lines []string) {
	indent := strings.Repeat(" ", min(len(line)-len(strings.TrimLeft(line, " "))+4, columns/3))
	for runewidth.StringWidth(line) > columns {
		fits := len(runewidth.Truncate(line, columns, ""))
		at := strings.LastIndexByte(line[:fits+1], ' ')
		if strings.TrimSpace(line[:max(at, 0)]) == "" {
			break
		}
		lines, line = append(lines, strings.TrimRight(line[:at], " ")), indent+strings.TrimLeft(line[at:], " ")
	}
	return append(lines, line)
}

// height is how many rows lines take that were written to a terminal which has
// so many columns now: it breaks those anew that don't fit any more.
func height(widths []int, columns int) (rows int) {
	for _, w := range widths {
		rows += max(1, (w+columns-1)/max(columns, 1))
	}
	return rows
}

// view is what has happened so far, as far as it is shown.
type view struct {
	fold  Fold
	stage []stageView
	text  progress      // for the first line and the summary
	usual time.Duration // what a boot of this takes; 0: not known
	moves map[string]move
	needs map[string][]scheduler.EdgeNames // who is waited for, by who waits
	open  int                              // index of the stage that boots; len(stage) at the end
	stay  []string                         // lines to be written above the block
}

type stageView struct {
	name     string
	services []string
	began    time.Time
}

// move is what of the last move of a service isn't in the fold.
type move struct {
	until time.Time     // of a timeout or a backoff; zero: none
	took  time.Duration // to ready
	begun bool          // it was made to run once
}

func (v *view) add(e scheduler.Event) {
	v.fold.Add(e)
	v.text.fold.Add(e)
	switch e.Type {
	case scheduler.RunStarted:
		v.stay, v.usual = append(v.stay, v.text.line(e)), e.Usual
		v.moves, v.needs = map[string]move{}, map[string][]scheduler.EdgeNames{}
		for _, st := range e.Stages {
			v.stage = append(v.stage, stageView{name: st.Name, services: st.Services})
		}
		for _, edge := range e.Edges {
			v.needs[edge.To] = append(v.needs[edge.To], edge)
		}
	case scheduler.StageStarted:
		if v.open = slices.IndexFunc(v.stage, func(s stageView) bool { return s.name == e.Stage }); v.open >= 0 {
			v.stage[v.open].began = e.Time
		}
	case scheduler.ServiceMoved:
		m := v.moves[e.Service]
		switch {
		case e.To == scheduler.Starting:
			m.until = e.Time.Add(e.Timeout)
		case e.To == scheduler.Backoff:
			m.until = e.Time.Add(e.Delay)
		case e.To == scheduler.Probing:
			m.begun = true
		case e.To.Settled():
			m.took = e.Elapsed
		}
		v.moves[e.Service] = m
	case scheduler.StageDone:
		v.stay = append(v.stay, v.passed(e))
		v.open++
	case scheduler.RunDone:
		v.open = len(v.stage)
		v.stay = append(v.stay, strings.Split(v.text.line(e), "\n")...)
	}
}

// passed is the line that a stage leaves.
func (v *view) passed(e scheduler.Event) string {
	counts := map[scheduler.State]int{}
	for _, s := range v.fold.Services {
		if s.Stage == e.Stage {
			counts[s.State]++
		}
	}
	sign := signOf[scheduler.Healthy]
	if e.Outcome != scheduler.EndReady {
		sign = signOf[scheduler.Degraded]
	}
	return string(sign) + " " + Clean(e.Stage) + "  " + countStates(counts) + "  " + Elapsed(e.Elapsed)
}

// waitsFor names what a blocked service waits for.
func (v *view) waitsFor(service string) string {
	var list []string
	for _, edge := range v.needs[service] {
		s, known := v.fold.Find(edge.From)
		if known && !s.State.Settled() && !(edge.Kind == "after" && v.moves[edge.From].begun) {
			list = append(list, edge.From)
		}
	}
	if len(list) == 0 {
		return "waits for its image, or a slot"
	}
	return "waits for " + strings.Join(list, ", ")
}

// painter makes one frame.
type painter struct {
	*view
	LiveOptions
	columns, rows int
	now           time.Time
}

// block is all that is drawn anew: nothing before and after the boot.
func (p *painter) block() []string {
	if p.fold.Began.IsZero() || !p.fold.Ended.IsZero() || p.open < 0 || p.open >= len(p.stage) {
		return nil
	}
	st := p.stage[p.open]
	ready := 0
	for _, name := range st.services {
		if s, _ := p.fold.Find(name); s.State.Ready() {
			ready++
		}
	}
	lines := []string{p.paint(fmt.Sprintf("%c %s  %d of %d ready  %s", signStage, Clean(st.name), ready, len(st.services), seconds(p.now.Sub(st.began))))}
	rest := p.waitingStages()
	lines = append(lines, p.services(st, p.rows-3-len(rest))...)
	return append(append(lines, rest...), p.bar())
}

// waitingStages is a line about the stages that are still to come, if any.
func (p *painter) waitingStages() []string {
	var names []string
	services := 0
	for _, st := range p.stage[p.open+1:] {
		names = append(names, Clean(st.name))
		services += len(st.services)
	}
	if len(names) == 0 {
		return nil
	}
	return []string{p.paint(fmt.Sprintf("%c %s  %s to come", signOf[scheduler.Pending], strings.Join(names, ", "), Count(services, "service")))}
}

// urgency says which states give way where there is no room: those that need
// no attention.
var urgency = map[scheduler.State]int{
	scheduler.Backoff: 0, scheduler.Failed: 0, scheduler.Degraded: 0, scheduler.Stopped: 0, scheduler.Probing: 1, scheduler.Starting: 1,
	scheduler.Skipped: 2, scheduler.Blocked: 3, scheduler.Pending: 4, scheduler.Canceled: 4, scheduler.Completed: 5, scheduler.Healthy: 5,
}

// services are the lines of a stage, in its order, rows of them at most.
func (p *painter) services(st stageView, rows int) (lines []string) {
	shown := slices.Clone(st.services)
	state := func(name string) scheduler.State { s, _ := p.fold.Find(name); return s.State }
	left := map[scheduler.State]int{}
	if rows = max(rows, 2); len(shown) > rows {
		slices.SortStableFunc(shown, func(a, b string) int { return urgency[state(a)] - urgency[state(b)] })
		for _, name := range shown[rows-1:] {
			left[state(name)]++
		}
		kept := shown[:rows-1]
		shown = slices.DeleteFunc(slices.Clone(st.services), func(name string) bool { return !slices.Contains(kept, name) })
	}
	width := 0
	for _, name := range shown {
		width = max(width, min(len(name), max(10, p.columns/3)))
	}
	for _, name := range shown {
		lines = append(lines, p.service(name, width))
	}
	if len(left) > 0 {
		lines = append(lines, p.paint("    and "+countStates(left)))
	}
	return lines
}

// service is the line of one: sign, name, state, since when, why, time left.
func (p *painter) service(name string, width int) string {
	s, _ := p.fold.Find(name)
	m := p.moves[name]
	took, right := seconds(p.now.Sub(s.Since)), ""
	var why []string
	if s.Attempt > 1 && !s.State.Ready() {
		why = append(why, fmt.Sprintf("attempt %d", s.Attempt))
	}
	left, word := m.until.Sub(p.now), string(s.State)
	if s.looked() {
		word, left = "running", 0
	}
	switch s.State {
	case scheduler.Blocked:
		why = append(why, p.waitsFor(name))
	case scheduler.Starting, scheduler.Probing:
		if left > 0 {
			right = seconds(left) + " left"
		}
	case scheduler.Backoff:
		why = append(why, "again in "+seconds(max(left, 0)))
	case scheduler.Pending:
		took = ""
	}
	if s.State.Settled() {
		took = ""
		if m.took > 0 {
			took = Elapsed(m.took)
		}
	}
	if !s.Cause.IsZero() {
		why = append(why, Clean(s.Cause.Text))
	}
	line := fmt.Sprintf("  %c %-*s  %-9s  %6s", signOf[s.State], width, runewidth.Truncate(name, width, "…"), word, took)
	if len(why) > 0 {
		line += "  " + strings.Join(why, "; ")
	}
	if right == "" {
		return p.paint(line)
	}
	// Not at the far end of a wide terminal, where no eye finds the line again.
	room := min(p.columns-1-len(right)-2, max(runewidth.StringWidth(line), 100))
	line = runewidth.FillRight(runewidth.Truncate(line, room, "…"), room)
	return p.paint(line + "  " + right)
}

// bar is how far the whole is.
func (p *painter) bar() string {
	done := 0
	for _, s := range p.fold.Services {
		if s.State.Settled() {
			done++
		}
	}
	all, elapsed := len(p.fold.Services), p.now.Sub(p.fold.Began)
	text := fmt.Sprintf("  %d of %s  %s", done, Count(all, "service"), seconds(elapsed))
	switch left := p.usual - elapsed; {
	case p.usual == 0:
	case left >= 0:
		text += fmt.Sprintf("  about %s left", seconds(left))
	default:
		text += fmt.Sprintf("  %s longer than usual", seconds(-left))
	}
	width := max(min(p.columns-1-len(text), 40), 5)
	full := done * width / max(all, 1)
	return p.paint(strings.Repeat(string(signFull), full) + strings.Repeat(string(signEmpty), width-full) + text)
}

// seconds is a duration in whole seconds, so that a line changes once a second.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%ds", int(d.Round(time.Second).Seconds()))
	}
	return Elapsed(d)
}

// Signs say by their form what the colour says too.
var signOf = map[scheduler.State]rune{
	scheduler.Pending: '·', scheduler.Blocked: '◌', scheduler.Starting: '◔', scheduler.Probing: '◑', scheduler.Backoff: '↻',
	scheduler.Healthy: '✓', scheduler.Completed: '✓', scheduler.Degraded: '!', scheduler.Failed: '✗', scheduler.Stopped: '⊘', scheduler.Skipped: '⊘', scheduler.Canceled: '⊘',
}

const (
	signStage = '▸'
	signFull  = '█'
	signEmpty = '░'
)

// plainSigns are for a terminal without Unicode.
var plainSigns = strings.NewReplacer("·", ".", "◌", ".", "◔", "o", "◑", "o", "↻", "~", "✓", "+", "✗", "x", "⊘", "-", "▸", ">", "█", "#", "░", ".", "…", "~")

// colours by sign, of the sixteen that every theme makes readable.
var colours = map[rune]string{
	'·': "2", '◌': "2", '◔': "36", '◑': "36", '↻': "33", '✓': "32", '!': "33", '✗': "31", '⊘': "35", '▸': "1",
}

// paint cuts a line to the width and colours it. The last column stays free:
// some terminals break the line there.
func (p *painter) paint(line string) string {
	return p.colour(runewidth.Truncate(line, p.columns-1, "…"))
}

// colour colours the sign and the state of a line.
func (p *painter) colour(line string) string {
	sign, at := ' ', 0
	for i, r := range line {
		if r != ' ' {
			sign, at = r, i
			break
		}
	}
	colour := ""
	if p.Color {
		colour = colours[sign]
	}
	if colour != "" {
		end := at + len(string(sign))
		line = line[:at] + "\x1b[" + colour + "m" + line[at:end] + "\x1b[0m" + p.paintState(line[end:], colour)
	}
	if !p.Unicode {
		line = plainSigns.Replace(line)
	}
	return line
}

// paintState colours the word of a state in the line of a service.
func (p *painter) paintState(rest, colour string) string {
	for _, s := range scheduler.States {
		word := "  " + string(s) + " "
		if i := strings.Index(rest, word); i >= 0 && strings.HasPrefix(rest, " ") {
			return rest[:i+2] + "\x1b[" + colour + "m" + string(s) + "\x1b[0m" + rest[i+2+len(s):]
		}
	}
	return rest
}

// width is how many columns a painted line takes.
func (p *painter) width(line string) int {
	for {
		i := strings.Index(line, "\x1b[")
		if i < 0 {
			return runewidth.StringWidth(line)
		}
		end := strings.IndexByte(line[i:], 'm')
		line = line[:i] + line[i+end+1:]
	}
}
