package agent

import (
	"sync"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"bootgraph/scheduler"
)

// StageName is what a stage is called in the health service. A name of the
// boot file has no slash in it, so no service is ever called so.
func StageName(stage string) string { return "stage/" + stage }

// readiness tells the health service who is ready: "" the agent itself, a
// service by its name, a stage by StageName when all of it is.
type readiness struct {
	server *health.Server

	mu      sync.Mutex
	stageOf map[string]string   // of a service
	members map[string][]string // of a stage
	ready   map[string]bool     // by service
}

func newReadiness() *readiness {
	r := &readiness{server: health.NewServer(), ready: map[string]bool{}}
	r.server.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING) // until it accepts connections
	return r
}

// expect makes the services of a plan those that there are. What is known of
// them stays; the others are unknown from now on.
func (r *readiness) expect(p *scheduler.Plan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, stages := r.stageOf, r.members
	r.stageOf, r.members = map[string]string{}, map[string][]string{}
	for _, st := range p.Stages {
		r.members[st.Name] = nil
	}
	for _, t := range p.Tasks {
		stage := p.Stages[t.Stage].Name
		r.stageOf[t.Name] = stage
		r.members[stage] = append(r.members[stage], t.Name)
	}
	for service := range was {
		if _, stays := r.stageOf[service]; !stays {
			delete(r.ready, service)
			r.server.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN)
		}
	}
	for stage := range stages {
		if _, stays := r.members[stage]; !stays {
			r.server.SetServingStatus(StageName(stage), grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN)
		}
	}
	for service := range r.stageOf {
		r.server.SetServingStatus(service, serving(r.ready[service]))
	}
	for stage := range r.members {
		r.server.SetServingStatus(StageName(stage), serving(r.all(stage)))
	}
}

// has reports whether there is a service of that name.
func (r *readiness) has(service string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.stageOf[service]
	return ok
}

// add takes the next event. A service that was ready and is only looked at
// again, by another apply, does not fall for it.
func (r *readiness) add(e scheduler.Event) {
	if e.Type != scheduler.ServiceMoved {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stage, known := r.stageOf[e.Service]
	ready := e.To.Ready()
	if !e.From.Ready() { // else it has fallen
		switch e.To {
		case scheduler.Blocked, scheduler.Starting, scheduler.Canceled:
			ready = r.ready[e.Service]
		case scheduler.Probing:
			ready = r.ready[e.Service] && e.Kept
		}
	}
	if !known || ready == r.ready[e.Service] {
		return
	}
	r.ready[e.Service] = ready
	r.server.SetServingStatus(e.Service, serving(ready))
	r.server.SetServingStatus(StageName(stage), serving(r.all(stage)))
}

// all reports whether all of a stage is ready. The caller holds mu.
func (r *readiness) all(stage string) bool {
	for _, service := range r.members[stage] {
		if !r.ready[service] {
			return false
		}
	}
	return true
}

func serving(ready bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if ready {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}
