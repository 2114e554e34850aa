package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The parsers of HCL recurse, and a stack that overflows ends the program
// without a chance to recover (hashicorp/hcl#809). So the source is looked
// through first by code that doesn't recurse, and what would lead them deep is
// refused. The lexer is HCL's own: a scanner written here would sooner or
// later disagree with it about where a string ends, and be blind from there.

const (
	maxSymbols   = 1 << 20 // punctuation and line ends: bounds tokens, so memory (112 bytes a token)
	maxOperators = 1_000   // of one expression: a + b + c is evaluated by recursion
	maxNumber    = 64      // characters of a number; 1e999999999 takes gigabytes to print
)

const byteOrderMark = "\uFEFF"

// checkText refuses text that could deceive a reader or a terminal, or that
// HCL would take for something else.
func checkText(filename string, src []byte) *hcl.Diagnostic {
	if len(src) > MaxSource {
		return problem(rangeAt(filename, src, 0, 0), "File too large", "A boot file has at most %d MiB; this one has %d bytes.", MaxSource>>20, len(src))
	}
	symbols := 0
	for at := 0; at < len(src); {
		r, size := utf8.DecodeRune(src[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			hint := "save the file as UTF-8"
			if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
				hint = "the file looks like UTF-16; " + hint
			}
			return problem(rangeAt(filename, src, at, 1), "Not UTF-8", "Byte 0x%02x at offset %d is not UTF-8: %s.", src[at], at, hint)
		case r == '\n':
			symbols++
		case r == '\t' || r == '\r' && at+1 < len(src) && src[at+1] == '\n':
		case r == '\r': // on a terminal, what follows would be written over what was before
			return problem(rangeAt(filename, src, at, size), "Carriage return", "There is a carriage return without a line feed at offset %d: end lines with LF or CRLF.", at)
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || string(r) == byteOrderMark:
			return problem(rangeAt(filename, src, at, size), "Invisible character",
				`U+%04X is a control character: remove it. Where a value needs it, write \u%04x inside the string.`, r, r)
		case r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != ' ':
			symbols++
		}
		if symbols > maxSymbols {
			return problem(rangeAt(filename, src, at, size), "File too large", "There are more than %d punctuation characters and lines.", maxSymbols)
		}
		at += size
	}
	return nil
}

// printable replaces what checkText refuses, byte for byte, for the snippet
// of a diagnostic.
func printable(src []byte) []byte {
	clean := bytes.Clone(src)
	for at := 0; at < len(src); {
		r, size := utf8.DecodeRune(src[at:])
		if r == utf8.RuneError || r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			copy(clean[at:at+size], "???")
		}
		at += size
	}
	return clean
}

// checkDepth refuses what would lead a parser too deep.
func checkDepth(filename string, src []byte, inJSON bool) hcl.Diagnostics {
	if !inJSON {
		return checkNative(filename, src)
	}
	if bad := checkJSON(filename, src); bad != nil {
		return hcl.Diagnostics{bad}
	}
	return nil
}

// chunk is how much is lexed at a time: a token takes 112 bytes, so those of
// a whole file are slow to collect and hard on the memory.
const chunk = 64 << 10

// checkNative lexes the source piece by piece. A piece ends with a line that
// begins with }, and counts if nothing is open there: from there on the lexer
// would be in the state it begins in. Only a comment /* */ could stretch over
// the end of a piece unseen, so where there might be one, all is one piece.
func checkNative(filename string, src []byte) hcl.Diagnostics {
	var garbage hcl.Diagnostics
	start, size := hcl.InitialPos, chunk
	if bytes.Contains(src, []byte("/*")) {
		size = len(src)
	}
	for start.Byte < len(src) {
		end := len(src)
		if from := start.Byte + size; from < end {
			if i := bytes.Index(src[from:], []byte("\n}\n")); i >= 0 {
				end = from + i + len("\n}\n")
			}
		}
		tokens, diags := hclsyntax.LexConfig(src[start.Byte:end], filename, start)
		bad, open := checkTokens(tokens, false)
		if bad != nil {
			return hcl.Diagnostics{bad}
		}
		if open && end < len(src) {
			size *= 2
			continue
		}
		if garbage = append(garbage, diags...); len(garbage) > MaxDiagnostics {
			return garbage // the parser would find as much again
		}
		start.Line += bytes.Count(src[start.Byte:end], []byte("\n"))
		start.Byte = end
	}
	return nil
}

// closer has the token that ends what a token begins.
var closer = map[hclsyntax.TokenType]hclsyntax.TokenType{
	hclsyntax.TokenOBrace:          hclsyntax.TokenCBrace,
	hclsyntax.TokenOBrack:          hclsyntax.TokenCBrack,
	hclsyntax.TokenOParen:          hclsyntax.TokenCParen,
	hclsyntax.TokenOQuote:          hclsyntax.TokenCQuote,
	hclsyntax.TokenOHeredoc:        hclsyntax.TokenCHeredoc,
	hclsyntax.TokenTemplateInterp:  hclsyntax.TokenTemplateSeqEnd,
	hclsyntax.TokenTemplateControl: hclsyntax.TokenTemplateSeqEnd,
}

// operators chain: each one is a level of recursion, in the parser or in the
// evaluation.
var operators = []hclsyntax.TokenType{
	hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenPercent,
	hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
	hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr,
	hclsyntax.TokenBang, hclsyntax.TokenQuestion, hclsyntax.TokenColon, hclsyntax.TokenDot,
	hclsyntax.TokenOBrack,          // x[0][0][0]
	hclsyntax.TokenTemplateControl, // %{ if } nests without brackets
}

// checkTokens counts what nests and what chains, and tells whether something
// is open at the end.
func checkTokens(tokens hclsyntax.Tokens, inJSON bool) (bad *hcl.Diagnostic, open bool) {
	type level struct {
		end   hclsyntax.TokenType
		chain int // operators it hangs on, on all levels around it
	}
	levels := []level{{end: hclsyntax.TokenEOF}} // of which the first is the file
	chain := 0
	for i, token := range tokens {
		here := &levels[len(levels)-1]
		if slices.Contains(operators, token.Type) {
			if chain++; chain > maxOperators {
				return problem(token.Range, "Expression too long", "There are more than %d operators in one expression.", maxOperators), true
			}
		}
		switch token.Type {
		case hclsyntax.TokenComma:
			chain = here.chain
		case hclsyntax.TokenNewline:
			// Inside ( and [ a line end ends nothing.
			if here.end == hclsyntax.TokenCBrace || here.end == hclsyntax.TokenEOF {
				chain = here.chain
			}
		case hclsyntax.TokenNumberLit:
			if tooLong(string(token.Bytes)) {
				return outOfRange(token.Range), true
			}
		case hclsyntax.TokenIdent:
			// [for x in list : ...] inside one another multiplies what it
			// makes: 200 bytes give gigabytes. In native syntax weight sees
			// that; what a string of JSON has in it, it can't.
			if inJSON && string(token.Bytes) == "for" && opens(tokens[:i]) {
				return problem(token.Range, "Unsupported expression", "A for expression can't stand in a JSON file: whatever writes the file can write out what it gives."), true
			}
		}
		if end, ok := closer[token.Type]; ok {
			if len(levels) > MaxNesting {
				return tooDeep(token.Range), true
			}
			levels = append(levels, level{end, chain})
			continue
		}
		// A closing token ends the innermost level that waits for it; one
		// that none waits for is the parser's to report.
		for n := len(levels) - 1; n > 0; n-- {
			if levels[n].end == token.Type {
				chain = levels[n].chain
				levels = levels[:n]
				break
			}
		}
	}
	return nil, len(levels) > 1
}

// opens reports whether the last token, line ends and comments apart, is one
// that a for expression or a for directive may follow.
func opens(tokens hclsyntax.Tokens) bool {
	for _, token := range slices.Backward(tokens) {
		switch token.Type {
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenTemplateControl:
			return true
		default:
			return false
		}
	}
	return false
}

// checkJSON is checkTokens for JSON, whose strings are templates.
func checkJSON(filename string, src []byte) *hcl.Diagnostic {
	var levels []byte // the closing brackets waited for
	for at := 0; at < len(src); at++ {
		switch c := src[at]; {
		case c == '{' || c == '[':
			levels = append(levels, c+2) // in ASCII } is { + 2, and ] is [ + 2
			if len(levels) > MaxNesting {
				return tooDeep(rangeAt(filename, src, at, 1))
			}
		case c == '}' || c == ']':
			if n := len(levels); n > 0 && levels[n-1] == c {
				levels = levels[:n-1]
			}
		case c == '-' || '0' <= c && c <= '9':
			end := at + len(src[at:]) - len(bytes.TrimLeft(src[at:], "+-.eE0123456789"))
			if tooLong(string(src[at:end])) {
				return outOfRange(rangeAt(filename, src, at, end-at))
			}
			at = end - 1
		case c == '"':
			end := at + 1
			for end < len(src) && src[end] != '"' && src[end] >= ' ' {
				if src[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(src))
			if bad := checkTemplate(src[at:end]); bad != nil {
				where := rangeAt(filename, src, at, end-at)
				bad.Subject = &where
				return bad
			}
			at = end - 1
		}
	}
	return nil
}

// checkTemplate checks a JSON string, given with its quotes.
func checkTemplate(quoted []byte) *hcl.Diagnostic {
	if !bytes.ContainsAny(quoted, `$%\`) {
		return nil
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil || !strings.Contains(text, "${") && !strings.Contains(text, "%{") {
		return nil
	}
	tokens, _ := hclsyntax.LexTemplate([]byte(text), "", hcl.InitialPos)
	bad, _ := checkTokens(tokens, true)
	return bad
}

// tooLong reports whether a number, as it is written, is not to be evaluated.
func tooLong(number string) bool {
	digits, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	return len(digits) > maxNumber || len(strings.Trim(exponent, "+-")) > 3
}

func outOfRange(where hcl.Range) *hcl.Diagnostic {
	return problem(where, "Number out of range", "A number has at most %d digits, and its exponent at most three.", maxNumber)
}

func tooDeep(where hcl.Range) *hcl.Diagnostic {
	return problem(where, "Nesting too deep", "Brackets, blocks and templates may be inside each other up to %d deep.", MaxNesting)
}

// rangeAt is the range of size bytes at an offset. A column is counted in
// code points here, in grapheme clusters by hcl: they differ for some
// scripts, and only in a message.
func rangeAt(filename string, src []byte, at, size int) hcl.Range {
	before := src[:at]
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	line := bytes.Count(before, []byte("\n")) + 1
	return hcl.Range{
		Filename: filename,
		Start:    hcl.Pos{Line: line, Column: column, Byte: at},
		End:      hcl.Pos{Line: line, Column: column + utf8.RuneCount(src[at:at+size]), Byte: at + size},
	}
}

// problem is an error at a place; detail is a format.
func problem(where hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	text := fmt.Sprintf(detail, args...)
	if plainWord.MatchString(text) {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: text, Subject: &where}
}

// plainWord finds sentences that begin as an error does, in lower case. What
// begins with a name, of an attribute or a service, stays as it is written.
var plainWord = regexp.MustCompile(`^(a name has|a key is|the ports of|options \S+ and|missing \S+|invalid \S+|unexpected \S+|port \d+ of) `)
