package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
	"firstseen/processor/stage"
	"firstseen/schemas/wire"
	"firstseen/traffic"
)

// evidence is what a faultless run leaves behind, made up from the answer: each test falsifies a little of it.
type evidence struct {
	c       *court
	alerts  []shownAlert
	letters []*kgo.Record
	stored  *proof.States
}

// shownAlert is a document in the alerts topic, or the suppressed one.
type shownAlert struct {
	proof.Alert
	id, status string
}

func (s shownAlert) record() *kgo.Record {
	doc := map[string]any{"rule": map[string]any{"id": s.Rule}}
	own := map[string]any{"alert": map[string]any{"id": s.id, "status": s.status, "count": s.Count}, "origin": map[string]any{"event_id": s.EventID}}
	if s.Overflow {
		own["suppressed"] = map[string]any{"count": s.Count}
	}
	if s.Rule == traffic.AllowlistRule {
		doc["aws"] = map[string]any{"s3access": map[string]any{"bucket": s.Key}}
	} else if s.Key != "" {
		own["new_terms"] = map[string]any{"values": []string{s.Key}}
	}
	doc["firstseen"] = own
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return &kgo.Record{Topic: "alerts", Value: b}
}

// fabricate makes up the evidence of a run of a few thousand records with a jump of 16 days.
func fabricate(t *testing.T) *evidence {
	t.Helper()
	r := &run{App: "app", Seed: 3, Sources: []string{"trail", "access"}, SourceSize: 3, Partitions: 4, Rate: 200, Dir: t.TempDir()}
	c := &court{r: r, answer: newAnswer(), crossed: newCrossing(), skipped: map[string]bool{}}
	var err error
	if c.rules, err = runRules(r); err != nil {
		t.Fatal(err)
	}
	e := &evidence{c: c, stored: &proof.States{Terms: map[string]wire.Term{}, Windows: map[string]wire.Window{}, Caps: map[string]wire.Cap{}}}
	seq := newSequence(r, []note{{At: 2000, Leap: 16 * 24 * time.Hour}, {At: 2500, Poison: 20}})
	for range 5000 {
		it := seq.next()
		before := len(c.answer.alerts)
		c.answer.add(&it)
		for _, a := range c.answer.alerts[before:] {
			if a.Rule == cappedRule {
				c.crossed.add(&finding{Rule: cappedRule, CapCount: 2, CapPer: 6 * 3600, Matches: []match{{Second: it.event.Time.Unix(), EventID: a.EventID}}})
			}
		}
		if it.event.Rule == traffic.AllowlistRule {
			operation := strings.Split(it.event.EventID, ":")[1]
			c.crossed.add(&finding{Rule: crossedRule, Group: crossedRule + "\x00" + operation, Period: 3600, Matches: []match{{Second: it.event.Time.Unix(), EventID: it.event.EventID}}})
		}
		if it.dead != nil {
			e.letters = append(e.letters, letterOf(&it, it.dead))
		}
	}
	e.writeAlerts()
	e.writeStates()
	return e
}

func letterOf(it *item, d *deadLetter) *kgo.Record {
	header := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
	return &kgo.Record{Topic: "dlq", Value: d.value, Headers: []kgo.RecordHeader{header("dlq-topic", it.topic), header("dlq-partition", fmt.Sprint(it.partition)),
		header("dlq-offset", fmt.Sprint(it.offset)), header("dlq-reason", string(d.reason)), header("dlq-index", strconv.Itoa(int(d.index)))}}
}

func (e *evidence) writeAlerts() {
	for i, a := range expected(e.c.answer, e.c.crossed) {
		open := shownAlert{a, fmt.Sprint("id", i), "open"}
		if a.Overflow {
			open.status = "overflow"
		}
		open.Count = 1
		e.alerts = append(e.alerts, open)
		if a.Closed && a.Count > 1 {
			e.alerts = append(e.alerts, shownAlert{a, open.id, "closed"})
		}
	}
}

func (e *evidence) writeStates() {
	for rule, of := range map[string]terms{traffic.NewTermsRule: e.c.answer.builtin, cappedRule: e.c.answer.capped} {
		for address, term := range of.of {
			e.stored.Terms[e.termKey(rule, address)] = wire.Term{FirstSeen: term.lives[0].first.UnixMilli(), LastSeen: term.last.UnixMilli(), Count: term.count}
		}
	}
	for rule, of := range map[string]windows{traffic.AllowlistRule: e.c.answer.buckets, crossedRule: e.c.crossed.windows} {
		for group, list := range of {
			w := list[len(list)-1]
			e.stored.Windows[rule+" "+w.eventID] = wire.Window{Rule: rule, Group: group, Start: w.start, LastSeen: w.last * 1000, Count: w.count, Reported: 1,
				First: wire.Entry{Match: wire.Match{EventID: w.eventID}}}
		}
	}
	last := e.c.crossed.caps[len(e.c.crossed.caps)-1]
	e.stored.Caps[e.capKey()] = wire.Cap{Rule: cappedRule, Start: last.start, LastSeen: last.last * 1000, Alerts: last.alerts, Suppressed: last.suppressed,
		Reported: min(1, last.suppressed), First: wire.Entry{Match: wire.Match{EventID: last.eventID}}}
}

func (e *evidence) capKey() string {
	return string(stage.CapKey(nil, e.c.rules.Rule(cappedRule).State()))
}

func (e *evidence) termKey(rule, address string) string {
	return string(stage.TermKey(nil, e.c.rules.Rule(rule).State(), []string{address}))
}

// differences is what the judge says of the evidence.
func (e *evidence) differences() proof.Differences {
	alerts, letters := expectations(e.c.answer, e.c.crossed), newLetters(e.c.answer)
	for _, suppressed := range []bool{false, true} {
		for _, a := range e.alerts {
			if a.Suppressed == suppressed {
				alerts.Saw(a.record(), suppressed)
			}
		}
	}
	for _, l := range e.letters {
		letters.saw(l)
	}
	e.c.diff = append(alerts.Differences(), letters.differences()...)
	e.c.diff = append(e.c.diff, sums(e.c.answer, e.c.crossed, alerts)...)
	e.c.alerts = alerts
	e.c.compareTerms(e.stored)
	e.c.compareWindows(e.stored)
	e.c.compareCaps(e.stored)
	return e.c.diff
}

// find is the first alert that is like this.
func (e *evidence) find(t *testing.T, like func(shownAlert) bool) int {
	t.Helper()
	i := slices.IndexFunc(e.alerts, like)
	if i < 0 {
		t.Fatal("there is no such alert: the evidence is poor")
	}
	return i
}

// A judge that cannot fail proves nothing: each falsehood gives exactly its verdict.
func TestJudge(t *testing.T) {
	of := func(rule, status string) func(shownAlert) bool {
		return func(a shownAlert) bool { return a.Rule == rule && a.status == status && !a.Suppressed }
	}
	alone := func(a shownAlert) bool { return a.Rule == traffic.NewTermsRule }
	held := func(a shownAlert) bool { return a.Suppressed }
	capped := func(change func(*wire.Cap)) func(*testing.T, *evidence) {
		return func(_ *testing.T, e *evidence) {
			c := e.stored.Caps[e.capKey()]
			change(&c)
			e.stored.Caps[e.capKey()] = c
		}
	}
	recent := func(e *evidence) string { // an address whose term cannot have been swept
		for address, term := range e.c.answer.builtin.of {
			if e.c.answer.now.Sub(term.last) < time.Hour {
				return address
			}
		}
		panic("there is none")
	}
	for name, test := range map[string]struct {
		falsify func(t *testing.T, e *evidence)
		want    []proof.Kind
	}{
		"nothing":              {func(*testing.T, *evidence) {}, nil},
		"an alert is lost":     {func(t *testing.T, e *evidence) { i := e.find(t, alone); e.alerts = slices.Delete(e.alerts, i, i+1) }, []proof.Kind{proof.Missing}},
		"an alert comes twice": {func(t *testing.T, e *evidence) { e.alerts = append(e.alerts, e.alerts[e.find(t, alone)]) }, []proof.Kind{proof.Duplicate}},
		"an alert comes twice, with another id": {func(t *testing.T, e *evidence) {
			again := e.alerts[e.find(t, alone)]
			again.id += " again"
			e.alerts = append(e.alerts, again)
		}, []proof.Kind{proof.Duplicate}},
		"an alert of what is known": {func(t *testing.T, e *evidence) {
			e.alerts = append(e.alerts, shownAlert{proof.Alert{Rule: traffic.NewTermsRule, EventID: "known", Key: "192.0.2.1", Count: 1}, "id", "open"})
		}, []proof.Kind{proof.Wrong}},
		"an alert about another address":       {func(t *testing.T, e *evidence) { e.alerts[e.find(t, alone)].Key = "192.0.2.1" }, []proof.Kind{proof.Missing, proof.Wrong}},
		"a suppressed alert is lost":           {func(t *testing.T, e *evidence) { i := e.find(t, held); e.alerts = slices.Delete(e.alerts, i, i+1) }, []proof.Kind{proof.Missing}},
		"an alert over the cap goes out":       {func(t *testing.T, e *evidence) { e.alerts[e.find(t, held)].Suppressed = false }, []proof.Kind{proof.Wrong}},
		"an alert below the cap is suppressed": {func(t *testing.T, e *evidence) { e.alerts[e.find(t, of(cappedRule, "open"))].Suppressed = true }, []proof.Kind{proof.Wrong}},
		"an overflow alert tells too few": {func(t *testing.T, e *evidence) {
			e.alerts[e.find(t, func(a shownAlert) bool { return a.Overflow && a.status == "closed" && a.Count > 2 })].Count--
		}, []proof.Kind{proof.Count}},
		"a window is closed with too few matches": {func(t *testing.T, e *evidence) {
			e.alerts[e.find(t, func(a shownAlert) bool { return a.Rule == traffic.AllowlistRule && a.status == "closed" && a.Count > 2 })].Count--
		}, []proof.Kind{proof.Count}},
		"a window is closed with too many": {func(t *testing.T, e *evidence) { e.alerts[e.find(t, of(traffic.AllowlistRule, "closed"))].Count++ }, []proof.Kind{proof.Count, proof.Count}},
		"a closed window is not reported": {func(t *testing.T, e *evidence) {
			i := e.find(t, of(traffic.AllowlistRule, "closed"))
			e.alerts = slices.Delete(e.alerts, i, i+1)
		}, []proof.Kind{proof.Count}},
		"a closed window is reported twice": {func(t *testing.T, e *evidence) {
			e.alerts = append(e.alerts, e.alerts[e.find(t, of(crossedRule, "closed"))])
		}, []proof.Kind{proof.Duplicate}},
		"a finding is lost":                 {func(t *testing.T, e *evidence) { e.c.answer.matches++ }, []proof.Kind{proof.Count, proof.Count}},
		"a term is lost":                    {func(t *testing.T, e *evidence) { delete(e.stored.Terms, e.termKey(traffic.NewTermsRule, recent(e))) }, []proof.Kind{proof.Term}},
		"a term is lost of the capped rule": {func(t *testing.T, e *evidence) { delete(e.stored.Terms, e.termKey(cappedRule, recent(e))) }, []proof.Kind{proof.Term}},
		"an old term is swept": {func(t *testing.T, e *evidence) {
			for address, term := range e.c.answer.builtin.of {
				if e.c.answer.now.Sub(term.last) > history {
					delete(e.stored.Terms, e.termKey(traffic.NewTermsRule, address))
				}
			}
		}, nil},
		"a term is counted twice": {func(t *testing.T, e *evidence) {
			key := e.termKey(traffic.NewTermsRule, recent(e))
			term := e.stored.Terms[key]
			term.Count++
			e.stored.Terms[key] = term
		}, []proof.Kind{proof.Term}},
		"a term that was never seen": {func(t *testing.T, e *evidence) {
			e.stored.Terms[e.termKey(cappedRule, "192.0.2.1")] = wire.Term{Count: 1}
		}, []proof.Kind{proof.Term}},
		"a window counts one too many": {func(t *testing.T, e *evidence) {
			for key, w := range e.stored.Windows {
				w.Count++
				e.stored.Windows[key] = w
				break
			}
		}, []proof.Kind{proof.Window}},
		"a window has reported more than the alerts say": {func(t *testing.T, e *evidence) {
			for key, w := range e.stored.Windows {
				w.Reported++
				e.stored.Windows[key] = w
				break
			}
		}, []proof.Kind{proof.Window}},
		"a cap is lost":                  {func(t *testing.T, e *evidence) { clear(e.stored.Caps) }, []proof.Kind{proof.Cap}},
		"a cap lets one more through":    {capped(func(c *wire.Cap) { c.Alerts-- }), []proof.Kind{proof.Cap}},
		"a cap suppresses one twice":     {capped(func(c *wire.Cap) { c.Suppressed++ }), []proof.Kind{proof.Cap}},
		"a cap reports what is not told": {capped(func(c *wire.Cap) { c.Reported++ }), []proof.Kind{proof.Cap}},
		"a cap began with another":       {capped(func(c *wire.Cap) { c.First.Match.EventID = "another" }), []proof.Kind{proof.Cap}},
		"a cap forgets the latest":       {capped(func(c *wire.Cap) { c.LastSeen -= 1000 }), []proof.Kind{proof.Cap}},
		"a cap that no rule has": {func(t *testing.T, e *evidence) {
			e.stored.Caps[string(stage.CapKey(nil, e.c.rules.Rule(crossedRule).State()))] = wire.Cap{Rule: crossedRule}
		}, []proof.Kind{proof.Cap}},
		"a dead letter is lost":     {func(t *testing.T, e *evidence) { e.letters = e.letters[1:] }, []proof.Kind{proof.Letter}},
		"a dead letter comes twice": {func(t *testing.T, e *evidence) { e.letters = append(e.letters, e.letters[0]) }, []proof.Kind{proof.Letter}},
		"a dead letter of a good record": {func(t *testing.T, e *evidence) {
			e.letters = append(e.letters, letterOf(&item{place: place{"trail", 0}, offset: 1 << 40}, &deadLetter{}))
		}, []proof.Kind{proof.Letter}},
		"a dead letter for another reason": {func(t *testing.T, e *evidence) { e.letters[0].Headers[3].Value = []byte("rejected_output") }, []proof.Kind{proof.Letter}},
	} {
		t.Run(name, func(t *testing.T) {
			e := fabricate(t)
			test.falsify(t, e)
			var got []proof.Kind
			for _, d := range e.differences() {
				got = append(got, d.Kind)
				t.Log(d)
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("the judge says %q, want %q", got, test.want)
			}
		})
	}
}
