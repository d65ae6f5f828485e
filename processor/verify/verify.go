// Package verify compares what the store of a worker holds with what its changelogs say it must hold.
package verify

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor"
	"firstseen/schemas/wire"
	"firstseen/state"
)

// Compare compares the ranges of a store that nobody has open with a fold of their changelogs up to where each stands.
// partition is that of the ranges to compare, -1: all. differs gets the differing keys, told each range when it is done.
//
// The fold is made in a second store below the system's folder for temporary files, so its memory does not grow with the
// state; its disk does, as far as one range. The error wraps [processor.ErrUnreachable], [processor.ErrNoTopic] or
// [state.ErrLocked].
func Compare(ctx context.Context, cfg processor.Config, dir string, partition int32, differs func(Difference), told func(Compared)) error {
	store, err := state.Open(dir, state.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer store.Close()
	ranges, err := store.Ranges()
	if err != nil {
		return err
	}
	l, err := processor.OpenLookup(ctx, cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, info := range ranges {
		if partition >= 0 && info.Partition != partition {
			continue
		}
		c := comparison{l: l, differs: differs, Compared: Compared{Stage: processor.StageDetect, Partition: info.Partition, Position: info.Position}}
		if info.Stage == state.Group {
			c.Stage = processor.StageGroup
		}
		if info.Err != nil {
			c.Wrong = info.Err.Error()
		} else if err := c.run(ctx, store, info, cfg.ChangelogTopic(c.Stage)); err != nil {
			return err
		}
		told(c.Compared)
	}
	return nil
}

// comparison is that of one range.
type comparison struct {
	Compared
	l       *processor.Lookup
	differs func(Difference)

	fold  *state.Range // the changelog up to the position
	later *state.Range // the keys of records behind it
	end   wire.Offset  // the last offset record up to the position
	ended bool         // there is none later
}

func (c *comparison) run(ctx context.Context, store *state.Store, info state.RangeInfo, topic string) error {
	details, err := c.l.Admin().ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("%w: describe %s: %w", processor.ErrUnreachable, topic, err)
	}
	if err := details[topic].Err; err != nil {
		return fmt.Errorf("topic %s: %w", topic, processor.TopicError(err))
	}
	ends, err := c.l.Admin().ListEndOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("%w: offsets of %s: %w", processor.ErrUnreachable, topic, err)
	}
	starts, err := c.l.Admin().ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("%w: offsets of %s: %w", processor.ErrUnreachable, topic, err)
	}
	if start, ok := starts.Lookup(topic, info.Partition); ok {
		c.Begins = start.Offset
	}
	end, ok := ends.Lookup(topic, info.Partition)
	switch {
	case info.Position.ChangelogID != [16]byte(details[topic].ID):
		c.Wrong = fmt.Sprintf("it belongs to another topic of the name %s (id %s, now %s)", topic, kadm.TopicID(info.Position.ChangelogID), details[topic].ID)
		return nil
	case !ok || end.Err != nil:
		c.Wrong = fmt.Sprintf("%s has no partition %d", topic, info.Partition)
		return nil
	case info.Position.ChangelogNext > end.Offset:
		c.Wrong = fmt.Sprintf("it has read %s/%d up to offset %d, which ends at %d: the topic lost records", topic, info.Partition, info.Position.ChangelogNext, end.Offset)
		return nil
	}
	if c.Old, err = c.isOld(ctx, topic); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "firstseen-verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	temp, err := state.Open(dir, state.Options{})
	if err != nil {
		return err
	}
	defer temp.Close()
	if c.fold, err = temp.Range(state.Detect, 0); err != nil {
		return err
	}
	if c.later, err = temp.Range(state.Group, 0); err != nil {
		return err
	}
	if err := c.read(ctx, topic); err != nil {
		return err
	}
	stored, err := store.Range(info.Stage, info.Partition)
	if err != nil {
		return err
	}
	return c.compare(stored)
}

// isOld is whether the range has slept for so long that a worker would not trust it when it takes it over.
func (c *comparison) isOld(ctx context.Context, topic string) (bool, error) {
	configs, err := c.l.Admin().DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return false, fmt.Errorf("%w: describe settings of %s: %w", processor.ErrUnreachable, topic, err)
	}
	retention := 24 * time.Hour
	if rc, err := configs.On(topic, nil); err == nil {
		for _, kv := range rc.Configs {
			if ms, err := time.ParseDuration(kv.MaybeValue() + "ms"); kv.Key == "delete.retention.ms" && err == nil {
				retention = ms
			}
		}
	}
	return time.Since(time.UnixMilli(c.Position.AsOf())) > retention/2, nil
}

// foldRecords is how many changelog records are folded into one batch.
const foldRecords = 10_000

// read folds the changelog up to the position, and notes the keys of what comes later.
func (c *comparison) read(ctx context.Context, topic string) error {
	var run, behind []state.Record
	pos, at := state.Position{}, state.Position{}
	flush := func() error {
		to, writes, err := state.Fold(at, run)
		if err == nil {
			err = c.fold.Apply(pos, to, writes)
		}
		if err != nil {
			return fmt.Errorf("%s/%d: %w", topic, c.Partition, err)
		}
		pos, at, run = to, to, run[:0]
		err = c.later.Apply(state.Position{}, state.Position{}, func(yield func(key, value []byte) bool) {
			for _, r := range behind {
				if !yield(r.Key, []byte{1}) {
					return
				}
			}
		})
		behind = behind[:0]
		return err
	}
	var failed error
	c.ended = true
	err := c.l.Read(ctx, topic, map[int32]int64{c.Partition: 0}, func(r *kgo.Record) bool {
		switch own := len(r.Key) > 0 && r.Key[0] == 0; {
		case r.Offset < c.Position.ChangelogNext:
			run = append(run, state.Record{Offset: r.Offset, Key: r.Key, Value: r.Value})
		case !own && len(r.Key) > 0:
			behind = append(behind, state.Record{Key: r.Key})
		case string(r.Key) == state.OffsetKey:
			c.ended = false
		}
		if len(run)+len(behind) >= foldRecords {
			failed = flush()
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = flush()
	}
	c.end = pos.Offset
	return err
}

// compare looks up what each has in the other.
func (c *comparison) compare(stored *state.Range) error {
	differ := func(key, store, topic []byte) error {
		if _, open, err := c.later.Get(nil, key); err != nil || open {
			c.Open++ // compaction may have taken what it was at the position
			return err
		}
		c.Differ++
		c.differs(Difference{c.Stage, c.Partition, bytes.Clone(key), bytes.Clone(store), bytes.Clone(topic)})
		return nil
	}
	var other []byte
	err := stored.Scan(nil, func(key, value []byte) error {
		var ok bool
		var err error
		if other, ok, err = c.fold.Get(other[:0], key); err != nil {
			return err
		}
		switch {
		case ok && bytes.Equal(other, value):
			c.Keys++
			return nil
		case ok:
			return differ(key, value, other)
		}
		return differ(key, value, nil)
	})
	if err != nil {
		return err
	}
	err = c.fold.Scan(nil, func(key, value []byte) error {
		_, ok, err := stored.Get(nil, key)
		if err != nil || ok {
			return err
		}
		return differ(key, nil, value)
	})
	if err == nil && c.ended && c.end != c.Position.Offset {
		c.Wrong = fmt.Sprintf("it says that it is current to input offset %d, the changelog says %d", c.Position.InputNext, c.end.InputNext)
	}
	return err
}
