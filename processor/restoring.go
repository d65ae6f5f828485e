package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/state"
)

// restoring is a partition on its way to its barrier.
type restoring struct {
	*part
	barrier  int64     // offset of the barrier in the changelog
	written  time.Time // before the barrier was
	stamp    int64     // what the broker put on it, Unix milliseconds
	keep     time.Duration
	emptied  bool  // what had been restored became too old
	next     int64 // offset in the changelog to read next; part.pos is how far it was applied
	progress time.Time
	done     bool // all of it was read, or it failed
	again    bool // it is to be restored again, from a new barrier
	failed   error
}

// tooOld reports whether tombstones that the range has not read may be gone from the changelog: those written after the
// time as of which it is known to be current are kept for delete.retention.ms. Half of that leaves room for clocks that
// differ. An empty range is current as of its barrier, which is written before the first record is read.
//
// The time at the brokers is what the barrier says and what has passed since: by the clock that goes on while the machine
// is suspended or by the one that nobody sets, whichever says more. It is asked for every batch, after it was fetched and
// before it is applied: a process may be stopped for days in between, and the next attempt goes by what this one has written.
func (r *restoring) tooOld() bool {
	passed := max(time.Since(r.written), time.Now().Round(0).Sub(r.written.Round(0)))
	return r.stamp+passed.Milliseconds()-r.pos.AsOf() > r.keep.Milliseconds()/2
}

// empty makes the range a new one.
func (r *restoring) empty() error {
	if err := r.rng.Delete(r.at()); err != nil {
		return err
	}
	r.pos = state.Position{}
	return nil
}

// fresh says whether nothing has been applied to the range yet.
func (r *restoring) fresh() bool { return r.pos.ChangelogID == [16]byte{} }

// at is where the range stands in the store: a new one stands nowhere, not at the first offset of its changelog.
func (r *restoring) at() state.Position {
	if r.fresh() {
		return state.Position{}
	}
	return r.pos
}

// writeBarriers writes a barrier to the changelog partition of each, with a producer outside of any transaction.
func (l *lane) writeBarriers(ctx context.Context, topic string, todo map[int32]*restoring) error {
	return l.retry(ctx, "write barriers to "+topic, func() error {
		var records []*kgo.Record
		for n := range todo {
			records = append(records, &kgo.Record{Topic: topic, Partition: n, Key: []byte(state.BarrierKey), Value: []byte(l.name)})
		}
		written := time.Now()
		if err := l.w.control.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		for _, rec := range records {
			r := todo[rec.Partition]
			// The broker stamps changelogs.
			r.barrier, r.written, r.stamp, r.keep = rec.Offset, written, rec.Timestamp.UnixMilli(), l.w.tombstones
			if !r.fresh() && r.tooOld() {
				l.log.Info("state is too old, restoring from the changelog", "partition", r.tp.String(), "last", time.UnixMilli(r.pos.AsOf()))
				if err := r.empty(); err != nil {
					return err
				}
			}
			if r.fresh() {
				r.pos.Barrier.Timestamp = r.stamp
			}
		}
		return nil
	})
}

// batchRecords is how much of a changelog is read at once.
const batchRecords = 100_000

// replay applies changelog records up to the barriers. What was applied stays, whatever comes: the next attempt goes on
// from there. Partitions with much to read are read two at a time, so that each fits into memory as a whole if at all
// possible: then it is sorted once and written once (see loads).
func (l *lane) replay(ctx context.Context, adm admin, topic string, starts kadm.ListedOffsets, todo map[int32]*restoring) error {
	from := map[string]map[int32]kgo.Offset{topic: l.nextOffsets(topic, starts, todo)}
	cl, err := l.w.brokers.read(l, from, l.restoreLevel(), false)
	if err != nil {
		return err
	}
	defer cl.Close()
	told := l.tell(topic, todo)
	defer told.end()
	loads := newLoads(todo, cmp.Or(l.w.cfg.hooks.restoreBytes, restoreBytes))
	defer loads.end(ctx)
	turns := newTurns(cl, topic, todo)
	left := len(todo)
	finish := func(r *restoring, err error) {
		if !r.done {
			if r.done, left = true, left-1; err != nil {
				r.failed = err
			}
			turns.end(r)
		}
	}
	stable := func(r *restoring) bool { return l.w.cfg.hooks.restoreToLSO && r.next > r.barrier }
	for _, r := range todo {
		if stable(r) {
			finish(r, nil)
		}
	}
	for left > 0 {
		if !l.w.disk.Await(ctx, idleWait) && ctx.Err() == nil {
			for _, r := range todo {
				r.progress = time.Now() // it does not stall
			}
			continue
		}
		pollCtx, cancel := context.WithTimeout(ctx, loads.patience())
		fetches := cl.PollRecords(pollCtx, batchRecords)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Errors before records: after data loss the client may go on elsewhere.
		refused := l.refusals(topic, fetches.Errors(), todo, func(r *restoring, err error) {
			loads.drop(r)
			finish(r, l.lost(topic, r, err))
		})
		read := false
		fetches.EachPartition(func(fp kgo.FetchTopicPartition) {
			if r := todo[fp.Partition]; r != nil && !r.done && len(fp.Records) > 0 { // the error of a poll is of no partition
				read = true
				told.records += len(fp.Records)
				r.progress = time.Now()
				if reached, err := loads.add(r, fp.Records); err != nil || reached || stable(r) {
					finish(r, err)
				}
			}
		})
		if refused && !read {
			l.pause(ctx) // a broker that refuses is not asked in a tight loop
		}
		switch {
		case read:
		case len(loads.filling) > 0:
			loads.all()
		default:
			turns.more() // one that does not come holds up no other
		}
		for _, r := range loads.refused() {
			finish(r, r.failed)
		}
		if l.w.cfg.hooks.restoreToLSO && !read { // only markers are left
			for _, r := range todo {
				finish(r, nil)
			}
		}
		told.look()
		for _, r := range todo {
			if !r.done && !turns.waits(r) && time.Since(r.progress) > l.w.cfg.Timing.Stall {
				finish(r, l.stalled(ctx, adm, topic, r))
			}
		}
	}
	return nil
}

// refusals takes the errors of a poll: a partition that has lost what is to be read next is lost, what the brokers refuse
// is said. It reports whether they refused something.
func (l *lane) refusals(topic string, errs []kgo.FetchError, todo map[int32]*restoring, lost func(*restoring, error)) (refused bool) {
	for _, e := range errs {
		r := todo[e.Partition]
		switch {
		case r != nil && isLoss(e.Err):
			if !r.done { // else it was fetched ahead
				lost(r, e.Err)
			}
		case !errors.Is(e.Err, context.DeadlineExceeded):
			l.log.Warn("restore", "topic", topic, "partition", e.Partition, "error", e.Err)
			l.stuck(fmt.Errorf("restore from %s/%d: %w", topic, e.Partition, e.Err), "")
			refused = true
		}
	}
	return refused
}

// nextOffsets has every partition go on where it stands, or at the start of its changelog.
func (l *lane) nextOffsets(topic string, starts kadm.ListedOffsets, todo map[int32]*restoring) map[int32]kgo.Offset {
	from := map[int32]kgo.Offset{}
	for n, r := range todo {
		if r.pos.ChangelogNext == 0 {
			start, _ := starts.Lookup(topic, n)
			r.pos.ChangelogNext = start.Offset
			if start.Offset > 0 { // compaction does not move the beginning
				l.log.Warn("the changelog does not begin at offset 0: what was deleted from it is forgotten", "topic", topic, "partition", n, "begins", start.Offset)
			}
		}
		r.next, r.progress = r.pos.ChangelogNext, time.Now()
		from[n] = kgo.NewOffset().At(r.next)
	}
	return from
}

// restoreLevel is what a restore reads: what is committed, but in the mutant.
func (l *lane) restoreLevel() kgo.IsolationLevel {
	if l.w.cfg.hooks.restoreUncommitted {
		return kgo.ReadUncommitted()
	}
	return kgo.ReadCommitted()
}

// lost moves the state of a partition aside whose changelog does not have what is to be read next.
func (l *lane) lost(topic string, r *restoring, err error) error {
	err = fmt.Errorf("the changelog %s/%d no longer has offset %d; the state was moved aside and will be restored: %w", topic, r.tp.partition, r.next, err)
	return errors.Join(err, l.moveAside(r.tp.partition, asideLost))
}

func (l *lane) stalled(ctx context.Context, adm admin, topic string, r *restoring) error {
	return fmt.Errorf("restoring %s from %s stalled at offset %d, %d before the barrier, for %s: %s", r.tp, topic, r.next,
		r.barrier-r.next, l.w.cfg.Timing.Stall, openTransactions(ctx, adm, topic, r.tp.partition))
}

// isLoss reports whether an error of a fetch means that the log does not have the offset any more.
func isLoss(err error) bool {
	return errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, new(*kgo.ErrDataLoss))
}

// apply applies a run. Each moves the position with it, so that an interrupted restore goes on where it was. last is what
// was consumed last.
func (r *restoring) apply(run *state.Run, last state.Barrier) error {
	if r.tooOld() {
		return r.restart()
	}
	to := run.To()
	to.ChangelogID = r.logID
	// Produced records do not tell their leader epoch, consumed ones do.
	to.Barrier.Offset, to.Barrier.Epoch = last.Offset, last.Epoch
	if last.Timestamp != 0 {
		to.Barrier.Timestamp = last.Timestamp
	}
	if err := r.rng.Load(r.at(), to, run); err != nil {
		return fmt.Errorf("restore %s: %w", r.tp, err)
	}
	r.pos = to
	return nil
}

// restart has the range restored from the beginning, once: a restore that is too slow for its changelog never ends.
func (r *restoring) restart() error {
	if r.emptied {
		return fmt.Errorf("restoring %s takes longer than half of delete.retention.ms, %s, after which the changelog may lack deletions that were not read yet: "+
			"give its topic a longer one, or the worker a faster disk", r.tp, r.keep)
	}
	r.emptied, r.again = true, true
	return r.empty()
}

// stableEnds is the mutant that takes the last stable offset for the end of what there is to restore.
func stableEnds(ctx context.Context, adm admin, topic string, todo map[int32]*restoring) error {
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	for n, r := range todo {
		end, _ := ends.Lookup(topic, n)
		r.barrier, r.written, r.keep = end.Offset-1, time.Now(), 1<<62
	}
	return err
}
