package schemas

import (
	"bytes"
	"slices"
	"strings"
)

// Filter is a condition that every record which a rule can match fulfils: for each clause the record contains one of
// its literals. It is checked before the record is parsed. No clauses: every record passes.
type Filter struct{ Clauses [][]string }

// matcher is a compiled Filter. It belongs to one decoder: the clauses move.
type matcher struct {
	clauses [][]needle
	never   bool // a clause without literals: nothing passes
}

// needle is a literal, searched for by its rarest byte.
type needle struct {
	text string
	rare int
}

// commonFirst are the bytes of CloudTrail records, the most frequent one first (counted over the 2,900 records of the
// invictus-ir dataset).
const commonFirst = `"earts:n-oi2c,1dum30.7AlpI8v94/wfSb g65yCTDEh{}NRHPMVQFzqxZkUjKB()GOL+JX;_W[]Y\%=*'!$&?`

// newMatcher drops the clauses that cannot be checked on raw bytes: those with an empty literal, or one that JSON may
// write in more than one way other than by \u.
func newMatcher(f *Filter) *matcher {
	if f == nil {
		return nil
	}
	m := &matcher{}
	for _, literals := range f.Clauses {
		m.never = m.never || len(literals) == 0
		var clause []needle
		for _, text := range literals {
			if text == "" || strings.ContainsAny(text, "\"\\\uFFFD\x00\x01\x02\x03\x04\x05\x06\a\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f") {
				clause = nil
				break
			}
			clause = append(clause, newNeedle(text))
		}
		if clause != nil {
			m.clauses = append(m.clauses, clause)
		}
	}
	if len(m.clauses) == 0 && !m.never {
		return nil
	}
	slices.SortStableFunc(m.clauses, func(a, b []needle) int { return len(a) - len(b) })
	return m
}

func newNeedle(text string) needle { return needle{text, rarest(text)} }

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

// passes reports whether the record may match a rule.
func (m *matcher) passes(record []byte) bool {
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

func containsAny(record []byte, clause []needle) bool {
	for i := range clause {
		if clause[i].in(record) {
			return true
		}
	}
	return false
}

func (n *needle) in(record []byte) bool { return n.index(record) >= 0 }

// index is bytes.Index, which looks for the first byte.
func (n *needle) index(record []byte) int {
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
