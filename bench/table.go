package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is what the figures were measured on.
func machine(ctx context.Context, l *lab) string {
	version, _ := l.Podman(ctx, "version", "--format={{.Client.Version}}")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	model := "unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s, %d × %s, Linux %s, Podman %s, rootful, %s; load before it %s\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), strings.TrimSpace(string(version)), runtime.Version(), strings.Join(strings.Fields(string(load))[:3], " "))
}

// table has the medians of a workload.
func (s *series) table() string {
	var b strings.Builder
	bound, stop := s.bound(s.bare), s.stopBound(s.bare)
	edges := 0
	for _, v := range s.services {
		edges += len(v.dependsOn)
	}
	fmt.Fprintf(&b, "### %s: %d stages, %d services, %d edges\n\n", s.name, s.stages, len(s.services), edges)
	fmt.Fprintf(&b, "Bare, in this run: a prepared start %s; %.1f inits a second; a removal %s, %.1f a second.\n", round(s.bare.start), s.bare.initRate, round(s.bare.stop), s.bare.stopRate)
	fmt.Fprintf(&b, "Bound: max(path %s, inits %s) = **%s**; of down %s.\n\n", round(s.path(s.bare.start)), round(seconds(float64(len(s.services))/s.bare.initRate)), round(bound), round(stop))
	b.WriteString("| tool | runs | all ready s | × bound | × bootgraph | too early | no-op s (× list; touched) | restart s | down s (× bound) | CPU of tool s | of Podman s | peak MiB |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	base := median(column(s.results[s.tools[0]], func(r result) time.Duration { return r.ready }))
	for _, t := range s.tools {
		fmt.Fprintf(&b, "| %s | %s |\n", t.name, s.row(t, bound, stop, base))
	}
	fmt.Fprintf(&b, "\nbootgraph's calls of Podman in a cold boot: %d, %.1f a service; %d at a time at most; in a no-op boot: %d.\n", s.calls.cold, float64(s.calls.cold)/float64(len(s.services)), s.calls.most, s.calls.noop)
	return b.String()
}

// row is the part of a row behind the name.
func (s *series) row(t *tool, bound, stop, base time.Duration) string {
	var good []result
	var failure error
	for _, r := range s.results[t] {
		if r.err == nil {
			good = append(good, r)
		} else {
			failure = r.err
		}
	}
	switch {
	case s.missing[t] != nil:
		return "can't be had: " + oneLine(s.missing[t]) + strings.Repeat(" |", 10)
	case len(good) == 0:
		return fmt.Sprintf("%d failed: %s%s", len(s.results[t]), oneLine(failure), strings.Repeat(" |", 10))
	}
	runs := fmt.Sprint(len(good))
	if failed := len(s.results[t]) - len(good); failed > 0 {
		runs += fmt.Sprintf(", %d failed", failed)
	}
	ready := median(column(good, func(r result) time.Duration { return r.ready }))
	early, of, touched, peak := 0, 0, 0, int64(0)
	for _, r := range good {
		e, o := s.early(r.stamps)
		early, of, touched, peak = early+e, of+o, max(touched, r.touched), max(peak, r.cold.peak)
	}
	noop := "–"
	if d := median(column(good, func(r result) time.Duration { return r.noop.wall })); d > 0 {
		noop = fmt.Sprintf("%s (%s; %d)", sec(d), ratio(d, median(column(good, func(r result) time.Duration { return r.list }))), touched)
	}
	restart := "–"
	if d := median(column(good, func(r result) time.Duration { return r.restart })); d > 0 {
		restart = sec(d)
	}
	down := median(column(good, func(r result) time.Duration { return r.down.wall }))
	return strings.Join([]string{runs, sec(ready), ratio(ready, bound), ratio(ready, base), fmt.Sprintf("%d of %d", early, of), noop, restart,
		fmt.Sprintf("%s (%s)", sec(down), ratio(down, stop)),
		sec(median(column(good, func(r result) time.Duration { return r.cold.tool }))),
		sec(median(column(good, func(r result) time.Duration { return r.cold.podman }))),
		fmt.Sprint(peak >> 20)}, " | ")
}

// latency tells how long it is from what really happens to what follows from
// it.
func (s *series) latency() string {
	var detected, gate, began []time.Duration
	for _, r := range s.results[s.tools[0]] {
		if r.err != nil {
			continue
		}
		for i, at := range r.seen {
			if !at.IsZero() {
				detected = append(detected, at.Sub(r.listening[i]))
			}
		}
		gate = append(gate, s.gates(r.listening, r.moved)...)
		began = append(began, s.gates(r.listening, r.began)...)
	}
	line := func(list []time.Duration) string {
		return fmt.Sprintf("%s, %s, %s", millis(percentile(list, 50)), millis(percentile(list, 95)), millis(percentile(list, 99)))
	}
	return fmt.Sprintf("%s (%d services): p50, p95, p99 in ms from \"listens\" to: found ready %s; its dependent's start is called %s; its dependent's first instruction %s\n",
		s.name, len(detected), line(detected), line(gate), line(began))
}

func column(results []result, of func(result) time.Duration) (list []time.Duration) {
	for _, r := range results {
		list = append(list, of(r))
	}
	return list
}

func sec(d time.Duration) string    { return fmt.Sprintf("%.2f", d.Seconds()) }
func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

func ratio(d, of time.Duration) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(d)/float64(of))
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// oneLine fits into a table.
func oneLine(err error) string {
	text := strings.ReplaceAll(strings.Join(strings.Fields(err.Error()), " "), "|", "/")
	return text[:min(len(text), 300)]
}
