package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A workload is a boot that every tool is given: who there is, how long each
// takes from its first instruction until it listens, and who needs whom.
type workload struct {
	name     string
	stages   int
	services []service // by stage; a dependency comes before what needs it
}

type service struct {
	name      string
	stage     int
	kind      string        // of its server and its check: tcp, http, grpc
	delay     time.Duration // until it listens
	port      int           // of the host
	dependsOn []int
}

// seed makes the workloads the same everywhere and for ever.
const seed = 7

// workloads are those that the targets are for, and three chains for the
// latency of a probe of each kind.
func workloads() []workload {
	list := []workload{
		chain("chain", "tcp", 10),
		wide("wide", 30),
		random("realistic", 40, 3, 6, 9, 6),
		random("hundred", 170, 10, 18, 18, 18, 18, 18),
	}
	for _, kind := range []string{"tcp", "http", "grpc"} {
		list = append(list, chain("chain-"+kind, kind, 10))
	}
	return list
}

func numbered(n int, kind string, r *rand.Rand) (list []service) {
	for i := range n {
		list = append(list, service{name: fmt.Sprintf("s%03d", i), kind: kind, delay: 100*time.Millisecond + time.Duration(r.IntN(500))*time.Millisecond})
	}
	return list
}

func chain(name, kind string, n int) workload {
	w := workload{name: name, stages: 1, services: numbered(n, kind, rand.New(rand.NewPCG(seed, 1)))}
	for i := 1; i < n; i++ {
		w.services[i].dependsOn = []int{i - 1}
	}
	return w
}

// wide is one service that n others need.
func wide(name string, n int) workload {
	w := workload{name: name, stages: 1, services: numbered(1+n, "tcp", rand.New(rand.NewPCG(seed, 2)))}
	for i := range n {
		w.services[1+i].dependsOn = []int{0}
	}
	return w
}

// random has stages of these sizes. Behind the first, everybody needs somebody.
func random(name string, edges int, sizes ...int) workload {
	r := rand.New(rand.NewPCG(seed, uint64(edges)))
	w := workload{name: name, stages: len(sizes)}
	for stage, n := range sizes {
		for range n {
			w.services = append(w.services, service{stage: stage})
		}
	}
	for i, s := range numbered(len(w.services), "tcp", r) {
		s.stage = w.services[i].stage
		w.services[i] = s
		if s.stage > 0 {
			w.services[i].dependsOn = []int{r.IntN(i)}
			edges--
		}
	}
	for edges > 0 {
		i := sizes[0] + r.IntN(len(w.services)-sizes[0])
		if d := r.IntN(i); !slices.Contains(w.services[i].dependsOn, d) {
			w.services[i].dependsOn = append(w.services[i].dependsOn, d)
			edges--
		}
	}
	return w
}

// env is what tells the server what to do.
func (s service) env() map[string]string {
	kind := map[string]string{"tcp": "TCP", "http": "HTTP", "grpc": "GRPC"}[s.kind]
	return map[string]string{kind: fmt.Sprintf("%s %s", containerPort, s.delay)}
}

// containerPort is where all servers listen.
const containerPort = ":8080"

// levels are the services by how many others have to be up before them: a
// tool that knows only stages keeps the order by these.
func (w workload) levels() [][]int {
	var levels [][]int
	of := make([]int, len(w.services))
	for i, s := range w.services {
		for _, d := range s.dependsOn {
			of[i] = max(of[i], of[d]+1)
		}
		for len(levels) <= of[i] {
			levels = append(levels, nil)
		}
		levels[of[i]] = append(levels[of[i]], i)
	}
	return levels
}

// inStages are the services by stage.
func (w workload) inStages() [][]int {
	stages := make([][]int, w.stages)
	for i, s := range w.services {
		stages[s.stage] = append(stages[s.stage], i)
	}
	return stages
}
