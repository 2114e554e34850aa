package config

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// How values are spelled: as on the command line of podman-run(1), 4.3, where
// there is such an option. What Podman takes and then fails on, or silently
// ignores, is an error here.

// anyText is the parser of what the program in the container makes of it:
// arguments may be empty, and have any character but NUL, which eval refuses.
func anyText(s string) (string, error) { return s, nil }

// argMost is the longest string that execve(2) takes, MAX_ARG_STRLEN less the
// NUL at its end. With a longer one the start of the container fails.
const argMost = 128<<10 - 1

// argument is anyText for what the kernel hands to a program.
func argument(s string) (string, error) {
	if len(s) > argMost {
		return "", fmt.Errorf("%.40q… has %d bytes; a program is given %d at most", s, len(s), argMost)
	}
	return s, nil
}

// choice accepts a few words, in exactly this spelling: that a word in another
// case could be meant is for the message to say.
func choice[T ~string](words ...T) func(string) (T, error) {
	return func(s string) (T, error) {
		var all []string
		for _, word := range words {
			if T(s) == word {
				return word, nil
			}
			all = append(all, string(word))
		}
		return "", fmt.Errorf("%.40q is none of %s.%s", s, strings.Join(all, ", "), DidYouMean(s, all))
	}
}

// parseDuration reads a duration in Go's spelling, from MinDuration to
// MaxDuration. A number is not taken for seconds: HCL converts it to a string
// without a word, and whoever wrote 5 may have meant minutes.
func parseDuration(s string) (time.Duration, error) {
	v, err := time.ParseDuration(s)
	number, notNumber := strconv.ParseFloat(s, 64)
	switch {
	case err != nil && notNumber == nil && number > 0 && number < MaxDuration.Seconds():
		return 0, fmt.Errorf("%q has no unit: write %q", s, strconv.FormatFloat(number, 'f', -1, 64)+"s")
	case err == nil && v <= 0, notNumber == nil && number <= 0:
		return 0, fmt.Errorf("%.40q is not more than 0", s)
	case err != nil:
		return 0, fmt.Errorf("%.40q is not a duration: write it like 500ms, 90s or 2m30s", s)
	case v < MinDuration:
		return 0, fmt.Errorf("%.40q is shorter than %s, the shortest there is", s, MinDuration)
	case v > MaxDuration:
		return 0, fmt.Errorf("%.40q is longer than 24h, the longest there is", s)
	}
	return v, nil
}

// ParseDelay is parseDuration, and 0.
func ParseDelay(s string) (time.Duration, error) {
	if v, err := time.ParseDuration(s); err == nil && v == 0 {
		return 0, nil
	}
	return parseDuration(s)
}

// parseSeconds is a duration in whole seconds, all that Podman's stop_timeout
// knows of.
func parseSeconds(s string) (time.Duration, error) {
	v, err := parseDuration(s)
	if err == nil && v%time.Second != 0 {
		return 0, fmt.Errorf("%q is not a number of whole seconds", s)
	}
	return v, err
}

// parseConnection reads where Podman listens, in the spelling of CONTAINER_HOST.
// Whether tcp is safe there is for those to say who connect.
func parseConnection(s string) (string, error) {
	u, err := url.Parse(s)
	if err == nil {
		switch u.Scheme {
		case "unix":
			if u.Host == "" && path.IsAbs(u.Path) {
				return s, nil
			}
		case "ssh", "tcp":
			if u.Host != "" {
				return s, nil
			}
		}
	}
	return "", fmt.Errorf("%.60q is none of unix:///path, ssh://user@host/path, tcp://host:port", s)
}

// parseRestart reads podman-run(1) --restart. on-failure:0, which Podman takes
// for no limit, is refused, as it reads like never.
func parseRestart(s string) (Restart, error) {
	policy, retries, found := strings.Cut(s, ":")
	r := Restart{Policy: policy}
	switch {
	case found && policy == "on-failure":
		n, err := strconv.ParseUint(retries, 10, 31)
		if err != nil || n == 0 {
			return r, fmt.Errorf("%.40q: after on-failure: comes a number of retries, 1 or more", s)
		}
		r.Retries = uint(n)
		return r, nil
	case found:
		return r, fmt.Errorf("%.40q: only on-failure takes a number", s)
	}
	_, err := choice("no", "on-failure", "always", "unless-stopped")(s)
	return r, err
}

// signals of Linux by number, from 1 on; signal(7).
var signals = strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT " +
	"CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS")

// rtSignals are the real-time signals that Podman has names for.
var rtSignals = regexp.MustCompile(`^(RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)$`)

// parseSignal reads SIGTERM, TERM or 15, in either case, and gives SIGTERM.
func parseSignal(s string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= len(signals) {
		name = signals[n-1]
	}
	if !slices.Contains(signals, name) && !rtSignals.MatchString(name) {
		return "", fmt.Errorf("%.40q is not a signal.%s", s, DidYouMean(name, signals))
	}
	return "SIG" + name, nil
}

// parsePath reads the path of a request, with its query if there is one. Host
// and port are not part of it, so that a probe can go nowhere but to the
// container.
func parsePath(s string) (string, error) {
	if !strings.HasPrefix(s, "/") || strings.ContainsFunc(s, func(r rune) bool { return r == '#' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", fmt.Errorf("%.80q is not a path: it begins with / and has no white space or # in it; host and port follow from the service", s)
	}
	return s, nil
}

// methodForm: methods are case-sensitive, RFC 9110, section 9.1.
var methodForm = regexp.MustCompile(`^[A-Z]+$`)

// parseMethod reads the method of a request.
func parseMethod(s string) (string, error) {
	if !methodForm.MatchString(s) {
		return "", fmt.Errorf("%.40q is not a method: write it like GET or HEAD", s)
	}
	return s, nil
}

// parseStatus reads statuses and ranges of them, joined by commas, as in
// 200-299,404.
func parseStatus(s string) (ranges []StatusRange, err error) {
	for _, part := range strings.Split(s, ",") {
		from, to, found := strings.Cut(strings.TrimSpace(part), "-")
		if !found {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 100 || last > 599 || last < first {
			return nil, fmt.Errorf("%.40q: statuses are numbers from 100 to 599 and ranges of them, as in 200-299,404", s)
		}
		ranges = append(ranges, StatusRange{first, last})
	}
	return ranges, nil
}

// parseRegexp checks a regular expression of Go's package regexp, which takes
// linear time whatever a container sends.
func parseRegexp(s string) (string, error) {
	if s == "" {
		return "", errors.New(`"" is not an expression`)
	}
	if _, err := regexp.Compile(s); err != nil {
		return "", fmt.Errorf("%s; the syntax is that of RE2", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return s, nil
}
