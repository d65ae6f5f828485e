package schemas

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// checkSink checks what every event and dead letter promises.
type checkSink struct {
	t     *testing.T
	m     Message
	next  int32
	value int
}

func (c *checkSink) index(i int32) {
	if i < c.next {
		c.t.Fatalf("index %d after %d", i, c.next-1)
	}
	c.next = i + 1
}

func (c *checkSink) Event(e *Event) {
	c.index(e.Origin.Index)
	if e.Time == 0 && e.Flags == 0 || c.m.Timestamp == now && e.Time > now+maxAhead {
		c.t.Fatalf("time %d", e.Time)
	}
	for s := range e.slots {
		for _, v := range e.Values(Slot(s)) {
			if len(v.Text) == 0 {
				c.t.Fatalf("slot %d has an empty value", s)
			}
			c.value += len(v.Text)
		}
	}
	e.ID()
	for range Evidence(e.AppendEvidence(nil)).All() {
	}
}

func (c *checkSink) Dead(l DeadLetter) {
	if l.Index == -1 {
		l.Index = 0
		if !bytes.Equal(l.Value, c.m.Value) {
			c.t.Fatalf("a dead message has another value: %q", l.Value)
		}
	}
	c.index(l.Index)
	for _, r := range Reasons() {
		if r == l.Reason {
			return
		}
	}
	c.t.Fatalf("reason %q", l.Reason)
}

// FuzzDecode gives the decoder anything: it must not panic, must account for every record, and a filter must not
// change which records there are.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "x", anonymous, accessLine, pantherJSON, notification, insight, digest, testEvent, pretty(anonymous), gzipped(anonymous),
		`{"Records":[` + anonymous + `,null,{"eventVersion":"2},` + anonymous + `]}`, `{"message":` + quote(anonymous) + `}`, `{"message":"` + "\\",
		`{"messageType":"DATA_MESSAGE","logEvents":[{"message":` + quote(accessLine) + `}]}`, `{"detail-type":"x via CloudTrail","detail":` + anonymous + `}`,
		`{"schema":{"type":"bytes"},"payload":"eyJhIjoxfQ=="}`, "2026-03-10T12:10:15.123Z host " + accessLine, "{\"a\":1\n{\"b\":\n{", `{"Records":[{"a":[{"a":`,
		strings.Repeat("[", 300), strings.Repeat(`{"logEvents":[`, 50), `{"a":1}}`, `]`, `}`, `,`, `"`, "\xef\xbb\xbf\"{\\\"a\\\":1}\"", "{\"eventName\":\"A\",\"eventTime\":\"x\",\"requestParameters\":{\"a\":[[],{\"b\":[\"\",null]}]}}"} {
		f.Add([]byte(s), int64(now))
	}
	cfg := Config{
		Layout:  NewLayout([]string{"*", "user.*", "aws.cloudtrail.flattened.request_parameters.a.b"}),
		Bounds:  Bounds{MessageBytes: 1 << 20, RecordBytes: 1 << 16, Records: 1000},
		Filters: map[Dataset]*Filter{CloudTrail: {}, S3Access: {}},
	}
	d := NewDecoder(cfg)
	f.Fuzz(func(t *testing.T, value []byte, timestamp int64) {
		m := Message{Value: value, Timestamp: timestamp}
		events := 0
		for range 2 {
			s := d.DecodeUnfiltered(m, &checkSink{t: t, m: m})
			events = s.Events
			if s.Records != s.Events+s.Filtered+s.Skipped+s.Dead || s.Records == 0 || s.Filtered > 0 {
				t.Fatalf("%+v", s)
			}
		}
		// A filter that nothing passes leaves what does not say at a glance of which dataset it is.
		if s := d.Decode(m, &checkSink{t: t, m: m}); s.Events > events || s.Records != s.Events+s.Filtered+s.Skipped+s.Dead {
			t.Fatalf("a filter that nothing passes: %+v", s)
		}
	})
}

// FuzzFile cuts a file into messages: no byte but white space may be missing or come twice.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"", "a\nb\n", anonymous + "\n" + pretty(anonymous) + "\n" + accessLine, "{\"a\":1\n{\"b\":2}", "[1,2]{}x", "{\"a\":\"\n\"}", "\xef\xbb\xbf{}"} {
		f.Add([]byte(s), 10)
		f.Add([]byte(s), 1000)
	}
	f.Fuzz(func(t *testing.T, content []byte, bound int) {
		if len(content) > 1 && content[0] == 0x1f && content[1] == 0x8b || bound < 1 {
			return
		}
		r := NewFileReader(bytes.NewReader(content), "f", Bounds{MessageBytes: bound})
		var got []byte
		cut := false
		for {
			m, err := r.Next()
			if err != nil {
				break
			}
			if len(m.Value) == 0 || len(m.Value) > bound+1 {
				t.Fatalf("%d bytes, the bound is %d", len(m.Value), bound)
			}
			cut = cut || len(m.Value) > bound
			got = append(got, m.Value...)
		}
		squeeze := func(b []byte) string {
			return string(slices.DeleteFunc(bytes.Clone(b), func(c byte) bool { return strings.IndexByte(" \n\r\t", c) >= 0 }))
		}
		if want := squeeze(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))); !cut && squeeze(got) != want {
			t.Fatalf("got %q, want %q", got, content)
		}
	})
}

func FuzzParseIP(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "::ffff:1.2.3.4", "fe80::1%x", "-"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if addr, ok := ParseIP(text, false); ok && (!addr.IsValid() || addr.Zone() != "" || addr.Is4In6()) {
			t.Errorf("%q is %s", text, addr)
		}
	})
}
