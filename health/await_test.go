package health

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// All of these are in virtual time: the checks are exec checks, whose answers
// the fake runtime makes up.

// answers is a script of what an exec check answers, by the time since the
// start of the test; it writes down when it was asked.
type answers struct {
	began time.Time
	asked []string
	says  func(after time.Duration) (code int, err error)
	takes time.Duration
}

func script(says func(after time.Duration) (int, error)) *answers {
	return &answers{began: time.Now(), says: says}
}

func (a *answers) exec(ctx context.Context) (int, string, error) {
	after := time.Since(a.began)
	a.asked = append(a.asked, after.Round(time.Millisecond).String())
	if a.takes > 0 && !sleep(ctx, a.takes) {
		return 0, "", ctx.Err()
	}
	code, err := a.says(after)
	return code, "", err
}

func (a *answers) String() string { return strings.Join(a.asked, " ") }

var execCheck = config.Health{Kind: config.HealthExec, Command: []string{"ready"}}

// never is what a check says that never passes.
func never(time.Duration) (int, error) { return 1, nil }

// passesFrom is what a check says that passes from some time on.
func passesFrom(t time.Duration) func(time.Duration) (int, error) {
	return func(after time.Duration) (int, error) {
		if after < t {
			return 1, nil
		}
		return 0, nil
	}
}

func TestPollingIsAsPatientAsItHasTakenSoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := paceOf(&config.Health{Kind: config.HealthTCP}), time.Now()
		pauses, probes := map[time.Duration]time.Duration{}, 0
		for now := time.Duration(0); now < 2*time.Minute; now = time.Since(began) {
			pause := p.after(errRunning, 0)
			for _, at := range []time.Duration{0, time.Second, 10 * time.Second, time.Minute} {
				if _, ok := pauses[at]; !ok && now >= at {
					pauses[at] = pause.Round(2 * time.Millisecond)
				}
			}
			if now < time.Minute {
				probes++
			}
			time.Sleep(pause)
		}
		same(t, fmt.Sprint(pauses[0], pauses[time.Second], pauses[10*time.Second], pauses[time.Minute]), "2ms 10ms 100ms 604ms")
		if probes < 500 || probes > 800 {
			t.Errorf("%d probes in a minute", probes)
		}
	})
}

func TestAProbeThatTakesLongIsMadeLessOften(t *testing.T) {
	p := paceOf(&config.Health{Kind: config.HealthTCP})
	for took, want := range map[time.Duration]time.Duration{10 * time.Microsecond: 2 * time.Millisecond, time.Millisecond: 20 * time.Millisecond, time.Second: 50 * time.Millisecond} {
		if got := p.after(errRunning, took); got != want {
			t.Errorf("after one of %s: %s", took, got)
		}
	}
}

// TestCommandsInContainersAreRunSeldom: Podman keeps two processes of each for
// five minutes.
func TestCommandsInContainersAreRunSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(never)
		o := New(&fake{exec: a.exec}).Await(t.Context(), service(execCheck), []scheduler.Instance{container("c")}, time.Now().Add(30*time.Second), quiet)
		same(t, say(o), "late exec_exit: exec ready: exited with code 1")
		same(t, a.String(), "0s 20ms 50ms 95ms 163ms 264ms 416ms 643ms 985ms 1.498s 2.267s 3.42s 5.15s 7.745s 11.637s 16.637s 21.637s 26.637s 30s")
	})
}

func TestPollingQuickensWhenTheAnswerChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(func(after time.Duration) (int, error) {
			switch {
			case after < time.Second:
				return 0, trouble{}
			case after < 2*time.Second:
				return 1, nil
			}
			return 0, nil
		})
		o := New(&fake{exec: a.exec}).Await(t.Context(), service(execCheck), []scheduler.Instance{container("c")}, time.Now().Add(time.Minute), quiet)
		same(t, say(o), "passed")
		same(t, a.String(), "0s 20ms 50ms 95ms 163ms 264ms 416ms 643ms 985ms 1.498s 1.518s 1.548s 1.593s 1.66s 1.761s 1.913s 2.141s")
	})
}

func TestLastProbeIsMadeAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(passesFrom(time.Minute))
		h := execCheck
		h.Interval = 25 * time.Second
		o := New(&fake{exec: a.exec}).Await(t.Context(), service(h), []scheduler.Instance{container("c")}, time.Now().Add(time.Minute), quiet)
		same(t, say(o), "passed")
		same(t, a.String(), "0s 25s 50s 1m0s")
	})
}

func TestADeadlineThatHasPassedGetsOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(never)
		h := execCheck
		h.StartDelay = time.Minute
		same(t, probeNow(t, &fake{exec: a.exec}, h, container("c")), "late exec_exit: exec ready: exited with code 1")
		same(t, a.String(), "0s")
		same(t, probeNow(t, &fake{exec: script(passesFrom(0)).exec}, h, container("c")), "passed")
	})
}

// A probe that is under way when the deadline comes is no last probe: it saw
// the time before. It is cut, and the one after it has its whole timeout.
func TestTheLastProbeHasItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(passesFrom(10 * time.Second))
		a.takes = 1500 * time.Millisecond
		h := execCheck
		h.Interval = 8 * time.Second
		o := New(&fake{exec: a.exec}).Await(t.Context(), service(h), []scheduler.Instance{container("c")}, a.began.Add(10*time.Second), quiet)
		same(t, say(o), "passed")
		same(t, a.String()+" until "+time.Since(a.began).String(), "0s 9.5s 10s until 11.5s")

		a = script(passesFrom(0))
		a.takes = time.Hour
		o = New(&fake{exec: a.exec}).Await(t.Context(), service(h), []scheduler.Instance{container("c")}, a.began.Add(time.Second), quiet)
		same(t, say(o), "late timeout: exec ready: no answer within 2s")
		same(t, a.String()+" until "+time.Since(a.began).String(), "0s 1s until 3s")
	})
}

func TestStartDelayCountsFromTheStartOfTheContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := execCheck
		h.StartDelay = 10 * time.Second
		for _, c := range []struct {
			runs time.Duration // already
			want string
		}{{0, "10s"}, {4 * time.Second, "6s"}, {time.Hour, "0s"}, {-time.Hour, "10s"}} {
			at := container("c")
			at.StartedAt = at.StartedAt.Add(-c.runs)
			a := script(passesFrom(0))
			o := New(&fake{exec: a.exec}).Await(t.Context(), service(h), []scheduler.Instance{at}, time.Now().Add(time.Minute), quiet)
			same(t, say(o)+" "+a.String(), "passed "+c.want)
		}
	})
}

// TestProbesAreTimed: of a boot and of the watch after it, but not one that is
// cut short.
func TestProbesAreTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(passesFrom(time.Second))
		a.takes = 600 * time.Millisecond
		var told []string
		p := New(&fake{exec: a.exec})
		p.Probed = func(t *scheduler.Task, took time.Duration) { told = append(told, t.Name+" "+took.String()) }
		task, at := service(execCheck), []scheduler.Instance{container("c")}
		task.Name = "db"
		same(t, say(p.Await(t.Context(), task, at, time.Now().Add(time.Minute), quiet)), "passed")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3400*time.Millisecond, cancel) // in the middle of its second probe
		p.Watch(ctx, task, at)
		same(t, strings.Join(told, ", "), "db 600ms, db 600ms, db 600ms, db 600ms")
	})
}

func TestSuccessesAreInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := execCheck
		h.Successes, h.Interval = 3, time.Second
		for _, c := range []struct{ says, want string }{
			{"+++", "passed 0s 1s 2s"},
			{"++-+++", "passed 0s 1s 2s 3s 4s 5s"},
			{"++?+", "passed 0s 1s 2s 3s"}, // that Podman could not be asked is no answer
			{"--------++-", "late exec_exit: exec ready: exited with code 1 0s 1s 2s 3s 4s 5s 6s 7s 8s 9s 10s"},
			{"---------++", "late successes: exec ready: passed 2 of 3 times in a row 0s 1s 2s 3s 4s 5s 6s 7s 8s 9s 10s"},
		} {
			a := script(nil)
			a.says = func(time.Duration) (int, error) {
				switch c.says[len(a.asked)-1] {
				case '-':
					return 1, nil
				case '?':
					return 0, trouble{}
				}
				return 0, nil
			}
			o := New(&fake{exec: a.exec}).Await(t.Context(), service(h), []scheduler.Instance{container("c")}, time.Now().Add(10*time.Second), quiet)
			same(t, say(o)+" "+a.String(), c.want)
		}
	})
}

// Whatever a check answers and however long it takes: who passes has passed
// that many times in a row, who is late was asked at the deadline, and nobody
// takes longer than the deadline and one probe.
func TestProofAndDeadlineHoldForAnyAnswers(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		says := rapid.SliceOfN(rapid.SampledFrom([]byte("+-?")), 1, 40).Draw(r, "says")
		takes := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 10).Draw(r, "takes ms")
		h := execCheck
		h.Timeout = time.Duration(rapid.IntRange(1, 2500).Draw(r, "timeout ms")) * time.Millisecond
		h.Interval = time.Duration(rapid.SampledFrom([]int{0, 100, 700, 3000}).Draw(r, "interval ms")) * time.Millisecond
		h.Successes = rapid.IntRange(1, 4).Draw(r, "successes")
		allowed := time.Duration(rapid.IntRange(-1000, 20_000).Draw(r, "deadline ms")) * time.Millisecond
		var complaint string
		synctest.Test(t, func(t *testing.T) {
			began, row, n := time.Now(), 0, 0
			deadline := began.Add(allowed)
			var lastAsked time.Time
			exec := func(ctx context.Context) (int, string, error) {
				lastAsked = time.Now()
				say, take := says[n%len(says)], time.Duration(takes[n%len(takes)])*time.Millisecond
				n++
				switch {
				case !sleep(ctx, take):
					if lastAsked.Add(h.Timeout).Before(deadline) || !lastAsked.Before(deadline) {
						row = 0 // its own timeout, not the deadline's
					}
					return 0, "", ctx.Err()
				case say == '?':
					return 0, "", trouble{}
				case say == '-':
					row = 0
					return 1, "", nil
				}
				row++
				return 0, "", nil
			}
			o := New(&fake{exec: exec}).Await(t.Context(), service(h), []scheduler.Instance{container("c")}, deadline, quiet)
			over := time.Since(deadline) - max(0, -allowed)
			switch {
			case o.Result == scheduler.Passed && row < h.Successes:
				complaint = fmt.Sprintf("passed after %d in a row", row)
			case o.Result == scheduler.Late && lastAsked.Before(deadline):
				complaint = fmt.Sprintf("late, and asked last %s before the deadline", deadline.Sub(lastAsked))
			case o.Result == scheduler.Late && row >= h.Successes:
				complaint = "late, though it passed"
			case over > h.Timeout:
				complaint = fmt.Sprintf("took %s more than the deadline and one probe", over-h.Timeout)
			}
		})
		if complaint != "" {
			r.Fatal(complaint)
		}
	})
}

func TestExitEndsTheProbesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &fake{exec: script(never).exec, wait: func(ctx context.Context, name string) (int, scheduler.Cause, error) {
			if name == "b" && sleep(ctx, 3*time.Second) {
				return 3, scheduler.Cause{Code: "exited", Text: "container b exited with code 3: no such table"}, nil
			}
			<-ctx.Done()
			return 0, scheduler.Cause{}, ctx.Err()
		}}
		h := execCheck
		h.Component = "a"
		a, b := container("a"), container("b")
		a.Component, b.Component = "a", "b"
		o := New(f).Await(t.Context(), service(h), []scheduler.Instance{a, b}, time.Now().Add(time.Minute), quiet)
		same(t, say(o), "exited exited: container b exited with code 3: no such table")
		same(t, time.Since(began).String(), "3s")
	})
}

func TestAResultCountsOnlyForTheInstanceItWasTakenFrom(t *testing.T) {
	looks := func(causes ...string) func() (scheduler.Cause, error) {
		n := -1
		return func() (scheduler.Cause, error) {
			n = min(n+1, len(causes)-1)
			switch c := causes[n]; c {
			case "same":
				return scheduler.Cause{}, nil
			case "error":
				return scheduler.Cause{}, trouble{}
			default:
				return scheduler.Cause{Code: c, Text: "container c is " + c}, nil
			}
		}
	}
	for _, c := range []struct {
		name, kind, want string
		look             func() (scheduler.Cause, error)
	}{
		{"the same", config.HealthExec, "passed in 0s", looks("same")},
		{"started anew", config.HealthExec, "exited restarted: container c is restarted in 2s", looks("restarted")},
		{"removed", config.HealthExec, "exited gone: container c is gone in 2s", looks("gone")},
		{"none: removed", config.HealthNone, "exited gone: container c is gone in 2s", looks("same", "gone")},
		{"paused for a moment", config.HealthExec, "passed in 2ms", looks("paused", "same")},
		{"paused", config.HealthExec, "late paused: container c is paused in 1m0s", looks("paused")},
		{"none: paused", config.HealthNone, "late paused: container c is paused in 1m0s", looks("paused")},
		{"not to be seen for a moment", config.HealthExec, "passed in 4ms", looks("error", "error", "same")},
		{"not to be seen", config.HealthExec, "late podman_unreachable: cannot look at container c: podman does not answer on /run/podman/podman.sock in 1m0s", looks("error")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				h := execCheck
				h.Kind = c.kind
				f := &fake{exec: script(passesFrom(0)).exec, look: c.look}
				o := New(f).Await(t.Context(), service(h), []scheduler.Instance{container("c")}, began.Add(time.Minute), quiet)
				same(t, fmt.Sprintf("%s in %s", say(o), time.Since(began)), c.want)
			})
		})
	}
}

// Late means that it runs. What a paused container's probes saw explains less
// than that it is paused, and one that is gone is not late.
func TestLateLooksAtWhatItSpeaksOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, want := range map[string]string{
			"paused":  "late paused: container c",
			"gone":    "exited gone: container c",
			"nothing": "late exec_exit: exec ready: exited with code 1",
		} {
			f := &fake{exec: script(never).exec, look: func() (scheduler.Cause, error) {
				if code == "nothing" {
					return scheduler.Cause{}, trouble{}
				}
				return scheduler.Cause{Code: code, Text: "container c"}, nil
			}}
			same(t, probeNow(t, f, execCheck, container("c")), want)
		}
	})
}

func TestCancelEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := &scheduler.Task{Service: &config.Service{Kind: config.KindJob}}
		logCheck := config.Health{Kind: config.HealthLog, Pattern: "x"}
		for name, task := range map[string]*scheduler.Task{"service": service(execCheck, logCheck), "job": job} {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			began := time.Now()
			f := &fake{exec: script(never).exec, logs: openLog}
			o := New(f).Await(ctx, task, []scheduler.Instance{container("c")}, time.Now().Add(time.Minute), quiet)
			same(t, fmt.Sprintf("%s %s in %s", name, say(o), time.Since(began)), name+" ended in 3s")
			cancel()
		}
	})
}

func TestLateNamesAllThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{exec: script(passesFrom(0)).exec, logs: openLog, healthcheck: func() (bool, string, error) { return false, "\n  no\tdisk\x1b[31m!\nmore", nil }}
		task := service(execCheck, config.Health{Kind: config.HealthPodman}, config.Health{Kind: config.HealthLog, Pattern: "^up$"})
		o := New(f).Await(t.Context(), task, []scheduler.Instance{container("c")}, time.Now().Add(time.Minute), quiet)
		same(t, say(o), `late unhealthy: podman: unhealthy: no disk!; log: no line matches "^up$" yet`)
	})
}

func TestNoteTellsWhyItIsNotReadyWheneverThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(func(after time.Duration) (int, error) {
			switch {
			case after < time.Second:
				return 0, trouble{}
			case after < 2*time.Second:
				return 1, nil
			}
			return 0, nil
		})
		var noted []string
		note := func(c scheduler.Cause) { noted = append(noted, c.Text) }
		New(&fake{exec: a.exec}).Await(t.Context(), service(execCheck), []scheduler.Instance{container("c")}, time.Now().Add(time.Minute), note)
		same(t, strings.Join(noted, "\n"), "exec ready: cannot run it in container c: podman does not answer on /run/podman/podman.sock\nexec ready: exited with code 1")
	})
}

func TestJob(t *testing.T) {
	ends := func(after time.Duration, code int, what string) func(context.Context, string) (int, scheduler.Cause, error) {
		return func(ctx context.Context, name string) (int, scheduler.Cause, error) {
			if name == "second" && !sleep(ctx, after) {
				return 0, scheduler.Cause{}, ctx.Err()
			}
			return code, scheduler.Cause{Code: what, Text: fmt.Sprintf("container %s %s with code %d", name, what, code)}, nil
		}
	}
	look := func(code string) func() (scheduler.Cause, error) {
		return func() (scheduler.Cause, error) {
			switch code {
			case "runs":
				return scheduler.Cause{}, nil
			case "error":
				return scheduler.Cause{}, trouble{}
			}
			return scheduler.Cause{Code: code, Text: "container second is " + code}, nil
		}
	}
	for _, c := range []struct {
		name string
		fake fake
		want string
	}{
		{"exits with 0", fake{wait: ends(time.Second, 0, "exited")}, "passed in 1s"},
		{"exits with 3", fake{wait: ends(time.Second, 3, "exited")}, "exited exited: container first exited with code 3 in 0s"},
		{"removed", fake{wait: ends(time.Second, 0, "gone")}, "exited gone: container first gone with code 0 in 0s"},
		{"still runs", fake{wait: ends(time.Hour, 0, "exited")}, "late running: it has not exited yet in 1m0s"},
		{"exited at the deadline, told later", fake{wait: ends(time.Minute+250*time.Millisecond, 0, "exited"), look: look("exited")}, "passed in 1m0.25s"},
		{"the other one still runs", fake{wait: ends(time.Hour, 0, "exited"), look: look("exited")}, "late running: it has not exited yet in 1m2s"},
		{"paused", fake{wait: ends(time.Hour, 0, "exited"), look: look("paused")}, "late paused: container second is paused in 1m2s"},
		{"not to be seen", fake{wait: ends(time.Hour, 0, "exited"), look: look("error")},
			"late podman_unreachable: cannot look at container first: podman does not answer on /run/podman/podman.sock in 1m2s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				job := &scheduler.Task{Service: &config.Service{Kind: config.KindJob}}
				o := New(&c.fake).Await(t.Context(), job, []scheduler.Instance{container("first"), container("second")}, began.Add(time.Minute), quiet)
				same(t, fmt.Sprintf("%s in %s", say(o), time.Since(began)), c.want)
			})
		})
	}
}

func TestAJobThatHasExitedIsPassedAfterItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := &scheduler.Task{Service: &config.Service{Kind: config.KindJob}}
		exited := scheduler.Cause{Code: "exited", Text: "container c exited with code 0"}
		f := &fake{
			look: func() (scheduler.Cause, error) { return exited, nil },
			wait: func(ctx context.Context, _ string) (int, scheduler.Cause, error) {
				sleep(ctx, time.Second)
				return 0, exited, nil
			},
		}
		same(t, say(New(f).Await(t.Context(), job, []scheduler.Instance{container("c")}, time.Now().Add(-time.Hour), quiet)), "passed")
	})
}

// openLog is a log in which nothing is printed, that stays open.
func openLog(ctx context.Context) (io.ReadCloser, error) {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	return r, nil
}
