package report

import (
	"io"

	"bootgraph/config"
)

// Validation is what validate says of a configuration. Name and counts are
// empty where it is not valid: there is no configuration then.
type Validation struct {
	FormatVersion int                     `json:"format_version"`
	Valid         bool                    `json:"valid"`
	Name          string                  `json:"name"`
	ErrorCount    int                     `json:"error_count"`
	WarningCount  int                     `json:"warning_count"`
	Stages        int                     `json:"stages"`
	Services      int                     `json:"services"` // and jobs
	Diagnostics   []config.DiagnosticJSON `json:"diagnostics"`
}

// WriteValidation writes it as JSON, with all diagnostics.
func WriteValidation(w io.Writer, v Validation) error { return writeJSON(w, v) }

// WriteSchema writes the description of the language as JSON.
func WriteSchema(w io.Writer, s config.LanguageSchema) error { return writeJSON(w, s) }
