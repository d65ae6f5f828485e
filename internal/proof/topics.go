package proof

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Read calls fn for every committed record of a topic, those of a partition in their order, up to where the topic ends
// now. Records of open transactions, and what is behind them, are waited for until ctx ends.
func Read(ctx context.Context, conn []kgo.Opt, topic string, fn func(*kgo.Record)) error {
	starts, ends, err := bounds(ctx, conn, topic)
	if err != nil {
		return err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(e kadm.ListedOffset) {
		if s, _ := starts.Lookup(topic, e.Partition); s.Offset < e.Offset {
			from[e.Partition], left[e.Partition] = kgo.NewOffset().At(s.Offset), e.Offset
		}
	})
	return read(ctx, conn, topic, from, left, func(r *kgo.Record) bool {
		fn(r)
		return true
	})
}

// Drained reports whether a group has processed all records of a topic: behind its committed offsets, a read_committed
// reader finds nothing but markers up to where the topic ends now. When it is not known, it has not.
func Drained(ctx context.Context, conn []kgo.Opt, group, topic string) (bool, error) {
	cl, err := kgo.NewClient(conn...)
	if err != nil {
		return false, err
	}
	defer cl.Close()
	committed, err := kadm.NewClient(cl).FetchOffsets(kadm.RequireStable(ctx), group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that has never been has read nothing
		return false, err
	}
	starts, ends, err := bounds(ctx, conn, topic)
	if err != nil {
		return false, err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(e kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, e.Partition)
		at := start.Offset
		if o, ok := committed.Lookup(topic, e.Partition); ok {
			at = max(at, o.At)
		}
		if at < e.Offset {
			from[e.Partition], left[e.Partition] = kgo.NewOffset().At(at), e.Offset
		}
	})
	drained := true
	err = read(ctx, conn, topic, from, left, func(*kgo.Record) bool {
		drained = false
		return false
	})
	return drained && err == nil, err
}

func bounds(ctx context.Context, conn []kgo.Opt, topic string) (starts, ends kadm.ListedOffsets, err error) {
	cl, err := kgo.NewClient(conn...)
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if starts, err = adm.ListStartOffsets(ctx, topic); err == nil {
		ends, err = adm.ListEndOffsets(ctx, topic)
	}
	if err == nil {
		err = starts.Error()
	}
	if err == nil {
		err = ends.Error()
	}
	return starts, ends, err
}

// read calls fn for committed records from offsets on until none is left below an end, or fn returns false.
func read(ctx context.Context, conn []kgo.Opt, topic string, from map[int32]kgo.Offset, left map[int32]int64, fn func(*kgo.Record) bool) error {
	if len(left) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(append(conn[:len(conn):len(conn)], kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(500*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("read %s: %w, with partitions %v left to read", topic, ctx.Err(), left)
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, kerr.OffsetOutOfRange) {
				return fmt.Errorf("read %s/%d: %w", topic, e.Partition, e.Err)
			}
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			end, ok := left[r.Partition]
			if ok && r.Offset < end && !r.Attrs.IsControl() && !fn(r) {
				return nil
			}
			if ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}
