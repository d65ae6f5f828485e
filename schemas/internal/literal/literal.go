// Package literal finds literals in raw records, to spare parsing those that no rule can match.
package literal

import (
	"bytes"
	"slices"
	"strings"
)

// Matcher is a condition: for each clause a record contains one of its literals. It belongs to one goroutine: the clauses
// move.
type Matcher struct {
	clauses [][]Needle
	never   bool // a clause without literals: nothing passes
}

// Needle is a literal, searched for by its rarest byte.
type Needle struct {
	text string
	rare int
}

// commonFirst are the bytes of CloudTrail records, the most frequent one first (counted over the 2,900 records of the
// invictus-ir dataset).
const commonFirst = `"earts:n-oi2c,1dum30.7AlpI8v94/wfSb g65yCTDEh{}NRHPMVQFzqxZkUjKB()GOL+JX;_W[]Y\%=*'!$&?`

// NewMatcher returns a matcher of these clauses, nil if there is nothing to check. It drops the clauses that cannot be
// checked on raw bytes: those with an empty literal, or one that JSON may write in more than one way other than by \u.
func NewMatcher(clauses [][]string) *Matcher {
	m := &Matcher{}
	for _, literals := range clauses {
		m.never = m.never || len(literals) == 0
		var clause []Needle
		for _, text := range literals {
			if text == "" || strings.ContainsAny(text, "\"\\\uFFFD\x00\x01\x02\x03\x04\x05\x06\a\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f") {
				clause = nil
				break
			}
			clause = append(clause, New(text))
		}
		if clause != nil {
			m.clauses = append(m.clauses, clause)
		}
	}
	if len(m.clauses) == 0 && !m.never {
		return nil
	}
	slices.SortStableFunc(m.clauses, func(a, b []Needle) int { return len(a) - len(b) })
	return m
}

// New returns a needle.
func New(text string) Needle { return Needle{text, rarest(text)} }

func rarest(text string) int {
	best, rank := 0, -1
	for i := range len(text) {
		r := strings.IndexByte(commonFirst, text[i])
		if r < 0 {
			return i
		}
		if r > rank {
			best, rank = i, r
		}
	}
	return best
}

// Passes reports whether the record fulfils the condition, or may hide that it does behind escapes. Everything passes a
// nil matcher.
func (m *Matcher) Passes(record []byte) bool {
	if m == nil || m.never {
		return m == nil
	}
	for i, clause := range m.clauses {
		if containsAny(record, clause) {
			continue
		}
		// The clause that rejects gets checked earlier next time; which one it is changes nothing.
		if i > 0 {
			m.clauses[i-1], m.clauses[i] = m.clauses[i], m.clauses[i-1]
		}
		return mayHide(record)
	}
	return true
}

func containsAny(record []byte, clause []Needle) bool {
	for i := range clause {
		if clause[i].Index(record) >= 0 {
			return true
		}
	}
	return false
}

// Index is bytes.Index; that one looks for the first byte, this one for the rarest.
func (n *Needle) Index(record []byte) int {
	c := n.text[n.rare]
	for at := n.rare; at < len(record); at++ {
		i := bytes.IndexByte(record[at:], c)
		if i < 0 {
			return -1
		}
		at += i
		start := at - n.rare
		if len(record)-start < len(n.text) {
			return -1
		}
		if string(record[start:start+len(n.text)]) == n.text {
			return start
		}
	}
	return -1
}

// mayHide reports whether the record has an escape that can stand for a letter or a slash.
func mayHide(record []byte) bool {
	for at := 0; ; {
		i := bytes.IndexByte(record[at:], '\\')
		if i < 0 || at+i+1 >= len(record) {
			return false
		}
		if c := record[at+i+1]; c == 'u' || c == '/' {
			return true
		}
		at += i + 2
	}
}

// Text returns the literal.
func (n *Needle) Text() string { return n.text }
