package report

import "unicode"

// An SVG can't ask how wide its text will be: the reader's fonts decide. So
// widths are those of DejaVu Sans and Verdana, the widest of the fonts that
// systems use for their own text, rounded up: a browser says that none of the
// characters below is wider in DejaVu Sans, bold or not.
var charWidths = [...]struct {
	width int // thousandths of the font's size
	chars string
}{
	{360, "ijlI'. ,:;"},
	{450, "-()[]ftr/\\J!"},
	{660, "abcdeghknopqsuvxyzFLEST0123456789_$?*{}|\"`"},
	{770, "ABCKPRUVXYZ"},
	{870, "wDGHNOQ+=<>~#&^"},
	{1000, "mMW%@"},
}

var widthOf = func() (width [128]int) {
	for c := range width {
		width[c] = 1000
	}
	for _, class := range charWidths {
		for _, c := range class.chars {
			width[c] = class.width
		}
	}
	return width
}()

// textWidth is how many pixels a line of text takes at the most.
func textWidth(s string, size int, bold bool) int {
	sum := 0
	for _, r := range s {
		switch {
		case r < 128:
			sum += widthOf[r]
		case unicode.Is(unicode.Latin, r), unicode.Is(unicode.Greek, r), unicode.Is(unicode.Cyrillic, r):
			sum += 1000
		case unicode.Is(unicode.Mn, r): // drawn over the one before
		default:
			sum += 1400 // Chinese, emoji, what is not known
		}
	}
	if bold {
		sum += sum / 8
	}
	return (sum*size + 999) / 1000
}
