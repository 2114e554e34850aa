package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// What no value can tell alone: names, references, and what clashes.

// declare registers the name of a block.
func (d *decoder) declare(what string, block *hcl.Block) (string, hcl.Range) {
	name, where := block.Labels[0], d.header(block)
	d.named(block, name)
	d.claim(what, name, where)
	return name, where
}

// named checks the name that a block has, or one of its instances.
func (d *decoder) named(block *hcl.Block, name string) {
	if err := checkName(name); err != nil {
		d.fail(block.LabelRanges[0], "Invalid name", "%s", sentence(err))
	}
}

// claim registers a name that may be taken once, and reports it if it is. The
// place of the first stands in the text, since a diagnostic shows one snippet
// only.
func (d *decoder) claim(what, name string, where hcl.Range) {
	if d.names[what] == nil {
		d.names[what] = map[string]hcl.Range{}
	}
	if first, taken := d.names[what][name]; taken {
		d.fail(where, "Duplicate "+what, "The name %q is taken by the one at %s.", name, place(first))
		return
	}
	d.names[what][name] = where
}

const serviceOrJob = "service or job"

// first reports whether a service is the first of its name. What a second one
// claims clashes for that reason alone.
func (d *decoder) first(s *Service) bool {
	return d.names[serviceOrJob][s.Name] == s.Range
}

// references reads depends_on, wants or after of the service called from. A
// cycle is not looked for: that takes the whole graph, and is the scheduler's.
func (d *decoder) references(a *hcl.Attribute, from string, stage int) []Reference {
	var refs []Reference
	seen := map[string]bool{}
	if a != nil && worked(a.Expr) && refers(a.Expr) {
		d.fail(subject(a.Expr), "Invalid reference", "%s is a list of references as they are written, %s = [service.NAME, job.NAME], and nothing that has to be worked out. %s", a.Name, a.Name, instead)
		return nil
	}
	for _, expr := range d.elements(a) {
		ref, ok := d.reference(expr)
		if !ok {
			continue
		}
		where, repeated := expr.Range(), false
		targets := d.targetsOf(ref, where, a.Name, from, stage)
		if d.waits += len(targets); d.waits > MaxReferences {
			if d.waits-len(targets) <= MaxReferences {
				d.fail(where, "Too many references", "With this, services wait for each other in more than %d ways, each instance of a for_each counted: put a stage between them.", MaxReferences)
			}
			return nil
		}
		for _, name := range targets {
			if !seen[name] {
				refs = append(refs, Reference{Target: name, Range: where})
			}
			repeated = repeated || seen[name]
			seen[name] = true
		}
		if repeated {
			d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Repeated reference",
				Detail: fmt.Sprintf("%s is in %s already; once is enough.", ref, a.Name), Subject: &where})
		}
	}
	return refs
}

// targetsOf are the names of the services that a reference is to: one, or
// all instances of one with for_each.
func (d *decoder) targetsOf(ref reference, where hcl.Range, attribute, from string, stage int) (names []string) {
	to, exists := d.known[ref.label]
	switch {
	case !exists && d.holes:
		return nil // it may be in what could not be read
	case !exists:
		d.fail(where, "Unknown "+string(ref.kind), "There is no %s %q.%s", ref.kind, ref.label, d.otherwise(ref.label))
		return nil
	case to.kind != ref.kind && ref.label != from:
		d.fail(where, "Unknown "+string(ref.kind), "%s is a %s: write %s.", ref.label, to.kind, reference{to.kind, ref.label, ref.key, ref.keyed})
		return nil
	case to.stage > stage:
		d.fail(where, "Reference to a later stage", "%s is in a stage that starts only when this one is passed, so it would never be there in time: move %s to an earlier stage, or %s to a later one.", ref.label, ref.label, from)
		return nil
	case to.unclear:
		return nil
	case ref.keyed && to.raw.ForEach == nil:
		d.fail(where, "Unknown instance", "%s has no for_each, so it has no keys: write %s.", ref.label, spell(ref.kind, ref.label))
		return nil
	}
	var keys []string
	found, disabled := false, false
	for _, i := range to.raw.instances {
		keys = append(keys, i.key)
		if ref.keyed && i.key != ref.key {
			continue
		}
		found, disabled = true, disabled || !i.enabled
		if i.enabled {
			names = append(names, i.name)
		}
	}
	switch {
	case ref.keyed && !found:
		d.fail(where, "Unknown instance", "%s has no key %q.%s", ref.label, ref.key, d.didYouMean(ref.key, keys))
	case disabled && len(names) == 0 && attribute == "depends_on":
		d.fail(where, "Reference to a disabled "+string(ref.kind), "%s is left out by enabled (%s), so this could never start: leave it out too, or put %s into wants.", ref, place(to.raw.Enabled.Range), ref)
	case !ref.keyed && len(to.raw.instances) == 0:
		d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Reference to nothing", Subject: &where,
			Detail: fmt.Sprintf("The for_each of %s (%s) is empty, so there is nothing to wait for.", ref.label, place(to.raw.ForEach.Range))})
	case slices.Contains(names, from):
		d.fail(where, "Reference to itself", "%s can't wait for itself.", from)
		return nil
	}
	return names
}

// otherwise says what a label that is none could be meant for.
func (d *decoder) otherwise(label string) string {
	for _, other := range d.order {
		for _, i := range d.known[other].raw.instances {
			if i.name == label {
				return fmt.Sprintf(" It is one of several: write %s.", reference{d.known[other].kind, other, i.key, true})
			}
		}
	}
	return d.didYouMean(label, d.order)
}

// reference is what is written: service.LABEL or service.LABEL["KEY"].
type reference struct {
	kind  Kind
	label string
	key   string
	keyed bool
}

func (r reference) String() string {
	if r.keyed {
		return fmt.Sprintf("%s[%q]", spell(r.kind, r.label), r.key)
	}
	return spell(r.kind, r.label)
}

const referenceForms = `A reference is service.NAME or job.NAME, or service["NAME"] where the name has dots or begins with a digit; ["KEY"] after it is one instance of a for_each.`

// reference reads one. The string "service.NAME" is the form in JSON only: in
// native syntax a reference is not text.
func (d *decoder) reference(expr hcl.Expression) (ref reference, ok bool) {
	where := subject(expr)
	root, steps, ok := d.steps(expr)
	if !ok {
		return ref, false
	}
	if root == "" {
		hint := d.unquote(expr)
		if worked(expr) && refers(expr) {
			hint = " It stands for itself, and can't be worked out. " + instead
		}
		d.fail(where, "Invalid reference", "A reference is service.NAME or job.NAME.%s", hint)
		return ref, false
	}
	if other, exists := d.known[root]; exists && len(steps) == 0 {
		d.fail(where, "Invalid reference", "A reference is service.NAME or job.NAME: write %s.", spell(other.kind, root))
		return ref, false
	}
	ref = reference{kind: Kind(root)}
	if (ref.kind != KindService && ref.kind != KindJob) || len(steps) == 0 || len(steps) > 2 || len(steps) == 2 && !steps[1].index {
		d.fail(where, "Invalid reference", referenceForms)
		return ref, false
	}
	ref.label = steps[0].name
	if ref.keyed = len(steps) == 2; ref.keyed {
		ref.key = steps[1].name
	}
	return ref, true
}

// instead says how to do what a condition in depends_on is for.
const instead = "What is not always there has enabled = CONDITION itself: who wants it then starts without it; of for_each, service.NAME are all instances."

// worked reports whether an expression is one of those that have to be worked
// out to know what they refer to.
func worked(expr hcl.Expression) bool {
	for {
		inner, ok := expr.(*hclsyntax.ParenthesesExpr)
		if !ok {
			break
		}
		expr = inner.Expression
	}
	switch expr.(type) {
	case *hclsyntax.ConditionalExpr, *hclsyntax.FunctionCallExpr, *hclsyntax.ForExpr, *hclsyntax.SplatExpr:
		return true
	}
	return false
}

// refers reports whether services or jobs are named in an expression.
func refers(expr hcl.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(path hcl.Traversal) bool {
		return path.RootName() == string(KindService) || path.RootName() == string(KindJob)
	})
}

// step is .NAME or ["NAME"].
type step struct {
	name  string
	index bool
}

// steps takes a reference apart. The keys in it may be expressions, as in
// service.worker[each.key]. The root is "" if it is no reference at all; ok is
// false if that has been reported.
func (d *decoder) steps(expr hcl.Expression) (root string, steps []step, ok bool) {
	if index, is := expr.(*hclsyntax.IndexExpr); is {
		if root, steps, ok = d.steps(index.Collection); !ok || root == "" {
			return root, steps, ok
		}
		key, good := d.eval("the key of a reference", index.Key, cty.String)
		if !good {
			return "", nil, false
		}
		if key.IsNull() {
			return "", nil, true
		}
		return root, append(steps, step{key.AsString(), true}), true
	}
	path, diags := hcl.AbsTraversalForExpr(expr)
	if inJSON(expr.Range().Filename) {
		text, good := d.eval("a reference", expr, cty.String)
		if !good {
			return "", nil, false
		}
		if path = nil; !text.IsNull() && len(text.AsString()) < maxShown {
			path, diags = hclsyntax.ParseTraversalAbs([]byte(text.AsString()), "", hcl.InitialPos)
		}
	}
	if diags.HasErrors() || len(path) == 0 {
		return "", nil, true
	}
	for _, part := range path[1:] {
		switch part := part.(type) {
		case hcl.TraverseAttr:
			steps = append(steps, step{part.Name, false})
		case hcl.TraverseIndex:
			if part.Key.Type() != cty.String {
				number, _ := part.Key.AsBigFloat().Int64()
				meant := reference{Kind(path.RootName()), "NAME", fmt.Sprint(number), true}
				if len(steps) > 0 {
					meant.label = steps[0].name
				}
				d.fail(subject(expr), "Invalid reference", "Instances have keys, and no numbers: a key is text, in quotes, as in %s.", meant)
				return "", nil, false
			}
			steps = append(steps, step{part.Key.AsString(), true})
		default:
			return path.RootName(), nil, true
		}
	}
	return path.RootName(), steps, true
}

// unquote says how to write a reference that was given as a string. In JSON
// that was right, and the string is wrong.
func (d *decoder) unquote(expr hcl.Expression) string {
	v, ok := literal(expr)
	if inJSON(expr.Range().Filename) || !ok || v.Type() != cty.String || v.IsNull() {
		return ""
	}
	text := v.AsString()
	if to, exists := d.known[text]; exists {
		text = spell(to.kind, text)
	}
	if !strings.HasPrefix(text, "service.") && !strings.HasPrefix(text, "job.") {
		return ""
	}
	return fmt.Sprintf(" It is not a string: write %.80s without quotes.", text)
}

// member is NAME of x.NAME or x["NAME"].
func member(path hcl.Traversal) (string, bool) {
	if len(path) != 2 {
		return "", false
	}
	switch step := path[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// spell writes a reference.
func spell(kind Kind, name string) string {
	if hclsyntax.ValidIdentifier(name) {
		return fmt.Sprintf("%s.%s", kind, name)
	}
	return fmt.Sprintf("%s[%q]", kind, name)
}

// networks reads network.NAME, which has to be declared, and as a string the
// name of a network that is made elsewhere.
func (d *decoder) networks(a *hcl.Attribute) []string {
	var names []at[string]
	for _, expr := range d.elements(a) {
		where := subject(expr)
		if path, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() && path.RootName() == "network" {
			name, ok := member(path)
			_, declared := d.names["network"][name]
			switch {
			case !ok:
				d.fail(where, "Invalid reference", "A reference to a network is network.NAME.")
			case declared || d.holes:
				names = append(names, at[string]{name, where})
			default:
				d.fail(where, "Unknown network", "There is no network block %q.%s The name of a network that is made elsewhere is written as a string.",
					name, d.didYouMean(name, slices.Sorted(maps.Keys(d.names["network"]))))
			}
			continue
		}
		name, ok := element(d, a.Name, expr, parseNetwork)
		if rest, dotted := strings.CutPrefix(name, "network."); ok && dotted && d.names["network"][rest].Filename != "" {
			d.fail(where, "Invalid reference", "It is not a string: write %s without quotes.", name)
			continue
		}
		if ok {
			names = append(names, at[string]{name, where})
		}
	}
	unique(d, "network", names, func(name string) string { return name }, map[string]hcl.Range{})
	return values(names)
}

// unique reports elements that have the same key.
func unique[T any](d *decoder, what string, all []at[T], key func(T) string, seen map[string]hcl.Range) {
	for _, one := range all {
		k := key(one.value)
		if first, twice := seen[k]; twice {
			d.fail(one.where, "Duplicate "+what, "%q is there already, at %s.", k, place(first))
			continue
		}
		seen[k] = one.where
	}
}

// checkContainer reports attributes that contradict each other. Podman 4.3.1
// finds some of them when the container is created; ports under a mode that
// publishes none it ignores.
func (d *decoder) checkContainer(c *Container, raw *rawContainer, kind Kind) {
	mode, _, shared := strings.Cut(c.NetworkMode, ":") // container:NAME
	own := c.NetworkMode == "" || mode == "bridge"
	if !own && len(c.Networks) > 0 {
		d.fail(raw.Networks.NameRange, "Conflicting networks", "Networks are joined in network_mode bridge, and this container's is %s: leave one out.", c.NetworkMode)
	}
	if !own && len(c.Ports) > 0 {
		why := map[string]string{
			"host":      "the container has the host's own ports already",
			"none":      "the container has no network",
			"container": "they are published by the container whose network it is",
		}[mode]
		d.fail(raw.Ports.NameRange, "Conflicting ports", "Under network_mode %s Podman publishes no ports, without a word: %s. Leave one out.", c.NetworkMode, why)
	}
	if (shared || mode == "none") && len(c.DNS) > 0 {
		d.fail(raw.DNS.NameRange, "Conflicting dns", "Name servers can't be set under network_mode %s.", c.NetworkMode)
	}
	for _, name := range c.CapDrop {
		if slices.Contains(c.CapAdd, name) {
			d.fail(raw.CapDrop.NameRange, "Conflicting capabilities", "%s is in cap_add too.", name)
		}
	}
	if kind == KindJob && (c.Restart.Policy == "always" || c.Restart.Policy == "unless-stopped") {
		d.fail(raw.Restart.NameRange, "Restart of a job", "A job is ready when it has exited with 0, and %s would start it again for ever: use no or on-failure.", c.Restart.Policy)
	}
}

// checkPorts reports host ports that are published twice. It goes through
// them in the order of their numbers and remembers, for each group of
// addresses that could clash, the published range that reaches furthest, so
// that the time is that of the sort whatever the addresses are.
func (d *decoder) checkPorts() {
	ports := slices.DeleteFunc(d.ports, func(p published) bool { return p.value.HostPort == 0 })
	slices.SortStableFunc(ports, func(a, b published) int {
		return cmp.Or(cmp.Compare(a.value.Protocol, b.value.Protocol), cmp.Compare(a.value.HostPort, b.value.HostPort))
	})
	furthest := map[string]published{}
	for _, port := range ports {
		in, against := groups(port.value.HostIP)
		for _, group := range against {
			other, ok := furthest[port.value.Protocol+group]
			if !ok || last(other.value) < int(port.value.HostPort) {
				continue
			}
			first, second := other, port
			if compareRanges(first.where, second.where) > 0 {
				first, second = second, first
			}
			d.fail(second.where, "Duplicate host port", "Port %d/%s of the host, which %s publishes here, is published by %s already, at %s: only one container can have it.",
				port.value.HostPort, port.value.Protocol, second.container, first.container, place(first.where))
			break
		}
		for _, group := range in {
			key := port.value.Protocol + group
			if other, ok := furthest[key]; !ok || last(other.value) < last(port.value) {
				furthest[key] = port
			}
		}
	}
}

// last is the highest host port of a range.
func last(p Port) int { return int(p.HostPort) + int(p.Range) - 1 }

// groups says which groups of addresses an address is in, and which it
// clashes with. 0.0.0.0 is every IPv4 address; no address and :: are every
// address, since a socket on :: takes IPv4 as well.
func groups(ip netip.Addr) (in, against []string) {
	switch own := ip.String(); {
	case !ip.IsValid() || ip == netip.IPv6Unspecified():
		return []string{"any", "all"}, []string{"any"}
	case ip == netip.IPv4Unspecified():
		return []string{"any", "any4", "all4"}, []string{"any4", "all"}
	case ip.Is4():
		return []string{"any", "any4", own}, []string{own, "all4", "all"}
	default:
		return []string{"any", own}, []string{own, "all"}
	}
}
