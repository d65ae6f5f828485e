package stage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"firstseen/schemas/wire"
	"firstseen/state"
)

// BenchmarkGrowth is what one candidate costs the detect stage with the real store, in processor time: deciding on it,
// and its part in the batch of its transaction, which has 10,000, in 16 partitions. Of the terms that are known,
//
//	active   10,000 make the candidates, however many are known, and some of them many more than others
//	uniform  any is as likely as any other: the worst case
//	new      none of them: every candidate is a finding, and one term more is known
//
// With 10 million terms:
//
//	BENCH_TERMS=10000000 go test -run xxx -bench Growth -benchtime 500000x ./processor/stage
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{10_000, 100_000, 1_000_000}
	if text := os.Getenv("BENCH_TERMS"); text != "" {
		sizes = nil
		for one := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(one)
			if err != nil {
				b.Fatalf("BENCH_TERMS must be numbers: %v", err)
			}
			sizes = append(sizes, n)
		}
	}
	for _, terms := range sizes {
		g := newGrowth(b, terms)
		for _, mix := range []string{"active", "uniform", "new"} {
			b.Run(fmt.Sprintf("terms=%d/%s", terms, mix), func(b *testing.B) { g.run(b, mix) })
		}
		if err := g.store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

const (
	growthPartitions  = 16 // as many as 4 bits say
	growthTransaction = 10_000
	growthTime        = 1_709_290_000_000 // of all events
)

// growth is the state of a number of terms.
type growth struct {
	terms  int
	store  *state.Store
	ranges [growthPartitions]*state.Range
	views  [growthPartitions]*Overlay
	next   uint32 // the first address that is not known
	values [][]byte
	of     []int // their partitions
}

const spread = 2654435761 // odd, so that a multiple is none twice

func growthPartition(i uint32) int { return int(i * spread >> 28) }

// address returns the i-th address: all over the place, none twice.
func address(dst []byte, i uint32) []byte {
	i *= spread
	return fmt.Appendf(dst, "%d.%d.%d.%d", i>>24, i>>16&255, i>>8&255, i&255)
}

func newGrowth(b *testing.B, terms int) *growth {
	s, err := state.Open(b.TempDir(), state.Options{})
	if err != nil {
		b.Fatal(err)
	}
	g := &growth{terms: terms, store: s, next: uint32(terms)}
	value, err := wire.AppendTerm(nil, &wire.Term{FirstSeen: growthTime, LastSeen: growthTime, SweepAt: growthTime, Count: 20})
	if err != nil {
		b.Fatal(err)
	}
	var run state.Run
	for p := range g.ranges {
		r, err := s.Range(state.Detect, int32(p))
		if err != nil {
			b.Fatal(err)
		}
		run.Begin(state.Position{})
		for i := range terms {
			if growthPartition(uint32(i)) != p {
				continue
			}
			key := TermKey(nil, wire.StateID{1}, []string{string(address(nil, uint32(i)))})
			if err := run.Add(state.Record{Offset: int64(i), Key: key, Value: value}); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.Load(state.Position{}, run.To(), &run); err != nil {
			b.Fatal(err)
		}
		g.ranges[p], g.views[p] = r, NewOverlay(r)
	}
	return g
}

// draw makes the candidates of a transaction.
func (g *growth) draw(b *testing.B, mix func() uint32, n int) {
	if g.values == nil {
		g.values, g.of = make([][]byte, growthTransaction), make([]int, growthTransaction)
	}
	c := &wire.Candidate{
		Ruleset: make([]byte, 32), Rule: "aws-s3-unauthenticated-bucket-access-by-rare-source", State: wire.StateID{1}, Terms: make([]string, 1),
		Group: "acme-logs", History: 7 * 86_400_000, Count: 3, Policy: wire.Policy{Threshold: 1, Period: 3600}, Last: growthTime,
		First: wire.Match{Time: growthTime, EventID: "6f3c2e1a-1f5b-4f0e-9d8c-0a1b2c3d4e5f", Evidence: make([]byte, 600)},
	}
	for i := range n {
		number := mix()
		c.Terms[0] = string(address(nil, number))
		var err error
		if g.values[i], err = wire.AppendCandidate(g.values[i][:0], c); err != nil {
			b.Fatal(err)
		}
		g.of[i] = growthPartition(number)
	}
}

func (g *growth) run(b *testing.B, mix string) {
	rng := rand.New(rand.NewPCG(1, 2))
	const active = 10_000
	zipf, apart := rand.NewZipf(rng, 1.1, 50, active-1), uint32(g.terms/active)
	draw := map[string]func() uint32{
		"active":  func() uint32 { return uint32(zipf.Uint64()) * apart },
		"uniform": func() uint32 { return rng.Uint32N(uint32(g.terms)) },
		"new":     func() uint32 { g.next++; return g.next },
	}[mix]
	d := NewDetect(GroupConfig{})
	var spent time.Duration
	transaction := func(n int) {
		b.StopTimer()
		g.draw(b, draw, n)
		before := cpuTime(b)
		b.StartTimer()
		for i := range n {
			if err := d.Record(g.views[g.of[i]], growthTime, nil, g.values[i], growthTime, texts); err != nil {
				b.Fatal(err)
			}
		}
		if err := d.Flush(func(Output) {}); err != nil {
			b.Fatal(err)
		}
		for p, view := range g.views {
			if view.Len() == 0 {
				continue
			}
			from, _ := g.ranges[p].Position()
			to := from
			to.ChangelogNext += int64(view.Len())
			if err := g.ranges[p].Apply(from, to, view.Writes()); err != nil {
				b.Fatal(err)
			}
			view.Reset()
		}
		spent += cpuTime(b) - before
	}
	if mix != "new" {
		for range 20 {
			transaction(growthTransaction) // what is met often is met before the measurement
		}
	}
	spent = 0
	counted := d.Counts().Findings
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= growthTransaction {
		transaction(min(left, growthTransaction))
	}
	b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
	if found := d.Counts().Findings - counted; found != 0 && mix != "new" || found != int64(b.N) && mix == "new" {
		b.Fatalf("%d of %d candidates were new", found, b.N)
	}
}

// cpuTime is the processor time of this process, compactions and all, which other processes disturb less than the time
// that passes.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
