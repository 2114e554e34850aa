// Package agent serves a configuration to gRPC clients after its boot: the
// standard health service, reflection, and bootgraph.v1.BootGraph. It fans
// out the events of its boots, and of what is done after them, to all of
// these.
//
// It knows nothing of how a boot works, of containers and of what output
// looks like: who wires it gives it the Work, and the events.
package agent
