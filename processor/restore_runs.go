package processor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/state"
)

// restoreBytes is how much of the changelogs is held in memory before some of it is applied. A partition has half of it
// at most: about 700,000 terms, however often each was updated. With what is being applied it is half as much again.
const restoreBytes = 144 << 20

// loads gathers what is read of each partition into runs and applies these, two at a time, while more is read. A process
// that is killed loses what it holds, one that is stopped what is not being applied; what ends a restore in any other way
// waits for it.
type loads struct {
	todo    map[int32]*restoring
	limit   int
	filling []*stretch
	running []*stretch    // of different partitions
	ended   chan *stretch // those that ran
	spare   []*stretch    // whose memory is used again
	failed  []*restoring  // not yet asked for
}

func newLoads(todo map[int32]*restoring, limit int) *loads {
	return &loads{todo: todo, limit: limit, ended: make(chan *stretch, abreast)}
}

// stretch is the run of a partition that is read or applied.
type stretch struct {
	of   *restoring
	run  state.Run
	last state.Barrier // its last record; without a timestamp, unless it is the barrier
	size int           // when it was begun to be applied
	err  error         // of that
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
	for len(l.running) > 0 && l.bytes()+l.held() > l.limit*3/2 {
		l.wait()
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
	for len(l.running) > 0 && len(l.running)+len(l.filling) > abreast && l.bytes()+l.held() > l.limit*3/4 {
		l.wait() // each keeps its memory: four that became large would be too much
	}
	var from state.Position
	if at := slices.IndexFunc(l.running, func(f *stretch) bool { return f.of == r }); at >= 0 {
		from = l.running[at].run.To() // r.pos is being moved there
	} else {
		from = r.pos
	}
	from.ChangelogNext = r.next
	f := &stretch{}
	if n := len(l.spare); n > 0 {
		f, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	f.of, f.err = r, nil
	f.run.Begin(from)
	l.filling = append(l.filling, f)
	return f
}

// bytes is what is held to be applied, held what is being applied.
func (l *loads) bytes() (total int) {
	for _, f := range l.filling {
		total += f.run.Bytes()
	}
	return total
}

func (l *loads) held() (total int) {
	for _, f := range l.running {
		total += f.size
	}
	return total
}

// start applies a run when the one before it of its partition has been applied, and one of two others.
func (l *loads) start(f *stretch) {
	for len(l.running) >= abreast || slices.ContainsFunc(l.running, func(g *stretch) bool { return g.of == f.of }) {
		l.wait()
	}
	l.filling = slices.DeleteFunc(l.filling, func(g *stretch) bool { return g == f })
	if f.of.failed != nil || f.of.again {
		return // the one before it was refused
	}
	f.size = f.run.Bytes()
	l.running = append(l.running, f)
	go func() {
		f.err = f.of.apply(&f.run, f.last)
		l.ended <- f
	}()
}

// wait waits until one of the runs has been applied.
func (l *loads) wait() {
	began := time.Now()
	f := <-l.ended
	l.running = slices.DeleteFunc(l.running, func(g *stretch) bool { return g == f })
	for _, r := range l.todo {
		r.progress = r.progress.Add(time.Since(began)) // nothing is read meanwhile
	}
	if f.err != nil {
		f.of.failed = f.err
	}
	if f.err != nil || f.of.again {
		l.failed = append(l.failed, f.of)
	} else if len(l.spare) < abreast { // of one that failed something may still be written
		l.spare = append(l.spare, f)
	}
}

// idle waits until no run is being applied.
func (l *loads) idle() {
	for len(l.running) > 0 {
		l.wait()
	}
}

// all applies all that was read.
func (l *loads) all() {
	for len(l.filling) > 0 {
		l.start(l.filling[0])
	}
	l.idle()
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
	l.idle()
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
