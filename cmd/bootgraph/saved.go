package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/podman"
	"bootgraph/report"
	"bootgraph/scheduler"
)

// A saved plan is what plan showed, the inputs to make it again, and digests
// of what it was made from. apply makes it again and compares; it carries out
// its own, which is the same then.
//
// The road not taken is to keep the whole configuration in the file and to
// carry that out: secrets would be in it, and it would say one thing and the
// boot file another, about the same host. So the boot file must still be where
// it was, and say what it said.
type savedPlan struct {
	FormatVersion int             `json:"format_version"`
	Kind          string          `json:"kind"`
	Version       string          `json:"version"` // of bootgraph
	Inputs        inputs          `json:"inputs"`
	Plan          json.RawMessage `json:"plan"`
	MadeFrom      []part          `json:"made_from"`

	path string // as it was named
}

// inputs are what the boot file is loaded with and the plan is made with: what
// was said on the command line. Here is the place for what it may say more.
// Values that are sensitive must not come in here.
type inputs struct {
	File       string   `json:"file"`                 // absolute
	Connection string   `json:"connection,omitempty"` // as --connection; apply may say another
	Targets    []string `json:"target,omitempty"`
	Excludes   []string `json:"exclude,omitempty"`
	Stages     []string `json:"stage,omitempty"`
	Replace    []string `json:"replace,omitempty"`
	Prune      bool     `json:"prune"`
	Vars       []string `json:"var,omitempty"`
	VarFiles   []string `json:"var_file,omitempty"` // absolute
	// Withheld are the sensitive variables that --var gave a value: apply has
	// to be given it again.
	Withheld []string `json:"withheld_var,omitempty"`
}

func (in inputs) selection() scheduler.Selection {
	return scheduler.Selection{Targets: in.Targets, Excludes: in.Excludes, Stages: in.Stages}
}

// fixedByPlan are the flags of apply that are among the inputs.
var fixedByPlan = []string{"target", "exclude", "stage", "replace", "prune", "var-file"}

// part is one of the things that a plan was made from. A digest for each, not
// one for all, so that it can be said which has changed.
type part struct {
	Name   string `json:"name"`            // container mcns
	State  string `json:"state,omitempty"` // in words, where there are any: running
	Digest string `json:"digest"`          // sha256, of the state too
}

const (
	savedKind    = "bootgraph saved plan"
	savedVersion = 1
	savedMost    = 64 << 20 // bytes; 10,000 services need about 20 MiB
)

// inputs are those of the command line.
func (a *app) inputs(args []string, sel scheduler.Selection, replace []string, prune bool) (in inputs, err error) {
	file, err := absoluteBootFile(args)
	if err != nil {
		return in, err
	}
	in = inputs{File: file, Connection: a.connection, Targets: sel.Targets, Excludes: sel.Excludes, Stages: sel.Stages, Replace: replace, Prune: prune}
	for _, path := range a.varFiles {
		if path, err = filepath.Abs(path); err != nil {
			return in, err
		}
		in.VarFiles = append(in.VarFiles, path)
	}
	return in, nil
}

// withhold records the values that --var gave, but not those that are
// sensitive.
func (in *inputs) withhold(vars []string, file *config.File) {
	for _, pair := range vars {
		name, _, _ := strings.Cut(pair, "=")
		sensitive := func(v config.Variable) bool { return v.Name == name && v.Sensitive }
		if slices.ContainsFunc(file.Variables, sensitive) {
			in.Withheld = append(in.Withheld, name)
		} else {
			in.Vars = append(in.Vars, pair)
		}
	}
}

// isSavedPlan tells by what a file says that it is, whatever it is called and
// however much of it there is: a saved plan that is damaged is not to be taken
// for a boot file with mistakes.
func isSavedPlan(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return false
		}
		var kind string
		if key == "kind" && json.Unmarshal(value, &kind) == nil {
			return kind == savedKind
		}
	}
	return false
}

// savedText reads a file if it is a saved plan; nil if it is something else,
// or isn't there.
func savedText(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() { // a pipe can be read once only
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil // config says why it can't be read
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, savedMost+1))
	switch {
	case err != nil || !isSavedPlan(text):
		return nil, err
	case len(text) > savedMost:
		return nil, fmt.Errorf("cannot read the saved plan %s: it is larger than %d MiB, and no plan is: make a new one", path, savedMost>>20)
	}
	return text, nil
}

var sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)

// decodeSaved reads a saved plan. Nothing of it is believed but what was asked
// for: what it says there is to do is compared, and not carried out.
func decodeSaved(text []byte) (*savedPlan, error) {
	var s savedPlan
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	switch {
	case s.Kind != savedKind:
		return nil, fmt.Errorf("it is no saved plan: kind is %.40q", s.Kind)
	case s.FormatVersion != savedVersion:
		return nil, fmt.Errorf("its format_version is %d, and this bootgraph reads %d", s.FormatVersion, savedVersion)
	case s.Version != versionText():
		// Another version may decide otherwise.
		return nil, fmt.Errorf("it was made by bootgraph %.40s, and this is %s", s.Version, versionText())
	case !filepath.IsAbs(s.Inputs.File):
		return nil, fmt.Errorf("it is damaged: the boot file is %.80q, not an absolute path", s.Inputs.File)
	}
	digest := map[string]string{}
	for _, p := range s.MadeFrom {
		if p.Name == "" || digest[p.Name] != "" || !sha256Form.MatchString(p.Digest) {
			return nil, fmt.Errorf("it is damaged: what it says of %.80q can't be", p.Name)
		}
		digest[p.Name] = p.Digest
	}
	switch digest[wholePlan] {
	case "":
		return nil, errors.New("it is damaged: it does not say what it was made from")
	case shown(s.Plan).Digest:
	default:
		// Whoever reads the file would approve of something else.
		return nil, errors.New("it is damaged or was edited: the plan in it is not the one that was saved")
	}
	return &s, nil
}

// readSaved reads the saved plan that the arguments of apply name; nil if they
// name something else.
func readSaved(cmd *cobra.Command, args []string) (*savedPlan, error) {
	if len(args) == 0 {
		return nil, nil
	}
	text, err := savedText(args[0])
	if err != nil || text == nil {
		return nil, err
	}
	for _, flag := range fixedByPlan {
		if cmd.Flags().Changed(flag) {
			return nil, fmt.Errorf("cannot apply %s with --%s: that is fixed by the plan: make a new plan with it", args[0], flag)
		}
	}
	saved, err := decodeSaved(text)
	if err != nil {
		return nil, fmt.Errorf("cannot apply %s: %w: make a new plan", args[0], err)
	}
	saved.path = args[0]
	return saved, nil
}

// openSaved reads the boot file that a plan was made from, as it was read then.
func (a *app) openSaved(ctx context.Context, saved *savedPlan) (*session, error) {
	in := saved.Inputs
	if a.connection == "" {
		a.connection = in.Connection
	}
	if err := a.giveAgain(saved); err != nil {
		return nil, err
	}
	s, err := a.open(ctx, []string{in.File}, in.selection(), in.Replace, true)
	if err == nil {
		s.saved = saved
	}
	return s, err
}

// giveAgain puts the values of variables together: those that the plan has,
// and those that it was not to keep.
func (a *app) giveAgain(saved *savedPlan) error {
	in := saved.Inputs
	given := map[string]bool{}
	for _, pair := range a.vars {
		name, _, _ := strings.Cut(pair, "=")
		if given[name] = true; !slices.Contains(in.Withheld, name) {
			return fmt.Errorf("cannot apply %s with --var %s: its value is fixed by the plan: make a new plan with it", saved.path, name)
		}
	}
	for _, name := range in.Withheld {
		if !given[name] {
			return fmt.Errorf("cannot apply %s without --var %s=…: it is sensitive, so the plan does not keep it: give it again", saved.path, name)
		}
	}
	a.vars, a.varFiles = append(slices.Clone(in.Vars), a.vars...), in.VarFiles
	return nil
}

// unchanged makes the saved plan again, of what was found just now, under the
// lock, and compares.
func (s *session) unchanged(ctx context.Context, found podman.Snapshot) error {
	p, err := s.preview(ctx, found, s.saved.Inputs.Prune)
	if err != nil {
		return err
	}
	now, _, err := s.parts(ctx, p, found)
	if err != nil {
		return err
	}
	if list := changes(s.saved.MadeFrom, now); len(list) > 0 {
		return fmt.Errorf("cannot apply %s, and nothing was touched: since it was made, %s; look at a new one: bootgraph plan --out %s", s.saved.path, strings.Join(list, "; "), s.saved.path)
	}
	return nil
}

const (
	changed     = " has changed"
	changesMost = 3 // told of; the rest is counted
)

// changes says what parts differ, those of the plan first. What follows from
// another change is told only if there is no other: another action, and with
// it an image that is used now, or is not any more.
func changes(then, now []part) (list []string) {
	var follows []string
	tell := func(p part, text string) {
		if p.Name == wholePlan || strings.HasPrefix(p.Name, imagePart) && text != changed {
			follows = append(follows, p.Name+text)
		} else {
			list = append(list, p.Name+text)
		}
	}
	index := map[string]part{}
	for _, p := range now {
		index[p.Name] = p
	}
	for _, p := range then {
		q, ok := index[p.Name]
		delete(index, p.Name)
		switch {
		case !ok:
			tell(p, " is not part of it any more")
		case p.Digest == q.Digest:
		case p.State != q.State:
			tell(p, fmt.Sprintf(" was %s and is %s now", p.State, q.State))
		case p.State != "":
			tell(p, fmt.Sprintf(" is %s as it was, but another one, or started again", p.State))
		default:
			tell(p, changed)
		}
	}
	for _, p := range now {
		if _, isNew := index[p.Name]; isNew {
			tell(p, " is new")
		}
	}
	if len(list) == 0 {
		list = follows
	}
	if more := len(list) - changesMost; more > 0 {
		list = append(list[:changesMost], fmt.Sprintf("and %d more", more))
	}
	return list
}

// maySave tells, before anything else is done, whether a plan may be saved
// under a name.
func maySave(path string, offline bool) error {
	if offline {
		return errors.New("cannot save a plan made with --offline: it does not know the host it is for")
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() {
		text, err := savedText(path)
		if err == nil && text != nil {
			return nil
		}
	}
	return fmt.Errorf("cannot save the plan as %s: there is something else of that name, which is no saved plan: remove it, or choose another name", path)
}

// save writes a plan that was shown. It is there whole or not at all, for this
// user alone: it says what runs on the host.
func (s *session) save(ctx context.Context, path string, in inputs, p *report.Preview, found podman.Snapshot) error {
	madeFrom, plan, err := s.parts(ctx, p, found)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(savedPlan{FormatVersion: savedVersion, Kind: savedKind, Version: versionText(),
		Inputs: in, Plan: plan, MadeFrom: madeFrom}, "", "  ")
	if err != nil {
		return err
	}
	if err := writeWhole(path, append(text, '\n'), nil); err != nil {
		return fmt.Errorf("cannot save the plan: %w", err)
	}
	s.app.say("info", "saved as "+path+": bootgraph apply "+path+" carries out this and nothing else", "saved")
	return nil
}
