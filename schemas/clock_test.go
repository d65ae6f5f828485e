package schemas

import (
	"testing"
	"time"
)

// Times that lie become the time of the message; a message without a time vouches for nothing.
func TestClock(t *testing.T) {
	const quarter = 15 * 60 * 1000
	for _, test := range []struct {
		name       string
		kafka, now int64
		event      int64 // 0: none
		want       int64 // 0: dead
		flags      Flags
	}{
		{"before the message", now, 0, now - 5000, now - 5000, 0},
		{"years before the message", now, 0, now - 1e11, now - 1e11, 0},
		{"15 minutes ahead", now, 0, now + quarter, now + quarter, 0},
		{"more than 15 minutes ahead", now, 0, now + quarter + 1, now, TimeClamped},
		{"no time", now, 0, 0, now, TimeMissing},
		{"no Kafka timestamp", -1, 0, now + 1e12, now + 1e12, TimeUnverified},
		{"Kafka timestamp of 1970", 1000, 0, now, now, TimeUnverified},
		{"Kafka timestamp before 2006", firstOfS3 - 1, 0, now, now, TimeUnverified},
		{"Kafka timestamp of 2006", firstOfS3, 0, now, firstOfS3, TimeClamped},
		{"no time at all", -1, 0, 0, 0, 0},
		{"file", -1, now, now - 5000, now - 5000, 0},
		{"file, future", -1, now, now + quarter + 1, now, TimeClamped},
		{"file, no time", -1, now, 0, now, TimeMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			record := `{"remoteip":"1.2.3.4"}`
			if test.event != 0 {
				record = `{"remoteip":"1.2.3.4","time":"` + time.UnixMilli(test.event).UTC().Format("2006-01-02T15:04:05.000Z") + `"}`
			}
			var reasons deadReasons
			reasons.event = func(e *Event) {
				if e.Time != test.want || e.Flags != test.flags {
					t.Errorf("%d %v, want %d %v", e.Time, e.Flags.Names(), test.want, test.flags.Names())
				}
			}
			s := NewDecoder(Config{}).Decode(Message{Value: []byte(record), Timestamp: test.kafka, Now: test.now}, &reasons)
			if test.want == 0 && (len(reasons.reasons) != 1 || reasons.reasons[0] != NoTime) {
				t.Errorf("%+v %v", s, reasons.reasons)
			}
			if s.Unverified > 0 != (test.flags&TimeUnverified != 0) {
				t.Errorf("%+v", s)
			}
		})
	}
}

type deadReasons struct {
	event   func(*Event)
	reasons []Reason
}

func (d *deadReasons) Event(e *Event)    { d.event(e) }
func (d *deadReasons) Dead(l DeadLetter) { d.reasons = append(d.reasons, l.Reason) }
