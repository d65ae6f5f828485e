package stage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// drawFinding draws a finding whose entries look like the combining made them.
func drawFinding(t *rapid.T) *wire.Finding {
	group := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "group")
	ruleset := rapid.SampledFrom([]string{"ruleset", "another"}).Draw(t, "ruleset")
	f := &wire.Finding{Ruleset: []byte(ruleset), Rule: group, State: wire.StateID{group[0]}, Group: group, Policy: wire.Policy{
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
		}, Counters: drawParts(t, drawCounted(t, 0, 24))})
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
		now, highest := int64(0), int64(0)
		for range rapid.IntRange(1, 25).Draw(t, "records") {
			now += rapid.SampledFrom([]int64{0, 1000, 2_000_000}).Draw(t, "later")
			f := drawFinding(t)
			want := once.record(f, now)
			fails := rapid.IntRange(0, 3).Draw(t, "lookups before one fails")
			value, _ := wire.AppendFinding(nil, f)
			if rapid.Bool().Draw(t, "another worker") { // which knows no rule yet
				again.group = NewGroup(GroupConfig{})
				again.abort(highest)
			}
			before := maps.Clone(again.store)
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
			highest = again.group.Timestamp()
			if fmt.Sprint(got) != fmt.Sprint(want) || !maps.Equal(once.store, again.store) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

// TestGroupMemory: what a Group keeps from record to record, it keeps for itself. It decides as one that is new for every
// record does, and its outputs stay as they are when their records are overwritten.
func TestGroupMemory(t *testing.T) {
	names := func(ruleset []byte, rule string) (*alert.Rule, error) {
		return &alert.Rule{ID: rule, Name: rule, Version: string(ruleset)}, nil
	}
	most := 0
	rapid.Check(t, func(t *rapid.T) {
		used, fresh := newBench(t), newBench(t)
		var got []Output
		var want []shown
		now := int64(0)
		for range rapid.IntRange(1, 30).Draw(t, "records") {
			now += rapid.SampledFrom([]int64{0, 1000, 2_000_000}).Draw(t, "later")
			value, err := wire.AppendFinding(nil, drawFinding(t))
			if err != nil {
				t.Fatal(err)
			}
			fresh.group = NewGroup(GroupConfig{})
			fresh.abort(used.group.Timestamp())
			outputs, err := fresh.group.Record(fresh.view, 0, nil, bytes.Clone(value), now, names)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, show(outputs)...)
			if outputs, err = used.group.Record(used.view, 0, nil, value, now, names); err != nil {
				t.Fatal(err)
			}
			got = append(got, outputs...)
			for i := range value {
				value[i] ^= 0xff
			}
			fresh.commit()
			used.commit()
		}
		if most = max(most, len(got)); !slices.Equal(show(got), want) {
			t.Fatalf("got  %v\nwant %v", show(got), want)
		}
		if !maps.Equal(used.store, fresh.store) {
			t.Fatalf("state:\n got %q\nwant %q", used.store, fresh.store)
		}
	})
	if most < 20 {
		t.Errorf("at most %d alerts of a Group", most)
	}
}
