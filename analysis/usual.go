package analysis

import (
	"cmp"
	"slices"
	"time"

	"bootgraph/scheduler"
)

// Recent is how many earlier boots say what is usual.
const Recent = 10

// Times is what a service itself takes until it is ready, or until it is given
// up if it never was.
type Times struct {
	Pulling, Starting, Probing, Backoff time.Duration
	Ready                               bool
}

// Own is the sum.
func (t Times) Own() time.Duration { return t.Pulling + t.Starting + t.Probing + t.Backoff }

// UntilReady is how long it takes from its start on.
func (t Times) UntilReady() time.Duration { return t.Starting + t.Probing }

// Usual are the medians of what each service took over the last boots that
// started it; of those in which it became ready, if there are any.
func Usual(boots []*Boot) map[string]Times {
	type outcome struct {
		name  string
		ready bool
	}
	seen := map[outcome][4][]time.Duration{}
	for _, b := range slices.Backward(boots) {
		for i := range b.Services {
			s := &b.Services[i]
			of := outcome{s.Name, s.State.Ready()}
			list := seen[of]
			if s.Kept || s.Attempts == 0 || !s.State.Settled() || s.State == scheduler.Canceled || len(list[0]) == Recent {
				continue
			}
			for k, kind := range []Kind{Pulling, Starting, Probing, Backoff} {
				list[k] = append(list[k], s.Of(kind))
			}
			seen[of] = list
		}
	}
	usual := map[string]Times{}
	for of, list := range seen {
		if _, better := seen[outcome{of.name, true}]; of.ready || !better {
			usual[of.name] = Times{median(list[0]), median(list[1]), median(list[2]), median(list[3]), of.ready}
		}
	}
	return usual
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// ToStart are the services that the boot had to start, whatever came of it,
// sorted. Boots that had the same to start can be compared; one that found all
// running tells nothing about one that did not.
func (b *Boot) ToStart() (names []string) {
	for i := range b.Services {
		if s := &b.Services[i]; !s.Kept {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Alike are the last boots that went through and had these services to start,
// latest first.
func Alike(boots []*Boot, toStart []string) (alike []*Boot) {
	for _, b := range slices.Backward(boots) {
		if len(alike) < Recent && b.Ended() && slices.Equal(b.ToStart(), toStart) {
			alike = append(alike, b)
		}
	}
	return alike
}

// Expected is the median of how long boots took that had these services to
// start; 0 if there were none.
func Expected(boots []*Boot, toStart []string) time.Duration {
	var took []time.Duration
	for _, b := range Alike(boots, toStart) {
		took = append(took, b.Took)
	}
	return median(took)
}

// Baseline is what a boot is held against.
type Baseline struct {
	Boots   int           // how many earlier ones there were to compare with
	Usual   time.Duration // the median of what they took
	More    time.Duration // what this one took more; less than 0: less
	Changes []Change      // services that took notably more or less, the largest change first
}

// Change is a service that took more or less than usual.
type Change struct {
	Service  string
	More     time.Duration
	Critical bool // it is on the critical chain of the boot
}

// Against compares a boot with those before it; nil if there is nothing to
// compare it with.
func (b *Boot) Against(before []*Boot) *Baseline {
	alike := Alike(before, b.ToStart())
	if len(alike) == 0 || !b.Ended() {
		return nil
	}
	base := &Baseline{Boots: len(alike)}
	var took []time.Duration
	for _, a := range alike {
		took = append(took, a.Took)
	}
	base.Usual = median(took)
	base.More = b.Took - base.Usual
	critical := map[int]bool{}
	for _, l := range b.CriticalChain() {
		critical[l.Service] = true
	}
	for i := range b.Services {
		s := &b.Services[i]
		var own []time.Duration
		for _, a := range alike {
			if j := a.Find(s.Name); j >= 0 {
				own = append(own, a.Services[j].Own())
			}
		}
		if more := s.Own() - median(own); len(own) > 0 && notable(more, median(own)) {
			base.Changes = append(base.Changes, Change{s.Name, more, critical[i]})
		}
	}
	slices.SortStableFunc(base.Changes, func(x, y Change) int { return cmp.Compare(y.More.Abs(), x.More.Abs()) })
	return base
}

// notable is what a person wants to know of: half a second, and a tenth.
func notable(more, of time.Duration) bool {
	return more.Abs() >= 500*time.Millisecond && more.Abs() >= of/10
}

// Notable reports whether the boot took another time than usual.
func (b *Baseline) Notable() bool { return notable(b.More, b.Usual) }
