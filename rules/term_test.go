package rules

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

func TestSilent(t *testing.T) {
	const history = 7 * day
	for _, c := range []struct {
		last, t int64
		want    bool
	}{
		{1000, 1000 + history, false}, // exactly the history later: still known
		{1000, 1001 + history, true},
		{1000, 1000, false},
		{1000, 999, false},
		{1000, 1000 - 2*history, false}, // a late event is never new twice
		{math.MinInt64, math.MaxInt64, true},
		{math.MaxInt64, math.MinInt64, false},
	} {
		if got := Silent(c.last, c.t, history); got != c.want {
			t.Errorf("Silent(%d, %d) = %v, want %v", c.last, c.t, got, c.want)
		}
	}
	if Silent(0, math.MaxInt64, math.MaxInt64) {
		t.Error("nothing is ever new again in an endless history")
	}
}

func TestSweepAt(t *testing.T) {
	for _, c := range []struct {
		name               string
		old, clock, window int64
		want               int64
	}{
		{"the history and as long again", 0, 5, 7 * day, 5 + 14*day},
		{"a grace of a day at least", 0, 5, 60_000, 5 + 60_000 + day},
		{"never lowered by a shorter history", 100 * day, 5, 60_000, 100 * day},
		{"an endless history", 0, math.MaxInt64 - 3, math.MaxInt64 / 2, math.MaxInt64},
	} {
		if got := SweepAt(c.old, c.clock, c.window); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// What has been seen is, in the plainest words, the list of all times: an event is new iff all before it are more than
// the history older.
func TestObserveAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := rapid.Int64Range(0, 20).Draw(t, "history")
		times := rapid.SliceOfN(rapid.Int64Range(-50, 100), 1, 40).Draw(t, "times")
		var term wire.Term
		for i, now := range times {
			want, highest := true, wire.NoTime
			for _, before := range times[:i] {
				want = want && before < now-history
				highest = max(highest, before)
			}
			fire, previous := Observe(&term, i > 0, now, now, 1, history)
			if fire != want || previous != highest {
				t.Fatalf("event %d of %v: new %v after %d, want %v after %d", i, times, fire, previous, want, highest)
			}
			if term.LastSeen != max(highest, now) || term.FirstSeen != times[0] || term.Count != int64(i+1) {
				t.Fatalf("after event %d of %v: %+v", i, times, term)
			}
		}
	})
}

// A run of events none of which is silent after those before it in the run may be observed at once.
func TestObserveCombined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := rapid.Int64Range(0, 20).Draw(t, "history")
		times := rapid.SliceOfN(rapid.Int64Range(0, 100), 1, 40).Draw(t, "times")
		var one, run wire.Term
		var fires, runFires []int // which events fired
		for i, now := range times {
			if fire, _ := Observe(&one, i > 0, now, now, 1, history); fire {
				fires = append(fires, i)
			}
		}
		for i := 0; i < len(times); {
			first, last, n := times[i], times[i], 1
			for i+n < len(times) && !Silent(last, times[i+n], history) && rapid.Bool().Draw(t, "join") {
				last = max(last, times[i+n])
				n++
			}
			if fire, _ := Observe(&run, i > 0, first, last, int64(n), history); fire {
				runFires = append(runFires, i)
			}
			i += n
		}
		if one != run || !slices.Equal(fires, runFires) {
			t.Fatalf("one by one %v %+v, in runs %v %+v", fires, one, runFires, run)
		}
	})
}
