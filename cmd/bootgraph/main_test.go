package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bootgraph/testdata/host"
)

// TestMain makes the test binary the program itself when it is called so: the
// tests here run the real main, in processes of its own.
func TestMain(m *testing.M) { testscript.Main(closing{m}, map[string]func(){"bootgraph": main}) }

// closing closes the shared Podman when all tests have run.
type closing struct{ *testing.M }

func (c closing) Run() int { return host.CloseShared(c.M.Run()) }

// TestScripts runs testdata/*.txtar against a private Podman. Besides the
// usual commands of testscript they have
//
//	podman ARGS…   the podman command on the same storage
//	port NAME…     puts a free port into each variable
//
// Containers of all scripts live on one Podman, so each has names of its own.
func TestScripts(t *testing.T) {
	h := host.Shared(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("CONTAINER_HOST", h.URI())
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"podman": func(ts *testscript.TestScript, neg bool, args []string) {
				out, err := h.Podman(context.Background(), args...)
				fmt.Fprint(ts.Stdout(), string(out))
				switch {
				case err != nil && !neg:
					ts.Fatalf("%v", err)
				case err == nil && neg:
					ts.Fatalf("podman %s did not fail", strings.Join(args, " "))
				}
			},
			"port": func(ts *testscript.TestScript, _ bool, names []string) {
				for _, name := range names {
					ts.Setenv(name, fmt.Sprint(host.FreePort()))
				}
			},
			"expand": func(ts *testscript.TestScript, _ bool, files []string) {
				for _, file := range files {
					text := os.Expand(ts.ReadFile(file), ts.Getenv)
					ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
				}
			},
		},
	})
}
