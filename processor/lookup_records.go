package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrNoRecord marks an error about a record that is not there: not yet, or no longer.
var ErrNoRecord = errors.New("there is no such record")

// Record reads one record of a topic. The error wraps ErrNoRecord or ErrNoTopic if it is not there, and says why.
func (l *Lookup) Record(ctx context.Context, topic string, partition int32, offset int64) (*kgo.Record, error) {
	var found *kgo.Record
	place := fmt.Sprintf("%s/%d", topic, partition)
	err := l.Read(ctx, topic, map[int32]int64{partition: offset}, func(r *kgo.Record) bool {
		found = r
		return false
	})
	switch {
	case err != nil:
		return nil, err
	case found != nil && found.Offset == offset:
		return found, nil
	}
	starts, err := l.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("%w: offsets of %s: %w", ErrUnreachable, topic, err)
	}
	start, ok := starts.Lookup(topic, partition)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: topic %s has no partition %d, it has %d", ErrNoRecord, topic, partition, len(starts[topic]))
	case offset < start.Offset:
		return nil, fmt.Errorf("%w: %s begins at offset %d now, %d was deleted", ErrNoRecord, place, start.Offset, offset)
	case found != nil:
		return nil, fmt.Errorf("%w: at offset %d of %s is a marker of a transaction, or a record that was never committed; the next one is at %d", ErrNoRecord, offset, place, found.Offset)
	}
	return nil, fmt.Errorf("%w: no committed record of %s has offset %d or a later one", ErrNoRecord, place, offset)
}

// Written is one of the topics that a deployment writes for others.
type Written string

// What Since reads.
const (
	WrittenAlerts      Written = topicAlerts
	WrittenSuppressed  Written = topicSuppressed
	WrittenDeadLetters Written = topicDLQ
)

// Since calls each for the records of a topic with a Kafka timestamp of at least since, in Unix milliseconds, and maybe
// some earlier ones. With a key only the partition is read in which its records are. complete says whether the topic
// reaches back that far: where it does not, what is looked for may have been deleted.
func (l *Lookup) Since(ctx context.Context, w Written, since int64, key []byte, each func(*kgo.Record)) (complete bool, err error) {
	topic := l.cfg.topic(string(w))
	after, err := l.adm.ListOffsetsAfterMilli(ctx, max(since, 0), topic)
	if err != nil {
		return false, fmt.Errorf("%w: offsets of %s: %w", ErrUnreachable, topic, err)
	}
	starts, err := l.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return false, fmt.Errorf("%w: offsets of %s: %w", ErrUnreachable, topic, err)
	}
	complete = true
	from := map[int32]int64{}
	after.Each(func(o kadm.ListedOffset) {
		if errors.Is(o.Err, kerr.UnknownTopicOrPartition) {
			err = fmt.Errorf("%w: %s", ErrNoTopic, topic)
		} else if o.Err != nil {
			err = fmt.Errorf("%w: offsets of %s/%d: %w", ErrUnreachable, topic, o.Partition, o.Err)
		}
		if key != nil && o.Partition != partition(key, int32(len(after[topic]))) {
			return
		}
		start, _ := starts.Lookup(topic, o.Partition)
		complete = complete && (start.Offset == 0 || o.Offset > start.Offset)
		from[o.Partition] = o.Offset
	})
	if err != nil {
		return false, err
	}
	return complete, l.Read(ctx, topic, from, func(r *kgo.Record) bool {
		each(r)
		return true
	})
}

// settleFor is how long Waiting waits for a stage under load.
const settleFor = 3 * time.Second

// Waiting says whether records of a stage's input partition wait to be processed that were there when it was asked. It
// gives a stage that is busy some seconds. next is the stage's committed offset; -1: none.
func (l *Lookup) Waiting(ctx context.Context, s Stage, topic string, partition int32) (waiting bool, next int64, err error) {
	ends, err := l.adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return false, -1, fmt.Errorf("%w: offsets of %s: %w", ErrUnreachable, topic, err)
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok || end.Err != nil {
		return false, -1, fmt.Errorf("%w: %s/%d: %w", ErrNoTopic, topic, partition, errors.Join(end.Err))
	}
	for began := time.Now(); ; {
		if next, err = l.Committed(ctx, s, topic, partition); err != nil || next >= end.Offset {
			return false, next, err
		}
		if time.Since(began) > settleFor {
			break
		}
		select {
		case <-ctx.Done():
			return true, next, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
		// Behind the committed offset there may be nothing but markers.
		data := false
		err := l.Read(ctx, topic, map[int32]int64{partition: max(next, 0)}, func(r *kgo.Record) bool {
			data = r.Offset < end.Offset
			return false
		})
		if err != nil || !data {
			return false, next, err
		}
	}
	return true, next, nil
}

// Committed is a stage's committed offset of one partition of its input, -1 if there is none: what is before it has been
// processed.
func (l *Lookup) Committed(ctx context.Context, s Stage, topic string, partition int32) (int64, error) {
	offsets, err := l.adm.FetchOffsetsForTopics(ctx, l.cfg.group(s), topic)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("%w: offsets of group %s: %w", ErrUnreachable, l.cfg.group(s), err)
	}
	o, ok := offsets.Lookup(topic, partition)
	if !ok || o.Err != nil {
		return -1, o.Err
	}
	return o.At, nil
}

// InputTopic is the topic that a stage behind ingest reads.
func (l *Lookup) InputTopic(s Stage) string {
	if s == StageGroup {
		return l.cfg.topic(topicFindings)
	}
	return l.cfg.topic(topicCandidates)
}
