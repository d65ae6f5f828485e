package state

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// sizes are how many terms a store has: BENCH_TERMS of them, if it is set.
func sizes(b *testing.B) []int {
	if text := os.Getenv("BENCH_TERMS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatalf("BENCH_TERMS must be a number: %v", err)
		}
		return []int{n}
	}
	return []int{10_000, 100_000, 1_000_000}
}

// used is the processor time of this process, which other processes do not disturb as they do the time that passes.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// One read from a store that has been compacted. Of 10,000 terms all are among the values written last. With 10 million terms, two minutes to make:
//
//	BENCH_TERMS=10000000 go test -run xxx -bench 'Get|Apply' ./state
func BenchmarkGet(b *testing.B) {
	for _, terms := range sizes(b) {
		s := open(b, b.TempDir(), Options{})
		r := rangeOf(b, s, Detect, 0)
		keys := restore(b, r, newTerms(), terms, 10_000)
		tableBytes(b, s)
		rng := rand.New(rand.NewPCG(3, 4))
		hit := func([]byte) []byte { return keys[rng.IntN(len(keys))] }
		recent := func([]byte) []byte { return keys[rng.IntN(10_000)] }
		miss := func(buf []byte) []byte { return termKey(buf, rng.Uint32()|1) }
		for _, c := range []struct {
			name string
			key  func(buf []byte) []byte
		}{{"miss", miss}, {"hit-of-10000", recent}, {"hit", hit}} {
			var buf, dst []byte
			b.Run(fmt.Sprintf("terms=%d/%s", terms, c.name), func(b *testing.B) {
				b.ReportAllocs()
				began := used(b)
				for b.Loop() {
					buf = c.key(buf[:0])
					var err error
					if dst, _, err = r.Get(dst[:0], buf); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(used(b)-began)/float64(b.N), "cpu-ns/op")
			})
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is the apply of a transaction of 1,000 terms to a store that has some already.
func BenchmarkApply1000(b *testing.B) {
	for _, terms := range sizes(b) {
		b.Run(fmt.Sprintf("terms=%d", terms), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{})
			r := rangeOf(b, s, Detect, 0)
			made := newTerms()
			restore(b, r, made, terms, 10_000)
			tableBytes(b, s)
			pos, _ := r.Position()
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
		})
	}
}

// One operation is one changelog record of a restore: of distinct terms, in 16 partitions one after the other, flushed at
// the end: in batches of 10,000, or in runs as large as a partition. The records are made outside of the time measured. A
// store of 10 million terms, from nothing:
//
//	go test -run xxx -bench Restore -benchtime 10000000x ./state
func BenchmarkRestore(b *testing.B) {
	batches := func(r *Range, next func() []Record) error {
		var pos Position
		for records := next(); len(records) > 0; records = next() {
			to, writes, err := Fold(pos, records)
			if err == nil {
				err = r.Apply(pos, to, writes)
			}
			if err != nil {
				return err
			}
			pos = to
		}
		return nil
	}
	var run Run
	runs := func(r *Range, next func() []Record) error {
		run.Begin(Position{})
		for records := next(); len(records) > 0; records = next() {
			for _, rec := range records {
				if err := run.Add(rec); err != nil {
					return err
				}
			}
		}
		return r.Load(Position{}, run.To(), &run)
	}
	for _, c := range []struct {
		name    string
		restore func(r *Range, next func() []Record) error
	}{{"batches", batches}, {"runs", runs}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			s := open(b, b.TempDir(), Options{})
			made, left := newTerms(), b.N
			b.ResetTimer()
			for p := range int32(16) {
				of := left / int(16-p)
				left -= of
				err := c.restore(rangeOf(b, s, Detect, p), func() []Record {
					b.StopTimer()
					defer b.StartTimer()
					n := min(10_000, of)
					of -= n
					return made.records(b, n)
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			if err := s.db.Flush(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "terms/s")
			m := s.db.Metrics()
			b.ReportMetric(float64(m.Total().TablesSize)/float64(b.N), "disk-B/term")
		})
	}
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
