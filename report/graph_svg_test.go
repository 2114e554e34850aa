package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// element is any element of an XML document.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

func (e *element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e *element) number(name string) int {
	n, _ := strconv.Atoi(e.attr(name))
	return n
}

func (e *element) rect() rect {
	return rect{e.number("x"), e.number("y"), e.number("width"), e.number("height")}
}

func (e *element) is(tag, class string) bool {
	return e.XMLName.Local == tag && slices.Contains(strings.Fields(e.attr("class")), class)
}

func parseSVG(t interface{ Fatal(...any) }, p *Picture) *element {
	var out bytes.Buffer
	if err := WriteSVG(&out, p); err != nil {
		t.Fatal(err)
	}
	root := &element{}
	if err := xml.Unmarshal(out.Bytes(), root); err != nil {
		t.Fatal(err, out.String())
	}
	return root
}

// drawing is what an SVG shows, read back from it.
type drawing struct {
	boxes, bands []rect
	titles       []string   // of lines
	lines        [][]stroke // the pieces of each
	tips         [][]point
}

type point struct{ x, y int }

// stroke is one command of a path.
type stroke struct {
	from, to point
	moved    bool // a new part of the path begins here
}

func read(t *rapid.T, root *element) (d drawing) {
	page := rect{0, 0, root.number("width"), root.number("height")}
	for _, g := range root.Children {
		if g.is("text", "title") {
			fits(t, &element{Children: []element{g}}, page)
		}
		if at := g.attr("transform"); at != "" {
			var x, y int
			if _, err := fmt.Sscanf(at, "translate(%d %d)", &x, &y); err != nil {
				t.Fatal(at, err)
			}
			fits(t, &g, rect{-x, -y, page.w, page.h})
			continue // the legend
		}
		if len(g.Children) < 2 {
			continue // no group
		}
		shape := &g.Children[1]
		switch {
		case shape.is("rect", "band"):
			d.bands = append(d.bands, shape.rect())
			fits(t, &g, page)
		case shape.is("rect", "box"):
			d.boxes = append(d.boxes, shape.rect())
			fits(t, &g, shape.rect())
		case shape.is("path", "line"):
			d.titles = append(d.titles, g.Children[0].Text)
			d.lines = append(d.lines, strokes(t, shape.attr("d")))
			var tips []point
			for tip := range strings.SplitSeq(strings.TrimPrefix(g.Children[2].attr("d"), "M"), "M") {
				var at point
				if _, err := fmt.Sscanf(tip, "%d %d", &at.x, &at.y); err != nil {
					t.Fatal(tip, err)
				}
				tips = append(tips, at)
			}
			d.tips = append(d.tips, tips)
		}
	}
	for _, band := range d.bands {
		if !within(band, page) {
			t.Fatalf("stage %v is not on the page %v", band, page)
		}
	}
	return d
}

// fits checks the texts of a group against the box that they are in.
func fits(t *rapid.T, g *element, box rect) {
	for _, text := range g.Children {
		if text.XMLName.Local != "text" {
			continue
		}
		size, name := checkSize, text.is("text", "name")
		if name {
			size = nameSize
		}
		w := textWidth(text.Text, size, name)
		if text.is("text", "title") {
			w = textWidth(text.Text, titleSize, true) + titleGap + textWidth(text.Children[0].Text, checkSize, false)
		}
		left := text.number("x")
		if text.is("text", "mid") {
			left -= w / 2
		}
		if !within(rect{left, text.number("y") - size, w, size}, box) {
			t.Fatalf("%q at %d is wider than its box %v", text.Text, left, box)
		}
	}
}

func within(in, out rect) bool {
	return in.x >= out.x && in.y >= out.y && in.x+in.w <= out.x+out.w && in.y+in.h <= out.y+out.h
}

func overlap(a, b rect) bool {
	return a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h
}

func strokes(t *rapid.T, path string) (list []stroke) {
	var at point
	moved := false
	for path != "" {
		n := 1
		for n < len(path) && !strings.ContainsRune("MVC", rune(path[n])) {
			n++
		}
		var numbers []int
		for _, word := range strings.Fields(path[1:n]) {
			number, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(path, err)
			}
			numbers = append(numbers, number)
		}
		to := at
		switch path[0] {
		case 'M':
			to, moved = point{numbers[0], numbers[1]}, true
		case 'V':
			to.y = numbers[0]
		case 'C':
			to = point{numbers[4], numbers[5]}
		}
		if path[0] != 'M' {
			list = append(list, stroke{at, to, moved})
			moved = false
		}
		at, path = to, path[n:]
	}
	return list
}

func TestSVGDrawsWhatThePictureSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := compiled(t, drawnFile(t, 30))
		v := View{Reduce: rapid.Bool().Draw(t, "reduce")}
		if rapid.Bool().Draw(t, "collapse") {
			v.Collapse = []string{"stage0"}
		}
		if n := len(plan.Tasks); n > 0 && rapid.IntRange(0, 3).Draw(t, "focus") == 0 {
			v.Focus = plan.Tasks[rapid.IntRange(0, n-1).Draw(t, "on")].Name
		}
		p := draw(t, plan, v)
		d := read(t, parseSVG(t, p))
		checkBoxes(t, p, d)
		checkLines(t, p, d)
	})
}

func checkBoxes(t *rapid.T, p *Picture, d drawing) {
	if len(d.boxes) != len(p.Boxes) || len(d.bands) != len(p.Stages) {
		t.Fatalf("%d boxes of %d, %d stages of %d", len(d.boxes), len(p.Boxes), len(d.bands), len(p.Stages))
	}
	for i, box := range d.boxes {
		if band := d.bands[p.Boxes[i].Stage]; !within(box, band) {
			t.Fatalf("%s at %v is not in its stage %v", p.Boxes[i].Name, box, band)
		}
		for k, other := range d.boxes[:i] {
			if overlap(box, other) {
				t.Fatalf("%s at %v lies on %s at %v", p.Boxes[i].Name, box, p.Boxes[k].Name, other)
			}
		}
	}
	for i, band := range d.bands {
		if i > 0 && overlap(band, d.bands[i-1]) {
			t.Fatalf("stage %v lies on %v", band, d.bands[i-1])
		}
	}
}

func checkLines(t *rapid.T, p *Picture, d drawing) {
	want := map[string][]int{} // where each line ends, by its beginning and kind
	for _, a := range p.Arrows {
		key := fmt.Sprintf("%d %s", a.From, a.Wait)
		want[key] = append(want[key], a.To)
	}
	got := map[string][]int{}
	for i, line := range d.lines {
		begin := line[0].from
		from := slices.IndexFunc(d.boxes, func(r rect) bool {
			return begin.y == r.y+r.h && begin.x > r.x && begin.x < r.x+r.w
		})
		if from < 0 {
			t.Fatalf("%s begins nowhere", d.titles[i])
		}
		key := fmt.Sprintf("%d %s", from, d.titles[i][strings.LastIndex(d.titles[i], " ")+1:])
		for _, tip := range d.tips[i] {
			got[key] = append(got[key], slices.IndexFunc(d.boxes, func(r rect) bool {
				return tip.y == r.y && tip.x > r.x && tip.x < r.x+r.w
			}))
		}
		slices.Sort(got[key])
		checkPath(t, d, i)
	}
	for key := range want {
		slices.Sort(want[key])
	}
	if !maps.EqualFunc(got, want, slices.Equal[[]int]) {
		t.Fatalf("lines lead %v, not %v", got, want)
	}
}

// checkPath checks that a line hangs together, ends at its tips, goes down
// and meets no box on its way.
func checkPath(t *rapid.T, d drawing, i int) {
	reached := map[point]bool{d.lines[i][0].from: true}
	for _, s := range d.lines[i] {
		if !reached[s.from] || s.to.y < s.from.y {
			t.Fatalf("%s: %v hangs in the air or goes up", d.titles[i], s)
		}
		reached[s.to] = true
		for k, box := range d.boxes {
			way := rect{min(s.from.x, s.to.x), s.from.y, max(1, abs(s.from.x-s.to.x)), s.to.y - s.from.y}
			if overlap(way, box) {
				t.Fatalf("%s: %v runs through box %d at %v", d.titles[i], s, k, box)
			}
		}
	}
	for _, tip := range d.tips[i] {
		if !reached[point{tip.x, tip.y - arrowTip + 1}] {
			t.Fatalf("%s does not reach its tip at %v", d.titles[i], tip)
		}
	}
}

func TestSVGHasNothingActiveAndAllNames(t *testing.T) {
	p := draw(t, hostilePlan(t), View{})
	root := parseSVG(t, p)
	known := []string{"svg", "title", "desc", "style", "g", "rect", "path", "text", "tspan"}
	texts := map[string]bool{}
	var walk func(e *element)
	walk = func(e *element) {
		if !slices.Contains(known, e.XMLName.Local) {
			t.Errorf("a name became an element: %s", e.XMLName.Local)
		}
		for _, a := range e.Attrs {
			if strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Name.Local, "href") || a.Name.Local == "style" {
				t.Errorf("an attribute that does something: %s", a.Name.Local)
			}
		}
		texts[e.Text] = true
		for i := range e.Children {
			walk(&e.Children[i])
		}
	}
	walk(root)
	for _, b := range p.Boxes {
		if !texts[Clean(b.Name)] {
			t.Errorf("no text says %q", b.Name)
		}
	}
	for _, st := range p.Stages {
		if !texts[Clean(st.Name)] {
			t.Errorf("no text says %q", st.Name)
		}
	}
}

func TestEveryCharacterHasAWidth(t *testing.T) {
	for c := ' '; c < 127; c++ {
		if found := strings.Count(fmt.Sprint(charWidths), string(c)); found == 0 {
			t.Errorf("%q is in no class", c)
		}
	}
}
