package stage

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firstseen/rules"
	"firstseen/rules/allowlist"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// accessRule returns a rule that every line of an access log matches.
func accessRule(id string) *rulefile.Rule {
	return &rulefile.Rule{
		ID: id, Name: id, Version: "1", Dataset: "aws.s3access", Threshold: 1, Mode: rulefile.Active, Title: "{bucket}", Severity: "low",
		Dedup: &rulefile.Dedup{By: []string{"bucket"}, Period: 60_000},
	}
}

func termsRule(id string, fields ...string) *rulefile.Rule {
	r := accessRule(id)
	r.Dedup, r.NewTerms = nil, &rulefile.NewTerms{Fields: fields, History: 60_000}
	return r
}

func capped(r *rulefile.Rule) *rulefile.Rule {
	r.MaxAlerts = &rulefile.MaxAlerts{Count: 5, Per: 60_000}
	return r
}

// flushed decodes what an ingest stage has combined.
type flushed struct {
	keys       []string // with the destination, in order
	candidates []wire.Candidate
	findings   []wire.Finding
}

func flush(t *testing.T, stage interface{ Flush(func(Output)) error }) (f flushed) {
	t.Helper()
	err := stage.Flush(func(out Output) {
		f.keys = append(f.keys, fmt.Sprintf("%s %q", out.To, out.Key))
		var err error
		if out.To == Candidates {
			f.candidates = append(f.candidates, wire.Candidate{})
			err = wire.DecodeCandidate(out.Value, &f.candidates[len(f.candidates)-1])
		} else {
			f.findings = append(f.findings, wire.Finding{})
			err = wire.DecodeFinding(out.Value, &f.findings[len(f.findings)-1])
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

type deadLetter struct {
	reason schemas.Reason
	index  int32
	offset int64
	value  string
}

func newIngest(set *rules.Set) (in *Ingest, dead *[]deadLetter) {
	dead = new([]deadLetter)
	return NewIngest(set, IngestConfig{Dead: func(m *schemas.Message, d schemas.DeadLetter) {
		*dead = append(*dead, deadLetter{d.Reason, d.Index, m.Offset, string(d.Value)})
	}}), dead
}

func TestRecordsComeInOrderOfCreation(t *testing.T) {
	in, _ := newIngest(load(t,
		accessRule("a"), termsRule("b", "remoteip"), termsRule("c", "bucket", "source.address"), termsRule("d", "bucket", "key"), capped(accessRule("e"))))
	for i, r := range []request{{bucket: "logs", key: "k", source: "192.0.2.1"}, {bucket: "payroll", key: "k", source: "192.0.2.1"}, {bucket: "logs", key: "k", source: "192.0.2.2"}} {
		in.Message(r.message(i))
	}
	want := []string{
		`findings "a\x00logs"`, `candidates "192.0.2.1"`, `candidates "192.0.2.1"`, `candidates "\x04logsk"`, `findings "e"`,
		`findings "a\x00payroll"`, `candidates "192.0.2.1"`, `candidates "\apayrollk"`, `findings "e"`,
		`candidates "192.0.2.2"`, `candidates "192.0.2.2"`, `findings "e"`,
	}
	f := flush(t, in)
	if !slices.Equal(f.keys, want) {
		t.Errorf("\n got %s\nwant %s", strings.Join(f.keys, "\n     "), strings.Join(want, "\n     "))
	}
	if n := f.findings[0].Entries[0].Folded; n != 1 {
		t.Errorf("%d matches folded into the first of a and logs, want 1", n)
	}
	if again := flush(t, in); len(again.keys) > 0 {
		t.Errorf("%q is flushed twice", again.keys)
	}
}

func TestCandidateCarriesItsDecision(t *testing.T) {
	text := capped(termsRule("new", "remoteip"))
	text.SummaryAttributes = []string{"key"}
	set := load(t, text)
	in, _ := newIngest(set)
	r := request{bucket: "logs", key: "first", source: "192.0.2.1"}
	in.Message(r.message(0))
	in.SetHistoryStart(5000)
	in.Message(request{second: 60, bucket: "logs", key: "later", source: "192.0.2.1"}.message(1))
	in.Message(request{second: -5, bucket: "logs", key: "late", source: "192.0.2.1"}.message(2))
	in.Message(request{second: 121, bucket: "logs", key: "silent before", source: "192.0.2.1"}.message(3))
	in.SetLearn(true)
	in.Message(request{second: 122, bucket: "logs", key: "learned", source: "192.0.2.1"}.message(4))
	in.SetLearn(false)
	in.Message(request{second: 123, bucket: "logs", key: "live again", source: "192.0.2.1"}.message(5))
	f := flush(t, in)
	if len(f.candidates) != 4 {
		t.Fatalf("%d candidates, want 4: %+v", len(f.candidates), f.candidates)
	}
	hash := set.Hash()
	c := f.candidates[0]
	if string(c.Ruleset) != string(hash[:]) || c.Rule != "new" || c.State != set.Rule("new").State() || !slices.Equal(c.Terms, []string{"192.0.2.1"}) ||
		c.Policy != (wire.Policy{Threshold: 1, CapCount: 5, CapPer: 60}) || c.History != 60_000 || c.HistoryStart != wire.NoTime {
		t.Errorf("%+v", c)
	}
	if c.Count != 3 || c.Last != (epoch+60)*1000 || c.First.Time != epoch*1000 || c.First.EventID != r.id(0) || c.First.Origin.Topic != "access" ||
		c.First.Title != "logs" || string(schemas.Evidence(c.First.Evidence).Get("aws.s3access.key")) != "first" || len(c.Counters) != 1 || c.Counters[0].Value != "first" {
		t.Errorf("%+v", c)
	}
	for i, want := range []struct {
		key   string
		learn bool
	}{{"first", false}, {"silent before", false}, {"learned", true}, {"live again", false}} {
		c := f.candidates[i]
		if got := string(schemas.Evidence(c.First.Evidence).Get("aws.s3access.key")); got != want.key || c.Learn != want.learn || i > 0 && c.HistoryStart != 5000 {
			t.Errorf("candidate %d begins with %q, learn %v, history from %d", i, got, c.Learn, c.HistoryStart)
		}
	}
}

// Which matches are entries of their own, and which of these have evidence.
func TestEntries(t *testing.T) {
	with := func(change func(*rulefile.Rule)) *rulefile.Rule {
		r := accessRule("r")
		change(r)
		return r
	}
	for name, c := range map[string]struct {
		rule *rulefile.Rule
		want string // of requests in seconds 5 4 5 6 6 3: number folded, "-" without evidence
	}{
		"a dedup window":       {accessRule("r"), "2 2"},
		"a threshold":          {with(func(r *rulefile.Rule) { r.Threshold = 2 }), "0 0- 0- 0 0- 0-"},
		"a cap":                {capped(accessRule("r")), "0 0 0 0 0 0"},
		"a cap, a threshold":   {with(func(r *rulefile.Rule) { capped(r).Threshold = 2 }), "0 0 0 0 0 0"},
		"every match an alert": {with(func(r *rulefile.Rule) { r.Dedup = nil }), "0 0 0 0 0 0"},
	} {
		in, _ := newIngest(load(t, c.rule))
		for i, second := range []int64{5, 4, 5, 6, 6, 3} {
			in.Message(request{second: second, bucket: "logs", source: "192.0.2.1"}.message(i))
		}
		var got []string
		for _, f := range flush(t, in).findings {
			for _, e := range f.Entries {
				s := fmt.Sprint(e.Folded)
				if len(e.Match.Evidence) == 0 {
					s += "-"
				}
				got = append(got, s)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: entries %s, want %s", name, strings.Join(got, " "), c.want)
		}
	}
}

func TestRuleErrorIsOneDeadLetter(t *testing.T) {
	listed := func(id string) *rulefile.Rule {
		r := accessRule(id)
		r.Allowlist = &rulefile.Allowlist{Field: "remoteip", Networks: []allowlist.Entry{}}
		return r
	}
	in, dead := newIngest(load(t, listed("a"), listed("b"), termsRule("c", "bucket")))
	for i := range 2 {
		in.Message(request{bucket: "logs", source: "10.0.0.256"}.message(i))
	}
	if len(*dead) != 2 || (*dead)[1].reason != schemas.RuleError || (*dead)[1].offset != 1 || !strings.Contains((*dead)[1].value, "10.0.0.256") {
		t.Errorf("dead letters: %v", *dead)
	}
	if n := in.Counts(); n.RuleErrors != 4 || n.Matches != 2 {
		t.Errorf("%+v", n)
	}
	if f := flush(t, in); len(f.candidates) != 1 || f.candidates[0].Count != 2 {
		t.Errorf("the rule that could decide has %+v", f.candidates)
	}
}

func TestPanicIsADeadLetter(t *testing.T) {
	in, dead := newIngest(load(t, accessRule("a")))
	matched := in.onMatch
	in.onMatch = func(r *rules.Rule, err error) {
		if in.event.Origin.Index == 1 {
			panic("for the test")
		}
		matched(r, err)
	}
	m := request{bucket: "logs", source: "192.0.2.1"}.message(7)
	m.Value = []byte("[" + string(m.Value) + "," + string(m.Value) + "," + string(m.Value) + "]")
	if stats := in.Message(m); stats.Events != 3 {
		t.Errorf("%+v", stats)
	}
	if len(*dead) != 1 || (*dead)[0].reason != schemas.Panicked || (*dead)[0].index != 1 || (*dead)[0].offset != 7 {
		t.Errorf("dead letters: %v", *dead)
	}
	if f := flush(t, in); len(f.findings) != 1 || f.findings[0].Entries[0].Folded != 1 || in.Counts().Panics != 1 {
		t.Errorf("its neighbours are %+v", f.findings)
	}

	in.dead = func(m *schemas.Message, d schemas.DeadLetter) { // stands for a fault of the decoder
		*dead = append(*dead, deadLetter{d.Reason, d.Index, m.Offset, string(d.Value)})
		if d.Reason != schemas.Panicked {
			panic("in the decoder")
		}
	}
	in.Message(schemas.Message{Value: []byte(`{"no": "record"}`), Topic: "access", Offset: 8})
	if last := (*dead)[len(*dead)-1]; last.reason != schemas.Panicked || last.index != -1 || last.offset != 8 || last.value != `{"no": "record"}` {
		t.Errorf("dead letter: %v", last)
	}
}

func TestLearnedMatchesMakeNoFinding(t *testing.T) {
	in, _ := newIngest(load(t, accessRule("a")))
	in.SetLearn(true)
	in.Message(request{bucket: "logs", source: "192.0.2.1"}.message(0))
	if f := flush(t, in); len(f.keys) > 0 || in.Counts().Learned != 1 || in.Counts().Matches != 1 {
		t.Errorf("%q, %+v", f.keys, in.Counts())
	}
}

func TestDiscardForgets(t *testing.T) {
	in, _ := newIngest(load(t, accessRule("a"), termsRule("b", "remoteip")))
	in.Message(request{bucket: "logs", source: "192.0.2.1"}.message(0))
	in.Discard()
	in.Message(request{bucket: "logs", source: "192.0.2.1"}.message(0))
	f := flush(t, in)
	if len(f.keys) != 2 || f.candidates[0].Count != 1 || len(f.findings[0].Entries) != 1 || f.findings[0].Entries[0].Folded != 0 {
		t.Errorf("%+v", f)
	}
}
