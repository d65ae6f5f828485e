package processor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firstseen/processor/stage"
	"firstseen/state"
)

// restore brings the ranges of the opened partitions up to the end of their changelogs. Neither the log's last stable
// offset nor its high watermark says where that is (an open transaction holds the first down; markers and compaction
// leave the second out of reach), but a barrier does: a record written now and read back by a read_committed reader,
// which delivers it only when everything before it is decided. Partitions that fail move from opened to failed.
func (l *lane) restore(ctx context.Context, adm admin, log kadm.TopicDetail, starts kadm.ListedOffsets, opened map[topicPartition]*part, failed map[topicPartition]error) error {
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
		todo[tp.partition] = &restoring{part: p}
	}
	for len(todo) > 0 {
		if l.w.cfg.hooks.restoreToLSO {
			if err := stableEnds(ctx, adm, log.Topic, todo); err != nil {
				return err
			}
		} else if err := l.writeBarriers(ctx, log.Topic, todo); err != nil {
			return err
		}
		if err := l.replay(ctx, adm, log.Topic, starts, todo); err != nil {
			return err
		}
		for n, r := range todo {
			if r.again {
				r.done, r.again, r.failed = false, false, nil
				continue
			}
			delete(todo, n)
			err := r.failed
			if err == nil {
				err = l.ready(r.part)
			}
			if errors.Is(err, errMoved) {
				err = l.expelled(ctx, adm, r.part, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fail(r.tp, err)
			}
		}
	}
	return nil
}

// errMoved is that of a partition whose group offset and state disagree.
var errMoved = errors.New("were offsets reset or the changelog lost?")

// expelled looks whether the group has gone on since this takeover asked for the offset. Then the partition has another
// owner, and nothing is wrong with it: the group will say so, which ends ctx. Else it returns err.
func (l *lane) expelled(ctx context.Context, adm admin, p *part, err error) error {
	now, askErr := stableOffsetsOf(ctx, adm, l.w.cfg.group(l.stage), func(o kadm.OffsetResponse) bool {
		return o.Topic == p.tp.topic && o.Partition == p.tp.partition
	})
	if at, ok := now.Lookup(p.tp.topic, p.tp.partition); askErr != nil || !ok || at.At == p.committed {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(l.w.cfg.Timing.Session): // it is a member still: somebody has set the offset
	}
	return err
}

// openRange opens the partition's range of the store. A range of another changelog, or one that knows records which
// the changelog has lost, is moved aside and built anew.
func (l *lane) openRange(ctx context.Context, adm admin, p *part, log kadm.TopicDetail) error {
	var err error
	if p.rng, err = l.w.store.Range(l.stage.state(), p.tp.partition); errors.Is(err, state.ErrFormat) {
		l.log.Warn("state in a format of another version", "partition", p.tp.String(), "error", err)
		if err := l.moveAside(p.tp.partition, asideFormat); err != nil {
			return err
		}
		p.rng, err = l.w.store.Range(l.stage.state(), p.tp.partition)
	}
	if err != nil {
		return fmt.Errorf("open the state of %s: %w", p.tp, err)
	}
	pos, ok := p.rng.Position()
	aside, reason := "", asideForeign
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
			reason = asideLost
			aside = fmt.Sprintf("the changelog lost records: it ended at %d, the state had read %d", e.EndOffset, pos.Barrier.Offset)
		}
	}
	if aside != "" {
		l.log.Warn("state does not belong to the changelog, restoring from the changelog", "partition", p.tp.String(), "because", aside)
		if err := l.moveAside(p.tp.partition, reason); err != nil {
			return err
		}
		pos = state.Position{}
	}
	p.pos, p.logID = pos, log.ID
	return nil
}

// Why state is moved aside, in a metric.
const (
	asideDamaged = "damaged"
	asideFormat  = "format"       // of another version
	asideForeign = "foreign"      // of another changelog
	asideLost    = "lost_records" // by the changelog
)

// moveAside empties a partition's range and keeps what was in it for inspection.
func (l *lane) moveAside(partition int32, reason string) error {
	l.w.metrics.aside.WithLabelValues(reason).Inc()
	dir, err := l.w.store.MoveAside(l.stage.state(), partition, time.Now())
	if err != nil {
		return fmt.Errorf("move the state of partition %d aside: %w", partition, err)
	}
	l.log.Warn("state moved aside", "stage", l.stage, "partition", partition, "to", dir)
	return nil
}

// openTransactions names the producers whose open transactions hold back a partition.
func openTransactions(ctx context.Context, adm admin, topic string, partition int32) string {
	var set kadm.TopicsSet
	set.Add(topic, partition)
	described, err := adm.DescribeProducers(ctx, set)
	if err != nil {
		return "which producer holds it back could not be found out: " + err.Error()
	}
	var open []string
	first := int64(math.MaxInt64)
	for _, p := range described.SortedProducers() {
		if p.CurrentTxnStartOffset >= 0 {
			open = append(open, fmt.Sprintf("producer %d epoch %d since offset %d", p.ProducerID, p.ProducerEpoch, p.CurrentTxnStartOffset))
			first = min(first, p.CurrentTxnStartOffset)
		}
	}
	if len(open) == 0 {
		return "no transaction is open on it; are its replicas in sync?"
	}
	return fmt.Sprintf("open transactions: %s; whose they are, and whether they end by themselves, is said by: firstseen doctor -c FILE; one that hangs is ended by: "+
		"kafka-transactions.sh --bootstrap-server BROKER abort --topic %s --partition %d --start-offset %d", strings.Join(open, ", "), topic, partition, first)
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
	case p.pos.InputNext != p.committed && !l.w.cfg.hooks.restoreToLSO && !l.w.cfg.hooks.restoreUncommitted:
		return fmt.Errorf("group %s is at offset %d of %s, but the state is current to offset %d: %w "+
			"To go on where the state is, run: %s store", l.w.cfg.group(l.stage), p.committed, p.tp, p.pos.InputNext, errMoved, reset)
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
