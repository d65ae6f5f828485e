package history

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor"
)

const (
	// rangeMemory is how many bytes of records may wait, over all partitions, before those ahead of the others pause.
	rangeMemory = 64 << 20
	// leastAhead is what one partition may be ahead in any case: more than a fetch brings, so that few are in vain.
	leastAhead = 2 << 20
)

// Each calls fn for every committed record of the range, and of its warm-up, ordered by Kafka timestamp: a partition's
// records come in the order of their offsets, and of the partitions that one comes next whose next record is the oldest,
// of several the first one as in Spans. So the order is the same every time. It ends with the first error of fn, which
// it returns as it is.
//
// About 64 MiB of records are held, or 2 MiB a partition if that is more.
func (r *Range) Each(ctx context.Context, fn func(*kgo.Record) error) error {
	m := merge{limit: cmp.Or(r.ahead, max(rangeMemory/max(len(r.spans), 1), leastAhead)), at: map[place]*stream{}}
	from := map[string]map[int32]kgo.Offset{}
	r.done = 0
	for i := range r.spans {
		s := &r.spans[i]
		if s.read = 0; s.Begin == s.To {
			continue
		}
		if from[s.Topic] == nil {
			from[s.Topic] = map[int32]kgo.Offset{}
		}
		from[s.Topic][s.Partition] = kgo.NewOffset().At(s.Begin)
		m.at[place{s.Topic, s.Partition}] = &stream{Span: s, rank: i, next: s.Begin}
		m.empty++
	}
	if m.empty == 0 {
		return nil
	}
	var err error
	m.cl, err = kgo.NewClient(r.cfg.ReaderOptions(kgo.ConsumePartitions(from), kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20))...)
	if err != nil {
		return err
	}
	defer m.cl.Close()
	stall := cmp.Or(r.cfg.Timing.Stall, time.Minute)
	for {
		if m.empty > 0 {
			if err := m.poll(ctx, stall); err != nil {
				return err
			}
			continue
		}
		if len(m.heads) == 0 {
			r.done = r.Total()
			return nil
		}
		s := m.heads[0]
		rec := m.pop()
		r.done += rec.Offset + 1 - s.passed()
		s.read = rec.Offset + 1
		if err := fn(rec); err != nil {
			return err
		}
	}
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// stream is a partition of a range on its way to its end.
type stream struct {
	*Span
	rank    int
	next    int64 // behind the last record fetched
	waiting []*kgo.Record
	bytes   int // of what waits
	paused  bool
}

// ended says whether all has been fetched.
func (s *stream) ended() bool { return s.next >= s.To }

// passed is the offset up to which fn has seen the partition.
func (s *stream) passed() int64 { return max(s.read, s.Begin) }

// merge is the partitions of a range on their way to one order. A heap has those of which something waits; the next record
// is known when that is all but those that have ended.
type merge struct {
	cl    *kgo.Client
	at    map[place]*stream
	heads heads
	empty int // streams that have not ended and of which nothing waits
	limit int // bytes that may wait of one stream
}

// poll fetches until something comes. It fails when nothing has for too long.
func (m *merge) poll(ctx context.Context, stall time.Duration) error {
	wait, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	var last error
	for {
		fetches := m.cl.PollFetches(wait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() { // before records: after data loss the client may go on elsewhere
			switch {
			case errors.Is(e.Err, kerr.OffsetOutOfRange) || errors.As(e.Err, new(*kgo.ErrDataLoss)):
				return fmt.Errorf("%w: read %s/%d: records were deleted while the range was read: %w", processor.ErrUnreachable, e.Topic, e.Partition, e.Err)
			case !errors.Is(e.Err, context.DeadlineExceeded): // the client goes on trying
				last = fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		moved := false
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			s := m.at[place{p.Topic, p.Partition}]
			for _, rec := range p.Records {
				moved = m.push(s, rec) || moved
			}
			if s.ended() || s.bytes > m.limit {
				m.pause(s)
			}
		})
		switch {
		case moved:
			return nil
		case wait.Err() != nil:
			return m.stalled(stall, last)
		}
	}
}

// push takes a record that was fetched. Markers of transactions only move the stream.
func (m *merge) push(s *stream, rec *kgo.Record) bool {
	if s.ended() || rec.Offset < s.next {
		return false
	}
	s.next = rec.Offset + 1
	first := len(s.waiting) == 0
	if rec.Offset < s.To && !rec.Attrs.IsControl() {
		s.waiting = append(s.waiting, rec)
		s.bytes += cost(rec)
	}
	switch {
	case first && len(s.waiting) > 0:
		heap.Push(&m.heads, s)
		m.empty--
	case first && s.ended():
		m.empty--
	}
	return true
}

// pop takes the next record of all.
func (m *merge) pop() *kgo.Record {
	s := m.heads[0]
	rec := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	s.bytes -= cost(rec)
	if s.paused && s.bytes < m.limit/2 && !s.ended() {
		s.paused = false
		m.cl.ResumeFetchPartitions(map[string][]int32{s.Topic: {s.Partition}})
	}
	if len(s.waiting) > 0 {
		heap.Fix(&m.heads, 0)
		return rec
	}
	heap.Pop(&m.heads)
	s.waiting = nil
	if !s.ended() {
		m.empty++
	}
	return rec
}

// cost is about what a record takes up while it waits.
func cost(rec *kgo.Record) int { return len(rec.Value) + len(rec.Key) + 200 }

func (m *merge) pause(s *stream) {
	if !s.paused {
		s.paused = true
		m.cl.PauseFetchPartitions(map[string][]int32{s.Topic: {s.Partition}})
	}
}

// stalled names a partition of which nothing came, and what the brokers said last.
func (m *merge) stalled(after time.Duration, last error) error {
	for at, s := range m.at {
		if !s.ended() && len(s.waiting) == 0 {
			return errors.Join(fmt.Errorf("%w: reading %s stalled for %s at offset %d, %d before the end of the range", processor.ErrUnreachable, at, after, s.next, s.To-s.next), last)
		}
	}
	return last // not reached
}

// heads has the stream whose next record comes next at the front.
type heads []*stream

// Len, Less, Swap, Push and Pop are container/heap's.
func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	if c := h[i].waiting[0].Timestamp.Compare(h[j].waiting[0].Timestamp); c != 0 {
		return c < 0
	}
	return h[i].rank < h[j].rank
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(*stream)) }
func (h *heads) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
