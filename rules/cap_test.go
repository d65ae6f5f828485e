package rules

import (
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

// The cap in the plainest words: in each window the first n alerts go out, and the next one makes the overflow.
func TestCapAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := wire.Policy{CapCount: rapid.Int64Range(1, 4).Draw(t, "count"), CapPer: rapid.Int64Range(0, 20).Draw(t, "per")}
		times := rapid.SliceOfN(rapid.Int64Range(0, 100), 1, 50).Draw(t, "times")
		var c wire.Cap
		var start, n int64
		for i, now := range times {
			if i == 0 || now > start+policy.CapPer {
				start, n = now, 0
			}
			n++
			if i == 0 || !InCap(&c, now) {
				c = OpenCap(&wire.Finding{Policy: policy}, match(now, 0), now)
			}
			allowed, overflow := CountAlert(&c, now, 0)
			if allowed != (n <= policy.CapCount) || overflow != (n == policy.CapCount+1) || c.Start != start {
				t.Fatalf("alert %d of %v: allowed %v, overflow %v in %+v; it is number %d since %d", i, times, allowed, overflow, c, n, start)
			}
			if c.Alerts+c.Suppressed != n {
				t.Fatalf("%d alerts and %d suppressed are not %d", c.Alerts, c.Suppressed, n)
			}
		}
	})
}

func TestCapCloses(t *testing.T) {
	c := OpenCap(&wire.Finding{Policy: wire.Policy{CapCount: 1, CapPer: 300}}, match(100, 0), 110)
	CountAlert(&c, 110, 1000)
	if _, ok := CapDue(&c, 0); ok || CloseCap(&c) {
		t.Error("a cap that was not passed has nothing to report")
	}
	CountAlert(&c, 111, 2000)
	if _, ok := CapDue(&c, 0); ok || CloseCap(&c) {
		t.Error("the overflow alert has said everything")
	}
	CountAlert(&c, 105, 3000)
	if at, ok := CapDue(&c, 0); !ok || at != 411_000 {
		t.Errorf("due %v at %d", ok, at)
	}
	if !CloseCap(&c) || !c.Closed || c.Reported != 2 || CloseCap(&c) {
		t.Errorf("%+v", c)
	}
	CountAlert(&c, 100, 9_000_000)
	if at, ok := CapDue(&c, 60_000); c.Closed || !ok || at != 9_060_001 {
		t.Errorf("a late alert: closed %v, due at %d", c.Closed, at)
	}
}
