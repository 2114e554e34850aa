package analysis

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"bootgraph/scheduler"
)

// TestAnyBootAddsUp holds the analysis of random boots against what it
// promises of each.
func TestAnyBootAddsUp(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		events := anyBoot(t, r)
		b, err := Of(events)
		if err != nil {
			r.Fatal(err)
		}
		for i := range b.Services {
			phasesAddUp(r, b, &b.Services[i])
		}
		chainIsTheBoot(r, b)
		m := b.model()
		if whole := m.without(-1); whole != latest(b.Stages, m.settled) {
			r.Fatalf("the model takes %s, the boot settled at %s", whole, latest(b.Stages, m.settled))
		}
		for _, barrier := range b.Barriers() {
			if barrier.Cost < 0 || barrier.Cost > b.Took {
				r.Fatalf("the barrier before stage %d costs %s of %s", barrier.Before, barrier.Cost, b.Took)
			}
		}
		slackIsRoom(r, b)
	})
}

// phasesAddUp: phases follow each other from the beginning of the boot to its
// end, and what the events say of attempts is in them.
func phasesAddUp(r *rapid.T, b *Boot, s *Service) {
	var at, sum time.Duration
	for _, p := range s.Phases {
		if p.From != at || p.To < p.From {
			r.Fatalf("%s: phase %s is from %s to %s, the one before ends at %s", s.Name, p.Kind, p.From, p.To, at)
		}
		if p.For >= 0 && (p.Let > p.To || b.Services[p.For].Stage > s.Stage) {
			r.Fatalf("%s waits until %s for %s, which let it go at %s", s.Name, p.To, b.Services[p.For].Name, p.Let)
		}
		at, sum = p.To, sum+p.Length()
	}
	if at != b.Took || sum != b.Took || s.Of(Kinds...) != b.Took {
		r.Fatalf("the phases of %s end at %s and add up to %s, the boot took %s", s.Name, at, sum, b.Took)
	}
	if s.State.Settled() && (s.Phases[len(s.Phases)-1].Kind == Ready) != s.State.Ready() {
		r.Fatalf("%s is %s, its last phase is %s", s.Name, s.State, s.Phases[len(s.Phases)-1].Kind)
	}
}

// chainIsTheBoot: the links of the critical chain follow each other from the
// beginning of the boot to where its last service settled.
func chainIsTheBoot(r *rapid.T, b *Boot) {
	chain := b.CriticalChain()
	var sum time.Duration
	for i, l := range chain {
		sum += l.Took()
		if l.Took() < 0 {
			r.Fatalf("%s takes %s", b.Services[l.Service].Name, l.Took())
		}
		if i > 0 && l.At != chain[i-1].From {
			r.Fatalf("%s lets go at %s, the next in the chain goes at %s", b.Services[l.Service].Name, l.At, chain[i-1].From)
		}
	}
	var last time.Duration
	for i := range b.Services {
		if s := &b.Services[i]; b.Stages[s.Stage].Reached {
			last = max(last, s.Settled())
		}
	}
	if sum != last {
		r.Fatalf("the critical chain is %s long, the last service settled at %s", sum, last)
	}
	if b.Ended() && last != b.Took {
		r.Fatalf("in virtual time the last service settled at %s, the boot ended at %s", last, b.Took)
	}
}

// slackIsRoom: who takes longer by its slack makes the boot no longer, and by
// more than that, longer.
func slackIsRoom(r *rapid.T, b *Boot) {
	if !b.Ended() {
		return // those that were cut off are in no one's way
	}
	const more = time.Millisecond
	for i, slack := range b.Slack() {
		m := b.model()
		whole := m.without(-1)
		if s := &b.Services[i]; s.State == scheduler.Skipped || s.Attempts == 0 {
			continue
		}
		m.own[i] += slack
		if got := m.without(-1); got != whole {
			r.Fatalf("%s has slack %s, and with it the boot takes %s, not %s", b.Services[i].Name, slack, got, whole)
		}
		m.own[i] += more
		if got := m.without(-1); got != whole+more {
			r.Fatalf("%s has slack %s, and with a millisecond more the boot takes %s, not %s", b.Services[i].Name, slack, got, whole+more)
		}
	}
}
