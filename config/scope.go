package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// From an expression to a value: what it may refer to, how large it may get,
// and what is to be kept out of sight.

// mark is what go-cty carries along from a value to all that is made of it.
type mark string

const (
	// sensitive is on what is shown nowhere: variables that say so, and what
	// the function of that name is given.
	sensitive mark = "sensitive"
	// fromEnv is on what the function env gives: it is kept out of sight where
	// secrets usually go (env, headers, secret), and is a value like any other
	// elsewhere, as in image = "x:${env("TAG")}".
	fromEnv mark = "from the environment"
)

// Sensitive is a text that is shown by no way of printing it.
type Sensitive struct{ text string }

// Reveal gives the text, for where it is needed.
func (s Sensitive) Reveal() string { return s.text }

// IsZero reports whether there is none.
func (s Sensitive) IsZero() bool { return s.text == "" }

func (s Sensitive) String() string             { return "(sensitive)" }
func (s Sensitive) Format(f fmt.State, _ rune) { fmt.Fprint(f, "(sensitive)") }
func (s Sensitive) MarshalText() ([]byte, error) {
	return []byte("(sensitive)"), nil
}

// within evaluates what follows in another scope, until back is called.
func (d *decoder) within(scope *hcl.EvalContext) (back func()) {
	before := d.scope
	d.scope = scope
	return func() { d.scope = before }
}

// inPrivate shows no reason of an error in what is evaluated until back is
// called, if it is sensitive.
func (d *decoder) inPrivate(private bool) (back func()) {
	before := d.private
	d.private = private
	return func() { d.private = before }
}

// value evaluates an expression, marks and all. It is false if that was an
// error, which has been reported.
func (d *decoder) value(expr hcl.Expression) (cty.Value, bool) {
	if plain, ok := literal(expr); ok {
		return plain, d.charge(weightOf(plain), subject(expr))
	}
	paths := expr.Variables()
	if !d.resolves(paths) {
		return cty.DynamicVal, false
	}
	defer d.within(d.scopeOf(paths))()
	if d.weight(expr, nil) > maxExpression {
		d.fail(subject(expr), "Expression too large", "What this gives could be larger than %d MiB. Make it of less, or in fewer steps of repetition.", maxExpression>>20)
		return cty.DynamicVal, false
	}
	v, diags := expr.Value(d.scope)
	d.diags = append(d.diags, d.discreet(expr, diags)...)
	if !diags.HasErrors() && hugeNumber(v, false) {
		d.diags = append(d.diags, outOfRange(subject(expr)))
		return cty.DynamicVal, false
	}
	return v, d.charge(weightOf(v), subject(expr)) && !diags.HasErrors() && v.IsWhollyKnown()
}

// literal is the value of an expression that has no part to evaluate, which
// is nearly all there are in a large file.
func literal(expr hcl.Expression) (cty.Value, bool) {
	switch e := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return e.Val, true
	case *hclsyntax.TemplateExpr:
		if e.IsStringLiteral() {
			v, diags := e.Value(nil)
			return v, !diags.HasErrors()
		}
	}
	return cty.NilVal, false
}

// discreet takes out of the diagnostics of an evaluation what would show a
// sensitive value, or be longer than anybody reads: hcl quotes the values that
// an expression was made of, functions their arguments.
func (d *decoder) discreet(expr hcl.Expression, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, diag := range diags {
		about := expr
		if diag.Expression != nil {
			about = diag.Expression
		}
		if unknown, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](diag); ok {
			// hcl looks for a near name in the order of a map.
			name := unknown.CalledFunctionNamespace() + unknown.CalledFunctionName()
			diag.Detail = fmt.Sprintf("There is no function %q.%s", name, d.didYouMean(name, slices.Sorted(maps.Keys(d.outermost.Functions))))
			continue
		}
		secret := d.private || d.takesPart(about, expr)
		if secret {
			diag.Detail = "The reason is not shown, since a sensitive value takes part in this."
		}
		if secret || d.weight(about, nil) > maxShown {
			diag.Expression, diag.EvalContext = nil, nil
		}
	}
	return diags
}

// takesPart reports whether something to be kept out of sight may take part
// in the value of an expression, which stands in another, or is it. What a for
// or a splat goes through has lost its marks by then: where part names one of
// its elements, all of the whole is asked.
func (d *decoder) takesPart(part, whole hcl.Expression) (secret bool) {
	element := false
	for _, path := range part.Variables() {
		v, bad := path.TraverseAbs(d.scope)
		secret = secret || !bad.HasErrors() && v.ContainsMarked()
		_, ours := lookup(d.scope, path.RootName())
		element = element || !ours
	}
	visit(part, func(n hclsyntax.Node) {
		switch n := n.(type) {
		case *hclsyntax.FunctionCallExpr:
			secret = secret || n.Name == "env" || n.Name == "sensitive"
		case *hclsyntax.AnonSymbolExpr:
			element = true
		}
	})
	return secret || element && part != whole && d.takesPart(whole, whole)
}

// visit goes through the nodes of an expression; what a string of JSON has in
// it can't be seen.
func visit(expr hcl.Expression, each func(hclsyntax.Node)) {
	if node, ok := expr.(hclsyntax.Node); ok {
		_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
			each(n)
			return nil
		})
	}
}

// resolves reports every name in an expression that means nothing here, with
// what could have been meant. It is false if there is one, or one whose value
// is in error itself, which has been reported there.
func (d *decoder) resolves(paths []hcl.Traversal) bool {
	ok := true
	for _, path := range paths {
		ok = d.resolve(path) && ok
	}
	return ok
}

func (d *decoder) resolve(path hcl.Traversal) bool {
	where := path.SourceRange()
	switch root := path.RootName(); root {
	case "var", "local", "secret":
		return d.resolveMember(root, path)
	case "each":
		name, ok := member(path[:min(2, len(path))])
		_, each := lookup(d.scope, "each")
		switch {
		case !each:
			d.fail(where, "No each here", "each.key and each.value are there in blocks that have for_each.")
		case !ok || name != "key" && name != "value":
			d.fail(where, "Unknown part of each", "each has a key and a value: each.key, each.value.")
		default:
			return true
		}
		return false
	case "service", "job", "network":
		d.fail(where, "Reference used as a value", "%s", map[bool]string{
			true:  "A network is referred to in networks only; its name can be written in quotes.",
			false: "A service or job is referred to in depends_on, wants and after only. Its container is called like it; what is the same for both of them can be a local.",
		}[root == "network"])
		return false
	default:
		d.fail(where, "Unknown name", "There is no %q here.%s", root, d.meant(root, len(path) == 1))
		return false
	}
}

// resolveMember checks var.NAME, local.NAME and secret.NAME.
func (d *decoder) resolveMember(root string, path hcl.Traversal) bool {
	what := map[string]string{"var": "variable", "local": "local", "secret": "secret"}[root]
	name, ok := member(path[:min(2, len(path))])
	if !ok {
		d.fail(path.SourceRange(), "Incomplete name", "%s is followed by a dot and the name of a %s: %s.NAME.", root, what, root)
		return false
	}
	state, known := d.members[root][name]
	if !known {
		d.fail(path.SourceRange(), "Undefined "+what, "There is no %s %q.%s", what, name, d.didYouMean(name, slices.Sorted(maps.Keys(d.members[root]))))
	}
	return known && state != broken && (root != "local" || d.local(name))
}

// state is how far the evaluation of a variable, local or secret has come.
type state int

const (
	waiting state = iota
	evaluating
	ready
	broken // its error has been reported
)

// meant says what an unknown name could have been meant for.
func (d *decoder) meant(name string, bare bool) string {
	for _, root := range []string{"var", "local", "secret"} {
		if _, ok := d.members[root][name]; ok {
			return fmt.Sprintf(" Did you mean %s.%s?", root, name)
		}
	}
	if hint := elsewhereNames[name]; hint != "" && !bare {
		return " " + hint
	}
	if hint := d.didYouMean(name, []string{"var", "local", "secret", "each"}); hint != "" && !bare {
		return hint
	}
	if bare {
		return fmt.Sprintf(" For the text, write it in quotes: %q. Inside of a string, $${ stands for ${.", name)
	}
	return " Names here begin with var, local, secret or each."
}

// checkQuoted warns of text that is the name of a value: no program is given
// such a thing often, and without quotes it would be the value.
func (d *decoder) checkQuoted(expr hcl.Expression, v cty.Value) {
	if _, plain := literal(expr); !plain || v.Type() != cty.String || v.IsNull() {
		return
	}
	root, name, _ := strings.Cut(v.AsString(), ".")
	if _, is := d.members[root][name]; is && root != "secret" {
		where := subject(expr)
		d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Name in quotes", Subject: &where,
			Detail: fmt.Sprintf("In quotes this is text. For the value of %s.%s, leave the quotes out; inside of a longer text, write ${%s.%s}.", root, name, root, name)})
	}
}

func lookup(scope *hcl.EvalContext, name string) (cty.Value, bool) {
	for ; scope != nil; scope = scope.Parent() {
		if v, ok := scope.Variables[name]; ok {
			return v, true
		}
	}
	return cty.NilVal, false
}

// define makes a value known under root.name.
func (d *decoder) define(root, name string, v cty.Value) {
	d.members[root][name], d.values[root][name] = ready, v
}

// scopeOf is the scope at hand with what these paths refer to, and no more: an
// object of all locals would be made anew for each of them.
func (d *decoder) scopeOf(paths []hcl.Traversal) *hcl.EvalContext {
	needed := map[string]map[string]cty.Value{}
	for _, path := range paths {
		values, ours := d.values[path.RootName()]
		if !ours {
			continue
		}
		name, _ := member(path[:min(2, len(path))])
		if _, ok := values[name]; !ok {
			continue // it has been reported
		}
		if needed[path.RootName()] == nil {
			needed[path.RootName()] = map[string]cty.Value{}
		}
		needed[path.RootName()][name] = values[name]
	}
	if len(needed) == 0 {
		return d.scope
	}
	scope := d.scope.NewChild()
	scope.Variables = map[string]cty.Value{}
	for root, members := range needed {
		scope.Variables[root] = cty.ObjectVal(members)
	}
	return scope
}
