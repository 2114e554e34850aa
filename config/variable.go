package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// What a configuration is given from outside: variables and their values.

// EnvPrefix begins the names of variables of the environment that give
// variables their values.
const EnvPrefix = "BOOTGRAPH_VAR_"

// variable is a declaration.
type variable struct {
	name      string
	kind      cty.Type
	defaults  *typeexpr.Defaults // of optional attributes
	sensitive bool
	raw       *rawVariable
	where     hcl.Range
}

// given is a value from outside. Where its text stands in a file, there is an
// expression with a place; from says in words where it is from.
type given struct {
	expr hcl.Expression
	text string // where there is no expression: of --var or the environment
	from string
}

// variables declares the variables and gives them their values: of --var, else
// of --var-file, else of the environment, else the default.
func (d *decoder) variables(blocks []*rawVariable) (all []Variable) {
	declared := map[string]*variable{}
	var order []*variable
	for _, raw := range blocks {
		v, ok := d.variable(raw)
		if d.members["var"][v.name] = broken; ok && declared[v.name] == nil {
			declared[v.name] = v
			order = append(order, v)
		}
	}
	values := d.outsideValues(declared)
	for _, v := range order {
		if value, ok := d.valueOf(v, values[v.name]); ok {
			if v.sensitive {
				value = value.Mark(sensitive)
			}
			d.define("var", v.name, value)
		}
		all = append(all, Variable{v.name, v.sensitive, v.where})
	}
	return all
}

// variable decodes a declaration. It is false if that leaves open what values
// it takes.
func (d *decoder) variable(raw *rawVariable) (*variable, bool) {
	name, where := d.declare("variable", raw.Block)
	before := len(d.diags)
	v := &variable{name: name, kind: cty.DynamicPseudoType, raw: raw, where: where, sensitive: d.boolean(raw.Sensitive, false)}
	if v.sensitive = v.sensitive || len(d.diags) > before; v.sensitive { // what is in error may have been meant
		d.hide(raw.Block)
		d.discreetFiles = true
	}
	one(d, raw.Description, anyText)
	ok := d.identifier("variable", "var", raw.Block)
	if raw.Type == nil {
		return v, ok && !d.torn[raw.Block]
	}
	if d.weight(raw.Type.Expr, nil) > maxExpression { // what optional(T, DEFAULT) gives
		d.fail(subject(raw.Type.Expr), "Type too large", "A default in it is too large, or has more than %d elements.", maxElements)
		return v, false
	}
	kind, defaults, diags := typeexpr.TypeConstraintWithDefaults(raw.Type.Expr)
	for _, diag := range diags {
		if diag.Detail += " " + knownTypes; v.sensitive {
			diag.Detail = knownTypes // hcl quotes what it doesn't understand
		}
	}
	d.diags = append(d.diags, diags...)
	v.kind, v.defaults = kind, defaults
	return v, ok && !diags.HasErrors()
}

const knownTypes = "Types are string, number, bool, any, list(T), set(T), map(T), tuple([T, …]) and object({NAME = T, NAME = optional(T, DEFAULT)})."

// identifier reports a name that could not be written after the dot.
func (d *decoder) identifier(what, root string, block *hcl.Block) bool {
	name := block.Labels[0]
	ok := checkName(name) != nil || hclsyntax.ValidIdentifier(name)
	if !ok {
		d.fail(block.LabelRanges[0], "Invalid name", "%q can't be written as %s.%s: the name of a %s begins with a letter and has no dots.", name, root, name, what)
	}
	return ok
}

// outsideValues collects the values from outside, the strongest of each variable.
func (d *decoder) outsideValues(declared map[string]*variable) map[string]given {
	values := map[string]given{}
	for name := range declared {
		if value, ok := d.in.Getenv(EnvPrefix + name); ok {
			values[name] = given{text: value, from: EnvPrefix + name}
		}
	}
	for _, path := range d.in.VarFiles {
		d.varFile(path, declared, values)
	}
	for i, pair := range d.in.Vars {
		name, value, found := strings.Cut(pair, "=")
		switch {
		case !found:
			d.outside("Invalid --var", fmt.Sprintf("--var takes NAME=VALUE, and there is no = in number %d of them. It is not shown, since there may be a secret in it.", i+1))
		case declared[name] == nil:
			if _, is := d.members["var"][name]; !is {
				d.outside("Undeclared variable", fmt.Sprintf("--var gives a value to %q, and there is no variable block of that name.%s", name,
					d.didYouMean(name, slices.Sorted(maps.Keys(declared)))))
			}
		default:
			values[name] = given{text: value, from: "--var"}
		}
	}
	return values
}

// outside reports an error that is in none of the files.
func (d *decoder) outside(summary, detail string) {
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail})
}

// varFile reads a file of NAME = VALUE. One that is meant for several
// configurations gives more than one of them declares, so that is a warning.
func (d *decoder) varFile(path string, declared map[string]*variable, values map[string]given) {
	text, err := readRegular(path, MaxSource)
	if err != nil {
		d.outside("Cannot read the file of variables", fmt.Sprintf("%s: %s.", path, err))
		return
	}
	file, diags := parseSource(source{path, text}, d.sources)
	var attrs hcl.Attributes
	if !diags.HasErrors() {
		var more hcl.Diagnostics
		attrs, more = file.Body.JustAttributes()
		diags = append(diags, more...)
	}
	// The line may be that of a sensitive variable, or of one misspelled.
	var extra any
	if d.discreetFiles {
		extra = unquoted{}
	}
	for _, diag := range diags {
		diag.Extra = extra
	}
	d.diags = append(d.diags, diags...)
	for name, attr := range attrs {
		if _, known := d.members["var"][name]; !known {
			d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Undeclared variable", Subject: &attr.NameRange, Extra: extra,
				Detail: fmt.Sprintf("There is no variable block %q.%s", name, d.didYouMean(name, slices.Sorted(maps.Keys(declared))))})
			continue
		}
		values[name] = given{expr: attr.Expr, from: path}
	}
}

// valueOf works out the value of a variable. Neither a value from outside nor
// a default may refer to anything: who gives them can't see what there is.
func (d *decoder) valueOf(v *variable, value given) (cty.Value, bool) {
	where := v.where
	var got cty.Value
	var ok bool
	switch {
	case value.from == "" && v.raw.Default == nil:
		d.fail(v.where, noValue, "%s has no default, so it needs a value: --var %s=…, a --var-file, or %s%s in the environment.%s", v.name, v.name, EnvPrefix, v.name, d.described(v))
		return got, false
	case value.from == "":
		value.from, where = "its default", subject(v.raw.Default.Expr)
		got, ok = d.constant(v, v.raw.Default.Expr)
	case value.expr != nil:
		where = subject(value.expr)
		if v.sensitive {
			d.hidden = append(d.hidden, value.expr.Range())
		}
		got, ok = d.constant(v, value.expr)
	default:
		got, ok = d.fromText(v, value)
	}
	if !ok {
		return got, false
	}
	if wide(got) {
		d.refuseValue(v, where, "The value of %s, from %s, has a list or map of more than %d elements.", v.name, value.from, maxElements)
		return got, false
	}
	if v.defaults != nil && !got.IsNull() {
		got = v.defaults.Apply(got)
	}
	converted, err := convert.Convert(got, v.kind)
	switch {
	case err != nil:
		d.refuseValue(v, where, "The value of %s, from %s, does not fit its type %s: %s.", v.name, value.from, typeexpr.TypeString(v.kind), reason(err, v.sensitive))
		return got, false
	case hugeNumber(converted, false):
		d.refuseValue(v, where, "The value of %s, from %s, is a number that is too large, or too close to 0.", v.name, value.from)
		return got, false
	case weightOf(converted) > 2*MaxValue:
		d.refuseValue(v, where, "The value of %s, from %s, is larger than %d MiB.", v.name, value.from, MaxValue>>20)
		return got, false
	}
	return converted, true
}

func (d *decoder) refuseValue(v *variable, where hcl.Range, detail string, args ...any) {
	diag := problem(where, "Invalid value for variable", detail, args...)
	if v.sensitive {
		diag.Extra = unquoted{}
	}
	d.diags = append(d.diags, diag)
}

// reason is what convert says, path and all: "[1]: a number is required".
func reason(err error, hide bool) string {
	if path, ok := err.(cty.PathError); ok && len(path.Path) > 0 && !hide {
		return "at " + pathText(path.Path) + ": " + err.Error()
	}
	return err.Error()
}

func pathText(path cty.Path) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + step.Name)
		case cty.IndexStep:
			switch {
			case step.Key.Type() == cty.Number:
				fmt.Fprintf(&b, "[%s]", step.Key.AsBigFloat().Text('f', -1))
			case step.Key.Type() == cty.String:
				fmt.Fprintf(&b, "[%q]", step.Key.AsString())
			default:
				b.WriteString("[…]")
			}
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

const noValue = "No value for variable"

// OnlyValuesMissing reports whether all that is wrong with a configuration is
// that variables have been given no values.
func OnlyValuesMissing(diags hcl.Diagnostics) bool {
	return diags.HasErrors() && !slices.ContainsFunc(diags, func(diag *hcl.Diagnostic) bool {
		return diag.Severity == hcl.DiagError && diag.Summary != noValue
	})
}

// described is the description of a variable, for who has to give it.
func (d *decoder) described(v *variable) string {
	if text := one(d, v.raw.Description, anyText); text != "" {
		return " It is described as: " + text
	}
	return ""
}

// constant evaluates an expression that may call functions, and refer to
// nothing.
func (d *decoder) constant(v *variable, expr hcl.Expression) (cty.Value, bool) {
	for _, path := range expr.Variables() {
		diag := problem(path.SourceRange(), "Reference in the value of a variable", "The value of a variable is a constant; text goes in quotes. What is made of other values is a local.")
		if v.sensitive {
			diag.Extra = unquoted{}
		}
		d.diags = append(d.diags, diag)
		return cty.NilVal, false
	}
	defer d.inPrivate(v.sensitive)()
	return d.value(expr)
}

// fromText reads the text of --var or of the environment: as it stands where
// text, a number or a bool is wanted, else as an expression, as Terraform does.
func (d *decoder) fromText(v *variable, value given) (cty.Value, bool) {
	if v.kind.IsPrimitiveType() || v.kind == cty.DynamicPseudoType {
		if diag := checkText("", []byte(value.text)); diag != nil {
			d.refuseValue(v, v.where, "The value of %s, from %s: %s", v.name, value.from, diag.Detail)
			return cty.NilVal, false
		}
		return cty.StringVal(value.text), true
	}
	expr, diags := parseValue([]byte(value.text))
	if !diags.HasErrors() && len(expr.Variables()) > 0 {
		diags = hcl.Diagnostics{{Detail: "text goes in quotes."}}
	}
	if !diags.HasErrors() && len(diags) == 0 {
		var got cty.Value
		if got, diags = expr.Value(nil); !diags.HasErrors() {
			return got, true
		}
	}
	why := ": " + diags[0].Detail
	if v.sensitive {
		why = "."
	}
	d.refuseValue(v, v.where, "The value of %s, from %s, is no expression of type %s%s", v.name, value.from, typeexpr.TypeString(v.kind), why)
	return cty.NilVal, false
}

// parseValue parses an expression that stands in no file.
func parseValue(text []byte) (hcl.Expression, hcl.Diagnostics) {
	if bad := checkText("", text); bad != nil {
		return nil, hcl.Diagnostics{bad}
	}
	if diags := checkDepth("", text, false); diags.HasErrors() {
		return nil, diags
	}
	if text := strings.TrimSpace(string(text)); strings.HasPrefix(text, "{") && strings.Contains(text, `":`) {
		return json.ParseExpression([]byte(text), "") // as machines write it
	}
	return hclsyntax.ParseExpression(text, "", hcl.InitialPos)
}
