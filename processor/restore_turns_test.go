package processor

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// paused is a reader that knows what it is to read.
type paused map[int32]bool

func (p paused) PollRecords(context.Context, int) kgo.Fetches { return nil }
func (p paused) Close()                                       {}

func (p paused) PauseFetchPartitions(of map[string][]int32) map[string][]int32 {
	for _, n := range of["log"] {
		p[n] = true
	}
	return nil
}

func (p paused) ResumeFetchPartitions(of map[string][]int32) {
	for _, n := range of["log"] {
		p[n] = false
	}
}

func (p paused) reads() (all []int32) {
	for n, paused := range p {
		if !paused {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

// TestTurns: of long partitions each client reads one, the shortest first, or two if there are none for the other; short
// ones are read all at once; and one that does not come holds up no other.
func TestTurns(t *testing.T) {
	first := func(t *turns) { t.end(t.reading[0]) }
	for _, c := range []struct {
		name string
		left map[int32]int64 // to read, by partition
		step func(t *turns)
		want [][]int32 // what is read at first, and after each step
	}{
		{"short", map[int32]int64{0: 10, 1: 20, 2: 30, 3: 40}, first, [][]int32{{0, 1, 2, 3}, {1, 2, 3}}},
		{"long", map[int32]int64{0: 3e6, 2: 4e6, 1: 5e6, 3: 6e6}, first, [][]int32{{0, 1}, {1, 2}, {2, 3}, {3}, nil}},
		{"of one client", map[int32]int64{0: 6e6, 2: 5e6, 4: 4e6}, first, [][]int32{{2, 4}, {0, 2}, {0}}},
		{"one does not come", map[int32]int64{0: 6e6, 1: 5e6, 2: 4e6}, (*turns).more, [][]int32{{1, 2}, {0, 1, 2}, {0, 1, 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			todo := map[int32]*restoring{}
			for n, left := range c.left {
				todo[n] = &restoring{part: &part{tp: topicPartition{"topic", n}}, barrier: left}
			}
			p := paused{}
			turns := newTurns(p, "log", todo)
			for i, want := range c.want {
				if i > 0 {
					c.step(turns)
				}
				if got := p.reads(); !slices.Equal(got, want) {
					t.Fatalf("after %d steps %v are read, want %v", i, got, want)
				}
			}
		})
	}
}
