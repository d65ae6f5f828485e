package processor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/state"
)

// restoreBytes is how much of the changelogs is held in memory to be applied. A partition has half of it at most: about
// 700,000 terms, however often each was updated. Beside it there is half as much, which is being applied.
const restoreBytes = 144 << 20

// loads gathers what is read of each partition into runs and applies these, one at a time, while more is read. A process
// that is killed loses what it holds, one that is stopped what is not being applied; what ends a restore in any other way
// waits for it.
type loads struct {
	todo    map[int32]*restoring
	limit   int
	filling []*stretch
	running *stretch
	ended   chan error   // of the one that runs
	spare   []*stretch   // whose memory is used again
	failed  []*restoring // not yet asked for
}

// stretch is the run of a partition that is read or applied.
type stretch struct {
	of   *restoring
	run  state.Run
	last state.Barrier // its last record; without a timestamp, unless it is the barrier
}

// patience is how long to wait for records: less while there is something to do without them.
func (l *loads) patience() time.Duration {
	if len(l.filling) > 0 {
		return 250 * time.Millisecond
	}
	return time.Second
}

// add takes in records, up to the barrier if it is among them.
func (l *loads) add(r *restoring, records []*kgo.Record) (reached bool, err error) {
	f := l.of(r)
	for _, rec := range records {
		if err := f.run.Add(state.Record{Offset: rec.Offset, Key: rec.Key, Value: rec.Value}); err != nil {
			l.drop(r)
			return false, fmt.Errorf("changelog of %s: %w", r.tp, err)
		}
		f.last, r.next = state.Barrier{Offset: rec.Offset, Epoch: rec.LeaderEpoch}, rec.Offset+1
		if reached = string(rec.Key) == state.BarrierKey && rec.Offset >= r.barrier; reached {
			f.last.Timestamp = rec.Timestamp.UnixMilli()
			l.start(f)
			break
		}
		rec.Recycle() // the run has a copy
	}
	if !reached && f.run.Bytes() > l.limit/abreast {
		l.start(f)
	}
	for l.bytes() > l.limit {
		l.start(slices.MaxFunc(l.filling, func(a, b *stretch) int { return a.run.Bytes() - b.run.Bytes() }))
	}
	return reached, nil
}

// of returns the run of a partition that is being filled.
func (l *loads) of(r *restoring) *stretch {
	if at := slices.IndexFunc(l.filling, func(f *stretch) bool { return f.of == r }); at >= 0 {
		return l.filling[at]
	}
	var from state.Position
	if l.running != nil && l.running.of == r {
		from = l.running.run.To() // r.pos is being moved there
	} else {
		from = r.pos
	}
	from.ChangelogNext = r.next
	f := &stretch{}
	if n := len(l.spare); n > 0 {
		f, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	f.of = r
	f.run.Begin(from)
	l.filling = append(l.filling, f)
	return f
}

func (l *loads) bytes() (total int) {
	for _, f := range l.filling {
		total += f.run.Bytes()
	}
	return total
}

// start applies a run when the one before it has been applied.
func (l *loads) start(f *stretch) {
	l.wait()
	l.filling = slices.DeleteFunc(l.filling, func(g *stretch) bool { return g == f })
	if f.of.failed != nil || f.of.again {
		return // the one before it was refused
	}
	l.running, l.ended = f, make(chan error, 1)
	go func() { l.ended <- f.of.apply(&f.run, f.last) }()
}

// wait waits until no run is being applied.
func (l *loads) wait() {
	if l.running == nil {
		return
	}
	began := time.Now()
	f, err := l.running, <-l.ended
	for _, r := range l.todo {
		r.progress = r.progress.Add(time.Since(began)) // nothing is read meanwhile
	}
	if err != nil {
		f.of.failed = err
	}
	if err != nil || f.of.again {
		l.failed = append(l.failed, f.of)
	}
	if l.running = nil; err == nil && len(l.spare) < abreast {
		l.spare = append(l.spare, f) // of one that failed something may still be written
	}
}

// all applies all that was read.
func (l *loads) all() {
	for len(l.filling) > 0 {
		l.start(l.filling[0])
	}
	l.wait()
}

// end is all, but a stop waits only for what is being applied.
func (l *loads) end(ctx context.Context) {
	if ctx.Err() != nil {
		l.filling = nil
	}
	l.all()
}

// drop forgets what was read of a partition and is not being applied yet, and waits for the rest.
func (l *loads) drop(r *restoring) {
	l.wait()
	l.filling = slices.DeleteFunc(l.filling, func(f *stretch) bool { return f.of == r })
}

// refused returns the partitions whose runs could not be applied, once.
func (l *loads) refused() (failed []*restoring) {
	failed, l.failed = l.failed, nil
	for _, r := range failed {
		l.drop(r)
	}
	return failed
}
