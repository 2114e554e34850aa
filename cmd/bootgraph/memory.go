package main

import (
	"slices"

	"bootgraph/journal"
	"bootgraph/report"
)

// memory is where each service stood last, by who had to do with it.
type memory struct {
	*report.Fold
	goesOn bool // somebody goes on with it: a boot, or an agent
}

// remember asks the agent, if it is by one that this is asked, and else the
// journals.
func (s *session) remember() memory {
	if s.recall != nil {
		return memory{s.recall(), true}
	}
	fold := &report.Fold{}
	runs, err := s.dir.Runs()
	if err != nil {
		return memory{fold, false}
	}
	runs, goesOn := s.going(runs)
	for _, run := range runs {
		events, damage, _ := s.events(run)
		s.tellDamage(pastBoot{damage: damage})
		for _, e := range events {
			fold.Add(e)
		}
	}
	return memory{fold, goesOn}
}

// going are the journals that somebody goes on with: those of an agent, whose
// boots may have been of parts, and that of another's boot, which may be going
// on beside it. An apply by hand that is over tells nothing: the agent has seen
// what has become of it. Where nobody goes on, the last boot counts.
func (s *session) going(runs []string) (list []string, goesOn bool) {
	agent, _ := s.dir.Agent()
	worker, _ := s.dir.Working()
	for _, holder := range []journal.Holder{agent, worker} {
		for _, run := range runs {
			if holder.PID != 0 && holder.Began(run) && !slices.Contains(list, run) {
				list = append(list, run)
			}
		}
	}
	if list == nil {
		return runs[max(0, len(runs)-1):], false
	}
	return list, true
}

// remembered is the status of where Podman can't be asked.
func (s *session) remembered(before memory) *report.Status {
	_, booting := s.dir.Working()
	before.Expect(s.plan)
	return &report.Status{Name: s.file.Name, Booting: booting, Services: before.Services}
}

func (s *session) unreachable(err error) {
	s.app.say("warning", err.Error()+": this is what was last known", "podman_unreachable")
}
