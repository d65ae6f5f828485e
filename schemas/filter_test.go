package schemas

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The filter spares work and changes nothing: what it lets through of a message is what has the literals, with the same
// index.
func TestFilterChangesNothing(t *testing.T) {
	filters := map[Dataset]*Filter{
		CloudTrail: {Alternatives: []Alternative{
			{Clauses: [][]string{{"192.0.2.1", "192.0.2.2"}, {"GetObject"}}},
			{Field: fAction, Values: []string{"CopyObject"}, Clauses: [][]string{{"192.0.2.1"}}},
		}},
		S3Access: {Alternatives: []Alternative{{Clauses: [][]string{{"192.0.2.1"}}}}},
	}
	pieces := []string{from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3"), strings.Replace(from("192.0.2.1"), "GetObject", "HeadObject", 1),
		strings.Replace(from("192.0.2.1"), "GetObject", "CopyObject", 1), strings.Replace(from("192.0.2.3"), "GetObject", "CopyObject", 1),
		strings.Replace(from("192.0.2.3"), "GetObject", "G\\u0065tObject", 1), pretty(from("192.0.2.1")), pretty(from("192.0.2.3")),
		`{"remoteip":"192.0.2.1"}`, `{"remoteip":"192.0.2.3"}`, notification, insight, `{"a":"}{"}`, `{"unknown":1,"first":"key"}`,
		strings.Replace(from("192.0.2.2"), "Boto3", "}{", 1), strings.Replace(from("192.0.2.3"), "Boto3", "}},{", 1)}
	unfiltered, filtered := NewDecoder(Config{}), NewDecoder(Config{Filters: filters})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "records")
		message := rapid.SampledFrom([]string{"records", "array", "lines", "concatenated", "string"}).Draw(t, "envelope")
		var text string
		switch message {
		case "records":
			text = `{"Records":[` + strings.Join(list, ",") + "]}"
		case "array":
			text = "[" + strings.Join(list, ", ") + "]"
		case "lines":
			text = strings.Join(append(list, accessLine, lineFrom("192.0.2.1")), "\n")
		case "concatenated":
			text = strings.Join(list, "")
		case "string":
			text = `{"message":` + quote(strings.Join(list, "\n")) + "}"
		}
		all, some := map[int32]string{}, map[int32]string{}
		m := Message{Value: []byte(text), Timestamp: now}
		a := unfiltered.Decode(m, eventFunc(func(e *Event) {
			if s := string(e.Raw); filters[e.Dataset].matcher(e.Dataset).Passes(e.Raw) {
				all[e.Origin.Index] = s
			}
		}))
		b := filtered.Decode(m, eventFunc(func(e *Event) { some[e.Origin.Index] = string(e.Raw) }))
		if a.Records != b.Records || len(all) != len(some) {
			t.Fatalf("%+v: %d\n%+v: %d\n%s", a, len(all), b, len(some), text)
		}
		for i, raw := range all {
			if some[i] != raw {
				t.Fatalf("record %d is %q, filtered %q", i, raw, some[i])
			}
		}
	})
}

// Writers that do not keep the order of keys may begin with one that both datasets have, and an envelope may begin like a
// record: then the filter of the wrong dataset, or of the outer record, decides nothing.
func TestFilterOfAnotherDataset(t *testing.T) {
	none := &Filter{}
	call := &Filter{Alternatives: []Alternative{{Field: fAction, Values: []string{"GetObject"}}}}
	lines := &Filter{Alternatives: []Alternative{{Clauses: [][]string{{"192.0.2.1"}}}}}
	record := from("192.0.2.1")
	escaped := strings.Replace(record, "GetObject", `G\u0065tObject`, 1)
	for _, test := range []struct {
		name, value string
		filters     map[Dataset]*Filter
	}{
		{"no rules on access logs", `{"userAgent":"x",` + record[1:], map[Dataset]*Filter{CloudTrail: call, S3Access: none}},
		{"rules on access logs", `{"requestID":"x",` + from("192.0.2.9")[1:], map[Dataset]*Filter{CloudTrail: call, S3Access: lines}},
		{"no rules on CloudTrail", `{"errorCode":"-",` + pantherJSON[1:], map[Dataset]*Filter{CloudTrail: none}},
		{"rules on CloudTrail", `{"errorCode":"-",` + pantherJSON[1:], map[Dataset]*Filter{CloudTrail: call}},
		{"an envelope that begins like a record", `{"eventType":"x","message":` + quote(record) + `}`, map[Dataset]*Filter{CloudTrail: call}},
		{"a record in it with escapes", `{"eventType":"x","message":` + quote(escaped) + `}`, map[Dataset]*Filter{CloudTrail: call}},
		{"another with a name", `{"eventName":"x","message":` + quote(record) + `}`, map[Dataset]*Filter{CloudTrail: call}},
	} {
		m := Message{Value: []byte(test.value), Timestamp: now}
		if s := NewDecoder(Config{Filters: test.filters}).Decode(m, &nullSink{}); s.Events != 1 {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
}
