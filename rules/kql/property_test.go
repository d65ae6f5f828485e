package kql

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"firstseen/schemas"

	"pgregory.net/rapid"
)

// The fields and values of the property: few, so that queries and events meet.
const naiveParams = "aws.cloudtrail.flattened.request_parameters"

var (
	words = []string{"GetObject", "PutObject", "getobject", "a", "b*", `q"\x`, "not this and that", "or", "größe/x", "10", "9", "10.0", "true", "'s", "x=y:z", "10.1.2.3"}
	ips   = []string{"10.1.2.3", "10.255.0.1", "11.0.0.1", "2001:db8::1", "::1", "203.0.113.7"}
	nets  = []string{"10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::ffff:10.0.0.0/104"}
	dates = []string{"2026", "2026-03", "2026-03-05", "2026-03-05T10", "2026-03-05T10:20", "2025-12-31", "2026-03-05T10:20:30Z"}
	sizes = []string{"200", "404", "9", "10.5", "0"}

	naiveFields = []struct {
		name     string
		literals []string
		patterns bool
		ranges   bool
	}{
		{"event.action", words, true, true},
		{"event.provider", words, true, false},
		{"user.name", words, true, true},
		{"source.address", ips, true, false},
		{"source.ip", append(slices.Clone(ips), "::ffff:10.1.2.3"), false, true},
		{"source.ip", nets, false, true},
		{"client.ip", nets, false, false},
		{"@timestamp", dates, false, true},
		{"aws.cloudtrail.read_only", []string{"true", "false"}, false, false},
		{"http.response.status_code", sizes, true, true},
		{"httpstatus", sizes, false, true},
		{"aws.s3access.bucket", words, true, false},
		{naiveParams + ".p", words, true, true},
		{naiveParams + ".q", words, true, true},
		{naiveParams + ".*", append(slices.Clone(words), nets...), true, false},
		{"source.*", nets, true, false},
		{"*", append(slices.Clone(words), nets...), true, false},
	}
)

func drawLeaf(t *rapid.T, path string) naiveLeaf {
	f := rapid.SampledFrom(naiveFields).Draw(t, "field")
	if path != "" {
		f.name, f.literals, f.patterns, f.ranges = rapid.SampledFrom([]string{"type", "arn", "*"}).Draw(t, "inner"), words, true, false
	}
	l := naiveLeaf{path: path, name: f.name, op: ":", literal: rapid.SampledFrom(f.literals).Draw(t, "literal")}
	switch k := rapid.IntRange(0, 9).Draw(t, "form"); {
	case k == 0:
		l.literal, l.pattern = "*", true
	case k < 3 && f.patterns:
		cut := rapid.IntRange(0, len(l.literal)).Draw(t, "cut")
		for cut < len(l.literal) && l.literal[cut]&0xC0 == 0x80 {
			cut++
		}
		l.literal = strings.Trim(l.literal[:cut]+"*"+rapid.SampledFrom([]string{"", l.literal[cut:], "t"}).Draw(t, "rest"), " ")
		l.pattern = true
	case k < 5 && f.ranges && !strings.Contains(l.literal, "/"):
		l.op = rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op")
	}
	return l
}

func drawTree(t *rapid.T, depth int, path string, leaf func() naive) naive {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	switch {
	case depth == 0 || kind < 3:
		return leaf()
	case kind < 7:
		g := naiveGroup{word: rapid.SampledFrom([]string{"and", "or"}).Draw(t, "word")}
		for range rapid.IntRange(2, 4).Draw(t, "kids") {
			g.kids = append(g.kids, drawTree(t, depth-1, path, leaf))
		}
		return g
	}
	return naiveNot{drawTree(t, depth-1, path, leaf)}
}

func drawQuery(t *rapid.T, depth int, path string) naive {
	return drawTree(t, depth, path, func() naive {
		switch k := rapid.IntRange(0, 9).Draw(t, "clause"); {
		case k == 0 && path == "":
			const resources = "aws.cloudtrail.resources"
			return naiveNested{resources, drawQuery(t, 2, resources)}
		case k < 4:
			first := drawLeaf(t, path)
			return naiveValues{path, first.name, drawTree(t, 2, path, func() naive {
				l := drawLeaf(t, path)
				for l.name != first.name || l.op != ":" {
					l = first
					l.op = ":"
				}
				return naiveValue{l}
			})}
		}
		return drawLeaf(t, path)
	})
}

// drawRecord makes a CloudTrail record or the JSON of an access-log line out of the same values.
func drawRecord(t *rapid.T) string {
	r := map[string]any{}
	maybe := func(name string, values []string) {
		if rapid.IntRange(0, 5).Draw(t, name) > 0 {
			r[name] = rapid.SampledFrom(values).Draw(t, name)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "dataset") == 0 {
		maybe("key", words)
		maybe("requester", words)
		maybe("httpstatus", sizes[:3])
		r["bucket"], r["operation"], r["requestid"] = rapid.SampledFrom(words).Draw(t, "bucket"), "REST.GET.OBJECT", "RQ"
		r["remoteip"], r["time"] = rapid.SampledFrom(ips).Draw(t, "ip"), "2026-03-05T10:20:30Z"
		return encode(t, r)
	}
	maybe("eventID", words)
	r["eventName"] = rapid.SampledFrom(words).Draw(t, "eventName")
	r["eventSource"] = rapid.SampledFrom(words).Draw(t, "eventSource")
	maybe("sourceIPAddress", ips)
	r["eventTime"] = rapid.SampledFrom([]string{"2026-03-05T10:20:30Z", "2025-12-31T23:59:59Z", "2026-03-31T23:59:59Z"}).Draw(t, "time")
	r["readOnly"] = rapid.Bool().Draw(t, "readOnly")
	r["userIdentity"] = map[string]any{"type": "IAMUser", "userName": rapid.SampledFrom(words).Draw(t, "userName")}
	value := func() any {
		return rapid.SampledFrom([]any{10, 9.5, true, "GetObject", "b*", "10", `q"\x`, "größe/x", nil, "", []any{"a", 10, "or"}}).Draw(t, "param")
	}
	r["requestParameters"] = map[string]any{"p": value(), "q": value(), "z": value()}
	var resources []any
	for range rapid.IntRange(0, 3).Draw(t, "resources") {
		one := map[string]any{}
		for _, name := range []string{"type", "ARN"} {
			if rapid.Bool().Draw(t, name) {
				one[name] = rapid.SampledFrom(words).Draw(t, name)
			}
		}
		resources = append(resources, one)
	}
	r["resources"] = resources
	return encode(t, r)
}

// encode writes the record as different writers do: slashes and some letters escaped.
func encode(t *rapid.T, r map[string]any) string {
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	switch rapid.IntRange(0, 5).Draw(t, "writer") {
	case 0:
		s = strings.ReplaceAll(s, "/", `\/`)
	case 1:
		s = strings.ReplaceAll(s, "Object", `\u004fbject`)
	}
	return s
}

// Whatever the query and the record: the compiled matcher decides as the naive evaluator does, so does the query's canonical
// form, and what Required says of a matching record is true of it.
func TestMatcherAgreesWithNaiveEvaluator(t *testing.T) {
	matched, total := 0, 0
	keys := map[string][]string{"aws.s3access.bucket": {"bucket"}, "user.name": {"user", "userName"}, "aws.cloudtrail.read_only": {"readOnly"}}
	spelling := func(field string) ([]string, bool) {
		return keys[field], slices.Contains([]string{"event.action", "event.provider", "user.name", "aws.s3access.bucket", naiveParams + ".p"}, field)
	}
	indexed := []string{"event.action", "aws.s3access.bucket"}
	agrees := func(t *rapid.T) {
		want := drawQuery(t, 3, "")
		query := want.spell(t)
		e, err := Parse(query)
		if err != nil {
			t.Fatalf("Parse(%s): %v", query, err)
		}
		again, err := Parse(e.String())
		if err != nil || again.String() != e.String() || tree(again.root) != tree(e.root) {
			t.Fatalf("%s\ncanonical form %s\nis read as %s (%v)", query, e, again, err)
		}
		layout := schemas.NewLayout(append(Fields(e), "aws.cloudtrail.resources.*"))
		m, err := Compile(again, layout)
		if err != nil {
			t.Fatalf("Compile(%s): %v", e, err)
		}
		clauses := Required(e, spelling)
		d := schemas.NewDecoder(schemas.Config{Layout: layout})
		for range 5 {
			record := drawRecord(t)
			events := 0
			d.Decode(schemas.Message{Value: []byte(record), Timestamp: 1_800_000_000_000}, sinkFunc(func(event *schemas.Event) {
				events++
				total++
				holds := want.holds(&situation{event, layout}, -1)
				if got := m.Match(event); got != holds {
					t.Fatalf("%s\nas %s\nmatches %v, want %v:\n%s", query, e, got, holds, record)
				}
				if !holds {
					return
				}
				matched++
				for _, name := range indexed {
					values, ok := OneOf(e, func(field string) bool { return field == name })
					slot, _ := layout.Slot(name)
					if ok && !slices.ContainsFunc(event.Values(slot), func(v schemas.Value) bool { return slices.Contains(values, string(v.Text)) }) {
						t.Fatalf("%s\nmatches, but %s is none of %q:\n%s", e, name, values, record)
					}
				}
				for _, clause := range clauses {
					found := slices.ContainsFunc(clause, func(l string) bool { return strings.Contains(record, l) })
					if !found && !strings.Contains(record, `\u`) {
						t.Fatalf("%s\nmatches, but has none of %q:\n%s", e, clause, record)
					}
				}
			}))
			if events != 1 {
				t.Fatalf("%d events in %s", events, record)
			}
		}
	}
	for range 5 {
		rapid.Check(t, agrees)
	}
	if matched*20 < total || matched*20 > 19*total {
		t.Errorf("%d of %d events matched: the property is hardly exercised", matched, total)
	}
}

type sinkFunc func(*schemas.Event)

func (f sinkFunc) Event(e *schemas.Event)  { f(e) }
func (f sinkFunc) Dead(schemas.DeadLetter) {}
