// Package config turns the text of a boot file into values with real types:
// durations, ports, references with their place in the source. Every mistake
// in a file becomes an HCL diagnostic, and all of them are found in one go.
//
// It knows nothing of graphs (a cycle is the scheduler's to find), of
// containers that exist, or of time passing. It contacts nothing, runs nothing,
// and reads only the boot file, the files that it names, and the environment.
package config

import (
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Defaults of the language.
const (
	DefaultTimeout   = 60 * time.Second // of a stage, so of each of its services
	DefaultAttempts  = 1
	DefaultProbe     = 2 * time.Second // timeout of one probe
	DefaultProbeGRPC = 3 * time.Second // a grpc probe dials, may do TLS, and asks
	// DefaultSettle is how long a container has to have run for "it runs" to
	// mean something: most of what can't work ends within a second.
	DefaultSettle      = time.Second
	DefaultStopTimeout = 10 * time.Second
)

// Limits of the language, checked before anything is started.
const (
	MaxSource      = 4 << 20 // bytes of source in all
	MaxNesting     = 100     // brackets, blocks and templates inside each other
	MaxServices    = 10_000
	MaxReferences  = 500_000               // of services to others, for_each written out
	MaxFiles       = 1_000                 // of one directory
	MaxList        = 1_000                 // elements of one list, map or for_each
	MaxValue       = 1 << 20               // bytes, about, of what a variable, a local or a function gives
	MaxWhole       = 512 << 20             // bytes, about, of the whole: each instance, and all that functions were given and gave
	MaxSecret      = 512_000               // bytes of a secret's value; Podman's bound
	MinDuration    = 10 * time.Millisecond // less is a slip of the unit, or an interval that is a flood
	MaxDuration    = 24 * time.Hour
	MaxDiagnostics = 20 // printed; the rest is counted
)

// File is one configuration: what a boot file, or a directory of them, says.
type File struct {
	Name       string // of the configuration; owns containers by the label bootgraph.name
	Dir        string // absolute directory of the file; relative host paths start here
	Connection string // podman { connection }; "" where the file names none
	Variables  []Variable
	Secrets    []*Secret
	Networks   []Network
	Volumes    []Volume
	Stages     []*Stage // in boot order; the first is the foundation
	Sources    Sources  `json:"-"` // what it was read from; all ranges point into them
}

// Variable is a variable that the configuration declares. Its value has gone
// into what was made of it.
type Variable struct {
	Name      string
	Sensitive bool
	Range     hcl.Range // the header: variable "name"
}

// Secret is a Podman secret that is made from a value of the host.
type Secret struct {
	Name  string
	File  string    // absolute path of the file that has the value; "" if none has
	Env   string    // name of the variable of the environment that has it; "" if none has
	Value Sensitive `json:",omitzero"` // empty unless Inputs.Secrets asked for it
	// Withheld is the fingerprint of the value where the configuration is one
	// that was kept without it: see File.Recall.
	Withheld string
	Range    hcl.Range // the header: secret "name"
}

// Network is a network that is created before the first stage if it does not
// exist, and never altered.
type Network struct {
	Name  string
	Range hcl.Range
}

// Volume is a named volume, created like a Network.
type Volume struct {
	Name  string
	Range hcl.Range
}

// OnFailure says what a stage does about a service that is not ready in time.
type OnFailure string

const (
	Block    OnFailure = "block"    // retry for ever; nothing later starts
	Continue OnFailure = "continue" // warn, and go on to the next stage
	Abort    OnFailure = "abort"    // the boot ends; later stages never start
)

// OnDependencyRestart says what becomes of a service, after the boot, when
// something that it depends on was started again.
type OnDependencyRestart string

const (
	Ignore OnDependencyRestart = "ignore"  // it runs on
	Follow OnDependencyRestart = "restart" // it is started again, once what it depends on is ready
)

// Stage is a barrier's worth of services.
type Stage struct {
	Name      string
	OnFailure OnFailure
	Timeout   time.Duration
	Attempts  int // starts before a service counts as failed; 1 or more; no meaning under Block
	Services  []*Service
	Range     hcl.Range // the header: stage "name"
}

// Kind tells a service, which is ready when its health checks pass, from a
// job, which is ready when it has exited with 0.
type Kind string

const (
	KindService Kind = "service"
	KindJob     Kind = "job"
)

// Service is a service or a job. Names are unique over the whole
// configuration, services and jobs together.
type Service struct {
	Name       string
	Label      string `json:"-"` // of the block with for_each that it is an instance of; "" if it is none
	Kind       Kind
	Containers []*Container // one without components, one a component with; none if Existing is set
	Existing   []string     // names of containers that exist already: started, never created, changed or removed
	DependsOn  []Reference  // start only when they are ready
	Wants      []Reference  // start when they are settled, ready or not
	After      []Reference  // start when they have been started
	Timeout    time.Duration
	Attempts   int
	// OnDependencyRestart goes by DependsOn, and has no meaning for a job.
	OnDependencyRestart OnDependencyRestart
	// Health has what the file says, else the stage's, else the default of
	// the language, already worked out: never empty for a service, always
	// empty for a job.
	Health []*Health
	Range  hcl.Range // the header: service "name"
}

// Reference points to a service or job by name.
type Reference struct {
	Target string
	Range  hcl.Range // the reference itself, service.x
}

// Container describes one container in the terms of podman-run(1). A zero
// field means that the file doesn't say, and Podman's default holds.
type Container struct {
	Name       string // as Podman knows it: SERVICE or SERVICE-COMPONENT
	Component  string // "" where the service has no components
	Image      string
	Command    []string
	Entrypoint []string
	Env        map[string]string // env_file merged below env
	Sensitive  map[string]bool   // keys of Env whose values are shown nowhere
	EnvFrom    map[string]string // keys of Env whose values are from an env file: its absolute path
	// Withheld has the fingerprints of values that a configuration was kept
	// without (see File.Recall), by their fields: env.PASSWORD, secrets.token.
	Withheld    map[string]string
	Ports       []Port
	Volumes     []Mount
	Networks    []string // names; NetworkMode is bridge then
	NetworkMode string   // "", bridge, host, none or container:NAME
	Secrets     []SecretMount
	User        string
	Workdir     string
	Hostname    string
	Labels      map[string]string
	Restart     Restart
	StopTimeout time.Duration // whole seconds; DefaultStopTimeout where the file says nothing
	StopSignal  string        // "", or a name like SIGTERM
	Memory      int64         // bytes
	CPUs        float64
	PidsLimit   int64 // -1: no limit; 0: not said
	Ulimits     []Ulimit
	CapAdd      []string
	CapDrop     []string
	Privileged  bool
	ReadOnly    bool
	Tmpfs       []Tmpfs
	Devices     []Device
	SecurityOpt []string
	DNS         []netip.Addr
	ExtraHosts  []ExtraHost
	Init        bool
	Pull        Pull
	Range       hcl.Range // the header of the block it comes from
	Ranges      Ranges    `json:"-"`
}

// Ranges are the places of values of a Container that can be right by
// themselves and still be a bad idea; zero where the file doesn't say.
type Ranges struct {
	Image   hcl.Range
	Restart hcl.Range
	Ports   []hcl.Range // of each element of Ports
}

// Port is one published port or range of ports.
type Port struct {
	HostIP        netip.Addr // the zero Addr: all addresses
	HostPort      uint16     // 0: Podman chooses one
	ContainerPort uint16     // 1 to 65535
	Range         uint16     // how many ports in a row; 1 or more
	Protocol      string     // tcp, udp or sctp
}

// Mount is an element of volumes: [SOURCE:]DESTINATION[:OPTIONS].
type Mount struct {
	Source      string // absolute host path, or name of a volume, or "" for an anonymous volume
	Destination string // absolute
	Options     []string
}

// Bind says whether the source is a path of the host.
func (m Mount) Bind() bool { return len(m.Source) > 0 && m.Source[0] == '/' }

// SecretMount is a Podman secret given to a container, as in podman-run(1)
// --secret NAME[,type=mount|env][,target=][,uid=][,gid=][,mode=].
type SecretMount struct {
	Name   string
	Value  Sensitive `json:",omitzero"` // where the configuration has a secret block of that name
	Type   string    // mount or env
	Target string
	UID    uint32
	GID    uint32
	Mode   uint32 // 0: Podman's default, 0444
}

// Restart is Podman's own restart policy.
type Restart struct {
	Policy  string // "" or no, on-failure, always, unless-stopped
	Retries uint   // of on-failure; 0: no limit
}

// Ulimit is an element of ulimits: TYPE=SOFT[:HARD].
type Ulimit struct {
	Type string // nofile, nproc, …
	Soft int64  // -1: unlimited
	Hard int64
}

// Tmpfs is an element of tmpfs: DESTINATION[:OPTIONS].
type Tmpfs struct {
	Destination string
	Options     []string
}

// Device is an element of devices: HOST[:CONTAINER][:PERMISSIONS].
type Device struct {
	Host        string
	Container   string
	Permissions string // of r, w, m; "" for Podman's default
}

// ExtraHost is an element of extra_hosts: HOST:IP; IP may be host-gateway,
// which Podman 4.3.1 refuses and 4.7 knows.
type ExtraHost struct {
	Host string
	IP   string
}

// Pull says when an image is fetched from its registry.
type Pull string

const (
	PullMissing Pull = "missing" // the default
	PullAlways  Pull = "always"
	PullNever   Pull = "never"
)

// Kinds of health check.
const (
	HealthTCP    = "tcp"    // the container itself listens on the port
	HealthGRPC   = "grpc"   // grpc.health.v1 Check answers SERVING
	HealthHTTP   = "http"   // the status is one of Status
	HealthExec   = "exec"   // the command exits 0 inside the container
	HealthPodman = "podman" // the image's or container's own HEALTHCHECK passes
	HealthLog    = "log"    // a line of the log since this start matches
	HealthNone   = "none"   // the container runs, since DefaultSettle at least
)

// Health is one health check of a service.
type Health struct {
	Kind       string
	Interval   time.Duration // between probes; 0: adaptive, from 20 ms growing to 1 s
	Timeout    time.Duration // of one probe
	Successes  int           // in a row; 1 or more
	StartDelay time.Duration // before the first probe
	Component  string        // "" where the service has no components

	Port    uint16            // tcp, grpc, http: the container's port
	Service string            // grpc: the name asked for; "" is the server as a whole
	TLS     *TLS              // grpc, http; nil: plain text
	Path    string            // http; begins with /
	Method  string            // http
	Headers map[string]string // http
	// Sensitive are the headers whose values are shown nowhere. One that is
	// not among Headers has been withheld: see File.Recall.
	Sensitive map[string]bool
	Status    []StatusRange // http
	Body      string        // http: a regular expression (RE2) the body must match; "": any
	Command   []string      // exec
	Pattern   string        // log: a regular expression (RE2)

	Range     hcl.Range // the header: health "kind"; of the default, that of what it is the health of
	Inherited bool      `json:"-"` // it is the stage's
}

// TLS says how a check speaks TLS. Files are paths on this host, absolute.
type TLS struct {
	CA                 string // PEM file; "": the system's roots
	Cert               string // PEM file of a client certificate; with Key
	Key                string
	ServerName         string // "": the address that is dialled
	InsecureSkipVerify bool
}

// StatusRange is a range of HTTP statuses, both ends included.
type StatusRange struct{ From, To int }
