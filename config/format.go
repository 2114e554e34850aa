package config

import (
	"bytes"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Layout is a boot file as it is, and as it is in the canonical layout.
type Layout struct {
	Path      string
	Source    []byte
	Canonical []byte
}

// Format lays out what Load would read: the boot file at path, or all *.hcl
// of the directory there. It looks at syntax only, so a file whose references
// lead nowhere yet can be formatted. Files that don't parse are told among the
// diagnostics and left out. So are those in JSON, with a word only where the
// path names one: whoever writes JSON has a formatter of JSON.
func Format(path string) ([]Layout, Sources, hcl.Diagnostics) {
	files, diags := readSources(path)
	if diags.HasErrors() {
		return nil, nil, diags
	}
	layouts, sources, diags := format(files)
	if inJSON(path) && files[0].name == path {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "JSON is not formatted",
			Detail: path + " stays as it is: the canonical layout is one of HCL's native syntax."})
	}
	return layouts, sources, diags
}

// FormatSource is Format for one file that has been read.
func FormatSource(filename string, src []byte) ([]Layout, Sources, hcl.Diagnostics) {
	return format([]source{{filename, src}})
}

func format(files []source) (layouts []Layout, sources Sources, diags hcl.Diagnostics) {
	sources = Sources{}
	for _, file := range files {
		if inJSON(file.name) {
			continue
		}
		canonical, more := layOut(file, sources)
		if diags = append(diags, more...); !more.HasErrors() {
			layouts = append(layouts, Layout{file.name, file.text, canonical})
		}
	}
	return layouts, sources, diags
}

// layOut gives the layout of terraform fmt, so that a file is right for both
// and for the editors that know only the one. It differs in that the last
// line gets an end. Line ends stay what they are: in a heredoc they are part
// of a value. A byte order mark goes.
func layOut(file source, sources Sources) ([]byte, hcl.Diagnostics) {
	// hclwrite takes anything for source and makes something of it.
	if _, diags := parseSource(file, sources); diags.HasErrors() {
		return nil, diags
	}
	src := endLastLine(sources[file.name].Bytes)
	canonical := hclwrite.Format(src)
	if changed := firstChange(file.name, src, canonical); changed != nil {
		return nil, hcl.Diagnostics{problem(*changed, "Cannot be formatted",
			"In the canonical layout this would mean something else. Put parentheses around what is before it, or write .1 as [1].")}
	}
	return canonical, nil
}

// endLastLine ends the last line, or drops it where it is blank.
func endLastLine(src []byte) []byte {
	last := bytes.LastIndexByte(src, '\n') + 1
	switch {
	case len(bytes.TrimLeft(src[last:], " \t")) == 0:
		return src[:last]
	case bytes.HasSuffix(src[:last], []byte("\r\n")):
		return slices.Concat(src, []byte("\r\n"))
	}
	return slices.Concat(src, []byte("\n"))
}

// firstChange finds the first token that a layout has not kept; nil if it has
// kept all, and so what they mean. hclwrite puts tokens together by rules of
// thumb: it makes x.1 .5, which is an index of an index, x.1.5, which is an
// error.
func firstChange(filename string, src, canonical []byte) *hcl.Range {
	before, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	after, _ := hclsyntax.LexConfig(canonical, filename, hcl.InitialPos)
	for i, token := range before {
		if i >= len(after) || after[i].Type != token.Type || !bytes.Equal(after[i].Bytes, token.Bytes) {
			return &token.Range
		}
	}
	return nil
}
