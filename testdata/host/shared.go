package host

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

var (
	sharedMu sync.Mutex
	shared   = map[Options]*Host{}
)

// Shared is the Host of all tests of a package, with its images: started by
// the first test that asks, closed by Main or Exit.
func Shared(t testing.TB) *Host { return share(t, Options{}) }

// SharedRootless is Shared for a rootless Host.
func SharedRootless(t testing.TB) *Host { return share(t, Options{Rootless: true}) }

func share(t testing.TB, o Options) *Host {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	h := shared[o]
	if h == nil {
		var err error
		if h, err = Start(o); err != nil {
			t.Fatal(err)
		}
		shared[o] = h
		if err := h.BuildImages(); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// Own is a Host of one test alone, with its images: the test may kill it.
func Own(t testing.TB) *Host {
	t.Helper()
	h, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := h.BuildImages(); err != nil {
		t.Fatal(err)
	}
	return h
}

// Main is the TestMain of a package that uses Shared.
func Main(m *testing.M) { Exit(m.Run()) }

// Exit closes the shared Hosts and exits with the code; for
//
//	goleak.VerifyTestMain(m, goleak.Cleanup(host.Exit))
func Exit(code int) { os.Exit(CloseShared(code)) }

// CloseShared closes the shared Hosts and returns the code, or 1 if that was 0
// and something could not be closed.
func CloseShared(code int) int {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	for o, h := range shared {
		if err := h.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		delete(shared, o)
	}
	return code
}
