package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

func term(t rapid.TB, sweepAt int64) []byte {
	v, err := wire.AppendTerm(nil, &wire.Term{FirstSeen: 1, LastSeen: 2, SweepAt: sweepAt, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func offset(t rapid.TB, o wire.Offset) []byte {
	v, err := wire.AppendOffset(nil, &o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFold(t *testing.T) {
	from := Position{ChangelogID: [16]byte{1}, ChangelogNext: 10, Barrier: Barrier{Offset: 4, Epoch: 2, Timestamp: 50}}
	input := wire.Offset{InputTopicID: [16]byte{9}, InputNext: 77, SweepClock: 5, InputTimestamp: 60}
	to, writes, err := Fold(from, []Record{
		{10, []byte("\x01a"), term(t, 1)},
		{11, []byte("\x01b"), term(t, 2)},
		{12, []byte(OffsetKey), offset(t, wire.Offset{InputNext: 5})},
		{14, []byte("\x01a"), term(t, 3)}, // 13 was a transaction marker
		{15, []byte("\x01b"), nil},
		{16, []byte(OffsetKey), offset(t, input)},
		{18, []byte(BarrierKey), []byte("anything")},
	})
	want := from
	want.ChangelogNext, want.Offset = 19, input
	if err != nil || to != want {
		t.Fatalf("%+v, %v, want %+v", to, err, want)
	}
	if to.AsOf() != 60 || from.AsOf() != 50 {
		t.Errorf("as of %d and %d", to.AsOf(), from.AsOf())
	}
	s := open(t, "d", inMemory())
	r := rangeOf(t, s, Detect, 0)
	apply(t, r, Position{}, from, nil)
	if err := r.Apply(from, to, writes); err != nil {
		t.Fatal(err)
	}
	wantContents(t, r, map[string]string{"\x01a": string(term(t, 3))})
	wantPosition(t, r, want)
}

func TestFoldRefuses(t *testing.T) {
	newer := append([]byte{0xC3, 0x01}, bytes.Repeat([]byte{0xEE}, 30)...)
	for name, c := range map[string]struct {
		record Record
		want   error
	}{
		"value of a newer build":  {Record{10, []byte("\x01a"), newer}, wire.ErrUnknownVersion},
		"offset of a newer build": {Record{10, []byte(OffsetKey), newer}, wire.ErrUnknownVersion},
		"key of a newer build":    {Record{10, []byte("\x00new"), nil}, wire.ErrUnknownVersion},
		"no value of ours":        {Record{10, []byte("\x01a"), []byte("x")}, wire.ErrCorrupt},
		"offset as a value":       {Record{10, []byte("\x01a"), offset(t, wire.Offset{})}, wire.ErrCorrupt},
		"value as an offset":      {Record{10, []byte(OffsetKey), term(t, 1)}, wire.ErrCorrupt},
		"offset deleted":          {Record{10, []byte(OffsetKey), nil}, wire.ErrCorrupt},
		"no key":                  {Record{10, nil, term(t, 1)}, wire.ErrCorrupt},
		"offset read before":      {Record{9, []byte("\x01a"), term(t, 1)}, nil},
	} {
		from := Position{ChangelogNext: 10}
		to, _, err := Fold(from, []Record{c.record})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || to != from {
			t.Errorf("%s: %v at %v, want %v", name, err, to, c.want)
		}
	}
}

// However a changelog is cut into batches, and whatever compaction has removed from it, the range is the same.
func TestFoldInAnyCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []Record
		for i := range int64(rapid.IntRange(1, 40).Draw(t, "records")) {
			r := Record{Offset: 2 * i}
			switch k := rapid.IntRange(0, 7).Draw(t, "key"); k {
			case 0:
				r.Key, r.Value = []byte(OffsetKey), offset(t, wire.Offset{InputNext: i})
			case 1:
				r.Key = []byte(BarrierKey)
			default:
				r.Key = fmt.Appendf(nil, "\x01%d", k)
				if rapid.Bool().Draw(t, "live") {
					r.Value = term(t, i)
				}
			}
			log = append(log, r)
		}
		whole, wholeKV := replay(t, log, len(log))
		cut, cutKV := replay(t, log, rapid.IntRange(1, len(log)).Draw(t, "cut"))
		compact, compactKV := replay(t, compacted(log), len(log))
		if cut != whole || compact != whole {
			t.Fatalf("at once %+v, cut %+v, compacted %+v", whole, cut, compact)
		}
		if !maps.Equal(cutKV, wholeKV) || !maps.Equal(compactKV, wholeKV) {
			t.Fatalf("at once %q, cut %q, compacted %q", wholeKV, cutKV, compactKV)
		}
	})
}

// replay folds a changelog, so many records at a time, into a map.
func replay(t *rapid.T, log []Record, at int) (pos Position, kv map[string]string) {
	kv = map[string]string{}
	for len(log) > 0 {
		n := min(at, len(log))
		to, writes, err := Fold(pos, log[:n])
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range writes {
			if kv[string(k)] = string(v); v == nil {
				delete(kv, string(k))
			}
		}
		pos, log = to, log[n:]
	}
	return pos, kv
}

// compacted leaves the last record of each key. The last of all always stays: the broker does not clean the active
// segment.
func compacted(log []Record) (left []Record) {
	last := map[string]int64{}
	for _, r := range log {
		last[string(r.Key)] = r.Offset
	}
	for _, r := range log {
		if last[string(r.Key)] == r.Offset {
			left = append(left, r)
		}
	}
	return left
}

func TestPositionSurvivesTheDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64()
		id := rapid.SliceOfN(rapid.Byte(), 16, 16)
		p := Position{ChangelogID: [16]byte(id.Draw(t, "changelog")), ChangelogNext: n.Draw(t, "next"),
			Barrier: Barrier{n.Draw(t, "barrier"), rapid.Int32().Draw(t, "epoch"), n.Draw(t, "timestamp")},
			Offset: wire.Offset{InputTopicID: [16]byte(id.Draw(t, "input")), InputNext: n.Draw(t, "input next"),
				SweepClock: n.Draw(t, "clock"), InputTimestamp: n.Draw(t, "input timestamp")}}
		b := appendPosition(nil, p)
		if got, err := decodePosition(b); got != p || err != nil {
			t.Fatalf("%+v, %v", got, err)
		}
		for cut := range b {
			if _, err := decodePosition(b[:cut]); !errors.Is(err, ErrFormat) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		if _, err := decodePosition(append(b, 0)); !errors.Is(err, ErrFormat) {
			t.Fatalf("with a byte too many: %v", err)
		}
	})
}
