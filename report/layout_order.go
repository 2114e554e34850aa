package report

import (
	"cmp"
	"math"
	"slices"
)

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
