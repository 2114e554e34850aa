package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcled"
)

// DiagnosticJSON is a diagnostic for programs, in the form of terraform
// validate -json.
type DiagnosticJSON struct {
	Severity string       `json:"severity"` // error or warning
	Summary  string       `json:"summary"`
	Detail   string       `json:"detail"`
	Range    *RangeJSON   `json:"range"`   // null: it is about no place in a file
	Snippet  *SnippetJSON `json:"snippet"` // null: there is no source, it is very long, or there may be something sensitive in it
	Rule     string       `json:"rule"`    // of lint that gave it; "": the language itself
}

// RangeJSON is a place in a file: from the start up to, and without, the end.
type RangeJSON struct {
	Filename string  `json:"filename"`
	Start    PosJSON `json:"start"`
	End      PosJSON `json:"end"`
}

// PosJSON is a position. Lines and columns count from 1, columns in
// characters as a reader sees them, and bytes from 0.
type PosJSON struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// SnippetJSON are the lines of source that a diagnostic is about.
type SnippetJSON struct {
	Context   string `json:"context"` // the blocks they are in: stage "core", service "db"
	Code      string `json:"code"`
	StartLine int    `json:"start_line"`
}

// DescribeDiagnostic makes a diagnostic one for programs.
func DescribeDiagnostic(sources Sources, diag *hcl.Diagnostic) DiagnosticJSON {
	d := DiagnosticJSON{Severity: "error", Summary: diag.Summary, Detail: diag.Detail}
	if diag.Severity == hcl.DiagWarning {
		d.Severity = "warning"
	}
	if diag.Subject == nil {
		return d
	}
	d.Range = &RangeJSON{diag.Subject.Filename, PosJSON(diag.Subject.Start), PosJSON(diag.Subject.End)}
	if start, end, ok := lines(sources, diag); ok {
		file := sources[diag.Subject.Filename]
		d.Snippet = &SnippetJSON{
			Context:   hcled.ContextString(file, diag.Subject.Start.Byte),
			Code:      string(bytes.TrimSuffix(file.Bytes[start:end], []byte("\r"))),
			StartLine: diag.Subject.Start.Line - bytes.Count(file.Bytes[start:min(diag.Subject.Start.Byte, end)], []byte("\n")),
		}
	}
	return d
}
