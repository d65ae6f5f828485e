package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// texts knows every rule of every ruleset.
func texts(ruleset []byte, rule string) (*alert.Rule, error) {
	return &alert.Rule{ID: rule, Name: rule}, nil
}

// shown is what the tests look at in an output.
type shown struct {
	to     Destination
	id     string
	header string // why it was suppressed
	value  string
}

func show(outputs []Output) (list []shown) {
	for _, o := range outputs {
		s := shown{to: o.To, id: string(o.Key), value: string(o.Value)}
		for _, h := range o.Headers {
			if h[0] == suppressed {
				s.header = h[1]
			}
		}
		list = append(list, s)
	}
	return list
}

// bench is a group stage with its state.
type bench struct {
	t     rapid.TB
	group *Group
	view  *Overlay
	store memory
}

func newBench(t rapid.TB) *bench {
	store := memory{}
	return &bench{t: t, group: NewGroup(GroupConfig{}), view: NewOverlay(store), store: store}
}

// record processes a finding, or a tick for nil.
func (b *bench) record(f *wire.Finding, timestamp int64) []shown {
	b.t.Helper()
	var value []byte
	if f != nil {
		var err error
		if value, err = wire.AppendFinding(nil, f); err != nil {
			b.t.Fatal(err)
		}
	}
	outputs, err := b.group.Record(b.view, 0, nil, value, timestamp, texts)
	if err != nil {
		b.t.Fatal(err)
	}
	return show(outputs)
}

func (b *bench) commit() {
	b.store.apply(b.view)
	b.view.Reset()
}

// abort is a transaction that did not commit.
func (b *bench) abort(timestamp int64) {
	b.view.Reset()
	if err := b.group.Open(b.view, timestamp); err != nil {
		b.t.Fatal(err)
	}
}

func TestUnreadableRecordIsAnError(t *testing.T) {
	b := newBench(t)
	newer := append([]byte{0xC3, 0x01}, "an unknown version"...)
	for want, value := range map[error][]byte{wire.ErrCorrupt: []byte("garbage"), wire.ErrUnknownVersion: newer} {
		if _, err := b.group.Record(b.view, 0, nil, value, 5, texts); !errors.Is(err, want) {
			t.Errorf("group: %v, want %v", err, want)
		}
		if err := NewDetect(GroupConfig{}).Record(b.view, 0, nil, value, 5, texts); !errors.Is(err, want) {
			t.Errorf("detect: %v, want %v", err, want)
		}
	}
	f := &wire.Finding{Group: "g", Policy: wire.Policy{Period: 60}, Entries: []wire.Entry{{}}}
	b.store[string(WindowKey(nil, f.State, f.Group))] = string(newer)
	value, _ := wire.AppendFinding(nil, f)
	if _, err := b.group.Record(b.view, 0, nil, value, 5, texts); !errors.Is(err, wire.ErrUnknownVersion) {
		t.Errorf("window of a newer version: %v", err)
	}
	if err := b.group.Open(b.view, 0); !errors.Is(err, wire.ErrUnknownVersion) {
		t.Errorf("window of a newer version: %v", err)
	}
	if b.group.Timestamp() != 0 || b.view.Len() != 0 {
		t.Error("something changed")
	}
}

func TestFormats(t *testing.T) {
	b := newBench(t)
	b.group = NewGroup(GroupConfig{Formats: []alert.Format{alert.ECS, alert.OCSF, alert.Panther, Text}})
	f := &wire.Finding{Rule: "rule", Group: "g", Policy: wire.Policy{Period: 60, Shadow: true}, Entries: []wire.Entry{{}}}
	value, _ := wire.AppendFinding(nil, f)
	outputs, err := b.group.Record(b.view, 0, nil, value, 5, texts)
	if err != nil || len(outputs) != 4 {
		t.Fatalf("%d outputs, %v", len(outputs), err)
	}
	for i, format := range b.group.cfg.Formats {
		headers := fmt.Sprint(outputs[i].Headers)
		if !strings.Contains(headers, "[firstseen-format "+string(format)+"]") || !strings.Contains(headers, "["+suppressed+" shadow]") || outputs[i].To != Suppressed {
			t.Errorf("%s: to %s with %s", format, outputs[i].To, headers)
		}
	}
}

// entryAt is a match at a second.
func entryAt(second int64) wire.Entry {
	return wire.Entry{Match: wire.Match{Time: second * 1000, EventID: fmt.Sprint("at ", second)}}
}

// A window and a cap keep the policy they were opened with, whatever the findings say that join them.
func TestPolicyOfTheWindowCounts(t *testing.T) {
	b := newBench(t)
	f := &wire.Finding{Rule: "rule", Group: "g", Policy: wire.Policy{Period: 60, Threshold: 2, Shadow: true}, Entries: []wire.Entry{entryAt(0)}}
	b.record(f, 0)
	f.Policy, f.Entries = wire.Policy{Period: 10, Threshold: 1}, []wire.Entry{entryAt(30)}
	if got := b.record(f, 0); len(got) != 1 || got[0].to != Suppressed || got[0].header != inShadow {
		t.Errorf("the second match of a window in shadow mode made %v", got)
	}
	f.Entries = []wire.Entry{entryAt(61), entryAt(72)}
	if got := b.record(f, 0); len(got) != 2 || got[0].to != Alerts || got[1].to != Alerts {
		t.Errorf("windows of 10 seconds without a threshold made %v", got)
	}
	f = &wire.Finding{Rule: "capped", Group: "g", Policy: wire.Policy{Threshold: 1, CapCount: 1, CapPer: 60}, Entries: []wire.Entry{entryAt(0)}}
	b.record(f, 0)
	f.Policy.CapCount, f.Entries = 9, []wire.Entry{entryAt(1)}
	if got := b.record(f, 0); len(got) != 2 || got[0].header != overCap {
		t.Errorf("the second alert of a cap of 1 made %v", got)
	}
}

// A window counts the values of its own matches, also where it takes the place of another within a record.
func TestWindowCountsItsOwnValues(t *testing.T) {
	b := newBench(t)
	f := &wire.Finding{Rule: "rule", Group: "g", Policy: wire.Policy{Period: 60, Threshold: 1}}
	for _, second := range []int64{0, 1, 100} {
		e := entryAt(second)
		e.Counters = []wire.Counter{{Attribute: "key", Value: fmt.Sprint(second), Count: 1}}
		f.Entries = append(f.Entries, e)
	}
	b.record(f, 0)
	value, _, _ := b.view.Get(nil, WindowKey(nil, f.State, f.Group))
	var w wire.Window
	if err := wire.DecodeWindow(value, &w); err != nil || !slices.Equal(w.Counters, f.Entries[2].Counters) {
		t.Errorf("%+v, %v", w, err)
	}
}

// Windows and caps are swept like terms, with their length as the history; a shorter one does not lower the deadline.
func TestWindowsAreSwept(t *testing.T) {
	b := newBench(t)
	const period, per = 2 * 86_400, 3 * 86_400 // seconds
	f := &wire.Finding{Rule: "rule", Group: "g", State: wire.StateID{7}, Entries: []wire.Entry{entryAt(0)},
		Policy: wire.Policy{Period: period, Threshold: 1, CapCount: 1, CapPer: per}}
	record := func(clock int64) {
		value, _ := wire.AppendFinding(nil, f)
		if _, err := b.group.Record(b.view, clock, nil, value, 0, texts); err != nil {
			t.Fatal(err)
		}
	}
	sweepAt := func(key []byte) int64 {
		value, _, _ := b.view.Get(nil, key)
		at, _ := wire.SweepAt(value)
		return at
	}
	record(5)
	f.Policy.Period, f.Policy.CapPer, f.Entries[0] = 60, 60, entryAt(30*86_400)
	record(6)
	if got := sweepAt(WindowKey(nil, f.State, f.Group)); got != 5+2*period*1000 {
		t.Errorf("the window is swept at %d", got)
	}
	if got := sweepAt(CapKey(nil, f.State)); got != 5+2*per*1000 {
		t.Errorf("the cap is swept at %d", got)
	}
}

// A sweep takes a window or a cap only when it has said everything.
func TestSweepWaitsForTheReport(t *testing.T) {
	b := newBench(t)
	f := &wire.Finding{Rule: "rule", Group: "g", Policy: wire.Policy{Period: 60, Threshold: 1, CapCount: 1, CapPer: 60},
		Entries: []wire.Entry{entryAt(0), entryAt(1)}}
	b.record(f, 0)
	f.Group, f.Entries = "h", []wire.Entry{entryAt(2)}
	b.record(f, 0)
	f.Group = "i"
	b.record(f, 0)
	keys := [][]byte{WindowKey(nil, f.State, "g"), WindowKey(nil, f.State, "h"), CapKey(nil, f.State)}
	sweep := func() int {
		n, err := Sweep(b.view, 1<<60, keys)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := sweep(); n != 1 {
		t.Errorf("%d swept, want the window h, which has nothing to add to its alert", n)
	}
	if got := b.record(nil, 2_000_000); len(got) != 2 {
		t.Errorf("%d updates, want those of the window g and of the cap", len(got))
	}
	if n := sweep(); n != 2 {
		t.Errorf("%d swept after the updates", n)
	}
}

// The key of a group is the rule and its values; the alert names the rule elsewhere.
func TestGroupValues(t *testing.T) {
	for group, want := range map[string]string{"rule": "", "rule\x00logs": "logs", "rule\x00logs\x00192.0.2.1": "logs, 192.0.2.1"} {
		if got := groupValues(&wire.Window{Rule: "rule", Group: group}); got != want {
			t.Errorf("%q shows as %q, want %q", group, got, want)
		}
	}
}

func TestAppendTimesOnlyRise(t *testing.T) {
	b := newBench(t)
	b.record(nil, 1000)
	b.record(nil, 500)
	if got := b.group.Timestamp(); got != 1000 {
		t.Errorf("highest append time is %d", got)
	}
}

// A threshold reached by a late match: the alert's time is that match's, its last match too; the update says when the
// last one really was. The numbers of the first alert do not depend on what was folded into its entry.
func TestTimesOfAnAlert(t *testing.T) {
	b := newBench(t)
	document := func(f *wire.Finding) (times [5]string, summary bool) {
		t.Helper()
		got := b.record(f, 0)
		if len(got) == 0 {
			t.Fatal("no alert")
		}
		var doc map[string]any
		if err := json.Unmarshal([]byte(got[0].value), &doc); err != nil {
			t.Fatal(err)
		}
		event, own := doc["event"].(map[string]any), doc["firstseen"].(map[string]any)
		times = [5]string{doc["@timestamp"].(string), event["start"].(string), event["end"].(string)}
		if at, ok := own["group"].(map[string]any)["threshold_reached"]; ok {
			times[3] = at.(string)
		}
		times[4] = fmt.Sprint(own["alert"].(map[string]any)["count"])
		return times, own["summary"] != nil
	}
	key := []wire.Counter{{Attribute: "key", Value: "k", Count: 1}}
	f := &wire.Finding{Rule: "rule", Group: "g", Policy: wire.Policy{Period: 60, Threshold: 2}, Entries: []wire.Entry{entryAt(30), entryAt(20)}}
	f.Entries[0].Counters = key
	const first, second, last = "1970-01-01T00:00:30.000Z", "1970-01-01T00:00:20.000Z", "1970-01-01T00:00:40.000Z"
	if got, summary := document(f); got != [5]string{second, first, second, second, "2"} || !summary {
		t.Errorf("open: %v, with a summary: %v", got, summary)
	}
	f.Entries = []wire.Entry{entryAt(40), entryAt(100)} // 100 opens the next window
	if got, summary := document(f); got != [5]string{second, first, last, second, "3"} || !summary {
		t.Errorf("closed: %v, with a summary: %v", got, summary)
	}
	f = &wire.Finding{Rule: "folding", Group: "folding", Policy: wire.Policy{Period: 60, Threshold: 1}, Entries: []wire.Entry{entryAt(30)}}
	f.Entries[0].Counters, f.Entries[0].Folded = key, 5
	if got, summary := document(f); got != [5]string{first, first, first, "", "1"} || summary {
		t.Errorf("without a threshold: %v, with a summary: %v", got, summary)
	}
	f.Entries[0] = entryAt(95)
	f.Entries[0].Match.Time += 500
	b.record(f, 0)
	f.Entries = []wire.Entry{entryAt(95), entryAt(200)} // the window's last time is in whole seconds, its first is not
	if got, _ := document(f); got[1] != "1970-01-01T00:01:35.500Z" || got[2] != got[1] {
		t.Errorf("an alert from %s to %s", got[1], got[2])
	}
}

// Several terms of one event are several alerts.
func TestTermsAreIdentity(t *testing.T) {
	b := newBench(t)
	f := &wire.Finding{Rule: "rule", Group: "g", Policy: wire.Policy{Threshold: 1}, Entries: []wire.Entry{entryAt(1), entryAt(1), entryAt(1)}}
	for i, terms := range [][]string{{"a", "b"}, {"ab", ""}, {"a", "c"}} {
		f.Entries[i].Terms = terms
	}
	ids := map[string]bool{}
	for _, s := range b.record(f, 0) {
		ids[s.id] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d ids: %v", len(ids), ids)
	}
}
