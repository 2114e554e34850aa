package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// maxSnippet is how many bytes of source are shown with a diagnostic: JSON
// that was generated on one line would fill the screen.
const maxSnippet = 2_000

// WriteDiagnostics writes diagnostics for people, each with its line of
// source: MaxDiagnostics at most, then how many more there are. Where there
// are more, errors go before warnings. Text is wrapped at width columns; 0
// means not at all.
func WriteDiagnostics(w io.Writer, sources Sources, diags hcl.Diagnostics, width uint, color bool) error {
	if len(diags) > MaxDiagnostics {
		diags = slices.Clone(diags)
		slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int { return cmp.Compare(a.Severity, b.Severity) })
	}
	for i, diag := range diags {
		if i == MaxDiagnostics {
			_, err := fmt.Fprintf(w, "… and %d more\n", len(diags)-i)
			return err
		}
		shown := *diag
		shown.Summary, shown.Detail = visible(diag.Summary), visible(diag.Detail)
		source := snippet(sources, diag)
		if diag.Subject != nil { // whoever made the file has chosen its name
			where := *diag.Subject
			where.Filename = visible(where.Filename)
			if shown.Subject = &where; source != nil {
				source = Sources{where.Filename: source[diag.Subject.Filename]}
			}
		}
		if err := hcl.NewDiagnosticTextWriter(w, source, width, color).WriteDiagnostic(&shown); err != nil {
			return err
		}
	}
	return nil
}

// visible replaces what a terminal might obey: a value may have got it from
// an escape in its string.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// snippet is the source up to the last line that is shown with a diagnostic,
// since hcl goes through all it is given, and slowly.
func snippet(sources Sources, diag *hcl.Diagnostic) Sources {
	_, end, ok := lines(sources, diag)
	if !ok {
		return nil
	}
	file := sources[diag.Subject.Filename]
	return Sources{diag.Subject.Filename: {Bytes: file.Bytes[:end], Nav: file.Nav}}
}

// lines are where the lines of source begin and end that are shown with a
// diagnostic. None are where they would be very long, or show what is
// sensitive.
func lines(sources Sources, diag *hcl.Diagnostic) (start, end int, ok bool) {
	if _, secret := diag.Extra.(unquoted); secret || diag.Subject == nil || sources[diag.Subject.Filename] == nil {
		return 0, 0, false
	}
	file, shown := sources[diag.Subject.Filename], *diag.Subject
	if diag.Context != nil {
		shown = hcl.RangeOver(shown, *diag.Context)
	}
	start, end = min(shown.Start.Byte, len(file.Bytes)), min(shown.End.Byte, len(file.Bytes))
	start = bytes.LastIndexByte(file.Bytes[:start], '\n') + 1
	if rest := bytes.IndexByte(file.Bytes[end:], '\n'); rest >= 0 {
		end += rest
	} else {
		end = len(file.Bytes)
	}
	return start, end, end-start <= maxSnippet && !veiled(file, start, end)
}

// tidy brings diagnostics into the order of the source and drops repetitions,
// which arise where one thing is looked at twice, as the health of a stage is
// for each of its services.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	order := func(a, b *hcl.Diagnostic) int {
		return cmp.Or(
			compareRanges(start(a), start(b)),
			cmp.Compare(a.Summary, b.Summary),
			cmp.Compare(a.Detail, b.Detail))
	}
	slices.SortStableFunc(diags, order)
	return slices.CompactFunc(diags, func(a, b *hcl.Diagnostic) bool { return order(a, b) == 0 })
}

// start is where a diagnostic points to; one that points nowhere goes first.
func start(diag *hcl.Diagnostic) hcl.Range {
	if diag.Subject == nil {
		return hcl.Range{}
	}
	return *diag.Subject
}

// compareRanges brings places into the order of a configuration: that of the
// names of its files, and within one of the source.
func compareRanges(a, b hcl.Range) int {
	return cmp.Or(cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Start.Byte, b.Start.Byte))
}

// sentence ends the text of an error with a full stop if nothing ends it yet.
func sentence(err error) string {
	text := err.Error()
	if strings.HasSuffix(text, "?") || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// untilUnclosed cuts the errors of a parser after a string that is not
// closed: to the parser it goes on for lines, and each of them is one more.
func untilUnclosed(diags hcl.Diagnostics) hcl.Diagnostics {
	i := slices.IndexFunc(diags, func(diag *hcl.Diagnostic) bool { return diag.Summary == "Invalid multi-line string" })
	if i < 0 {
		return diags
	}
	return diags[:i+1]
}

// place is a position as people and editors write it.
func place(r hcl.Range) string {
	return fmt.Sprintf("%s:%d,%d", r.Filename, r.Start.Line, r.Start.Column)
}

// nearest finds the known name that differs from the given one in the fewest
// letters, at most two; "" if there is none. The first wins a tie. Of a word
// of four letters two are half of it: they have to have changed places.
func nearest(given string, known []string) string {
	best, least := "", min(3, len(given))
	for _, name := range known {
		distance := levenshtein.Distance(given, name, nil)
		if distance < least && (distance < 2 || len(given) > 4 || letters(given) == letters(name)) {
			best, least = name, distance
		}
	}
	return best
}

// letters are the letters of a word in order.
func letters(s string) string {
	all := []byte(s)
	slices.Sort(all)
	return string(all)
}

// DidYouMean is a sentence, with a space before it, or nothing.
func DidYouMean(given string, known []string) string {
	if name := nearest(given, known); name != "" {
		return fmt.Sprintf(" Did you mean %q?", name)
	}
	return ""
}
