package page

import (
	"fmt"
	"io"
	"strings"
	"time"

	"bootgraph/scheduler"
)

// writeMetrics writes the text format of Prometheus. It is a few lines, which
// is why its client, with a registry and 0.9 MB, is not here. A library of the
// readers' side checks it in a test.
func (p *Page) writeMetrics(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := metrics{b: &p.board}
	m.boots()
	m.services()
	_, err := io.WriteString(w, m.text.String())
	return err
}

type metrics struct {
	b    *board
	text strings.Builder
}

func (m *metrics) family(name, kind, help string) {
	fmt.Fprintf(&m.text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes a line; labels are names and values in turn.
func (m *metrics) sample(name string, value float64, labels ...string) {
	m.text.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		sign := ","
		if i == 0 {
			sign = "{"
		}
		m.text.WriteString(sign + labels[i] + `="` + labelValue.Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		m.text.WriteByte('}')
	}
	fmt.Fprintf(&m.text, " %v\n", value)
}

var labelValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (m *metrics) boots() {
	b := m.b
	m.family("bootgraph_info", "gauge", "The configuration of this agent.")
	m.sample("bootgraph_info", 1, "name", b.plan.Name)
	m.family("bootgraph_booting", "gauge", "1 while a boot goes on.")
	m.sample("bootgraph_booting", one(b.booting()))
	m.family("bootgraph_boots_total", "counter", "Boots of this agent that are over, by how they came out.")
	for _, end := range []scheduler.Ending{scheduler.EndReady, scheduler.EndDegraded, scheduler.EndAborted, scheduler.EndInterrupted} {
		m.sample("bootgraph_boots_total", float64(b.outcomes[end]), "outcome", string(end))
	}
	if b.began.IsZero() {
		return
	}
	m.family("bootgraph_boot_start_time_seconds", "gauge", "When the last boot began, in seconds since 1970.")
	m.sample("bootgraph_boot_start_time_seconds", unix(b.began))
	took := b.ended.Sub(b.began)
	if b.booting() {
		took = time.Since(b.began)
	}
	m.family("bootgraph_boot_duration_seconds", "gauge", "How long the last boot took, or has taken so far.")
	m.sample("bootgraph_boot_duration_seconds", took.Seconds())
	if b.usual > 0 {
		m.family("bootgraph_boot_usual_duration_seconds", "gauge", "What earlier boots took that had the same to start as the last one; absent where there is none.")
		m.sample("bootgraph_boot_usual_duration_seconds", b.usual.Seconds())
	}
}

func (m *metrics) services() {
	each := func(name, kind, help string, value func(*service) (float64, []string)) {
		m.family(name, kind, help)
		for _, s := range m.b.services {
			if v, more := value(s); v >= 0 {
				m.sample(name, v, append([]string{"stage", m.b.plan.Stages[s.task.Stage].Name, "service", s.task.Name}, more...)...)
			}
		}
	}
	each("bootgraph_service_ready", "gauge", "1 when the service is healthy, or the job completed.", func(s *service) (float64, []string) {
		return one(s.State.Ready()), nil
	})
	each("bootgraph_service_state", "gauge", "1 for the state that the service is in; there are no others.", func(s *service) (float64, []string) {
		return 1, []string{"state", string(s.State)}
	})
	each("bootgraph_service_state_since_seconds", "gauge", "Since when, in seconds since 1970.", func(s *service) (float64, []string) {
		return unix(s.Since), nil
	})
	each("bootgraph_service_restarts_total", "counter", "How often the service was started again after it had run, since the agent began.", func(s *service) (float64, []string) {
		return float64(s.restarts), nil
	})
	each("bootgraph_service_ready_duration_seconds", "gauge", "From the last start of the service until it was ready; absent where it never was.", func(s *service) (float64, []string) {
		if s.took == 0 {
			return -1, nil
		}
		return s.took.Seconds(), nil
	})
	m.probes()
}

// probes are a summary without quantiles: two lines a service, of which
// Prometheus makes a mean over any time. A histogram would be a dozen.
func (m *metrics) probes() {
	const name = "bootgraph_probe_duration_seconds"
	m.family(name, "summary", "How long probes of the health checks of the service took, since the agent began.")
	for _, s := range m.b.services {
		labels := []string{"stage", m.b.plan.Stages[s.task.Stage].Name, "service", s.task.Name}
		m.sample(name+"_sum", s.probes.took.Seconds(), labels...)
		m.sample(name+"_count", float64(s.probes.count), labels...)
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// unix is -1 for no time.
func unix(at time.Time) float64 {
	if at.IsZero() {
		return -1
	}
	return float64(at.UnixMilli()) / 1e3
}
