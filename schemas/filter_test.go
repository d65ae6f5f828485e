package schemas

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFilter(t *testing.T) {
	clauses := func(c ...[]string) *Filter { return &Filter{Clauses: c} }
	one := []string{"alpha", "be/ta"}
	for _, test := range []struct {
		name   string
		filter *Filter
		record string
		want   bool
	}{
		{"none", nil, "x", true},
		{"no clauses", clauses(), "x", true},
		{"a clause that nothing fulfils", clauses([]string{}), "x", false},
		{"first literal", clauses(one), `{"a":"alpha"}`, true},
		{"other literal", clauses(one), `{"a":"be/ta"}`, true},
		{"no literal", clauses(one), `{"a":"gamma"}`, false},
		{"nearly", clauses(one), "alph", false},
		{"at the end", clauses(one), "xalpha", true},
		{"both clauses", clauses(one, []string{"gamma"}), "gamma alpha", true},
		{"one of two clauses", clauses(one, []string{"gamma"}), "alpha", false},
		{"hidden by an escape", clauses(one), `{"a":"\u0061lpha"}`, true},
		{"slash escaped", clauses(one), `{"a":"be\/ta"}`, true},
		{"escaped backslash", clauses(one), `{"a":"x\n\\u0061lpha\""}`, false},
		{"other escapes", clauses(one), `{"a":"x\n\\ \""}`, false},
		{"ends in a backslash", clauses(one), `\`, false},
		{"literal that JSON escapes", clauses([]string{`a"b`}), "x", true},
		{"literal that no text has", clauses([]string{"a\uFFFDb"}), "x", true},
		{"empty literal", clauses([]string{""}), "x", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the order of the clauses moves
				if got := newMatcher(test.filter).passes([]byte(test.record)); got != test.want {
					t.Error(got)
				}
			}
		})
	}
}

func TestNeedle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[abY_"]{1,4}`).Draw(t, "text")
		record := rapid.StringMatching(`[abY_"]{0,40}`).Draw(t, "record")
		n := newNeedle(text)
		if got := n.in([]byte(record)); got != strings.Contains(record, text) {
			t.Fatalf("%q in %q: %v", text, record, got)
		}
	})
}

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
			if s := string(e.Raw); newMatcher(filters[e.Dataset]).passes(e.Raw) {
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
