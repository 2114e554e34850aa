package report

import (
	"cmp"
	"math"
	"slices"
)

// layout places a picture on a plane: stages are bands from top to bottom in
// boot order, with rows of boxes in each. Every line points down.
//
// It is the layered layout of Sugiyama, Tagawa and Toda (1981), with two
// changes. Arrows of one kind from one box are one line that branches, since
// many services wait for the same few. And a row's order and its places are
// found together: a row is sorted by where its slots would like to be, then
// spread so that none overlap.
//
// All of it is whole pixels: sums of floats differ between processors, and the
// same input has to give the same bytes.
type layout struct {
	*Picture
	boxes    []rect // by box
	bands    []rect // by stage
	barriers []int  // y, by the stage above
	lines    []line // by the box they come from
	width    int
	height   int

	left    int       // where rows begin, right of the names of the stages
	inner   int       // how wide the widest row is, or the heading
	rows    [][]int   // slots, from left to right
	stageOf []int     // the stage of a row
	top     []int     // y of a row
	slots   []slot    // one a box, with its number; then those where lines pass
	out     [][]int   // by box: the lines that begin there
	into    [][]entry // by box: the lines that end there, from left to right
}

type rect struct{ x, y, w, h int }

// slot is a piece of a row: a box, or a line that passes.
type slot struct {
	row      int
	x, w     int // x is its middle
	up, down []pull
}

// pull is a neighbour in a row above or below, and how strongly a slot would
// like to be in line with it.
type pull struct{ slot, weight int }

// line is all arrows of one kind from one box.
type line struct {
	from    int
	wait    Wait
	to      []int // boxes, from top to bottom
	through []int // the slot of each row that it passes
	x       int   // where it leaves the box
}

// entry is where a line ends at a box, and where it comes from in the row above.
type entry struct{ line, above, x int }

// barrier is the wait that no arrow shows: the next step of the critical path
// begins behind a barrier.
const barrier = After + 1

const (
	margin    = 16
	header    = 46 // above the first band
	boxHeight = 42
	boxGap    = 14 // between boxes of a row
	lineGap   = 10 // between lines of a row, and to boxes
	bandGap   = 34 // between stages; the barrier is in its middle
	bandPad   = 14 // between a band's edge and its boxes
)

func layOut(p *Picture) *layout {
	l := &layout{Picture: p, boxes: make([]rect, len(p.Boxes)), slots: make([]slot, len(p.Boxes)),
		out: make([][]int, len(p.Boxes)), into: make([][]entry, len(p.Boxes))}
	l.measure()
	l.fillRows()
	l.connect()
	l.arrange()
	l.settle()
	return l
}

// measure gives boxes their size: one width for all but those with long texts,
// so that they stand in columns.
func (l *layout) measure() {
	const least, most = 104, 184
	usual := least
	for i := range l.Boxes {
		name, checks := l.label(i)
		w := max(textWidth(name, nameSize, true), textWidth(checks, checkSize, false)) + 2*textPad
		w += w % 2 // so that a middle is a whole number
		l.slots[i].w = w
		if w <= most {
			usual = max(usual, w)
		}
	}
	for i := range l.slots {
		l.slots[i].w = max(l.slots[i].w, usual)
	}
	for _, st := range l.Stages {
		l.left = max(l.left, textWidth(Clean(st.Name), nameSize, true))
	}
	l.left = margin + bandPad + max(l.left, textWidth("on failure: continue", ruleSize, false)) + 2*bandPad
	heading := margin + textWidth(Clean(l.Name), titleSize, true) + titleGap + textWidth(l.size(), checkSize, false)
	l.inner = max(0, heading-l.left-bandPad)
}

// fillRows puts each stage's boxes into rows: by the longest chain of arrows
// in the stage that leads to them. A layer that is too wide is broken.
func (l *layout) fillRows() {
	layer := make([]int, len(l.Boxes))
	in, out := make([]bool, len(l.Boxes)), make([]bool, len(l.Boxes))
	for _, a := range l.Arrows { // by To, and From is before To: one pass is enough
		if l.Boxes[a.From].Stage == l.Boxes[a.To].Stage {
			layer[a.To] = max(layer[a.To], layer[a.From]+1)
		}
		out[a.From], in[a.To] = true, true
	}
	for i := 1; i < len(l.Chain); i++ {
		out[l.Chain[i-1]], in[l.Chain[i]] = true, true
	}
	// Of a broken layer, what waits for a row above comes first and what is
	// waited for below last: lines are short then, and pass few rows.
	rank := func(b int) int {
		switch {
		case in[b] && !out[b]:
			return 0
		case !out[b]:
			return 1
		case in[b]:
			return 2
		}
		return 3
	}
	columns := max(6, int(math.Sqrt(float64(len(l.Boxes)))*0.6))
	for _, boxes := range l.byStage() {
		slices.SortStableFunc(boxes, func(a, b int) int {
			return cmp.Or(layer[a]-layer[b], rank(a)-rank(b))
		})
		for len(boxes) > 0 {
			n := 1
			for n < len(boxes) && layer[boxes[n]] == layer[boxes[0]] {
				n++
			}
			l.breakLayer(boxes[:n], columns)
			boxes = boxes[n:]
		}
	}
}

// breakLayer makes rows of about the same width: each ends when it has its
// share, so that only the last is shorter, as in a grid.
func (l *layout) breakLayer(boxes []int, columns int) {
	usual, total := l.slots[boxes[0]].w, 0
	for _, b := range boxes {
		usual = min(usual, l.slots[b].w)
		total += l.slots[b].w + boxGap
	}
	limit := columns * (usual + boxGap)
	rows := (total + limit - 1) / limit
	for w := 0; len(boxes) > 0; w = 0 {
		n := 0
		for n < len(boxes) && w*rows < total {
			w += l.slots[boxes[n]].w + boxGap
			n++
		}
		for _, b := range boxes[:n] {
			l.slots[b].row = len(l.rows)
		}
		l.rows = append(l.rows, slices.Sorted(slices.Values(boxes[:n])))
		l.stageOf = append(l.stageOf, l.Boxes[boxes[0]].Stage)
		boxes = boxes[n:]
	}
}

// connect makes lines of the arrows, and slots where lines pass a row.
func (l *layout) connect() {
	byFrom := make([][]Arrow, len(l.Boxes))
	joined := map[[2]int]bool{}
	for _, a := range l.Arrows {
		byFrom[a.From] = append(byFrom[a.From], a)
		joined[[2]int{a.From, a.To}] = true
	}
	for i := 1; i < len(l.Chain); i++ {
		if a, b := l.Chain[i-1], l.Chain[i]; !joined[[2]int{a, b}] {
			byFrom[a] = append(byFrom[a], Arrow{a, b, barrier})
		}
	}
	passed := 0
	for from, arrows := range byFrom {
		slices.SortStableFunc(arrows, func(a, b Arrow) int {
			return cmp.Or(int(a.Wait-b.Wait), l.slots[a.To].row-l.slots[b.To].row)
		})
		for i, a := range arrows {
			if i == 0 || a.Wait != arrows[i-1].Wait {
				l.out[from] = append(l.out[from], len(l.lines))
				l.lines = append(l.lines, line{from: from, wait: a.Wait})
			}
			n := &l.lines[len(l.lines)-1]
			n.to = append(n.to, a.To)
			if i+1 == len(arrows) || a.Wait != arrows[i+1].Wait {
				passed += l.slots[a.To].row - l.slots[from].row - 1
			}
		}
	}
	_, steps := l.critical()
	for i := range l.lines {
		// Nobody can follow a hundred thousand lines, so in a huge picture
		// they go straight, behind the boxes.
		l.route(&l.lines[i], i, passed <= 50_000, steps)
	}
}

// route leads a line past the rows between its ends. Slots where it passes
// pull the most, so that long lines are straight.
func (l *layout) route(n *line, index int, around bool, steps map[[2]int]bool) {
	last := n.from
	join := func(to, weight int) {
		l.slots[last].down = append(l.slots[last].down, pull{to, weight})
		l.slots[to].up = append(l.slots[to].up, pull{last, weight})
	}
	for _, to := range n.to {
		weight := 20
		if steps[[2]int{n.from, to}] {
			weight = 240
		}
		for row := l.slots[last].row + 1; around && row < l.slots[to].row; row++ {
			passing := len(l.slots)
			l.slots = append(l.slots, slot{row: row})
			l.rows[row] = append(l.rows[row], passing)
			n.through = append(n.through, passing)
			if last == n.from {
				join(passing, weight+10)
			} else {
				join(passing, 80)
			}
			last = passing
		}
		join(to, weight)
		l.into[to] = append(l.into[to], entry{line: index, above: last})
	}
}

// settle turns slots into boxes, bands and the ends of lines.
func (l *layout) settle() {
	y, r := header, 0
	l.width = l.left + l.inner + bandPad + margin
	for stage := range l.Stages {
		if stage > 0 {
			l.barriers = append(l.barriers, y+bandGap/2)
			y += bandGap
		}
		band := rect{margin, y, l.width - 2*margin, 0}
		y += bandPad
		for first := r; r < len(l.rows) && l.stageOf[r] == stage; r++ {
			if r > first {
				y += l.rowGap(r)
			}
			l.top = append(l.top, y)
			y += boxHeight
		}
		y = max(y, band.y+bandPad+boxHeight) + bandPad
		band.h = y - band.y
		l.bands = append(l.bands, band)
	}
	l.height = y + margin
	for b := range l.boxes {
		s := l.slots[b]
		l.boxes[b] = rect{l.left + s.x - s.w/2, l.top[s.row], s.w, boxHeight}
	}
	l.placeEnds()
}

// rowGap is the room above a row of the same stage: more of it the farther
// lines go sideways.
func (l *layout) rowGap(r int) int {
	gap, aside := boxGap, 0
	for _, s := range l.rows[r] {
		for _, p := range l.slots[s].up {
			if l.isBox(s) || l.isBox(p.slot) {
				gap = 32
			}
			aside = max(aside, abs(l.slots[s].x-l.slots[p.slot].x))
		}
	}
	return gap + min(aside/14, 36)
}

// placeEnds spreads the lines of a box over its upper and lower edge, in the
// order of where they come from and go to.
func (l *layout) placeEnds() {
	for b, entries := range l.into {
		slices.SortStableFunc(entries, func(a, b entry) int { return l.slots[a.above].x - l.slots[b.above].x })
		for k := range entries {
			entries[k].x = l.boxes[b].x + l.boxes[b].w/2 + fan(k, len(entries), l.boxes[b].w)
		}
		if len(entries) == 1 && !l.isBox(entries[0].above) {
			entries[0].x = straight(entries[0].x, l.left+l.slots[entries[0].above].x)
		}
	}
	for b, lines := range l.out {
		slices.SortStableFunc(lines, func(i, j int) int { return l.slots[l.below(i)].x - l.slots[l.below(j)].x })
		for k, i := range lines {
			l.lines[i].x = l.boxes[b].x + l.boxes[b].w/2 + fan(k, len(lines), l.boxes[b].w)
		}
		if len(lines) == 1 {
			l.lines[lines[0]].x = straight(l.lines[lines[0]].x, l.firstTurn(lines[0]))
		}
	}
}

// firstTurn is where a line gets to in the next row.
func (l *layout) firstTurn(line int) int {
	if below := l.below(line); !l.isBox(below) {
		return l.left + l.slots[below].x
	}
	return l.entryOf(line, l.lines[line].to[0]).x
}

// straight moves an end that is all but in line with the other one.
func straight(x, other int) int {
	if abs(x-other) <= 12 {
		return other
	}
	return x
}

// entryOf is where a line ends at a box.
func (l *layout) entryOf(line, box int) entry {
	i := slices.IndexFunc(l.into[box], func(e entry) bool { return e.line == line })
	return l.into[box][i]
}

// below is the slot that a line goes to first.
func (l *layout) below(i int) int {
	n := &l.lines[i]
	if len(n.through) > 0 {
		return n.through[0]
	}
	return n.to[0]
}

// fan is how far from the middle of an edge the k-th of n ends is.
func fan(k, n, width int) int {
	step := min(14, (width-24)/max(n-1, 1))
	return k*step - (n-1)*step/2
}

func abs(n int) int { return max(n, -n) }
