package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// How a service is known to be ready: the health blocks, and what holds where
// there are none.

// kinds in the order of the reference, for messages.
var kinds = []string{HealthTCP, HealthGRPC, HealthHTTP, HealthExec, HealthPodman, HealthLog, HealthNone}

const maxSuccesses = 1_000

// checks decodes health blocks. Which container they are for is settled by
// aim, once the containers are known.
func (d *decoder) checks(blocks []*rawHealth) []Health {
	var all []Health
	for _, raw := range blocks {
		if !d.charge(perCheck, d.header(raw.Block)) {
			break
		}
		kind := raw.Block.Labels[0]
		if !slices.Contains(kinds, kind) {
			d.fail(raw.Block.LabelRanges[0], "Unknown kind of health check", "%.40q is none of %s.%s", kind, strings.Join(kinds, ", "), d.didYouMean(kind, kinds))
			continue
		}
		d.foreign(raw, kind)
		if h, ok := d.check(raw, kind); ok {
			all = append(all, h)
		}
	}
	return all
}

// foreign reports the attributes that belong to other kinds of check: one
// block type with an attribute list of its own for each kind would let hcl do
// it, with "not expected here" and no word of where it is.
func (d *decoder) foreign(raw *rawHealth, kind string) {
	v := reflect.ValueOf(raw).Elem()
	s := schemas[v.Type()]
	for name, owners := range s.kinds {
		if len(owners) == 0 || slices.Contains(owners, kind) {
			continue
		}
		var where hcl.Range
		switch field := v.FieldByIndex(s.fields[name]).Interface().(type) {
		case *hcl.Attribute:
			if field == nil {
				continue
			}
			where = field.NameRange
		case []*rawTLS:
			if len(field) == 0 {
				continue
			}
			where = d.header(field[0].Block)
		}
		d.fail(where, "Misplaced "+name, "A %s check has no %s; it is part of %s.", kind, name, strings.Join(owners, ", "))
	}
}

// check decodes one health block; it is false if what it aims at is in error.
func (d *decoder) check(raw *rawHealth, kind string) (h Health, ok bool) {
	before := len(d.diags)
	h.Component = one(d, raw.Component, validName)
	port := uint16(d.integer(raw.Port, 0, 1, 65535))
	ok = len(d.diags) == before
	probe := DefaultProbe
	if kind == HealthGRPC {
		probe = DefaultProbeGRPC
	}
	h = Health{
		Kind:       kind,
		Interval:   d.duration(raw.Interval, 0),
		Timeout:    d.duration(raw.Timeout, probe),
		Successes:  int(d.integer(raw.Successes, 1, 1, maxSuccesses)),
		StartDelay: one(d, raw.StartDelay, ParseDelay),
		Component:  h.Component,
		Range:      d.header(raw.Block),
	}
	if kind == HealthNone && h.Successes == 1 && !d.given(raw.StartDelay) {
		h.StartDelay = DefaultSettle
	}
	if dials(h) {
		h.Port = port
		h.TLS = d.tls(raw.TLS)
	}
	switch kind {
	case HealthGRPC:
		h.Service = one(d, raw.Service, anyText)
	case HealthHTTP:
		h.Path = cmp.Or(one(d, raw.Path, parsePath), "/")
		h.Method = cmp.Or(one(d, raw.Method, parseMethod), "GET")
		h.Headers, h.Sensitive = d.pairs(raw.Headers, true, checkHeader)
		h.Status = one(d, raw.Status, parseStatus)
		if h.Status == nil {
			h.Status = []StatusRange{{200, 399}}
		}
		h.Body = one(d, raw.Body, parseRegexp)
	case HealthExec:
		command, ok := each(d, raw.Command, argument)
		h.Command = values(command)
		if ok && !d.torn[raw.Block] && (len(h.Command) == 0 || h.Command[0] == "") {
			d.fail(h.Range, "Missing command", "An exec check needs command: a list, the program first.")
		}
	case HealthLog:
		h.Pattern = one(d, raw.Pattern, parseRegexp)
		if !d.given(raw.Pattern) && !d.torn[raw.Block] {
			d.fail(h.Range, "Missing pattern", "A log check needs pattern: a regular expression that a line matches when the service is ready.")
		}
	}
	return h, ok
}

// tls decodes how a check speaks TLS; an empty block means with the defaults.
func (d *decoder) tls(blocks []*rawTLS) *TLS {
	if len(blocks) == 0 {
		return nil
	}
	for _, block := range blocks[1:] {
		d.fail(d.header(block.Block), "Duplicate tls block", "There is one already at %s.", place(d.header(blocks[0].Block)))
	}
	raw := blocks[0]
	t := &TLS{
		CA:                 one(d, raw.CA, d.parseFile),
		Cert:               one(d, raw.Cert, d.parseFile),
		Key:                one(d, raw.Key, d.parseFile),
		ServerName:         one(d, raw.ServerName, parseHostname),
		InsecureSkipVerify: d.boolean(raw.InsecureSkipVerify, false),
	}
	if d.given(raw.Cert) != d.given(raw.Key) {
		d.fail(d.header(raw.Block), "Half a client certificate", "cert and key go together: give both or none.")
	}
	return t
}

// health works out the checks of a service: its own, else those of its stage,
// else the default of the language. Checks that are written are each of one
// component; one that none of them is of still has the default, or it could
// crash again and again in a service that is told to be ready.
func (d *decoder) health(s *Service, own, stage []Health) []*Health {
	var all []*Health
	switch {
	case len(own) > 0:
		for _, h := range own {
			all = append(all, d.aim(s, h, h.Range, "")...)
		}
	case len(stage) > 0:
		for _, h := range stage {
			if !d.charge(perCheck, s.Range) {
				break
			}
			h.Inherited = true
			all = append(all, d.aim(s, h, s.Range, fmt.Sprintf("%s has its stage's %s check (%s): ", s.Name, h.Kind, place(h.Range)))...)
		}
	case s.Containers == nil:
		all = append(all, &Health{Kind: HealthNone, Timeout: DefaultProbe, Successes: 1, StartDelay: DefaultSettle, Range: s.Range})
	}
	for _, c := range s.Containers {
		if !slices.ContainsFunc(all, func(h *Health) bool { return h.Component == c.Component }) {
			all = append(all, defaultCheck(c))
		}
	}
	return all
}

// defaultCheck is tcp on the first published TCP port; a container that
// publishes none is ready when it has run for DefaultSettle.
func defaultCheck(c *Container) *Health {
	h := &Health{Kind: HealthNone, Timeout: DefaultProbe, Successes: 1, StartDelay: DefaultSettle, Component: c.Component, Range: c.Range}
	if port := firstPort(c); port != 0 {
		h.Kind, h.Port, h.StartDelay = HealthTCP, port, 0
	}
	return h
}

// firstPort is the container port of the first published TCP port, in the
// order of the file; 0 if there is none.
func firstPort(c *Container) uint16 {
	for _, p := range c.Ports {
		if p.Protocol == "tcp" {
			return p.ContainerPort
		}
	}
	return 0
}

// publishes tells by which protocols a container's port is published. None is
// no error for a check: it may be dialled inside the container's network.
func publishes(c *Container, port uint16) (protocols []string) {
	for _, p := range c.Ports {
		if port >= p.ContainerPort && int(port) < int(p.ContainerPort)+int(p.Range) {
			protocols = append(protocols, p.Protocol)
		}
	}
	return protocols
}

// aim settles which container and port of a service a check is for. Errors
// are reported at a place that may be another than the check's; intro says
// how the service comes to have it then.
func (d *decoder) aim(s *Service, h Health, where hcl.Range, intro string) (all []*Health) {
	if shortest := time.Duration(h.Successes-1)*h.Interval + h.StartDelay; shortest >= s.Timeout {
		d.fail(h.Range, "Health check can never pass", "It takes %s at least (start_delay, and an interval between successes), and the service's timeout is %s: raise the one or lower the other.", shortest, s.Timeout)
	}
	if s.Existing != nil {
		if err := aimExisting(s, h); err != nil {
			d.fail(where, "Health check without a target", "%s%s", intro, sentence(err))
			return nil
		}
		return []*Health{&h}
	}
	targets, err := d.targets(s, h)
	if err != nil {
		d.fail(where, "Health check without a target", "%s%s", intro, sentence(err))
	}
	for _, c := range targets {
		one := h
		one.Component = c.Component
		if one.Port, err = port(c, h); err != nil && !d.unsure[c] {
			d.fail(where, "Health check without a target", "%s%s", intro, sentence(err))
			continue
		}
		all = append(all, &one)
	}
	return all
}

// aimExisting: of a container that exists already, no port is known here.
func aimExisting(s *Service, h Health) error {
	switch {
	case h.Component != "":
		return fmt.Errorf("%s has no components", s.Name)
	case h.Kind == HealthNone:
	case len(s.Existing) > 1:
		return fmt.Errorf("%s has %d containers that exist already, and nothing says which one to probe: make a service of each", s.Name, len(s.Existing))
	case dials(h) && h.Port == 0:
		return errors.New("the ports of a container that exists already are not known here: write port = N")
	}
	return nil
}

// dials reports whether a check needs a port.
func dials(h Health) bool {
	return h.Kind == HealthTCP || h.Kind == HealthGRPC || h.Kind == HealthHTTP
}

// targets are the containers a check is for: one, which component names, or
// else the port tells; a check that probes nothing is for all.
func (d *decoder) targets(s *Service, h Health) ([]*Container, error) {
	all := s.Containers
	if h.Component != "" {
		var names []string
		for _, c := range all {
			if c.Component == h.Component {
				return []*Container{c}, nil
			}
			names = append(names, c.Component)
		}
		return nil, fmt.Errorf("%s has no component %q.%s", s.Name, h.Component, d.didYouMean(h.Component, names))
	}
	if len(all) > 1 && dials(h) && h.Port != 0 {
		if slices.ContainsFunc(all, func(c *Container) bool { return d.unsure[c] }) {
			return nil, nil
		}
		all = slices.DeleteFunc(slices.Clone(all), func(c *Container) bool { return !slices.Contains(publishes(c, h.Port), "tcp") })
	}
	if len(all) != 1 && h.Kind != HealthNone {
		var names []string
		for _, c := range s.Containers {
			names = append(names, c.Component)
		}
		return nil, fmt.Errorf("%s has the components %s, and nothing says which one is meant: write component = \"NAME\"", s.Name, strings.Join(names, ", "))
	}
	return all, nil
}

// port is the container port that a check dials; 0 if it dials none.
func port(c *Container, h Health) (uint16, error) {
	if !dials(h) {
		return 0, nil
	}
	number := cmp.Or(h.Port, firstPort(c))
	if number == 0 {
		return 0, fmt.Errorf("%s publishes no TCP port to take for it: write port = N", c.Name)
	}
	if protocols := publishes(c, number); len(protocols) > 0 && !slices.Contains(protocols, "tcp") {
		return 0, fmt.Errorf("port %d of %s is published for %s only, and %s speaks TCP: take another port, or exec", number, c.Name, strings.Join(protocols, ", "), h.Kind)
	}
	return number, nil
}
