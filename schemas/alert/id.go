package alert

import (
	"crypto/sha1"
	"strconv"

	"github.com/google/uuid"

	"firstseen/schemas/wire"
)

// namespace is that of all alert ids.
var namespace = uuid.MustParse("6f1d1c1e-7b0a-5d2c-9a53-0f8f0a5e3b11")

// ID returns the id of an alert, a UUID of version 5, so that a replay makes the same one. kind is "alert", "overflow"
// or "gap"; key is the terms or the group; eventID is the own id of the event that fired, of the first match of its
// window, or of the first finding of the cap's window. A gap has no rule and no event: its key is topic, partition and
// first missing offset.
func ID(kind, rule, key, eventID string) uuid.UUID {
	name := append(make([]byte, 0, 512), namespace[:]...)
	for _, part := range [...]string{kind, rule, key, eventID} {
		name = append(strconv.AppendInt(name, int64(len(part)), 10), ':')
		name = append(name, part...)
	}
	sum := sha1.Sum(name) // as uuid.NewSHA1 does, without a hash on the heap
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0F|0x50, id[8]&0x3F|0x80 // version 5, variant of RFC 9562
	return id
}

// EventID returns what identifies the event of a match: its own id, else where it was read, which is
// topic/partition/offset/index or file/line/index.
func EventID(m *wire.Match) string {
	if m.EventID != "" {
		return m.EventID
	}
	o := &m.Origin
	id := make([]byte, 0, 128)
	if o.Topic != "" {
		id = append(append(id, o.Topic...), '/')
		id = append(strconv.AppendInt(id, int64(o.Partition), 10), '/')
		id = strconv.AppendInt(id, o.Offset, 10)
	} else {
		id = append(append(id, o.File...), '/')
		id = strconv.AppendInt(id, o.Line, 10)
	}
	return string(strconv.AppendInt(append(id, '/'), int64(o.Index), 10))
}
