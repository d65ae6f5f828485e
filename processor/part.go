package processor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas/wire"
	"firstseen/state"
)

type topicPartition struct {
	topic     string
	partition int32
}

func (t topicPartition) String() string { return fmt.Sprintf("%s/%d", t.topic, t.partition) }

// part is an input partition of a lane. A new one is made at every assignment; an old one that is still referred to
// can do no harm, because the store refuses batches that were not computed from where it stands.
type part struct {
	tp        topicPartition
	inputID   [16]byte     // topic id of the input
	start     int64        // first offset there was at the takeover
	end       int64        // offset behind the last that this group can have read
	committed int64        // offset the group has committed, negative: none yet
	base      int64        // input offset at which this transaction began
	next      int64        // input offset behind the last record processed
	off       wire.Offset  // sweep clock and highest timestamp with this transaction's records
	touched   bool         // has records in this transaction
	high      int64        // high watermark of the last poll
	read      atomic.Int64 // next, as others may read it

	answers []reply // to requests that the takeover followed, until they are committed
	heard   int64   // offset of control up to which requests were looked at

	// of detect and group
	logID   [16]byte // topic id of the changelog
	rng     *state.Range
	pos     state.Position // where the store stands
	view    *stage.Overlay
	group   *stage.Group
	counted stage.GroupCounts // what the metrics have of group
	cursor  []byte            // of the sweep; empty: it has come to the end
	sweepAt int64             // sweep clock at which it begins anew
	logNext int64             // behind the last changelog record produced in this transaction

	// of ingest
	noted     int64   // offset in the last note
	firstSeen bool    // the first time is noted, or will be by this transaction
	newFirst  bool    // by this one
	gap       int64   // records that the topic's retention deleted before they were read
	lesson    *lesson // nil: everything is live
}

const (
	sweepKeys  = 750  // that a commit looks at for expiry
	sweepEvery = 1000 // milliseconds of the sweep clock from one begin of the state to the next: a few keys that every commit writes are not looked at by each
)

// produce sends the outputs of the transaction, and for every partition with state one changelog record per distinct
// key and at last the input offset that they are current to.
func (l *lane) produce() error {
	if err := l.heed(); err != nil {
		return fmt.Errorf("%w: %w", errSession, err)
	}
	if err := l.flush(); err != nil {
		return fmt.Errorf("%w: %w", errSession, err)
	}
	topic := l.w.cfg.ChangelogTopic(l.stage)
	for _, p := range l.touched {
		l.answer(p, p.answers...)
		if p.rng == nil {
			continue
		}
		if err := p.sweep(); err != nil {
			return err
		}
		for key, value := range p.view.Writes() {
			l.send(&kgo.Record{Topic: topic, Partition: p.tp.partition, Key: key, Value: value}, nil)
		}
		p.off.InputTopicID, p.off.InputNext = p.inputID, p.next
		value, err := wire.AppendOffset(nil, &p.off)
		if err != nil {
			return fmt.Errorf("%w: %w", errSession, err)
		}
		l.send(&kgo.Record{Topic: topic, Partition: p.tp.partition, Key: []byte(state.OffsetKey), Value: value},
			func(r *kgo.Record) { p.logNext = r.Offset + 1 })
	}
	return nil
}

// sweep deletes what has expired among the next keys of the state.
func (p *part) sweep() error {
	clock := p.off.SweepClock
	if len(p.cursor) == 0 {
		if clock < p.sweepAt {
			return nil
		}
		p.sweepAt = clock + sweepEvery
	}
	due, cursor, err := p.rng.Sweep(p.cursor, sweepKeys, clock)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", p.tp, err)
	}
	p.cursor = cursor
	if _, err := stage.Sweep(p.view, clock, due); err != nil {
		return fmt.Errorf("%w: %w", errSession, err)
	}
	return nil
}

// apply brings the store to what has been committed: the writes and the position in one batch for each partition.
func (l *lane) apply() error {
	for _, p := range l.touched {
		p.touched, p.newFirst, p.gap, p.answers = false, false, 0, nil
		p.committed, p.base = p.next, p.next
		l.back(p)
		if p.rng == nil {
			continue
		}
		to := p.pos
		to.ChangelogID, to.ChangelogNext, to.Offset = p.logID, p.logNext, p.off
		err := p.rng.Apply(p.pos, to, p.view.Writes())
		p.view.Reset()
		switch {
		case errors.Is(err, state.ErrMoved):
			// Another lane took the partition over meanwhile and restored this transaction from the changelog.
			l.log.Info("the state has moved on", "partition", p.tp.String())
			l.forget(p)
		case err != nil:
			// Committed in Kafka, not applied here: a restart reads it from the changelog.
			return fmt.Errorf("apply a committed transaction to the state of %s: %w", p.tp, err)
		default:
			p.pos = to
		}
	}
	l.touched = l.touched[:0]
	return nil
}

// applyFirst is the mutant of the exactly-once test: state written before the commit, as write-through stores do.
func (l *lane) applyFirst() error {
	for _, p := range l.touched {
		if p.rng == nil {
			continue
		}
		if err := p.rng.Apply(p.pos, p.pos, p.view.Writes()); err != nil {
			return err
		}
	}
	return nil
}

// goOn is the mutant that takes an error from End for an abort, as the client's documentation suggests.
func (l *lane) goOn(ctx context.Context) error {
	if _, err := l.sess.End(ctx, kgo.TryAbort, l.fence); err != nil {
		return fmt.Errorf("%w: %w", errSession, err)
	}
	return l.drop()
}

// advance moves the sweep clock of a partition by a record.
func (l *lane) advance(off *wire.Offset, timestamp int64) {
	before := off.SweepClock
	off.SweepClock, off.InputTimestamp = stage.Advance(before, off.InputTimestamp, timestamp)
	if fast := l.w.cfg.hooks.sweep; fast > 1 && l.stage == StageDetect {
		off.SweepClock += (fast - 1) * min(off.SweepClock-before, 1000) // but a pause counts as a second at most
	}
}

// touch makes a partition part of this transaction.
func (l *lane) touch(p *part) {
	if !p.touched {
		p.touched = true
		l.touched = append(l.touched, p)
	}
}

// forget lets go of a partition. If it is still assigned, its next record ends the session and it is taken over again.
func (l *lane) forget(p *part) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parts[p.tp] == p {
		delete(l.parts, p.tp)
	}
}

// rewind drops an aborted transaction. The client reads on from the offsets it believes to be committed, so they are
// checked against the brokers': a transaction that was committed although the client reports an abort would otherwise
// be processed twice.
func (l *lane) rewind(ctx context.Context) error {
	if err := l.drop(); err != nil {
		return err
	}
	committed, err := stableOffsetsOf(ctx, l.sess, l.w.cfg.group(l.stage), func(o kadm.OffsetResponse) bool {
		return l.part(topicPartition{o.Topic, o.Partition}) != nil
	})
	if err != nil {
		return fmt.Errorf("%w: check the committed offsets: %w", errSession, err)
	}
	for _, p := range l.owned() {
		at, ok := committed.Lookup(p.tp.topic, p.tp.partition)
		if !ok {
			at.At = -1
		}
		if at.At != p.committed && (at.At >= 0 || p.committed >= 0) {
			return fmt.Errorf("%w: %s: the group is at offset %d, this lane at %d", errSession, p.tp, at.At, p.committed)
		}
	}
	return nil
}

// drop forgets what this transaction has made of its partitions.
func (l *lane) drop() error {
	l.step.drop()
	for _, p := range l.touched {
		p.touched, p.next, p.off = false, p.base, p.pos.Offset
		if p.lesson != nil {
			p.lesson.cut = false // the client goes back by itself
		}
		if p.newFirst {
			p.newFirst, p.firstSeen = false, false
		}
		if p.rng == nil {
			continue
		}
		p.view.Reset()
		if err := l.step.ready(p); err != nil {
			return fmt.Errorf("%w: %s: %w", errSession, p.tp, err)
		}
	}
	l.touched = l.touched[:0]
	return nil
}

// stableOffsets returns a group's committed offsets when no transaction on them is pending. A group that does not exist
// has none.
func stableOffsets(ctx context.Context, adm admin, group string) (kadm.Offsets, error) {
	return stableOffsetsOf(ctx, adm, group, func(kadm.OffsetResponse) bool { return true })
}

// stableOffsetsOf is stableOffsets that does not wait for partitions which of leaves out: another worker's transaction
// may be pending on them for long. Their offsets are left out.
func stableOffsetsOf(ctx context.Context, adm admin, group string, of func(kadm.OffsetResponse) bool) (kadm.Offsets, error) {
	for {
		resp, err := adm.FetchOffsets(kadm.RequireStable(ctx), group)
		if err == nil {
			resp.Each(func(o kadm.OffsetResponse) {
				if o.Err != nil && of(o) {
					err = o.Err
				}
			})
		}
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			return nil, nil // a group that has never been
		case !kerr.IsRetriable(err): // a new cluster has no coordinator for some seconds
			return resp.Offsets(), err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// purge deletes the internal records that this lane has consumed and that are older than the configured age: the
// topics keep them for ever otherwise. It looks only at offsets that are committed, and does nothing on any error:
// the next time will do.
func (l *lane) purge(ctx context.Context, adm admin) {
	age := l.w.cfg.PurgeAfter
	owned := l.owned()
	if l.stage == StageIngest || age < 0 || len(owned) == 0 || time.Since(l.lastPurge) < time.Minute {
		return
	}
	l.lastPurge = time.Now()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	topic := owned[0].tp.topic
	young, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-age).UnixMilli(), topic)
	if err != nil {
		l.log.Warn("purge: list offsets", "topic", topic, "error", err)
		return
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		l.log.Warn("purge: list offsets", "topic", topic, "error", err)
		return
	}
	upTo := kadm.Offsets{}
	purged := int64(0)
	for _, p := range owned {
		y, ok := young.Lookup(topic, p.tp.partition)
		s, okStart := starts.Lookup(topic, p.tp.partition)
		if end := min(y.Offset, p.committed, p.base); ok && okStart && y.Err == nil && s.Err == nil && end > s.Offset {
			upTo.Add(kadm.Offset{Topic: topic, Partition: p.tp.partition, At: end})
			purged += end - s.Offset
		}
	}
	if len(upTo) == 0 {
		return
	}
	if _, err := adm.DeleteRecords(ctx, upTo); err != nil {
		l.log.Warn("purge: delete records", "topic", topic, "error", err)
		return
	}
	l.w.metrics.purged.WithLabelValues(topic).Add(float64(purged))
}

func (l *lane) part(tp topicPartition) *part {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parts[tp]
}

// owned returns the lane's partitions.
func (l *lane) owned() []*part {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*part, 0, len(l.parts))
	for _, p := range l.parts {
		all = append(all, p)
	}
	return all
}

// assigned is called when a join has ended, before takeOver, and also when there is nothing new.
func (l *lane) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	if len(added) == 0 {
		l.w.health.joined(l.name)
	}
}

func (l *lane) release(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	l.revoked.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, partitions := range lost {
		for _, p := range partitions {
			tp := topicPartition{topic, p}
			delete(l.parts, tp)
			delete(l.waiting, tp)
			l.forgetLag(tp)
			l.w.health.mend(l.name, tp)
		}
	}
}
