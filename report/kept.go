package report

import (
	"fmt"
	"time"

	"bootgraph/scheduler"
)

// Kept says in lines what happens after a boot: what falls, what is back, what
// somebody has stopped. A service that falls again and again has a line a
// minute, one that doesn't come up one every ten. The zero value is ready.
type Kept struct {
	services map[string]*keptService
}

type keptService struct {
	down   time.Time // zero: it is ready
	said   time.Time // when a line was about it
	untold int       // falls without a line
}

const (
	keptFalls = time.Minute      // between lines about falls
	keptDown  = 10 * time.Minute // between lines about one that stays down
)

// Line is what there is to say of the next event; "" is nothing. The level is
// info or warning.
func (k *Kept) Line(e scheduler.Event) (level, text string) {
	if e.Type != scheduler.ServiceMoved {
		return "", ""
	}
	if k.services == nil {
		k.services = map[string]*keptService{}
	}
	s := k.services[e.Service]
	if s == nil {
		s = &keptService{}
		if !e.From.Ready() {
			s.down, s.said = e.Time, e.Time // the boot has said so
		}
		k.services[e.Service] = s
	}
	switch {
	case e.To == scheduler.Stopped:
		*s = keptService{down: e.Time, said: e.Time}
		return "info", fmt.Sprintf("%s stays stopped: %s", e.Service, withoutLog(e.Cause))
	case e.To.Ready():
		return s.back(e)
	case s.down.IsZero():
		return s.fell(e)
	case e.To == scheduler.Backoff && e.Time.Sub(s.said) >= keptDown:
		s.said = e.Time
		return "warning", fmt.Sprintf("%s is not ready for %s, after %s: %s", e.Service, Elapsed(e.Time.Sub(s.down)), Count(e.Attempt, "attempt"), withoutLog(e.Cause))
	}
	return "", ""
}

func (s *keptService) fell(e scheduler.Event) (level, text string) {
	s.down = e.Time
	if e.Time.Sub(s.said) < keptFalls {
		s.untold++
		return "", ""
	}
	text = fmt.Sprintf("%s is not ready any more: %s", e.Service, withoutLog(e.Cause))
	if s.untold > 0 {
		text = fmt.Sprintf("%s is not ready any more, for the %dth time since %s: %s", e.Service, s.untold+2, s.said.Local().Format(time.TimeOnly), withoutLog(e.Cause))
	}
	s.said, s.untold = e.Time, 0
	return "warning", text
}

// back tells of what the line about its fall has told, and no more.
func (s *keptService) back(e scheduler.Event) (level, text string) {
	down := s.down
	s.down = time.Time{}
	if down.IsZero() || s.said.Before(down) {
		return "", ""
	}
	return "info", fmt.Sprintf("%s is ready again after %s", e.Service, Elapsed(e.Time.Sub(down)))
}
