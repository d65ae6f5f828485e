package alert

import (
	"encoding/binary"
	"math/bits"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxText is the number of characters after which a string that came from the network is cut.
const MaxText = 1024

// appendString appends s as a JSON string of at most most characters. Control characters, and others that do not print
// or that reorder what a terminal shows, are escaped; bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string, most int) []byte {
	dst = append(dst, '"')
	for most > 0 {
		n := plain(s[:min(len(s), most)])
		dst = append(dst, s[:n]...)
		if s, most = s[n:], most-n; s == "" || most == 0 {
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		dst = appendRune(dst, r)
		s, most = s[size:], most-1
	}
	return append(dst, '"')
}

// plain returns how many bytes s begins with that a JSON string has as they are: printable ASCII without quotes and
// backslashes.
func plain(s string) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64([]byte(s[i : i+8]))
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		// The high bit of each byte that is none of them; the lowest such bit is exact.
		other := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x | (x + ones) | x) & highs
		if other != 0 {
			return i + bits.TrailingZeros64(other)>>3
		}
	}
	for ; i < len(s) && s[i]-0x20 < 0x5F && s[i] != '"' && s[i] != '\\'; i++ {
	}
	return i
}

// appendRune appends a character of a JSON string.
func appendRune(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	unit := func(u rune) {
		dst = append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
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
	return dst
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
	if len(s) <= 1000 || utf8.RuneCountInString(s) <= 1000 {
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
	if len(s) <= most {
		return s
	}
	for i := range s {
		if most--; most < 0 {
			return s[:i]
		}
	}
	return s
}
