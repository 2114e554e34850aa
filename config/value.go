package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// From an expression to a Go value. Conversion is Terraform's: numbers and
// bools stand where a string is wanted and the other way round; null is as if
// the attribute were not written, but is no element of a list or map.

// at is a value with its place in the source.
type at[T any] struct {
	value T
	where hcl.Range
}

// failAt reports an error about the value of an expression: with what the
// names in it stand for, unless that is sensitive or long.
func (d *decoder) failAt(expr hcl.Expression, summary, detail string, args ...any) {
	diag := problem(subject(expr), summary, detail, args...)
	paths := expr.Variables()
	defer d.within(d.scopeOf(paths))()
	if len(paths) > 0 && d.weight(expr, nil) <= maxShown {
		diag.Expression, diag.EvalContext = expr, d.scope
	}
	d.diags = append(d.diags, diag)
}

// fail reports an error; detail is a format.
func (d *decoder) fail(where hcl.Range, summary, detail string, args ...any) {
	d.diags = append(d.diags, problem(where, summary, detail, args...))
}

// didYouMean is bounded: near names are looked for only as often as there
// are diagnostics to be printed.
func (d *decoder) didYouMean(given string, known []string) string {
	if d.guesses++; d.guesses > MaxDiagnostics {
		return ""
	}
	return DidYouMean(given, known)
}

// subject is the part of an expression to point to: all of it, unless that is
// many lines.
func subject(expr hcl.Expression) hcl.Range {
	if r := expr.Range(); r.Start.Line == r.End.Line {
		return r
	}
	return expr.StartRange()
}

// eval evaluates an expression and converts it. It is false if that was an
// error, which has been reported; the value may be null. What is sensitive is
// refused: it would be shown in plans, errors and labels.
func (d *decoder) eval(name string, expr hcl.Expression, want cty.Type) (cty.Value, bool) {
	v, _, ok := d.evalMarked(name, expr, want, false)
	return v, ok
}

// evalMarked is eval that takes what is sensitive, where hide is set, and says
// whether it is.
func (d *decoder) evalMarked(name string, expr hcl.Expression, want cty.Type, hide bool) (v cty.Value, hidden, ok bool) {
	if v, ok = d.value(expr); !ok {
		return v, false, false
	}
	v, marks := v.UnmarkDeep()
	_, secret := marks[sensitive]
	if secret && !hide {
		d.failAt(expr, "Sensitive value", "%s is shown in plans and in Podman's own listings. A sensitive value goes into env, headers, or a secret block.", capital(name))
		return v, false, false
	}
	converted, err := convert.Convert(v, want)
	if err != nil {
		if hide && len(marks) > 0 {
			v = cty.NullVal(v.Type())
		}
		d.wrongType(name, expr, want.FriendlyName(), v)
		return v, false, false
	}
	if want == cty.String && !converted.IsNull() && strings.ContainsRune(converted.AsString(), 0) {
		d.failAt(expr, "NUL character", "There is a NUL in %s, which no program can be given.", name)
		return v, false, false
	}
	d.checkQuoted(expr, v)
	return converted, len(marks) > 0, true
}

// wrongType names both types, and how to write the one that is wanted.
func (d *decoder) wrongType(name string, expr hcl.Expression, want string, v cty.Value) {
	got := "a " + typeName(v.Type())
	if v.Type() == cty.String && !v.IsNull() {
		got = fmt.Sprintf("the string %.40q", v.AsString()) // "yes" where a bool is wanted
	}
	hint := ""
	switch {
	case want == "list" && v.Type().IsPrimitiveType():
		hint = fmt.Sprintf(" Put it in brackets: %s = [ … ].", name)
	case want == "map":
		hint = fmt.Sprintf(" Write %s = { KEY = \"value\" }.", name)
	}
	d.failAt(expr, "Wrong type", "%s is a %s, not %s.%s", capital(name), want, got, hint)
}

// capital begins a sentence with a name that is one of words; that of an
// attribute stays as it is written.
func capital(name string) string {
	if rest, ok := strings.CutPrefix(name, "a"); ok && strings.Contains(name, " ") {
		return "A" + rest
	}
	return name
}

// entry is what a value of a map is called, such as env.PASSWORD.
func entry(name, key string) string {
	if hclsyntax.ValidIdentifier(key) && len(key) < 64 {
		return name + "." + key
	}
	return fmt.Sprintf("%s[%.40q]", name, key)
}

// typeName names a type as the reference does: HCL's difference between
// tuple and list, object and map is no help to whoever mixed up { and [.
func typeName(t cty.Type) string {
	switch {
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return "list"
	case t.IsObjectType() || t.IsMapType():
		return "map"
	}
	return t.FriendlyName() // string, number, bool
}

// elements are the expressions of a list, each with its own place where the
// list is written out.
func (d *decoder) elements(a *hcl.Attribute) []hcl.Expression {
	if a == nil {
		return nil
	}
	list, diags := hcl.ExprList(a.Expr)
	if diags.HasErrors() {
		if path, bad := hcl.AbsTraversalForExpr(a.Expr); !bad.HasErrors() && slices.Contains([]string{"service", "job", "network"}, path.RootName()) {
			d.failAt(a.Expr, "Wrong type", "%s is a list, not one reference. Put it in brackets: %s = [ … ].", a.Name, a.Name)
			return nil
		}
		v, ok := d.eval(a.Name, a.Expr, cty.DynamicPseudoType)
		switch {
		case !ok || v.IsNull():
			return nil
		case typeName(v.Type()) != "list":
			d.wrongType(a.Name, a.Expr, "list", v)
			return nil
		}
		for it := v.ElementIterator(); it.Next(); {
			_, element := it.Element()
			list = append(list, hcl.StaticExpr(element, a.Expr.Range()))
		}
	}
	if len(list) > MaxList {
		d.fail(a.NameRange, "List too long", "%s has %d elements; a list has at most %d.", a.Name, len(list), MaxList)
		return nil
	}
	return list
}

// element reads and parses one element of the list called name.
func element[T any](d *decoder, name string, expr hcl.Expression, parse func(string) (T, error)) (value T, ok bool) {
	v, ok := d.eval("an element of "+name, expr, cty.String)
	if !ok {
		return value, false
	}
	if v.IsNull() {
		d.failAt(expr, "Null element", "An element of %s is null: give a value or leave it out.", name)
		return value, false
	}
	value, err := parse(v.AsString())
	if err != nil {
		d.failAt(expr, "Invalid "+name, "%s", sentence(err))
	}
	return value, err == nil
}

// each reads a list of strings; ok is false if an element is in error.
func each[T any](d *decoder, a *hcl.Attribute, parse func(string) (T, error)) (all []at[T], ok bool) {
	before := len(d.diags)
	for _, expr := range d.elements(a) {
		if value, ok := element(d, a.Name, expr, parse); ok {
			all = append(all, at[T]{value, subject(expr)})
		}
	}
	return all, len(d.diags) == before
}

// list is each without the places.
func list[T any](d *decoder, a *hcl.Attribute, parse func(string) (T, error)) []T {
	all, _ := each(d, a, parse)
	return values(all)
}

// values drops the places.
func values[T any](all []at[T]) (bare []T) {
	for _, one := range all {
		bare = append(bare, one.value)
	}
	return bare
}

// places drops the values.
func places[T any](all []at[T]) (where []hcl.Range) {
	for _, one := range all {
		where = append(where, one.where)
	}
	return where
}

// valueRange is the place of an attribute's value.
func valueRange(a *hcl.Attribute) hcl.Range {
	if a == nil {
		return hcl.Range{}
	}
	return subject(a.Expr)
}

// one reads a string; the zero T where there is none, or an error.
func one[T any](d *decoder, a *hcl.Attribute, parse func(string) (T, error)) (value T) {
	if a == nil {
		return value
	}
	v, ok := d.eval(a.Name, a.Expr, cty.String)
	if !ok || v.IsNull() {
		return value
	}
	value, err := parse(v.AsString())
	if err != nil {
		d.failAt(a.Expr, "Invalid "+a.Name, "%s", sentence(err))
	}
	return value
}

// text is pairs for values that are shown.
func (d *decoder) text(a *hcl.Attribute, check func(key, value string) error) map[string]string {
	all, _ := d.pairs(a, false, check)
	return all
}

// pairs reads a map of strings; check looks at each key. Where hide is set,
// values may be sensitive, and hidden says which ones are.
func (d *decoder) pairs(a *hcl.Attribute, hide bool, check func(key, value string) error) (all map[string]string, hidden map[string]bool) {
	if a == nil {
		return nil, nil
	}
	var marks cty.ValueMarks // of the map as a whole: its keys are out of sight as well
	items, diags := hcl.ExprMap(a.Expr)
	if diags.HasErrors() {
		var v cty.Value
		var ok bool
		v, ok = d.value(a.Expr)
		v, marks = v.Unmark()
		_, secret := marks[sensitive]
		switch {
		case !ok || v.IsNull():
			return nil, nil
		case secret && !hide:
			d.failAt(a.Expr, "Sensitive value", "%s is shown in plans and in Podman's own listings. A sensitive value goes into env, headers, or a secret block.", a.Name)
			return nil, nil
		case secret:
			d.failAt(a.Expr, "Sensitive value", "The keys of %s are names, which are shown, and of a map that is sensitive as a whole they are sensitive too. "+
				"Say that they may be shown: { for key in nonsensitive(keys(M)) : key => M[key] }, where M is the map.", a.Name)
			return nil, nil
		case typeName(v.Type()) != "map":
			if len(marks) > 0 {
				v = cty.NullVal(v.Type())
			}
			d.wrongType(a.Name, a.Expr, "map", v)
			return nil, nil
		}
		for it := v.ElementIterator(); it.Next(); {
			key, value := it.Element()
			where := a.Expr.Range()
			items = append(items, hcl.KeyValuePair{Key: hcl.StaticExpr(key, where), Value: hcl.StaticExpr(value.WithMarks(marks), where)})
		}
	}
	if len(items) > MaxList {
		d.fail(a.NameRange, "Map too long", "%s has %d elements; a map has at most %d.", a.Name, len(items), MaxList)
		return nil, nil
	}
	all, hidden = make(map[string]string, len(items)), map[string]bool{}
	places := make(map[string]hcl.Range, len(items))
	for _, item := range items {
		key, ok := d.eval("a key of "+a.Name, item.Key, cty.String)
		if !ok {
			continue
		}
		where := subject(item.Key)
		if key.IsNull() {
			d.fail(where, "Null key", "A key of %s is null.", a.Name)
			continue
		}
		called := entry(a.Name, key.AsString())
		if len(marks) > 0 {
			called = "an element of " + a.Name
		}
		value, secret, ok := d.evalMarked(called, item.Value, cty.String, hide)
		if !ok {
			continue
		}
		switch {
		case value.IsNull():
			d.fail(where, "Null element", "%s is null: give a value or leave it out.", capital(called))
			continue
		case places[key.AsString()].Filename != "":
			d.fail(where, "Duplicate key", "%q is in %s already, at %s.", key.AsString(), a.Name, place(places[key.AsString()]))
			continue
		}
		if err := check(key.AsString(), value.AsString()); err != nil {
			if len(marks) > 0 {
				err = errors.New("a key is not one that can be used here; which one is not shown, since it may be a secret")
			}
			d.fail(where, "Invalid "+a.Name, "%s", sentence(err))
		}
		all[key.AsString()], places[key.AsString()] = value.AsString(), where
		if secret {
			hidden[key.AsString()] = true
		}
	}
	return all, hidden
}

// integer reads a whole number from least to most, absent where it is not there.
func (d *decoder) integer(a *hcl.Attribute, absent, least, most int64) int64 {
	if a == nil {
		return absent
	}
	v, ok := d.eval(a.Name, a.Expr, cty.Number)
	if !ok || v.IsNull() {
		return absent
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < least || n > most {
		d.failAt(a.Expr, "Invalid "+a.Name, "%s is a whole number from %d to %d.", a.Name, least, most)
		return absent
	}
	return n
}

// boolean reads a bool; absent where it is not there.
func (d *decoder) boolean(a *hcl.Attribute, absent bool) bool {
	if a == nil {
		return absent
	}
	v, ok := d.eval(a.Name, a.Expr, cty.Bool)
	if !ok || v.IsNull() {
		return absent
	}
	return v.True()
}

// duration reads a duration; absent where it is not there.
func (d *decoder) duration(a *hcl.Attribute, absent time.Duration) time.Duration {
	if v := one(d, a, parseDuration); v > 0 {
		return v
	}
	return absent
}
