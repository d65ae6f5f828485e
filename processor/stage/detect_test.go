package stage

import (
	"slices"
	"testing"

	"firstseen/schemas/wire"
)

const testDay = 86_400_000

func candidate0(terms ...string) *wire.Candidate {
	return &wire.Candidate{
		Ruleset: []byte("ruleset"), Rule: "rule", State: wire.StateID{1}, Terms: terms, Group: "group", Policy: wire.Policy{Threshold: 1},
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
	if err := d.Record(view, clock, nil, value, 0); err != nil {
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
	d, view := NewDetect(), NewOverlay(nil)
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
	d, view := NewDetect(), NewOverlay(nil)
	c := candidate0("a")
	c.Learn = true
	detect(t, d, view, 0, c)
	detect(t, d, view, 0, candidate0("a"))
	if f := flush(t, d); len(f.findings) != 0 || d.Counts().Learned != 1 || term(t, view, "a").Count != 6 {
		t.Errorf("%+v, %+v", f.findings, d.Counts())
	}
}

// Workers with another version of a rule decide by their own policy: their findings stay apart.
func TestFindingsOfOtherRulesetsStayApart(t *testing.T) {
	d, view := NewDetect(), NewOverlay(nil)
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
