// Package history reads a part of the source topics again, in one order, as it lies there: for a replay over what was
// processed before. It looks from outside: nothing is written, committed, created or fenced.
package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor"
	"firstseen/schemas"
)

// Span is the part of a range that is in one partition.
type Span struct {
	Topic     string
	Partition int32
	Begin     int64 // where reading begins: From, or before it with a warm-up
	Live      int64 // what is read before it is only to be learned: the deployment learned it, see Range.Learns
	From, To  int64 // first offset of the range, first behind it

	read int64 // behind the last record that Each has given; 0: none
}

// Range is a part of the source topics, with fixed offsets: what comes in while it is read is not in it. It is read as by
// any read_committed consumer, but without a group: nothing is written, committed, created or fenced.
type Range struct {
	cfg    processor.Config
	topics []string // of its sources
	from   Point
	spans  []Span
	done   int64
	ahead  int // bytes of a partition's records that may wait; 0: see Each
}

// Open finds out which offsets of cfg.Sources lie from one point up to, but without, the other. Of cfg it needs no more
// than Client and Sources. Errors wrap [processor.ErrUnreachable] or [processor.ErrNoTopic] if the brokers are the reason;
// any other is about the points.
func Open(ctx context.Context, cfg processor.Config, from, to Point) (*Range, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !from.at.IsZero() && !to.at.IsZero() && to.at.Before(from.at) {
		return nil, fmt.Errorf("the range ends at %s, before it begins at %s", to.at.UTC().Format(time.RFC3339), from.at.UTC().Format(time.RFC3339))
	}
	r := &Range{cfg: cfg, from: from}
	for _, s := range cfg.Sources {
		r.topics = append(r.topics, s.Topic)
	}
	err := r.ask(ctx, func(l *lister) error {
		if err := errors.Join(l.known(from), l.known(to)); err != nil {
			return err
		}
		for _, topic := range r.topics {
			for _, p := range slices.Sorted(maps.Keys(l.stable[topic])) {
				s, ok, err := l.span(topic, p, from, to)
				if err != nil {
					return err
				}
				if ok {
					r.spans = append(r.spans, s)
				}
			}
		}
		return nil
	}, from, to)
	return r, err
}

// WarmUp has the range begin earlier, by d of Kafka's time, for what has to be known at its start. [Range.Contains] is
// false for what is read in addition.
func (r *Range) WarmUp(ctx context.Context, d time.Duration) error {
	start, ok := r.from.at, !r.from.at.IsZero()
	if r.from.offsets != nil {
		var err error
		if start, ok, err = r.First(ctx); err != nil {
			return err
		}
	}
	if !ok {
		return nil // there is nothing before it, or nothing in it
	}
	begin := PointAt(start.Add(-d))
	return r.ask(ctx, func(l *lister) error {
		for i := range r.spans {
			s := &r.spans[i]
			at, _, err := l.offset(s.Topic, s.Partition, begin)
			if err != nil {
				return err
			}
			s.Begin = min(at, s.From)
		}
		return nil
	}, begin)
}

var errEnough = errors.New("enough")

// First returns the Kafka timestamp of the range's first record in the order of Each, ok false if it has none.
func (r *Range) First(ctx context.Context) (t time.Time, ok bool, err error) {
	probe := &Range{cfg: r.cfg, spans: slices.Clone(r.spans)}
	err = probe.Each(ctx, func(rec *kgo.Record) error {
		t, ok = rec.Timestamp, true
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return t, ok, err
}

// Spans lists the partitions of the range, by topic as configured, then by number.
func (r *Range) Spans() []Span { return r.spans }

// Contains says whether an offset is in the range, its warm-up not counted.
func (r *Range) Contains(topic string, partition int32, offset int64) bool {
	s := r.span(topic, partition)
	return s != nil && offset >= s.From && offset < s.To
}

// Learns says whether an offset is of what the deployment learned.
func (r *Range) Learns(topic string, partition int32, offset int64) bool {
	s := r.span(topic, partition)
	return s != nil && offset < s.Live
}

func (r *Range) span(topic string, partition int32) *Span {
	for i := range r.spans {
		if s := &r.spans[i]; s.Topic == topic && s.Partition == partition {
			return s
		}
	}
	return nil
}

// Message is a record of the range as the decoder takes it, in the format of its source.
func (r *Range) Message(rec *kgo.Record) schemas.Message {
	m := schemas.Message{Value: rec.Value, Timestamp: -1, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	if !rec.Timestamp.IsZero() { // a topic of an old client may have none
		m.Timestamp = rec.Timestamp.UnixMilli()
	}
	for _, s := range r.cfg.Sources {
		if s.Topic == rec.Topic {
			m.Format = s.Format
		}
	}
	return m
}

// Total is the number of offsets from the beginnings to the ends, warm-up included: at most so many records.
func (r *Range) Total() (n int64) {
	for _, s := range r.spans {
		n += s.To - s.Begin
	}
	return n
}

// Done is how many of Total Each has passed.
func (r *Range) Done() int64 { return r.done }
