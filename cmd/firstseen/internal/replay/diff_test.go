package replay

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/cmd/firstseen/internal/clitest"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
)

// sides reads alerts from a text of words. w and d say whose it is: what would alert, what did; o, of an event outside the
// range. Then the minute, the event, what it is about, and why it is suppressed if it is: w10:e1:a, do70:e2:a:shadow.
// An alert about capital letters has a window of an hour, or of two if there is an x in its event.
func sides(text string) (would, did *alertSet) {
	inside := func(a *comparedAlert) bool { return a.outside }
	would, did = newAlertSet(inside), newAlertSet(inside)
	for word := range strings.FieldsSeq(text) {
		part := append(strings.Split(word, ":"), "")
		set, when := would, part[0][1:]
		if word[0] == 'd' {
			set = did
		}
		a := &comparedAlert{Rule: "r", ID: part[1] + part[2], Suppressed: part[3], Origin: origin{File: part[1]}}
		if a.outside = when[0] == 'o'; a.outside {
			when = when[1:]
		}
		fmt.Sscan(when, &a.at)
		if part[2] < "a" {
			a.Group, a.end = part[2], a.at+60*int64(1+strings.Count(part[1], "x"))
		} else {
			a.Terms = []string{part[2]}
		}
		set.add(a)
	}
	return would, did
}

// told compares and tells the result in a few words: the ids of the alerts under what they are.
func told(text string) string {
	would, did := sides(text)
	var r report
	r.fill(compareAlerts(would, did, func(string) int64 { return 100 }), would, did, nil)
	var s []string
	for _, d := range r.Rules {
		s = append(s, fmt.Sprintf("%d/%d same %d", d.Would, d.Did, d.Same))
	}
	for _, a := range r.Added {
		s = append(s, "+"+a.ID+a.OtherSide)
	}
	for _, a := range r.Gone {
		s = append(s, "-"+a.ID+a.OtherSide)
	}
	for _, p := range r.Moved {
		switch {
		case p.Did == nil:
			s = append(s, p.Would.ID+"<"+p.PartOf)
		case p.Would == nil:
			s = append(s, p.PartOf+">"+p.Did.ID)
		default:
			s = append(s, p.Would.ID+"="+p.Did.ID)
		}
	}
	return strings.Join(s, " ")
}

func TestCompareAlerts(t *testing.T) {
	for _, test := range []struct{ name, alerts, want string }{
		{"nothing", "", ""},
		{"the same", "w10:e1:a d10:e1:a w20:e2:b d20:e2:b", "2/2 same 2"},
		{"added and gone", "w10:e1:a d20:e2:b", "1/1 same 0 +e1a -e2b"},
		{"the same terms by another event", "w10:e1:a d100:e2:a", "1/1 same 0 e1a=e2a"},
		{"the same terms longer apart than the history", "w10:e1:a d111:e2:a", "1/1 same 0 +e1a -e2a"},
		{"one each, though both are near", "w10:e1:a d20:e2:a d30:e3:a", "1/2 same 0 -e3a e1a=e2a"},
		{"the same event in another group", "w10:e1:A d10:e1:B", "1/1 same 0 e1A=e1B"},
		{"windows that overlap", "w10:e1:A d70:e2:A", "1/1 same 0 e1A=e2A"},
		{"windows that do not", "w10:e1:A d71:e2:A", "1/1 same 0 +e1A -e2A"},
		{"outside is no difference", "wo10:e1:a do20:e2:b", ""},
		{"part of a window that began before the range", "do10:e1:A w50:e2:A", "1/0 same 0 e2A<e1A"},
		{"part of a window that would have begun before the range", "wo10:e1:A d50:e2:A", "0/1 same 0 e1A>e2A"},
		{"windows of another length explain nothing", "do10:e1x:A w50:e2:A", "1/0 same 0 +e2A"},
		{"two of a group are not explained by that", "do10:e1:A w50:e2:A w120:e3:A", "2/0 same 0 +e2A +e3A"},
		{"a term outside explains nothing", "do10:e1:a w50:e2:a", "1/0 same 0 +e2a"},
		{"over the cap or not", "w10:e1:a:cap d10:e1:a w20:e2:b d20:e2:b:cap", "2/2 same 2"},
		{"held back by the deployment", "w10:e1:a d10:e1:a:learning", "1/0 same 0 +e1alearning"},
		{"it would be held back", "w10:e1:a:shadow d10:e1:a", "0/1 same 0 -e1ashadow"},
		{"held back by both", "w10:e1:a:shadow d10:e1:a:shadow", "0/0 same 0"},
		{"held back by one, and nothing of the other", "w10:e1:a:shadow d10:e2:b:learning", "0/0 same 0"},
	} {
		if got := told(test.alerts); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
}

// TestCompareShiftedWindows: a group that never falls silent has windows that stay apart for ever if they began apart.
// Whatever part of them is the range, they are no difference. If one of them is missing on one side, it is one.
func TestCompareShiftedWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gaps := rapid.SliceOfN(rapid.IntRange(1, 59), 30, 200).Draw(t, "gaps")
		var events []int
		at := 0
		for _, gap := range gaps {
			at += gap
			events = append(events, at)
		}
		from := rapid.IntRange(100, at/2).Draw(t, "from")
		to := rapid.IntRange(from, at).Draw(t, "to")
		chain := func(side string, first int) (words []string) {
			end := -1
			for _, e := range events[first:] {
				if e <= end {
					continue
				}
				out := ""
				if e < from || e >= to {
					out = "o"
				}
				if end = e + 60; side == "d" || e < to { // a replay ends with its range
					words = append(words, fmt.Sprintf("%s%s%d:e%d:A", side, out, e, e))
				}
			}
			return words
		}
		w, d := chain("w", 0), chain("d", rapid.IntRange(0, 3).Draw(t, "later"))
		if got := told(strings.Join(append(w, d...), " ")); strings.ContainsAny(got, "+-") {
			t.Fatalf("from %d to %d: %s\n%s\n%s", from, to, got, w, d)
		}
		in := slices.IndexFunc(d, func(s string) bool { return s[1] != 'o' })
		if last := len(d) - 1; in > 0 && in+3 < last && d[in+3][1] != 'o' { // three in the range: then two missing are seen
			d = slices.Delete(d, in+1, in+3)
			if got := told(strings.Join(append(w, d...), " ")); !strings.Contains(got, "+") {
				t.Fatalf("from %d to %d: two windows less made no difference: %s\n%s\n%s", from, to, got, w, d)
			}
		}
	})
}

// TestReadAlert reads the same alerts from every format there is.
func TestReadAlert(t *testing.T) {
	set, _, err := rules.Load(rules.LoadOptions{Set: []string{"aws-s3-unauthenticated-bucket-access-by-rare-source.max_alerts={count: 2, per: 1d}"}})
	if err != nil {
		t.Fatal(err)
	}
	read := map[alert.Format][]*comparedAlert{}
	cfg := stage.PipelineConfig{
		Group: stage.GroupConfig{Formats: []alert.Format{alert.ECS, alert.OCSF, alert.Avro, alert.Panther}},
		Emit: func(out stage.Output) {
			header := func(name string) string {
				for _, h := range out.Headers {
					if h[0] == name {
						return h[1]
					}
				}
				return ""
			}
			a, err := readAlert(out.Value, header)
			if err != nil {
				t.Fatalf("%s: %v", out.Value, err)
			}
			f := alert.Format(header("firstseen-format"))
			read[f] = append(read[f], a)
		},
	}
	p, err := stage.NewPipeline(set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	feed := []string{clitest.Anonymous("192.0.2.1"), clitest.Anonymous("192.0.2.2"), clitest.Anonymous("192.0.2.3"), clitest.Anonymous("192.0.2.4"),
		clitest.AccessLine("192.0.2.5", "31/Jan/2026:10:00:00 +0000", "x"), clitest.AccessLine("192.0.2.6", "31/Jan/2026:10:59:00 +0000", "x")}
	for i, text := range feed {
		if _, err := p.Message(schemas.Message{Value: []byte(text), Timestamp: 1769900000000, Topic: "logs", Partition: 3, Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	show := func(a *comparedAlert, full bool) string {
		s := fmt.Sprintln(a.ID, a.Rule, a.kind, a.Suppressed, a.Title, a.Reason, a.Source)
		if full {
			s += fmt.Sprintln(a.Time, a.Terms, a.Group, a.Origin, a.at, a.end)
		}
		return s
	}
	for f, list := range read {
		if len(list) != 8 { // four of the rule with terms, one overflow and its update; one of the list and its update
			t.Fatalf("%s: %d alerts", f, len(list))
		}
		for i, a := range list {
			full := f == alert.Avro
			b := *read[alert.ECS][i]
			if f == alert.OCSF { // it has no place for the address as it was logged
				b.Source = ""
			}
			if f == alert.Panther && b.kind == alert.Overflow && a.kind == alert.Closed { // told by the id
				b.kind = alert.Closed
			}
			if got, want := show(a, full), show(&b, full); got != want {
				t.Errorf("%s: %s\nwant %s", f, got, want)
			}
		}
		s := newAlertSet(func(*comparedAlert) bool { return false })
		for _, a := range list {
			s.add(a)
		}
		if len(s.byID) != 5 || s.caps["aws-s3-unauthenticated-bucket-access-by-rare-source"] != 1 {
			t.Errorf("%s: %d alerts, caps %v", f, len(s.byID), s.caps)
		}
	}
	if o := read[alert.ECS][0].Origin.String(); o != "logs/3:0" {
		t.Errorf("origin %s", o)
	}
	for _, bad := range []string{"", "{", `{"hello":"world"}`, "[]"} {
		if a, err := readAlert([]byte(bad), func(string) string { return "" }); err == nil {
			t.Errorf("%q is an alert: %v", bad, a)
		}
	}
}
