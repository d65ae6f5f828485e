package alert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// texts that cost the most, or that mean something to what shows them.
var hostile = []string{
	strings.Repeat("\x00", 1024), strings.Repeat("\"", 1024), strings.Repeat("\U000E0041", 256), strings.Repeat("\xff", 1024),
	strings.Repeat("\u202e", 341), strings.Repeat("漢", 341), strings.Repeat("\\u0000", 170), "\x1b]0;owned\x07\x1b[2J", "\r\n",
	strings.Repeat("a, ", 341), strings.Repeat("{bucketName=", 85),
}

// hostileAlert fills every field that the network can fill with the same text, many times over.
func hostileAlert(kind, text string) *Alert {
	var ev []byte
	for _, name := range schemas.KnownNames() {
		f, _ := schemas.Known(name)
		for range 8 {
			ev = binary.AppendUvarint(ev, uint64(f))
			ev = binary.AppendUvarint(ev, uint64(len(text)))
			ev = append(ev, text...)
		}
	}
	long := strings.Repeat(text, 64)
	a := &Alert{
		Kind: kind, Rule: rareSource, Ruleset: bytes.Repeat([]byte{1}, 32), Title: long, Time: noon, Count: 1 << 62,
		FirstSeen: -1 << 62, LastSeen: 1 << 62,
		Match:    &wire.Match{Time: noon, EventID: long, Evidence: ev, Origin: wire.Origin{Topic: "t", File: long, Line: 1 << 62}},
		NewTerms: &NewTerms{[]string{long, long, long}, noon, 7 * day, noon}, SuppressedTopic: "t",
		Group: &Group{By: []string{"title"}, Key: long, Start: noon, End: noon, Threshold: 2, ReachedAt: noon},
	}
	for i := range 16 * 8 {
		a.Summary = append(a.Summary, wire.Counter{Attribute: "key" + string(rune('a'+i/16)), Value: long, Count: 1})
	}
	return a
}

// TestHostileEvidence: whatever the network sent, documents stay within MaxBytes, are valid, show nothing that could
// move a cursor, and keep what every alert has.
func TestHostileEvidence(t *testing.T) {
	for _, text := range hostile {
		for _, kind := range []string{Open, Closed, Overflow} {
			a := hostileAlert(kind, text)
			ecs := a.AppendECS(nil)
			for name, doc := range map[string][]byte{"ecs": ecs, "ocsf": a.AppendOCSF(nil), "panther": a.AppendPanther(nil)} {
				if len(doc) > MaxBytes || !json.Valid(doc) || !printable(string(doc)) {
					t.Errorf("%s of %q: %d bytes, valid %v", name, text[:2], len(doc), json.Valid(doc))
				}
			}
			check(t, kind, parse(t, ecs), required)
			check(t, kind, parse(t, ecs), more["event"])
			check(t, kind, parse(t, ecs), more["threat"])
			body, err := a.AppendAvro(nil)
			if err != nil || len(body) > MaxBytes {
				t.Errorf("avro of %q: %d bytes, %v", text[:2], len(body), err)
			}
			if lines := strings.Split(a.Text(), "\n"); len(lines) != 4 || !printable(strings.Join(lines, "")) {
				t.Errorf("text of %q: %q", text[:2], a.Text())
			}
		}
	}
}

// TestTruncatedIsFlagged: a document that had no room for something says so.
func TestTruncatedIsFlagged(t *testing.T) {
	for want, a := range map[string]*Alert{`["truncated"]`: hostileAlert(Open, hostile[0]), `[]`: samples(t)[0].alert} {
		if flags, _ := at(parse(t, a.AppendECS(nil)), "firstseen.flags"); !equal(flags, json.RawMessage(want)) {
			t.Errorf("%v, want %s", flags, want)
		}
	}
}

// TestFlagsAlwaysFit: however full the document is, its flags are there.
func TestFlagsAlwaysFit(t *testing.T) {
	a := samples(t)[0].alert
	whole := len(a.AppendECS(nil))
	for most := flagRoom; most < 2*whole; most += 13 {
		doc := a.ecs(nil, most)
		flags, ok := at(parse(t, doc), "firstseen.flags")
		if len(doc) > most || !ok || equal(flags, []string{"truncated"}) != (len(doc) < whole) {
			t.Fatalf("%d bytes with a bound of %d: flags %v", len(doc), most, flags)
		}
	}
}

// TestManyValues: of a field with many values the first 64 are shown, and of a rule with many tags.
func TestManyValues(t *testing.T) {
	b := *samples(t)[0].alert
	m := *b.Match
	m.Evidence = nil
	for range 100 {
		m.Evidence = append(m.Evidence, evidence(t, "aws.cloudtrail.resources.arn", "arn:aws:s3:::b")...)
	}
	b.Match = &m
	doc := parse(t, b.AppendECS(nil))
	arns, _ := at(doc, "aws.cloudtrail.resources.arn")
	if flags, _ := at(doc, "firstseen.flags"); len(arns.([]any)) != 64 || !equal(flags, []string{"truncated"}) {
		t.Errorf("%d values, flags %v", len(arns.([]any)), flags)
	}
	a := *samples(t)[0].alert
	a.Rule = &Rule{Tags: make([]string, 65)}
	if flags, _ := at(parse(t, a.AppendECS(nil)), "firstseen.flags"); !equal(flags, []string{"truncated"}) {
		t.Errorf("65 tags: flags %v", flags)
	}
}

// TestHostileRule: nor does a rule whose texts are too long make a document too large.
func TestHostileRule(t *testing.T) {
	for _, text := range hostile {
		long := strings.Repeat(text, 64)
		many := make([]string, 70)
		for i := range many {
			many[i] = long
		}
		a := hostileAlert(Open, text)
		a.Rule = &Rule{ID: long, Name: long, Version: long, Category: long, Description: long, Severity: long, Tags: many,
			References: many, Runbook: long, Dataset: long, Fields: many, GroupBy: many, NetworksVersion: long, Panther: true,
			Threat: []Threat{{long, long, long, long, make([]Technique, 70)}}}
		a.NewTerms.Values, a.Group.By = many, many
		body, err := a.AppendAvro(nil)
		if err != nil {
			t.Error(err)
		}
		for name, doc := range map[string][]byte{"ecs": a.AppendECS(nil), "ocsf": a.AppendOCSF(nil), "panther": a.AppendPanther(nil), "avro": body} {
			if len(doc) > MaxBytes || name != "avro" && !json.Valid(doc) {
				t.Errorf("%s of %q: %d bytes", name, text[:2], len(doc))
			}
		}
	}
}

// TestDeterministic: the same alert is the same bytes.
func TestDeterministic(t *testing.T) {
	for _, s := range samples(t) {
		for _, f := range []Format{ECS, OCSF, Panther, Avro} {
			first, err := s.alert.Append([]byte("before"), f)
			if err != nil || !bytes.HasPrefix(first, []byte("before")) {
				t.Fatal(f, err)
			}
			for range 20 {
				if again, _ := s.alert.Append([]byte("before"), f); !bytes.Equal(again, first) {
					t.Fatalf("%s as %s: two documents", s.name, f)
				}
			}
		}
	}
}

// FuzzEvidence: no evidence, damaged or not, breaks a document.
func FuzzEvidence(f *testing.F) {
	for _, s := range samples(f) {
		if s.alert.Match != nil {
			f.Add(s.alert.Match.Evidence, s.alert.Title)
		}
	}
	f.Fuzz(func(t *testing.T, ev []byte, title string) {
		a := *samples(t)[2].alert
		m := *a.Match
		m.Evidence, a.Match, a.Title = ev, &m, title
		for _, format := range []Format{ECS, OCSF, Panther} {
			doc, _ := a.Append(nil, format)
			if len(doc) > MaxBytes || !printable(string(doc)) {
				t.Fatalf("%s", doc)
			}
			parse(t, doc)
		}
		if text := a.Text(); !printable(strings.ReplaceAll(text, "\n", "")) || strings.Count(text, "\n") != 3 {
			t.Fatalf("%q", text)
		}
		if _, err := a.AppendAvro(nil); err != nil {
			t.Fatal(err)
		}
	})
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
