package agent

import (
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "bootgraph/agent/bootgraph/v1"
	"bootgraph/scheduler"
)

// encode gives an event the form that it has in the API. It has just what its
// form in JSON has; a test holds the two against each other.
func encode(e scheduler.Event) *pb.Event {
	m := &pb.Event{Seq: int64(e.Seq), Time: timestamppb.New(e.Time), Run: e.Run, Type: string(e.Type), Name: e.Name,
		Stage: e.Stage, Service: e.Service, From: string(e.From), To: string(e.To), Attempt: int32(e.Attempt), Cause: encodeCause(e.Cause),
		Kept: e.Kept, Delay: durationpb.New(e.Delay), Elapsed: durationpb.New(e.Elapsed), Outcome: string(e.Outcome), ExitCode: int32(e.Exit),
		Pulled: durationpb.New(e.Pulled), Queued: durationpb.New(e.Queued), Timeout: durationpb.New(e.Timeout), Usual: durationpb.New(e.Usual), Running: e.Running}
	for _, st := range e.Stages {
		m.Stages = append(m.Stages, &pb.StageNames{Name: st.Name, Services: st.Services})
	}
	for _, edge := range e.Edges {
		m.Edges = append(m.Edges, &pb.Edge{From: edge.From, To: edge.To, Kind: edge.Kind})
	}
	for _, at := range e.At {
		m.Containers = append(m.Containers, &pb.Container{Name: at.Container, Id: at.ID, StartedAt: timestamppb.New(at.StartedAt)})
	}
	for _, v := range e.Waiting {
		m.Waiting = append(m.Waiting, &pb.Waiting{Service: v.Service, State: string(v.State), Attempt: int32(v.Attempt), Cause: encodeCause(v.Cause)})
	}
	return m
}

// decode is the reverse of encode.
func decode(m *pb.Event) scheduler.Event {
	e := scheduler.Event{Seq: int(m.Seq), Time: m.Time.AsTime(), Run: m.Run, Type: scheduler.EventType(m.Type), Name: m.Name,
		Stage: m.Stage, Service: m.Service, From: scheduler.State(m.From), To: scheduler.State(m.To), Attempt: int(m.Attempt), Cause: decodeCause(m.Cause),
		Kept: m.Kept, Delay: m.Delay.AsDuration(), Elapsed: m.Elapsed.AsDuration(), Outcome: scheduler.Ending(m.Outcome), Exit: int(m.ExitCode),
		Pulled: m.Pulled.AsDuration(), Queued: m.Queued.AsDuration(), Timeout: m.Timeout.AsDuration(), Usual: m.Usual.AsDuration(), Running: m.Running}
	for _, st := range m.Stages {
		e.Stages = append(e.Stages, scheduler.StageNames{Name: st.Name, Services: append([]string{}, st.Services...)})
	}
	for _, edge := range m.Edges {
		e.Edges = append(e.Edges, scheduler.EdgeNames{From: edge.From, To: edge.To, Kind: edge.Kind})
	}
	for _, at := range m.Containers {
		e.At = append(e.At, scheduler.Instance{Container: at.Name, ID: at.Id, StartedAt: at.StartedAt.AsTime()})
	}
	for _, v := range m.Waiting {
		e.Waiting = append(e.Waiting, scheduler.Waiting{Service: v.Service, State: scheduler.State(v.State), Attempt: int(v.Attempt), Cause: decodeCause(v.Cause)})
	}
	return e
}

func encodeCause(c scheduler.Cause) *pb.Cause {
	if c.IsZero() {
		return nil
	}
	return &pb.Cause{Code: c.Code, Text: c.Text, Root: c.Root}
}

func decodeCause(c *pb.Cause) scheduler.Cause {
	return scheduler.Cause{Code: c.GetCode(), Text: c.GetText(), Root: c.GetRoot()}
}
