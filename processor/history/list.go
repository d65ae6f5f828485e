package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor"
)

// lister is what the brokers say of the topics, as far as it was asked for.
type lister struct {
	starts, stable, ends kadm.ListedOffsets
	after                map[time.Time]kadm.ListedOffsets
}

// ask finds out what has to be known for the offsets of these points, and calls fn with it.
func (r *Range) ask(ctx context.Context, fn func(*lister) error, points ...Point) error {
	cl, err := kgo.NewClient(r.cfg.ClientOptions(kgo.MetadataMinAge(processor.MetadataAge))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		return fmt.Errorf("%w: no broker answers: %w; check brokers, tls and sasl in the configuration", processor.ErrUnreachable, err)
	}
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(ctx, r.topics...)
	if err != nil {
		return fmt.Errorf("%w: list topics: %w", processor.ErrUnreachable, err)
	}
	for _, topic := range r.topics {
		if err := details[topic].Err; err != nil {
			return fmt.Errorf("topic %s: %w", topic, processor.TopicError(err))
		}
	}
	l := &lister{after: map[time.Time]kadm.ListedOffsets{}}
	for to, list := range map[*kadm.ListedOffsets]func(context.Context, ...string) (kadm.ListedOffsets, error){
		&l.starts: adm.ListStartOffsets, &l.stable: adm.ListCommittedOffsets, &l.ends: adm.ListEndOffsets,
	} {
		if *to, err = list(ctx, r.topics...); err != nil {
			break
		}
		err = errors.Join(err, to.Error())
	}
	for _, p := range points {
		if !p.at.IsZero() && err == nil {
			if l.after[p.at], err = adm.ListOffsetsAfterMilli(ctx, p.at.UnixMilli(), r.topics...); err == nil {
				err = l.after[p.at].Error()
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%w: list offsets: %w", processor.ErrUnreachable, err)
	}
	return fn(l)
}

// span is what lies between two points in a partition; ok is false if one of them leaves it out.
func (l *lister) span(topic string, partition int32, from, to Point) (s Span, ok bool, err error) {
	s = Span{Topic: topic, Partition: partition}
	var has bool
	if s.From, ok, err = l.offset(topic, partition, from); err != nil || !ok {
		return s, false, err
	}
	if s.To, has, err = l.offset(topic, partition, to); err != nil || !has {
		return s, false, err
	}
	if s.To < s.From && from.offsets != nil && to.offsets != nil {
		return s, false, fmt.Errorf("%s/%d: the range ends at offset %d, before it begins at %d", topic, partition, s.To, s.From)
	}
	stable, _ := l.stable.Lookup(topic, partition)
	s.To = min(s.To, stable.Offset)
	s.From = min(s.From, s.To)
	s.Begin = s.From
	return s, true, nil
}

// offset is where a point is in a partition; ok is false if it leaves it out.
func (l *lister) offset(topic string, partition int32, p Point) (at int64, ok bool, err error) {
	start, _ := l.starts.Lookup(topic, partition)
	switch {
	case p.latest:
		o, _ := l.stable.Lookup(topic, partition)
		return max(o.Offset, start.Offset), true, nil
	case !p.at.IsZero():
		o, _ := l.after[p.at].Lookup(topic, partition)
		return max(o.Offset, start.Offset), true, nil
	case p.offsets == nil:
		return start.Offset, true, nil
	}
	at, ok = p.offsets[topic][partition]
	end, _ := l.ends.Lookup(topic, partition)
	if ok && (at < start.Offset || at > end.Offset) {
		return 0, false, fmt.Errorf("%s/%d has the offsets from %d up to %d, not %d", topic, partition, start.Offset, end.Offset, at)
	}
	return at, ok, nil
}

// known refuses offsets of partitions that are not there.
func (l *lister) known(p Point) error {
	for topic, partitions := range p.offsets {
		for n := range partitions {
			if _, ok := l.stable.Lookup(topic, n); !ok {
				return fmt.Errorf("%s/%d is no partition of the topics that are read", topic, n)
			}
		}
	}
	return nil
}
