package report

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"bootgraph/config"
)

const (
	titleSize  = 16
	nameSize   = 13
	checkSize  = 11
	ruleSize   = 11
	textPad    = 12 // between a text and the edge of its box
	arrowTip   = 7
	titleGap   = 10
	legendSign = 30
	legendRow  = 24
)

// svgStyle has a light and a dark half, each with a background of its own: a
// page may be dark where the system is light. Colours stand twice rather than
// in custom properties, which not every program that shows an SVG knows.
const svgStyle = `
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; font-size: 11px; fill: #59636e }
  .title { font-size: 16px; font-weight: 600 } .name { font-size: 13px; font-weight: 600 }
  .title, .name { fill: #1f2328 } .mid { text-anchor: middle }
  .mild { font-size: 11px; font-weight: 400; fill: #59636e }
  .page { fill: #ffffff } .band { fill: #f6f8fa; stroke: #d1d9e0 }
  .box { fill: #ffffff; stroke: #818b98 } .whole { fill: #eaeef2 } .job { fill: #f0f4ff; stroke: #6e7fb5 }
  .critical { stroke: #bf8700; stroke-width: 2 } .focus { stroke: #0969da; stroke-width: 3 }
  .line { fill: none; stroke: #6e7781; stroke-width: 1.4 } .tip { fill: #6e7781 }
  .wants { stroke-dasharray: 6 4 } .after { stroke-dasharray: 1.5 3.5; stroke-linecap: round }
  .chain { fill: none; stroke: #f2cc60; stroke-width: 7; stroke-linecap: round; stroke-opacity: .75 }
  .barrier { stroke: #818b98; stroke-width: 2; stroke-dasharray: 12 5 }
  .block { fill: #0969da } .continue { fill: #59636e } .abort { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    text, .mild { fill: #9198a1 } .title, .name { fill: #f0f6fc }
    .page { fill: #0d1117 } .band { fill: #151b23; stroke: #3d444d }
    .box { fill: #212830; stroke: #7d8590 } .whole { fill: #2f3742 } .job { fill: #1c2440; stroke: #7588c9 }
    .critical { stroke: #d29922 } .focus { stroke: #4493f8 }
    .line { stroke: #9198a1 } .tip { fill: #9198a1 }
    .chain { stroke: #9e6a03; stroke-opacity: .8 }
    .barrier { stroke: #656c76 }
    .block { fill: #4493f8 } .continue { fill: #9198a1 } .abort { fill: #f85149 }
  }
`

// WriteSVG writes a picture as an SVG that needs nothing else: no graphviz, no
// script, no font, no other file.
func WriteSVG(w io.Writer, p *Picture) error {
	s := &svg{layOut(p), bufio.NewWriter(w)}
	legend, rows := s.legend()
	height := s.height + rows*legendRow
	s.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="boot-title boot-desc">`+"\n", s.width, height, s.width, height)
	s.printf("<title id=\"boot-title\">%s</title>\n<desc id=\"boot-desc\">%s</desc>\n<style>%s</style>\n", xmlText("Boot order of "+p.Name), xmlText(p.describe()), svgStyle)
	s.printf(`<rect class="page" width="%d" height="%d" rx="8"/>`+"\n", s.width, height)
	s.printf(`<text class="title" x="%d" y="30">%s<tspan class="mild" dx="%d">%s</tspan></text>`+"\n", margin, xmlText(Clean(p.Name)), titleGap, p.size())
	s.writeStages()
	s.writeChain()
	for i := range s.lines {
		s.writeLine(i)
	}
	critical, _ := p.critical()
	for i := range p.Boxes {
		s.writeBox(i, critical[i])
	}
	s.printf("%s</svg>\n", legend)
	return s.Flush()
}

type svg struct {
	*layout
	*bufio.Writer // keeps the first error for Flush
}

func (s *svg) printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// xmlText writes any text as character data, also within an attribute.
func xmlText(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(strings.Join(lines, "\n"))) // a Builder doesn't fail
	return b.String()
}

// size says how much is shown.
func (p *Picture) size() string {
	var all Box
	for i := range p.Boxes {
		all.add(&p.Boxes[i])
	}
	return all.checks() + " in " + Count(len(p.Stages), "stage")
}

// describe says in words what the picture shows, for those who don't see it.
func (p *Picture) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Stages in boot order:", p.size())
	for i, boxes := range p.byStage() {
		fmt.Fprintf(&b, " %s (on failure: %s): %s.", p.Stages[i].Name, p.Stages[i].OnFailure, strings.Join(p.names(boxes), ", "))
	}
	if len(p.Chain) > 0 {
		fmt.Fprintf(&b, " Longest chain: %s.", strings.Join(p.names(p.Chain), ", "))
	}
	return b.String()
}

// barrierRule is when a barrier lets the boot through.
var barrierRule = map[config.OnFailure]string{
	config.Block:    "when all is ready",
	config.Abort:    "only if all is ready",
	config.Continue: "when all is settled",
}

func (s *svg) writeStages() {
	for i, boxes := range s.byStage() {
		st, band := s.Stages[i], s.bands[i]
		x := band.x + bandPad
		s.printf(`<g><title>%s</title>`, xmlText("stage "+st.Name))
		s.printf(`<rect class="band" x="%d" y="%d" width="%d" height="%d" rx="6"/>`, band.x, band.y, band.w, band.h)
		s.printf(`<text class="name" x="%d" y="%d">%s</text>`, x, band.y+25, xmlText(st.Name))
		s.printf(`<text class="%s" x="%d" y="%d">on failure: %s</text>`, xmlText(string(st.OnFailure)), x, band.y+42, xmlText(string(st.OnFailure)))
		s.printf(`<text x="%d" y="%d">%s</text></g>`+"\n", x, band.y+57, s.stageSize(boxes))
	}
	for i, y := range s.barriers {
		s.printf(`<g><title>barrier: nothing below starts before %s is passed</title>`, xmlText(s.Stages[i].Name))
		s.printf(`<text x="%d" y="%d">%s</text>`, margin+bandPad, y+4, barrierRule[s.Stages[i].OnFailure])
		s.printf(`<path class="barrier" d="M%d %dH%d"/></g>`+"\n", s.left-bandPad, y, s.width-margin)
	}
}

func (s *svg) stageSize(boxes []int) string {
	var all Box
	for _, b := range boxes {
		all.add(&s.Boxes[b])
	}
	return all.checks()
}

// label is the two lines of text in a box.
func (p *Picture) label(box int) (name, checks string) {
	b := &p.Boxes[box]
	if b.Task == nil {
		return b.checks(), "collapsed"
	}
	list := strings.Split(b.checks(), ", ")
	if more := len(list) - 2; more > 0 {
		list = append(list[:2], "+"+strconv.Itoa(more))
	}
	checks = strings.Join(list, ", ")
	if b.Kind == config.KindJob {
		checks = "job, " + checks
	}
	return Clean(b.Name), Clean(checks)
}

func (s *svg) writeBox(box int, critical bool) {
	b, r := &s.Boxes[box], s.boxes[box]
	class, round := "box", 6
	switch b.Kind {
	case config.KindJob:
		class, round = "box job", boxHeight/2
	case KindStage:
		class = "box whole"
	}
	if critical {
		class += " critical"
	}
	if b.Focus {
		class += " focus"
	}
	name, checks := s.label(box)
	s.printf(`<g data-name="%s"><title>%s</title>`, xmlText(Clean(b.Name)), xmlText(s.tooltip(b)))
	s.printf(`<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, class, r.x, r.y, r.w, r.h, round)
	s.printf(`<text class="name mid" x="%d" y="%d">%s</text>`, r.x+r.w/2, r.y+18, xmlText(name))
	s.printf(`<text class="mid" x="%d" y="%d">%s</text></g>`+"\n", r.x+r.w/2, r.y+33, xmlText(checks))
}

func (s *svg) tooltip(b *Box) string {
	text := fmt.Sprintf("%s: %s of stage %s", b.Name, b.Kind, s.Stages[b.Stage].Name)
	if b.Task == nil {
		return b.Name + ": " + b.checks()
	}
	text += "\nready: " + b.checks()
	for _, c := range b.Task.Service.Containers {
		text += "\n" + c.Name + ": " + c.Image
	}
	for _, name := range b.Task.Service.Existing {
		text += "\n" + name + ": exists already"
	}
	return text
}

// writeLine draws all arrows of a line as one path, and their tips as another.
func (s *svg) writeLine(index int) {
	n := &s.lines[index]
	if n.wait == barrier {
		return // only the critical path shows it
	}
	var path, tips strings.Builder
	done := 0 // of n.through
	x, y := n.x, s.bottom(n.from)
	fmt.Fprintf(&path, "M%d %d", x, y)
	for _, to := range n.to {
		for ; done < len(n.through) && s.slots[n.through[done]].row < s.slots[to].row; done++ {
			x, y = s.pass(&path, x, y, n.through[done])
		}
		end := s.entryOf(index, to).x
		bend(&path, x, y, end, s.boxes[to].y-arrowTip+1)
		fmt.Fprintf(&path, "M%d %d", x, y)
		fmt.Fprintf(&tips, "M%d %dl-4 -%dh8z", end, s.boxes[to].y, arrowTip)
	}
	s.printf(`<g><title>%s</title>`, xmlText(fmt.Sprintf("%s < %s: %s", s.Boxes[n.from].Name, strings.Join(s.names(n.to), ", "), n.wait)))
	s.printf(`<path class="line %s" d="%s"/><path class="tip" d="%s"/></g>`+"\n", n.wait, strings.TrimSuffix(path.String(), fmt.Sprintf("M%d %d", x, y)), tips.String())
}

func (s *svg) bottom(box int) int { return s.boxes[box].y + s.boxes[box].h }

// pass leads through a row, between its boxes.
func (s *svg) pass(path *strings.Builder, x0, y0, slot int) (x, y int) {
	x, y = s.left+s.slots[slot].x, s.top[s.slots[slot].row]
	bend(path, x0, y0, x, y)
	fmt.Fprintf(path, "V%d", y+boxHeight)
	return x, y + boxHeight
}

// bend leads down to a place: straight, or in the shape of an S.
func bend(path *strings.Builder, x0, y0, x1, y1 int) {
	if x0 == x1 {
		fmt.Fprintf(path, "V%d", y1)
		return
	}
	middle := (y0 + y1) / 2
	fmt.Fprintf(path, "C%d %d %d %d %d %d", x0, middle, x1, middle, x1, y1)
}

// writeChain marks the critical path under the lines it follows.
func (s *svg) writeChain() {
	var path strings.Builder
	index := 0 // of a line; chain and lines are both by the boxes they come from
	for i := 1; i < len(s.Chain); i++ {
		from, to := s.Chain[i-1], s.Chain[i]
		for s.lines[index].from != from || !slices.Contains(s.lines[index].to, to) {
			index++
		}
		n := &s.lines[index]
		x, y := n.x, s.bottom(from)
		fmt.Fprintf(&path, "M%d %d", x, y)
		for _, slot := range n.through {
			if s.slots[slot].row < s.slots[to].row {
				x, y = s.pass(&path, x, y, slot)
			}
		}
		bend(&path, x, y, s.entryOf(index, to).x, s.boxes[to].y)
	}
	if path.Len() > 0 {
		s.printf(`<path class="chain" d="%s"><title>longest chain</title></path>`+"\n", path.String())
	}
}

// legend explains what is in the picture, and nothing else. It breaks into
// rows where the picture is narrow.
func (s *svg) legend() (text string, rows int) {
	var b strings.Builder
	x, y := margin, s.height+4
	rows = 1
	item := func(shown bool, words, shape string) {
		w := legendSign + 6 + textWidth(words, checkSize, false) + 14
		if !shown {
			return
		}
		if x > margin && x+w > s.width-margin {
			x, y, rows = margin, y+legendRow, rows+1
		}
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">%s<text x="%d" y="4">%s</text></g>`+"\n", x, y, shape, legendSign+6, words)
		x += w
	}
	sign := func(class string, round int) string {
		return fmt.Sprintf(`<rect class="%s" y="-7" width="%d" height="14" rx="%d"/>`, class, legendSign, round)
	}
	stroke := func(class string) string {
		return fmt.Sprintf(`<path class="%s" d="M3 0H%d"/>`, class, legendSign-3)
	}
	kinds := map[config.Kind]bool{}
	for _, box := range s.Boxes {
		kinds[box.Kind] = true
	}
	item(kinds[config.KindService], "service", sign("box", 3))
	item(kinds[config.KindJob], "job", sign("box job", 7))
	item(kinds[KindStage], "collapsed stage", sign("box whole", 3))
	for _, w := range waits {
		used := slices.ContainsFunc(s.Arrows, func(a Arrow) bool { return a.Wait == w })
		item(used, w.String(), stroke("line "+w.String())+fmt.Sprintf(`<path class="tip" d="M%d 0l-%d -4v8z"/>`, legendSign, arrowTip))
	}
	item(len(s.Chain) > 1, "longest chain", stroke("chain"))
	item(len(s.barriers) > 0, "barrier", stroke("barrier"))
	return b.String(), rows
}
