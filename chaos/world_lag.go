package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lag is how many offsets the groups are behind, markers included.
func (w *world) lag(ctx context.Context) (sum int64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for group, topics := range w.inputs() {
		ends, err := w.adm.ListEndOffsets(ctx, topics...)
		if err != nil {
			return 0, false
		}
		committed, err := w.adm.FetchOffsets(ctx, group)
		if err != nil {
			return 0, false
		}
		ends.Each(func(e kadm.ListedOffset) {
			if o, has := committed.Lookup(e.Topic, e.Partition); has && e.Err == nil && o.At >= 0 {
				sum += max(0, e.Offset-o.At)
			}
		})
	}
	return sum, true
}

// inputs are the topics that each group reads.
func (w *world) inputs() map[string][]string {
	return map[string][]string{w.App + ".ingest": w.Sources, w.App + ".detect": {w.App + ".candidates"}, w.App + ".group": {w.App + ".findings"}}
}

// drained reports whether a group has processed all records of a topic: behind its committed offsets, a read_committed
// reader finds nothing but markers up to the high watermark.
func (w *world) drained(ctx context.Context, group, topic string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	committed, err := w.adm.FetchOffsets(kadm.RequireStable(ctx), group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return false
	}
	ends, err := w.adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return false
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(e kadm.ListedOffset) {
		at, ok := committed.Lookup(topic, e.Partition)
		if !ok {
			at.At = 0
		}
		if at.At < e.Offset {
			from[e.Partition], left[e.Partition] = kgo.NewOffset().At(at.At), e.Offset
		}
	})
	if len(left) == 0 {
		return true
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return false
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return false
		}
		data := false
		fetches.EachRecord(func(r *kgo.Record) {
			data = data || !r.Attrs.IsControl()
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
		if data {
			return false
		}
	}
	return true
}
