package processor

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// purge deletes the internal records that this lane has consumed and that are older than the configured age: the
// topics keep them for ever otherwise. It looks only at offsets that are committed, and does nothing on any error:
// the next time will do.
func (l *lane) purge(ctx context.Context, adm *kadm.Client) {
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
