package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

//go:embed analyze.css
var analyzeCSS string

//go:embed analyze.js
var analyzeJS string

// WriteAnalysisHTML writes a page that needs nothing else: the timeline, the
// graph (nil: there is none), and a table, which light up together. It may run
// its own script and no other, and fetch nothing.
func WriteAnalysisHTML(w io.Writer, a *Analysed, graph *Picture) error {
	var plot, drawn bytes.Buffer
	if err := WritePlot(&plot, a); err != nil {
		return err
	}
	styles := []string{analyzeCSS, svgStyle + plotStyle}
	if graph != nil {
		graph.Chain = nil // the longest by steps; the script marks what was critical
		if err := WriteSVG(&drawn, graph); err != nil {
			return err
		}
		styles = append(styles, svgStyle)
	}
	for i := range styles {
		styles[i] = sourceHash(styles[i])
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>%s</style>
</head>
<body>
<header>
<h1>%s</h1>
<p>%s</p>
<input type="search" placeholder="Find a service" aria-label="Find a service" spellcheck="false"><output></output>
</header>
`, strings.Join(styles, " "), sourceHash(analyzeJS), xmlText("Boot of "+a.Name), analyzeCSS, xmlText(a.heading()), xmlText("run "+a.Run+", began "+a.Began.UTC().Format("2006-01-02 15:04:05 UTC")))
	fmt.Fprintf(&b, "<h2>Timeline</h2>\n<figure id=\"timeline\">%s</figure>\n", plot.String())
	if graph != nil {
		fmt.Fprintf(&b, "<h2>Graph</h2>\n<figure id=\"graph\">%s</figure>\n", drawn.String())
	}
	a.writeTable(&b)
	fmt.Fprintf(&b, "<script>%s</script>\n</body>\n</html>\n", analyzeJS)
	_, err := io.WriteString(w, b.String())
	return err
}

// sourceHash lets a page have this style or script inline.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (a *Analysed) writeTable(b *strings.Builder) {
	b.WriteString("<h2>Services</h2>\n<table>\n<thead><tr><th>service</th><th>own</th><th>pull</th><th>start</th><th>to ready</th><th>backoff</th><th>waited</th><th>slot</th><th>slack</th><th></th></tr></thead>\n<tbody>\n")
	for _, i := range a.byOwn() {
		s := &a.Services[i]
		fmt.Fprintf(b, `<tr data-name="%s"><td>%s</td>`, xmlText(s.Name), xmlText(s.Name))
		for _, d := range a.columns(i) {
			fmt.Fprintf(b, "<td>%s</td>", blank(d))
		}
		slack, note := Elapsed(a.Slack[i]), strings.Trim(blameNote(s), " ()")
		if a.critical[i] {
			slack = "critical"
		}
		if !s.Cause.IsZero() {
			note += ": " + Lines(s.Cause.Text, " ")
		}
		fmt.Fprintf(b, "<td>%s</td><td>%s</td></tr>\n", slack, xmlText(note))
	}
	b.WriteString("</tbody>\n</table>\n")
}
