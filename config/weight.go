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
// in one go, so what it would make is estimated first.

const (
	maxExpression = 16 << 20 // of the estimate
	maxShown      = 1_000    // of the values that a diagnostic quotes
	perValue      = 16       // of any value besides its text
	perCall       = 1 << 10  // of a call besides its arguments: a guess, for what it gives is bounded by MaxValue
)

// weight is about how many bytes the value of an expression takes, and not
// much less. iterators are the weights of the names that for expressions
// around it define.
func (d *decoder) weight(expr hcl.Expression, iterators map[string]int) int {
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

func (d *decoder) nodeWeight(expr hclsyntax.Expression, iterators map[string]int) int {
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
		return all(e.Exprs)
	case *hclsyntax.ObjectConsExpr:
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
		return plus(weigh(e.LHS), weigh(e.RHS))
	case *hclsyntax.UnaryOpExpr:
		return weigh(e.Val)
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
func (d *decoder) forWeight(e *hclsyntax.ForExpr, iterators map[string]int) int {
	collection := d.nodeWeight(e.CollExpr, iterators)
	if collection > maxExpression {
		return collection
	}
	count := collection/perValue + 1
	if known, ok := d.collection(e.CollExpr, iterators); ok {
		collection, count = weightOf(known), known.LengthInt()
	}
	inner := maps.Clone(iterators)
	if inner == nil {
		inner = map[string]int{}
	}
	inner[e.KeyVar] = perValue + collection/max(count, 1)
	inner[e.ValVar] = inner[e.KeyVar]
	body := perValue
	for _, part := range []hclsyntax.Expression{e.KeyExpr, e.ValExpr, e.CondExpr} {
		if part != nil {
			body = plus(body, d.nodeWeight(part, inner))
		}
	}
	return plus(collection, times(count, body))
}

// collection is what a for goes through, if that doesn't hang on another for
// around it.
func (d *decoder) collection(expr hclsyntax.Expression, iterators map[string]int) (cty.Value, bool) {
	for _, path := range expr.Variables() {
		if _, ok := iterators[path.RootName()]; ok {
			return cty.NilVal, false
		}
	}
	v, diags := expr.Value(d.scope)
	v, _ = v.UnmarkDeep()
	return v, !diags.HasErrors() && !v.IsNull() && v.IsWhollyKnown() && v.CanIterateElements()
}

func (d *decoder) pathWeight(path hcl.Traversal, iterators map[string]int) int {
	if weight, ok := iterators[path.RootName()]; ok {
		return weight
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
	case v.Type() == cty.String:
		return perValue + len(v.AsString())
	case v.CanIterateElements():
		sum := perValue
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if v.Type().IsMapType() || v.Type().IsObjectType() {
				sum = plus(sum, len(key.AsString()))
			}
			sum = plus(sum, weightOf(element))
		}
		return sum
	}
	return perValue
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
