package main

import (
	"context"

	"bootgraph/testdata/host"
)

const image = host.Image

// A tool boots workloads. Each has a file of its own here, and is all that
// there is to know of it.
type tool struct {
	name string
	note string // what a reader of its figures has to know

	// get makes sure that it is there, or says why it can't be had.
	get func(l *lab) error
	// write makes the files that describe a workload, in a directory of its own.
	write func(l *lab, w workload, dir string) error
	// up is the command that boots; it is run in dir. So are the others.
	up []string
	// again is the command that boots what was stopped, where that is another
	// one; down stops and removes.
	again, down []string
	// knows is whether it has the memory of the tool before it in the order.
	knows bool
	// noop is whether up may be run when everything is up.
	noop bool
	// stays is whether up goes on until it is interrupted, which is its down.
	stays bool
	// container is the name of a service's container; nil: the service's.
	container func(service) string
	// beside runs while up does, until ctx ends.
	beside func(ctx context.Context, l *lab)
}

// tools in the order of the table. The first is what the others are held
// against, and the first two are ours.
func tools() []*tool {
	return []*tool{bootgraph(), bootgraphAgain(), composeHealthy(), composeStarted(), podmanCompose(), kubePlay(), processCompose(), original()}
}

func (t *tool) containerOf(s service) string {
	if t.container == nil {
		return s.name
	}
	return t.container(s)
}
