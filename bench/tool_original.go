package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// original is the boot sequence that bootgraph began as, done again from its
// description: stages in order; everything of a stage is started; then one
// after another is connected to, and what does not answer is tried again after
// two seconds. It knows no order within a stage, so where a workload has but
// one, each level of it is a stage here.
func original() *tool {
	self, _ := os.Executable() // Linux always knows
	return &tool{
		name: "the original algorithm",
		note: "stages only: no order within one",
		get:  func(*lab) error { return nil },
		write: func(_ *lab, w workload, dir string) error {
			stages := w.inStages()
			if len(stages) == 1 {
				stages = w.levels()
			}
			var sequence [][]run
			for _, members := range stages {
				var list []run
				for _, i := range members {
					s := w.services[i]
					v := run{s.name, s.address(), []string{"podman", "run", "--detach", "--name", s.name, "--publish", s.published()}}
					for key, value := range s.env() {
						v.Command = append(v.Command, "--env", key+"="+value)
					}
					v.Command = append(v.Command, image)
					list = append(list, v)
				}
				sequence = append(sequence, list)
			}
			return writeJSON(filepath.Join(dir, "sequence.json"), sequence)
		},
		up:   []string{self, "original", "sequence.json"},
		down: []string{"podman", "rm", "--all", "--force"},
		noop: true,
	}
}

type run struct {
	Name, Address string
	Command       []string
}

// The figures of the original.
const (
	originalDial = 2 * time.Second
	originalPoll = 2 * time.Second
)

// bootOriginal is the command.
func bootOriginal(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var sequence [][]run
	if err := json.Unmarshal(text, &sequence); err != nil {
		return err
	}
	for _, stage := range sequence {
		for _, s := range stage {
			if err := s.start(); err != nil {
				return err
			}
		}
		for _, s := range stage {
			for {
				conn, err := net.DialTimeout("tcp", s.Address, originalDial)
				if err == nil {
					conn.Close()
					break
				}
				time.Sleep(originalPoll)
			}
		}
	}
	return nil
}

// start makes a container run: what is there is started, and else created.
func (s run) start() error {
	state, err := exec.Command("podman", "inspect", "--type=container", "--format={{.State.Running}}", s.Name).Output()
	argv := []string{"podman", "start", s.Name}
	switch _, exited := errors.AsType[*exec.ExitError](err); {
	case exited:
		argv = s.Command
	case err != nil:
		return err
	case string(state) == "true\n":
		return nil
	}
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return nil
}
