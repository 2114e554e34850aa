package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// declareLocals registers the names of all locals: they may refer to each
// other in any order.
func (d *decoder) declareLocals(blocks []*rawLocals) {
	var all []*hcl.Attribute
	for _, block := range blocks {
		for _, attr := range block.Attrs {
			all = append(all, attr)
		}
	}
	slices.SortFunc(all, func(a, b *hcl.Attribute) int { return compareRanges(a.NameRange, b.NameRange) })
	for _, attr := range all {
		d.claim("local", attr.Name, attr.NameRange)
		if d.locals[attr.Name] == nil {
			d.locals[attr.Name] = attr
			d.members["local"][attr.Name] = waiting
			d.localOrder = append(d.localOrder, attr.Name)
		}
	}
}

// evaluateLocals evaluates all of them, also those that nothing uses: what is
// wrong is wrong.
func (d *decoder) evaluateLocals() {
	for _, name := range d.localOrder {
		d.local(name)
	}
}

// local evaluates a local if that has not been done, those that it refers to
// before it. It is false if there is an error in one of them.
func (d *decoder) local(name string) bool {
	attr := d.locals[name]
	switch d.members["local"][name] {
	case ready:
		return true
	case broken:
		return false
	case evaluating:
		d.cycle(name)
		return false
	}
	defer d.within(d.outermost)() // a local is the same wherever it is used
	d.members["local"][name] = evaluating
	d.chain = append(d.chain, name)
	v, ok := d.value(attr.Expr)
	d.chain = d.chain[:len(d.chain)-1]
	switch {
	case !ok:
		d.members["local"][name] = broken
		return false
	case weightOf(v) > 2*MaxValue:
		d.fail(subject(attr.Expr), "Value too large", "local.%s is larger than %d MiB.", name, MaxValue>>20)
		d.members["local"][name] = broken
		return false
	}
	d.define("local", name, v)
	return true
}

// cycle reports locals that are made of themselves, each with its place.
func (d *decoder) cycle(name string) {
	around := d.chain[slices.Index(d.chain, name):]
	// It is found from wherever one begins; it is told from the one that
	// stands first.
	first := 0
	for i, name := range around {
		if compareRanges(d.locals[name].NameRange, d.locals[around[first]].NameRange) < 0 {
			first = i
		}
	}
	around = slices.Concat(around[first:], around[:first])
	var way strings.Builder
	for i, name := range around {
		fmt.Fprintf(&way, "\n  local.%s is made of local.%s (%s)", name, around[(i+1)%len(around)], place(d.locals[name].NameRange))
	}
	d.fail(d.locals[around[0]].NameRange, "Cyclic locals", "None of these has a value:%s", way.String())
}
