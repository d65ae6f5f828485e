// Package jsonscan reads JSON of which only some values are wanted. Tree.Parse validates a value and picks the wanted
// paths out of it in one pass; Skip only looks for the end of a value. Neither allocates per value, and no input makes
// them panic, recurse without bound or read a byte twice.
//
// It accepts what encoding/json accepts and gives the same values, with two exceptions that its caller chooses: depth
// is bounded by an argument, and Skip does not validate.
package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Fault says why a scan ended early.
type Fault uint8

// The faults.
const (
	None      Fault = iota
	Syntax          // no JSON
	Truncated       // the input ends within the value
	TooDeep         // more levels than the bound
	Broken          // Skip only: a line break where none can be, the value was cut off and another line follows
)

func (f Fault) String() string {
	return [...]string{"ok", "invalid character", "unexpected end", "too deep", "cut off by a line break"}[f]
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stops marks, in the high bit of each byte, quotes, backslashes, control characters and bytes outside ASCII. The
// lowest mark is exact, later ones may not be.
func stops(x uint64) uint64 {
	quote, slash := x^(ones*'"'), x^(ones*'\\')
	return ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x | x) & highs
}

// String finds the end of the string whose opening quote is before i: the index of its closing quote. A string that is
// not plain has to go through Unquote.
func String(data []byte, i int) (end int, plain bool, fault Fault) {
	plain = true
	for {
		for i+8 <= len(data) {
			m := stops(binary.LittleEndian.Uint64(data[i:]))
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(data) {
			return i, false, Truncated
		}
		switch c := data[i]; {
		case c == '"':
			return i, plain, None
		case c == '\\':
			plain = false
			n, fault := escape(data[i:])
			if fault != None {
				return i, false, fault
			}
			i += n
		case c < 0x20:
			return i, false, Syntax
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				plain = false
			}
			i += n
		}
	}
}

// escape returns the length of the escape that s begins with.
func escape(s []byte) (int, Fault) {
	if len(s) < 2 {
		return 0, Truncated
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, None
	case 'u':
		for i := 2; i < 6; i++ {
			if i >= len(s) {
				return 0, Truncated
			}
			if hexDigit(s[i]) < 0 {
				return 0, Syntax
			}
		}
		return 6, None
	}
	return 0, Syntax
}

func hexDigit(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// Unquote appends the text of a string that String accepted, without its quotes, to dst. Bytes that are not UTF-8 and
// lone surrogates become U+FFFD. The result is never longer than three times the source.
func Unquote(dst, s []byte) []byte {
	for len(s) > 0 {
		c := s[0]
		switch {
		case c == '\\' && len(s) > 1:
			switch s[1] {
			case 'u':
				r, n := unicodeEscape(s)
				dst, s = utf8.AppendRune(dst, r), s[n:]
				continue
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			default:
				c = s[1]
			}
			dst, s = append(dst, c), s[2:]
		case c < utf8.RuneSelf:
			n := 1
			for n < len(s) && s[n] < utf8.RuneSelf && s[n] != '\\' {
				n++
			}
			dst, s = append(dst, s[:n]...), s[n:]
		default:
			r, n := utf8.DecodeRune(s)
			dst, s = utf8.AppendRune(dst, r), s[n:]
		}
	}
	return dst
}

// unicodeEscape decodes \uXXXX, or two of them that are a surrogate pair.
func unicodeEscape(s []byte) (rune, int) {
	r := hex4(s)
	if !utf16.IsSurrogate(r) {
		return r, min(6, len(s))
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[6:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, min(6, len(s))
}

func hex4(s []byte) rune {
	if len(s) < 6 {
		return utf8.RuneError
	}
	return hexDigit(s[2])<<12 | hexDigit(s[3])<<8 | hexDigit(s[4])<<4 | hexDigit(s[5])
}

// Space returns the index of the first byte at or after i that is no JSON white space.
func Space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// number returns the end of the number that begins at i.
func number(data []byte, i int) (int, Fault) {
	if data[i] == '-' {
		i++
	}
	digits := func() bool {
		start := i
		for i < len(data) && data[i]-'0' <= 9 {
			i++
		}
		return i > start
	}
	switch {
	case i >= len(data):
		return i, Truncated
	case data[i] == '0':
		i++
	case !digits():
		return i, Syntax
	}
	if i < len(data) && data[i] == '.' {
		i++
		if !digits() {
			return i, endOr(data, i)
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if !digits() {
			return i, endOr(data, i)
		}
	}
	return i, None
}

// endOr tells input that stops too early from input that is wrong.
func endOr(data []byte, i int) Fault {
	if i >= len(data) {
		return Truncated
	}
	return Syntax
}

// literal checks for true, false or null at i.
func literal(data []byte, i int, word string) (int, Fault) {
	for j := range len(word) {
		if i+j >= len(data) {
			return i + j, Truncated
		}
		if data[i+j] != word[j] {
			return i + j, Syntax
		}
	}
	return i + len(word), None
}
