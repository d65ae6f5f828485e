package schemas

import (
	"strings"
	"testing"
	"time"
)

// What a hostile message costs grows with its length and no faster. A message of this size that makes the decoder look
// at all the rest of it at every step would take minutes; those here take less than a second.
func TestHostileMessages(t *testing.T) {
	const size = 2 << 20
	times := func(s string) string { return strings.Repeat(s, size/len(s)) }
	layout := NewLayout([]string{"*", "aws.cloudtrail.flattened.*x*y*z*"})
	filters := map[Dataset]*Filter{CloudTrail: {Alternatives: []Alternative{{Clauses: [][]string{{"no such text"}}}}}}
	for _, test := range []struct{ name, value string }{
		{"elements that lack a brace", `{"Records":[` + times(`{"eventVersion":{"a":1},`)},
		{"elements that lack a quote", `{"Records":[` + times(`{"eventVersion":"a},`)},
		{"elements with a brace in a string", `{"Records":[{"eventVersion":"1"},` + times(`{"a":"{"},`) + `{"eventVersion":"1"}]}`},
		{"marks within one another", `{"Records":[` + times(`{"eventVersion":`) + "1" + times(`}`)},
		{"marks within one another, no JSON", `{"Records":[` + times(`{"eventVersion" `) + times(`}`)},
		{"elements without marks", `{"Records":[{"eventVersion":"1"},` + times(`{},`) + `{"eventVersion":"1"}]}`},
		{"numbers", "[" + times("1,")},
		{"commas", "[" + times(",")},
		{"brackets", times("[")},
		{"braces", times("{")},
		{"objects within objects", times(`{"a":`)},
		{"objects within objects, lines", times("{\"a\":\n")},
		{"log events within log events", times(`{"messageType":"DATA_MESSAGE","logEvents":[`)},
		{"records within records", times(`{"Records":[`)},
		{"lines cut off", times("{\"eventVersion\":\"1\n")},
		{"lines that lack a brace", times("{\"eventVersion\":{\"a\":1}\n")},
		{"lines of quotes", times("\"\n")},
		{"lines of text", times("x\n")},
		{"lines that look like access logs", times("a b [1\n")},
		{"time stamps", times("2026-03-10T12:10:15.123Z a b c d e f g\n")},
		{"a string of quotes", `{"message":"` + times(`\"`) + `"}`},
		{"a string that is cut off", `{"message":"` + times(`{\"eventVersion\":`)},
		{"repeated keys", `{"eventName":"A","eventTime":"x","resources":[` + strings.Repeat(`{"type":"a"},`, 40_000) + `{}],` + strings.Repeat(`"eventSource":1,`, 30_000) + `"a":1}`},
		{"one long key", `{"eventName":"A","eventTime":"x","requestParameters":{"` + strings.Repeat("k", 400_000) + `":{` + strings.Repeat(`"a":1,`, 50_000) + `"a":1}}}`},
		{"many fields", `{"eventName":"A","eventTime":"x","requestParameters":{` + strings.Repeat(`"xyz":[1],`, 60_000) + `"a":1}}`},
		{"quotes in a line", head + ` "` + times(`" `) + tail},
		{"quotes and numbers in a line", head + ` "` + strings.Repeat(`" 200 - 1 `, 60_000) + tail},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := NewDecoder(Config{Layout: layout, Filters: filters})
			m := Message{Value: []byte(test.value), Timestamp: now}
			start := time.Now()
			d.DecodeUnfiltered(m, &nullSink{})
			d.Decode(m, &nullSink{})
			f := NewFileReader(strings.NewReader(test.value), "f", Bounds{})
			for {
				m, err := f.Next()
				if err != nil {
					break
				}
				d.Decode(m, &nullSink{})
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
