package lint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"bootgraph/config"
)

// Comments that silence rules. A comment covers its line, or the line below it
// if it stands alone, and all of an attribute or block that begins there. That
// it covers nothing is not reported: it may be for a value that comes from a
// variable.

const directive = "bootgraph:ignore"

// form: after the rules comes the reason, in whatever words.
var form = regexp.MustCompile(`^[#/\s]*` + directive + `\b\s*([\w-]+(?:\s*,\s*[\w-]+)*)?`)

// span is a part of a file that a comment covers, in bytes.
type span struct {
	file     string
	from, to int
}

func (s span) covers(r hcl.Range) bool {
	return r.Filename == s.file && s.from <= r.Start.Byte && r.Start.Byte < s.to
}

func inJSON(filename string) bool { return strings.HasSuffix(filename, ".json") }

// readComments looks through the files that stages are in: nothing else is
// warned of. A file of variables may have secrets in it, and is not one.
func (l *linter) readComments() {
	var names []string
	for _, stage := range l.file.Stages {
		names = append(names, stage.Range.Filename)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		switch source := l.file.Sources[name]; {
		case source == nil: // a file made by hand, for a test
		case inJSON(name):
			l.readJSON(name, source.Bytes)
		default:
			l.readNative(name, source)
		}
	}
}

// readComment returns the rules that a comment names. where is asked for its
// place only if there is something to say about it.
func (l *linter) readComment(text string, where func() hcl.Range) (rules []string) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	for _, name := range strings.Split(m[1], ",") {
		switch name = strings.TrimSpace(name); {
		case slices.Contains(ruleNames, name):
			rules = append(rules, name)
		case len(l.diags) < config.MaxDiagnostics: // more are not shown, and cost time
			l.unknown(name, where())
		}
	}
	return rules
}

// ruleNames are the names of all rules. It is set by init, since the rules
// name functions that come here.
var ruleNames []string

func init() {
	for _, r := range rules {
		ruleNames = append(ruleNames, r.name)
	}
}

func (l *linter) unknown(name string, where hcl.Range) {
	detail := fmt.Sprintf("After %s comes the name of a rule, or several with commas between them: %s.", directive, strings.Join(ruleNames, ", "))
	if name != "" {
		detail = fmt.Sprintf("There is no rule %q.%s The rules are %s.", name, config.DidYouMean(name, ruleNames), strings.Join(ruleNames, ", "))
	}
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Unknown rule", Detail: detail, Subject: &where})
}

func (l *linter) silenced(rule string, where hcl.Range) bool {
	return slices.ContainsFunc(l.silence[rule], func(s span) bool { return s.covers(where) })
}

func (l *linter) cover(rules []string, s span) {
	for _, name := range rules {
		l.silence[name] = append(l.silence[name], s)
	}
}

// readNative finds the comments by the lexer, so that one in a string is none.
// Comments that stand alone wait for the first line below that is not one; a
// blank line is where they stop.
func (l *linter) readNative(name string, file *hcl.File) {
	tokens, _ := hclsyntax.LexConfig(file.Bytes, name, hcl.InitialPos)
	lines := map[int][]string{} // rules, by line
	var waiting []string
	silence := func(at hcl.Pos, rules []string) {
		if len(rules) == 0 {
			return
		}
		lines[at.Line] = append(lines[at.Line], rules...)
		l.cover(rules, lineOf(name, file.Bytes, at.Byte))
	}
	code := 0 // the last line that there is something else on
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenComment:
			rules := l.readComment(string(t.Bytes), func() hcl.Range { return trimmed(t) })
			if t.Range.Start.Line == code {
				silence(t.Range.Start, rules)
			} else {
				waiting = append(waiting, rules...)
			}
		case hclsyntax.TokenNewline:
			waiting = nil
		default:
			silence(t.Range.Start, waiting)
			waiting = nil
			code = t.Range.End.Line
		}
	}
	if body, ok := file.Body.(*hclsyntax.Body); ok && len(lines) > 0 {
		l.coverBlocks(body, lines)
	}
}

// trimmed is the place of a comment without the end of its line.
func trimmed(t hclsyntax.Token) hcl.Range {
	text := bytes.TrimRight(t.Bytes, "\r\n")
	where := t.Range
	where.End = where.Start
	where.End.Byte += len(text)
	where.End.Column += utf8.RuneCount(text)
	return where
}

// lineOf is the line around an offset.
func lineOf(name string, src []byte, at int) span {
	from, to := bytes.LastIndexByte(src[:at], '\n')+1, len(src)
	if end := bytes.IndexByte(src[at:], '\n'); end >= 0 {
		to = at + end
	}
	return span{name, from, to}
}

// coverBlocks covers the attributes and blocks that begin on one of the lines.
func (l *linter) coverBlocks(body *hclsyntax.Body, lines map[int][]string) {
	cover := func(r hcl.Range) { l.cover(lines[r.Start.Line], span{r.Filename, r.Start.Byte, r.End.Byte}) }
	for _, attr := range body.Attributes {
		cover(attr.Range())
	}
	for _, block := range body.Blocks {
		cover(block.Range())
		l.coverBlocks(block.Body, lines)
	}
}

// readJSON finds the properties "//", which are JSON's comments in HCL, and
// covers the object that they are in. HCL's own parser gives no places of
// them.
func (l *linter) readJSON(name string, src []byte) {
	type open struct {
		from  int
		rules []string
		key   bool // the next string is a key
	}
	var stack []open
	var key string
	decoder := json.NewDecoder(bytes.NewReader(src))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return // the end; it has been parsed before, so it is well-formed
		}
		at := int(decoder.InputOffset())
		switch token {
		case json.Delim('{'), json.Delim('['):
			stack = append(stack, open{from: at - 1, key: token == json.Delim('{')})
			continue
		case json.Delim('}'), json.Delim(']'):
			last := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			l.cover(last.rules, span{name, last.from, at})
		}
		if len(stack) == 0 {
			continue
		}
		top := &stack[len(stack)-1]
		text, isString := token.(string)
		switch {
		case src[top.from] == '[':
		case top.key:
			key, top.key = text, false
		default:
			if isString && key == "//" {
				top.rules = append(top.rules, l.readComment(text, func() hcl.Range { return endingAt(name, src, at) })...)
			}
			top.key = true
		}
	}
}

// endingAt is the place of a string in JSON that ends at an offset, without
// its quotes if it has no escapes in it.
func endingAt(name string, src []byte, end int) hcl.Range {
	start := bytes.LastIndexByte(src[:end-1], '"')
	begin := bytes.LastIndexByte(src[:start], '\n') + 1
	where := hcl.Range{Filename: name, Start: hcl.Pos{Line: bytes.Count(src[:start], []byte("\n")) + 1, Column: utf8.RuneCount(src[begin:start]) + 1, Byte: start}}
	where.End = where.Start
	where.End.Column += utf8.RuneCount(src[start:end])
	where.End.Byte = end
	return where
}
