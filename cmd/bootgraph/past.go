package main

import (
	"errors"
	"slices"
	"time"

	"bootgraph/analysis"
	"bootgraph/journal"
	"bootgraph/podman"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// runsKept is how many journals are kept: those that a baseline is made of,
// and some weeks of boots to look back at.
const runsKept = 50

// pastBoot is a boot of which there is a journal.
type pastBoot struct {
	run    string
	events []scheduler.Event // up to the damage
	damage *journal.Damage   // nil: it is whole
	boot   *analysis.Boot    // nil: it has no beginning
}

// past reads the journals, oldest first.
func (s *session) past() ([]pastBoot, error) {
	runs, err := s.dir.Runs()
	if err != nil {
		return nil, err
	}
	list := make([]pastBoot, 0, len(runs))
	for _, run := range runs {
		p, err := s.pastBoot(run)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func (s *session) pastBoot(run string) (pastBoot, error) {
	events, damage, err := s.events(run)
	if err != nil {
		return pastBoot{}, err
	}
	p := pastBoot{run: run, events: events, damage: damage}
	p.boot, _ = analysis.Of(events) // who has to have it says that there is none
	return p, nil
}

// events reads a journal, up to the damage.
func (s *session) events(run string) (events []scheduler.Event, damage *journal.Damage, err error) {
	events, err = s.dir.Read(run)
	if errors.As(err, &damage) {
		err = nil
	}
	return events, damage, err
}

// tellDamage is for commands that are about the journals.
func (s *session) tellDamage(list ...pastBoot) {
	for _, p := range list {
		if p.damage != nil {
			s.app.say("warning", p.damage.Error(), "journal")
		}
	}
}

// analysed are those of which it is known where their time went.
func analysed(list []pastBoot) (boots []*analysis.Boot) {
	for _, p := range list {
		if p.boot != nil {
			boots = append(boots, p.boot)
		}
	}
	return boots
}

func (s *session) history(format string) error {
	past, err := s.past()
	if err != nil {
		return err
	}
	s.tellDamage(past...)
	_, working := s.dir.Working()
	var boots []report.Boot
	for i, p := range past {
		b := report.NewBoot(p.run, p.events)
		b.Running, b.Damaged = working && i == len(past)-1, p.damage != nil
		if p.boot != nil {
			b.Baseline = p.boot.Against(analysed(past[:i]))
		}
		boots = append(boots, b)
	}
	if format == "json" {
		return report.WriteHistoryJSON(s.app.stdout, s.file.Name, boots)
	}
	return report.WriteHistory(s.app.stdout, boots, time.Now())
}

// toStart are the services that a boot would have to start, sorted.
func (s *session) toStart(found podman.Snapshot) (names []string) {
	kept := func(d podman.Decision) bool { return d.Action == podman.Keep }
	for _, t := range s.plan.Tasks {
		if slices.ContainsFunc(s.host.Decide(t.Service, found), func(d podman.Decision) bool { return !kept(d) }) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names
}

// running are the other services.
func (s *session) running() (names []string) {
	for _, t := range s.plan.Tasks {
		if _, found := slices.BinarySearch(s.starts, t.Name); !found {
			names = append(names, t.Name)
		}
	}
	return names
}

// usual is how long it has taken to start what is to be started now, and, by
// task ID, how long each service; 0 if that is not known, or it is nothing. A boot
// waits for it, and a journal of two dozen services takes 2 ms to read: three
// alike are enough.
func (s *session) usual() (whole time.Duration, each []time.Duration) {
	runs, err := s.dir.Runs()
	if err != nil || len(s.starts) == 0 {
		return 0, nil // it is an addition
	}
	var boots []*analysis.Boot
	for _, run := range slices.Backward(runs) {
		p, err := s.pastBoot(run)
		if err == nil && p.boot != nil {
			boots = append([]*analysis.Boot{p.boot}, boots...)
		}
		if len(analysis.Alike(boots, s.starts)) == 3 {
			break
		}
	}
	usual := analysis.Usual(boots)
	for _, t := range s.plan.Tasks {
		each = append(each, usual[t.Name].UntilReady())
	}
	return analysis.Expected(boots, s.starts), each
}

// expect makes the longest chain of a plan that by time, if earlier boots have
// started all that is to be started. What is kept takes none.
func (s *session) expect(p *report.Preview) {
	past, err := s.past()
	if err != nil {
		return
	}
	usual := analysis.Usual(analysed(past))
	all := true
	own := func(t *scheduler.Task) time.Duration {
		if p.Kept(t.ID) {
			return 0
		}
		times, known := usual[t.Name]
		all = all && known
		return times.Own()
	}
	chain := p.Plan.LongestChain(func(t *scheduler.Task) float64 { return own(t).Seconds() })
	if !all {
		return
	}
	for _, id := range chain {
		p.Expected += own(p.Plan.Tasks[id])
	}
	if p.Expected > 0 {
		plan := *p.Plan
		plan.CriticalPath = chain
		p.Plan = &plan
	}
}
