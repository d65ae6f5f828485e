package alert

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxText is the number of characters after which a string that came from the network is cut.
const MaxText = 1024

// appendString appends s as a JSON string of at most most characters. Control characters, and others that do not print
// or that reorder what a terminal shows, are escaped; bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string, most int) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	unit := func(u rune) {
		dst = append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	for _, r := range s {
		if most--; most < 0 {
			break
		}
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case unicode.IsPrint(r):
			dst = utf8.AppendRune(dst, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			unit(high)
			unit(low)
		default:
			unit(r)
		}
	}
	return append(dst, '"')
}

// visible returns s, cut at most characters, with what appendString escapes written out, so that it cannot move a
// cursor, colour or hide anything on a terminal. A line break is written out too.
func visible(s string, most int) string {
	dst := appendString(make([]byte, 0, len(s)+2), s, most)
	dst = dst[1 : len(dst)-1]
	out := dst[:0]
	for i := 0; i < len(dst); i++ { // only quotes and backslashes were escaped for the sake of JSON
		if dst[i] == '\\' && (dst[i+1] == '"' || dst[i+1] == '\\') {
			i++
		}
		out = append(out, dst[i])
	}
	return string(out)
}

// cutTitle shortens a title as Panther does: over 1000 characters it keeps 985 and says so.
func cutTitle(s string) string {
	if utf8.RuneCountInString(s) <= 1000 {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > 985 {
			return s[:i] + "... (truncated)"
		}
	}
	return s
}

// cut returns the first most characters of s.
func cut(s string, most int) string {
	for i := range s {
		if most--; most < 0 {
			return s[:i]
		}
	}
	return s
}
