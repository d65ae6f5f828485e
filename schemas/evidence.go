package schemas

import (
	"encoding/binary"
	"iter"
	"unicode/utf8"

	"firstseen/schemas/jsonscan"
)

// Evidence is what an alert shows of the event that it is about: of every value the field's number and its length as
// uvarints, and its bytes. A field with several values is there several times. Numbers that a build does not know are
// skipped, so old and new workers read each other's.
//
// What an access log has under two names is written once and read under both; constant fields are not written.
type Evidence []byte

const (
	evidenceBytes  = 1024 // of a value; the rest is cut off
	evidenceValues = 32   // of a field; the rest is left out
)

// FieldEnd is above the number of every field that this build knows.
const FieldEnd = fieldEnd

// copies are, by field, the fields that have the same value in every access log.
var copies = func() (c [fieldEnd][]Field) {
	for _, m := range mirrors {
		c[m.of] = append(c[m.of], m.field)
	}
	return c
}()

// shown are the fields of an event of each dataset that are written.
var shown = func() (of [S3Access + 1][]Field) {
	for f := range fieldEnd {
		if !fields[f].show {
			continue
		}
		of[CloudTrail] = append(of[CloudTrail], f)
		if mirrored[f] == Slot(f) {
			of[S3Access] = append(of[S3Access], f)
		}
	}
	return of
}()

// AppendEvidence appends the event's Evidence to dst.
func (e *Event) AppendEvidence(dst []byte) []byte {
	for _, f := range shown[e.Dataset] {
		values := e.slots[f]
		for _, v := range values[:min(len(values), evidenceValues)] {
			dst = appendField(dst, f, v.Text)
		}
		if len(values) > 0 || f < fRequestText || int(f-fRequestText) >= len(e.objects) {
			continue
		}
		// No rule asked for the text of this object, so it has not been made.
		if object := e.objects[f-fRequestText]; object != nil {
			if text, _ := jsonscan.AppendText(nil, object, 0); len(text) > 0 {
				dst = appendField(dst, f, text)
			}
		}
	}
	return dst
}

func appendField(dst []byte, f Field, text []byte) []byte {
	if len(text) > evidenceBytes {
		cut := evidenceBytes
		for cut > evidenceBytes-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	dst = binary.AppendUvarint(dst, uint64(f))
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// All yields every value of every known field. Damaged evidence ends where the damage is.
func (e Evidence) All() iter.Seq2[Field, []byte] {
	return func(yield func(Field, []byte) bool) {
		for rest := e; len(rest) > 0; {
			number, n := binary.Uvarint(rest)
			if n <= 0 {
				return
			}
			size, m := binary.Uvarint(rest[n:])
			if m <= 0 || size > uint64(len(rest)-n-m) {
				return
			}
			value := rest[n+m : n+m+int(size)]
			rest = rest[n+m+int(size):]
			if number >= uint64(fieldEnd) || fields[number].name == "" {
				continue
			}
			if !yield(Field(number), value) {
				return
			}
			for _, f := range copies[number] {
				if !yield(f, value) {
					return
				}
			}
		}
	}
}

// Texts yields what All does, as strings that share one copy of the evidence.
func (e Evidence) Texts() iter.Seq2[Field, string] {
	return func(yield func(Field, string) bool) {
		text := string(e)
		for f, value := range e.All() {
			from := cap(e) - cap(value) // a value is a part of the evidence and has all of its capacity behind it
			if !yield(f, text[from:from+len(value)]) {
				return
			}
		}
	}
}

// Get returns the first value of the field with that name, nil if there is none.
func (e Evidence) Get(name string) []byte {
	want, ok := Known(name)
	if !ok {
		return nil
	}
	for f, value := range e.All() {
		if f == want {
			return value
		}
	}
	return nil
}
