package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What the parser of HCL says is said to who knows HCL. Whoever writes a first
// boot file is told what to write instead.

// clarify rewords the diagnostics of the parser. It comes after veil: of lines
// that are not shown it tells nothing either.
func clarify(sources Sources, diags hcl.Diagnostics) hcl.Diagnostics {
	var quotes *hcl.Range // the last single quote, after which the parser is lost
	return slices.DeleteFunc(diags, func(diag *hcl.Diagnostic) bool {
		if quotes != nil && diag.Summary == "Invalid expression" && *diag.Subject == *quotes {
			return true
		}
		switch line := lineOf(sources, diag); diag.Summary {
		case "Invalid character":
			quotes = diag.Subject
		case "Missing newline after argument":
			diag.Detail = "Something is between the value and the end of the line. Each argument has a line of its own, and text is in quotes" + inQuotes(line) + "."
		case "Missing item separator":
			diag.Detail = "The elements of a list have commas between them, and text is in quotes."
		case "Invalid template control keyword":
			diag.Summary = "Invalid directive"
			diag.Detail = "%{ begins a directive of a template, such as %{ if … }. For the text, write %%{."
		case "Invalid block definition":
			if m := attributeLine.FindStringSubmatch(line); m != nil && homes[m[1]][false] != nil {
				diag.Detail = fmt.Sprintf("%s is an attribute: write %s = …, with an equals sign.", m[1], m[1])
			}
		case "Invalid single-argument block definition":
			diag.Detail = "A block on one line has one argument at most, and no commas. Put each argument on a line of its own."
		case "Invalid multi-line string":
			diag.Detail = "The quotes of a string are closed on the line where it begins. A line end in it is written \\n, text of many lines as <<EOT … EOT."
		case "Missing attribute separator":
			diag.Detail = "The entries of a map have commas or line ends between them, and text is in quotes."
		case "Not enough function arguments", "Too many function arguments":
			if m := calledFunction.FindStringSubmatch(diag.Detail); m != nil {
				diag.Detail = fmt.Sprintf("It is called like this: %s(%s).", m[1], functionDocs[m[1]].params)
			}
		case "Unsupported attribute":
			if m := noAttributes.FindStringSubmatch(diag.Detail); m != nil {
				diag.Detail = fmt.Sprintf("What is before the dot is a %s, which has no attributes.", m[1])
			}
		default:
			clarifyLabels(diag)
		}
		return false
	})
}

var (
	attributeLine  = regexp.MustCompile(`^\s*([A-Za-z_]+)\s+["\d]`)
	bareValue      = regexp.MustCompile(`^\s*([A-Za-z_]+)\s*=\s*([^\s"'{}\[\]()#,$%]{1,80})\s*$`)
	calledFunction = regexp.MustCompile(`^Function "(\w+)" expects`)
	noAttributes   = regexp.MustCompile(`^Can't access attributes on a primitive-typed value \((\w+)\)\.`)
	labelsWanted   = regexp.MustCompile(`^All (\w+) blocks must have \d+ labels \((\w+)\)\.$`)
	labelsExtra    = regexp.MustCompile(`^(Only \d+|No) labels .*expected for (\w+) blocks\.$`)
)

// inQuotes writes a line's value in quotes, if it is one word.
func inQuotes(line string) string {
	if m := bareValue.FindStringSubmatch(line); m != nil {
		return fmt.Sprintf(": %s = %q", m[1], m[2])
	}
	return ""
}

// clarifyLabels says what a label is, and what the header of a block looks like.
func clarifyLabels(diag *hcl.Diagnostic) {
	if m := labelsWanted.FindStringSubmatch(diag.Detail); m != nil {
		diag.Detail = fmt.Sprintf("A %s block has a %s: write %s %q { … }.", m[1], m[2], m[1], strings.ToUpper(m[2]))
		if m[2] == "kind" {
			diag.Detail += " Kinds are " + strings.Join(kinds, ", ") + "."
		}
	}
	if m := labelsExtra.FindStringSubmatch(diag.Detail); m != nil {
		diag.Detail = fmt.Sprintf("A %s block has one name.", m[2])
		if m[1] == "No" {
			diag.Detail = fmt.Sprintf("A %s block has no name: write %s { … }.", m[2], m[2])
		}
	}
}

// lineOf is the line that a diagnostic begins in; "" if it is not shown.
func lineOf(sources Sources, diag *hcl.Diagnostic) string {
	start, _, ok := lines(sources, diag)
	if !ok {
		return ""
	}
	line, _, _ := bytes.Cut(sources[diag.Subject.Filename].Bytes[start:], []byte("\n"))
	return string(line)
}

// nav tells which blocks an offset is in, all of them: in the heading of a
// snippet hcl's own tells the outermost, which of a service is its stage.
type nav struct {
	body   *hclsyntax.Body // nil: that of JSON, or of what could not be parsed
	hidden []hcl.Range     // that are out of sight
}

func (n *nav) ContextString(offset int) string {
	if n.body == nil {
		return ""
	}
	var headers []string
	for body := n.body; ; {
		i, found := slices.BinarySearchFunc(body.Blocks, offset, func(b *hclsyntax.Block, offset int) int {
			switch r := b.Range(); {
			case r.End.Byte <= offset:
				return -1
			case r.Start.Byte > offset:
				return 1
			}
			return 0
		})
		if !found {
			return strings.Join(headers, ", ")
		}
		header := body.Blocks[i].Type
		for _, label := range body.Blocks[i].Labels {
			header += fmt.Sprintf(" %q", label)
		}
		headers, body = append(headers, header), body.Blocks[i].Body
	}
}
