package alert

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// What is here says the same as the code does, without haste: documents that sort their paths, evidence that is read
// anew for every field, strings character by character.

// TestECSIsTheReference: whatever the alert, and whatever there is room for, the document is that of the reference.
func TestECSIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := someAlert(t)
		most := MaxBytes
		for range 4 {
			got, want := a.ecs(nil, most), referenceECS(a, most)
			if !bytes.Equal(got, want) {
				t.Fatalf("of at most %d bytes\n%s\nwant\n%s", most, got, want)
			}
			most = rapid.IntRange(flagRoom+2, len(want)*3/2+flagRoom+2).Draw(t, "most")
		}
	})
}

func referenceECS(a *Alert, most int) []byte {
	d := newDocument(most - 2 - flagRoom)
	r, e := a.rule(), a.event()
	addKind(d, r, a.Kind)
	a.addEvent(d, r, e)
	addRule(d, r)
	a.addFirstseen(d, r)
	referenceThreat(d, r.Threat)
	d.text("source.address", referenceEvent{a.evidence()}.address())
	d.texts("related.ip", referenceEvent{a.evidence()}.ips())
	d.texts("tags", r.Tags)
	if r.Panther {
		a.addContext(d, e)
	}
	referenceEvidence(d, a.evidence())
	a.referenceSummary(d)
	flags := a.flags().Names()
	if d.full {
		flags = append(flags, "truncated")
	}
	d.room += flagRoom
	d.texts("firstseen.flags", flags)
	return d.appendTo(nil)
}

func referenceThreat(d *document, threats []Threat) {
	if len(threats) == 0 {
		return
	}
	d.text("threat.framework", threats[0].Framework)
	keys := []string{"id", "name", "reference"}
	for i, key := range keys {
		var tactic, technique, sub []string
		for _, t := range threats {
			tactic = append(tactic, []string{t.TacticID, t.TacticName, t.TacticReference}[i])
			for _, q := range t.Techniques {
				if v := []string{q.ID, q.Name, q.Reference}[i]; strings.Contains(q.ID, ".") {
					sub = append(sub, v)
				} else {
					technique = append(technique, v)
				}
			}
		}
		d.texts("threat.tactic."+key, tactic)
		if len(technique) > 0 {
			d.texts("threat.technique."+key, technique)
		}
		if len(sub) > 0 {
			d.texts("threat.technique.subtechnique."+key, sub)
		}
	}
}

// referenceEvidence adds each run of values of one field.
func referenceEvidence(d *document, evidence schemas.Evidence) {
	var last schemas.Field
	var list []string
	flush := func() {
		if len(list) > 0 {
			from := len(d.json)
			text := list[0]
			if len(list) > 1 {
				text = "[" + strings.Join(list, ",") + "]"
			}
			d.json = append(d.json, text...)
			d.end(last.Name(), from)
		}
		list = nil
	}
	for f, v := range evidence.All() {
		if f != last {
			flush()
			last = f
		}
		if len(list) == 64 {
			d.full = true
			continue
		}
		if text, ok := referenceTyped(schemas.FieldType(f.Name()), string(v)); ok {
			list = append(list, text)
		}
	}
	flush()
}

func referenceTyped(t schemas.Type, v string) (string, bool) {
	var err error
	switch t {
	case schemas.Long:
		n, err := strconv.ParseInt(v, 10, 64)
		return strconv.FormatInt(n, 10), err == nil
	case schemas.Boolean:
		return v, v == "true" || v == "false"
	case schemas.IP:
		_, err = netip.ParseAddr(v)
	case schemas.Date:
		_, err = time.Parse(time.RFC3339, v)
	}
	return referenceString(v, MaxText), err == nil && v != ""
}

func (a *Alert) referenceSummary(d *document) {
	var list []*document
	for i := 0; i < len(a.Summary) && i < 256; {
		attribute := a.Summary[i].Attribute
		var values []*document
		for ; i < len(a.Summary) && a.Summary[i].Attribute == attribute; i++ {
			c, v := a.Summary[i], newDocument(MaxBytes)
			v.always("value", c.Value, MaxText/4)
			v.number("count", c.Count)
			v.number("error", c.Error)
			values = append(values, v)
		}
		o := newDocument(MaxBytes)
		o.text("attribute", attribute)
		o.objects("values", values...)
		list = append(list, o)
	}
	if len(list) > 0 {
		d.objects("firstseen.summary", list...)
	}
}

// referenceEvent reads the evidence for every question.
type referenceEvent struct{ schemas.Evidence }

func (e referenceEvent) get(name string) string { return string(e.Get(name)) }

func (e referenceEvent) address() string {
	return or(or(e.get("source.address"), e.get("client.address")), e.get("aws.s3access.remote_ip"))
}

func (e referenceEvent) ips() []string {
	var ips []string
	list := []string{e.get("source.ip"), e.get("client.ip")}
	if s := e.get("source.address"); strings.Contains(s, ",") {
		list = append(list, strings.Split(s, ",")...)
	}
	for _, s := range list {
		if ip, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil && len(ips) < 16 {
			if s := ip.WithZone("").String(); !slices.Contains(ips, s) {
				ips = append(ips, s)
			}
		}
	}
	return ips
}

// TestEventIsTheReference: every field is the first value in the evidence, damaged or not.
func TestEventIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		evidence := schemas.Evidence(someEvidence(t))
		e := new(event)
		e.read(evidence)
		e.read(evidence) // nothing is left of what was read before
		for f := range schemas.FieldEnd {
			if name := f.Name(); e.get(name) != string(evidence.Get(name)) {
				t.Fatalf("%s is %q, want %q", name, e.get(name), evidence.Get(name))
			}
		}
		if got, want := fmt.Sprint(e.ips(nil)), fmt.Sprint(referenceEvent{evidence}.ips()); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

// referenceString is a JSON string with all that does not print escaped.
func referenceString(s string, most int) string {
	var b strings.Builder
	for _, r := range []rune(s)[:min(most, utf8.RuneCountInString(s))] {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	return `"` + b.String() + `"`
}

// FuzzString: a string is that of the reference, wherever in it what must be escaped is, and wherever it is cut.
func FuzzString(f *testing.F) {
	for _, s := range words {
		f.Add(s, 1024)
	}
	for c := range rune(256) {
		for before := range 9 {
			f.Add(strings.Repeat("a", before)+string(c)+"end of it", before)
			f.Add(strings.Repeat("a", before)+string([]byte{byte(c)})+"end of it", 12)
		}
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = max(0, most%2000)
		if got, want := string(appendString([]byte("before"), s, most)), "before"+referenceString(s, most); got != want {
			t.Fatalf("%q cut at %d: %s, want %s", s, most, got, want)
		}
	})
}

// TestPlaces: every path of a document has its place, or all of the document is sorted.
func TestPlaces(t *testing.T) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if m, ok := v.(map[string]any); ok && path != "" || path == "" {
			for name, inner := range m {
				walk(strings.TrimPrefix(path+"."+name, "."), inner)
			}
		} else if _, ok := placeOf(path); !ok {
			t.Errorf("%s has no place", path)
		}
	}
	for _, s := range samples(t) {
		walk("", parse(t, s.alert.AppendECS(nil)))
	}
	walk("", parse(t, hostileAlert(Closed, "a").AppendECS(nil)))
	for _, path := range []string{"", "tag", "tags2", "firstseen", "event.reasons", strings.Repeat("a.", 500)} {
		if i, ok := placeOf(path); ok {
			t.Errorf("%q has the place of %q", path, places[i].path)
		}
	}
}

// TestSlotsAndValues: a document with a path that has no place is the same as one without places.
func TestSlotsAndValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain, fast := newDocument(MaxBytes), &document{room: MaxBytes, slots: new(slots)}
		for i, path := range rapid.SliceOf(rapid.SampledFrom([]string{
			"userIdentity", "userIdentity.type", "userIdentity.arn", "userIdentity.none", "user.id", "user.name", "user", "tags", "event.kind",
			"event", "source.as.organization.name", "source.ip", "source.as.number", "@timestamp", "zzz", "firstseen.origin.index",
		})).Draw(t, "paths") {
			plain.number(path, int64(i))
			fast.number(path, int64(i))
		}
		if got, want := fast.appendTo(nil), plain.appendTo(nil); !bytes.Equal(got, want) {
			t.Fatalf("%s\nwant %s", got, want)
		}
	})
}

// TestIDs: an id is a UUID of version 5 over the lengths and texts, written as such.
func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind, rule, key, event := text(t), text(t), text(t), text(t)
		var name string
		for _, part := range []string{kind, rule, key, event} {
			name += strconv.Itoa(len(part)) + ":" + part
		}
		id := ID(kind, rule, key, event)
		if want := uuid.NewSHA1(namespace, []byte(name)); id != want {
			t.Fatalf("%s, want %s", id, want)
		}
		b := slices.Repeat(id[:], rapid.SampledFrom([]int{0, 1, 2, MaxText / 32, MaxText/32 + 1}).Draw(t, "times"))
		d, want := newDocument(MaxBytes), newDocument(MaxBytes)
		d.id("id", id)
		d.hex("hex", b)
		want.text("id", id.String())
		want.text("hex", hex.EncodeToString(b))
		if got, want := d.appendTo(nil), want.appendTo(nil); !bytes.Equal(got, want) {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

// TestDocumentsAtTheSameTime: documents that are made at the same time share no memory.
func TestDocumentsAtTheSameTime(t *testing.T) {
	var wait sync.WaitGroup
	for _, s := range samples(t) {
		want := referenceECS(s.alert, MaxBytes)
		for range 4 {
			wait.Go(func() {
				for range 200 {
					if got := s.alert.AppendECS(nil); !bytes.Equal(got, want) {
						t.Errorf("%s: %s\nwant %s", s.name, got, want)
						return
					}
				}
			})
		}
	}
	wait.Wait()
}

// TestSummaryTooLong: an attribute whose values have no room in any document is there without them.
func TestSummaryTooLong(t *testing.T) {
	a := *samples(t)[0].alert
	for range 100 {
		a.Summary = append(a.Summary, wire.Counter{Attribute: "key", Value: strings.Repeat("\U000E0041", 256), Count: 1})
	}
	got := a.AppendECS(nil)
	if summary, _ := at(parse(t, got), "firstseen.summary"); !equal(summary, []any{map[string]any{"attribute": "key"}}) {
		t.Errorf("%v", summary)
	}
	if !bytes.Equal(got, referenceECS(&a, MaxBytes)) {
		t.Errorf("%s", got)
	}
}

// TestRoomIsExact: what takes all of the room is added, and nothing after it.
func TestRoomIsExact(t *testing.T) {
	const cost = len(`"a"`) + len("event.kind") + 2*6
	for _, d := range []*document{{}, {slots: new(slots)}} {
		for room, want := range map[int]string{cost: `{"event":{"kind":"a"}}`, cost - 1: `{}`, cost + 1: `{"event":{"kind":"a"}}`} {
			d.reset(room)
			d.text("event.kind", "a")
			d.text("tags", "")
			if got := string(d.appendTo(nil)); got != want || d.full != (room < cost) {
				t.Errorf("room for %d: %s, full %v", room, got, d.full)
			}
		}
	}
}
