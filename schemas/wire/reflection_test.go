//go:build !chaosnext

package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// sameByReflection reads a body by hand, as a copy and as a view, and by reflection. It requires one result, or one
// error, and that both ways of writing make the body of it again.
func sameByReflection[T any](t rapid.TB, c *Codec[T], body []byte) (ok bool) {
	t.Helper()
	want, got := new(T), new(T)
	wantErr := c.readByReflection(bytes.Clone(body), want, c.readers[fingerprint(c.header[:])])
	src := append(bytes.Clone(c.header[:]), body...)
	gotErr := c.Decode(src, got)
	var memory Memory
	view := new(T)
	for i := range 2 { // what the memory holds of a record must not show in the next
		if err := c.view(src, view, &memory); fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s %x: view %d: %v, by reflection %v", c.name, body, i, err, wantErr)
		}
	}
	if !reflect.DeepEqual(view, got) {
		t.Fatalf("%s %x\nas a view %+v\nas a copy %+v", c.name, body, view, got)
	}
	clear(src) // nothing stays of it in a copy
	switch {
	case fmt.Sprint(gotErr) != fmt.Sprint(wantErr):
		t.Fatalf("%s %x: %v, by reflection %v", c.name, body, gotErr, wantErr)
	case !reflect.DeepEqual(got, want): // nor is there half a record
		t.Fatalf("%s %x\nby hand       %+v\nby reflection %+v", c.name, body, got, want)
	case wantErr != nil:
		return false
	}
	hand, err := c.AppendBody([]byte("before"), got)
	if err != nil || !bytes.Equal(bytes.TrimPrefix(hand, []byte("before")), body) {
		t.Fatalf("%s %x is written as %x, %v", c.name, body, hand, err)
	}
	if theirs, err := c.appendByReflection(nil, got); err != nil || !bytes.Equal(theirs, body) {
		t.Fatalf("%s %x is written by reflection as %x, %v", c.name, body, theirs, err)
	}
	return true
}

// TestByHandAsByReflection: random records are written and read by hand as hamba does by the schema.
func TestByHandAsByReflection(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, rapid.MakeCheck(func(rt *rapid.T) {
			if body := k.random(rt); !k.same(rt, body) {
				rt.Fatalf("%x is refused", body)
			}
		}))
	}
}

// TestLengthsAndNumbers does so with texts and arrays whose lengths, and numbers that, are the last of n bytes or the
// first of n+1.
func TestLengthsAndNumbers(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 8191, 8192} {
		v := sampleFinding
		v.Rule, v.Ruleset = string(make([]byte, n)), make([]byte, n)
		e := sampleEntry
		e.Terms = slices.Repeat([]string{"term"}, n)
		e.Counters = slices.Repeat(sampleCounters[:1], n)
		v.Entries = append(slices.Repeat([]Entry{{}}, n), e)
		body, err := findings.appendByReflection(nil, &v)
		if err != nil || !sameByReflection(t, findings, body) {
			t.Errorf("length %d is refused: %v", n, err)
		}
	}
	for bit := range 64 {
		for _, n := range []int64{1 << bit, 1<<bit - 1, -1 << bit, -1<<bit - 1} {
			body, err := terms.appendByReflection(nil, &Term{n, n, n, n})
			if err != nil || !sameByReflection(t, terms, body) {
				t.Errorf("%d is refused: %v", n, err)
			}
		}
	}
}

// TestSmallestItems: arrays of items as small as can be are read, however many.
func TestSmallestItems(t *testing.T) {
	const n = 1000
	f, err := findings.appendByReflection(nil, &Finding{Entries: make([]Entry, n)})
	if err != nil || !sameByReflection(t, findings, f) {
		t.Errorf("entries are refused: %v", err)
	}
	w, err := windows.appendByReflection(nil, &Window{Counters: make([]Counter, n)})
	if err != nil || !sameByReflection(t, windows, w) {
		t.Errorf("counters are refused: %v", err)
	}
	c, err := candidates.appendByReflection(nil, &Candidate{Terms: make([]string, n)})
	if err != nil || !sameByReflection(t, candidates, c) {
		t.Errorf("terms are refused: %v", err)
	}
}

// TestInts: the int fields of a match are ints to both, though numbers all look the same.
func TestInts(t *testing.T) {
	body := kinds[3].sample[10:]
	for _, field := range []string{"cloudtrail\x0E", "\x40\x06", "json.gz\x18\x0A"} { // partition, index, flags
		at := bytes.Index(body, []byte(field)) + len(field) - 1
		for n, want := range map[int64]bool{
			math.MinInt32: true, math.MaxInt32: true, math.MinInt32 - 1: false, math.MaxInt32 + 1: false, math.MinInt64: false,
		} {
			changed := slices.Replace(bytes.Clone(body), at, at+1, binary.AppendVarint(nil, n)...)
			if ok := sameByReflection(t, windows, changed); ok != want {
				t.Errorf("%d behind %q: %v", n, field, ok)
			}
		}
	}
}

// TestChangedBytes: every byte of the samples is changed into others that mean something at some place. What hamba
// behind a shape reads is read the same, what they refuse is refused with the same error.
func TestChangedBytes(t *testing.T) {
	for _, k := range kinds {
		body := k.sample[10:]
		read := 0
		for i, b := range body {
			for _, other := range []byte{0, 1, 2, 3, 4, 0x21, 0x22, 0x23, 0x7F, 0x80, 0x81, 0xFF, b ^ 1, b + 2, b - 2} {
				body[i] = other
				if k.same(t, body) {
					read++
				}
			}
			body[i] = b
		}
		if read == 0 || read >= 15*len(body) {
			t.Errorf("%s: %d of %d are read", k.name, read, 15*len(body))
		}
	}
}

// TestTornBytes does so with random records that were cut, put together anew or got numbers where none belong.
func TestTornBytes(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, rapid.MakeCheck(func(rt *rapid.T) {
			body := k.random(rt)
			for range rapid.IntRange(1, 3).Draw(rt, "changes") {
				from := rapid.IntRange(0, len(body)).Draw(rt, "from")
				to := rapid.IntRange(from, len(body)).Draw(rt, "to")
				insert := rapid.OneOf(
					rapid.SliceOfN(rapid.Byte(), 0, 4),
					rapid.SampledFrom([][]byte{{0}, {1}, {2}, {0x80}, {0x80, 0}, {0x82, 0x80, 0}, bytes.Repeat([]byte{0xFF}, 10), bytes.Repeat([]byte{0x80}, 11)}),
					rapid.Map(rapid.Int64(), func(n int64) []byte { return binary.AppendVarint(nil, n) }),
					rapid.Just(bytes.Clone(body[from:to])),
				).Draw(rt, "insert")
				body = slices.Replace(body, from, rapid.SampledFrom([]int{from, to}).Draw(rt, "until"), insert...)
			}
			k.same(rt, body)
		}))
	}
}

// TestLargestRecord: a record of MaxRecord bytes is written and read, one of a byte more is not.
func TestLargestRecord(t *testing.T) {
	empty, err := findings.AppendBody(nil, &Finding{})
	if err != nil {
		t.Fatal(err)
	}
	n := MaxRecord - len(empty) - 3 // the length of the rule takes 3 bytes more than that of none
	v := Finding{Rule: string(make([]byte, n))}
	body, err := findings.AppendBody(nil, &v)
	if err != nil || len(body) != MaxRecord {
		t.Fatal(len(body), err)
	}
	if !sameByReflection(t, findings, body) {
		t.Error("the largest record is refused")
	}
	v.Rule += "x"
	if body, err := findings.AppendBody(nil, &v); err == nil {
		t.Errorf("%d bytes are written", len(body))
	}
	body = slices.Insert(body, len(body)-10, 0)
	binary.PutUvarint(body[1:], uint64(n+1)<<1)
	if sameByReflection(t, findings, body) {
		t.Errorf("%d bytes are read", len(body))
	}
}
