// Package literal looks at raw records whether a rule can match them, to spare parsing those that none can.
package literal

import (
	"bytes"
	"slices"
	"strings"
)

// Condition is what a record must have for a rule to match: a value, and of each clause one of the literals.
type Condition struct {
	Key     string   // of the value, at the top level of the record; "": no value is asked for
	Values  []string // the value is one of these
	Clauses [][]string
}

// Matcher knows conditions of which a record has to fulfil one. It belongs to one goroutine: it learns from the records
// in which order to ask.
type Matcher struct {
	known  bool         // records have the key of the first index
	keys   []index      // conditions that ask for a value, by its key
	others alternatives // conditions that do not
}

// NewMatcher returns a matcher of these conditions; nil if every record passes, or if finding out would cost more than it
// spares. Literals and values that JSON may write in more than one way other than by \u are not looked for: what they
// are part of passes. What lacks the key, unless that is "", is no record of the kind that the conditions are about: it
// passes too.
func NewMatcher(key string, conditions []Condition) *Matcher {
	m := &Matcher{known: key != ""}
	if m.known {
		m.index(key)
	}
	for _, c := range conditions {
		checked, never := newClauses(c.Clauses)
		switch {
		case never:
		case c.Key != "" && !slices.ContainsFunc(c.Values, ambiguous):
			m.index(c.Key).add(c.Values, checked)
		default:
			m.others.add(checked)
		}
	}
	if m.others.settle(); m.others.always {
		return nil
	}
	for i := range m.keys {
		for _, a := range m.keys[i].by {
			a.settle()
		}
	}
	return m
}

// newClauses leaves the clauses out that cannot be looked for. A clause without literals can never be fulfilled.
func newClauses(texts [][]string) (list []clause, never bool) {
	for _, literals := range texts {
		if len(literals) == 0 {
			return nil, true
		}
		if !slices.ContainsFunc(literals, ambiguous) {
			list = append(list, newClause(literals))
		}
	}
	return list, false
}

func ambiguous(text string) bool {
	return text == "" || strings.ContainsAny(text, "\"\\\uFFFD\x00\x01\x02\x03\x04\x05\x06\a\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f")
}

// Passes reports whether the record fulfils a condition, or may hide that it does behind escapes. Everything passes a
// nil matcher. A record that has another within it passes if that one does.
func (m *Matcher) Passes(record []byte) bool {
	if m == nil {
		return true
	}
	for i := range m.keys {
		switch m.keys[i].look(record) {
		case holds:
			return true
		case missing:
			if i == 0 && m.known {
				return true
			}
		}
	}
	return m.others.passes(record) || m.asks() && mayHide(record)
}

// asks reports whether there is a condition at all.
func (m *Matcher) asks() bool {
	return len(m.others.list) > 0 || slices.ContainsFunc(m.keys, func(x index) bool { return len(x.by) > 0 })
}

// mayHide reports whether the record has an escape that can stand for a letter or a slash. A backslash that is escaped
// itself counts like any other: the record may be the envelope of another, which is in a string of it.
func mayHide(record []byte) bool {
	for {
		i := bytes.IndexByte(record, '\\')
		if i < 0 || i+1 == len(record) {
			return false
		}
		if c := record[i+1]; c == 'u' || c == '/' {
			return true
		}
		record = record[i+1:]
	}
}
