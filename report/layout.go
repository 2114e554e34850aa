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
	inner   int       // how wide the widest row is
	rows    [][]int   // slots, from left to right
	stageOf []int     // the stage of a row
	top     []int     // y of a row
	slots   []slot    // one a box, with its number; then those where lines pass
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
	l := &layout{Picture: p, boxes: make([]rect, len(p.Boxes)), slots: make([]slot, len(p.Boxes)), into: make([][]entry, len(p.Boxes))}
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
	l.left = margin + bandPad + max(l.left, textWidth("boot goes on when", ruleSize, false)) + 2*bandPad
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

// breakLayer makes rows of about the same width, the last of which may be
// shorter.
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

// arrange sorts and spreads the rows, down and up again, and keeps the order
// with the fewest crossings.
func (l *layout) arrange() {
	for r, row := range l.rows {
		l.spread(r, func(s int) (int, int) { return l.slots[s].x, 1 })
		last := row[len(row)-1]
		l.inner = max(l.inner, l.slots[last].x+l.slots[last].w/2)
	}
	sweeps := 12
	if len(l.slots) > 20_000 {
		sweeps = 2
	}
	best, fewest := l.rows, math.MaxInt
	for sweep := range 2 * sweeps {
		l.sweep(sweep%2 == 0, func(r int, want func(int) (int, int)) {
			l.sortRow(r, want)
			l.spread(r, want)
		})
		if n := l.crossings(); n < fewest {
			fewest = n
			best = make([][]int, len(l.rows))
			for r := range l.rows {
				best[r] = slices.Clone(l.rows[r])
			}
		}
	}
	l.rows = best
	for sweep := range 8 * sweeps {
		l.sweep(sweep%2 == 0, func(r int, _ func(int) (int, int)) { l.spread(r, l.between) })
	}
	for _, row := range l.rows {
		l.closeUp(row)
	}
}

// closeUp takes the gaps out of the right end of a row, where nothing joins
// the boxes to another row.
func (l *layout) closeUp(row []int) {
	for i, s := range row {
		switch {
		case !l.loose(s):
		case i == 0:
			l.slots[s].x = l.slots[s].w / 2
		default:
			l.slots[s].x = l.slots[row[i-1]].x + l.apart(row[i-1], s)
		}
	}
}

func (l *layout) loose(s int) bool { return len(l.slots[s].up)+len(l.slots[s].down) == 0 }

// sweep visits the rows downwards, each with what its slots want because of
// the rows above, or upwards.
func (l *layout) sweep(down bool, visit func(row int, want func(slot int) (x, weight int))) {
	for i := range l.rows {
		if down {
			visit(i, func(s int) (int, int) { return l.mean(s, l.slots[s].up) })
		} else {
			visit(len(l.rows)-1-i, func(s int) (int, int) { return l.mean(s, l.slots[s].down) })
		}
	}
}

// between is where a slot would like to be because of all its neighbours.
func (l *layout) between(s int) (x, weight int) {
	up, above := l.mean(s, l.slots[s].up)
	down, below := l.mean(s, l.slots[s].down)
	switch {
	case len(l.slots[s].up) == 0:
		return down, below
	case len(l.slots[s].down) == 0:
		return up, above
	}
	return (up*above + down*below) / (above + below), above + below
}

// mean is the middle of neighbours by their weights. What has none likes to
// stay, but not much.
func (l *layout) mean(s int, pulls []pull) (x, weight int) {
	if len(pulls) == 0 {
		return l.slots[s].x, 1
	}
	for _, p := range pulls {
		x, weight = x+l.slots[p.slot].x*p.weight, weight+p.weight
	}
	return x / weight, weight
}

// sortRow puts what nothing is joined to at the right end, out of the way.
func (l *layout) sortRow(r int, want func(slot int) (x, weight int)) {
	key := func(s int) int {
		if l.loose(s) {
			return math.MaxInt
		}
		x, _ := want(s)
		return x
	}
	slices.SortStableFunc(l.rows[r], func(a, b int) int { return cmp.Compare(key(a), key(b)) })
}

// spread moves the slots of a row as near to where they want to be as their
// order and widths allow: the least sum of weighted squares, by pooling
// adjacent violators (Barlow and others, 1972).
func (l *layout) spread(r int, want func(slot int) (x, weight int)) {
	type pool struct{ sum, weight, slots int }
	var pools []pool
	mean := func(p pool) int { return p.sum / p.weight }
	row := l.rows[r]
	offset := make([]int, len(row)) // of a slot's middle from the first one's, at the least
	for i, s := range row {
		if i > 0 {
			offset[i] = offset[i-1] + l.apart(row[i-1], s)
		}
		x, weight := want(s)
		pools = append(pools, pool{(x - offset[i]) * weight, weight, 1})
		for n := len(pools) - 1; n > 0 && mean(pools[n-1]) > mean(pools[n]); n-- {
			pools[n-1] = pool{pools[n-1].sum + pools[n].sum, pools[n-1].weight + pools[n].weight, pools[n-1].slots + pools[n].slots}
			pools = pools[:n]
		}
	}
	first, last := l.slots[row[0]].w/2, l.slots[row[len(row)-1]].w/2
	i := 0
	for _, p := range pools {
		x := max(min(mean(p), l.inner-last-offset[len(row)-1]), first)
		for range p.slots {
			l.slots[row[i]].x = x + offset[i]
			i++
		}
	}
}

// apart is how far the middles of two neighbours in a row are, at the least.
func (l *layout) apart(a, b int) int {
	gap := lineGap
	if l.isBox(a) && l.isBox(b) {
		gap = boxGap
	}
	return (l.slots[a].w+l.slots[b].w)/2 + gap
}

func (l *layout) isBox(slot int) bool { return slot < len(l.Boxes) }

// crossings counts them between neighbouring rows: the inversions of the
// lower ends, by a Fenwick tree.
func (l *layout) crossings() (n int) {
	place := make([]int, len(l.slots))
	for _, row := range l.rows {
		for i, s := range row {
			place[s] = i
		}
	}
	for r := 1; r < len(l.rows); r++ {
		size := len(l.rows[r])
		tree, seen := make([]int, size+1), 0
		for _, s := range l.rows[r-1] {
			var ends []int
			for _, p := range l.slots[s].down {
				if l.slots[p.slot].row == r {
					ends = append(ends, place[p.slot])
				}
			}
			for _, end := range ends {
				n += seen
				for i := end + 1; i > 0; i -= i & -i {
					n -= tree[i]
				}
			}
			for _, end := range ends {
				seen++
				for i := end + 1; i <= size; i += i & -i {
					tree[i]++
				}
			}
		}
	}
	return n
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

// placeEnds spreads the lines of a box over its lower and upper edge, in the
// order of where they go to and come from.
func (l *layout) placeEnds() {
	for b, entries := range l.into {
		slices.SortStableFunc(entries, func(a, b entry) int { return l.slots[a.above].x - l.slots[b.above].x })
		for k := range entries {
			e := &entries[k]
			e.x = l.boxes[b].x + l.boxes[b].w/2 + fan(k, len(entries), l.boxes[b].w)
			if above := l.left + l.slots[e.above].x; len(entries) == 1 && !l.isBox(e.above) {
				e.x = straight(e.x, above)
			}
		}
	}
	for i, n := 0, 0; i < len(l.lines); i = n {
		for n = i; n < len(l.lines) && l.lines[n].from == l.lines[i].from; n++ {
		}
		l.placeBeginnings(i, n)
	}
}

// placeBeginnings does so for the lines from i to n, which are all that leave
// one box.
func (l *layout) placeBeginnings(i, n int) {
	box := l.boxes[l.lines[i].from]
	order := make([]int, 0, n-i)
	for ; i < n; i++ {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return l.slots[l.below(a)].x - l.slots[l.below(b)].x })
	for k, i := range order {
		x := box.x + box.w/2 + fan(k, len(order), box.w)
		if below := l.below(i); len(order) > 1 {
		} else if l.isBox(below) {
			x = straight(x, l.entryOf(i, below).x)
		} else {
			x = straight(x, l.left+l.slots[below].x)
		}
		l.lines[i].x = x
	}
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
