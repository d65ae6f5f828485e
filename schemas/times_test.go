package schemas

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTime(t *testing.T) {
	const at = 1707177638000 // 2024-02-06T00:00:38Z
	for text, want := range map[string]int64{
		"2024-02-06T00:00:38Z":          at,
		"2024-02-06T00:00:38.5Z":        at + 500,
		"2024-02-06T00:00:38.123456Z":   at + 123,
		"2024-02-06T01:30:38+01:30":     at,
		"2024-02-05t16:00:38-08:00":     at,
		"2024-02-06 00:00:38":           at,
		"2024-02-06 00:00:38.250":       at + 250,
		"2024-02-06T00:00:38":           at,
		"[06/Feb/2024:00:00:38 +0000]":  at,
		"[05/Feb/2024:16:00:38 -0800]":  at,
		"1707177638":                    at,
		"1707177638.5":                  at + 500,
		"1707177638000":                 at,
		"1.707177638e9":                 at,
		"2024-02-29T00:00:00Z":          1709164800000,
		"1969-12-31T23:59:59Z":          -1000,
		"2016-12-31T23:59:60Z":          1483228800000, // a leap second
		"":                              0,
		"-":                             0,
		"2023-02-29T00:00:00Z":          0,
		"2024-13-01T00:00:00Z":          0,
		"2024-02-06T24:00:00Z":          0,
		"2024-02-06T00:00:38Zx":         0,
		"2024-02-06T00:00:38+0100":      0,
		"2024-02-06X00:00:38Z":          0,
		"06/Feb/2024:00:00:38 +0000":    0,
		"[31/Apr/2024:00:00:38 +0000]":  0,
		"[06/Fex/2024:00:00:38 +0000]":  0,
		"[06/ebM/2024:00:00:38 +0000]":  0,
		"yesterday":                     0,
		"0":                             0,
		"-5":                            0,
		"99999999999999999999999999999": 0,
	} {
		got, ok := parseTime([]byte(text))
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, ok, want)
		}
	}
}

func TestParseTimeAgainstTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := time.UnixMilli(rapid.Int64Range(-62135596800000+86400000, 253402300799000-86400000).Draw(r, "ms")).
			In(time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(r, "zone")))
		if got, ok := parseTime([]byte(want.Format("2006-01-02T15:04:05.000Z07:00"))); !ok || got != want.UnixMilli() {
			r.Fatalf("%s: %d, %v", want, got, ok)
		}
		if got, ok := parseTime([]byte(want.Format("[02/Jan/2006:15:04:05 -0700]"))); !ok || got != want.Unix()*1000 {
			r.Fatalf("%s in brackets: %d, %v", want, got, ok)
		}
	})
}

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
