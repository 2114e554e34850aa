package config

import (
	"maps"
	"math"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// An expression of a few lines can make gigabytes: a for inside a for inside
// a for, or a text that is twice another that is twice another. hcl evaluates
// in one go, so what it would make is estimated first. A number is one of the
// ways: "1e99999999" * 1 is quick to work out, and takes hours to write down.

const (
	maxExpression = 16 << 20 // of the estimate
	tooMuch       = maxExpression + 1
	maxExponent   = 4_096   // of a number, to the base 2: 1,233 digits
	maxShown      = 1_000   // of the values that a diagnostic quotes
	maxElements   = 4_096   // of a list or map that is made: go-cty compares the type of each with that of each other
	perValue      = 16      // of any value besides its text
	perCall       = 1 << 10 // of a call besides its arguments: a guess, for what it gives is bounded by MaxValue
)

// What a service or a component, and a health check, take besides what is
// written in them.
const (
	perService = 8 << 10
	perCheck   = 1 << 10
)

// charge adds to the weight of the whole configuration: each of the bounds
// above holds for one expression, and there may be thousands of them, for
// thousands of instances. It is false when that has become too much, which is
// reported once.
func (d *decoder) charge(bytes int, where hcl.Range) bool {
	d.weighs = plus(d.weighs, bytes)
	if d.weighs <= MaxWhole {
		return true
	}
	if !d.tooMuch {
		d.tooMuch = true
		d.fail(where, "Configuration too large", "With this the configuration takes more than %d MiB: each instance of a for_each, and all that functions are given and give, counts.", MaxWhole>>20)
	}
	return false
}

// weight is about how many bytes the value of an expression takes, and not
// much less. iterators are the weights of the names that for expressions
// around it define.
func (d *decoder) weight(expr hcl.Expression, iterators map[string]iterator) int {
	if node, ok := expr.(hclsyntax.Expression); ok {
		return d.nodeWeight(node, iterators)
	}
	// JSON, whose strings hide what is in them: all that they mention.
	sum := perCall
	for _, path := range expr.Variables() {
		sum = plus(sum, d.pathWeight(path, iterators))
	}
	return sum
}

func (d *decoder) nodeWeight(expr hclsyntax.Expression, iterators map[string]iterator) int {
	weigh := func(e hclsyntax.Expression) int {
		if e == nil {
			return 0
		}
		return d.nodeWeight(e, iterators)
	}
	sum := perValue
	all := func(list []hclsyntax.Expression) int {
		for _, e := range list {
			sum = plus(sum, weigh(e))
		}
		return sum
	}
	switch e := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return weightOf(e.Val)
	case *hclsyntax.ScopeTraversalExpr:
		return d.pathWeight(e.Traversal, iterators)
	case *hclsyntax.TemplateExpr:
		return all(e.Parts)
	case *hclsyntax.TupleConsExpr:
		if len(e.Exprs) > maxElements {
			return tooMuch
		}
		return all(e.Exprs)
	case *hclsyntax.ObjectConsExpr:
		if len(e.Items) > maxElements {
			return tooMuch
		}
		for _, item := range e.Items {
			sum = plus(sum, plus(weigh(item.KeyExpr), weigh(item.ValueExpr)))
		}
		return sum
	case *hclsyntax.FunctionCallExpr:
		return callWeight(e.Name, all(e.Args))
	case *hclsyntax.ForExpr:
		return d.forWeight(e, iterators)
	case *hclsyntax.SplatExpr:
		return weigh(e.Source) // each element gives less than itself
	case *hclsyntax.ConditionalExpr:
		return plus(weigh(e.Condition), max(weigh(e.TrueResult), weigh(e.FalseResult)))
	case *hclsyntax.BinaryOpExpr:
		return d.operationWeight(e, plus(d.operandWeight(e.LHS, iterators), d.operandWeight(e.RHS, iterators)), iterators)
	case *hclsyntax.UnaryOpExpr:
		return d.operationWeight(e, d.operandWeight(e.Val, iterators), iterators)
	case *hclsyntax.IndexExpr:
		return plus(weigh(e.Collection), weigh(e.Key))
	case *hclsyntax.RelativeTraversalExpr:
		return weigh(e.Source)
	case *hclsyntax.ParenthesesExpr:
		return weigh(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return weigh(e.Wrapped)
	case *hclsyntax.TemplateJoinExpr:
		return weigh(e.Tuple)
	case *hclsyntax.ObjectConsKeyExpr:
		if hcl.ExprAsKeyword(e.Wrapped) != "" {
			return perValue
		}
		return weigh(e.Wrapped)
	}
	return sum
}

// callWeight is what a function gives for arguments of this weight. What grows
// in other ways is bounded by itself.
func callWeight(name string, args int) int {
	switch name {
	case "range":
		return 1024 * perValue // its own bound
	case "split", "regexall", "jsondecode", "csvdecode":
		return plus(times(args, perValue), perCall) // a value for each letter
	}
	return plus(args, perCall)
}

// forWeight: the body as often as there are elements. An element weighs what
// they do on average, so that all of them together weigh the collection.
func (d *decoder) forWeight(e *hclsyntax.ForExpr, iterators map[string]iterator) int {
	collection := d.nodeWeight(e.CollExpr, iterators)
	if collection > maxExpression {
		return collection
	}
	count, huge := collection/perValue+1, false
	for _, outer := range iterators {
		huge = huge || outer.huge
	}
	if known, ok := d.evaluates(e.CollExpr, iterators); ok && known.CanIterateElements() {
		collection, count, huge = weightOf(known), known.LengthInt(), hugeNumber(known, true)
	}
	inner := maps.Clone(iterators)
	if inner == nil {
		inner = map[string]iterator{}
	}
	inner[e.KeyVar] = iterator{perValue + collection/max(count, 1), huge}
	inner[e.ValVar] = inner[e.KeyVar]
	body := perValue
	for _, part := range []hclsyntax.Expression{e.KeyExpr, e.ValExpr, e.CondExpr} {
		if part != nil {
			body = plus(body, d.nodeWeight(part, inner))
		}
	}
	return plus(collection, times(count, body))
}

// iterator is what is known of a name that a for expression defines.
type iterator struct {
	weight int
	huge   bool // there is a text among the elements that is a huge number
}

// operandWeight leaves the operations in an operation to the outermost one:
// their results are numbers that nobody writes down, and to work out each of
// a + b + c + … would take the square of the time.
func (d *decoder) operandWeight(e hclsyntax.Expression, iterators map[string]iterator) int {
	switch e := e.(type) {
	case *hclsyntax.BinaryOpExpr:
		return plus(d.operandWeight(e.LHS, iterators), d.operandWeight(e.RHS, iterators))
	case *hclsyntax.UnaryOpExpr:
		return d.operandWeight(e.Val, iterators)
	case *hclsyntax.ParenthesesExpr:
		return d.operandWeight(e.Expression, iterators)
	}
	return d.nodeWeight(e, iterators)
}

// operationWeight: what is calculated is a number, so it may be huge.
func (d *decoder) operationWeight(e hclsyntax.Expression, operands int, iterators map[string]iterator) int {
	if operands > maxExpression {
		return operands
	}
	if v, ok := d.evaluates(e, iterators); ok {
		return plus(operands, weightOf(v))
	}
	for _, path := range e.Variables() {
		if iterators[path.RootName()].huge {
			return tooMuch
		}
	}
	return operands
}

// hugeNumber reports whether there is a number in a value that is too large,
// or too small, to be written down; with texts, also a text that can be
// converted to one.
func hugeNumber(v cty.Value, texts bool) bool {
	v, _ = v.Unmark()
	switch {
	case v == cty.NilVal || v.IsNull() || !v.IsKnown():
		return false
	case v.Type() == cty.Number:
		exponent := v.AsBigFloat().MantExp(nil)
		return exponent > maxExponent || exponent < -maxExponent
	case v.Type() == cty.String:
		number, err := cty.ParseNumberVal(v.AsString())
		return texts && err == nil && hugeNumber(number, false)
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if hugeNumber(key, texts) || hugeNumber(element, texts) {
				return true
			}
		}
	}
	return false
}

// evaluates gives the value of an expression that has been weighed, if it
// doesn't hang on a for around it.
func (d *decoder) evaluates(expr hclsyntax.Expression, iterators map[string]iterator) (cty.Value, bool) {
	for _, path := range expr.Variables() {
		if _, ok := iterators[path.RootName()]; ok {
			return cty.NilVal, false
		}
	}
	v, diags := expr.Value(d.scope)
	v, _ = v.UnmarkDeep()
	return v, !diags.HasErrors() && !v.IsNull() && v.IsWhollyKnown()
}

func (d *decoder) pathWeight(path hcl.Traversal, iterators map[string]iterator) int {
	if known, ok := iterators[path.RootName()]; ok {
		return known.weight
	}
	v, diags := path.TraverseAbs(d.scope)
	if diags.HasErrors() {
		return perValue // the evaluation says what is wrong
	}
	return weightOf(v)
}

// weightOf is about how many bytes a value takes.
func weightOf(v cty.Value) int {
	v, _ = v.Unmark()
	switch {
	case v == cty.NilVal || v.IsNull() || !v.IsKnown():
		return perValue
	case v.Type() == cty.Number && hugeNumber(v, false):
		return tooMuch
	case v.Type() == cty.String:
		return perValue + len(v.AsString())
	case v.CanIterateElements():
		sum := perValue
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if v.Type().IsMapType() || v.Type().IsObjectType() {
				sum = plus(sum, len(key.AsString()))
			}
			if sum = plus(sum, weightOf(element)); sum > maxExpression {
				break // what has been said suffices, and to go on may take hours
			}
		}
		return sum
	}
	return perValue
}

// wide reports whether a list or map in a value has more than maxElements.
func wide(v cty.Value) bool {
	v, _ = v.Unmark()
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() || !v.CanIterateElements() {
		return false
	}
	if v.LengthInt() > maxElements {
		return true
	}
	for it := v.ElementIterator(); it.Next(); {
		if _, element := it.Element(); wide(element) {
			return true
		}
	}
	return false
}

// plus and times stop at the largest number.
func plus(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func times(a, b int) int {
	if b != 0 && a > math.MaxInt/b {
		return math.MaxInt
	}
	return a * b
}
