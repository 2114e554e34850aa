package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"bootgraph/config"
)

// mermaidArrow is how each kind of arrow is written. Mermaid has two patterns
// of lines; linkStyle makes the dotted one finer for after.
var mermaidArrow = [...]string{DependsOn: "-->", Wants: "-.->", After: "-.->"}

// WriteMermaid writes a picture as a flowchart: a subgraph a stage, with the
// barriers between them. It sets no colours, so that the page's theme shows,
// light or dark.
//
// A barrier is a node, not an arrow from subgraph to subgraph: Mermaid ties
// such an arrow to some box of each, and draws the stages side by side.
func WriteMermaid(w io.Writer, p *Picture) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "flowchart TB\n")
	critical, steps := p.critical()
	for stage, boxes := range p.byStage() {
		st := p.Stages[stage]
		fmt.Fprintf(out, "  subgraph s%d[%s]\n", stage, mermaidText(st.Name+" ("+string(st.OnFailure)+")"))
		for _, b := range boxes {
			open, close := "[", "]"
			switch p.Boxes[b].Kind {
			case config.KindJob:
				open, close = "([", "])"
			case KindStage:
				open, close = "[[", "]]"
			}
			fmt.Fprintf(out, "    n%d%s%s%s\n", b, open, mermaidText(p.Boxes[b].Name, p.Boxes[b].checks()), close)
		}
		fmt.Fprint(out, "  end\n")
	}
	var thick, fine []string // numbers of links, which count from the first one written
	for i, a := range p.Arrows {
		fmt.Fprintf(out, "  n%d %s n%d\n", a.From, mermaidArrow[a.Wait], a.To)
		if a.Wait == After {
			fine = append(fine, fmt.Sprint(i))
		}
		if steps[[2]int{a.From, a.To}] {
			thick = append(thick, fmt.Sprint(i))
		}
	}
	pale := p.writeMermaidBarriers(out)
	writeLinkStyle(out, pale, "stroke-opacity:0.4")
	writeLinkStyle(out, fine, "stroke-dasharray:1 4")
	writeLinkStyle(out, thick, "stroke-width:4px")
	for b, on := range critical {
		if on {
			fmt.Fprintf(out, "  style n%d stroke-width:4px\n", b)
		}
	}
	return out.Flush()
}

// writeMermaidBarriers returns the numbers of its links, which follow those of
// the arrows.
func (p *Picture) writeMermaidBarriers(w io.Writer) (links []string) {
	link := func(format string, a, b int) {
		fmt.Fprintf(w, format, a, b)
		links = append(links, fmt.Sprint(len(p.Arrows)+len(links)))
	}
	for i, bar := range p.barriers() {
		fmt.Fprintf(w, "  b%d{{\"barrier\"}}\n", i)
		for _, b := range bar.before {
			link("  n%d --- b%d\n", b, i)
		}
		for _, b := range bar.after {
			link("  b%d --> n%d\n", i, b)
		}
		if i > 0 && len(bar.before) == 0 { // of an empty stage
			link("  b%d --- b%d\n", i-1, i)
		}
	}
	return links
}

func writeLinkStyle(w io.Writer, links []string, style string) {
	if len(links) > 0 {
		fmt.Fprintf(w, "  linkStyle %s %s\n", strings.Join(links, ","), style)
	}
}

// mermaidText writes any texts as the lines of a label. All but letters,
// digits and a few signs become Mermaid's own numbered escapes: it has no
// escape for a quote within quotes, and reads backticks, HTML and Markdown there.
func mermaidText(lines ...string) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteString("<br>")
		}
		for _, r := range Clean(line) {
			if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .,-", r) {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, "#%d;", r)
			}
		}
	}
	return `"` + b.String() + `"`
}
