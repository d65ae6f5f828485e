package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/schemas"
)

// KeptValue is how much of a dead letter is written, as of the worker's: the rest is where it was read.
const KeptValue = 512 << 10

// DeadLetters counts what could not be read, and writes it to the file of --dlq.
type DeadLetters struct {
	To     *Lines // nil: only counted
	Counts map[schemas.Reason]int64
}

// DeadLetter is a line of that file. The value is in one of two keys: UTF-8 as it is, anything else as base64.
type DeadLetter struct {
	Reason      schemas.Reason `json:"reason"`
	Detail      string         `json:"detail"`
	File        string         `json:"file"`
	Line        int64          `json:"line"`   // from 1
	Offset      int64          `json:"offset"` // which value of the file it is or is in, from 0
	Index       int32          `json:"index"`  // which record of that value, from 0; -1: all of it
	Value       *string        `json:"value,omitempty"`
	ValueBase64 []byte         `json:"value_base64,omitempty"`
	Truncated   int            `json:"truncated,omitempty"` // bytes of the value, of which not all are here
}

// Letter is a dead letter as it is kept.
type Letter struct {
	reason schemas.Reason
	line   []byte // nil: it is only counted
}

// Size is the bytes of its line.
func (l Letter) Size() int { return len(l.line) }

// Add counts a dead letter and writes its line.
func (d *DeadLetters) Add(m *schemas.Message, l schemas.DeadLetter) { d.Put(d.Letter(m, l)) }

// Put counts and writes one that Letter has made.
func (d *DeadLetters) Put(l Letter) {
	d.Counts[l.reason]++
	if d.To != nil {
		d.To.Add(l.line)
	}
}

// Letter makes a line of a dead letter, which may be written later. Any goroutine may call it.
func (d *DeadLetters) Letter(m *schemas.Message, l schemas.DeadLetter) Letter {
	if d.To == nil {
		return Letter{reason: l.Reason}
	}
	out := DeadLetter{Reason: l.Reason, Detail: l.Detail, File: m.File, Line: l.Line, Offset: m.Offset, Index: l.Index}
	value := l.Value
	if len(value) > KeptValue {
		out.Truncated = len(value)
		value = value[:KeptValue]
		for i := 0; i < utf8.UTFMax && !utf8.RuneStart(l.Value[len(value)]); i++ {
			value = value[:len(value)-1]
		}
	}
	if utf8.Valid(value) {
		text := string(value)
		out.Value = &text
	} else {
		out.ValueBase64 = value
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out) // it always encodes
	return Letter{l.Reason, b.Bytes()}
}

// String is how many there are of each reason, and where they are.
func (d *DeadLetters) String() string {
	total, why := int64(0), []string{}
	for _, reason := range schemas.Reasons() {
		if n := d.Counts[reason]; n > 0 {
			total += n
			why = append(why, string(reason)+" "+show.Grouped(n))
		}
	}
	switch {
	case total == 0:
		return "0"
	case d.To == nil:
		return show.Grouped(total) + ": " + strings.Join(why, ", ") + "; --dlq FILE keeps them"
	}
	return show.Grouped(total) + ": " + strings.Join(why, ", ") + "; they are in " + d.To.Name
}
