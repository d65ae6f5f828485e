package rules

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

func match(second, folded int64) *wire.Entry {
	return &wire.Entry{Match: wire.Match{Time: second * 1000}, Folded: folded}
}

func TestSecond(t *testing.T) {
	for ms, want := range map[int64]int64{0: 0, 999: 0, 1000: 1, -1: -1, -1000: -1, -1001: -2, math.MinInt64: math.MinInt64/1000 - 1} {
		if got := Second(ms); got != want {
			t.Errorf("Second(%d) = %d, want %d", ms, got, want)
		}
	}
}

// A group's windows in the plainest words: walk through its matches; each that is later than the end of the current
// window begins the next, all others count in the current one; the n-th of a window makes the alert.
func TestWindowAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := wire.Policy{Period: rapid.Int64Range(1, 30).Draw(t, "period"), Threshold: rapid.Int64Range(1, 4).Draw(t, "threshold")}
		times := rapid.SliceOfN(rapid.Int64Range(0, 120), 1, 50).Draw(t, "times")
		type window struct {
			start, count, last int64
			alertAt            int // index of the match that made the alert, -1: none
		}
		var want []window
		for i, now := range times {
			if n := len(want); n == 0 || now > want[n-1].start+policy.Period {
				want = append(want, window{start: now, last: now, alertAt: -1})
			}
			w := &want[len(want)-1]
			w.count++
			w.last = max(w.last, now)
			if w.count == policy.Threshold {
				w.alertAt = i
			}
		}

		var got []window
		var w wire.Window
		for i, now := range times {
			if i == 0 || !InWindow(&w, now) {
				w = OpenWindow(&wire.Finding{Policy: policy}, match(now, 0))
				got = append(got, window{start: w.Start, alertAt: -1})
			}
			g := &got[len(got)-1]
			if JoinWindow(&w, match(now, 0), 0) {
				g.alertAt = i
				if w.Reported != policy.Threshold || w.ReachedAt != now*1000 {
					t.Fatalf("alert with count %d reached at %d", w.Reported, w.ReachedAt)
				}
			}
			g.count, g.last = w.Count, w.LastSeen/1000
		}
		if len(got) != len(want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("window %d: got %+v, want %+v", i, got[i], want[i])
			}
		}
	})
}

func TestWindowKeepsItsPolicy(t *testing.T) {
	w := OpenWindow(&wire.Finding{Policy: wire.Policy{Period: 60, Threshold: 3}}, match(100, 0))
	if !InWindow(&w, 160) || InWindow(&w, 161) || !InWindow(&w, -5) {
		t.Error("a window takes what is not later than 60 s after its first match, and what is late")
	}
	// An entry of a newer ruleset, without the threshold, has others folded into it.
	if !JoinWindow(&w, match(100, 9), 0) || w.Reported != 3 || w.Count != 10 {
		t.Errorf("the alert of a threshold of 3 says %d of %d", w.Reported, w.Count)
	}
}

func TestWindowCloses(t *testing.T) {
	const closeAfter = 15 * 60_000
	w := OpenWindow(&wire.Finding{Policy: wire.Policy{Period: 60, Threshold: 2}}, match(100, 0))
	JoinWindow(&w, match(100, 0), 200_000)
	if _, ok := WindowDue(&w, closeAfter); ok || CloseWindow(&w) {
		t.Error("a window without an alert has nothing to report")
	}
	JoinWindow(&w, match(90, 0), 300_000)
	if _, ok := WindowDue(&w, closeAfter); ok || CloseWindow(&w) {
		t.Error("nothing joined after the alert: it has said everything")
	}
	JoinWindow(&w, match(101, 0), 400_000)
	if at, ok := WindowDue(&w, closeAfter); !ok || at != 400_000+closeAfter+1 {
		t.Errorf("due %v at %d, want later than 15 minutes after the last join", ok, at)
	}
	if at, _ := WindowDue(&w, 0); at != 400_001 {
		t.Errorf("due at %d", at)
	}
	early := w
	early.JoinedAt = 0
	if at, _ := WindowDue(&early, 0); at != 161_000 {
		t.Errorf("due at %d, want past the last millisecond of second 160", at)
	}
	if !CloseWindow(&w) || !w.Closed || w.Reported != 3 {
		t.Errorf("closed %v with %d", w.Closed, w.Reported)
	}
	if CloseWindow(&w) {
		t.Error("closed twice")
	}
	JoinWindow(&w, match(1, 0), 500_000)
	if w.Closed || !CloseWindow(&w) || w.Reported != 4 {
		t.Errorf("a late match into a closed window: closed %v with %d", w.Closed, w.Reported)
	}
	forever := wire.Window{Start: math.MaxInt64 - 1, Policy: wire.Policy{Period: math.MaxInt64}, Reported: 1, Count: 2}
	if at, ok := WindowDue(&forever, math.MaxInt64-1); !ok || at != math.MaxInt64 {
		t.Errorf("due %v at %d", ok, at)
	}
}

func TestSuppressedWindow(t *testing.T) {
	w := OpenWindow(&wire.Finding{Policy: wire.Policy{Period: 60}}, match(100, 0))
	if !JoinWindow(&w, match(100, 0), 0) {
		t.Fatal("no threshold is a threshold of 1")
	}
	SuppressWindow(&w)
	SuppressWindow(&w)
	if JoinWindow(&w, match(100, 0), 0) {
		t.Error("a suppressed alert is made twice")
	}
	if !CloseWindow(&w) || w.Reported != -2 || CloseWindow(&w) {
		t.Errorf("the update of a suppressed alert is suppressed: %d", w.Reported)
	}
}
