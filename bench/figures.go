package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// bare is what this Podman takes, now, for the calls that a boot is made of,
// with nothing around them.
type bare struct {
	start    time.Duration // of a container that is initialized, until its first instruction
	initRate float64       // a second
	stop     time.Duration // and removal, of a container that runs
	stopRate float64       // a second, removals included
}

// middle has the median of each figure.
func middle(list []bare) bare {
	return bare{
		start:    middleOf(list, func(b bare) time.Duration { return b.start }),
		initRate: middleOf(list, func(b bare) float64 { return b.initRate }),
		stop:     middleOf(list, func(b bare) time.Duration { return b.stop }),
		stopRate: middleOf(list, func(b bare) float64 { return b.stopRate }),
	}
}

func middleOf[T cmp.Ordered](list []bare, figure func(bare) T) T {
	values := make([]T, len(list))
	for i, b := range list {
		values[i] = figure(b)
	}
	return percentile(values, 50)
}

// path is the longest way through a boot whose stages are barriers: the delays
// of the servers, and one step for each of them.
func (w workload) path(step time.Duration) time.Duration {
	return w.longest(func(s service) time.Duration { return step + s.delay })
}

func (w workload) longest(takes func(service) time.Duration) time.Duration {
	ready := make([]time.Duration, len(w.services))
	var barrier, last time.Duration
	for i, s := range w.services {
		if i > 0 && s.stage != w.services[i-1].stage {
			barrier = last
		}
		from := barrier
		for _, d := range s.dependsOn {
			from = max(from, ready[d])
		}
		ready[i] = from + takes(s)
		last = max(last, ready[i])
	}
	return last
}

// bound is what no boot can be faster than: its longest path with every
// container prepared in time, or the time to prepare all of them.
func (w workload) bound(b bare) time.Duration {
	return max(w.path(b.start), seconds(float64(len(w.services))/b.initRate))
}

// stopBound is the same for down, which goes the other way.
func (w workload) stopBound(b bare) time.Duration {
	path := w.longest(func(service) time.Duration { return b.stop })
	return max(path, seconds(float64(len(w.services))/b.stopRate))
}

// stamps are what the servers themselves say of a boot, by service; the zero
// time is what has not happened.
type stamps struct {
	began, listening []time.Time
}

// ready is when the last one listened; zero if not all of them do.
func (s stamps) ready() (last time.Time) {
	for _, at := range s.listening {
		if at.IsZero() {
			return time.Time{}
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}

// early counts the services that began before one that they need listened,
// of those that need any.
func (w workload) early(s stamps) (early, of int) {
	for i, v := range w.services {
		if len(v.dependsOn) > 0 {
			of++
		}
		if slices.ContainsFunc(v.dependsOn, func(d int) bool {
			return s.listening[d].IsZero() || s.began[i].Before(s.listening[d])
		}) {
			early++
		}
	}
	return early, of
}

// gates are, of each service that needs others, the time from when the last of
// them listened to what has become of it by then.
func (w workload) gates(listening, then []time.Time) (list []time.Duration) {
	for i, v := range w.services {
		var last time.Time
		for _, d := range v.dependsOn {
			if listening[d].After(last) {
				last = listening[d]
			}
		}
		if !last.IsZero() && !then[i].IsZero() {
			list = append(list, then[i].Sub(last))
		}
	}
	return list
}

// percentile is the smallest value that p percent of them don't exceed; zero
// of none.
func percentile[T cmp.Ordered](values []T, p float64) (v T) {
	if len(values) == 0 {
		return v
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}

// median of an even number is the mean of the two in the middle.
func median(values []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
