package schemas

import "firstseen/schemas/internal/times"

// Times are Unix milliseconds.
const (
	maxAhead  = 15 * 60 * 1000 // how much later than its Kafka timestamp a record may claim to be
	firstOfS3 = 1136073600000  // 2006-01-01: no log is older, a Kafka timestamp before it is none
)

// clock is what the times of a message's records are compared with.
type clock struct {
	base  int64
	known bool
	flags Flags
}

func clockOf(m *Message) clock {
	switch {
	case m.Timestamp >= firstOfS3:
		return clock{base: m.Timestamp, known: true}
	case m.Now > 0:
		return clock{base: m.Now, known: true}
	}
	return clock{flags: TimeUnverified}
}

// settle decides the time of a record that claims t, or claims none. It reports whether there is one at all.
func (c clock) settle(t int64, claimed bool) (int64, Flags, bool) {
	switch {
	case !claimed:
		return c.base, c.flags | TimeMissing, c.known
	case c.known && t > c.base+maxAhead:
		return c.base, c.flags | TimeClamped, true
	}
	return t, c.flags, true
}

// appendTime appends the value of @timestamp.
func appendTime(dst []byte, millis int64) []byte {
	return times.Append(dst, millis)
}
