package stage

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

const testDay = 86_400_000

func candidate0(terms ...string) *wire.Candidate {
	return &wire.Candidate{
		Ruleset: []byte("ruleset"), Rule: "rule", State: wire.StateID{1}, Terms: terms, Group: "group", Policy: wire.Policy{Threshold: 1, CapCount: 9, CapPer: 1},
		History: 7 * testDay, HistoryStart: 500, Count: 3, Last: 9000, First: wire.Match{Time: 8000, EventID: "event"},
		Counters: []wire.Counter{{Attribute: "key", Value: "k", Count: 1}},
	}
}

func detect(t *testing.T, d *Detect, view *Overlay, clock int64, c *wire.Candidate) {
	t.Helper()
	value, err := wire.AppendCandidate(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Record(view, clock, nil, value, 0, texts); err != nil {
		t.Fatal(err)
	}
}

func term(t *testing.T, view View, terms ...string) (term wire.Term) {
	t.Helper()
	value, ok, err := view.Get(nil, TermKey(nil, wire.StateID{1}, terms))
	if err != nil || !ok {
		t.Fatalf("no term %q, %v", terms, err)
	}
	if err := wire.DecodeTerm(value, &term); err != nil {
		t.Fatal(err)
	}
	return term
}

func TestDetectFindsNewTerms(t *testing.T) {
	d, view := NewDetect(GroupConfig{}), NewOverlay(nil)
	detect(t, d, view, 900, candidate0("a")) // of another partition
	detect(t, d, view, 200, candidate0("b"))
	f := flush(t, d)
	if len(f.findings) != 1 || len(f.findings[0].Entries) != 2 {
		t.Fatalf("%+v", f.findings)
	}
	e := f.findings[0].Entries[1]
	if !slices.Equal(e.Terms, []string{"b"}) || e.Match.EventID != "event" || e.PreviousSeen != wire.NoTime || e.History != 7*testDay ||
		e.HistoryStart != 500 || e.Folded != 0 || len(e.Counters) != 1 {
		t.Errorf("%+v", e)
	}
	if got, want := term(t, view, "b"), (wire.Term{FirstSeen: 8000, LastSeen: 9000, Count: 3, SweepAt: 200 + 14*testDay}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}

	again := candidate0("b")
	again.First.Time, again.Last, again.History = 9001+testDay, 9001+testDay, testDay
	detect(t, d, view, 300, again)
	if f = flush(t, d); len(f.findings) != 1 || f.findings[0].Entries[0].PreviousSeen != 9000 {
		t.Fatalf("%+v", f.findings)
	}
	if got := term(t, view, "b").SweepAt; got != 200+14*testDay {
		t.Errorf("a shorter history lowered the sweep deadline to %d", got)
	}
	if n := d.Counts(); n != (DetectCounts{Candidates: 3, Events: 9, Findings: 3}) {
		t.Errorf("%+v", n)
	}
}

func TestDetectLearns(t *testing.T) {
	d, view := NewDetect(GroupConfig{}), NewOverlay(nil)
	c := candidate0("a")
	c.Learn = true
	detect(t, d, view, 0, c)
	detect(t, d, view, 0, candidate0("a"))
	if f := flush(t, d); len(f.findings) != 0 || d.Counts().Learned != 1 || term(t, view, "a").Count != 6 {
		t.Errorf("%+v, %+v", f.findings, d.Counts())
	}
}

// Where the group stage has nothing to decide, detect makes the alert that it would make.
func TestDetectAlertsAtOnce(t *testing.T) {
	for what, change := range map[string]func(*wire.Candidate){
		"without cap and window": func(c *wire.Candidate) { c.Policy = wire.Policy{Threshold: 1} },
		"in shadow":              func(c *wire.Candidate) { c.Policy = wire.Policy{Threshold: 1, Shadow: true} },
		"held":                   func(c *wire.Candidate) { c.HoldUntil = c.First.Time + 1 },
		"held, with a window":    func(c *wire.Candidate) { c.HoldUntil, c.Policy.Period = c.First.Time+1, 60 },
	} {
		c := candidate0("a", "b")
		change(c)
		value, err := wire.AppendCandidate(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		f, e := found(c, wire.NoTime)
		f.Entries = []wire.Entry{e}
		finding, err := wire.AppendFinding(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		group := NewGroup(GroupConfig{})
		want, err := group.Record(NewOverlay(nil), 0, nil, finding, 7000, texts)
		if err != nil || len(want) != 1 {
			t.Fatalf("%s: %d alerts, %v", what, len(want), err)
		}

		d, view := NewDetect(GroupConfig{}), NewOverlay(nil)
		unknown := func([]byte, string) (*alert.Rule, error) { return nil, ErrUnknownRuleset }
		if err := d.Record(view, 0, nil, value, 7000, unknown); !errors.Is(err, ErrUnknownRuleset) {
			t.Errorf("%s, no ruleset: %v", what, err)
		}
		if _, known, _ := view.Get(nil, TermKey(nil, c.State, c.Terms)); known || d.Counts() != (DetectCounts{}) || d.Alerts() != (GroupCounts{}) || d.Bytes() > 0 {
			t.Errorf("%s: what failed has left something", what)
		}
		for _, discard := range []bool{true, false} {
			if err := d.Record(NewOverlay(nil), 0, nil, value, 7000, texts); err != nil {
				t.Fatal(err)
			}
			if d.Bytes() != int64(len(want[0].Value)) {
				t.Errorf("%s: %d bytes wait, want %d", what, d.Bytes(), len(want[0].Value))
			}
			if discard {
				d.Discard()
			}
		}
		var got []Output
		if err := d.Flush(func(out Output) { got = append(got, out) }); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q, %v", what, got, want, err)
		}
		made := group.Counts()
		made.Findings = 0
		if twice := made.add(made); d.Alerts() != twice || d.Bytes() > 0 {
			t.Errorf("%s: counted %+v, want %+v", what, d.Alerts(), twice)
		}
	}
}

// Workers with another version of a rule decide by their own policy: their findings stay apart.
func TestFindingsOfOtherRulesetsStayApart(t *testing.T) {
	d, view := NewDetect(GroupConfig{}), NewOverlay(nil)
	for i, change := range []func(*wire.Candidate){
		func(c *wire.Candidate) {}, func(c *wire.Candidate) { c.Ruleset = []byte("another") }, func(c *wire.Candidate) { c.Policy.Period = 60 },
	} {
		c := candidate0(string(rune('a' + i)))
		change(c)
		detect(t, d, view, 0, c)
	}
	if f := flush(t, d); len(f.findings) != 3 || string(f.findings[1].Ruleset) != "another" || f.findings[2].Policy.Period != 60 {
		t.Errorf("%+v", f.findings)
	}
	d.Discard()
	detect(t, d, view, 0, candidate0("z"))
	d.Discard()
	if f := flush(t, d); len(f.findings) != 0 {
		t.Errorf("%+v", f.findings)
	}
}
