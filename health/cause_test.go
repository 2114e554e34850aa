package health

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWhatServersSayIsMadeSafe(t *testing.T) {
	for _, c := range []struct{ name, said, want string }{
		{"plain", "no such table", "no such table"},
		{"lines", " a\r\n\tb \u2028 c\n", "a b c"},
		{"colours", "\x1b[31;1mred\x1b[0m", "red"},
		{"title", "\x1b]0;owned\x07text \x1b]8;;http://x\x1b\\link", "text link"},
		{"control", "a\x00b\x07c\x7fd\u009be", "abcde"},
		{"bidi", "abc\u202edef\u2066g\u200fh", "abcdefgh"},
		{"zero width", "a\u200bb\ufeffc", "abc"},
		{"not UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"long", strings.Repeat("ä", 300), strings.Repeat("ä", 199) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, clean(c.said), c.want) })
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31m\u202ea\nb")
	f.Fuzz(func(t *testing.T, said string) {
		got := clean(said)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > mostRunes {
			t.Errorf("%q became %q", said, got)
		}
		for _, r := range got {
			if unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029' {
				t.Errorf("%q became %q", said, got)
			}
		}
	})
}
