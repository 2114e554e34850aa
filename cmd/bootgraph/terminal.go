package main

import (
	"os"
	"strings"

	"golang.org/x/term"
)

// What standard error is: a terminal or not, and what it can show.

func (a *app) onTerminal() bool {
	file, ok := a.stderr.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

func (a *app) color() bool {
	return a.onTerminal() && !a.noColor && os.Getenv("NO_COLOR") == ""
}

// size is that of the terminal; 80 by 24 where it doesn't tell.
func (a *app) size() (columns, rows int) {
	if file, ok := a.stderr.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}

// inUnicode goes by the locale, as programs do: locale(7) has the order.
func inUnicode() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}
