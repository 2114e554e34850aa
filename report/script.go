package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Script is a preview, and what it takes to carry it out without bootgraph.
type Script struct {
	*Preview
	Version   string // of bootgraph
	File      string // the boot file
	Secrets   []ScriptSecret
	Networks  []config.Network
	Volumes   []config.Volume
	Create    map[string]Creation // by name, of each container of the plan that is ours
	LabelName string              // the labels that bootgraph knows its containers by
	LabelHash string
}

// ScriptSecret is a secret that the configuration makes, and where the script
// finds its value.
type ScriptSecret struct {
	Name, Hash string // the hash is the value of LabelHash
	File, Env  string // of which there is one, or none: who runs the script knows
}

// Creation is how a container is created.
type Creation struct {
	Words []Word // after podman
	Hash  string // of the description; the value of LabelHash
}

// Word is one word of a command line.
type Word struct {
	Text      string
	Sensitive string // the variable of the container whose value follows Text, and isn't to be written down
}

// functions are what the commands of every script share.
//
//go:embed script.sh
var functions string

// WriteScript writes a script for POSIX sh that does with the podman command
// what apply would do: one command after another, in boot order, each with
// the reason for it.
//
// A script that is needed is one that stops half-way, so it can be run again.
// What it finds of its own work it knows by the hash of the description; of
// anything else with the name it touches nothing, and podman create refuses.
//
// It waits as a boot does: before a service, for what that depends on and
// wants, and at the end of a stage for all of it. To wait for each service
// before the next is begun would be simpler, and would wait in vain where one
// becomes ready only with the help of a later one.
func WriteScript(w io.Writer, s *Script) error {
	f := &scriptWriter{Script: s, variables: map[[2]string]string{}, awaited: make([]bool, len(s.Plan.Tasks))}
	f.header()
	f.require()
	f.printf("\nname=%s\n%s", quote(s.Plan.Name), strings.NewReplacer("LABEL_NAME", s.LabelName, "LABEL_HASH", s.LabelHash).Replace(functions))
	f.resources()
	for _, st := range s.Plan.Stages {
		f.stage(st)
	}
	_, err := w.Write(f.Bytes())
	return err
}

type scriptWriter struct {
	*Script
	bytes.Buffer
	variables map[[2]string]string // of the shell, by container and its variable
	awaited   []bool               // by task ID
}

func (f *scriptWriter) printf(format string, args ...any) { fmt.Fprintf(f, format, args...) }

func (f *scriptWriter) header() {
	on := "nothing: it is for a host without containers"
	if r := f.Runtime; r != nil {
		on = fmt.Sprintf("what was found on %s %s%s", r.Kind, r.Version, map[bool]string{true: ", rootless"}[r.Rootless])
	}
	f.printf(`#!/bin/sh
# Boots %s with podman alone, for the day on which bootgraph is broken: what
# bootgraph apply would do, as podman commands.
#
# written by  bootgraph %s, plan --format sh
# boot file   %s
# made from   %s
#
# THE VALUES OF ENVIRONMENT VARIABLES ARE IN HERE, those that are marked as
# sensitive excepted. Keep it from who may not read them. Those that are marked
# stand on the command line of podman create while that runs.
#
# It may be run again after it has stopped. It is less than bootgraph: services
# are started one at a time, once, and never again. What is not ready in time
# stops the script where its stage blocks or aborts, and where something
# depends on it; bootgraph would try for ever in the one case, and leave out
# only what depends on it in the other.
set -eu

# Not in quotes when used, so that it can be a command with arguments:
# PODMAN='podman --root /srv/containers' sh boot.sh
podman=${PODMAN:-podman}
`, Clean(f.Plan.Name), Clean(f.Version), Clean(f.File), on)
}

// require asks for the sensitive values, which come by variables of the shell.
func (f *scriptWriter) require() {
	taken := map[string]bool{}
	for _, s := range f.Secrets {
		variable := variableName("secret", s.Name)
		for n := 2; taken[variable]; n++ {
			variable = fmt.Sprintf("%s_%d", variableName("secret", s.Name), n)
		}
		taken[variable] = true
		f.variables[[2]string{"", s.Name}] = variable
		switch {
		case s.File != "":
		case s.Env != "" && shellName.MatchString(s.Env):
			f.printf(": \"${%[1]s:=${%[2]s:?set it to the value of the secret %[3]s}}\"\n", variable, s.Env, plain(s.Name))
		default:
			f.printf(": \"${%s:?set it to the value of the secret %s}\"\n", variable, plain(s.Name))
		}
	}
	for _, t := range f.Plan.Tasks {
		for _, a := range f.Actions[t.ID] {
			if a.Action != Create && a.Action != Replace {
				continue
			}
			for _, w := range f.Create[a.Name].Words {
				if w.Sensitive == "" {
					continue
				}
				variable := variableName(a.Name, w.Sensitive)
				for n := 2; taken[variable]; n++ { // a-b and a.b
					variable = fmt.Sprintf("%s_%d", variableName(a.Name, w.Sensitive), n)
				}
				taken[variable] = true
				f.variables[[2]string{a.Name, w.Sensitive}] = variable
				f.printf(": \"${%s:?set it to the value of env.%s of container %s}\"\n", variable, plain(w.Sensitive), plain(a.Name))
			}
		}
	}
}

// resources come before the first stage: what has to go, and what has to be.
func (f *scriptWriter) resources() {
	if f.Prune {
		for _, o := range f.Orphans {
			f.printf("\n# - remove  %s: %s\n! ours %[3]s || $podman rm --force --volumes %[3]s\n", Clean(o.Name), Clean(o.Reason), quote(o.Name))
		}
		for _, name := range f.OrphanSecrets {
			f.printf("\n# - remove  secret %s\n! secret_ours %[2]s || $podman secret rm %[2]s\n", Clean(name), quote(name))
		}
	}
	if len(f.Secrets) > 0 {
		f.printf("\n# secrets; the hashes are of the values that bootgraph was given\n")
	}
	for _, s := range f.Secrets {
		value := fmt.Sprintf("printf %%s \"$%s\" |\n\t", f.variables[[2]string{"", s.Name}])
		from := "-"
		if s.File != "" {
			value, from = "", quote(s.File)
		}
		f.printf("secret %[1]s %[2]s || {\n\t{ ! secret_ours %[1]s || $podman secret rm %[1]s; } &&\n\t%[3]s$podman secret create --label=%[4]s --label=%[5]s %[1]s %[6]s\n}\n",
			quote(s.Name), quote(s.Hash), value, quote(f.LabelName+"="+f.Plan.Name), quote(f.LabelHash+"="+s.Hash), from)
	}
	if len(f.Networks)+len(f.Volumes) > 0 {
		f.printf("\n# networks and volumes\n")
	}
	for _, n := range f.Networks {
		f.resource("network", n.Name)
	}
	for _, v := range f.Volumes {
		f.resource("volume", v.Name)
	}
}

// shellName is a variable that a shell can read.
var shellName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (f *scriptWriter) resource(kind, name string) {
	f.printf("$podman %[1]s exists %[2]s || $podman %[1]s create --label=%[3]s %[2]s\n", kind, quote(name), quote(f.LabelName+"="+f.Plan.Name))
}

func (f *scriptWriter) stage(st scheduler.Stage) {
	f.printf("\n# stage %s: %s\n", Clean(st.Name), stageRule(st))
	for _, t := range st.Tasks {
		for _, d := range slices.Sorted(slices.Values(slices.Concat(t.DependsOn, t.Wants))) {
			f.await(f.Plan.Tasks[d])
		}
		f.task(t)
	}
	for _, t := range st.Tasks {
		f.await(t)
	}
}

// task makes the containers of a task run.
func (f *scriptWriter) task(t *scheduler.Task) {
	for i, a := range f.Actions[t.ID] {
		f.printf("\n# %s %s  %s: %s\n", sign[a.Action], a.Action, Clean(a.Name), Clean(a.Reason))
		name, ours := quote(a.Name), i >= len(t.Service.Existing)
		start := "$podman start " + name
		if t.Policy.Job {
			start = fmt.Sprintf("{ succeeded %s || %s; }", name, start)
		}
		switch a.Action {
		case Keep:
			continue
		case Start:
			known := "named"
			if ours {
				known = "ours"
			}
			f.printf("%s %s && %s", known, name, start)
		case Create:
			f.printf("{ made %s %s || %s; } &&\n\t%s", name, quote(f.Create[a.Name].Hash), f.create(a.Name), start)
		case Replace:
			f.printf("{ ! ours %[1]s || $podman rm --force %[1]s; } &&\n\t%[2]s &&\n\t%[3]s", name, f.create(a.Name), start)
		}
		f.printf(" || %s\n", f.or(t, "cannot start "+a.Name))
	}
}

func (f *scriptWriter) create(container string) string {
	var b strings.Builder
	b.WriteString("$podman")
	for i, w := range f.Create[container].Words {
		if i > 0 { // create itself
			b.WriteString(" \\\n\t")
		}
		b.WriteString(map[bool]string{true: " "}[i == 0] + quote(w.Text))
		if w.Sensitive != "" {
			b.WriteString(`"$` + f.variables[[2]string{container, w.Sensitive}] + `"`)
		}
	}
	return b.String()
}

// or is what comes after ||: a service that others need, or that its stage
// needs, stops the script.
func (f *scriptWriter) or(t *scheduler.Task, what string) string {
	needed := f.Plan.Stages[t.Stage].OnFailure != config.Continue ||
		slices.ContainsFunc(f.Plan.Tasks, func(o *scheduler.Task) bool { return slices.Contains(o.DependsOn, t.ID) })
	if needed {
		return "stop " + quote(what)
	}
	return "warn " + quote(what)
}

// await waits until a task is ready, once; for one that is kept it doesn't.
func (f *scriptWriter) await(t *scheduler.Task) {
	kept := !slices.ContainsFunc(f.Actions[t.ID], func(a ContainerAction) bool { return a.Action != Keep })
	if f.awaited[t.ID] || kept {
		return
	}
	f.awaited[t.ID] = true
	var checks, missing []string
	if t.Policy.Job {
		for _, a := range f.Actions[t.ID] {
			checks = append(checks, "finished "+quote(a.Name))
		}
	}
	for _, h := range t.Service.Health {
		check, lacks := f.check(t, h)
		if !slices.Contains(checks, check) {
			checks = append(checks, check)
		}
		missing = append(missing, lacks...)
	}
	f.printf("\n# until %s is ready\n", Clean(t.Name))
	for _, m := range missing {
		f.printf("# (not looked at: %s)\n", Clean(m))
	}
	f.printf("%s || %s\n", strings.Join(checks, " &&\n\t"), f.or(t, t.Name+" is not ready"))
}

// check is a health check as a command, and what that leaves out.
func (f *scriptWriter) check(t *scheduler.Task, h *config.Health) (command string, lacks []string) {
	container, ok := checked(t.Service, h)
	if !ok {
		lacks = append(lacks, h.Kind+": which of the containers is meant turns out only when they run")
	}
	name := quote(container)
	await := fmt.Sprintf("await %d ", int(math.Ceil(t.Timeout.Seconds())))
	switch {
	case !ok:
		return await + "running " + name, lacks
	case h.Kind == config.HealthTCP:
		return fmt.Sprintf("%slistening %s %04X", await, name, h.Port), nil
	case h.Kind == config.HealthGRPC, h.Kind == config.HealthHTTP:
		return fmt.Sprintf("%slistening %s %04X", await, name, h.Port), []string{fmt.Sprintf("what %s %d answers", h.Kind, h.Port)}
	case h.Kind == config.HealthExec:
		return await + "$podman exec " + name + " " + strings.Join(each(h.Command, quote), " "), nil
	case h.Kind == config.HealthPodman:
		return await + "$podman healthcheck run " + name, nil
	case h.Kind == config.HealthLog:
		lacks = append(lacks, "whether a line of the log matches "+h.Pattern) // RE2 is not grep's language
	}
	return await + "running " + name, lacks
}

// checked is the container that a check is about; the first one if that can't
// be told before they run.
func checked(s *config.Service, h *config.Health) (name string, ok bool) {
	if len(s.Existing) > 0 {
		return s.Existing[0], len(s.Existing) == 1
	}
	for _, c := range s.Containers {
		if c.Component == h.Component {
			return c.Name, true
		}
	}
	for _, c := range s.Containers {
		if slices.ContainsFunc(c.Ports, func(p config.Port) bool {
			return p.Protocol == "tcp" && h.Port >= p.ContainerPort && int(h.Port) < int(p.ContainerPort)+int(p.Range)
		}) {
			return c.Name, true
		}
	}
	return s.Containers[0].Name, false
}

// variableName is the name in the shell of a variable of a container:
// ORDERS_API__DB_PASSWORD.
func variableName(container, key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, container+"__"+key)
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// plain makes a name safe between double quotes of a shell.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(harmless, r) {
			return r
		}
		return '_'
	}, name)
}

// harmless are the characters that mean nothing to a shell, wherever they
// stand in an argument.
const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,"

// quote writes a word for sh. Between single quotes nothing means anything but
// the quote, which is written outside of them.
func quote(word string) string {
	if word != "" && strings.Trim(word, harmless) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func each(list []string, f func(string) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}
