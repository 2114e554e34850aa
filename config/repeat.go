package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// for_each and enabled: how often a block is there.

// instance is a block as it is there once: with the name and the scope that
// its key gives it, or as it is written.
type instance struct {
	name    string // LABEL, or LABEL-KEY
	key     string // "" where there is no for_each
	scope   *hcl.EvalContext
	enabled bool
}

// repeat works out the instances of a block. The second result is false if
// that is not clear, because of an error that has been reported.
func (d *decoder) repeat(block *hcl.Block, raw *rawRepeat) ([]instance, bool) {
	label := block.Labels[0]
	all := []instance{{name: label, scope: d.scope}}
	if raw.ForEach != nil {
		elements, ok := d.forEach(raw.ForEach)
		if !ok {
			return nil, false
		}
		all = nil
		for it := elements.ElementIterator(); it.Next(); {
			key, value := it.Element()
			i, ok := d.instance(raw.ForEach, label, key.AsString(), value)
			if !ok {
				return nil, false
			}
			all = append(all, i)
		}
	}
	for i := range all {
		back := d.within(all[i].scope)
		all[i].enabled = d.boolean(raw.Enabled, true)
		back()
	}
	return all, true
}

// instance is the one of a key.
func (d *decoder) instance(a *hcl.Attribute, label, key string, value cty.Value) (instance, bool) {
	name := label + "-" + key
	if err := checkName(name); err != nil || key == "" {
		if key == "" {
			err = fmt.Errorf("the key is empty")
		}
		d.failAt(a.Expr, "Invalid key of for_each", "The key %.80q becomes part of a name, %s-KEY, and it can't: %s", key, label, sentence(err))
		return instance{}, false
	}
	scope := d.scope.NewChild()
	scope.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(key), "value": value})}
	return instance{name: name, key: key, scope: scope}, true
}

// forEach evaluates what there is one instance of each of, as Terraform does:
// a map, an object or a set of strings. A list is refused, since what comes
// after an element that is taken out of it would get other names.
func (d *decoder) forEach(a *hcl.Attribute) (cty.Value, bool) {
	v, ok := d.value(a.Expr)
	if !ok {
		return v, false
	}
	v, marks := v.Unmark()
	if _, secret := marks[sensitive]; secret {
		d.failAt(a.Expr, "Sensitive value", "The keys of for_each become names, which are shown; take only the part that is not sensitive, or mark it with nonsensitive(…).")
		return v, false
	}
	t := v.Type()
	hint := ""
	switch {
	case v.IsNull():
		d.failAt(a.Expr, "Null for_each", "for_each is a set of strings or a map; for none at all, leave the block out, or give an empty one: {}.")
		return v, false
	case t.IsMapType() || t.IsObjectType():
	case t.IsSetType() && (t.ElementType() == cty.String || v.LengthInt() == 0):
	default:
		got := typeName(t)
		switch {
		case t.IsTupleType() || t.IsListType():
			hint = " Where its elements are strings and each is there once, write toset(…)."
		case t.IsSetType():
			got, hint = t.FriendlyName(), " Make strings of its elements: toset([for x in … : tostring(x)])."
		}
		d.failAt(a.Expr, "Wrong type", "for_each is a set of strings or a map, not a %s.%s", got, hint)
		return v, false
	}
	if n := v.LengthInt(); n > MaxList {
		d.failAt(a.Expr, "Too many instances", "for_each has %d elements; it may have at most %d.", n, MaxList)
		return v, false
	}
	if t.IsSetType() {
		for it := v.ElementIterator(); it.Next(); {
			if _, element := it.Element(); element.IsNull() {
				d.failAt(a.Expr, "Null element", "An element of for_each is null, which is no key.")
				return v, false
			}
		}
	}
	return v, true
}
