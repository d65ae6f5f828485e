package stage

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// drawFinding draws a finding whose entries look like the combining made them.
func drawFinding(t *rapid.T) *wire.Finding {
	group := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "group")
	f := &wire.Finding{Ruleset: []byte("ruleset"), Rule: group, State: wire.StateID{group[0]}, Group: group, Policy: wire.Policy{
		Period:    rapid.SampledFrom([]int64{0, 60, 600}).Draw(t, "period"),
		Threshold: rapid.SampledFrom([]int64{1, 1, 3}).Draw(t, "threshold"),
		CapCount:  rapid.SampledFrom([]int64{0, 0, 2}).Draw(t, "cap"),
		CapPer:    120,
		Shadow:    rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "shadow"),
	}}
	for range rapid.IntRange(1, 4).Draw(t, "entries") {
		f.Entries = append(f.Entries, wire.Entry{Match: wire.Match{
			Time:    rapid.Int64Range(0, 3000).Draw(t, "time") * 500,
			EventID: fmt.Sprint(rapid.IntRange(0, 1<<30).Draw(t, "event")),
		}})
	}
	return f
}

// A run of findings and ticks decides the same, window closings included, however it is cut into transactions, however
// often one of them is aborted and played again, and whoever takes the partition over in between.
func TestReplayIsDeterministic(t *testing.T) {
	type record struct {
		finding   *wire.Finding
		timestamp int64
	}
	highestOf := func(records []record) (highest int64) {
		for _, r := range records {
			highest = max(highest, r.timestamp)
		}
		return highest
	}
	rapid.Check(t, func(t *rapid.T) {
		var records []record
		now := int64(1_000_000)
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			now += rapid.SampledFrom([]int64{0, 1, 1000, 60_000, 899_999, 900_000, 900_001, 2_000_000, -500}).Draw(t, "later")
			r := record{timestamp: now}
			if rapid.IntRange(0, 3).Draw(t, "tick") > 0 {
				r.finding = drawFinding(t)
			}
			records = append(records, r)
		}
		once, again := newBench(t), newBench(t)
		var want, got []shown
		for _, r := range records {
			want = append(want, once.record(r.finding, r.timestamp)...)
		}
		once.commit()
		var highest int64 // as the last commit left it
		for i := 0; i < len(records); {
			n := rapid.IntRange(1, len(records)-i).Draw(t, "transaction")
			var outputs []shown
			for _, r := range records[i : i+n] {
				outputs = append(outputs, again.record(r.finding, r.timestamp)...)
			}
			switch rapid.IntRange(0, 3).Draw(t, "end") {
			case 0:
				again.abort(highest)
				continue
			case 1:
				again.commit()
				again.group = NewGroup(GroupConfig{}) // another worker
				again.abort(highestOf(records[:i+n]))
			default:
				again.commit()
			}
			got = append(got, outputs...)
			i += n
			highest = again.group.Timestamp()
		}
		if len(got) != len(want) {
			t.Fatalf("%d outputs, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("output %d:\n got %v\nwant %v", i, got[i], want[i])
			}
		}
		if !maps.Equal(once.store, again.store) {
			t.Fatalf("state:\n got %q\nwant %q", again.store, once.store)
		}
	})
}

func TestUnknownRulesetChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once, again := newBench(t), newBench(t)
		now := int64(0)
		for range rapid.IntRange(1, 25).Draw(t, "records") {
			now += rapid.SampledFrom([]int64{0, 1000, 2_000_000}).Draw(t, "later")
			f := drawFinding(t)
			want := once.record(f, now)
			fails := rapid.IntRange(0, 3).Draw(t, "lookups before one fails")
			value, _ := wire.AppendFinding(nil, f)
			before, highest := maps.Clone(again.store), again.group.Timestamp()
			_, err := again.group.Record(again.view, 0, nil, value, now, func(ruleset []byte, rule string) (*alert.Rule, error) {
				if fails--; fails < 0 {
					return nil, ErrUnknownRuleset
				}
				return texts(ruleset, rule)
			})
			var got []shown
			if err != nil {
				if !errors.Is(err, ErrUnknownRuleset) {
					t.Fatal(err)
				}
				after := maps.Clone(again.store)
				if after.apply(again.view); !maps.Equal(after, before) || again.group.Timestamp() != highest {
					t.Fatal("a record that could not be processed changed something")
				}
				got = again.record(f, now)
			} else {
				got = want
			}
			again.commit()
			once.commit()
			if fmt.Sprint(got) != fmt.Sprint(want) || !maps.Equal(once.store, again.store) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}
