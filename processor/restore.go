package processor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/state"
)

// restoring is a partition on its way to its barrier.
type restoring struct {
	*part
	barrier  int64 // offset of the barrier in the changelog
	progress time.Time
	done     bool
	failed   error
}

// restore brings the ranges of the opened partitions up to the end of their changelogs. Neither the log's last stable
// offset nor its high watermark says where that is (an open transaction holds the first down; markers and compaction
// leave the second out of reach), but a barrier does: a record written now and read back by a read_committed reader,
// which delivers it only when everything before it is decided. Partitions that fail move from opened to failed.
func (l *lane) restore(ctx context.Context, adm *kadm.Client, log kadm.TopicDetail, starts kadm.ListedOffsets, opened map[topicPartition]*part, failed map[topicPartition]error) error {
	fail := func(tp topicPartition, err error) {
		delete(opened, tp)
		failed[tp] = err
	}
	if l.w.topicIDs[log.Topic] != log.ID.String() {
		for tp := range opened {
			fail(tp, fmt.Errorf("the changelog %s was deleted and created again (its id is %s, the deployment knows %s), so the state cannot be trusted: "+
				"stop the workers and start a deployment with another app name", log.Topic, log.ID, l.w.topicIDs[log.Topic]))
		}
		return nil
	}
	todo := map[int32]*restoring{}
	for tp, p := range opened {
		if err := l.openRange(ctx, adm, p, log); err != nil {
			fail(tp, err)
			continue
		}
		todo[tp.partition] = &restoring{part: p, progress: time.Now()}
	}
	if len(todo) == 0 {
		return nil
	}
	if err := l.writeBarriers(ctx, log.Topic, todo); err != nil {
		return err
	}
	if err := l.replay(ctx, adm, log.Topic, starts, todo); err != nil {
		return err
	}
	for _, r := range todo {
		err := r.failed
		if err == nil {
			err = l.ready(r.part)
		}
		if err != nil {
			fail(r.tp, err)
		}
	}
	return nil
}

// openRange opens the partition's range of the store. A range of another changelog, or one that knows records which
// the changelog has lost, is moved aside and built anew.
func (l *lane) openRange(ctx context.Context, adm *kadm.Client, p *part, log kadm.TopicDetail) error {
	var err error
	if p.rng, err = l.w.store.Range(l.stage.state(), p.tp.partition); errors.Is(err, state.ErrFormat) {
		l.log.Warn("state in a format of another version", "partition", p.tp.String(), "error", err)
		if err := l.moveAside(p.tp.partition); err != nil {
			return err
		}
		p.rng, err = l.w.store.Range(l.stage.state(), p.tp.partition)
	}
	if err != nil {
		return fmt.Errorf("open the state of %s: %w", p.tp, err)
	}
	pos, ok := p.rng.Position()
	aside := ""
	switch {
	case !ok:
	case pos.ChangelogID != [16]byte(log.ID):
		aside = "it belongs to another changelog topic"
	case pos.Barrier != (state.Barrier{}):
		var req kadm.OffsetForLeaderEpochRequest
		req.Add(log.Topic, p.tp.partition, pos.Barrier.Epoch)
		resp, err := adm.OffsetForLeaderEpoch(ctx, req)
		if err != nil {
			return fmt.Errorf("ask where epoch %d of %s/%d ends: %w", pos.Barrier.Epoch, log.Topic, p.tp.partition, err)
		}
		if e := resp[log.Topic][p.tp.partition]; e.Err != nil {
			return fmt.Errorf("ask where epoch %d of %s/%d ends: %w", pos.Barrier.Epoch, log.Topic, p.tp.partition, e.Err)
		} else if e.LeaderEpoch < pos.Barrier.Epoch || e.EndOffset <= pos.Barrier.Offset {
			aside = fmt.Sprintf("the changelog lost records: it ended at %d, the state had read %d", e.EndOffset, pos.Barrier.Offset)
		}
	}
	if aside != "" {
		l.log.Warn("state does not belong to the changelog, restoring from the changelog", "partition", p.tp.String(), "because", aside)
		if err := l.moveAside(p.tp.partition); err != nil {
			return err
		}
		pos = state.Position{}
	}
	p.pos, p.logID = pos, log.ID
	return nil
}

// moveAside empties a partition's range and keeps what was in it for inspection.
func (l *lane) moveAside(partition int32) error {
	dir, err := l.w.store.MoveAside(l.stage.state(), partition, time.Now())
	if err != nil {
		return fmt.Errorf("move the state of partition %d aside: %w", partition, err)
	}
	l.log.Warn("state moved aside", "stage", l.stage, "partition", partition, "to", dir)
	return nil
}

// writeBarriers writes a barrier to the changelog partition of each, with a producer outside of any transaction.
func (l *lane) writeBarriers(ctx context.Context, topic string, todo map[int32]*restoring) error {
	return l.retry(ctx, "write barriers to "+topic, func() error {
		var records []*kgo.Record
		for n := range todo {
			records = append(records, &kgo.Record{Topic: topic, Partition: n, Key: []byte(state.BarrierKey), Value: []byte(l.name)})
		}
		if err := l.w.control.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		for _, rec := range records {
			r := todo[rec.Partition]
			r.barrier = rec.Offset
			// The broker stamps changelogs. A range that slept for long may have missed tombstones that are gone.
			last := r.pos.AsOf()
			if r.pos.ChangelogNext > 0 && rec.Timestamp.UnixMilli()-last > l.w.tombstones.Milliseconds()/2 {
				l.log.Info("state is too old, restoring from the changelog", "partition", r.tp.String(), "last", time.UnixMilli(last))
				if err := r.rng.Delete(r.pos); err != nil {
					return err
				}
				r.pos = state.Position{}
			}
		}
		return nil
	})
}

// replay applies changelog records up to the barriers.
func (l *lane) replay(ctx context.Context, adm *kadm.Client, topic string, starts kadm.ListedOffsets, todo map[int32]*restoring) error {
	from := map[int32]kgo.Offset{}
	for n, r := range todo {
		if r.pos.ChangelogNext == 0 {
			start, _ := starts.Lookup(topic, n)
			r.pos.ChangelogNext = start.Offset
		}
		from[n] = kgo.NewOffset().At(r.pos.ChangelogNext)
	}
	cl, err := kgo.NewClient(l.w.cfg.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20),
		kgo.WithLogger(clientLog{l.log}),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	left := len(todo)
	finish := func(r *restoring, err error) {
		if !r.done {
			r.done, r.failed = true, err
			left--
			l.w.metrics.restoring.WithLabelValues(string(l.stage), strconv.Itoa(int(r.tp.partition))).Set(0)
			cl.PauseFetchPartitions(map[string][]int32{topic: {r.tp.partition}})
		}
	}
	for left > 0 {
		pollCtx, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollRecords(pollCtx, 10_000)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err() // what was applied stays: the next attempt goes on from there
		}
		// Errors before records: after data loss the client may go on elsewhere.
		for _, e := range fetches.Errors() {
			r := todo[e.Partition]
			switch {
			case errors.Is(e.Err, context.DeadlineExceeded):
			case r != nil && (errors.Is(e.Err, kerr.OffsetOutOfRange) || errors.As(e.Err, new(*kgo.ErrDataLoss))):
				finish(r, errors.Join(fmt.Errorf("the changelog %s/%d no longer has offset %d; the state was moved aside and will be restored: %w", topic, e.Partition, r.pos.ChangelogNext, e.Err),
					l.moveAside(e.Partition)))
			default:
				l.log.Warn("restore", "topic", topic, "partition", e.Partition, "error", e.Err)
			}
		}
		fetches.EachPartition(func(fp kgo.FetchTopicPartition) {
			r := todo[fp.Partition]
			if r.done || len(fp.Records) == 0 {
				return
			}
			reached, err := r.apply(fp.Records)
			r.progress = time.Now()
			l.w.metrics.restoring.WithLabelValues(string(l.stage), strconv.Itoa(int(fp.Partition))).Set(float64(r.barrier + 1 - r.pos.ChangelogNext))
			if err != nil || reached {
				finish(r, err)
			}
		})
		for _, r := range todo {
			if !r.done && time.Since(r.progress) > l.w.cfg.Timing.Stall {
				finish(r, fmt.Errorf("restoring %s from %s stalled at offset %d, %d before the barrier, for %s: %s", r.tp, topic, r.pos.ChangelogNext,
					r.barrier-r.pos.ChangelogNext, l.w.cfg.Timing.Stall, openTransactions(ctx, adm, topic, r.tp.partition)))
			}
		}
	}
	return nil
}

// apply applies records, up to the barrier if it is among them. Each batch moves the position with it, so that an
// interrupted restore goes on where it was.
func (r *restoring) apply(records []*kgo.Record) (reached bool, err error) {
	from, run := r.pos, make([]state.Record, 0, len(records))
	var barrier state.Barrier
	for _, rec := range records {
		run = append(run, state.Record{Offset: rec.Offset, Key: rec.Key, Value: rec.Value})
		if string(rec.Key) == state.BarrierKey && rec.Offset >= r.barrier {
			// Produced records do not tell their leader epoch, consumed ones do.
			barrier, reached = state.Barrier{Offset: rec.Offset, Epoch: rec.LeaderEpoch, Timestamp: rec.Timestamp.UnixMilli()}, true
			break
		}
	}
	to, writes, err := state.Fold(from, run)
	if err != nil {
		return false, fmt.Errorf("changelog of %s: %w", r.tp, err)
	}
	to.ChangelogID = r.logID
	if reached {
		to.Barrier = barrier
	}
	if from.ChangelogID == [16]byte{} {
		from = state.Position{} // a new range stands nowhere, not at the first offset of its changelog
	}
	if err := r.rng.Apply(from, to, writes); err != nil {
		return false, fmt.Errorf("restore %s: %w", r.tp, err)
	}
	r.pos = to
	return reached, nil
}

// openTransactions names the producers whose open transactions hold back a partition.
func openTransactions(ctx context.Context, adm *kadm.Client, topic string, partition int32) string {
	var set kadm.TopicsSet
	set.Add(topic, partition)
	described, err := adm.DescribeProducers(ctx, set)
	if err != nil {
		return "which producer holds it back could not be found out: " + err.Error()
	}
	var open []string
	for _, p := range described.SortedProducers() {
		if p.CurrentTxnStartOffset >= 0 {
			open = append(open, fmt.Sprintf("producer %d epoch %d since offset %d", p.ProducerID, p.ProducerEpoch, p.CurrentTxnStartOffset))
		}
	}
	if len(open) == 0 {
		return "no transaction is open on it; are its replicas in sync?"
	}
	return "open transactions: " + strings.Join(open, ", ") + "; end a hanging one with: kafka-transactions.sh abort"
}

// ready compares a restored partition with its input, and makes it ready for records.
func (l *lane) ready(p *part) error {
	resumed, asked := l.resume(p, p.pos.InputNext, map[string]int64{UseStore: p.pos.InputNext, UseCommitted: p.committed, UseEarliest: p.start})
	reset := fmt.Sprintf("firstseen state reset --stage %s --partition %d --use", l.stage, p.tp.partition)
	switch {
	case p.pos.InputNext > 0 && p.pos.InputTopicID != p.inputID:
		return fmt.Errorf("the state of %s was made from another topic of this name: nothing is read from it; start a deployment with another app name", p.tp)
	case asked:
		p.next = resumed
	case p.committed < 0 && p.pos.InputNext == 0:
		p.next = p.start
	case p.committed < 0:
		p.next = p.pos.InputNext // the group's offsets expired; the changelog knows
	case p.pos.InputNext != p.committed:
		return fmt.Errorf("group %s is at offset %d of %s, but the state is current to offset %d: were offsets reset or the changelog lost? "+
			"To go on where the state is, run: %s store", l.w.cfg.group(l.stage), p.committed, p.tp, p.pos.InputNext, reset)
	default:
		p.next = p.committed
	}
	if p.next < p.start {
		return fmt.Errorf("%s begins at offset %d, but the next to read is %d: records were deleted before they were processed; to go on after the gap, run: %s earliest",
			p.tp, p.start, p.next, reset)
	}
	if p.next > p.end {
		return fmt.Errorf("the next offset of %s to read is %d, but it ends at %d: it lost records; to go on at its beginning, run: %s earliest", p.tp, p.next, p.end, reset)
	}
	p.off = p.pos.Offset
	p.view = stage.NewOverlay(p.rng)
	return l.step.ready(p)
}
