package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// LanguageSchema describes the language, for editors, generators, and the
// reference in docs. It says what the decoder itself goes by: what of it is
// only prose there (defaults, which attributes go together, the spelling of a
// port) is in the docs of an attribute, and no field of its own that somebody
// would have to keep true by hand.
type LanguageSchema struct {
	FormatVersion int              `json:"format_version"`
	File          BodySchema       `json:"file"`
	Functions     []FunctionSchema `json:"functions"`
	Limits        []LimitSchema    `json:"limits"`
}

// BodySchema is what goes into the file, or into a block.
type BodySchema struct {
	Attributes []AttributeSchema `json:"attributes"`
	Blocks     []BlockSchema     `json:"blocks"`
}

// AttributeSchema is an attribute. Type is written as a variable's type is;
// besides there are duration (a string), reference (service.X or job.X), and
// type (such a type itself).
type AttributeSchema struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Kinds []string `json:"kinds,omitempty"` // of health checks that have it; empty: all
	Doc   string   `json:"doc"`
}

// BlockSchema is a block.
type BlockSchema struct {
	Name        string   `json:"name"`
	Label       string   `json:"label,omitempty"`        // what its label is called; "": it has none
	LabelValues []string `json:"label_values,omitempty"` // what its label can be; empty: any name
	Kinds       []string `json:"kinds,omitempty"`        // of health checks that have it; empty: all
	Doc         string   `json:"doc"`
	AnyName     bool     `json:"any_name,omitempty"` // attributes of any name go into it
	BodySchema
}

// FunctionSchema is a function.
type FunctionSchema struct {
	Name       string            `json:"name"`
	Usage      string            `json:"usage"` // as people write it: join(separator, lists…)
	Parameters []ParameterSchema `json:"parameters"`
	Variadic   *ParameterSchema  `json:"variadic"` // any number of further ones, unless its doc says how many
	Doc        string            `json:"doc"`
}

// ParameterSchema is a parameter of a function. The type expression is that
// of an argument that is looked at before it is evaluated.
type ParameterSchema struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// LimitSchema is a limit of the language.
type LimitSchema struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
	Unit  string `json:"unit"`
	Doc   string `json:"doc"`
}

// Schema describes the language as it is decoded.
func Schema() LanguageSchema {
	return LanguageSchema{
		FormatVersion: 1,
		File:          bodySchema(reflect.TypeFor[rawFile]()),
		Functions:     functionSchemas(),
		Limits: []LimitSchema{
			{"MaxSource", MaxSource, "bytes", "source of all files together"},
			{"MaxFiles", MaxFiles, "files", "in one directory"},
			{"MaxNesting", MaxNesting, "levels", "brackets, blocks and templates inside each other"},
			{"MaxServices", MaxServices, "services", "in all, jobs included"},
			{"MaxReferences", MaxReferences, "references", "of services to others, in all; each instance of a for_each counts"},
			{"MaxList", MaxList, "elements", "in one list, map or for_each"},
			{"MaxWhole", MaxWhole, "bytes", "about the whole configuration: each instance of a for_each, and all that functions were given and gave"},
			{"MaxValue", MaxValue, "bytes", "about what a variable, a local or a function gives"},
			{"MaxSecret", MaxSecret, "bytes", "the value of a secret"},
			{"MaxDuration", int(MaxDuration.Seconds()), "seconds", "any duration"},
			{"MaxDiagnostics", MaxDiagnostics, "diagnostics", "printed as text; further ones are counted"},
		},
	}
}

func bodySchema(raw reflect.Type) BodySchema {
	body := BodySchema{Attributes: []AttributeSchema{}, Blocks: []BlockSchema{}}
	for _, field := range reflect.VisibleFields(raw) {
		tag := field.Tag
		name, isBlock := strings.CutSuffix(tag.Get("hcl"), ",block")
		switch of := strings.Fields(tag.Get("kinds")); {
		case name == "": // the block itself, and what is embedded
		case isBlock:
			inner := field.Type.Elem().Elem()
			block := BlockSchema{Name: name, Label: tag.Get("label"), Kinds: of, Doc: tag.Get("doc"), BodySchema: bodySchema(inner)}
			block.AnyName = inner == reflect.TypeFor[rawLocals]()
			if inner == reflect.TypeFor[rawHealth]() {
				block.LabelValues = kinds
			}
			body.Blocks = append(body.Blocks, block)
		default:
			body.Attributes = append(body.Attributes, AttributeSchema{Name: name, Type: tag.Get("type"), Kinds: of, Doc: tag.Get("doc")})
		}
	}
	return body
}

func functionSchemas() []FunctionSchema {
	all := (&decoder{}).functions()
	var list []FunctionSchema
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, functionSchema(name, all[name]))
	}
	return list
}

// functionSchema takes the names of parameters from functionDocs, and their
// number and types from the function.
func functionSchema(name string, f function.Function) FunctionSchema {
	doc := functionDocs[name]
	s := FunctionSchema{Name: name, Usage: name + "(" + doc.params + ")", Parameters: []ParameterSchema{}, Doc: doc.text}
	names := strings.Split(strings.NewReplacer("…", "", "[", "", "]", "").Replace(doc.params), ", ")
	types := f.Params()
	if f.VarParam() != nil {
		types = append(types, *f.VarParam())
	}
	for i, p := range types[:min(len(types), len(names))] { // a test demands that they are as many
		s.Parameters = append(s.Parameters, ParameterSchema{names[i], parameterType(p.Type)})
	}
	if f.VarParam() != nil {
		last := len(s.Parameters) - 1
		s.Variadic, s.Parameters = &s.Parameters[last], s.Parameters[:last]
	}
	return s
}

func parameterType(t cty.Type) string {
	if t == customdecode.ExpressionClosureType {
		return "expression"
	}
	return typeexpr.TypeString(t)
}

// functionDoc is what a function's parameters are called, where … may be any
// number and [] left out, and one line on what it gives.
type functionDoc struct{ params, text string }

// functionDocs has a line for each function. cty has descriptions as well,
// but not of all, and some go on for lines.
var functionDocs = map[string]functionDoc{
	"abs":             {"number", "the number without its sign"},
	"can":             {"expression", "whether the expression can be evaluated without an error"},
	"ceil":            {"number", "the nearest whole number that is not smaller"},
	"chomp":           {"string", "the string without the line ends at its end"},
	"chunklist":       {"list, size", "the list cut into lists of at most that size"},
	"coalesce":        {"values…", "the first of its arguments that is not null"},
	"coalescelist":    {"lists…", "the first of its arguments that is not empty"},
	"compact":         {"list", "the list without its empty strings and nulls"},
	"concat":          {"lists…", "all lists one after the other, as one"},
	"contains":        {"list, value", "whether the value is in the list or set"},
	"csvdecode":       {"string", "a list with an object for each line of CSV; the first line names the attributes"},
	"distinct":        {"list", "the list without repetitions; the first of equal elements stays"},
	"element":         {"list, index", "the element at the index, from 0; past the end it starts again at the first"},
	"env":             {"name, [default]", "the variable of bootgraph's environment; an error where there is none and no default"},
	"file":            {"path", "what is in the file, which is in the configuration's directory and is UTF-8"},
	"flatten":         {"list", "the list with the lists in it replaced by their elements, however deep"},
	"floor":           {"number", "the nearest whole number that is not larger"},
	"format":          {"format, values…", "the values put into the text in place of verbs: %s string, %d whole number, %02d, %q quoted, %v any"},
	"formatlist":      {"format, values…", "format for each element of the lists among the values, as a list"},
	"indent":          {"spaces, string", "the string with that many spaces before each line but the first"},
	"join":            {"separator, lists…", "the strings of the lists as one string, with the separator between them"},
	"jsondecode":      {"string", "the value that the JSON stands for"},
	"jsonencode":      {"value", "the value as JSON"},
	"keys":            {"map", "the keys of a map or object, in order"},
	"length":          {"value", "the number of elements of a list, set or map, or of characters of a string"},
	"log":             {"number, base", "the logarithm of the number to the base"},
	"lookup":          {"map, key, default", "the value of the key, or the default where there is no such key"},
	"lower":           {"string", "the string in lower case"},
	"max":             {"numbers…", "the largest of the numbers"},
	"merge":           {"maps…", "all maps or objects as one; the last value of a key wins"},
	"min":             {"numbers…", "the smallest of the numbers"},
	"nonsensitive":    {"value", "the value, no longer hidden in output"},
	"parseint":        {"string, base", "the whole number that the string is in the base, from 2 to 62"},
	"pow":             {"number, power", "the number raised to the power"},
	"range":           {"numbers…", "a list of numbers: range(3) is 0 to 2, range(1, 4) is 1 to 3, range(0, 9, 3) is 0, 3, 6"},
	"regex":           {"pattern, string", "the first match of the regular expression (RE2), or its groups; an error where there is none"},
	"regexall":        {"pattern, string", "a list of all matches of the regular expression (RE2), or of their groups"},
	"replace":         {"string, from, to", "the string with each from replaced; /…/ is a regular expression (RE2), whose groups are $1 in to"},
	"reverse":         {"list", "the list from its end to its beginning"},
	"sensitive":       {"value", "the value, hidden in all output"},
	"setintersection": {"set, sets…", "what is in all sets"},
	"setproduct":      {"sets…", "all combinations of an element of each, as lists"},
	"setsubtract":     {"set, other", "what is in the set and not in the other"},
	"setunion":        {"set, sets…", "what is in any of the sets"},
	"signum":          {"number", "-1, 0 or 1, as the number is below, at or above 0"},
	"slice":           {"list, start, end", "the elements from start up to, and without, end; the first is 0"},
	"sort":            {"list", "the strings of the list in order"},
	"split":           {"separator, string", "the parts of the string between the separators, as a list"},
	"strrev":          {"string", "the string from its end to its beginning"},
	"substr":          {"string, offset, length", "so many characters from the offset on; a negative offset counts from the end, length -1 is the rest"},
	"title":           {"string", "the string with the first letter of each word in upper case"},
	"tobool":          {"value", "the value as a bool: \"true\" is true"},
	"tolist":          {"value", "the value as a list"},
	"tomap":           {"value", "the value as a map"},
	"tonumber":        {"value", "the value as a number: \"5\" is 5"},
	"toset":           {"value", "the value as a set: without order and repetitions; for for_each"},
	"tostring":        {"value", "the value as a string: 5 is \"5\""},
	"trim":            {"string, characters", "the string without any of the characters at its beginning and its end"},
	"trimprefix":      {"string, prefix", "the string without the prefix, where it begins with it"},
	"trimspace":       {"string", "the string without white space at its beginning and its end"},
	"trimsuffix":      {"string, suffix", "the string without the suffix, where it ends with it"},
	"try":             {"expressions…", "the first of the expressions that can be evaluated without an error"},
	"upper":           {"string", "the string in upper case"},
	"values":          {"map", "the values of a map or object, in order of their keys"},
	"zipmap":          {"keys, values", "a map of the keys to the values at the same places"},
}
