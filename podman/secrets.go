package podman

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"

	"bootgraph/config"
)

// Podman secrets that the configuration makes. They have the names of their
// blocks, as networks and volumes do, and labels that say whose they are.
// What they hold Podman doesn't tell, so a fingerprint of it is among the
// labels: a secret whose value has changed is made anew, and so is each
// container that has it (fingerprints are part of their descriptions, too).

// fingerprint tells whether a sensitive value has changed. It is no protection
// of a value that can be guessed, but who may read a label may ask Podman for
// the environment of a container in clear, or mount the secret.
func fingerprint(of, value string) string {
	mac := hmac.New(sha256.New, []byte(of)) // the same value elsewhere looks unlike it
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil)[:12])
}

// SecretHash is the value of LabelHash on a secret.
func SecretHash(s *config.Secret) string { return fingerprint("secret "+s.Name, s.Value.Reveal()) }

// foundSecret is a secret of this Podman.
type foundSecret struct {
	ID   string
	Spec struct {
		Name   string
		Labels map[string]string
	}
}

// secret looks for the secret of exactly this name; nil if there is none. A
// list would do for all of them, but in Podman 4.3.1 it leaves the labels out.
func (c *Client) secret(ctx context.Context, name string) (*foundSecret, error) {
	var found foundSecret
	err := c.do(ctx, call{what: "inspect secret " + name, path: "/secrets/" + url.PathEscape(name) + "/json", limit: readLimit}, &found)
	switch {
	case is(err, "secret_missing"):
		return nil, nil
	case err != nil:
		return nil, err
	case found.Spec.Name != name: // a name that nobody has is the beginning of an ID
		return nil, nil
	}
	return &found, nil
}

// secretConflict is the conflict over a name that somebody else's secret has.
func (h *Host) secretConflict(found *foundSecret) *Error {
	switch who := found.Spec.Labels[LabelName]; who {
	case h.file.Name:
		return nil
	case "":
		return failed("name_in_use", "the secret %s was not created by bootgraph: rename the block, remove it with podman secret rm %s, or leave the block out and use it as it is: secrets = [%q]",
			found.Spec.Name, found.Spec.Name, found.Spec.Name)
	default:
		return failed("name_in_use", "the secret %s belongs to the configuration %q: rename the block, or take it down there first", found.Spec.Name, who)
	}
}

// checkSecrets looks for secrets of somebody else that have the names of ours.
func (h *Host) checkSecrets(ctx context.Context) (problems []error) {
	for _, s := range h.file.Secrets {
		found, err := h.secret(ctx, s.Name)
		if err != nil {
			return append(problems, err)
		}
		if found != nil {
			if conflict := h.secretConflict(found); conflict != nil {
				problems = append(problems, conflict)
			}
		}
	}
	return problems
}

// EnsureSecrets makes the declared secrets there, with the values that they
// have now. A container that mounts an older one keeps it: Podman gives it a
// copy when it is created. One that has it in its environment gets the new one
// at its next start.
func (h *Host) EnsureSecrets(ctx context.Context) error {
	for _, s := range h.file.Secrets {
		if err := h.ensureSecret(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) ensureSecret(ctx context.Context, s *config.Secret) error {
	found, err := h.secret(ctx, s.Name)
	if err != nil {
		return err
	}
	if found != nil {
		if conflict := h.secretConflict(found); conflict != nil {
			return conflict
		}
		if found.Spec.Labels[LabelHash] == SecretHash(s) {
			return nil
		}
	}
	if s.Withheld != "" {
		return nil // as it is; whether anybody needs it is seen when a container does: see values
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, end := grace(ctx) // removed and not made again would be half of it
	defer end()
	if found != nil {
		// Podman 4.3.1 can't change a secret.
		if err := h.removeSecret(ctx, found); err != nil {
			return err
		}
	}
	labels, err := json.Marshal(map[string]string{LabelName: h.file.Name, LabelHash: SecretHash(s)})
	if err != nil {
		return err
	}
	return h.do(ctx, call{what: "create secret " + s.Name, method: "POST", path: "/secrets/create", limit: createLimit,
		query: url.Values{"name": {s.Name}, "labels": {string(labels)}}, body: []byte(s.Value.Reveal())}, nil)
}

func (h *Host) removeSecret(ctx context.Context, found *foundSecret) error {
	err := h.do(ctx, call{what: "remove secret " + found.Spec.Name, method: "DELETE", path: "/secrets/" + found.ID, limit: createLimit}, nil)
	if is(err, "secret_missing") {
		return nil
	}
	return err
}

// OrphanSecrets are the secrets that the configuration has created, and that
// nothing in it needs any more.
func (h *Host) OrphanSecrets(ctx context.Context) (names []string, err error) {
	used := h.usedSecrets()
	found, err := h.ourSecrets(ctx, func(name string) bool { return !used[name] })
	for _, f := range found {
		names = append(names, f.Spec.Name)
	}
	return names, err
}

// RemoveSecrets removes the secrets that the configuration has created, of
// these names only; nil is all of them.
func (h *Host) RemoveSecrets(ctx context.Context, names []string) error {
	found, err := h.ourSecrets(ctx, func(name string) bool { return names == nil || slices.Contains(names, name) })
	errs := []error{err}
	for _, f := range found {
		errs = append(errs, h.removeSecret(ctx, f))
	}
	return errors.Join(errs...)
}

func (h *Host) ourSecrets(ctx context.Context, wanted func(name string) bool) (ours []*foundSecret, err error) {
	names, err := h.names(ctx, "secrets")
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range slices.Sorted(slices.Values(names)) {
		if !wanted(name) {
			continue
		}
		found, err := h.secret(ctx, name)
		if err == nil && found != nil && h.secretConflict(found) == nil {
			ours = append(ours, found)
		}
		errs = append(errs, err)
	}
	return ours, errors.Join(errs...)
}

// usedSecrets are those that the file declares, or gives to a container.
func (h *Host) usedSecrets() map[string]bool {
	used := map[string]bool{}
	for _, s := range h.file.Secrets {
		used[s.Name] = true
	}
	for _, stage := range h.file.Stages {
		for _, s := range stage.Services {
			for _, w := range s.Containers {
				for _, mount := range w.Secrets {
					used[mount.Name] = true
				}
			}
		}
	}
	return used
}
