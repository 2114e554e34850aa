package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// The structs of this file are the grammar of the language: which blocks go
// where, which attributes they have, and what these mean. They hold
// attributes as they stand in the file, not evaluated; decode.go makes values
// of them.
//
// Tags: hcl is the name, with ",block" where it is a block; label is what a
// block's label is called; type is what an attribute's value is converted to,
// in the words of a variable's type and those of AttributeSchema; kinds are
// the kinds of health check that have an attribute; doc is one line for a
// reference. Schema reads them, and decode.go has to agree.

type rawFile struct {
	Name      *hcl.Attribute `hcl:"name" type:"string" doc:"name of the configuration; default: base name of the file's directory"`
	Podman    []*rawPodman   `hcl:"podman,block" doc:"how to reach Podman"`
	Variables []*rawVariable `hcl:"variable,block" label:"name" doc:"a value given from outside: --var, --var-file, BOOTGRAPH_VAR_NAME, in that order of strength"`
	Locals    []*rawLocals   `hcl:"locals,block" doc:"names for values, used as local.NAME; any number of blocks"`
	Secrets   []*rawSecret   `hcl:"secret,block" label:"name" doc:"a Podman secret, made from a file, a variable of the environment, or a value; used as secret.NAME"`
	Networks  []*rawNamed    `hcl:"network,block" label:"name" doc:"a network, created if it does not exist and never altered"`
	Volumes   []*rawNamed    `hcl:"volume,block" label:"name" doc:"a named volume, created if it does not exist and never altered"`
	Stages    []*rawStage    `hcl:"stage,block" label:"name" doc:"services that are settled before the next stage starts; the first is the foundation"`
}

type rawPodman struct {
	Block      *hcl.Block
	Connection *hcl.Attribute `hcl:"connection" type:"string" doc:"unix:///path, ssh://user@host/path or tcp://host:port"`
}

type rawVariable struct {
	Block       *hcl.Block
	Type        *hcl.Attribute `hcl:"type" type:"type" doc:"string, number, bool, any, list(T), set(T), map(T), object({…}), tuple([…]); default: any"`
	Default     *hcl.Attribute `hcl:"default" type:"any" doc:"its value where none is given; without it one has to be"`
	Sensitive   *hcl.Attribute `hcl:"sensitive" type:"bool" doc:"true: shown as (sensitive) everywhere; for env, headers and secret blocks only"`
	Description *hcl.Attribute `hcl:"description" type:"string" doc:"for whoever has to give it"`
}

// rawLocals has any attributes.
type rawLocals struct {
	Block *hcl.Block
	Attrs hcl.Attributes
}

type rawSecret struct {
	Block *hcl.Block
	File  *hcl.Attribute `hcl:"file" type:"string" doc:"path of the file with its value, taken byte for byte"`
	Env   *hcl.Attribute `hcl:"env" type:"string" doc:"name of the variable of bootgraph's environment with its value"`
	Value *hcl.Attribute `hcl:"value" type:"string" doc:"the value, such as var.password; the variable should be sensitive"`
}

type rawNamed struct {
	Block *hcl.Block
}

type rawStage struct {
	Block     *hcl.Block
	Timeout   *hcl.Attribute `hcl:"timeout" type:"duration" doc:"time each service has, from when it may start until it is ready; default 60s"`
	OnFailure *hcl.Attribute `hcl:"on_failure" type:"string" doc:"block, continue or abort; default: block for the first stage, else continue"`
	Attempts  *hcl.Attribute `hcl:"attempts" type:"number" doc:"starts before a service counts as failed; default 1, no limit under block"`
	Health    []*rawHealth   `hcl:"health,block" label:"kind" doc:"for services of the stage that have none of their own"`
	Services  []*rawService  `hcl:"service,block" label:"name" doc:"ready when its health checks pass"`
	Jobs      []*rawService  `hcl:"job,block" label:"name" doc:"ready when it has exited with 0"`
}

type rawService struct {
	Block *hcl.Block
	rawRepeat
	rawContainer
	DependsOn           *hcl.Attribute  `hcl:"depends_on" type:"list(reference)" doc:"service.X or job.X: start only when they are ready"`
	Wants               *hcl.Attribute  `hcl:"wants" type:"list(reference)" doc:"service.X or job.X: start when they are settled, ready or not"`
	After               *hcl.Attribute  `hcl:"after" type:"list(reference)" doc:"service.X or job.X: start when they have been started"`
	Timeout             *hcl.Attribute  `hcl:"timeout" type:"duration" doc:"over the stage's"`
	Attempts            *hcl.Attribute  `hcl:"attempts" type:"number" doc:"over the stage's"`
	OnDependencyRestart *hcl.Attribute  `hcl:"on_dependency_restart" type:"string" doc:"under the agent, when something of depends_on was started again: ignore, or restart this service, too; default ignore"`
	Containers          *hcl.Attribute  `hcl:"containers" type:"list(string)" doc:"instead of image: names of existing containers, started and never created, changed or removed"`
	Components          []*rawComponent `hcl:"component,block" label:"name" doc:"instead of image: one of several containers, named SERVICE-COMPONENT"`
	Health              []*rawHealth    `hcl:"health,block" label:"kind" doc:"any number; all must pass"`

	instances []instance // what for_each makes of it, worked out before any reference to it
}

type rawComponent struct {
	Block *hcl.Block
	rawRepeat
	rawContainer
}

// rawRepeat is how often a block is there.
type rawRepeat struct {
	ForEach *hcl.Attribute `hcl:"for_each" type:"set(string) or map(any)" doc:"one for each key; each.key and each.value are for the other attributes, NAME-KEY is its name, service.NAME[\"KEY\"] the reference to it"`
	Enabled *hcl.Attribute `hcl:"enabled" type:"bool" doc:"false: as if it were not written; default true"`
}

type rawContainer struct {
	Image       *hcl.Attribute `hcl:"image" type:"string" doc:"[REGISTRY/]NAME[:TAG][@DIGEST]"`
	Command     *hcl.Attribute `hcl:"command" type:"list(string)" doc:"arguments, over the image's"`
	Entrypoint  *hcl.Attribute `hcl:"entrypoint" type:"list(string)" doc:"over the image's; [\"\"] for none"`
	Env         *hcl.Attribute `hcl:"env" type:"map(string)" doc:"environment, over env_file"`
	EnvFile     *hcl.Attribute `hcl:"env_file" type:"list(string)" doc:"files of KEY=VALUE lines, as podman run --env-file"`
	Ports       *hcl.Attribute `hcl:"ports" type:"list(string)" doc:"[[IP:][HOST]:]CONTAINER[/tcp|udp|sctp], ranges as 8000-8005"`
	Volumes     *hcl.Attribute `hcl:"volumes" type:"list(string)" doc:"[SOURCE:]DESTINATION[:OPTIONS]; ./SOURCE starts at the file's directory"`
	Networks    *hcl.Attribute `hcl:"networks" type:"list(string)" doc:"network.X, or names of networks that exist"`
	NetworkMode *hcl.Attribute `hcl:"network_mode" type:"string" doc:"bridge, host, none or container:NAME"`
	Secrets     *hcl.Attribute `hcl:"secrets" type:"list(string)" doc:"secret.X or NAME, each with [,type=mount|env][,target=T][,uid=U][,gid=G][,mode=M]"`
	User        *hcl.Attribute `hcl:"user" type:"string" doc:"USER[:GROUP]"`
	Workdir     *hcl.Attribute `hcl:"workdir" type:"string" doc:"absolute path in the container"`
	Hostname    *hcl.Attribute `hcl:"hostname" type:"string" doc:"host name inside the container"`
	Labels      *hcl.Attribute `hcl:"labels" type:"map(string)" doc:"keys that begin with bootgraph. are taken"`
	Restart     *hcl.Attribute `hcl:"restart" type:"string" doc:"Podman's own policy: no, on-failure[:N], always or unless-stopped"`
	StopTimeout *hcl.Attribute `hcl:"stop_timeout" type:"duration" doc:"between the stop signal and the end, whole seconds; default 10s"`
	StopSignal  *hcl.Attribute `hcl:"stop_signal" type:"string" doc:"such as SIGTERM"`
	Memory      *hcl.Attribute `hcl:"memory" type:"string" doc:"limit: 512m, 1g"`
	CPUs        *hcl.Attribute `hcl:"cpus" type:"number" doc:"limit: 0.5, 2"`
	PidsLimit   *hcl.Attribute `hcl:"pids_limit" type:"number" doc:"limit of processes; -1 for none"`
	Ulimits     *hcl.Attribute `hcl:"ulimits" type:"list(string)" doc:"TYPE=SOFT[:HARD]; -1 is unlimited"`
	CapAdd      *hcl.Attribute `hcl:"cap_add" type:"list(string)" doc:"capabilities, such as NET_ADMIN, or ALL"`
	CapDrop     *hcl.Attribute `hcl:"cap_drop" type:"list(string)" doc:"capabilities, such as NET_RAW, or ALL"`
	Privileged  *hcl.Attribute `hcl:"privileged" type:"bool" doc:"true: all devices, all capabilities"`
	ReadOnly    *hcl.Attribute `hcl:"read_only" type:"bool" doc:"true: the root file system can't be written"`
	Tmpfs       *hcl.Attribute `hcl:"tmpfs" type:"list(string)" doc:"DESTINATION[:OPTIONS]"`
	Devices     *hcl.Attribute `hcl:"devices" type:"list(string)" doc:"HOST[:CONTAINER][:PERMISSIONS], permissions of r, w, m"`
	SecurityOpt *hcl.Attribute `hcl:"security_opt" type:"list(string)" doc:"KEY[=VALUE]: apparmor, label, mask, no-new-privileges, proc-opts, seccomp, systempaths, unmask"`
	DNS         *hcl.Attribute `hcl:"dns" type:"list(string)" doc:"addresses of name servers"`
	ExtraHosts  *hcl.Attribute `hcl:"extra_hosts" type:"list(string)" doc:"HOST:IP; IP may be host-gateway"`
	Init        *hcl.Attribute `hcl:"init" type:"bool" doc:"true: an init process reaps zombies and forwards signals"`
	Pull        *hcl.Attribute `hcl:"pull" type:"string" doc:"missing, always or never; default missing"`
}

type rawHealth struct {
	Block      *hcl.Block
	Interval   *hcl.Attribute `hcl:"interval" type:"duration" doc:"between probes; default: from 6ms growing to 1s (exec and podman: 5s)"`
	Timeout    *hcl.Attribute `hcl:"timeout" type:"duration" doc:"of one probe; default 2s, grpc 3s"`
	Successes  *hcl.Attribute `hcl:"successes" type:"number" doc:"in a row; default 1"`
	StartDelay *hcl.Attribute `hcl:"start_delay" type:"duration" doc:"before the first probe; default 0s, of none 1s"`
	Component  *hcl.Attribute `hcl:"component" type:"string" doc:"which one, where the service has several"`
	Port       *hcl.Attribute `hcl:"port" type:"number" kinds:"tcp grpc http" doc:"the container's port; default: the first published TCP port"`
	Service    *hcl.Attribute `hcl:"service" type:"string" kinds:"grpc" doc:"name asked for; default: the server as a whole"`
	TLS        []*rawTLS      `hcl:"tls,block" kinds:"grpc http" doc:"speak TLS"`
	Path       *hcl.Attribute `hcl:"path" type:"string" kinds:"http" doc:"what is asked for; default /"`
	Method     *hcl.Attribute `hcl:"method" type:"string" kinds:"http" doc:"of the request; default GET"`
	Headers    *hcl.Attribute `hcl:"headers" type:"map(string)" kinds:"http" doc:"further headers of the request"`
	Status     *hcl.Attribute `hcl:"status" type:"string" kinds:"http" doc:"statuses that pass, as in 200-299,404; default 200-399"`
	Body       *hcl.Attribute `hcl:"body" type:"string" kinds:"http" doc:"regular expression (RE2) that the body matches"`
	Command    *hcl.Attribute `hcl:"command" type:"list(string)" kinds:"exec" doc:"what is run inside the container, and exits with 0"`
	Pattern    *hcl.Attribute `hcl:"pattern" type:"string" kinds:"log" doc:"regular expression (RE2) that a line matches"`
}

type rawTLS struct {
	Block              *hcl.Block
	CA                 *hcl.Attribute `hcl:"ca" type:"string" doc:"PEM file; default: the system's roots"`
	Cert               *hcl.Attribute `hcl:"cert" type:"string" doc:"PEM file of a client certificate; with key"`
	Key                *hcl.Attribute `hcl:"key" type:"string" doc:"PEM file of its key"`
	ServerName         *hcl.Attribute `hcl:"server_name" type:"string" doc:"name in the server's certificate; default: the address that is dialled"`
	InsecureSkipVerify *hcl.Attribute `hcl:"insecure_skip_verify" type:"bool" doc:"true: any certificate will do"`
}

// schema is what hcl needs to know of a raw struct, and where its fields are.
type schema struct {
	body   hcl.BodySchema
	fields map[string][]int    // of an attribute or block, for reflect
	attrs  []string            // in the order of the struct
	blocks []string            //
	kinds  map[string][]string // of health checks that have it; nil: all
	named  bool                // its blocks are, or contain, what references name
}

// schemas are worked out once. gohcl, which does the same, does it anew for
// every block, which was half of the time of a load of 10,000 services; nor
// has it a way to share rawContainer.
var schemas = map[reflect.Type]*schema{}

// homes are the blocks that an attribute, or a block (true), goes into.
var homes = map[string]map[bool][]string{}

func init() { schemaOf(reflect.TypeFor[rawFile](), theFile) }

const theFile = "the file itself"

func schemaOf(t reflect.Type, block string) {
	s := &schema{fields: map[string][]int{}, kinds: map[string][]string{}}
	schemas[t] = s
	for _, field := range reflect.VisibleFields(t) {
		tag, ok := field.Tag.Lookup("hcl")
		if !ok {
			continue
		}
		name, isBlock := strings.CutSuffix(tag, ",block")
		s.fields[name] = field.Index
		if homes[name] == nil {
			homes[name] = map[bool][]string{}
		}
		homes[name][isBlock] = append(homes[name][isBlock], block)
		s.kinds[name] = strings.Fields(field.Tag.Get("kinds"))
		if !isBlock {
			s.attrs = append(s.attrs, name)
			s.body.Attributes = append(s.body.Attributes, hcl.AttributeSchema{Name: name})
			continue
		}
		header := hcl.BlockHeaderSchema{Type: name}
		if label, ok := field.Tag.Lookup("label"); ok {
			header.LabelNames = []string{label}
		}
		s.blocks = append(s.blocks, name)
		s.named = s.named || name == "stage" || name == "service"
		s.body.Blocks = append(s.body.Blocks, header)
		if inner := field.Type.Elem().Elem(); schemas[inner] == nil {
			schemaOf(inner, name)
		}
	}
}

// fill sets the fields of a raw struct from the body of a block, or of the
// file, for which block is nil.
func (d *decoder) fill(raw any, block *hcl.Block, body hcl.Body) {
	if locals, ok := raw.(*rawLocals); ok {
		attrs, diags := body.JustAttributes()
		locals.Attrs, d.diags = attrs, append(d.diags, diags...)
		return
	}
	v := reflect.ValueOf(raw).Elem()
	s := schemas[v.Type()]
	content, rest, diags := body.PartialContent(&s.body)
	// What is left over is asked for apart: hcl would look for a near name
	// for each, however many there are.
	_, unknown := rest.Content(&hcl.BodySchema{})
	d.diags = append(d.diags, diags...)
	d.unsupported(unknown, s)
	if len(diags)+len(unknown) > 0 {
		d.torn[block] = true
	}
	d.holes = d.holes || s.named && len(diags) > 0
	for name, attr := range content.Attributes {
		v.FieldByIndex(s.fields[name]).Set(reflect.ValueOf(attr))
	}
	for _, block := range content.Blocks {
		list := v.FieldByIndex(s.fields[block.Type])
		inner := reflect.New(list.Type().Elem().Elem())
		inner.Elem().Field(0).Set(reflect.ValueOf(block)) // Block is the first field of all
		d.fill(inner.Interface(), block, block.Body)
		list.Set(reflect.Append(list, inner))
	}
}

// unsupported says what could have been meant by names that are not part of
// the language.
func (d *decoder) unsupported(unknown hcl.Diagnostics, s *schema) {
	for _, diag := range unknown {
		d.diags = append(d.diags, diag)
		quoted := strings.SplitN(diag.Detail, `"`, 3) // hcl gives the name nowhere else
		if len(quoted) < 3 {
			continue
		}
		name, isAttr, isBlock := quoted[1], diag.Summary == "Unsupported argument", diag.Summary == "Unsupported block type"
		switch {
		case name == "dynamic" && isBlock:
			diag.Detail += " Where a service, job or component is there several times, it has for_each."
		case s.fields[name] != nil && isBlock:
			diag.Detail += " It is an attribute: write " + name + " = …."
		case s.fields[name] != nil:
			diag.Detail += " It is a block: write " + name + " { … } without the equals sign."
		default:
			hint := elsewhere[strings.ToLower(name)]
			if hint != "" {
				hint = " " + hint
			} else {
				hint = cmp.Or(d.didYouMean(name, slices.Concat(s.blocks, s.attrs)), home(name, !isAttr))
			}
			switch {
			case hint != "":
			case isBlock && len(s.blocks) > 0:
				hint = " Blocks that go here: " + strings.Join(s.blocks, ", ") + "."
			}
			diag.Detail += hint
		}
		d.holes = d.holes || s.named && !isAttr // it may be a misspelled service
	}
}

// home says where in the file something goes that is not where it stands.
func home(name string, isBlock bool) string {
	blocks := homes[name][isBlock]
	if len(blocks) == 0 {
		isBlock, blocks = !isBlock, homes[name][!isBlock]
	}
	if len(blocks) == 0 {
		return ""
	}
	if i := slices.Index(blocks, "service"); i >= 0 { // a job has the same
		blocks = slices.Insert(slices.Clone(blocks), i+1, "job")
	}
	last := len(blocks) - 1
	where := "a " + blocks[last] + " block"
	switch {
	case blocks[0] == theFile:
		where = "the file itself, outside of all blocks"
	case last > 0:
		where = "a " + strings.Join(blocks[:last], ", ") + " or " + blocks[last] + " block"
	}
	if isBlock {
		return fmt.Sprintf(" A %s goes into %s.", name, where)
	}
	return fmt.Sprintf(" The attribute %s goes into %s.", name, where)
}

// header is the range of a block's header. In JSON there is only the name.
func (d *decoder) header(block *hcl.Block) hcl.Range {
	switch {
	case !inJSON(block.TypeRange.Filename):
		return block.DefRange
	case len(block.LabelRanges) > 0:
		return block.LabelRanges[0]
	}
	return block.TypeRange
}
