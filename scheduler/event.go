package scheduler

import (
	"encoding/json"
	"math"
	"time"
)

// EventType is what happened.
type EventType string

const (
	RunStarted   EventType = "run_started"
	StageStarted EventType = "stage_started"
	ServiceMoved EventType = "service"    // a service went From one state To another
	ServiceNoted EventType = "note"       // a service that is being probed is not ready yet, because; some of many
	StillBlocked EventType = "blocked"    // a stage that blocks is still waiting; every timeout of the stage
	StageDone    EventType = "stage_done" // passed, or ended: see Outcome
	RunDone      EventType = "run_done"
)

// Ending is how a stage or a run came out.
type Ending string

const (
	EndReady       Ending = "ready"
	EndDegraded    Ending = "degraded"    // through, but something is not ready
	EndFailed      Ending = "failed"      // of a stage: it ended the boot, or the boot ended in it
	EndAborted     Ending = "aborted"     // of a run: a stage with on_failure = abort was not ready
	EndInterrupted Ending = "interrupted" // of a run: cancelled from outside
)

// FormatVersion of events and of every JSON document. It changes when a field
// changes its meaning or goes away; new fields don't change it.
const FormatVersion = 1

// Event is one thing that happened in a boot. Events of a run are numbered
// from 1 without gaps, in the order in which they happened.
type Event struct {
	Seq     int
	Time    time.Time
	Run     string // ID of the run
	Type    EventType
	Name    string        // run_started: of the configuration
	Stages  []StageNames  // run_started: who takes part
	Edges   []EdgeNames   // run_started: who waits for whom
	Usual   time.Duration // run_started: what earlier boots that started the same have taken; 0: not known
	Running []string      // run_started: who runs already as described, and is to be left alone
	Stage   string        // all but run_started and run_done
	Service string        // service, note
	From    State         // service
	To      State         // service
	Attempt int           // service, note: starts begun so far
	Cause   Cause         // service, note: why; zero on the way to ready. run_done: why it ended before its time
	Pulled  time.Duration // service, entering starting: what its image took
	Queued  time.Duration // service, entering starting: how long it had to wait for a slot
	Timeout time.Duration // service, entering starting: what it has until it has to be ready
	At      []Instance    // service, entering probing: what runs
	Kept    bool          // service, entering probing: it ran already, nothing was started
	Delay   time.Duration // service, entering backoff: until the next start
	Waiting []Waiting     // blocked: who is not ready yet
	Elapsed time.Duration // service: since its attempt began; else since the stage or the run began
	Outcome Ending        // stage_done, run_done
	Exit    int           // run_done: exit code
}

// StageNames are the services of a stage in plan order.
type StageNames struct {
	Name     string   `json:"name"`
	Services []string `json:"services"`
}

// EdgeNames is a service that waits for another, in the form of the plan.
type EdgeNames struct {
	From string `json:"from"` // who is waited for
	To   string `json:"to"`
	Kind string `json:"kind"` // depends_on, wants, after
}

// Waiting is a service that holds up its stage.
type Waiting struct {
	Service string
	State   State
	Attempt int
	Cause   Cause
}

// wire is the form of an Event in JSON; CLI.md has the contract.
type wire struct {
	FormatVersion int             `json:"format_version"`
	Seq           int             `json:"seq"`
	Time          string          `json:"time"`
	Run           string          `json:"run"`
	Type          EventType       `json:"type"`
	Name          string          `json:"name,omitempty"`
	Stages        []StageNames    `json:"stages,omitempty"`
	Edges         []EdgeNames     `json:"edges,omitempty"`
	Stage         string          `json:"stage,omitempty"`
	Service       string          `json:"service,omitempty"`
	From          State           `json:"from,omitempty"`
	To            State           `json:"to,omitempty"`
	Attempt       *int            `json:"attempt,omitempty"`
	Cause         *string         `json:"cause,omitempty"`
	Code          string          `json:"code,omitempty"`
	Root          string          `json:"root,omitempty"`
	Containers    []wireContainer `json:"containers,omitempty"`
	Kept          bool            `json:"kept,omitempty"`
	Delay         float64         `json:"delay_s,omitempty"`
	Pulled        float64         `json:"pulled_s,omitempty"`
	Queued        float64         `json:"queued_s,omitempty"`
	Timeout       float64         `json:"timeout_s,omitempty"`
	Usual         float64         `json:"usual_s,omitempty"`
	Running       []string        `json:"running,omitempty"`
	Waiting       []wireWaiting   `json:"waiting,omitempty"`
	Elapsed       float64         `json:"elapsed_s"`
	Outcome       Ending          `json:"outcome,omitempty"`
	Exit          *int            `json:"exit_code,omitempty"`
}

type wireContainer struct {
	Name      string `json:"name"`
	ID        string `json:"id"`
	StartedAt string `json:"started_at"`
}

type wireWaiting struct {
	Service string `json:"service"`
	State   State  `json:"state"`
	Attempt int    `json:"attempt"`
	Cause   string `json:"cause"`
	Code    string `json:"code,omitempty"`
	Root    string `json:"root,omitempty"`
}

// wireTime has a fixed width, so that lines of a log align.
const wireTime = "2006-01-02T15:04:05.000000Z"

// MarshalJSON writes the event as one line of the event stream.
func (e Event) MarshalJSON() ([]byte, error) {
	w := wire{FormatVersion: FormatVersion, Seq: e.Seq, Time: e.Time.UTC().Format(wireTime), Run: e.Run, Type: e.Type,
		Name: e.Name, Stages: e.Stages, Edges: e.Edges, Stage: e.Stage, Service: e.Service, From: e.From, To: e.To,
		Code: e.Cause.Code, Root: e.Cause.Root, Kept: e.Kept, Delay: seconds(e.Delay), Pulled: seconds(e.Pulled), Queued: seconds(e.Queued),
		Timeout: seconds(e.Timeout), Usual: seconds(e.Usual), Running: e.Running, Elapsed: seconds(e.Elapsed), Outcome: e.Outcome}
	if e.Type == ServiceMoved || e.Type == ServiceNoted {
		w.Attempt, w.Cause = &e.Attempt, &e.Cause.Text
	}
	if e.Type == RunDone {
		w.Exit = &e.Exit
		if !e.Cause.IsZero() {
			w.Cause = &e.Cause.Text
		}
	}
	for _, at := range e.At {
		w.Containers = append(w.Containers, wireContainer{at.Container, at.ID, at.StartedAt.UTC().Format(time.RFC3339Nano)})
	}
	for _, v := range e.Waiting {
		w.Waiting = append(w.Waiting, wireWaiting{v.Service, v.State, v.Attempt, v.Cause.Text, v.Cause.Code, v.Cause.Root})
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. Fields it doesn't know are
// passed over: they are a newer version's.
func (e *Event) UnmarshalJSON(data []byte) error {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	at, err := time.Parse(wireTime, w.Time)
	if err != nil {
		return err
	}
	*e = Event{Seq: w.Seq, Time: at, Run: w.Run, Type: w.Type, Name: w.Name, Stages: w.Stages, Edges: w.Edges, Stage: w.Stage,
		Service: w.Service, From: w.From, To: w.To, Cause: Cause{Code: w.Code, Root: w.Root}, Kept: w.Kept,
		Delay: duration(w.Delay), Pulled: duration(w.Pulled), Queued: duration(w.Queued), Timeout: duration(w.Timeout), Usual: duration(w.Usual), Running: w.Running, Elapsed: duration(w.Elapsed), Outcome: w.Outcome}
	if w.Attempt != nil {
		e.Attempt = *w.Attempt
	}
	if w.Cause != nil {
		e.Cause.Text = *w.Cause
	}
	if w.Exit != nil {
		e.Exit = *w.Exit
	}
	for _, c := range w.Containers {
		started, err := time.Parse(time.RFC3339Nano, c.StartedAt)
		if err != nil {
			return err
		}
		e.At = append(e.At, Instance{Container: c.Name, ID: c.ID, StartedAt: started})
	}
	for _, v := range w.Waiting {
		e.Waiting = append(e.Waiting, Waiting{v.Service, v.State, v.Attempt, Cause{v.Code, v.Cause, v.Root}})
	}
	return nil
}

// seconds rounds to the microsecond, which is what Time has too.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Second)
}

func duration(s float64) time.Duration {
	return time.Duration(math.Round(s*1e6)) * time.Microsecond
}
