package stage

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// path is a way for messages through the stages. All ways must lead to the same alerts: the slow one parses every
// record, decides on every message by itself, and leaves each where it is in memory.
type path struct {
	filtered bool
	combined bool // all messages up to a cut are one transaction
	recycled bool // what a stage was given is overwritten when it returns
	apart    bool // findings are decided on entry by entry
}

// outcome is what came of a stream.
type outcome struct {
	path
	records []Output // candidates and findings
	outputs []Output
	dead    []deadLetter
	counts  IngestCounts
	store   memory

	lent []byte
}

// lend returns a copy of b that take takes back.
func (o *outcome) lend(b []byte) []byte {
	if !o.recycled {
		return b
	}
	o.lent = append(o.lent, b...)
	return o.lent[len(o.lent)-len(b):]
}

// take overwrites all that was lent. The next that is lent is in the same memory, as in a pool.
func (o *outcome) take() {
	for i := range o.lent {
		o.lent[i] ^= 0xff
	}
	o.lent = o.lent[:0]
}

// Get is [View.Get].
func (o *outcome) Get(dst, key []byte) ([]byte, bool, error) { return o.store.Get(dst, key) }

// Scan is [View.Scan].
func (o *outcome) Scan(prefix []byte, fn func(key, value []byte) error) error {
	return o.store.Scan(prefix, func(key, value []byte) error {
		defer o.take()
		return fn(o.lend(key), o.lend(value))
	})
}

// follow sends the messages that way. A cut is behind the messages with these numbers.
func (p path) follow(t rapid.TB, set *rules.Set, messages []schemas.Message, cuts []int) *outcome {
	o := &outcome{path: p, store: memory{}}
	in := NewIngest(set, IngestConfig{
		Decoder: schemas.Config{ValidateAll: !p.filtered, Bounds: schemas.Bounds{RecordBytes: 8 << 10, Records: 50, Depth: 10}},
		Dead: func(m *schemas.Message, d schemas.DeadLetter) {
			o.dead = append(o.dead, deadLetter{d.Reason, d.Index, m.Offset, string(d.Value)})
		},
	})
	terms, windows := NewOverlay(o), NewOverlay(o)
	detect, group := NewDetect(GroupConfig{}), NewGroup(GroupConfig{})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	now := int64(0)
	pass := func(out Output) {
		if out.To == Alerts || out.To == Suppressed {
			o.outputs = append(o.outputs, out)
			return
		}
		o.records = append(o.records, out)
		key, value := o.lend(out.Key), o.lend(out.Value)
		if out.To == Candidates {
			must(detect.Record(terms, now, key, value, now, texts))
		} else {
			entries := [][]byte{value}
			if p.apart {
				entries = Entries(value)
			}
			for _, entry := range entries {
				outputs, err := group.Record(windows, now, key, entry, now, texts)
				must(err)
				o.outputs = append(o.outputs, outputs...)
			}
		}
		o.take()
	}
	for i, m := range messages {
		now = m.Timestamp
		m.Value = o.lend(m.Value)
		in.Message(m)
		o.take()
		if cut := slices.Contains(cuts, i); cut || !p.combined || i == len(messages)-1 {
			must(in.Flush(pass))
			must(detect.Flush(pass))
			for _, written := range []*Overlay{terms, windows} {
				o.store.apply(written)
				written.Reset()
			}
			if cut { // another takes over
				must(group.Open(windows, now))
			}
		}
	}
	closed, err := group.Close(windows, texts)
	must(err)
	o.outputs, o.counts = append(o.outputs, closed...), in.Counts()
	o.store.apply(windows)
	return o
}

// same fails unless two lists are the same.
func same(t rapid.TB, what string, got, want []string) {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%s %d of %d, want %d\n got %.2000q\nwant %.2000q", what, i, len(got), len(want), got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
		}
	}
}

func (o *outcome) letters() (list []string) {
	for _, d := range o.dead {
		list = append(list, fmt.Sprintf("%+v", d))
	}
	return list
}

func (o *outcome) sameState(t rapid.TB, want *outcome) {
	if !maps.Equal(o.store, want.store) {
		t.Fatalf("state\n got %q\nwant %q", o.store, want.store)
	}
}

// sameAs is for paths that may differ in nothing.
func (o *outcome) sameAs(t rapid.TB, want *outcome) {
	same(t, "dead letter", o.letters(), want.letters())
	same(t, "candidate or finding", all(o.records), all(want.records))
	same(t, "alert", all(o.outputs), all(want.outputs))
	o.sameState(t, want)
	if o.counts != want.counts {
		t.Fatalf("counts %+v, want %+v", o.counts, want.counts)
	}
}

// filteredFrom is for a path with the filter, beside the one without: a record that no rule can match may be no dead
// letter, as it is not parsed. What is left of a message with such a record may be cut up in another way, so that those
// behind have other numbers. All else is the same.
func (o *outcome) filteredFrom(t rapid.TB, want *outcome) {
	broken := map[int64]bool{}
	for _, d := range want.dead {
		if d.reason != schemas.RuleError {
			broken[d.offset] = true
		}
	}
	for _, d := range o.dead {
		if d.reason != schemas.RuleError && !broken[d.offset] {
			t.Fatalf("dead letter %+v of a message that has none without the filter", d)
		}
	}
	same(t, "candidate or finding", o.numberless(t, broken), want.numberless(t, broken))
	if len(broken) == 0 {
		same(t, "alert", all(o.outputs), all(want.outputs))
		o.sameState(t, want)
	}
	a, b := o.counts, want.counts
	if a.Matches != b.Matches || a.RuleErrors != b.RuleErrors || a.Stats.Bytes != b.Stats.Bytes || a.Stats.Records != b.Stats.Records && len(broken) == 0 {
		t.Fatalf("counts %+v, want %+v", a, b)
	}
}

// numberless lists candidates and findings without the numbers of records in the messages at these offsets.
func (o *outcome) numberless(t rapid.TB, offsets map[int64]bool) (list []string) {
	drop := func(m *wire.Match) {
		if offsets[m.Origin.Offset] {
			m.Origin.Index = 0
		}
	}
	for _, out := range o.records {
		var record any
		var err error
		if out.To == Candidates {
			var c wire.Candidate
			err = wire.DecodeCandidate(out.Value, &c)
			drop(&c.First)
			record = c
		} else {
			var f wire.Finding
			err = wire.DecodeFinding(out.Value, &f)
			for i := range f.Entries {
				drop(&f.Entries[i].Match)
			}
			record = f
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %q %+v", out.To, out.Key, record))
	}
	return list
}

// combinedFrom is for a path that combines, beside the one that does not: alerts of different groups may come in another
// order, except where a cap counts them.
func (o *outcome) combinedFrom(t rapid.TB, want *outcome, capped func(rule string) bool) {
	sorted := func(o *outcome) map[string][]string {
		list := map[string][]string{}
		for i, text := range all(o.outputs) {
			id := string(o.outputs[i].Key)
			for _, h := range o.outputs[i].Headers {
				if h[0] == "firstseen-rule" && capped(h[1]) {
					id = h[1]
				}
			}
			list[id] = append(list[id], text)
		}
		return list
	}
	got, expected := sorted(o), sorted(want)
	same(t, "alerts", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(expected)))
	for id, list := range expected {
		same(t, "alert "+id, got[id], list)
	}
	same(t, "dead letter", o.letters(), want.letters())
	o.sameState(t, want)
}

// Every way through the stages leads to the same alerts, the same state and the same dead letters.
func checkPaths(t rapid.TB, texts []*rulefile.Rule, messages []schemas.Message, cuts []int) *outcome {
	set := load(t, texts...)
	capped := func(id string) bool {
		return slices.ContainsFunc(texts, func(r *rulefile.Rule) bool { return r.ID == id && r.MaxAlerts != nil })
	}
	before := slices.Clone(messages)
	for i, m := range messages {
		before[i].Value = bytes.Clone(m.Value)
	}
	slow := path{}.follow(t, set, messages, cuts)
	path{recycled: true}.follow(t, set, messages, cuts).sameAs(t, slow)
	path{filtered: true}.follow(t, set, messages, cuts).filteredFrom(t, slow)
	combined := path{combined: true}.follow(t, set, messages, cuts)
	combined.combinedFrom(t, slow, capped)
	path{combined: true, recycled: true}.follow(t, set, messages, cuts).sameAs(t, combined)
	path{combined: true, apart: true}.follow(t, set, messages, cuts).sameAs(t, combined)
	fast := path{filtered: true, combined: true, recycled: true}.follow(t, set, messages, cuts)
	fast.filteredFrom(t, combined)
	for i := range messages {
		if !bytes.Equal(messages[i].Value, before[i].Value) {
			t.Fatalf("message %d was %q, has become %q", i, before[i].Value, messages[i].Value)
		}
	}
	return fast
}

func TestEveryPathLeadsToTheSameAlerts(t *testing.T) {
	met := outcome{}
	rapid.Check(t, func(t *rapid.T) {
		messages := drawStream(t)
		o := checkPaths(t, drawStreamSet(t), messages, rapid.SliceOf(rapid.IntRange(0, len(messages))).Draw(t, "cuts"))
		met.outputs = append(met.outputs, o.outputs...)
		met.dead = append(met.dead, o.dead...)
		met.counts.Matches += o.counts.Matches
		met.counts.RuleErrors += o.counts.RuleErrors
		met.counts.Stats.Add(o.counts.Stats)
	})
	if n := met.counts; len(met.outputs) < 50 || len(met.dead) < 50 || n.Stats.Filtered < 50 || n.RuleErrors == 0 {
		t.Errorf("%d alerts, %d dead letters of %+v: the property is hardly exercised", len(met.outputs), len(met.dead), n)
	}
}

// FuzzPaths puts anything between messages that rules match.
func FuzzPaths(f *testing.F) {
	call, line := strings.Replace(cloudTrail, "%s", "anonymous", 1), fmt.Sprintf(accessLog, "192.0.2.1", 1)
	for _, s := range []string{"", call, line, `{"Records":[` + call + "," + call + "]}", "[" + call + ",\n" + call + "]", squeezed(call), squeezed(call)[:200],
		`{"message":` + strconv.Quote(call) + `}`, `{"messageType":"DATA_MESSAGE","logEvents":[{"message":` + strconv.Quote(line) + `}]}`, call[:300] + "\n" + line, call + call[:100] + "\n" + call,
		`{"schema":{"type":"bytes"},"payload":"` + base64.StdEncoding.EncodeToString([]byte(call)) + `"}`, `{"eventVersion":"1","detail-type":"AWS API Call via CloudTrail","detail":` + call + `}`,
		strings.Replace(call, "GetObject", `G\u0065tObject`, 1), strings.Replace(call, `"203.0.113.7"`, `["10.0.0.256",""]`, 1), `{"eventVersion":"1",` + "\n" + line + "\n}", string(request{1, "payroll", "k", "::1"}.message(1).Value)} {
		f.Add([]byte(s))
	}
	texts := streamRules()
	f.Fuzz(func(t *testing.T, value []byte) {
		var messages []schemas.Message
		for i, v := range []string{call, string(value), line, string(value)} {
			messages = append(messages, streamMessage([]byte(v), i))
		}
		checkPaths(t, texts, messages, []int{1})
	})
}
