package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootgraph/journal"
	"bootgraph/scheduler"
	"bootgraph/testdata/host"
)

// make kill9 N=200 gives more of them.
var (
	kills = flag.Int("kill9", 5, "how often apply is killed")
	seed  = flag.Uint64("seed", 0, "of the instants at which it is killed; 0: another each time")
)

// kill9Boot is a boot of all kinds: containers that are replaced by each new
// generation and such that stay, a job, components, a network, a volume, a
// secret, published ports.
func kill9Boot(generation int, ports [2]int) string {
	return fmt.Sprintf(`name = "kill9"
network "kill9-net" {}
volume "kill9-data" {}
secret "kill9-secret" {
  value = "generation %[1]d"
}
stage "foundation" {
  service "kill9-db" {
    image    = "localhost/bootgraph/server:1"
    ports    = ["127.0.0.1:%[2]d:5432"]
    networks = [network.kill9-net]
    volumes  = ["kill9-data:/data"]
    env      = { TCP = ":5432 50ms" }
  }
  service "kill9-cache" {
    image = "localhost/bootgraph/server:1"
    env   = { GENERATION = "%[1]d" }
    health "log" {
      pattern = "start"
    }
  }
}
stage "apps" {
  job "kill9-migrate" {
    image = "localhost/bootgraph/server:1"
    env   = { EXIT = "0 50ms", GENERATION = "%[1]d" }
  }
  service "kill9-api" {
    depends_on = [job.kill9-migrate]
    image      = "localhost/bootgraph/server:1"
    secrets    = [secret.kill9-secret]
    ports      = ["127.0.0.1:%[3]d:8080"]
    env        = { TCP = ":8080" }
  }
  service "kill9-pair" {
    component "a" {
      image = "localhost/bootgraph/server:1"
      env   = { TCP = ":80", GENERATION = "%[1]d" }
    }
    component "b" {
      image = "localhost/bootgraph/server:1"
      env   = { TCP = ":80" }
    }
    health "tcp" {
      component = "a"
      port      = 80
    }
    health "tcp" {
      component = "b"
      port      = 80
    }
  }
}
`, generation, ports[0], ports[1])
}

// TestKilledAtAnyInstant: SIGKILL of apply whenever it is, then apply: it comes
// out whole, with no duplicate, no orphan and nothing half-made, by Podman's
// own listing; the journal of the killed run is read to its last whole line,
// and its lock is free.
func TestKilledAtAnyInstant(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 9))
	ports := [2]int{host.FreePort(), host.FreePort()}
	b := newBench(t, host.Shared(t), kill9Boot(0, ports))
	whole := b.timed(t)
	done := 0
	for i := 1; i <= *kills && !t.Failed(); i++ {
		b.write(kill9Boot(i/2, ports)) // every other time nothing is to be replaced
		if i%3 == 0 {
			b.removeSome(random)
		}
		done += b.killedApply(time.Duration(random.Int64N(int64(whole))))
		b.journalIsReadable()
		if code, _, said := b.run("apply", "--progress", "quiet"); code != 0 {
			t.Errorf("after kill %d, apply exits with %d: %s", i, code, said)
		}
		b.isWhole()
	}
	t.Logf("%d applies killed, %d of them in the middle", *kills, done)
}

func (b *bench) write(text string) {
	b.t.Helper()
	if err := os.WriteFile(b.file, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// timed is how long a whole apply takes.
func (b *bench) timed(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	if code, _, said := b.run("apply"); code != 0 {
		t.Fatal(said)
	}
	return time.Since(start)
}

// removeSome takes away containers behind bootgraph's back.
func (b *bench) removeSome(random *rand.Rand) {
	b.t.Helper()
	for _, name := range []string{"kill9-db", "kill9-api", "kill9-pair-b"} {
		if random.IntN(2) == 0 {
			if _, err := b.host.Podman(context.Background(), "rm", "--force", "--time=0", name); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// killedApply kills an apply after a time; 1 if that was before its end.
func (b *bench) killedApply(after time.Duration) int {
	b.t.Helper()
	cmd := b.command("apply", "--progress", "quiet")
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 1
	}
	return 0
}

// journalIsReadable reads the journal of the last run.
func (b *bench) journalIsReadable() {
	b.t.Helper()
	var root string
	for _, variable := range b.env {
		if value, found := strings.CutPrefix(variable, "XDG_STATE_HOME="); found {
			root = value + "/bootgraph"
		}
	}
	dir := journal.At(root, "kill9")
	runs, err := dir.Runs()
	if err != nil || len(runs) == 0 {
		b.t.Errorf("its runs are %v, %v", runs, err)
		return
	}
	events, err := dir.Read(runs[len(runs)-1])
	var damage *journal.Damage
	if err != nil && !errors.As(err, &damage) {
		b.t.Errorf("its journal can't be read: %v", err)
	}
	if len(events) > 0 && events[0].Type != scheduler.RunStarted {
		b.t.Errorf("its journal begins with %s", events[0].Type)
	}
}

// isWhole holds Podman's own listing, leftovers of its storage included,
// against the boot file.
func (b *bench) isWhole() {
	b.t.Helper()
	out, err := b.host.Podman(context.Background(), "ps", "--all", "--external", "--format=json", "--filter=name=kill9-")
	if err != nil {
		b.t.Fatal(err)
	}
	var found []struct {
		Names  []string
		State  string
		Exit   int `json:"ExitCode"`
		Labels map[string]string
	}
	if err := json.Unmarshal(out, &found); err != nil {
		b.t.Fatal(err)
	}
	want := map[string]string{"kill9-db": "running", "kill9-cache": "running", "kill9-migrate": "exited", "kill9-api": "running", "kill9-pair-a": "running", "kill9-pair-b": "running"}
	for _, f := range found {
		name := strings.Join(f.Names, " ")
		if want[name] != f.State || f.Exit != 0 || f.Labels["bootgraph.name"] != "kill9" {
			b.t.Errorf("container %s is %s with exit code %d and labels %v", name, f.State, f.Exit, f.Labels)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		b.t.Errorf("there is no %v", want)
	}
	if code, out, _ := b.run("plan", "--detailed-exitcode"); code != 0 {
		b.t.Errorf("there is something left to do: %s", out)
	}
}
