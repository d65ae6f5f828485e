package processor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// PollRecords rebalances if there is something to, and returns what there is to read, or waits.
func (s *modelSession) PollRecords(ctx context.Context, limit int) kgo.Fetches {
	ask := ctx
	if ask == nil {
		ask = context.Background()
	}
	var fetches kgo.Fetches
	n := 0
	err := s.th.request(ask, "poll", nil, func() error {
		fetches, n = s.fetch(limit)
		return errNothing // what it got was said
	})
	if n > 0 {
		s.blocked.Store(true)
	} else if err == nil && !s.blocked.Load() {
		if s.replaced() { // a heartbeat says so
			s.loop.event("%s: poll: FENCED_INSTANCE_ID", s.th.name)
			return kgo.NewErrFetch(kerr.FencedInstanceID)
		}
		s.rebalance()
	}
	switch {
	case err != nil:
		return kgo.NewErrFetch(err)
	case n > 0 || ctx == nil:
		return fetches
	}
	s.th.sleep(ctx)
	return kgo.NewErrFetch(ctx.Err())
}

// fetch returns records of the assigned partitions, if nothing has changed in the group.
func (s *modelSession) fetch(limit int) (fetches kgo.Fetches, n int) {
	if !s.blocked.Load() && !s.settled() {
		return nil, 0
	}
	ft := kgo.FetchTopic{Topic: s.topic()}
	for _, p := range slices.Sorted(maps.Keys(s.pos)) {
		if s.paused[p] || n == limit {
			continue
		}
		l := s.loop.c.log(s.topic(), p)
		records, next, err := l.read(s.pos[p], kgo.ReadCommitted(), limit-n)
		n += len(records)
		if len(records) > 0 { // else the position moves with the next record
			s.pos[p] = next
		}
		if err != nil || len(records) > 0 {
			ft.Partitions = append(ft.Partitions, kgo.FetchPartition{Partition: p, Records: records, HighWatermark: l.end(), Err: err})
			s.loop.event("%s: got %s", s.th.name, offsetsOf(p, records))
		}
	}
	return kgo.Fetches{{Topics: []kgo.FetchTopic{ft}}}, n
}

func offsetsOf(p int32, records []*kgo.Record) string {
	var at []string
	for _, r := range records {
		at = append(at, fmt.Sprint(r.Offset))
	}
	return fmt.Sprintf("%d@%s", p, strings.Join(at, ","))
}

// settled says whether the member has what it is to have.
func (s *modelSession) settled() bool {
	g := &s.loop.c.group
	return g.check(s.member) == nil && slices.Equal(s.wanted(), s.assigned)
}

// replaced says whether another session has its place in the group.
func (s *modelSession) replaced() bool {
	g := &s.loop.c.group
	return !g.knows(s.member) && g.members[s.member.instance] != nil
}

// wanted are the partitions that the member is to have and that nobody else has any more.
func (s *modelSession) wanted() []int32 {
	g := &s.loop.c.group
	want := slices.DeleteFunc(g.share(s.member), func(p int32) bool { return g.owner[p] != nil && g.owner[p] != s.member })
	slices.Sort(want)
	return want
}

// rebalance brings the member up to date. Callbacks run here, as a lane blocks rebalances while it works on what it has
// polled; the first thing they see of a new partition is takeOver, in a goroutine of its own.
func (s *modelSession) rebalance() {
	if s.settled() {
		return
	}
	g := &s.loop.c.group
	if s.replaced() {
		return // what it sends is refused
	}
	if !g.knows(s.member) {
		s.loop.event("%s: lost %v", s.th.name, s.assigned)
		s.lose(s.assigned)
		s.member = g.join(s.member.instance)
	}
	s.member.generation = g.generation
	want := s.wanted()
	var gone, added []int32
	for _, p := range s.assigned {
		if !slices.Contains(want, p) {
			gone = append(gone, p)
		}
	}
	if len(gone) > 0 {
		s.loop.event("%s: revoked %v", s.th.name, gone)
		s.lose(gone)
	}
	for p, o := range g.owner { // also what its predecessor had
		if o == s.member && !slices.Contains(want, int32(p)) {
			g.owner[p] = nil
		}
	}
	for _, p := range want {
		g.owner[p] = s.member
		if !slices.Contains(s.assigned, p) {
			added = append(added, p)
		}
	}
	s.assigned = want
	if len(added) > 0 {
		s.loop.event("%s: assigned %v", s.th.name, added)
	}
	s.lane.assigned(context.Background(), nil, map[string][]int32{s.topic(): added})
	if len(s.unknown()) > 0 {
		s.takeOver()
	}
}

// unknown are the assigned partitions whose offsets have not been found out.
func (s *modelSession) unknown() (partitions []int32) {
	for _, p := range s.assigned {
		if _, ok := s.pos[p]; !ok {
			partitions = append(partitions, p)
		}
	}
	return partitions
}

// lose takes partitions away.
func (s *modelSession) lose(partitions []int32) {
	s.endTakeover()
	if !s.revoked {
		s.revoked = true
		s.lane.release(context.Background(), nil, map[string][]int32{s.topic(): partitions})
	}
	for _, p := range partitions {
		delete(s.pos, p)
		delete(s.committed, p)
	}
	s.assigned = slices.DeleteFunc(slices.Clone(s.assigned), func(p int32) bool { return slices.Contains(partitions, p) })
}

// endTakeover cancels a takeover and waits until it has ended.
func (s *modelSession) endTakeover() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	if th := s.w.over; th != nil {
		<-th.done
	}
	s.cancel = nil
}

// takeOver fetches the stable offsets of new partitions and has the lane say where to read on, in a goroutine.
func (s *modelSession) takeOver() {
	s.endTakeover()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	partitions := s.unknown()
	th := &thread{w: s.w, name: s.w.name + ".takeover", done: make(chan struct{})}
	s.w.over = th
	go func() {
		defer close(th.done)
		<-s.made
		from := map[int32]kgo.Offset{}
		stable := func() bool { return !slices.ContainsFunc(partitions, s.loop.c.pending) }
		if th.request(ctx, "OffsetFetch", stable, func() error {
			for _, p := range partitions {
				at, ok := s.loop.c.group.committed[p]
				if !ok {
					at = -1
				}
				from[p] = kgo.NewOffset().At(at)
			}
			return nil
		}) != nil {
			return
		}
		offsets, err := s.lane.takeOver(ctx, map[string]map[int32]kgo.Offset{s.topic(): from})
		if err != nil || ctx.Err() != nil {
			return
		}
		_ = th.request(ctx, "fetch", nil, func() error { // nobody needs to hear that it was cancelled
			at := map[int32]int64{}
			for p, o := range offsets[s.topic()] {
				s.pos[p], s.committed[p] = o.EpochOffset().Offset, o.EpochOffset().Offset
				if !s.paused[p] {
					at[p] = s.pos[p]
				}
			}
			s.loop.event("%s: reads on at %s", th.name, show(at))
			return errNothing
		})
	}()
}

func show(offsets map[int32]int64) string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(offsets)) {
		out = append(out, fmt.Sprintf("%d@%d", p, offsets[p]))
	}
	return strings.Join(out, " ")
}

// modelReader reads a changelog.
type modelReader struct {
	th     *thread
	topic  string
	level  kgo.IsolationLevel
	pos    map[int32]int64
	paused []int32
}

func (r *modelReader) PollRecords(ctx context.Context, limit int) kgo.Fetches {
	loop := r.th.w.loop
	ft := kgo.FetchTopic{Topic: r.topic}
	err := r.th.request(ctx, "read the changelog", nil, func() error {
		for _, p := range slices.Sorted(maps.Keys(r.pos)) {
			if slices.Contains(r.paused, p) {
				continue
			}
			records, next, err := loop.c.log(r.topic, p).read(r.pos[p], r.level, min(limit, 4))
			r.pos[p] = next
			if err != nil || len(records) > 0 {
				ft.Partitions = append(ft.Partitions, kgo.FetchPartition{Partition: p, Records: records, Err: err})
			}
		}
		if len(ft.Partitions) == 0 {
			return errNothing
		}
		return nil
	})
	if err != nil {
		return kgo.NewErrFetch(err)
	}
	if len(ft.Partitions) == 0 {
		r.th.sleep(ctx)
		return kgo.NewErrFetch(ctx.Err())
	}
	return kgo.Fetches{{Topics: []kgo.FetchTopic{ft}}}
}

func (r *modelReader) PauseFetchPartitions(p map[string][]int32) map[string][]int32 {
	r.paused = append(r.paused, p[r.topic]...)
	return nil
}

func (r *modelReader) ResumeFetchPartitions(p map[string][]int32) {
	r.paused = slices.DeleteFunc(r.paused, func(n int32) bool { return slices.Contains(p[r.topic], n) })
}

func (r *modelReader) Close() {}
