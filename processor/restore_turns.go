package processor

import (
	"slices"
	"time"
)

// turns has partitions with much to read be read one after the other: with all of them at once, none would fit into
// memory as a whole.
type turns struct {
	cl      reader
	topic   string
	reading []*restoring
	waiting []*restoring // the shortest first
}

// turnOffsets is how many offsets the partitions that are read at once are apart from their barriers, unless it is one
// alone. There are fewer records than offsets.
const turnOffsets = 500_000

func newTurns(cl reader, topic string, todo map[int32]*restoring) *turns {
	t := &turns{cl: cl, topic: topic}
	for _, r := range todo {
		t.waiting = append(t.waiting, r)
	}
	slices.SortFunc(t.waiting, func(a, b *restoring) int { return int((a.barrier - a.next) - (b.barrier - b.next)) })
	cl.PauseFetchPartitions(t.names(t.waiting))
	t.next()
	return t
}

func (t *turns) names(rs []*restoring) map[string][]int32 {
	var partitions []int32
	for _, r := range rs {
		partitions = append(partitions, r.tp.partition)
	}
	return map[string][]int32{t.topic: partitions}
}

// next lets those read whose turn it is.
func (t *turns) next() {
	n, offsets := 0, int64(0)
	for _, r := range t.reading {
		offsets += r.barrier - r.next
	}
	for ; n < len(t.waiting); n++ {
		offsets += t.waiting[n].barrier - t.waiting[n].next
		if len(t.reading)+n > 0 && offsets > turnOffsets {
			break
		}
	}
	t.admit(n)
}

func (t *turns) admit(n int) {
	if n == 0 {
		return
	}
	for _, r := range t.waiting[:n] {
		r.progress = time.Now() // its time begins
	}
	t.cl.ResumeFetchPartitions(t.names(t.waiting[:n]))
	t.reading, t.waiting = append(t.reading, t.waiting[:n]...), t.waiting[n:]
}

// more lets another one read: those whose turn it is do not come.
func (t *turns) more() { t.admit(min(1, len(t.waiting))) }

// end is for a partition of which no more is to be read.
func (t *turns) end(r *restoring) {
	is := func(o *restoring) bool { return o == r }
	t.reading, t.waiting = slices.DeleteFunc(t.reading, is), slices.DeleteFunc(t.waiting, is)
	t.cl.PauseFetchPartitions(t.names([]*restoring{r}))
	t.next()
}

// waits reports whether a partition has not had its turn.
func (t *turns) waits(r *restoring) bool { return slices.Contains(t.waiting, r) }
