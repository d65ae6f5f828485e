package schemas

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/internal/literal"
)

// The filter spares work and changes nothing: what it lets through of a message is what has the literals, with the same
// index.
func TestFilterChangesNothing(t *testing.T) {
	filters := map[Dataset]*Filter{
		CloudTrail: {Clauses: [][]string{{"192.0.2.1", "192.0.2.2"}, {"GetObject"}}},
		S3Access:   {Clauses: [][]string{{"192.0.2.1"}}},
	}
	pieces := []string{from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3"), strings.Replace(from("192.0.2.1"), "GetObject", "HeadObject", 1),
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
			if s := string(e.Raw); literal.NewMatcher(filters[e.Dataset].Clauses).Passes(e.Raw) {
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
