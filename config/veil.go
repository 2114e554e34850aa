package config

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Lines of source that no diagnostic shows, whoever found it and whatever it
// is about: an expression can be kept out of sight where it is evaluated, but
// the parser, and a misspelled name beside it, know nothing of that.

// unquoted marks a diagnostic that is shown without its line of source.
type unquoted struct{}

// veil keeps ranges of the sources out of sight for good: lint and the
// scheduler have something to say of them later.
func veil(sources Sources, hidden []hcl.Range) {
	for _, r := range hidden {
		n, ok := sources[r.Filename].Nav.(*nav)
		if !ok {
			n = &nav{}
			sources[r.Filename].Nav = n
		}
		n.hidden = append(n.hidden, r)
	}
}

// veiled reports whether lines of a file reach into what is out of sight.
func veiled(file *hcl.File, start, end int) bool {
	n, ok := file.Nav.(*nav)
	return ok && slices.ContainsFunc(n.hidden, func(r hcl.Range) bool { return r.Start.Byte < end && start < r.End.Byte })
}

// hide keeps the body of a block out of sight: of a secret, or of a variable
// that is sensitive. In native syntax its header is shown, and so are the
// attributes that are known to be none: there each has a line of its own.
func (d *decoder) hide(block *hcl.Block, open ...*hcl.Attribute) {
	body, native := block.Body.(*hclsyntax.Body)
	if !native {
		d.hidden = append(d.hidden, hcl.RangeOver(block.DefRange, block.Body.MissingItemRange()))
		return
	}
	open = slices.DeleteFunc(open, func(a *hcl.Attribute) bool { return a == nil })
	slices.SortFunc(open, func(a, b *hcl.Attribute) int { return compareRanges(a.Range, b.Range) })
	start := body.SrcRange.Start.Byte + len("{\n")
	for _, a := range open {
		d.hidden = append(d.hidden, rangeOf(a.Range.Filename, start, a.Range.Start.Byte-a.Range.Start.Column+1))
		start = a.Range.End.Byte + len("\n")
	}
	d.hidden = append(d.hidden, rangeOf(body.SrcRange.Filename, start, body.EndRange.Start.Byte))
}

// sensitiveCall finds calls of the function in text: to the end of the line,
// or of the first thing in parentheses if that comes later.
var sensitiveCall = regexp.MustCompile(`\bsensitive\s*\((?:[^()]*\))?`)

// sensitiveCalls are the places of what is marked as sensitive where it is
// written.
func sensitiveCalls(sources Sources) (calls []hcl.Range) {
	for name, file := range sources {
		body, ok := file.Body.(*hclsyntax.Body)
		switch {
		case !bytes.Contains(file.Bytes, []byte("sensitive")):
			continue
		case !ok:
			calls = append(calls, matches(name, file.Bytes, sensitiveCall)...)
			continue
		}
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			if call, is := n.(*hclsyntax.FunctionCallExpr); is && call.Name == "sensitive" {
				calls = append(calls, call.Range())
			}
			return nil
		})
	}
	return calls
}

// sectionStart finds where the blocks of a file begin whose syntax is in
// error, so that nothing else tells.
var (
	sectionStart = regexp.MustCompile(`(?m)^[ \t]*(variable|secret|stage|service|job|component|health|tls|network|volume|locals|podman)\b`)
	mentions     = regexp.MustCompile(`\bsensitive\b|"secret"`)
)

// hiddenText is what might be sensitive in files that could not be parsed: all
// of JSON that has such a thing, in native syntax what stands from the header
// of a secret or sensitive variable to that of the next block.
func hiddenText(sources Sources) (hidden []hcl.Range) {
	for name, file := range sources {
		src := file.Bytes
		hidden = append(hidden, matches(name, src, sensitiveCall)...)
		if inJSON(name) {
			if mentions.Match(src) {
				hidden = append(hidden, rangeOf(name, 0, len(src)))
			}
			continue
		}
		starts := sectionStart.FindAllSubmatchIndex(src, -1)
		for i, at := range starts {
			end := len(src)
			if i+1 < len(starts) {
				end = starts[i+1][0]
			}
			kind := string(src[at[2]:at[3]])
			if kind == "secret" || kind == "variable" && mentions.Match(src[at[0]:end]) {
				hidden = append(hidden, rangeOf(name, at[0], end))
			}
		}
	}
	return hidden
}

func matches(name string, src []byte, pattern *regexp.Regexp) (found []hcl.Range) {
	for _, at := range pattern.FindAllIndex(src, -1) {
		found = append(found, rangeOf(name, at[0], at[1]))
	}
	return found
}

// rangeOf is a range whose lines nobody asks for.
func rangeOf(name string, start, end int) hcl.Range {
	return hcl.Range{Filename: name, Start: hcl.Pos{Byte: start}, End: hcl.Pos{Byte: end}}
}
