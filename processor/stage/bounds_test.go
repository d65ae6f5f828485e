package stage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firstseen/schemas/wire"
)

func TestBoundID(t *testing.T) {
	long := strings.Repeat("é", 4000)
	a, b := boundID([]byte(long+"a")), boundID([]byte(long+"b"))
	if a == b || len(a) > maxEventID || !strings.HasPrefix(long, a[:900]) {
		t.Errorf("%q and %q", a, b)
	}
	if got := boundID([]byte(long[:maxEventID])); got != long[:maxEventID] {
		t.Errorf("%q is short enough", got)
	}
}

func TestBoundEvidence(t *testing.T) {
	pair := func(dst []byte, field uint64, value string) []byte {
		return append(binary.AppendUvarint(binary.AppendUvarint(dst, field), uint64(len(value))), value...)
	}
	before := []byte("the evidence of another event")
	small := pair(pair(bytes.Clone(before), 1, "a"), 1, "b")
	if got := boundEvidence(bytes.Clone(small), len(before)); !bytes.Equal(got, small) {
		t.Errorf("%q is small enough", got)
	}
	large := pair(bytes.Clone(before), 1, "first")
	for range 100 {
		large = pair(large, 300, strings.Repeat("x", 1000))
	}
	large = pair(pair(large, 400, "last"), 400, "behind it")
	want := pair(pair(pair(bytes.Clone(before), 1, "first"), 300, strings.Repeat("x", 1000)), 400, "last")
	if got := boundEvidence(large, len(before)); !bytes.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	garbage := append(bytes.Clone(before), bytes.Repeat([]byte{0xff}, 2*maxEvidence)...)
	if got := boundEvidence(garbage, len(before)); !bytes.Equal(got, before) {
		t.Errorf("%d bytes of garbage are left", len(got)-len(before))
	}
}

// However much is combined, no encoded record is over the bound, and none is cut long before it.
func TestCombinedRecordsAreCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(30_000, 60_000).Draw(t, "limit")
		f := newFindings(limit)
		head := wire.Finding{Ruleset: make([]byte, 32), Rule: "rule", Group: "group", Policy: wire.Policy{Period: 60, Threshold: 1}}
		texts := rapid.Map(rapid.IntRange(0, 200), func(n int) string { return strings.Repeat("x", n) })
		now := int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "matches") {
			now += rapid.SampledFrom([]int64{0, 0, 0, 0, 1}).Draw(t, "later")
			e := wire.Entry{Match: wire.Match{
				Time: now * 1000, EventID: texts.Draw(t, "id"), Title: texts.Draw(t, "title"),
				Origin:   wire.Origin{Topic: texts.Draw(t, "topic"), Partition: 1 << 30, Offset: 1 << 62, Index: 1 << 30, Line: 1 << 62},
				Evidence: []byte(texts.Draw(t, "evidence")), Flags: 1 << 30,
			}}
			e.PreviousSeen, e.History, e.HistoryStart, e.Folded = wire.NoTime, wire.NoTime, wire.NoTime, 1<<62
			value := fmt.Appendf(nil, "%d%s", rapid.Uint32().Draw(t, "value"), strings.Repeat("x", 200))
			for {
				fd, where := f.at(&head, false, e.Match.Time/1000, 0)
				if where == folded {
					if last := f.fold(fd, 1); last != nil {
						last.Counters = counters(last.Counters).addValue("key", value, copied)
						f.recount(fd)
						break
					}
				} else if f.add(fd, &e) {
					break
				}
			}
		}
		for i := range f.list {
			out, err := f.output(i)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Value) > limit || i < len(f.list)-1 && len(out.Value) < limit/3 {
				t.Fatalf("record %d of %d has %d bytes, the limit is %d", i, len(f.list), len(out.Value), limit)
			}
		}
	})
}
