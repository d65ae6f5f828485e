package processor

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas/wire"
	"firstseen/state"
)

// TestRuns applies every record in a run of its own, of several partitions at a time: those of a partition come in their
// order.
func TestRuns(t *testing.T) {
	store, err := state.Open("state", state.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	todo := map[int32]*restoring{}
	for n := range int32(3) {
		rng, err := store.Range(StageDetect.state(), n)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		todo[n] = &restoring{part: &part{tp: topicPartition{"topic", n}, rng: rng, logID: [16]byte{1}}, barrier: 1 << 40,
			written: now, stamp: now.UnixMilli(), keep: time.Hour}
		todo[n].pos.Barrier.Timestamp = now.UnixMilli()
	}
	const records = 300
	loads := newLoads(todo, restoreBytes)
	for from := int64(0); from < records; from += 10 {
		for n := range int64(30) {
			r, offset := todo[int32(n/10)], from+n%10
			value, err := wire.AppendTerm(nil, &wire.Term{Count: offset})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := loads.add(r, []*kgo.Record{{Offset: offset, Key: fmt.Appendf(nil, "t%d", offset%7), Value: value}}); err != nil {
				t.Fatal(err)
			}
			loads.start(loads.of(r))
			if len(loads.running) > abreast || len(loads.filling) > 0 {
				t.Fatalf("%d runs are applied, %d wait", len(loads.running), len(loads.filling))
			}
		}
	}
	loads.all()
	for n, r := range todo {
		if r.failed != nil || r.pos.ChangelogNext != records || len(loads.running) > 0 {
			t.Fatalf("partition %d is at %+v: %v", n, r.pos, r.failed)
		}
		for key := range int64(7) {
			value, _, err := r.rng.Get(nil, fmt.Appendf(nil, "t%d", key))
			if err != nil {
				t.Fatal(err)
			}
			var term wire.Term
			if err := wire.DecodeTerm(value, &term); err != nil || term.Count%7 != key || term.Count < records-7 {
				t.Errorf("partition %d, key %d: %+v, %v", n, key, term, err)
			}
		}
	}
	if failed := loads.refused(); len(failed) > 0 {
		t.Errorf("%d partitions were refused", len(failed))
	}
}
