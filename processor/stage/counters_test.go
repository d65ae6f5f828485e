package stage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

// counted is one occurrence of a value of an attribute.
type counted struct{ attribute, value string }

func drawCounted(t *rapid.T, least, values int) []counted {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) counted {
		n := rapid.IntRange(0, values-1).Draw(t, "value")
		return counted{rapid.SampledFrom([]string{"bucket", "key"}).Draw(t, "attribute"), fmt.Sprint(n)}
	}), least, 300).Draw(t, "occurrences")
}

// drawParts counts the occurrences in parts of any size and merges them.
func drawParts(t *rapid.T, all []counted) counters {
	var total counters
	for len(all) > 0 {
		n := rapid.IntRange(1, len(all)).Draw(t, "part")
		var part counters
		for _, o := range all[:n] {
			part = part.addValue(o.attribute, []byte(o.value), copied)
		}
		before := slices.Clone(part)
		if total = total.merge(part); !slices.Equal(part, before) {
			t.Fatal("what was merged has changed")
		}
		all = all[n:]
	}
	return total
}

func TestCountersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawCounted(t, 0, maxValues)
		var one counters
		for _, o := range all {
			one = one.addValue(o.attribute, []byte(o.value), copied)
		}
		for _, c := range one {
			if n := occurrences(all, c); c.Count != n || c.Error != 0 {
				t.Fatalf("%+v, it is there %d times", c, n)
			}
		}
		if parts := drawParts(t, all); !slices.Equal(parts, one) {
			t.Fatalf("merged %v, counted one by one %v", parts, one)
		}
	})
}

func TestCountersKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawCounted(t, 150, 40)
		total := drawParts(t, all)
		for _, c := range total {
			if n := occurrences(all, c); n > c.Count || n < c.Count-c.Error {
				t.Fatalf("%+v, it is there %d times", c, n)
			}
		}
		for _, o := range all {
			c := wire.Counter{Attribute: o.attribute, Value: o.value}
			at, values, least := total.look(&c)
			if n := occurrences(all, c); at < 0 && (values < maxValues || n > total[least].Count) {
				t.Fatalf("%v is there %d times and not counted in %v", o, n, total)
			}
		}
		for _, attribute := range []string{"bucket", "key"} {
			if _, n, _ := total.look(&wire.Counter{Attribute: attribute}); n > maxValues {
				t.Fatalf("%d values of %s", n, attribute)
			}
		}
	})
}

// TestCountersOfOneMatch: a match's own values are merged as those of many are.
func TestCountersOfOneMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := drawParts(t, drawCounted(t, 0, 40))
		var one counters
		for _, attribute := range rapid.Permutation([]string{"bucket", "key", "remoteip"}).Draw(t, "attributes")[:rapid.IntRange(0, 3).Draw(t, "n")] {
			one = append(one, wire.Counter{Attribute: attribute, Value: fmt.Sprint(rapid.IntRange(0, 50).Draw(t, "value")),
				Count: rapid.Int64Range(1, 5).Draw(t, "count"), Error: rapid.Int64Range(0, 1).Draw(t, "error")})
		}
		want := slices.Clone(total).mergeAll(one)
		if !one.single() {
			t.Fatalf("%v are not single", one)
		}
		if got := slices.Clone(total).merge(one); !slices.Equal(got, want) {
			t.Fatalf("%v with %v: %v, want %v", total, one, got, want)
		}
	})
}

func occurrences(all []counted, c wire.Counter) (n int64) {
	for _, o := range all {
		if o.attribute == c.Attribute && o.value == c.Value {
			n++
		}
	}
	return n
}

func TestFrequentValueIsFound(t *testing.T) {
	var c counters
	for i := range 2000 {
		c = c.addValue("key", fmt.Appendf(nil, "rare-%d", i), copied)
		if i%8 == 0 { // more than one of 16
			c = c.addValue("key", []byte("frequent"), copied)
		}
	}
	if i, _, _ := c.look(&wire.Counter{Attribute: "key", Value: "frequent"}); i < 0 || c[i].Count-c[i].Error > 250 || c[i].Count < 250 {
		t.Errorf("%v", c)
	}
}

func TestCountedValueIsCut(t *testing.T) {
	for _, value := range []string{strings.Repeat("x", 300), strings.Repeat("é", 300), strings.Repeat("a", 255) + "€", "\xff"} {
		c := counters(nil).addValue("key", []byte(value), copied)
		got := c[0].Value
		if len(got) > maxCounted || len(value) > maxCounted && len(got) < maxCounted-3 || !strings.HasPrefix(value, got) || utf8.ValidString(value) && !utf8.ValidString(got) {
			t.Errorf("%q became %q", value, got)
		}
	}
}

func copied(b []byte) string { return string(b) }
