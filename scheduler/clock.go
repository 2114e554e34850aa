package scheduler

import "time"

// clock is the time in which a boot runs: that of the wall, or the one that
// Simulate makes up. Only what both drivers share asks it.
type clock struct {
	now     func() time.Time
	after   func(d time.Duration, do func())
	virtual bool // nothing but after makes it go on
}

var wall = clock{now: time.Now, after: func(d time.Duration, do func()) { time.AfterFunc(d, do) }}
