package health

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// fails is what a check says that passes but in these spans of time.
func fails(spans ...time.Duration) func(time.Duration) (int, error) {
	return func(after time.Duration) (int, error) {
		for i := 0; i < len(spans); i += 2 {
			if after >= spans[i] && after < spans[i+1] {
				return 1, nil
			}
		}
		return 0, nil
	}
}

// watched is what Watch says, and when, of a service that is ready.
func watched(t *testing.T, f *fake, h config.Health, until time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), until)
	defer cancel()
	began := time.Now()
	why := New(f).Watch(ctx, service(h), []scheduler.Instance{container("c")})
	if why.IsZero() {
		return "ready"
	}
	return time.Since(began).String() + " " + why.Code + ": " + why.Text
}

func TestWhatIsReadyIsProbedEverMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(fails())
		same(t, watched(t, &fake{exec: a.exec}, execCheck, 5*time.Minute), "ready")
		same(t, a.String(), "1s 2.5s 4.75s 8.125s 13.188s 20.781s 32.172s 49.258s 1m14.887s 1m53.33s 2m50.995s 3m50.995s 4m50.995s")
	})
	synctest.Test(t, func(t *testing.T) {
		p, now := calm(&config.Health{Kind: config.HealthTCP}), time.Duration(0)
		n := 0
		for ; now < time.Hour; n++ {
			now += p.after()
		}
		same(t, now.Round(time.Second).String(), "1h0m15s")
		if n > 130 {
			t.Errorf("%d probes in an hour", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := calm(&config.Health{Kind: config.HealthTCP, Interval: 2 * time.Minute})
		if p.after(); p.after() != 2*time.Minute {
			t.Error("an interval above the most there is by default is not kept")
		}
	})
}

func TestThreeFailuresInARowAreUnready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(fails(8*time.Second, time.Hour))
		same(t, watched(t, &fake{exec: a.exec}, execCheck, time.Hour), "10.125s exec_exit: exec ready: exited with code 1")
		same(t, a.String(), "1s 2.5s 4.75s 8.125s 9.125s 10.125s")
	})
}

func TestAHiccupIsNoFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(fails(8*time.Second, 10*time.Second, 30*time.Second, 31*time.Second))
		same(t, watched(t, &fake{exec: a.exec}, execCheck, 10*time.Minute), "ready")
	})
}

func TestARuntimeThatDoesNotAnswerProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(func(time.Duration) (int, error) { return 0, trouble{} })
		f := &fake{exec: a.exec, look: func() (scheduler.Cause, error) { return scheduler.Cause{}, trouble{} }}
		same(t, watched(t, f, execCheck, time.Hour), "ready")
	})
}

func TestWhatDoesNotRunIsFoundByItsProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := script(fails(8*time.Second, time.Hour))
		f := &fake{exec: a.exec, look: func() (scheduler.Cause, error) {
			return scheduler.Cause{Code: "gone", Text: "container c has been removed"}, nil
		}}
		same(t, watched(t, f, execCheck, time.Hour), "8.125s gone: exec ready: container c has been removed")
	})
}

func TestALogIsNotReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same(t, watched(t, &fake{}, config.Health{Kind: config.HealthLog, Pattern: "ready"}, time.Hour), "ready")
	})
}
