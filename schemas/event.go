// Package schemas says what a record looks like: it takes the messages found on real topics apart, CloudTrail records
// and S3 access logs in any of their envelopes, and gives each record as an Event with ECS field names.
//
// It is pure: bytes in, events and dead letters out. Nothing that a message contains makes it fail or panic.
package schemas

import (
	"iter"

	"firstseen/schemas/wire"
)

// Dataset is the kind of record.
type Dataset uint8

// The datasets.
const (
	CloudTrail Dataset = 1 + iota
	S3Access
)

func (d Dataset) String() string {
	switch d {
	case CloudTrail:
		return "aws.cloudtrail"
	case S3Access:
		return "aws.s3access"
	}
	return "unknown"
}

// ParseDataset finds a dataset by its name.
func ParseDataset(name string) (Dataset, bool) {
	for _, d := range []Dataset{CloudTrail, S3Access} {
		if d.String() == name {
			return d, true
		}
	}
	return 0, false
}

// Kind is the JSON type of a value.
type Kind uint8

// The kinds of values. Every value of an S3 log line is a String.
const (
	String Kind = iota
	Number
	Bool
)

// Value is one value of a field. Empty strings and nulls are no values.
type Value struct {
	Text []byte // unescaped, invalid UTF-8 replaced by U+FFFD; a number as it was written. Valid until the next event.
	Kind Kind
	Elem int32 // index in the outermost JSON array of the record that the value is in, else 0
}

// Flags say what was wrong with a record that was evaluated all the same.
type Flags int32

const (
	// TimeClamped says that the time was later than the Kafka timestamp plus 15 minutes and became that timestamp.
	TimeClamped Flags = 1 << iota
	// TimeUnverified says that the message had no credible Kafka timestamp to compare the time with.
	TimeUnverified
	// TimeMissing says that the record had no time that could be read, the Kafka timestamp stands in.
	TimeMissing
	// Degraded says that the end of an access-log line could not be read; the first eight fields could.
	Degraded
)

var flagNames = [...]string{"time_clamped", "time_unverified", "time_missing", "degraded"}

// Names returns the names of the flags that are set, nil for none.
func (f Flags) Names() []string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Slot is where an event keeps the values of one field. The slot of a known field is its number; others come from a
// Layout.
type Slot int

// Event is one record, normalised. It belongs to the decoder and is valid during the call of Sink.Event only.
type Event struct {
	Dataset Dataset
	Time    int64 // event time in Unix milliseconds, clamped
	Flags   Flags
	Origin  wire.Origin
	Raw     []byte // the record as it came, without its envelope

	slots   [][]Value
	mirror  []Slot    // of an access log: where the values of each known field are
	used    []Slot    // that are not empty, apart from the constant ones
	objects [4][]byte // raw text of the flattened objects, in the order of flat
	id      []byte
}

// newEvent returns an event with the constant fields of its dataset.
func newEvent(d Dataset, layout *Layout) *Event {
	e := &Event{Dataset: d, slots: make([][]Value, layout.size)}
	if d == S3Access {
		e.mirror = mirrored[:]
	}
	for f, text := range Constants(d) {
		e.slots[f] = []Value{{Text: []byte(text)}}
	}
	return e
}

// Constants yields the fields that every event of a dataset has with the same value. They are not part of evidence.
func Constants(d Dataset) iter.Seq2[Field, string] {
	return func(yield func(Field, string) bool) {
		ok := yield(fKind, "event") && yield(fModule, "aws") && yield(fDataset, d.String()) &&
			yield(fStreamDataset, d.String()) && yield(fCloudProvider, "aws")
		if ok && d == S3Access {
			yield(fProvider, "s3.amazonaws.com")
		}
	}
}

func (e *Event) add(s Slot, v Value) {
	if len(e.slots[s]) == 0 {
		e.used = append(e.used, s)
	}
	e.slots[s] = append(e.slots[s], v)
}

func (e *Event) set(s Slot, v Value) {
	e.slots[s] = e.slots[s][:0]
	e.add(s, v)
}

// reset drops the values of the event before.
func (e *Event) reset() {
	for _, s := range e.used {
		e.slots[s] = e.slots[s][:0]
	}
	e.used, e.id, e.objects = e.used[:0], e.id[:0], [len(e.objects)][]byte{}
}

// Values returns the values of a field, none if the record does not have it.
func (e *Event) Values(s Slot) []Value {
	if uint(s) < uint(len(e.mirror)) {
		s = e.mirror[s]
	}
	if uint(s) >= uint(len(e.slots)) {
		return nil
	}
	return e.slots[s]
}

// Text returns the first value of a field, nil if the record does not have it.
func (e *Event) Text(s Slot) []byte {
	if v := e.Values(s); len(v) > 0 {
		return v[0].Text
	}
	return nil
}

// ID returns the record's own identity: the eventID of CloudTrail, requestid:operation:key of an access log; nil when
// it has none.
func (e *Event) ID() []byte {
	if e.Dataset == CloudTrail {
		return e.Text(Slot(fEventID))
	}
	if e.Text(Slot(fS3RequestID)) == nil {
		return nil
	}
	if len(e.id) == 0 {
		e.id = append(append(e.id, e.Text(Slot(fS3RequestID))...), ':')
		e.id = append(append(e.id, e.Text(Slot(fS3Operation))...), ':')
		e.id = append(e.id, e.Text(Slot(fS3Key))...)
	}
	return e.id
}
