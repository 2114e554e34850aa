package page_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"bootgraph/config"
	"bootgraph/page"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// hostile is a name that no boot file can have; the page doesn't rely on it.
const hostile = `<img src=x onerror="pwned=1"><script>pwned=1</script>`

// many is a plan of stages with n services each; each waits for the one before it.
func many(stages, n int) *scheduler.Plan {
	p := &scheduler.Plan{Name: hostile}
	for i := range stages {
		st := scheduler.Stage{Name: fmt.Sprintf("stage%d %s", i, hostile), OnFailure: config.Continue}
		for k := range n {
			t := &scheduler.Task{ID: len(p.Tasks), Stage: i, Name: fmt.Sprintf("s%d-%d", i, k), Service: &config.Service{}}
			if k > 0 {
				t.DependsOn = []int{t.ID - 1}
			}
			p.Tasks, st.Tasks = append(p.Tasks, t), append(st.Tasks, t)
		}
		p.Stages = append(p.Stages, st)
	}
	p.Tasks[1].Name += hostile
	return p
}

func newPage(plan *scheduler.Plan) *page.Page {
	return page.New(plan, page.Sources{
		Picture: func(p *scheduler.Plan) ([]byte, error) {
			picture, err := report.Draw(p, report.View{})
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			err = report.WriteSVG(&b, picture)
			return b.Bytes(), err
		},
		Why: func(t *scheduler.Task, now page.Standing) ([]byte, error) {
			status := &report.Status{Booting: now.Booting}
			for i, at := range now.Stands {
				status.Services = append(status.Services, report.Service{Name: now.Plan.Tasks[i].Name, State: at.State, Since: at.Since, Cause: at.Cause})
			}
			var b bytes.Buffer
			err := report.WriteWhyJSON(&b, report.Why(now.Plan, status, t))
			return b.Bytes(), err
		}})
}

// began is the first event of a boot of all of a plan.
func began(p *scheduler.Plan) scheduler.Event {
	e := scheduler.Event{Time: time.Now(), Type: scheduler.RunStarted, Run: "r"}
	for _, st := range p.Stages {
		names := scheduler.StageNames{Name: st.Name}
		for _, t := range st.Tasks {
			names.Services = append(names.Services, t.Name)
		}
		e.Stages = append(e.Stages, names)
	}
	return e
}

func moved(t *scheduler.Task, to scheduler.State, why string) scheduler.Event {
	return scheduler.Event{Time: time.Now(), Type: scheduler.ServiceMoved, Service: t.Name, To: to, Attempt: 1, Cause: scheduler.Cause{Text: why}}
}

// serve serves a page at an address, "" for any, until stop is called.
func serve(t *testing.T, p *page.Page, address string) (at string, stop func()) {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() {
		over <- p.Serve(ctx, listener)
		close(over)
	}()
	stop = func() {
		end()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

// browser is a headless Chromium with one tab.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu   sync.Mutex
	said []string // its console
	sent []string // what it asked for
}

func open(t *testing.T, scheme string, width, height int64) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		t.Fatal("there is no chromium-headless-shell, chromium, chromium-browser or google-chrome in PATH: testdata/host/install.sh --test installs one where the distribution has it other than in a snap")
	}
	// Tests may run as root, for whom it has no sandbox. What it shows is ours.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute) // one that hangs
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	requests := chromedp.Events(ctx, network.RequestWillBeSent)
	console := chromedp.Console(ctx)
	go func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			b.note(&b.sent, e.Request.URL)
		}
	}()
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			b.note(&b.said, string(m.Type)+": "+m.Text)
		}
	}()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, height))
	return b
}

func (b *browser) note(list *[]string, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*list = append(*list, text)
}

func (b *browser) noted(list *[]string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(*list)
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// is tells what an expression of JavaScript is.
func (b *browser) is(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return text
}

// until waits until an expression of JavaScript is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	wait := "new Promise((done) => { const look = () => (" + expression + ") ? done(true) : setTimeout(look, 20); look(); })"
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](wait, chromedp.EvalAwaitPromise)); err != nil {
		b.t.Fatalf("it never is so: %s: %v; the console says %q, and the page:\n%s", expression, err, b.noted(&b.said), b.is("document.body.innerText"))
	}
}

func (b *browser) same(expression, want string) {
	b.t.Helper()
	if got := b.is(expression); got != want {
		b.t.Errorf("%s is %q, not %q", expression, got, want)
	}
}

const boxes = `document.querySelector("#graph").shadowRoot.querySelectorAll("g[data-id]")`

// TestPageFollowsABoot, in a browser that is there from before it until after it.
func TestPageFollowsABoot(t *testing.T) {
	plan := many(2, 2)
	p := newPage(plan)
	address, _ := serve(t, p, "")
	b := open(t, "light", 1280, 800)
	b.do(chromedp.Navigate("http://" + address + "/"))
	b.until(`document.querySelectorAll(".row").length === 4 && ` + boxes + `.length === 4`)
	b.same(`document.querySelector("#clock").textContent`, "has not begun to boot")

	begin := began(plan)
	begin.Usual = time.Hour
	p.Add(begin)
	p.Add(scheduler.Event{Time: time.Now(), Type: scheduler.StageStarted, Stage: plan.Stages[0].Name})
	p.Add(moved(plan.Tasks[0], scheduler.Blocked, ""))
	p.Add(moved(plan.Tasks[1], scheduler.Blocked, ""))
	p.Add(moved(plan.Tasks[0], scheduler.Starting, ""))
	p.Add(moved(plan.Tasks[0], scheduler.Probing, ""))
	p.Add(scheduler.Event{Time: time.Now(), Type: scheduler.ServiceNoted, Service: "s0-0", Cause: scheduler.Cause{Text: hostile + "\u202e refused"}})
	p.Say(hostile)
	b.until(`document.querySelector(".row .state").textContent === "probing" && document.querySelector("#said").textContent !== ""`)
	b.same(`document.querySelector("#clock").textContent.startsWith("booting for ")`, "true")
	b.same(`/, about 59m\d\ds left$/.test(document.querySelector("#clock").textContent)`, "true")
	b.same(`document.querySelectorAll(".row")[1].querySelector(".why").textContent`, "waits for s0-0")
	b.same(boxes+`[0].getAttribute("class")`, "st-probing")
	b.same(`document.querySelectorAll(".row .bar .probing").length`, "1")

	// What anybody says is text, and doesn't turn around what is beside it.
	b.same(`document.querySelector("h1").textContent`, hostile)
	b.same(`document.querySelector("#said").textContent`, hostile)
	b.same(`document.querySelectorAll(".row .name")[1].textContent`, plan.Tasks[1].Name)
	b.same(`document.querySelector(".row .why").textContent`, hostile+`\u{202e} refused`)
	b.same(boxes+`[1].getAttribute("aria-label")`, plan.Tasks[1].Name+", blocked")
	b.same(`document.querySelectorAll("img, body script, iframe").length + "" + typeof pwned`, "0undefined")

	p.Add(moved(plan.Tasks[0], scheduler.Healthy, ""))
	p.Add(moved(plan.Tasks[1], scheduler.Failed, "no such image"))
	p.Add(scheduler.Event{Time: time.Now(), Type: scheduler.StageDone, Stage: plan.Stages[0].Name, Outcome: scheduler.EndDegraded})
	p.Add(scheduler.Event{Time: time.Now(), Type: scheduler.RunDone, Outcome: scheduler.EndDegraded})
	b.until(`document.querySelector("#clock").textContent.startsWith("boot degraded after ")`)
	b.same(`document.querySelector("#clock").textContent.endsWith(", usually 1h00m")`, "true")
	b.same(boxes+`[1].getAttribute("class")`, "st-failed")
	b.same(`document.querySelectorAll(".row .bar i.barrier").length > 0`, "true")

	// After the boot it goes on.
	p.Add(moved(plan.Tasks[0], scheduler.Backoff, "it exited with code 1"))
	b.until(`document.querySelector(".row .state").textContent === "backoff"`)

	if said := b.noted(&b.said); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
	sent := b.noted(&b.sent)
	for _, url := range sent {
		if !strings.HasPrefix(url, "http://"+address+"/") {
			t.Errorf("it asks for %s", url)
		}
	}
	if len(sent) < 6 {
		t.Errorf("it is not known what it asks for: %q", sent)
	}
}

func TestPageByKeyboard(t *testing.T) {
	plan := many(2, 3)
	p := newPage(plan)
	p.Add(began(plan))
	p.Add(moved(plan.Tasks[0], scheduler.Failed, "no such image"))
	p.Add(moved(plan.Tasks[2], scheduler.Blocked, ""))
	address, _ := serve(t, p, "")
	b := open(t, "dark", 1280, 800)
	b.do(chromedp.Navigate("http://" + address + "/"))
	b.until(boxes + `.length === 6 && document.querySelector(".row .state").textContent === "failed"`)
	press := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			b.do(chromedp.KeyEvent(key))
		}
	}
	has := `document.activeElement.closest(".row")?.dataset.id`
	for i := 0; b.is(has) == "undefined"; i++ {
		if i > 20 {
			t.Fatal("Tab does not lead to the services")
		}
		press(kb.Tab)
	}
	b.same(has, "0")
	press(kb.ArrowDown, kb.ArrowDown)
	b.same(has, "2")
	b.same(`getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth`, "solid3px")
	b.same(boxes+`[2].classList.contains("chosen")`, "true")

	press(kb.Enter)
	b.same(`document.activeElement.id + document.querySelector("#detail").hidden`, "detail-namefalse")
	b.until(`document.querySelectorAll("#why li").length === 3`) // s0-2, which waits for s0-1, which waits for s0-0
	b.same(`document.querySelectorAll("#why li")[2].textContent.includes("no such image")`, "true")
	b.same(`document.querySelector(".row[aria-expanded=true]").dataset.id`, "2")
	press(kb.Escape)
	b.same(`document.querySelector("#detail").hidden`, "true")
	b.same(has, "2")
	press(kb.End)
	b.same(has, "5")

	// Back to the graph: one stop, where the list was; arrows and Enter work there.
	for i := 0; b.is(`document.activeElement.id`) != "graph"; i++ {
		if i > 20 {
			t.Fatal("Shift+Tab does not lead to the graph")
		}
		b.do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(kb.ModifierShift)))
	}
	inGraph := `document.querySelector("#graph").shadowRoot.activeElement?.dataset.id`
	if b.is(inGraph) == "undefined" {
		b.do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(kb.ModifierShift)))
	}
	b.same(inGraph, "5")
	press(kb.Home, kb.Enter)
	b.same(`document.querySelector("#detail-name").textContent`, "s0-0")
}

// TestPageAtEverySize: 12 and 120 services, wide and narrow, light and dark.
func TestPageAtEverySize(t *testing.T) {
	for _, n := range []int{12, 120} {
		plan := many(6, n/6)
		p := newPage(plan)
		p.Add(began(plan))
		address, _ := serve(t, p, "")
		var backgrounds []string
		for scheme, width := range map[string]int64{"light": 1280, "dark": 400} {
			b := open(t, scheme, width, 800)
			b.do(chromedp.Navigate("http://" + address + "/"))
			b.until(fmt.Sprintf(`document.querySelectorAll(".row").length === %d && %s.length === %[1]d`, n, boxes))
			b.same(fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, width), "true")
			b.same(fmt.Sprintf(`[...document.querySelectorAll(".row")].every((r) => r.getBoundingClientRect().right <= %d)`, width), "true")
			backgrounds = append(backgrounds, b.is(`getComputedStyle(document.body).backgroundColor`))
		}
		if backgrounds[0] == backgrounds[1] {
			t.Errorf("light and dark are both %s", backgrounds[0])
		}
	}
}

// TestPageFindsTheAgentAgain, another one, which boots something else.
func TestPageFindsTheAgentAgain(t *testing.T) {
	address, stop := serve(t, newPage(many(2, 2)), "")
	b := open(t, "light", 1280, 800)
	b.do(chromedp.Navigate("http://" + address + "/"))
	b.until(`document.querySelectorAll(".row").length === 4 && document.querySelector("#link").textContent === "live"`)
	stop()
	b.until(`document.querySelector("#link").className === "lost"`)
	b.same(`document.querySelectorAll(".row").length`, "4")
	serve(t, newPage(many(1, 3)), address)
	b.until(`document.querySelectorAll(".row").length === 3 && document.querySelector("#link").textContent === "live" && ` + boxes + `.length === 3`)
}
