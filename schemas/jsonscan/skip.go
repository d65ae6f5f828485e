package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// Skipper looks for the end of a value by counting brackets outside of strings. It does not validate: what it takes for
// one value may be none, but if the value is valid then the end is right. A zero Skipper begins at a value; when the
// data ended it can go on with more.
type Skipper struct {
	Depth int // highest level so far

	at     int // index to go on at
	level  int
	quoted bool // within a string
	begun  bool
	last   byte // the last byte outside of strings that is no white space
}

// Skip returns the index after the value that begins at i. For None the value ends there; for Broken it is cut off
// there, by a line break inside of a string, or by a line that begins with a brace where no value can begin, which is
// how a line of newline-delimited JSON looks that was not finished.
func Skip(data []byte, i int) (end int, fault Fault) {
	s := Skipper{at: i}
	return s.Next(data)
}

// At makes a Skipper for the value that begins at i.
func At(i int) Skipper { return Skipper{at: i} }

// Drop tells the Skipper that n bytes it has read are no longer at the begin of the data. At most all that it has read
// so far can be dropped.
func (s *Skipper) Drop(n int) { s.at -= n }

// Read returns how much of the data has been read: the index at which Next goes on.
func (s *Skipper) Read() int { return s.at }

// Next goes on. Data must have what it had before. Truncated means: not yet; call again with more data, or there is
// none.
func (s *Skipper) Next(data []byte) (end int, fault Fault) {
	i := s.at
	for {
		if s.quoted {
			i, fault = closing(data, i)
			if s.at = i; fault == Truncated {
				i = len(data)
			}
			if fault != None {
				return i, fault
			}
			s.quoted, s.last = false, '"'
			i++
			if s.level == 0 {
				return i, None
			}
			// What follows is mostly the next string.
			if i+2 < len(data) && data[i+1] == '"' && (data[i] == ':' || data[i] == ',') {
				s.quoted = true
				i += 2
				continue
			}
		}
		if i >= len(data) {
			s.at = i
			return i, s.unfinished()
		}
		switch c := data[i]; c {
		case '"':
			s.quoted, s.begun = true, true
		case '{', '[':
			s.begun = true
			s.level++
			s.Depth = max(s.Depth, s.level)
			s.last = c
		case '}', ']':
			s.level--
			s.last = c
			if s.level <= 0 {
				return i + max(0, s.level+1), None
			}
		case '\n':
			if s.level > 0 && !mayFollow(s.last) {
				if i+1 >= len(data) {
					s.at = i
					return len(data), Truncated
				}
				if data[i+1] == '{' {
					return i, Broken
				}
			}
			fallthrough
		case ' ', '\t', '\r':
			if s.level == 0 && s.begun {
				return i, None
			}
		case ',', ':':
			if s.level == 0 && s.begun {
				return i, None
			}
			s.last = c
		default:
			s.begun = true
			s.last = c
		}
		i++
	}
}

// unfinished tells a number or literal at the end of the data, which is complete, from anything else.
func (s *Skipper) unfinished() Fault {
	if s.level == 0 && s.begun && !s.quoted {
		return None
	}
	return Truncated
}

// mayFollow reports whether a value can follow that byte.
func mayFollow(last byte) bool { return last == '[' || last == ',' || last == ':' }

// closing returns the index of the quote that ends the string which i is in.
func closing(data []byte, i int) (int, Fault) {
	for {
		for i+8 <= len(data) {
			x := binary.LittleEndian.Uint64(data[i:])
			quote, slash, line := x^(ones*'"'), x^(ones*'\\'), x^(ones*'\n')
			m := ((quote-ones)&^quote | (slash-ones)&^slash | (line-ones)&^line) & highs
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(data) {
			return i, Truncated
		}
		switch data[i] {
		case '"':
			return i, None
		case '\n':
			return i, Broken
		case '\\':
			if i+1 >= len(data) {
				return i, Truncated
			}
			i++
			if data[i] == '\n' {
				return i, Broken
			}
		}
		i++
	}
}
