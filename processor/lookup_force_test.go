package processor

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// forceRules loads a rule with some keys beside another rule, or that alone.
func forceRules(t *testing.T, keys string) *rules.Set {
	t.Helper()
	dir := t.TempDir()
	for id, more := range map[string]string{"other": "", "r": keys} {
		if id == "r" && keys == "" {
			continue
		}
		text := fmt.Sprintf("id: %s\nname: R\ndataset: aws.cloudtrail\nseverity: low\n%s", id, more)
		if err := os.WriteFile(filepath.Join(dir, id+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return mustLoad(t, rules.LoadOptions{Paths: []string{dir}, NoBuiltin: true})
}

// A rule is in force from the first ruleset that has it, and as long as none that has not got it, or has another in its
// place, was taken up later. A minute on both sides of a change nothing is said.
func TestInForce(t *testing.T) {
	const minute = 60_000
	with, edited, off, none := "query: 'event.action: a'\n", "query: 'event.action: b'\n", "query: 'event.action: a'\nmode: off\n", ""
	terms := "new_terms: {fields: [source.address], history: 7d}\n" + with
	type change struct {
		at       int64 // minutes; of an instance, if it has a name
		keys     string
		instance string
	}
	for _, c := range []struct {
		name    string
		changes []change // the first is the founding ruleset
		asked   string
		note    int64             // Start in minutes; 0: none
		want    map[int64]Force   // by minutes
		since   map[int64]float64 // in minutes, where there is one
	}{
		{name: "founding", changes: []change{{100, with, ""}}, asked: with, want: map[int64]Force{1: InForce, 100: InForce, 200: InForce}},
		{name: "never", changes: []change{{100, none, ""}, {110, off, ""}}, asked: with, want: map[int64]Force{1: Never, 200: Never}},
		{name: "later", changes: []change{{100, none, ""}, {110, off, ""}, {120, with, ""}}, asked: with,
			want:  map[int64]Force{1: NotYet, 118: NotYet, 120: ForceUnknown, 122: InForce},
			since: map[int64]float64{1: 120, 118: 120, 120: 120}},
		{name: "edited since", changes: []change{{100, with, ""}, {120, edited, ""}}, asked: edited,
			want: map[int64]Force{1: ForceUnknown, 119: ForceUnknown, 122: InForce}, since: map[int64]float64{1: 120, 119: 120}},
		{name: "came and was edited", changes: []change{{100, none, ""}, {110, with, ""}, {120, edited, ""}}, asked: edited,
			want: map[int64]Force{1: NotYet, 115: ForceUnknown, 122: InForce}, since: map[int64]float64{1: 110, 115: 120}},
		{name: "edited here only", changes: []change{{100, with, ""}}, asked: edited, want: map[int64]Force{1: ForceUnknown, 200: ForceUnknown}},
		{name: "away, and back with other company", changes: []change{{100, with, ""}, {110, none, ""}, {120, with + "risk_score: 5\n", ""}}, asked: with,
			want: map[int64]Force{1: InForce, 108: InForce, 109: ForceUnknown, 115: ForceUnknown, 120: ForceUnknown, 122: InForce}, since: map[int64]float64{115: 120}},
		{name: "away, and back as it was", changes: []change{{100, with, ""}, {110, none, ""}, {130, with, "one"}}, asked: with,
			want: map[int64]Force{108: InForce, 115: ForceUnknown, 132: InForce}, since: map[int64]float64{115: 130}},
		{name: "its terms begun anew", changes: []change{{100, terms, ""}}, asked: terms, note: 120,
			want: map[int64]Force{1: ForceUnknown, 120: ForceUnknown, 122: InForce}, since: map[int64]float64{1: 120}},
		{name: "a record without a timestamp", changes: []change{{100, none, ""}, {110, with, ""}}, asked: with, want: map[int64]Force{0: ForceUnknown}, since: map[int64]float64{0: 110}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &Lookup{notes: &control{values: map[string][]byte{}, offsets: map[string]int64{}}}
			marks := map[string]controlMark{}
			for i, ch := range c.changes {
				set := forceRules(t, ch.keys)
				hash := set.Hash()
				key, value := prefixRuleset+hex.EncodeToString(hash[:]), set.Publish()
				if ch.instance != "" {
					key, value = prefixWorker+ch.instance, encodeNote(presence{Ruleset: hex.EncodeToString(hash[:]), Stages: Stages})
				}
				l.notes.values[key], marks[key] = value, controlMark{int64(i), ch.at * minute}
			}
			r := forceRules(t, c.asked).Rule("r")
			if state := r.State(); c.note != 0 {
				l.notes.values[prefixRule+hex.EncodeToString(state[:])] = encodeNote(ruleNote{Rule: "r", Start: c.note * minute})
				l.notes.next = 1
			}
			l.setTaken(marks)
			for at, want := range c.want {
				since := wire.NoTime
				if m, ok := c.since[at]; ok {
					since = int64(m * minute)
				}
				got, gotSince := l.InForce(r, at*minute)
				if _, told := c.since[at]; got != want || told && gotSince != since {
					t.Errorf("at minute %d: %d since %d, want %d since %d", at, got, gotSince, want, since)
				}
			}
		})
	}
}
