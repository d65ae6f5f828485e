package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// Words of queries and records: few, so that they meet; some begin alike or are spelled in several ways in JSON.
var (
	calls     = []string{"GetObject", "GetObjects", "PutObject", "Put", "12", "größe/x", `q"x`, "Get\tObject", "A/B+C"}
	providers = []string{"s3.amazonaws.com", "iam.amazonaws.com", "sts.amazonaws.com"}
	tools     = []string{"kali/2024 (linux)", "aws-cli/2.15", "GetObject", "curl"}
)

// drawCondition makes a query of which some parts can be looked up, in a record or an event, and others cannot.
func drawCondition(t *rapid.T, depth int) string {
	one := func(list []string) string {
		return fmt.Sprintf("%q", rapid.SampledFrom(list).Draw(t, "value"))
	}
	if depth > 0 {
		a, b := drawCondition(t, depth-1), drawCondition(t, depth-1)
		return rapid.SampledFrom([]string{"(" + a + " and " + b + ")", "(" + a + " or " + b + ")", "not " + a, a, "(" + a + " and not " + b + ")"}).Draw(t, "query")
	}
	const flat = "aws.cloudtrail.flattened.request_parameters."
	return rapid.SampledFrom([]string{
		"event.action: " + one(calls), "event.action: " + one(calls), "event.provider: " + one(providers),
		"event.action: (" + one(calls) + " or " + one(calls) + " or " + one(calls) + ")",
		"event.action: (Get* or " + one(calls) + ")", "event.*: " + one(calls), "event.action: *", one(calls),
		"user_agent.original: " + one(tools), "user_agent.original: (*kali* or *linux*)", `event.outcome: "success"`, "source.ip: *",
		flat + "serialNumber: *", flat + "key: " + one(tools), flat + "a.bigger: (true or " + one(tools) + ")",
	}).Draw(t, "condition")
}

func drawSet(t *rapid.T) *Set {
	var texts []*rulefile.Rule
	for i := range rapid.IntRange(1, 20).Draw(t, "rules") {
		texts = append(texts, &rulefile.Rule{
			ID: fmt.Sprintf("rule-%02d", i), Dataset: "aws.cloudtrail", Mode: rulefile.Active, Threshold: 1,
			Query: drawCondition(t, rapid.IntRange(0, 2).Draw(t, "depth")),
		})
		if rapid.IntRange(0, 9).Draw(t, "allowlist") == 0 { // which is an error for any event with a call
			texts[i].Allowlist = &rulefile.Allowlist{Field: "event.action"}
		}
	}
	set, err := newSet(texts, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// drawText spells a string as some JSON writer does.
func drawText(t *rapid.T, s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	switch rapid.IntRange(0, 9).Draw(t, "writer") {
	case 0:
		text = strings.ReplaceAll(text, "/", `\/`)
	case 1:
		text = strings.ReplaceAll(text, "e", `\u0065`)
	}
	return text
}

// drawMember makes a member of a record whose value is one of a list, or anything else that JSON has.
func drawMember(t *rapid.T, key string, list []string) string {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t"})
	value := drawText(t, rapid.SampledFrom(list).Draw(t, key))
	switch rapid.IntRange(0, 19).Draw(t, "kind") {
	case 0:
		value = "[" + value + "," + drawText(t, rapid.SampledFrom(list).Draw(t, key)) + "]"
	case 1:
		value = rapid.SampledFrom([]string{"12", "true", "null", `""`, "{}", `{"a":` + value + `}`, "[]", "[[" + value + "]]"}).Draw(t, "other")
	}
	return drawText(t, key) + space.Draw(t, "space") + ":" + space.Draw(t, "space") + value
}

func drawRecord(t *rapid.T) string {
	members := []string{`"eventTime":"2026-01-01T00:00:00Z"`, drawMember(t, "eventName", calls), drawMember(t, "eventSource", providers)}
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		members = append(members, rapid.SampledFrom([]func() string{
			func() string { return drawMember(t, "eventName", calls) },
			func() string { return drawMember(t, "eventSource", providers) },
			func() string { return drawMember(t, "userAgent", tools) },
			func() string {
				return `"requestParameters":{` + drawMember(t, "key", tools) + "," + drawMember(t, "eventName", calls) + "}"
			},
			func() string {
				return `"requestParameters":{"serialNumber":1,"a":{` + drawMember(t, "bigger", tools) + `}}`
			},
			func() string {
				return `"requestParameters":{` + drawMember(t, "a.bigger", []string{"true", "no"}) + `}`
			},
			func() string { return drawMember(t, "errorCode", []string{"AccessDenied"}) },
			func() string { return `"sourceIPAddress":"192.0.2.1"` },
			func() string {
				return `"errorMessage":` + drawText(t, `{"eventName":"`+rapid.SampledFrom(calls).Draw(t, "inside")+`"}`)
			},
		}).Draw(t, "member")())
	}
	first := rapid.IntRange(0, len(members)-1).Draw(t, "first")
	members[0], members[first] = members[first], members[0]
	return "{" + strings.Join(members, ",") + "}"
}

// drawMessage puts records into an envelope, or into several.
func drawMessage(t *rapid.T) string {
	text := drawRecord(t)
	for range rapid.IntRange(0, 2).Draw(t, "envelopes") {
		switch rapid.IntRange(0, 5).Draw(t, "envelope") {
		case 0:
			text = `{"Records":[` + text + `,` + drawRecord(t) + `]}`
		case 1:
			text = `{"eventVersion":"1","detail-type":"AWS API Call via CloudTrail","detail":` + text + `}`
		case 2:
			text = `{"message":` + drawText(t, text) + `}`
		case 3: // which begins like a record
			text = `{"eventType":"forwarded","message":` + drawText(t, text) + `}`
		case 4:
			text = drawText(t, text)
		case 5:
			text += "\n" + drawRecord(t)
		}
	}
	return text
}

// matchesOf lists what the set's rules make of a message, each event with the ids of the rules that match or fail.
func matchesOf(d *schemas.Decoder, message string, filtered bool, match func(*schemas.Event, func(*Rule, error))) (list []string) {
	sink := eventFunc(func(e *schemas.Event) {
		match(e, func(r *Rule, err error) { list = append(list, fmt.Sprint(r.ID(), " ", err != nil, " ", string(e.Raw))) })
	})
	m := schemas.Message{Value: []byte(message), Timestamp: testTime}
	if filtered {
		d.Decode(m, sink)
	} else {
		d.DecodeUnfiltered(m, sink)
	}
	return list
}

type eventFunc func(*schemas.Event)

func (f eventFunc) Event(e *schemas.Event)  { f(e) }
func (f eventFunc) Dead(schemas.DeadLetter) {}

func decoderOf(s *Set) *schemas.Decoder {
	return schemas.NewDecoder(schemas.Config{Layout: s.Layout(), Filters: s.Filters(), Strict: s.Strict()})
}

// Filter and index spare work and change nothing: the same rules match the same events, in the same order, as when every
// record is parsed and every rule tried. A decoder learns from what it sees, so each gets many messages.
func TestIndexChangesNothing(t *testing.T) {
	found, spared := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSet(t)
		filtering, parsing := decoderOf(s), decoderOf(s)
		for range 30 {
			message := drawMessage(t)
			want := matchesOf(parsing, message, false, func(e *schemas.Event, yield func(*Rule, error)) {
				for _, r := range s.Rules() {
					if ok, err := r.match(e); ok || err != nil {
						yield(r, err)
					}
				}
			})
			got := matchesOf(filtering, message, true, s.Match)
			if !slices.Equal(got, want) {
				var queries []string
				for _, r := range s.Rules() {
					queries = append(queries, r.ID()+" "+r.query.String())
				}
				t.Fatalf("%s\n\nmessage %s\n\ngot  %s\nwant %s", strings.Join(queries, "\n"), message, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
			}
			found += len(want)
			spared += filtering.Decode(schemas.Message{Value: []byte(message), Timestamp: testTime}, eventFunc(func(*schemas.Event) {})).Filtered
		}
	})
	if found < 100 || spared < 100 {
		t.Errorf("%d matches, %d records not parsed: the property is hardly exercised", found, spared)
	}
}

// Members of flattened objects are found in every spelling that the decoder understands.
func TestFilterOfMembers(t *testing.T) {
	const flat = "aws.cloudtrail.flattened.request_parameters."
	for query, members := range map[string][]string{
		flat + "item.serialNumber: *":        {`"item":{"serialNumber":1}`, `"item.serialNumber":1`, `"item":[{},{"serialNumber":1}]`, `"item":{"serial\u004eumber":1}`},
		flat + "path: (*/secret or other/*)": {`"path":"/a/secret"`, `"path":"\/a\/secret"`, `"path":["x","other/x"]`},
		flat + "x: true":                     {`"x":true`, `"x":"true"`},
		flat + "size >= 3":                   {`"size":3`, `"size":4e2`},
	} {
		s, err := newSet([]*rulefile.Rule{{ID: "r", Dataset: "aws.cloudtrail", Mode: rulefile.Active, Query: query}}, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		record := func(member string) string {
			return `{"eventVersion":"1","eventName":"GetObject","eventSource":"s3.amazonaws.com","requestParameters":{` + member + `}}`
		}
		for _, member := range members {
			if got := matchesOf(decoderOf(s), record(member), true, s.Match); len(got) != 1 {
				t.Errorf("%s does not match %s", query, member)
			}
		}
		if stats := decoderOf(s).Decode(schemas.Message{Value: []byte(record(`"a":"b"`)), Timestamp: testTime}, eventFunc(nil)); stats.Filtered != 1 {
			t.Errorf("%s: any record is parsed: %+v", query, stats)
		}
	}
}

// FuzzFilter gives the decoder anything: what rules match is the same with and without the filter.
func FuzzFilter(f *testing.F) {
	var texts []*rulefile.Rule
	for i, query := range []string{
		`event.action: ("GetObject" or "PutObject") and event.provider: "s3.amazonaws.com"`, `event.action: "GetObject" and user_agent.original: *kali*`,
		`event.provider: "s3.amazonaws.com" and aws.cloudtrail.error_code: "AccessDenied"`, `aws.cloudtrail.user_identity.access_key_id: AKIA*`,
		`event.action: (Invoke* or "größe/x")`, `event.action: "CreateUser" and aws.cloudtrail.flattened.request_parameters.serialNumber: *`,
	} {
		texts = append(texts, &rulefile.Rule{ID: fmt.Sprint("rule-", i), Dataset: "aws.cloudtrail", Mode: rulefile.Active, Query: query})
	}
	s, err := newSet(texts, nil, false)
	if err != nil {
		f.Fatal(err)
	}
	const record = `{"eventVersion":"1","userIdentity":{"accessKeyId":"AKIAX"},"eventTime":"2026-01-01T00:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","userAgent":"kali","errorCode":"AccessDenied","requestParameters":{"serialNumber":"a"}}`
	quoted, err := json.Marshal(record)
	if err != nil {
		f.Fatal(err)
	}
	for _, message := range []string{
		record, `{"Records":[` + record + `,` + record + `]}`, `{"eventType":"x","message":` + string(quoted) + `}`, string(quoted), record + "\n" + record,
		strings.Replace(record, "GetObject", `G\u0065tObject`, 1), strings.Replace(record, `"eventName"`, `"event\u004eame" `, 1), strings.Replace(record, `"GetObject"`, `["größe\/x","CreateUser"]`, 1),
		strings.Replace(record, `{"eventVersion":"1"`, `{"userAgent":"1"`, 1), strings.Replace(record, `"eventName"`, `"detail-type":" via CloudTrail","detail":{"eventName"`, 1) + "}",
	} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		filtering, parsing := decoderOf(s), decoderOf(s)
		got, want := matchesOf(filtering, string(message), true, s.Match), matchesOf(parsing, string(message), false, s.Match)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\ngot  %s\nwant %s", message, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	})
}
