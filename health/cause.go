package health

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// failure is the answer "not ready". It is scheduler.Coded; the codes are
//
//	refused timeout unreachable            the port does not answer
//	forwarder not_listening loopback_only  the container does not listen, or not for others
//	port_unreachable port_busy             it does, or another process; but not at this port
//	no_port not_published no_container     the check has no target
//	tls_mismatch tls_verify tls_file       TLS
//	not_serving grpc_not_found grpc_unimplemented grpc_error not_http2
//	http_status http_body redirect not_http
//	exec_exit unhealthy no_healthcheck no_match
//	successes                              it passes, not yet often enough in a row
//	running                                a job that has not exited
//
// and those of Containers.Look. Other codes are the runtime's own trouble.
type failure struct {
	code, text string
	gone       bool // the container does not run any more: no use to go on
}

func (f *failure) Error() string { return f.text }
func (f *failure) Code() string  { return f.code }

func fail(code, format string, args ...any) error {
	return &failure{code: code, text: fmt.Sprintf(format, args...)}
}

func isFailure(err error) bool {
	var f *failure
	return errors.As(err, &f)
}

func isGone(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.gone
}

// codeOf returns the code of an answer or of the runtime's own error, and ""
// for none.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return scheduler.CauseOf(err).Code
}

// causeOf is the last word on an error. The runtime's own words in it may be
// more than a line.
func causeOf(err error) scheduler.Cause {
	why := scheduler.CauseOf(err)
	why.Text = oneLine(why.Text)
	return why
}

// together makes one error of those of several checks, in their order; the
// code is the first one's.
func together(errs []error) error {
	var texts []string
	var first error
	for _, err := range errs {
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		texts = append(texts, err.Error())
	}
	if len(texts) < 2 {
		return first
	}
	return &failure{code: codeOf(first), text: strings.Join(texts, "; "), gone: slices.ContainsFunc(errs, isGone)}
}

// labelled says which check an answer is from.
func labelled(h *config.Health, err error) error {
	if err == nil || h.Kind == config.HealthNone { // a look speaks of the container by itself
		return err
	}
	return fmt.Errorf("%s: %w", label(h), err)
}

// label names a check in a cause: "tcp 8443 of web".
func label(h *config.Health) string {
	l := h.Kind
	switch h.Kind {
	case config.HealthTCP, config.HealthGRPC, config.HealthHTTP:
		l = fmt.Sprintf("%s %d", l, h.Port)
	case config.HealthExec:
		// Only the program: its arguments may be long, or a secret.
		l += " " + clean(h.Command[0])
	}
	if h.Component != "" {
		l += " of " + h.Component
	}
	return l
}

// oneOf picks the instance that a check without a port is about.
func oneOf(h *config.Health, at []scheduler.Instance) (scheduler.Instance, error) {
	for _, instance := range at {
		if h.Component == instance.Component && h.Component != "" || h.Component == "" && len(at) == 1 {
			return instance, nil
		}
	}
	if h.Component != "" {
		return scheduler.Instance{}, fail("no_container", "there is no component %q", h.Component)
	}
	return scheduler.Instance{}, fail("no_container", "it is not clear which of the %d containers is meant; say component = ...", len(at))
}

const mostRunes = 200

var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[ -/]*[0-~])`)

// oneLine makes a text safe for a terminal: one line, without escape sequences,
// control, format and bidi characters.
func oneLine(s string) string {
	s = strings.ToValidUTF8(escapes.ReplaceAllString(s, ""), "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.C, r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// clean makes one line of what a server or a program said, 200 runes at most.
func clean(s string) string {
	s = oneLine(s)
	if runes := []rune(s); len(runes) > mostRunes {
		return string(runes[:mostRunes-1]) + "…"
	}
	return s
}

// firstLine is the first line of an output that is not empty, clean, as the
// end of a sentence: ": no such table", or "".
func firstLine(output string) string {
	for line := range strings.Lines(output) {
		if line = clean(line); line != "" {
			return ": " + line
		}
	}
	return ""
}
