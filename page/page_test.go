package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"bootgraph/analysis"
	"bootgraph/config"
	"bootgraph/scheduler"
)

var epoch = time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

// twoStages has a database, and a web server that waits for it.
func twoStages() *scheduler.Plan {
	db := &scheduler.Task{ID: 0, Stage: 0, Name: "db", Service: &config.Service{}}
	web := &scheduler.Task{ID: 1, Stage: 1, Name: "web", DependsOn: []int{0}, Service: &config.Service{}}
	return &scheduler.Plan{Name: "shop", Tasks: []*scheduler.Task{db, web}, Stages: []scheduler.Stage{
		{Name: "foundation", OnFailure: config.Block, Tasks: []*scheduler.Task{db}}, {Name: "apps", OnFailure: config.Continue, Tasks: []*scheduler.Task{web}}}}
}

func moved(at float64, service string, to scheduler.State) scheduler.Event {
	return scheduler.Event{Time: after(at), Type: scheduler.ServiceMoved, Service: service, To: to}
}

func newPage(t *testing.T) *Page {
	t.Helper()
	return New(twoStages(), Sources{
		Picture: func(p *scheduler.Plan) ([]byte, error) {
			return []byte("<svg><style>text { fill: red }</style><g/></svg>"), nil
		},
		Why: func(t *scheduler.Task, now Standing) ([]byte, error) {
			return fmt.Appendf(nil, `{"of":%q,"state":%q,"booting":%v}`, t.Name, now.Stands[t.ID].State, now.Booting), nil
		}})
}

// boot is one in which the database is started twice, and the web server fails.
func boot(p *Page) {
	for _, e := range bootEvents() {
		p.Add(e)
	}
}

func bootEvents() []scheduler.Event {
	start, ready, bad := moved(5, "db", scheduler.Starting), moved(12, "db", scheduler.Healthy), moved(13, "web", scheduler.Failed)
	start.Pulled, start.Queued, start.Timeout, start.Attempt = 3*time.Second, time.Second, time.Minute, 1
	ready.Elapsed = 3 * time.Second
	bad.Cause = scheduler.Cause{Code: "image", Text: "no such image", Root: "web"}
	return []scheduler.Event{
		{Time: epoch, Type: scheduler.RunStarted, Run: "r1", Usual: 9 * time.Second, Stages: []scheduler.StageNames{{Name: "foundation", Services: []string{"db"}}, {Name: "apps", Services: []string{"web"}}},
			Edges: []scheduler.EdgeNames{{From: "db", To: "web", Kind: "depends_on"}}},
		{Time: epoch, Type: scheduler.StageStarted, Stage: "foundation"},
		moved(0, "db", scheduler.Blocked),
		start,
		moved(6, "db", scheduler.Probing),
		{Time: after(7), Type: scheduler.ServiceNoted, Service: "db", Cause: scheduler.Cause{Text: "connection refused"}},
		moved(8, "db", scheduler.Backoff),
		moved(9, "db", scheduler.Blocked),
		moved(9, "db", scheduler.Starting),
		moved(10, "db", scheduler.Probing),
		ready,
		{Time: after(12), Type: scheduler.StageDone, Stage: "foundation", Outcome: scheduler.EndReady},
		{Time: after(12), Type: scheduler.StageStarted, Stage: "apps"},
		moved(12, "web", scheduler.Blocked),
		moved(12, "web", scheduler.Starting),
		bad,
		{Time: after(13), Type: scheduler.StageDone, Stage: "apps", Outcome: scheduler.EndDegraded},
		{Time: after(14), Type: scheduler.RunDone, Outcome: scheduler.EndDegraded},
	}
}

func (p *Page) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "localhost:8080"
	w := httptest.NewRecorder()
	p.Handler("8080").ServeHTTP(w, r)
	return w
}

func (p *Page) state(t *testing.T, query string) (d document) {
	t.Helper()
	if err := json.Unmarshal(p.get(t, "/state?"+query).Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTimelineTellsPhasesApart(t *testing.T) {
	p := newPage(t)
	boot(p)
	d := p.state(t, "")
	want := []string{
		"db waiting 0-1, pulling 1-4, queued 4-5, starting 5-6, probing 6-8, backoff 8-9, starting 9-10, probing 10-12, ready 12-14",
		"web waiting 0-12, starting 12-13, unready 13-14",
	}
	var got []string
	for _, s := range d.Services {
		var spans []string
		for _, v := range s.Spans {
			spans = append(spans, fmt.Sprintf("%s %v-%v", v.Phase, v.From, *v.To))
		}
		got = append(got, s.Name+" "+strings.Join(spans, ", "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if st := d.Stages[0]; *st.Began != 0 || *st.Ended != 12 || st.Outcome != scheduler.EndReady {
		t.Errorf("the first stage is %+v", st)
	}
	if d.Boot.Outcome != scheduler.EndDegraded || *d.Boot.Elapsed != 14 {
		t.Errorf("the boot is %+v", d.Boot)
	}
}

// TestTimelineIsThatOfAnalysis, which has all events of a boot at hand; the page
// goes on with every event, and keeps none.
func TestTimelineIsThatOfAnalysis(t *testing.T) {
	p := newPage(t)
	boot(p)
	of, err := analysis.Of(bootEvents())
	if err != nil {
		t.Fatal(err)
	}
	same := map[analysis.Kind]phase{analysis.Pending: waiting, analysis.Ended: unready}
	var want, got []string
	for _, s := range of.Services {
		for _, v := range s.Phases {
			kind, other := same[v.Kind]
			if !other {
				kind = phase(v.Kind)
			}
			if v.To > v.From {
				want = append(want, fmt.Sprintf("%s %s %v-%v", s.Name, kind, v.From.Seconds(), v.To.Seconds()))
			}
		}
	}
	for _, s := range p.state(t, "").Services {
		for _, v := range s.Spans {
			got = append(got, fmt.Sprintf("%s %s %v-%v", s.Name, v.Phase, v.From, *v.To))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBeforeABootEverythingIsPending(t *testing.T) {
	d := newPage(t).state(t, "")
	if d.Boot != nil || len(d.Services) != 2 || d.Services[1].State != scheduler.Pending || d.Services[1].Since != nil || d.Services[1].Needs[0] != (needDoc{0, "depends_on"}) {
		t.Errorf("it tells %+v", d)
	}
}

// TestWhatHappensAfterTheBootIsNotInItsTimeline, but is told.
func TestWhatHappensAfterTheBootIsNotInItsTimeline(t *testing.T) {
	p := newPage(t)
	boot(p)
	before := p.state(t, "")
	p.Add(moved(100, "db", scheduler.Backoff))
	p.Add(moved(101, "db", scheduler.Starting))
	p.Add(moved(102, "db", scheduler.Probing))
	p.Add(moved(103, "db", scheduler.Healthy))
	d := p.state(t, "")
	if diff := cmp.Diff(before.Services[0].Spans, d.Services[0].Spans); diff != "" {
		t.Error(diff)
	}
	if s := d.Services[0]; !s.Since.Equal(after(103)) || s.Restarts != 2 || *d.Boot.Elapsed != 14 {
		t.Errorf("then it tells %+v of %+v", s, d.Boot)
	}
}

func TestBootOfAFewLeavesTheOthersAsTheyAre(t *testing.T) {
	p := newPage(t)
	boot(p)
	p.Add(scheduler.Event{Time: after(20), Type: scheduler.RunStarted, Run: "r2", Stages: []scheduler.StageNames{{Name: "apps", Services: []string{"web"}}}})
	d := p.state(t, "")
	if db, web := d.Services[0], d.Services[1]; db.State != scheduler.Healthy || len(db.Spans) != 0 || web.State != scheduler.Pending || len(web.Spans) != 1 || d.Boot.Elapsed != nil {
		t.Errorf("it tells %+v", d)
	}
}

func TestOnlyWhatHasChangedIsTold(t *testing.T) {
	p := newPage(t)
	boot(p)
	d := p.state(t, "")
	since := fmt.Sprintf("page=%s&after=%d", d.Page, d.Version)
	if again := p.state(t, since); again.Whole || len(again.Services) != 0 {
		t.Errorf("nothing has happened, and it tells %+v", again)
	}
	p.Add(moved(20, "web", scheduler.Healthy))
	if again := p.state(t, since); again.Whole || len(again.Services) != 1 || again.Services[0].Name != "web" {
		t.Errorf("web has moved, and it tells %+v", again)
	}
	if other := p.state(t, fmt.Sprintf("page=another&after=%d", d.Version)); !other.Whole || len(other.Services) != 2 {
		t.Errorf("to who knows another agent it tells %+v", other)
	}
	plan := twoStages()
	plan.Tasks, plan.Stages = plan.Tasks[:1], plan.Stages[:1]
	p.Expect(plan)
	if again := p.state(t, since); !again.Whole || len(again.Services) != 1 || again.Services[0].State != scheduler.Healthy {
		t.Errorf("of another plan it tells %+v", again)
	}
}

// TestTimelineOfOneThatFallsForDaysStaysSmall: under a stage that blocks.
func TestTimelineOfOneThatFallsForDaysStaysSmall(t *testing.T) {
	p := newPage(t)
	p.Add(scheduler.Event{Time: epoch, Type: scheduler.RunStarted, Stages: []scheduler.StageNames{{Name: "foundation", Services: []string{"db"}}}})
	for i := range 5000 {
		p.Add(moved(float64(3*i), "db", scheduler.Starting))
		p.Add(moved(float64(3*i+1), "db", scheduler.Probing))
		p.Add(moved(float64(3*i+2), "db", scheduler.Backoff))
	}
	spans := p.state(t, "").Services[0].Spans
	if last := spans[len(spans)-1]; len(spans) != spansMost || last.From != 3*4999+2 || last.To != nil {
		t.Errorf("there are %d, the last is %+v", len(spans), last)
	}
}

func TestOnlyThisMachineIsAnswered(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost:8080": true, "LOCALHOST:8080": true, "127.0.0.1:8080": true, "127.0.0.2:8080": true, "[::1]:8080": true,
		"localhost:8081": false, "localhost": false, "127.0.0.1": false, "[::1]": false, "": false, "evil.example:8080": false, "localhost.evil.example:8080": false,
		"127.0.0.1.nip.io:8080": false, "192.0.2.1:8080": false, "[2001:db8::1]:8080": false, "0.0.0.0:8080": false, "[::]:8080": false, "localhost:8080:8080": false, "user@localhost:8080": false,
	} {
		if local(host, "8080") != want {
			t.Errorf("Host: %s is answered: %v", host, !want)
		}
	}
	for host, want := range map[string]bool{"localhost": true, "localhost:9": true, "evil.example": false} { // a unix socket has no port
		if local(host, "") != want {
			t.Errorf("Host: %s over a unix socket is answered: %v", host, !want)
		}
	}
	p := newPage(t)
	r := httptest.NewRequest("GET", "/state", nil)
	r.Host = "evil.example:8080"
	w := httptest.NewRecorder()
	p.Handler("8080").ServeHTTP(w, r)
	if w.Code != http.StatusMisdirectedRequest || strings.Contains(w.Body.String(), "shop") {
		t.Errorf("it answers %d: %s", w.Code, w.Body)
	}
}

func TestNothingCanBeChanged(t *testing.T) {
	h := newPage(t).Handler("8080")
	for _, path := range []string{"/", "/state", "/why", "/metrics", "/nowhere"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Method, r.Host = method, "localhost:8080"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	r := httptest.NewRequest("HEAD", "/", nil)
	r.Host = "localhost:8080"
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestEveryAnswerHasThePolicy(t *testing.T) {
	p := newPage(t)
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml",
		"/graph.svg": "image/svg+xml", "/graph.css": "text/css; charset=utf-8", "/state": "application/json", "/why?service=web": "application/json",
		"/metrics": "text/plain; version=0.0.4; charset=utf-8", "/nowhere": "text/plain; charset=utf-8", "/why?service=nobody": "text/plain; charset=utf-8", "/../page.go": "text/html; charset=utf-8",
	} {
		w := p.get(t, path)
		h := w.Header()
		for name, want := range map[string]string{"Content-Type": kind, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Access-Control-Allow-Origin": "", "Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": policy} {
			if got := h.Get(name); got != want {
				t.Errorf("%s (%d): %s is %q", path, w.Code, name, got)
			}
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") {
		t.Errorf("the policy is %s", policy)
	}
}

// TestPageIsOfThisMachineAlone: nothing inline, nothing from elsewhere, no way
// from text to markup.
func TestPageIsOfThisMachineAlone(t *testing.T) {
	for _, bad := range []string{"http:", "https:", "//cdn", "<style", " style=", " onclick", "javascript:"} {
		if strings.Contains(string(html), bad) {
			t.Errorf("page.html has %q in it", bad)
		}
	}
	for _, bad := range []string{"http:", "https:", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"} {
		if strings.Contains(string(script), bad) {
			t.Errorf("page.js has %q in it", bad)
		}
	}
	for _, bad := range []string{"http:", "https:", "url(", "@import"} {
		if strings.Contains(string(css), bad) {
			t.Errorf("page.css has %q in it", bad)
		}
	}
}

func TestGraphComesWithoutItsStyleAndTheStyleByItself(t *testing.T) {
	p := newPage(t)
	if svg, css := p.get(t, "/graph.svg").Body.String(), p.get(t, "/graph.css").Body.String(); svg != "<svg><g/></svg>" || css != "text { fill: red }" {
		t.Errorf("they are %q and %q", svg, css)
	}
	p.sources.Picture = func(*scheduler.Plan) ([]byte, error) { return nil, errors.New("no ink") }
	p.Expect(twoStages())
	if w := p.get(t, "/graph.svg"); w.Code != http.StatusInternalServerError {
		t.Errorf("it answers %d", w.Code)
	}
}

func TestWhyIsOfWhatIsShown(t *testing.T) {
	p := newPage(t)
	boot(p)
	if w := p.get(t, "/why?service=web"); w.Code != 200 || w.Body.String() != `{"of":"web","state":"failed","booting":false}` {
		t.Errorf("it answers %d: %s", w.Code, w.Body)
	}
	if w := p.get(t, "/why?service=%3Cb%3E"); w.Code != http.StatusNotFound {
		t.Errorf("it answers %d: %s", w.Code, w.Body)
	}
}

// TestMetricsAreWhatPrometheusReads, by its own parser.
func TestMetricsAreWhatPrometheusReads(t *testing.T) {
	p := newPage(t)
	read := func() (lines []string) {
		t.Helper()
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(p.get(t, "/metrics").Body)
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range families {
			for _, m := range f.Metric {
				line := name
				for _, l := range m.Label {
					line += " " + l.GetName() + "=" + l.GetValue()
				}
				value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
				if sum := m.GetSummary(); sum != nil {
					line, value = fmt.Sprintf("%s count=%d", line, sum.GetSampleCount()), sum.GetSampleSum()
				}
				if strings.HasSuffix(name, "_total") != (m.Counter != nil) || math.IsNaN(value) {
					t.Errorf("%s is %v", name, m)
				}
				lines = append(lines, fmt.Sprintf("%s %v", line, value))
			}
		}
		return lines
	}
	has := func(lines []string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains("\n"+strings.Join(lines, "\n")+"\n", "\n"+w+"\n") {
				t.Errorf("there is no %q in\n%s", w, strings.Join(lines, "\n"))
			}
		}
	}
	has(read(), "bootgraph_info name=shop 1", "bootgraph_booting 0", "bootgraph_service_state stage=apps service=web state=pending 1", "bootgraph_boots_total outcome=ready 0")
	boot(p)
	p.Probed(p.board.plan.Tasks[0], 250*time.Millisecond)
	p.Probed(p.board.plan.Tasks[0], time.Second)
	has(read(), "bootgraph_probe_duration_seconds stage=foundation service=db count=2 1.25", "bootgraph_probe_duration_seconds stage=apps service=web count=0 0", "bootgraph_boot_usual_duration_seconds 9")
	has(read(), "bootgraph_boot_duration_seconds 14", "bootgraph_boot_start_time_seconds 1.7959176e+09", "bootgraph_boots_total outcome=degraded 1",
		"bootgraph_service_state stage=apps service=web state=failed 1", "bootgraph_service_ready stage=apps service=web 0", "bootgraph_service_ready stage=foundation service=db 1",
		"bootgraph_service_restarts_total stage=foundation service=db 1", "bootgraph_service_ready_duration_seconds stage=foundation service=db 3")
	plan := twoStages()
	plan.Stages[0].Name, plan.Tasks[0].Name = "a \"b\" \\c\nd", `}{x="1`
	p.Expect(plan)
	has(read(), "bootgraph_service_ready stage=a \"b\" \\c\nd service="+`}{x="1`+" 0")
}
