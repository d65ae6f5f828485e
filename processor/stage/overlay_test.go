package stage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

// memory is a view of a map.
type memory map[string]string

func (m memory) Get(dst, key []byte) ([]byte, bool, error) {
	v, ok := m[string(key)]
	return append(dst, v...), ok, nil
}

func (m memory) Scan(prefix []byte, fn func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(key, string(prefix)) {
			if err := fn([]byte(key), []byte(m[key])); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply is what the store does after a commit.
func (m memory) apply(o *Overlay) {
	for key, value := range o.Writes() {
		if value == nil {
			delete(m, string(key))
		} else {
			m[string(key)] = string(value)
		}
	}
}

// Whatever is written, reading through the overlay is reading a map that was written directly, and so is the store
// after its writes have been applied.
func TestOverlayAgainstMap(t *testing.T) {
	key := rapid.StringMatching(`[ab]{0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		base := memory(rapid.MapOf(key, rapid.StringN(0, 3, -1)).Draw(t, "base"))
		o := NewOverlay(base)
		for range rapid.IntRange(1, 3).Draw(t, "transactions") {
			want := maps.Clone(base)
			var order []string
			for range rapid.IntRange(0, 12).Draw(t, "operations") {
				k := key.Draw(t, "key")
				if !slices.Contains(order, k) {
					order = append(order, k)
				}
				if rapid.Bool().Draw(t, "delete") {
					o.Delete([]byte(k))
					delete(want, k)
				} else {
					v := rapid.StringN(0, 5, -1).Draw(t, "value")
					o.Put([]byte(k), []byte(v))
					want[k] = v
				}
			}
			k := key.Draw(t, "looked up")
			got, ok, err := o.Get([]byte("x"), []byte(k))
			if v, has := want[k]; err != nil || ok != has || string(got) != "x"+v {
				t.Fatalf("Get(%q) = %q, %v, %v; want %q, %v", k, got, ok, err, v, has)
			}
			prefix := key.Draw(t, "prefix")
			var scanned, expected []string
			list := func(to *[]string) func(k, v []byte) error {
				return func(k, v []byte) error {
					*to = append(*to, fmt.Sprintf("%s=%s", k, v))
					return nil
				}
			}
			if err := o.Scan([]byte(prefix), list(&scanned)); err != nil {
				t.Fatal(err)
			}
			if want.Scan([]byte(prefix), list(&expected)); !slices.Equal(scanned, expected) {
				t.Fatalf("Scan(%q) = %q, want %q", prefix, scanned, expected)
			}
			var written []string
			for k := range o.Writes() {
				written = append(written, string(k))
			}
			if !slices.Equal(written, order) || o.Len() != len(order) {
				t.Fatalf("writes %q, want %q", written, order)
			}
			if base.apply(o); !maps.Equal(base, want) {
				t.Fatalf("applied %q, want %q", base, want)
			}
			o.Reset()
			if o.Len() != 0 {
				t.Fatal("writes after Reset")
			}
		}
	})
}

func TestOverlayScanEndsWithTheError(t *testing.T) {
	stop := errors.New("stop")
	for _, o := range []*Overlay{NewOverlay(memory{"a": "1", "b": "2"}), NewOverlay(nil)} {
		o.Put([]byte("a"), nil)
		o.Put([]byte("c"), nil)
		n := 0
		err := o.Scan(nil, func(key, value []byte) error {
			n++
			return stop
		})
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("%d calls, %v", n, err)
		}
	}
}

func TestTermKeysDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "fields")
		terms := rapid.SliceOfN(rapid.StringMatching(`[a\x00\x01\x02]{0,3}`), n, n)
		a, b := terms.Draw(t, "a"), terms.Draw(t, "b")
		if bytes.Equal(TermKey(nil, wire.StateID{1}, a), TermKey(nil, wire.StateID{1}, b)) != slices.Equal(a, b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

func TestSweepSeesTheTransaction(t *testing.T) {
	term := func(sweepAt int64) string {
		value, err := wire.AppendTerm(nil, &wire.Term{SweepAt: sweepAt})
		if err != nil {
			t.Fatal(err)
		}
		return string(value)
	}
	base := memory{"old": term(100), "due": term(101), "met": term(50), "gone": term(50), "other": "not a state value"}
	o := NewOverlay(base)
	o.Put([]byte("met"), []byte(term(500))) // by a record of this transaction
	o.Delete([]byte("gone"))
	keys := [][]byte{[]byte("old"), []byte("due"), []byte("met"), []byte("gone"), []byte("other"), []byte("missing")}
	swept, err := Sweep(o, 101, keys)
	if err != nil || swept != 1 {
		t.Errorf("swept %d, %v", swept, err)
	}
	base.apply(o)
	if got := slices.Sorted(maps.Keys(base)); !slices.Equal(got, []string{"due", "met", "other"}) {
		t.Errorf("left: %q", got)
	}
}

func TestAdvance(t *testing.T) {
	var clock, highest int64
	for _, c := range []struct{ timestamp, clock, highest int64 }{
		{1_700_000_000_000, 60_000, 1_700_000_000_000},  // the first record
		{1_700_000_000_500, 60_500, 1_700_000_000_500},  // as fast as append time
		{1_700_000_000_400, 60_500, 1_700_000_000_500},  // never back
		{-1, 60_500, 1_700_000_000_500},                 // no timestamp
		{1_700_900_000_500, 120_500, 1_700_900_000_500}, // after an outage of ten days
	} {
		if clock, highest = Advance(clock, highest, c.timestamp); clock != c.clock || highest != c.highest {
			t.Errorf("after %d: %d, %d; want %d, %d", c.timestamp, clock, highest, c.clock, c.highest)
		}
	}
}
