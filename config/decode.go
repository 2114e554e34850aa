package config

import (
	"cmp"
	"errors"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

const maxAttempts = 1_000

// decoder turns raw structs into those of config.go. It goes on after an
// error, so that all are found; what is in error stays zero.
type decoder struct {
	dir       string
	in        Inputs
	sources   Sources          // files of variables are added to them
	outermost *hcl.EvalContext // what expressions outside of any for_each see
	scope     *hcl.EvalContext // of the expressions at hand
	diags     hcl.Diagnostics

	members map[string]map[string]state     // of var, local and secret
	values  map[string]map[string]cty.Value // of those that are ready

	locals     map[string]*hcl.Attribute
	localOrder []string // in the order of the files
	chain      []string // locals being evaluated, each for the one before it

	secretValues  map[string]Sensitive
	hidden        []hcl.Range // that no diagnostic shows
	private       bool        // what is evaluated now is sensitive, whatever it is made of
	discreetFiles bool        // there is a sensitive variable, and a file of values may have it

	names   map[string]map[string]hcl.Range // what kind of thing, name, where first declared
	known   map[string]*known               // services and jobs by label, whether or not they decode
	order   []string                        // their labels in the order of the file
	torn    map[*hcl.Block]bool             // blocks with something in them that was not understood
	holes   bool                            // one of them may have been a service
	guesses int
	waits   int                 // references so far
	ports   []published         // by all containers
	weighs  int                 // so far, towards MaxWhole
	tooMuch bool                // that it is more has been reported
	unsure  map[*Container]bool // whose ports are in error
}

// known is what a reference needs to know of a service or job.
type known struct {
	raw     *rawService
	kind    Kind
	stage   int
	unclear bool // which instances there are is in error
}

// published is a port with the container that publishes it.
type published struct {
	at[Port]
	container string
}

func newDecoder(dir string, in Inputs, sources Sources) *decoder {
	d := &decoder{
		dir:          dir,
		in:           in,
		sources:      sources,
		members:      map[string]map[string]state{},
		values:       map[string]map[string]cty.Value{},
		locals:       map[string]*hcl.Attribute{},
		secretValues: map[string]Sensitive{},
		names:        map[string]map[string]hcl.Range{},
		known:        map[string]*known{},
		torn:         map[*hcl.Block]bool{},
		unsure:       map[*Container]bool{},
	}
	for _, root := range []string{"var", "local", "secret"} {
		d.members[root], d.values[root] = map[string]state{}, map[string]cty.Value{}
	}
	d.outermost = &hcl.EvalContext{Functions: d.functions()}
	d.scope = d.outermost
	return d
}

// file decodes the whole. The order matters: values before what is made of
// them, networks before the containers that join them, the names of all
// services before any reference.
func (d *decoder) file(bodies []hcl.Body) *File {
	raw := d.merge(bodies)
	variables := d.variables(raw.Variables)
	d.declareLocals(raw.Locals)
	for _, block := range raw.Secrets { // a local may name one
		d.define("secret", block.Block.Labels[0], cty.StringVal(block.Block.Labels[0]))
	}
	d.evaluateLocals()
	f := &File{Dir: d.dir, Name: one(d, raw.Name, validName), Variables: variables, Secrets: d.secrets(raw.Secrets)}
	if f.Name == "" {
		f.Name = nameOf(d.dir)
	}
	for i, block := range raw.Podman {
		if i > 0 {
			d.fail(d.header(block.Block), "Duplicate podman block", "There is one already at %s.", place(d.header(raw.Podman[0].Block)))
		}
		f.Connection = one(d, block.Connection, parseConnection)
	}
	for _, block := range raw.Networks {
		name, where := d.declare("network", block.Block)
		if err := checkNetwork(name); err != nil {
			d.fail(block.Block.LabelRanges[0], "Invalid name", "%s", sentence(err))
		}
		f.Networks = append(f.Networks, Network{Name: name, Range: where})
	}
	for _, block := range raw.Volumes {
		name, where := d.declare("volume", block.Block)
		f.Volumes = append(f.Volumes, Volume{Name: name, Range: where})
	}
	if !d.register(raw.Stages) {
		return f
	}
	for i, stage := range raw.Stages {
		f.Stages = append(f.Stages, d.stage(stage, i))
	}
	d.checkPorts()
	return f
}

// merge makes one file of all.
func (d *decoder) merge(bodies []hcl.Body) *rawFile {
	all := &rawFile{}
	for _, body := range bodies {
		raw := &rawFile{}
		d.fill(raw, nil, body)
		switch {
		case all.Name == nil:
			all.Name = raw.Name
		case raw.Name != nil:
			d.fail(raw.Name.NameRange, "Duplicate name", "The configuration has a name already, at %s.", place(all.Name.NameRange))
		}
		all.Podman = append(all.Podman, raw.Podman...)
		all.Variables = append(all.Variables, raw.Variables...)
		all.Locals = append(all.Locals, raw.Locals...)
		all.Secrets = append(all.Secrets, raw.Secrets...)
		all.Networks = append(all.Networks, raw.Networks...)
		all.Volumes = append(all.Volumes, raw.Volumes...)
		all.Stages = append(all.Stages, raw.Stages...)
	}
	return all
}

// register takes down the names of all services and jobs, and which of them
// there are: a reference may point forward within its stage, and one to
// something that is broken is no error of its own.
func (d *decoder) register(stages []*rawStage) bool {
	services := 0
	for i, stage := range stages {
		for _, raw := range d.services(stage) {
			var clear bool
			raw.instances, clear = d.repeat(raw.Block, &raw.rawRepeat)
			for _, instance := range raw.instances {
				if instance.enabled {
					services++
				}
			}
			d.know(&known{raw: raw, kind: Kind(raw.Block.Type), stage: i, unclear: !clear})
			if services > MaxServices {
				d.fail(d.header(raw.Block), "Too many services", "With this there are %d services and jobs; a configuration has at most %d.", services, MaxServices)
				return false
			}
		}
	}
	return true
}

// know takes down a block. Of several with one label, of which enabled leaves
// one, references are to that one.
func (d *decoder) know(next *known) {
	label := next.raw.Block.Labels[0]
	switch first := d.known[label]; {
	case first == nil:
		d.known[label] = next
		d.order = append(d.order, label)
	case first.unclear || !next.unclear && !next.enabled():
	case next.unclear || !first.enabled():
		d.known[label] = next
	case first.raw.ForEach != nil && next.raw.ForEach != nil && !first.shares(next):
		d.fail(d.header(next.raw.Block), "Duplicate "+serviceOrJob, "There are instances of %q already, at %s: take another name, or make both of one for_each.", label, place(d.header(first.raw.Block)))
	}
}

func (k *known) enabled() bool {
	return slices.ContainsFunc(k.raw.instances, func(i instance) bool { return i.enabled })
}

// shares reports whether a name is in both, which is reported for itself.
func (k *known) shares(other *known) bool {
	return slices.ContainsFunc(k.raw.instances, func(i instance) bool {
		return i.enabled && slices.ContainsFunc(other.raw.instances, func(o instance) bool { return o.enabled && o.name == i.name })
	})
}

// services are the services and jobs of a stage in the order of the file.
func (d *decoder) services(raw *rawStage) []*rawService {
	all := slices.Concat(raw.Services, raw.Jobs)
	slices.SortStableFunc(all, func(a, b *rawService) int {
		return compareRanges(a.Block.TypeRange, b.Block.TypeRange)
	})
	return all
}

// stage decodes a stage, the index-th. That the first one blocks and others
// don't is a default here, not a difference in kind.
func (d *decoder) stage(raw *rawStage, index int) *Stage {
	name, where := d.declare("stage", raw.Block)
	s := &Stage{
		Name:      name,
		OnFailure: Continue,
		Timeout:   d.duration(raw.Timeout, DefaultTimeout),
		Attempts:  int(d.integer(raw.Attempts, DefaultAttempts, 1, maxAttempts)),
		Range:     where,
	}
	if index == 0 {
		s.OnFailure = Block
	}
	if on := one(d, raw.OnFailure, choice(Block, Continue, Abort)); on != "" {
		s.OnFailure = on
	}
	health := d.checks(raw.Health)
	for _, block := range d.services(raw) {
		for _, i := range block.instances {
			if i.enabled && d.charge(perService, d.header(block.Block)) {
				back := d.within(i.scope)
				s.Services = append(s.Services, d.service(block, i.name, s, index, health))
				back()
			}
		}
	}
	return s
}

// service decodes a service or job, or one instance of it. Its own timeout and
// attempts go over the stage's, and so does its health, all or nothing: checks
// are not mixed.
func (d *decoder) service(raw *rawService, name string, stage *Stage, index int, health []Health) *Service {
	kind := Kind(raw.Block.Type)
	where := d.header(raw.Block)
	d.named(raw.Block, name)
	d.claim(serviceOrJob, name, where)
	s := &Service{
		Name:      name,
		Kind:      kind,
		DependsOn: d.references(raw.DependsOn, name, index),
		Wants:     d.references(raw.Wants, name, index),
		After:     d.references(raw.After, name, index),
		Timeout:   d.duration(raw.Timeout, stage.Timeout),
		Attempts:  int(d.integer(raw.Attempts, int64(stage.Attempts), 1, maxAttempts)),
		Range:     where,

		OnDependencyRestart: Ignore,
	}
	if on := one(d, raw.OnDependencyRestart, choice(Ignore, Follow)); on != "" {
		s.OnDependencyRestart = on
	}
	if kind == KindJob && s.OnDependencyRestart == Follow {
		d.fail(raw.OnDependencyRestart.NameRange, "Restart of a job", "A job that has completed is not run again: leave on_dependency_restart out, or make %s a service.", name)
	}
	if raw.ForEach != nil {
		s.Label = raw.Block.Labels[0]
	}
	known := d.containers(raw, s)
	own := d.checks(raw.Health)
	if kind == KindJob {
		for _, block := range raw.Health {
			d.fail(d.header(block.Block), "Health check of a job", "A job is ready when it has exited with 0, so it has no health checks: make %s a service, or leave this out.", name)
		}
		return s
	}
	// Where all its own are in error, the stage's would only be in the way.
	if known && (len(own) > 0 || len(raw.Health) == 0) {
		s.Health = d.health(s, own, health)
	}
	return s
}

// containers decodes what a service consists of: one container, several
// components, or containers that exist. It is false if that is not clear.
func (d *decoder) containers(raw *rawService, s *Service) bool {
	image, existing, components := d.given(raw.Image), d.given(raw.Containers), len(raw.Components) > 0
	const choices = "image for a container to be made, component blocks for several, or containers for some that exist already"
	switch {
	case image && existing, image && components, existing && components:
		d.fail(s.Range, "Conflicting images", "A %s has one of these: %s.", s.Kind, choices)
	case components:
		d.refuse(raw, "put it into the component blocks")
	case existing:
		d.refuse(raw, "containers that exist already are only started, never created or changed")
	case !image && !d.torn[raw.Block]:
		d.fail(s.Range, "Missing image", "A %s has one of these: %s.", s.Kind, choices)
	}
	switch {
	case components:
		all := true
		for _, block := range raw.Components {
			instances, ok := d.repeat(block.Block, &block.rawRepeat)
			all = all && ok
			for _, i := range instances {
				if i.enabled && d.charge(perService, d.header(block.Block)) {
					back := d.within(i.scope)
					s.Containers = append(s.Containers, d.component(block, i.name, s))
					back()
				}
			}
		}
		if all && len(s.Containers) == 0 {
			d.fail(s.Range, "No components", "All components of %s are left out, so there is nothing to run: give the %s enabled = false, or one of them true.", s.Name, s.Kind)
		}
		return all && len(s.Containers) > 0
	case existing:
		return d.existing(raw.Containers, s)
	}
	// Without an image too: the other attributes may be in error.
	s.Containers = []*Container{d.container(&raw.rawContainer, s, "", s.Range)}
	return true
}

// component decodes one of several containers of a service.
func (d *decoder) component(raw *rawComponent, name string, s *Service) *Container {
	where := d.header(raw.Block)
	d.named(raw.Block, name)
	if !d.given(raw.Image) && !d.torn[raw.Block] {
		d.fail(where, "Missing image", "Each component has an image of its own.")
	}
	return d.container(&raw.rawContainer, s, name, where)
}

// given reports whether an attribute is there and not null. One in error is:
// that it were missing would be a second complaint about the same.
func (d *decoder) given(a *hcl.Attribute) bool {
	if a == nil {
		return false
	}
	v, ok := d.value(a.Expr)
	return !ok || !v.IsNull()
}

// refuse reports the container attributes of a service that has no container
// of its own.
func (d *decoder) refuse(raw *rawService, why string) {
	for _, field := range reflect.ValueOf(raw.rawContainer).Fields() {
		if attr := field.Interface().(*hcl.Attribute); attr != nil {
			d.fail(attr.NameRange, "Misplaced "+attr.Name, "%s is an attribute of a container: %s.", attr.Name, why)
		}
	}
}

// existing reads the names of containers that exist already.
func (d *decoder) existing(a *hcl.Attribute, s *Service) bool {
	names, ok := each(d, a, validName)
	if len(names) == 0 && ok {
		d.fail(subject(a.Expr), "Empty list", "containers names at least one container.")
	}
	for _, name := range names {
		if d.first(s) {
			d.claim("container", name.value, name.where)
		}
		s.Existing = append(s.Existing, name.value)
	}
	return ok && len(names) > 0
}

// container decodes what podman-run(1) would be told. Lists whose elements
// have to be unlike one another are read with their places.
func (d *decoder) container(raw *rawContainer, s *Service, component string, where hcl.Range) *Container {
	mounts, _ := each(d, raw.Volumes, d.parseMount)
	tmpfs, _ := each(d, raw.Tmpfs, parseTmpfs)
	ulimits, _ := each(d, raw.Ulimits, parseUlimit)
	ports, portsOK := each(d, raw.Ports, parsePort)
	env, hidden, from := d.env(raw)
	c := &Container{
		Name:        s.Name,
		Component:   component,
		Image:       one(d, raw.Image, parseImage),
		Command:     list(d, raw.Command, argument),
		Entrypoint:  list(d, raw.Entrypoint, argument),
		Env:         env,
		Sensitive:   hidden,
		EnvFrom:     from,
		Ports:       values(ports),
		Volumes:     values(mounts),
		Networks:    d.networks(raw.Networks),
		NetworkMode: one(d, raw.NetworkMode, d.parseNetworkMode),
		Secrets:     d.attach(list(d, raw.Secrets, d.parseSecret)),
		User:        one(d, raw.User, parseUser),
		Workdir:     one(d, raw.Workdir, parseInside),
		Hostname:    one(d, raw.Hostname, parseHostname),
		Labels:      d.text(raw.Labels, checkLabel),
		Restart:     one(d, raw.Restart, parseRestart),
		StopTimeout: cmp.Or(one(d, raw.StopTimeout, parseSeconds), DefaultStopTimeout),
		StopSignal:  one(d, raw.StopSignal, parseSignal),
		Memory:      one(d, raw.Memory, parseMemory),
		CPUs:        one(d, raw.CPUs, parseCPUs),
		PidsLimit:   one(d, raw.PidsLimit, parsePidsLimit),
		Ulimits:     values(ulimits),
		CapAdd:      list(d, raw.CapAdd, parseCapability),
		CapDrop:     list(d, raw.CapDrop, parseCapability),
		Privileged:  d.boolean(raw.Privileged, false),
		ReadOnly:    d.boolean(raw.ReadOnly, false),
		Tmpfs:       values(tmpfs),
		Devices:     list(d, raw.Devices, parseDevice),
		SecurityOpt: list(d, raw.SecurityOpt, d.parseSecurityOpt),
		DNS:         list(d, raw.DNS, parseAddr),
		ExtraHosts:  list(d, raw.ExtraHosts, parseExtraHost),
		Init:        d.boolean(raw.Init, false),
		Pull:        cmp.Or(one(d, raw.Pull, choice(PullMissing, PullAlways, PullNever)), PullMissing),
		Range:       where,
		Ranges:      Ranges{Image: valueRange(raw.Image), Restart: valueRange(raw.Restart), Ports: places(ports)},
	}
	if component != "" {
		c.Name += "-" + component
	}
	destinations := map[string]hcl.Range{}
	unique(d, "destination", mounts, func(m Mount) string { return m.Destination }, destinations)
	unique(d, "destination", tmpfs, func(t Tmpfs) string { return t.Destination }, destinations)
	unique(d, "ulimit", ulimits, func(u Ulimit) string { return u.Type }, map[string]hcl.Range{})
	if d.first(s) {
		d.claim("container", c.Name, where)
		for _, port := range ports {
			d.ports = append(d.ports, published{port, c.Name})
		}
	}
	d.unsure[c] = !portsOK
	d.checkContainer(c, raw, s.Kind)
	return c
}

// env merges the env files, the later over the earlier, and env over them, as
// podman-run(1) does with --env-file and --env. What comes from a file is
// sensitive: that is where passwords are put.
func (d *decoder) env(raw *rawContainer) (env map[string]string, hidden map[string]bool, from map[string]string) {
	env, hidden, from = map[string]string{}, map[string]bool{}, map[string]string{}
	list(d, raw.EnvFile, func(path string) (string, error) {
		if path == "" {
			return "", errors.New(`"" is not the name of a file`)
		}
		said := map[string]string{}
		err := readEnvFile(d.path(path), path, said)
		for key, value := range said {
			env[key], hidden[key], from[key] = value, true, d.path(path)
		}
		return path, err
	})
	own, secret := d.pairs(raw.Env, true, checkEnv)
	for key, value := range own {
		env[key] = value
		delete(hidden, key)
		delete(from, key)
		if secret[key] {
			hidden[key] = true
		}
	}
	if len(env) == 0 {
		return nil, nil, nil
	}
	return env, hidden, from
}

// path is a path of the host; a relative one starts at the file's directory.
func (d *decoder) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(d.dir, p)
}
