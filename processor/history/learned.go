package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor"
)

// SkipLearned takes out of the range what the deployment cfg.App learned when it began, or when it got the topic: it
// made no alerts of that. What it learned is read still, as far as there is a warm-up; what it skipped is not. learned
// is the number of offsets taken out. A topic that was created anew since counts as the one it was.
func (r *Range) SkipLearned(ctx context.Context) (learned int64, err error) {
	notes, err := readControl(ctx, r.cfg)
	if err != nil {
		return 0, err
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		if !strings.HasPrefix(key, processor.PrefixLearn) {
			continue
		}
		var note processor.Round
		if err := json.Unmarshal(notes[key], &note); err != nil {
			return 0, fmt.Errorf("%w: record %q of %s: %w", processor.ErrGuarantee, key, r.cfg.ControlTopic(), err)
		}
		for i := range r.spans {
			s := &r.spans[i]
			t, n := note.Topics[s.Topic], int(s.Partition)
			if n >= len(t.Live) || n >= len(t.From) { // a later partition is live
				continue
			}
			from := min(max(s.From, t.Live[n]), s.To)
			learned += from - s.From
			s.From, s.Live = from, t.Live[n]
			s.Begin = min(max(s.Begin, t.From[n]), s.From)
		}
	}
	return learned, nil
}

// Unread lists the partitions of which Each has given a record that the deployment cfg.App has not read: of that it has made
// no alerts yet.
func (r *Range) Unread(ctx context.Context) (partitions []string, err error) {
	cl, err := kgo.NewClient(r.cfg.ClientOptions()...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	group := processor.StageIngest.Group(r.cfg.App)
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("%w: read the offsets of group %s: %w", processor.ErrUnreachable, group, err)
	}
	for _, s := range r.spans {
		if o, ok := committed.Lookup(s.Topic, s.Partition); s.read > 0 && (!ok || o.At < s.read) {
			partitions = append(partitions, place{s.Topic, s.Partition}.String())
		}
	}
	return partitions, nil
}

// readControl returns the latest committed value of every key of control; none if there is no such topic.
func readControl(ctx context.Context, cfg processor.Config) (map[string][]byte, error) {
	cfg.Sources = []processor.Source{{Topic: cfg.ControlTopic()}}
	r, err := Open(ctx, cfg, Earliest, Latest)
	if errors.Is(err, processor.ErrNoTopic) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	notes := map[string][]byte{}
	return notes, r.Each(ctx, func(rec *kgo.Record) error {
		if notes[string(rec.Key)] = rec.Value; len(rec.Value) == 0 {
			delete(notes, string(rec.Key))
		}
		return nil
	})
}
