package podman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// Error is an error of this package. It is scheduler.Coded.
//
// Codes of Podman itself: podman_unreachable (nothing answers, or the
// connection broke), podman_denied, podman_unresponsive (no answer in time),
// podman_version, podman_connection (the URI), podman_error (whatever has no
// code of its own). Of what is described: image_missing, pull_failed,
// name_in_use, not_found, paused, port_busy, network_missing, secret_missing,
// bind_missing, no_command, no_space, no_locks, no_healthcheck, in_use,
// bad_state, invalid.
type Error struct{ code, text string }

func (e *Error) Error() string { return e.text }

// Code is the stable short name of the error's class.
func (e *Error) Code() string { return e.code }

func failed(code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// is tells whether an error has the code.
func is(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.code == code
}

// refusals tell errors of the API apart. It is done by their text: nearly
// everything is status 500, and which is not has changed between versions.
// The first match counts.
var refusals = []struct{ text, code, hint string }{
	{"image not known", "image_missing", "pull or build it"},
	{"that name is already in use", "name_in_use", ""},
	{"address already in use", "port_busy", ""},
	{"no space left on device", "no_space", "free some where podman keeps its storage (podman system df)"},
	{"exceeded num_locks", "no_locks", "raise num_locks in containers.conf and run podman system renumber, or remove containers"},
	{"more than one result for container", "not_found", ""}, // of a prefix of IDs, so no name either
	{"network not found", "network_missing", "create it, or declare it: network \"NAME\" {}"},
	{"unable to find network", "network_missing", "create it, or declare it: network \"NAME\" {}"},
	{"no such secret", "secret_missing", "create it with podman secret create"},
	{"no container with name or ID", "not_found", ""},
	{"no such container", "not_found", ""},
	{"no such volume", "not_found", ""},
	{"no such network", "not_found", ""},
	{"volume already exists", "exists", ""},
	{"network already exists", "exists", ""},
	{"is already used on the host or by another config", "exists", ""},
	{"healthcheck command exceeded timeout", "unhealthy", ""},
	{"command that was not found", "no_command", "see command and entrypoint, and what the image contains"},
	{"OCI permission denied", "no_command", "the program is not executable"},
	{"statfs ", "bind_missing", "create the directory or file of this host"},
	{"is being used", "in_use", ""},
	{"has dependent containers", "in_use", "remove these first"},
	{"has no defined healthcheck", "no_healthcheck", ""},
	// What a service killed in the middle of a start leaves behind.
	{"with given ID already exists", "bad_state", ""},
	{"runc start", "bad_state", ""},
	{"container state improper", "bad_state", ""},
	{"refusing to clean up", "bad_state", ""},
}

// refusal is the error that Podman answered with.
func refusal(what string, status int, body []byte) *Error {
	var answer struct{ Cause, Message string }
	json.Unmarshal(body, &answer) // what is no JSON is shown as it is
	if answer.Message == "" {
		answer.Message = string(body)
	}
	said := answer.Cause + "\n" + answer.Message
	for _, r := range refusals {
		if strings.Contains(said, r.text) {
			e := failed(r.code, "cannot %s: %s", what, brief(answer.Message))
			if r.hint != "" {
				e.text += "; " + r.hint
			}
			return e
		}
	}
	return failed("podman_error", "cannot %s: podman answers %d: %s", what, status, brief(answer.Message))
}

// explain makes one of the package's errors of one of net/http: a deadline of
// the call's own, the end of the caller's context, or a broken connection.
func (c *Client) explain(parent, ctx context.Context, q call, err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case parent.Err() != nil:
		return fmt.Errorf("cannot %s: %w", q.what, parent.Err())
	case context.Cause(ctx) == errLimit:
		return failed("podman_unresponsive", "cannot %s: podman (%s) has not answered within %s; it hangs, or its storage is locked", q.what, c.uri, q.limit)
	}
	return unreachable(c.uri, q.what, err)
}

// unreachable is the error of a connection.
func unreachable(uri, what string, err error) *Error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, fs.ErrPermission):
		return failed("podman_denied", "cannot %s: this user may not open the socket of podman (%s); run as its owner, or see --connection", what, uri)
	case errors.Is(err, fs.ErrNotExist):
		return failed("podman_unreachable", "cannot %s: there is no socket of podman (%s); start it with systemctl start podman.socket, or see --connection", what, uri)
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed("podman_unreachable", "cannot %s: nobody listens on the socket of podman (%s); start it with systemctl start podman.socket", what, uri)
	}
	return failed("podman_unreachable", "cannot %s: the connection to podman (%s) broke: %s", what, uri, brief(err.Error()))
}

const briefMost = 512 // bytes of a text of Podman's in an error

// brief makes one line of a text of Podman's, which may quote images and
// containers of anybody's.
func brief(s string) string {
	s = strings.Join(strings.Fields(clean(s)), " ")
	if len(s) > briefMost {
		s = strings.ToValidUTF8(s[:briefMost], "") + "…"
	}
	return s
}

// clean takes out what could steer a terminal: control, format and bidi
// characters, but line breaks. Tabs become spaces.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r == utf8.RuneError:
			return '\uFFFD'
		case unicode.In(r, unicode.C, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, s)
}
