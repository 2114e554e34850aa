package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// standard are the functions of go-cty's library that Terraform has, under
// Terraform's names. Those about dates are left out: what depends on when it
// is read is no description of a host.
var standard = map[string]function.Function{
	"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc,
	"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc, "signum": stdlib.SignumFunc,

	"chomp": stdlib.ChompFunc, "format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc, "indent": stdlib.IndentFunc,
	"join": stdlib.JoinFunc, "lower": stdlib.LowerFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
	"replace": replaceFunc, "split": stdlib.SplitFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
	"title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimsuffix": stdlib.TrimSuffixFunc,
	"trimspace": stdlib.TrimSpaceFunc, "upper": stdlib.UpperFunc,

	"chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc,
	"compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "distinct": distinctFunc,
	"element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc, "keys": stdlib.KeysFunc, "length": lengthFunc,
	"lookup": stdlib.LookupFunc, "merge": stdlib.MergeFunc, "range": stdlib.RangeFunc, "reverse": stdlib.ReverseListFunc,
	"setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc, "setsubtract": stdlib.SetSubtractFunc,
	"setunion": stdlib.SetUnionFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,

	"csvdecode": stdlib.CSVDecodeFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,

	"tobool": stdlib.MakeToFunc(cty.Bool), "tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
	"tonumber": stdlib.MakeToFunc(cty.Number), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "tostring": stdlib.MakeToFunc(cty.String),

	"can": canFunc, "try": tryFunc,
	"sensitive": markFunc, "nonsensitive": unmarkFunc,
}

// grows estimates what a call gives that may give far more than it is given;
// what it really gives is checked for all.
var grows = map[string]func(args []cty.Value) int{
	"format":     formatSize,
	"formatlist": formatSize,
	"indent":     func(args []cty.Value) int { return times(number(args[0]), 1+strings.Count(text(args[1]), "\n")) },
	"join": func(args []cty.Value) int {
		return times(len(text(args[0])), weightOf(cty.TupleVal(args[1:]))/perValue)
	},
	"replace":    func(args []cty.Value) int { return times(len(text(args[2])), len(text(args[0]))+1) },
	"setproduct": productSize,
}

// deep are the functions that read text which nests.
var deep = map[string]bool{"jsondecode": true}

// functions are all there are, each bounded in what it gives.
func (d *decoder) functions() map[string]function.Function {
	all := map[string]function.Function{"env": d.envFunc(), "file": d.fileFunc()}
	for name, f := range standard {
		all[name] = f
		if name != "can" && name != "try" { // they see expressions, not values
			all[name] = d.bounded(name, f)
		}
	}
	return all
}

// bounded is a function that refuses to give more than MaxValue, and to be
// called when that has been too much in all.
func (d *decoder) bounded(name string, f function.Function) function.Function {
	spec := &function.Spec{Description: f.Description(), Params: f.Params(), VarParam: f.VarParam()}
	// The real function takes its marks off and puts them on again itself.
	for i := range spec.Params {
		spec.Params[i].AllowMarked = true
	}
	if spec.VarParam != nil {
		rest := *spec.VarParam
		rest.AllowMarked = true
		spec.VarParam = &rest
	}
	tooLarge := fmt.Errorf("the result would be larger than %d MiB", MaxValue>>20)
	// Before its type is asked for: to know that of jsondecode is to decode.
	spec.Type = func(args []cty.Value) (cty.Type, error) {
		plain := make([]cty.Value, len(args))
		for i, arg := range args {
			plain[i], _ = arg.UnmarkDeep()
		}
		if size, ok := grows[name]; ok && size(plain) > MaxValue {
			return cty.NilType, tooLarge
		}
		for i, arg := range plain {
			if hugeNumber(arg, false) {
				return cty.NilType, function.NewArgErrorf(i, "the number is too large, or too close to 0")
			}
		}
		if deep[name] && nesting(text(plain[0])) > MaxNesting {
			return cty.NilType, function.NewArgErrorf(0, "its brackets are inside each other more than %d deep", MaxNesting)
		}
		for _, arg := range plain {
			d.weighs = plus(d.weighs, weightOf(arg))
		}
		if d.weighs > MaxWhole {
			return cty.NilType, fmt.Errorf("functions have been given more than %d MiB in all", MaxWhole>>20)
		}
		return f.ReturnTypeForValues(args)
	}
	spec.Impl = func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, err := f.Call(args)
		if err != nil {
			return v, err
		}
		size := weightOf(v)
		if d.weighs = plus(d.weighs, size); size > 2*MaxValue {
			return cty.NilVal, tooLarge
		}
		if wide(v) {
			return cty.NilVal, fmt.Errorf("the result would have a list or map of more than %d elements", maxElements)
		}
		return v, nil
	}
	return function.New(spec)
}

// text and number are what an argument says, as far as it says anything.
func text(v cty.Value) string {
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

func number(v cty.Value) int {
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.Number {
		return 0
	}
	n, _ := v.AsBigFloat().Int64()
	return int(max(n, 0))
}

// formatVerb finds the width and precision of a verb, numericVerb a verb that
// makes a number of a text.
var (
	formatVerb  = regexp.MustCompile(`%[^a-zA-Z%]*`)
	digits      = regexp.MustCompile(`[0-9]+`)
	numericVerb = regexp.MustCompile(`%[^a-zA-Z%]*[bdoxXeEfgG]`)
)

// formatSize: each verb may show any of the arguments, in as many columns as
// it says.
func formatSize(args []cty.Value) int {
	if len(args) == 0 {
		return 0
	}
	size := len(text(args[0]))
	verbs := formatVerb.FindAllString(text(args[0]), -1)
	for _, verb := range verbs {
		for _, number := range digits.FindAllString(verb, -1) {
			columns, err := strconv.Atoi(number)
			if err != nil {
				return 2 * MaxValue
			}
			size = plus(size, columns)
		}
	}
	largest := 0
	for _, arg := range args[1:] {
		if numericVerb.MatchString(text(args[0])) && hugeNumber(arg, true) {
			return 2 * MaxValue
		}
		largest = max(largest, weightOf(arg))
	}
	return plus(size, times(len(verbs), largest))
}

func productSize(args []cty.Value) int {
	size := len(args) * perValue
	for _, arg := range args {
		if arg.CanIterateElements() {
			size = times(size, arg.LengthInt())
		}
	}
	return size
}

// nesting is how deep the brackets of JSON go; those in strings count too,
// which does no harm.
func nesting(s string) int {
	depth, deepest := 0, 0
	for _, c := range s {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}
	return deepest
}

// replaceFunc is Terraform's: /…/ is a regular expression.
var replaceFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String}, {Name: "substr", Type: cty.String}, {Name: "replace", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		from := args[1].AsString()
		if len(from) < 2 || from[0] != '/' || from[len(from)-1] != '/' {
			return stdlib.Replace(args[0], args[1], args[2])
		}
		pattern, err := regexp.Compile(from[1 : len(from)-1])
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		return cty.StringVal(pattern.ReplaceAllString(args[0].AsString(), args[2].AsString())), nil
	},
})

// distinctFunc is the library's, which compares each with each: a minute for a
// list of 1 MiB.
var distinctFunc = function.New(&function.Spec{
	Params: stdlib.DistinctFunc.Params(),
	Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl: func(args []cty.Value, kind cty.Type) (cty.Value, error) {
		var list []cty.Value
		seen := map[int][]cty.Value{} // by hash
		for it := args[0].ElementIterator(); it.Next(); {
			_, v := it.Element()
			same := func(other cty.Value) bool { return other.RawEquals(v) }
			if h := v.Hash(); !slices.ContainsFunc(seen[h], same) {
				seen[h], list = append(seen[h], v), append(list, v)
			}
		}
		if len(list) == 0 {
			return cty.ListValEmpty(kind.ElementType()), nil
		}
		return cty.ListVal(list), nil
	},
})

// lengthFunc is Terraform's: it counts the characters of a string, too.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		if t := args[0].Type(); t != cty.String && !t.IsTupleType() && !t.IsObjectType() && !t.IsCollectionType() && t != cty.DynamicPseudoType {
			return cty.NilType, function.NewArgErrorf(0, "a string, a list or a map is required")
		}
		return cty.Number, nil
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].Type() == cty.String {
			return stdlib.Strlen(args[0])
		}
		return cty.NumberIntVal(int64(args[0].LengthInt())), nil
	},
})

var markFunc, unmarkFunc = remark(func(v cty.Value) cty.Value { return v.Mark(sensitive) }),
	remark(func(v cty.Value) cty.Value { v, _ = v.UnmarkDeep(); return v })

func remark(change func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return change(args[0]), nil },
	})
}

// tryFunc and canFunc are those of hcl's tryfunc, but for the marks: whether
// something sensitive can be evaluated, and what stands in for it where it
// can't, tells of it.
var tryFunc = function.New(&function.Spec{
	VarParam: &function.Parameter{Name: "expressions", Type: customdecode.ExpressionClosureType},
	Type:     function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if len(args) == 0 {
			return cty.NilVal, errors.New("at least one argument is required")
		}
		why := "no expression succeeded:"
		marks := cty.ValueMarks{}
		for _, arg := range args {
			closure := customdecode.ExpressionClosureFromVal(arg)
			v, diags := closure.Value()
			if !diags.HasErrors() {
				return v.WithMarks(marks), nil
			}
			why += fmt.Sprintf("\n- %s (at %s): %s", diags[0].Summary, place(start(diags[0])), strings.TrimSuffix(diags[0].Detail, "."))
			maps.Copy(marks, marksOf(closure))
		}
		return cty.NilVal, errors.New(why)
	},
})

var canFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "expression", Type: customdecode.ExpressionClosureType}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		closure := customdecode.ExpressionClosureFromVal(args[0])
		_, diags := closure.Value()
		return cty.BoolVal(!diags.HasErrors()).WithMarks(marksOf(closure)), nil
	},
})

// marksOf are the marks of all that an expression is made of, but for what is
// nonsensitive there: what it gives, if it gives anything, may have lost them.
func marksOf(closure *customdecode.ExpressionClosure) cty.ValueMarks {
	marks := cty.ValueMarks{}
	open := map[hcl.Range]bool{}
	visit(closure.Expression, func(n hclsyntax.Node) {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		switch {
		case !ok:
		case call.Name == "sensitive":
			marks[sensitive] = struct{}{}
		case call.Name == "env":
			marks[fromEnv] = struct{}{}
		case call.Name == "nonsensitive":
			for _, path := range call.Variables() {
				open[path.SourceRange()] = true
			}
		}
	})
	for _, path := range closure.Expression.Variables() {
		if v, diags := path.TraverseAbs(closure.EvalContext); !diags.HasErrors() && !open[path.SourceRange()] {
			_, of := v.UnmarkDeep()
			maps.Copy(marks, of)
		}
	}
	return marks
}

// envFunc is env(NAME) and env(NAME, default).
func (d *decoder) envFunc() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2, "env takes a name and a default")
			}
			name := args[0].AsString()
			value, set := d.in.Getenv(name)
			switch {
			case set && !utf8.ValidString(value):
				return cty.NilVal, function.NewArgErrorf(0, "the value of %s in bootgraph's environment is not UTF-8", name)
			case set && len(value) > MaxValue:
				return cty.NilVal, function.NewArgErrorf(0, "the value of %s in bootgraph's environment is larger than %d MiB", name, MaxValue>>20)
			case set:
				return cty.StringVal(value).Mark(fromEnv), nil
			case len(args) == 2:
				return args[1], nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "there is no %s in bootgraph's environment; env(%q, \"…\") gives a default", name, name)
		},
	})
}

// fileFunc is file(PATH), of the configuration's own directory only, wherever
// links lead.
func (d *decoder) fileFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := d.fileInDir(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(text), nil
		},
	})
}

func (d *decoder) fileInDir(path string) (string, error) {
	name := path
	if filepath.IsAbs(path) {
		relative, err := filepath.Rel(d.dir, path)
		if err != nil {
			return "", err
		}
		name = relative
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%.80q is outside of the configuration's directory, where file reads only", path)
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		err = fmt.Errorf("%s: %w", path, pathError.Err)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	src, err := readAll(f, MaxValue)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, err)
	case !utf8.Valid(src):
		return "", fmt.Errorf("%s is not UTF-8", path)
	}
	return string(src), nil
}

// readAll reads a regular file of at most so many bytes; its errors don't name
// the file.
func readAll(f *os.File, most int) ([]byte, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	src, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if len(src) > most {
		return nil, fmt.Errorf("it is larger than %s", sizeText(most))
	}
	return src, err
}

func sizeText(bytes int) string {
	if bytes%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
