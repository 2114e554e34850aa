package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// secrets declares the secret blocks. secret.NAME is the name of the Podman
// secret, so that options can follow it: "${secret.token},type=env".
func (d *decoder) secrets(blocks []*rawSecret) (all []*Secret) {
	for _, raw := range blocks {
		d.hide(raw.Block, raw.File, raw.Env)
		name, where := d.declare("secret", raw.Block)
		d.identifier("secret", "secret", raw.Block)
		s := &Secret{Name: name, Range: where}
		d.secret(s, raw)
		d.secretValues[name] = s.Value
		all = append(all, s)
	}
	return all
}

// secret reads where the value is, and the value if it is asked for.
func (d *decoder) secret(s *Secret, raw *rawSecret) {
	sources := 0
	back := d.inPrivate(true)
	value := d.given(raw.Value)
	back()
	for _, a := range []bool{d.given(raw.File), d.given(raw.Env), value} {
		if a {
			sources++
		}
	}
	if sources != 1 {
		if !d.torn[raw.Block] {
			d.fail(s.Range, "Value of a secret", "A secret has one of these: file for the path of a file, env for a variable of the environment, value for an expression.")
		}
		return
	}
	path, variable := one(d, raw.File, anyText), one(d, raw.Env, parseEnvName)
	if s.Env = variable; path != "" {
		s.File = d.path(path)
	}
	var err error
	text, ok := "", true
	if raw.Value != nil {
		text, ok = d.secretText(s, raw)
	}
	if !d.in.Secrets || !ok {
		return
	}
	switch {
	case s.File != "":
		if text, err = s.read(d.in.Getenv); err != nil {
			d.fail(subject(raw.File.Expr), "Cannot read the secret", "%s: %s.", path, err)
			return
		}
	case s.Env != "":
		if text, err = s.read(d.in.Getenv); err != nil {
			d.fail(subject(raw.Env.Expr), "Cannot read the secret", "There is no %s in bootgraph's environment.", variable)
			return
		}
	case raw.Value == nil:
		return // its path or variable is in error
	}
	switch {
	case text == "":
		d.fail(s.Range, "Empty secret", "The value of %s is empty, which Podman takes for no secret.", s.Name)
	case len(text) > MaxSecret:
		d.fail(s.Range, "Secret too large", "The value of %s has %d bytes; a secret has at most %d.", s.Name, len(text), MaxSecret)
	}
	s.Value = Sensitive{text}
}

// read reads the value of a secret that a file or the environment has; its
// errors don't name which.
func (s *Secret) read(getenv func(string) (string, bool)) (string, error) {
	if s.File != "" {
		text, err := readRegular(s.File, MaxSecret)
		return string(text), err
	}
	text, set := getenv(s.Env)
	if !set {
		return "", errors.New("it is not set")
	}
	return text, nil
}

func (d *decoder) secretText(s *Secret, raw *rawSecret) (string, bool) {
	defer d.inPrivate(true)()
	v, ok := d.value(raw.Value.Expr)
	if !ok {
		return "", false
	}
	v, marks := v.UnmarkDeep()
	if len(marks) == 0 && len(raw.Value.Expr.Variables()) > 0 {
		// It would be in a saved plan, and in each message of a mistake.
		d.fail(subject(raw.Value.Expr), "Value of a secret in plain sight", "It is made of what is shown in plans and messages: give the variable sensitive = true, or put sensitive(…) around the local.")
		return "", false
	}
	if converted, err := convert.Convert(v, cty.String); err == nil && !converted.IsNull() {
		return converted.AsString(), true
	}
	d.fail(subject(raw.Value.Expr), "Wrong type", "value is a string.")
	return "", false
}

// parseEnvName reads the name of a variable of the environment.
func parseEnvName(s string) (string, error) { return s, checkEnvKey(s) }

// parseSecret is the parser of secrets. What is in quotes is the name of a
// secret that somebody else has made.
func (d *decoder) parseSecret(s string) (SecretMount, error) {
	name, options, more := strings.Cut(s, ",")
	if label, dotted := strings.CutPrefix(name, "secret."); dotted && d.members["secret"][label] == ready {
		if more {
			return SecretMount{}, fmt.Errorf(`%.80q is the name of no secret: write "${%s},%s"`, name, name, options)
		}
		return SecretMount{}, fmt.Errorf("%.80q is a reference: write %.80s without quotes", name, name)
	}
	return parseSecret(s)
}

// attach gives a container's secrets the values of their blocks, and what a
// block's name is for where the file gives no target.
func (d *decoder) attach(mounts []SecretMount) []SecretMount {
	for i := range mounts {
		mounts[i].Value = d.secretValues[mounts[i].Name]
	}
	return mounts
}
