package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"bootgraph/analysis"
)

const (
	plotRow   = 20 // a service
	plotHead  = 30 // the heading of a stage
	plotTime  = 720
	plotAfter = 86 // right of the time: what a service took, where its bar ends late
	plotTop   = 84 // above the first stage: the title and the scale
)

// plotStyle follows svgStyle, which goes before it. Bars differ in brightness
// too, for those who don't tell the colours apart.
const plotStyle = `
  .tick { stroke: #d1d9e0; stroke-width: 1 } .wall { stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 7 4 }
  .shelf { fill: #f6f8fa } .svc { font-size: 12px; fill: #1f2328 } .svc.on { font-weight: 600 } .stage { font-size: 12px; font-weight: 600; fill: #1f2328 }
  .way { fill: none; stroke: #f2cc60; stroke-width: 4; stroke-linejoin: round; stroke-linecap: round } .rim { fill: none; stroke: #bf8700; stroke-width: 2 }
  .pending, .waiting { fill: #d1d9e0 } .pulling { fill: #8250df } .queued { fill: #8c959f } .starting { fill: #0550ae } .probing { fill: #54aeff }
  .backoff { fill: #e16f24 } .ready { fill: #4ac26b } .ended { fill: #cf222e } .bad { fill: #cf222e }
  .hit { fill: transparent } .row:hover .hit { fill: #0969da; fill-opacity: .08 }
  @media (prefers-color-scheme: dark) {
    .tick { stroke: #30363d } .wall { stroke: #9198a1 }
    .shelf { fill: #151b23 } .svc, .stage { fill: #f0f6fc }
    .way { stroke: #7d4e00 } .rim { stroke: #e3b341 }
    .pending, .waiting { fill: #30363d } .pulling { fill: #a371f7 } .queued { fill: #656c76 } .starting { fill: #1f6feb } .probing { fill: #9cd0ff }
    .backoff { fill: #f0883e } .ready { fill: #2ea043 } .ended { fill: #da3633 } .bad { fill: #f85149 }
    .row:hover .hit { fill: #4493f8; fill-opacity: .15 }
  }
`

// plot places a boot on a plane: a row a service, time from left to right. All
// of it is whole tenths of a pixel, since the same input has to give the same
// bytes on every processor.
type plot struct {
	*Analysed
	*bufio.Writer
	left   int   // where time begins
	width  int   //
	heads  []int // y of the heading of each stage
	rows   []int // y of the middle of each service's row
	bottom int   // below the last row
}

// WritePlot writes a boot as an SVG that needs nothing else: what each service
// did when, the barriers, and the critical path.
func WritePlot(w io.Writer, a *Analysed) error {
	p := newPlot(w, a)
	legend, rows := p.legend()
	height := p.bottom + 14 + rows*legendRow
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" class="plot" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="plot-title plot-desc">`+"\n", p.width, height, p.width, height)
	p.printf("<title id=\"plot-title\">%s</title>\n<desc id=\"plot-desc\">%s</desc>\n<style>%s%s</style>\n", xmlText("Boot of "+a.Name), xmlText(p.describe()), svgStyle, plotStyle)
	p.printf(`<rect class="page" width="%d" height="%d" rx="8"/>`+"\n", p.width, height)
	p.printf(`<text class="title" x="%d" y="30">%s<tspan class="mild" dx="%d">%s</tspan></text>`+"\n", margin, xmlText(Clean(a.Name)), titleGap, xmlText(p.subtitle()))
	p.writeScale()
	p.writeStages()
	p.writeWay()
	for i := range a.Services {
		p.writeRow(i)
	}
	p.printf("%s</svg>\n", legend)
	return p.Flush()
}

func newPlot(w io.Writer, a *Analysed) *plot {
	p := &plot{Analysed: a, Writer: bufio.NewWriter(w), rows: make([]int, len(a.Services))}
	for i := range a.Services {
		p.left = max(p.left, textWidth(Clean(a.Services[i].Name), 12, a.critical[i]))
	}
	p.left = margin + max(p.left, 90) + 14
	y := plotTop
	for _, st := range a.Stages {
		p.heads = append(p.heads, y)
		y += plotHead
		for _, i := range st.Services {
			p.rows[i] = y + plotRow/2
			y += plotRow
		}
		y += 8
	}
	p.bottom = y
	title := 2*margin + textWidth(Clean(a.Name), titleSize, true) + titleGap + textWidth(p.subtitle(), checkSize, false)
	p.width = max(p.left+plotTime+plotAfter, title)
	return p
}

func (p *plot) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *plot) subtitle() string {
	_, text, _ := strings.Cut(p.heading(), ": ")
	return text + ", began " + p.Began.UTC().Format("2006-01-02 15:04:05 UTC")
}

// describe says in words what the picture shows, for those who don't see it.
func (p *plot) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Critical path, last first:", p.heading())
	for i, l := range p.Chain {
		fmt.Fprintf(&b, "%s %s", map[bool]string{true: ";"}[i > 0], p.link(l))
	}
	return b.String()
}

// x is where a time is, in tenths of a pixel.
func (p *plot) x(t time.Duration) int64 {
	whole := max(p.Took.Microseconds(), 1)
	return int64(p.left)*10 + t.Microseconds()*plotTime*10/whole
}

// tenths writes tenths of a pixel.
func tenths(v int64) string {
	if v%10 == 0 {
		return fmt.Sprint(v / 10)
	}
	return fmt.Sprintf("%d.%d", v/10, v%10)
}

// scaleSteps are the times between two ticks that people can count by.
var scaleSteps = []time.Duration{time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour}

// scaleStep is the first that leaves the ticks room.
func scaleStep(took time.Duration) time.Duration {
	for _, step := range scaleSteps {
		if took/step <= 12 {
			return step
		}
	}
	return took / 10
}

func (p *plot) writeScale() {
	step := scaleStep(p.Took)
	for t := time.Duration(0); t <= p.Took; t += step {
		x := tenths(p.x(t))
		p.printf(`<path class="tick" d="M%s %dV%d"/><text class="mid" x="%s" y="%d">%s</text>`+"\n", x, plotTop-10, p.bottom, x, plotTop-18, Limit(t))
	}
}

// writeStages writes the headings, and the barriers as lines through the stages
// on both sides. Through all that waited, the lines of later ones would cross
// the words of earlier ones.
func (p *plot) writeStages() {
	cost := map[int]analysis.Barrier{}
	for _, x := range p.Barriers {
		cost[x.Before] = x
	}
	for k, st := range p.Stages {
		y := p.heads[k]
		text := "not reached"
		if st.Reached {
			text = Elapsed(st.Closed - st.Opened)
		}
		p.printf(`<g><rect class="shelf" x="%d" y="%d" width="%d" height="24" rx="4"/>`, margin/2, y, p.width-margin)
		p.printf(`<text class="stage" x="%d" y="%d">%s<tspan class="mild" dx="8">%s</tspan></text>`, margin, y+16, xmlText(st.Name), text)
		if x, ok := cost[k]; ok {
			at := p.x(x.At)
			words := fmt.Sprintf("without this barrier: %s shorter", Elapsed(x.Cost))
			side, gap := "", int64(60)
			if at > int64(p.left+plotTime/2)*10 {
				side, gap = ` text-anchor="end"`, -60
			}
			p.printf(`<path class="wall" d="M%s %dV%d"><title>%s</title></path>`, tenths(at), p.heads[k-1]+24, p.heads[k]+plotHead+len(st.Services)*plotRow, xmlText("barrier: "+p.barrier(x)))
			p.printf(`<text%s x="%s" y="%d">%s</text>`, side, tenths(at+gap), y+16, words)
		}
		p.printf("</g>\n")
	}
}

// writeWay draws the critical path under the bars: along each link, and down
// to the next.
func (p *plot) writeWay() {
	var path strings.Builder
	for i := len(p.Chain) - 1; i >= 0; i-- {
		l := p.Chain[i]
		command := "L"
		if path.Len() == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%s %dH%s", command, tenths(p.x(l.From)), p.rows[l.Service], tenths(p.x(l.At)))
	}
	if path.Len() > 0 {
		p.printf(`<path class="way" d="%s"><title>critical path</title></path>`+"\n", path.String())
	}
}

// thick is how high a bar is: what a service itself does is thick, what it
// waits for or is there for is thin.
func thick(k analysis.Kind) int {
	switch k {
	case analysis.Pending, analysis.Waiting:
		return 2
	case analysis.Queued, analysis.Backoff:
		return 6
	case analysis.Ready, analysis.Ended:
		return 3
	}
	return 12
}

func (p *plot) writeRow(i int) {
	s, y := &p.Services[i], p.rows[i]
	name := "svc"
	if p.critical[i] {
		name += " on"
	}
	if !s.State.Ready() {
		name += " bad"
	}
	p.printf(`<g class="row" data-name="%s"><title>%s</title>`, xmlText(s.Name), xmlText(p.tooltip(i)))
	p.printf(`<rect class="hit" x="%d" y="%d" width="%d" height="%d"/>`, margin/2, y-plotRow/2, p.width-margin, plotRow)
	p.printf(`<text class="%s" x="%d" y="%d">%s</text>`, name, margin, y+4, xmlText(Clean(s.Name)))
	first, last := int64(-1), int64(0)
	for _, ph := range s.Phases {
		from, to := p.x(ph.From), p.x(ph.To)
		if ph.Kind != analysis.Pending && ph.Kind != analysis.Waiting && ph.Kind != analysis.Ready && ph.Kind != analysis.Ended {
			if first < 0 {
				first = from
			}
			last = to
		}
		if to > from {
			h := thick(ph.Kind)
			p.printf(`<rect class="%s" x="%s" y="%d" width="%s" height="%d"/>`, ph.Kind, tenths(from), y-h/2, tenths(to-from), h)
		}
	}
	if first >= 0 {
		if p.critical[i] {
			p.printf(`<rect class="rim" x="%s" y="%d" width="%s" height="14" rx="2"/>`, tenths(first-10), y-7, tenths(last-first+20))
		}
		words := Elapsed(s.Own())
		if !s.State.Ready() {
			words += " " + string(s.State)
		}
		p.printf(`<rect class="page" x="%s" y="%d" width="%d" height="10"/><text x="%s" y="%d">%s</text>`, tenths(last+30), y-5, textWidth(words, checkSize, false)+3, tenths(last+60), y+4, words)
	}
	p.printf("</g>\n")
}

// tooltip is all that is known of a service.
func (p *plot) tooltip(i int) string {
	s := &p.Services[i]
	text := fmt.Sprintf("%s: %s after %s", s.Name, s.State, Elapsed(s.Settled())) + blameNote(s)
	for _, ph := range s.Phases {
		if ph.Length() < time.Millisecond {
			continue
		}
		text += fmt.Sprintf("\n%s %s, from %s", ph.Kind, Elapsed(ph.Length()), Elapsed(ph.From))
		if ph.For >= 0 {
			text += fmt.Sprintf(", last for %s", p.Services[ph.For].Name)
		}
	}
	if p.critical[i] {
		text += "\non the critical path"
	} else {
		text += "\nslack " + Elapsed(p.Slack[i])
	}
	if !s.Cause.IsZero() {
		text += "\n" + s.Cause.Text
	}
	return text
}

// legend explains the colours that are in the picture, and nothing else.
func (p *plot) legend() (text string, rows int) {
	var b strings.Builder
	x, y := margin, p.bottom+14
	rows = 1
	item := func(words, shape string) {
		w := legendSign + 6 + textWidth(words, checkSize, false) + 14
		if x > margin && x+w > p.width-margin {
			x, y, rows = margin, y+legendRow, rows+1
		}
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">%s<text x="%d" y="4">%s</text></g>`+"\n", x, y, shape, legendSign+6, words)
		x += w
	}
	used := map[analysis.Kind]bool{}
	for i := range p.Services {
		for _, ph := range p.Services[i].Phases {
			used[ph.Kind] = used[ph.Kind] || p.x(ph.To)-p.x(ph.From) >= 5 // half a pixel is seen
		}
	}
	used[analysis.Waiting] = used[analysis.Waiting] || used[analysis.Pending]
	words := map[analysis.Kind]string{analysis.Waiting: "waiting", analysis.Pulling: "pulling", analysis.Queued: "waiting for a slot", analysis.Starting: "starting",
		analysis.Probing: "probing", analysis.Backoff: "backing off", analysis.Ready: "ready", analysis.Ended: "not ready"}
	for _, k := range analysis.Kinds {
		if used[k] && words[k] != "" {
			item(words[k], fmt.Sprintf(`<rect class="%s" y="%d" width="%d" height="%d"/>`, k, -thick(k)/2, legendSign, thick(k)))
		}
	}
	if len(p.Barriers) > 0 {
		item("barrier", fmt.Sprintf(`<path class="wall" d="M0 0H%d"/>`, legendSign))
	}
	if len(p.Chain) > 0 {
		item("critical path", fmt.Sprintf(`<path class="way" d="M2 0H%d"/><rect class="rim" x="4" y="-7" width="%d" height="14" rx="2"/>`, legendSign-2, legendSign-8))
	}
	return b.String(), rows
}
