package literal

import (
	"bytes"
	"slices"
	"strings"

	"firstseen/schemas/jsonscan"
)

// index has the conditions that ask for a value of one key, by the value.
type index struct {
	key Needle // without quotes
	by  map[string]*alternatives
}

// maxPlaces is how often a record may have the key. What a forged one could cost has an end there.
const maxPlaces = 8

func (m *Matcher) index(key string) *index {
	for i := range m.keys {
		if m.keys[i].key.text == key {
			return &m.keys[i]
		}
	}
	m.keys = append(m.keys, index{New(key), map[string]*alternatives{}})
	return &m.keys[len(m.keys)-1]
}

// add puts a condition in. Clauses that a value itself fulfils are not checked with it.
func (x *index) add(values []string, all condition) {
	for _, value := range values {
		var rest condition
		for _, c := range all {
			if !slices.ContainsFunc(c.texts, func(text string) bool { return strings.Contains(value, text) }) {
				rest = append(rest, c)
			}
		}
		if x.by[value] == nil {
			x.by[value] = &alternatives{}
		}
		x.by[value].add(rest)
	}
}

// answer is what an index finds in a record.
type answer uint8

const (
	missing answer = iota // no key
	fails                 // a key, and no condition fulfilled
	holds                 // a condition fulfilled, or perhaps
)

// look reports whether the record fulfils a condition of the index. Every place that has the key counts, so that it does
// not matter which one is at the top level, or which of two counts. Where the key is not followed by a string, or is
// within one, it is not told what the value is, and it may be any.
func (x *index) look(record []byte) answer {
	found, at := missing, 0
	for range maxPlaces {
		i := x.key.Index(record[at:])
		if i < 0 {
			return found
		}
		start := at + i
		at = start + len(x.key.text)
		value, ok := valueOf(record, start, at)
		if !ok {
			return holds
		}
		if a := x.by[string(value)]; a != nil && a.passes(record) {
			return holds
		}
		found = fails
	}
	return holds
}

// valueOf returns the text of the string whose key is between start and end. One that has escapes is cut off or is as it
// is written; either way it has a backslash then, which no value of an index has.
func valueOf(record []byte, start, end int) (value []byte, ok bool) {
	if start == 0 || record[start-1] != '"' || end == len(record) || record[end] != '"' {
		return nil, false
	}
	colon := jsonscan.Space(record, end+1)
	if colon == len(record) || record[colon] != ':' {
		return nil, false
	}
	quote := jsonscan.Space(record, colon+1)
	if quote == len(record) || record[quote] != '"' {
		return nil, false
	}
	n := bytes.IndexByte(record[quote+1:], '"')
	if n < 0 {
		return nil, false
	}
	return record[quote+1 : quote+1+n], true
}
