package state

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// One store of 200,000 terms, all in the last level, its blocks in the cache.
//
//	go test -run xxx -bench . ./state
func BenchmarkGet(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	r := rangeOf(b, s, Detect, 0)
	keys := restore(b, r, newTerms(), 200_000, 10_000)
	tableBytes(b, s)
	if err := r.Scan(nil, func(_, _ []byte) error { return nil }); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	hit := func([]byte) []byte { return keys[rng.IntN(len(keys))] }
	miss := func(buf []byte) []byte { return termKey(buf, rng.Uint32()|1) }
	for _, c := range []struct {
		name string
		key  func(buf []byte) []byte
	}{{"hit", hit}, {"miss", miss}} {
		var buf, dst []byte
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = c.key(buf[:0])
				var err error
				if dst, _, err = r.Get(dst[:0], buf); err != nil {
					b.Fatal(err)
				}
			}
		})
		// What it would be with Pebble's own point read, which skips the filters of the last level.
		b.Run(c.name+"-without-last-filters", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = c.key(buf[:0])
				v, closer, err := s.db.Get(r.key(buf...))
				if err == nil {
					dst = append(dst[:0], v...)
					err = closer.Close()
				} else if err == pebble.ErrNotFound {
					err = nil
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One operation is the apply of a transaction of 1,000 terms.
func BenchmarkApply1000(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	r := rangeOf(b, s, Detect, 0)
	made := newTerms()
	pos := Position{}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		to, writes, err := Fold(pos, made.records(b, 1000))
		b.StartTimer()
		if err == nil {
			err = r.Apply(pos, to, writes)
		}
		if err != nil {
			b.Fatal(err)
		}
		pos = to
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "terms/s")
}

// One operation is one changelog record of a restore: of distinct terms, in batches of 10,000, flushed at the end. The
// records are made outside of the time measured. A store of 10 million terms, from nothing:
//
//	go test -run xxx -bench Restore -benchtime 10000000x ./state
func BenchmarkRestore(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	r := rangeOf(b, s, Detect, 0)
	made, pos := newTerms(), Position{}
	b.ResetTimer()
	for n := 0; n < b.N; n += 10_000 {
		b.StopTimer()
		records := made.records(b, min(10_000, b.N-n))
		b.StartTimer()
		to, writes, err := Fold(pos, records)
		if err == nil {
			err = r.Apply(pos, to, writes)
		}
		if err != nil {
			b.Fatal(err)
		}
		pos = to
	}
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "terms/s")
}

// One operation looks at 300 keys, as after a commit.
func BenchmarkSweep300(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	r := rangeOf(b, s, Detect, 0)
	restore(b, r, newTerms(), 300_000, 10_000)
	tableBytes(b, s)
	var cursor []byte
	b.ReportAllocs()
	for b.Loop() {
		_, next, err := r.Sweep(cursor, 300, 0)
		if err != nil {
			b.Fatal(err)
		}
		cursor = next
	}
}
