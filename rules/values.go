package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"firstseen/schemas"
)

const (
	sourceAddress   = "source.address"
	maxFields       = 3    // of new terms
	maxCombinations = 4096 // of terms in one record: three long arrays in a forged one would make billions
	maxValue        = 1024 // bytes of a term or a group value; Elastic's keywords end there too
	maxTitle        = 1000 // characters; Panther cuts there
	cutTitle        = 985
)

// term is a field of new terms.
type term struct {
	slot    schemas.Slot
	address bool
}

// part of a title: text, or a field with the text that stands for its absence.
type part struct {
	text  string
	field bool
	slot  schemas.Slot
}

// canonicalName is the ECS name of a field that has others.
func canonicalName(name string) string {
	if f, ok := schemas.Known(name); ok {
		return f.Name()
	}
	return name
}

func isAddress(name string) bool {
	return schemas.FieldType(name) == schemas.IP || strings.HasSuffix(canonicalName(name), ".address")
}

func (r *Rule) combinations(e *schemas.Event) int {
	n := 1
	for _, t := range r.terms {
		if n *= len(e.Values(t.slot)); n > maxCombinations {
			return n
		}
	}
	return n
}

// EachTerms calls yield for each combination of the values of the rule's fields, in the order of the fields and, within
// one, of the record. A field without a value leaves no combination; a value that is there twice counts once. Addresses
// are canonical: RFC 5952, no zone, IPv4-mapped ones IPv4 unless strict; other values, a service's name in an address
// field too, are verbatim. A value longer than 1024 bytes becomes its beginning and its SHA-256.
// The slice and what is in it are valid during the call.
func (r *Rule) EachTerms(e *schemas.Event, yield func(values [][]byte)) {
	if len(r.terms) == 0 {
		return
	}
	var lists [maxFields][][]byte
	for i, t := range r.terms {
		for _, v := range e.Values(t.slot) {
			value := bound(r.canonical(t, v.Text))
			if len(lists[i]) == 0 || !contains(lists[i], value) {
				lists[i] = append(lists[i], value)
			}
		}
	}
	values := make([][]byte, len(r.terms))
	var fill func(i int)
	fill = func(i int) {
		if i == len(values) {
			yield(values)
			return
		}
		for _, values[i] = range lists[i] {
			fill(i + 1)
		}
	}
	fill(0)
}

func contains(list [][]byte, value []byte) bool {
	return slices.ContainsFunc(list, func(v []byte) bool { return string(v) == string(value) })
}

func (r *Rule) canonical(t term, value []byte) []byte {
	if !t.address {
		return value
	}
	if a, ok := schemas.ParseIP(value, r.strict); ok {
		return a.AppendTo(make([]byte, 0, 39))
	}
	return value
}

// bound keeps a value that a client may make as long as it likes from filling keys: what is cut stays distinct.
func bound(value []byte) []byte {
	if len(value) <= maxValue {
		return value
	}
	sum := sha256.Sum256(value)
	end := maxValue - 2*len(sum) - len("...")
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	out := append(make([]byte, 0, maxValue), value[:end]...)
	return hex.AppendEncode(append(out, "..."...), sum[:])
}

// KeyedBySource says whether candidates go by their source address alone, so that one worker sees all of an address.
// Otherwise they go by all their terms.
func (r *Rule) KeyedBySource() bool { return r.sourceKey >= 0 }

// SourceTerm is which of the terms is the source address, -1 if none is.
func (r *Rule) SourceTerm() int { return r.sourceKey }

// Title writes the title of an alert about the event. Several values of a field are joined by a comma. A title longer
// than 1000 characters is cut to 985 and says so, as Panther does, which groups by it.
func (r *Rule) Title(e *schemas.Event) string { return string(r.AppendTitle(nil, e)) }

// AppendTitle appends the title to dst.
func (r *Rule) AppendTitle(dst []byte, e *schemas.Event) []byte {
	from := len(dst)
	for _, p := range r.title {
		values := e.Values(p.slot)
		if !p.field || len(values) == 0 {
			dst = append(dst, p.text...)
			continue
		}
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, v.Text...)
			if len(dst)-from > maxTitle*utf8.UTFMax {
				break
			}
		}
	}
	if len(dst)-from > maxTitle {
		return append(dst[:from], cut(string(dst[from:]))...)
	}
	return dst
}

func cut(title string) string {
	if len(title) <= maxTitle || utf8.RuneCountInString(title) <= maxTitle {
		return title
	}
	n := 0
	for i := range title {
		if n == cutTitle {
			return title[:i] + "... (truncated)"
		}
		n++
	}
	return title
}

// Group is the key of the group that a finding belongs to: the rule, and what the rule dedups by, its title or fields. A
// rule that does not dedup has one group when its alerts are capped, and else a group for each terms or source address:
// then groups only spread the work.
func (r *Rule) Group(e *schemas.Event, title string, terms [][]byte) string {
	return string(r.AppendGroup(nil, e, []byte(title), terms))
}

// AppendGroup appends the key to dst.
func (r *Rule) AppendGroup(dst []byte, e *schemas.Event, title []byte, terms [][]byte) []byte {
	dst = append(dst, r.text.ID...)
	add := func(value []byte) { dst = append(append(dst, 0), escapeNUL(bound(value))...) }
	switch {
	case len(r.groupBy) > 0:
		for _, slot := range r.groupBy {
			add(joined(e.Values(slot)))
		}
	case r.text.Dedup != nil && r.titleVaries:
		dst = append(append(dst, 0), title...)
	case r.text.Dedup != nil || r.text.MaxAlerts != nil:
	case len(terms) > 0:
		for _, t := range terms {
			add(t)
		}
	default:
		add(e.Text(schemas.Slot(sourceField)))
	}
	return dst
}

var sourceField, _ = schemas.Known(sourceAddress)

func joined(values []schemas.Value) []byte {
	if len(values) == 1 {
		return values[0].Text
	}
	var b []byte
	for i, v := range values {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, v.Text...)
	}
	return b
}

// escapeNUL keeps the values of a group key apart, which NULs separate.
func escapeNUL(value []byte) []byte {
	if bytes.IndexByte(value, 0) < 0 && bytes.IndexByte(value, '\\') < 0 {
		return value
	}
	return []byte(strings.NewReplacer(`\`, `\\`, "\x00", `\0`).Replace(string(value)))
}

// Summary calls yield for each value of each attribute that the rule counts in a window, by the name in the rule file.
// The value is valid during the call.
func (r *Rule) Summary(e *schemas.Event, yield func(attribute string, value []byte)) {
	for i, slot := range r.summary {
		for _, v := range e.Values(slot) {
			yield(r.text.SummaryAttributes[i], bound(v.Text))
		}
	}
}
