package kql

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is what a token is.
type kind byte

const (
	atEnd kind = iota
	parenOpen
	parenClose
	braceOpen
	braceClose
	colon
	comparison // < <= > >=
	keywordAnd
	keywordOr
	keywordNot
	literal
)

// token is one word of the query; query[at:to] is how it was written.
type token struct {
	kind   kind
	op     op    // of a comparison
	value  value // of a literal
	quoted bool
	at, to int
}

// scanner cuts a query into tokens. A bare literal may hold spaces: it ends at a special character, a keyword or the end.
type scanner struct {
	query string
	pos   int
}

const special = `\():<>"*{}`

func (s *scanner) next() (token, error) {
	s.pos += spaces(s.query[s.pos:])
	start, rest := s.pos, s.query[s.pos:]
	t := token{at: start}
	width := 1
	switch {
	case rest == "":
		t.kind, width = atEnd, 0
	case rest[0] == '(':
		t.kind = parenOpen
	case rest[0] == ')':
		t.kind = parenClose
	case rest[0] == '{':
		t.kind = braceOpen
	case rest[0] == '}':
		t.kind = braceClose
	case rest[0] == ':':
		t.kind = colon
	case strings.HasPrefix(rest, "<="):
		t.kind, t.op, width = comparison, lessEqual, 2
	case strings.HasPrefix(rest, ">="):
		t.kind, t.op, width = comparison, greaterEqual, 2
	case rest[0] == '<':
		t.kind, t.op = comparison, less
	case rest[0] == '>':
		t.kind, t.op = comparison, greater
	case rest[0] == '"':
		return s.quoted()
	default:
		if t.kind, width = keyword(rest); width == 0 {
			return s.bare()
		}
	}
	s.pos += width
	t.to = s.pos
	return t, nil
}

// spaces counts the bytes of white space in front, the no-break space included.
func spaces(s string) int {
	n := 0
	for n < len(s) {
		switch {
		case s[n] == ' ' || s[n] == '\t' || s[n] == '\r' || s[n] == '\n':
			n++
		case strings.HasPrefix(s[n:], "\u00a0"):
			n += len("\u00a0")
		default:
			return n
		}
	}
	return n
}

var keywords = []struct {
	word string
	kind kind
}{{"and", keywordAnd}, {"or", keywordOr}, {"not", keywordNot}}

// keyword finds a keyword that is a whole word in front; `not:` is a field name and `or*` a pattern.
func keyword(s string) (kind, int) {
	for _, k := range keywords {
		n := len(k.word)
		if len(s) < n || !strings.EqualFold(s[:n], k.word) {
			continue
		}
		if rest := s[n:]; rest == "" || spaces(rest) > 0 || strings.IndexByte(`(){}"`, rest[0]) >= 0 {
			return k.kind, n
		}
	}
	return literal, 0
}

func (s *scanner) quoted() (token, error) {
	start := s.pos
	var text []byte
	for i := start + 1; i < len(s.query); {
		c := s.query[i]
		switch {
		case c == '"':
			s.pos = i + 1
			return token{kind: literal, value: value{string(text)}, quoted: true, at: start, to: s.pos}, nil
		case c != '\\':
			text = append(text, c)
			i++
		default:
			r, n := escape(s.query[i:], `\"`)
			if n == 0 { // any other backslash in quotes is one
				r, n = `\`, 1
			}
			text = append(text, r...)
			i += n
		}
	}
	return token{}, &Error{Offset: start, Message: "this quote is never closed", Suggestion: `put a " at the end of the value`}
}

func (s *scanner) bare() (token, error) {
	start, i := s.pos, s.pos
	var pieces value
	var text []byte
	for i < len(s.query) {
		if n := spaces(s.query[i:]); n > 0 { // part of the literal only if a word of it follows
			rest := s.query[i+n:]
			if _, w := keyword(rest); rest == "" || w > 0 || strings.IndexByte(`():<>"{}`, rest[0]) >= 0 {
				break
			}
			text = append(text, s.query[i:i+n]...)
			i += n
			continue
		}
		c := s.query[i]
		if c == '*' {
			if len(text) > 0 || len(pieces) == 0 { // ** is *
				pieces, text = append(pieces, string(text)), nil
			}
			i++
			continue
		}
		if c != '\\' {
			if strings.IndexByte(special, c) >= 0 {
				break
			}
			text = append(text, c)
			i++
			continue
		}
		r, n := escape(s.query[i:], special)
		if n == 0 {
			return token{}, &Error{Offset: i, Message: "this backslash escapes nothing",
				Suggestion: `write \\ for a backslash, or put the value in quotes`}
		}
		text = append(text, r...)
		i += n
	}
	s.pos = i
	return token{kind: literal, value: append(pieces, string(text)), at: start, to: i}, nil
}

// escape reads a backslash sequence: one of the characters given, white space, \uXXXX, or (in bare text, where `(` can be
// escaped) a keyword, of which only the first letter is taken. It returns the text and the bytes read, 0 if it is none.
func escape(s, chars string) (string, int) {
	if len(s) < 2 {
		return "", 0
	}
	if chars == special {
		if _, n := keyword(s[1:]); n > 0 {
			return s[1:2], 2
		}
		for _, k := range keywords[:2] { // \order is order, but \nothing begins with a line feed
			if n := len(k.word); len(s) > n && strings.EqualFold(s[1:1+n], k.word) {
				return s[1:2], 2
			}
		}
	}
	switch c := s[1]; {
	case strings.IndexByte(chars, c) >= 0:
		return s[1:2], 2
	case c == 't':
		return "\t", 2
	case c == 'r':
		return "\r", 2
	case c == 'n':
		return "\n", 2
	case c == 'u':
		return unicodeEscape(s)
	}
	return "", 0
}

// unicodeEscape reads \uXXXX or a surrogate pair of them; half a pair is U+FFFD, as events hold it.
func unicodeEscape(s string) (string, int) {
	r, ok := hex4(s)
	if !ok {
		return "", 0
	}
	n := 6
	if utf16.IsSurrogate(r) {
		low, ok := hex4(s[6:])
		if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
			n = 12
		}
	}
	return string(r), n
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}
