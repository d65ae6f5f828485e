package processor

import (
	"slices"
	"time"
)

// turns has partitions with much to read be read two at a time: with all of them at once, none would fit into memory as a
// whole.
type turns struct {
	cl      reader
	topic   string
	reading []*restoring
	waiting []*restoring // the shortest first
}

// turnOffsets is how many offsets the partitions that are read at once are apart from their barriers, unless it is one for
// each client. There are fewer records than offsets.
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
	offsets := int64(0)
	for _, r := range t.reading {
		offsets += r.barrier - r.next
	}
	for len(t.waiting) > 0 {
		at := max(0, slices.IndexFunc(t.waiting, t.idle))
		if offsets += t.waiting[at].barrier - t.waiting[at].next; len(t.reading) >= abreast && offsets > turnOffsets {
			return
		}
		t.admit(at)
	}
}

// idle reports whether the client of a partition has nothing to read.
func (t *turns) idle(r *restoring) bool {
	return !slices.ContainsFunc(t.reading, func(o *restoring) bool { return clientOf(o.tp.partition) == clientOf(r.tp.partition) })
}

func (t *turns) admit(at int) {
	r := t.waiting[at]
	r.progress = time.Now() // its time begins
	t.reading, t.waiting = append(t.reading, r), slices.Delete(t.waiting, at, at+1)
	t.cl.ResumeFetchPartitions(t.names([]*restoring{r}))
}

// more lets another one read: those whose turn it is do not come.
func (t *turns) more() {
	if len(t.waiting) > 0 {
		t.admit(0)
	}
}

// end is for a partition of which no more is to be read.
func (t *turns) end(r *restoring) {
	is := func(o *restoring) bool { return o == r }
	t.reading, t.waiting = slices.DeleteFunc(t.reading, is), slices.DeleteFunc(t.waiting, is)
	t.cl.PauseFetchPartitions(t.names([]*restoring{r}))
	t.next()
}

// waits reports whether a partition has not had its turn.
func (t *turns) waits(r *restoring) bool { return slices.Contains(t.waiting, r) }
