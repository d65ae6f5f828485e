package state

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"firstseen/schemas/wire"
)

// terms makes state keys and values as detect does: one rule, addresses from all over, seen within a week of each
// other. Addresses are even; odd ones are never seen.
type terms struct {
	rng *rand.Rand
	n   int64
}

func newTerms() *terms { return &terms{rng: rand.New(rand.NewPCG(1, 2))} }

func termKey(dst []byte, address uint32) []byte {
	dst = append(dst, 1, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0xA7, 0xB8)
	return fmt.Appendf(dst, "%d.%d.%d.%d", address>>24, address>>16&255, address>>8&255, address&255)
}

func (s *terms) value(t testing.TB, dst []byte) []byte {
	const day = 86_400_000
	first := 1_790_000_000_000 + s.rng.Int64N(7*day)
	last := first + s.rng.Int64N(7*day)
	v, err := wire.AppendTerm(dst, &wire.Term{FirstSeen: first, LastSeen: last, SweepAt: last + 14*day + s.rng.Int64N(1000), Count: 1 + int64(s.rng.ExpFloat64()*20)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// records makes changelog records of distinct new terms.
func (s *terms) records(t testing.TB, n int) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{s.n, termKey(nil, s.rng.Uint32()&^1), s.value(t, nil)}
		s.n++
	}
	return records
}

// restore applies terms the way a restore does and returns their keys.
func restore(t testing.TB, r *Range, s *terms, n, batch int) (keys [][]byte) {
	pos, _ := r.Position()
	for len(keys) < n {
		records := s.records(t, min(batch, n-len(keys)))
		to, writes, err := Fold(pos, records)
		if err == nil {
			err = r.Apply(pos, to, writes)
		}
		if err != nil {
			t.Fatal(err)
		}
		pos = to
		for _, rec := range records {
			keys = append(keys, rec.Key)
		}
	}
	return keys
}

// tableBytes compacts a store and returns the size of its tables: what is left when nothing is written for a while.
func tableBytes(t testing.TB, s *Store) (total int64) {
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Compact(t.Context(), []byte{0}, []byte{9}, false); err != nil {
		t.Fatal(err)
	}
	m := s.db.Metrics()
	return m.Total().TablesSize
}

// The budget is 60 bytes a term on disk, filters included.
func TestBytesPerTerm(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	const n = 300_000
	restore(t, rangeOf(t, s, Detect, 0), newTerms(), n, 10_000)
	perTerm := float64(tableBytes(t, s)) / n
	t.Logf("%.1f bytes a term", perTerm)
	if perTerm > 60 {
		t.Errorf("%.1f bytes a term on disk, the budget is 60", perTerm)
	}
}

// A term that was never seen is the usual question. The answer comes from the filters: also in the last level, and in the
// cache that is left beside full memtables, no block is read for it.
func TestMissesReadNoBlocks(t *testing.T) {
	s := open(t, t.TempDir(), Options{CacheBytes: 4 << 20, MemTableBytes: 4 << 20})
	r := rangeOf(t, s, Detect, 0)
	restore(t, r, newTerms(), 60_000, 10_000)
	tableBytes(t, s)
	rng := rand.New(rand.NewPCG(3, 4))
	miss := func() {
		if _, ok, err := r.Get(nil, termKey(nil, rng.Uint32()|1)); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for range 100 {
		miss() // opens the tables
	}
	before := s.db.Metrics()
	const misses = 10_000
	for range misses {
		miss()
	}
	after := s.db.Metrics()
	answered, passed := after.Filter.Hits-before.Filter.Hits, after.Filter.Misses-before.Filter.Misses
	if answered < misses*97/100 || passed > misses*3/100 {
		t.Errorf("of %d misses the filters answered %d and let %d pass", misses, answered, passed)
	}
	if read := after.BlockCache.Misses - before.BlockCache.Misses; read > misses*3/100 {
		t.Errorf("for %d misses %d blocks were read: the filters do not stay in the cache", misses, read)
	}
}
