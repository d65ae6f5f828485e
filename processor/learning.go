package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas/wire"
)

// Learning is what a deployment that begins, or gets another source topic, does about the records that are there
// already. What is learned updates terms and makes no alert. It is decided once and noted in control; later workers do
// what is noted there.
type Learning struct {
	Mode LearningMode
	Time time.Time // of LearnSince and HoldUntil
}

// LearningMode is one of the constants below.
type LearningMode uint8

const (
	// LearnNothing reads every source partition from its first offset, and all of it is live.
	LearnNothing LearningMode = iota
	// LearnHistory learns as much as the longest history of any rule, and an hour, going by Kafka timestamps.
	LearnHistory
	// LearnSince learns what has a later Kafka timestamp than a time.
	LearnSince
	// LearnEverything learns all that there is.
	LearnEverything
	// SkipEverything begins at the end of every partition and learns nothing.
	SkipEverything
	// HoldUntil begins at the end of every partition and suppresses what rules with terms find in events before a time.
	HoldUntil
)

// Round is one decision about learning: for all topics that were new to the deployment at the time. It is never changed.
type Round struct {
	Since  int64                   `json:"since"`          // what has a later Kafka timestamp is read, Unix milliseconds; wire.NoTime: see topics
	Hold   int64                   `json:"hold,omitempty"` // findings of events before it are suppressed, Unix milliseconds; 0: none are
	Topics map[string]LearnedTopic `json:"topics"`         // by name
}

// LearnedTopic has offsets by partition. Records from From to before Live are learned.
type LearnedTopic struct {
	ID    string  `json:"id"`
	Start []int64 `json:"start"` // the first there was
	From  []int64 `json:"from"`
	Live  []int64 `json:"live"`
}

// lateness is how much further back history is read: the first events that are live may have happened so long ago.
const lateness = time.Hour

// PrefixLearn + number of the round is the key in control of a Round.
const PrefixLearn = "learn/"

// rounds returns the rounds of learning, the oldest first.
func (c *control) rounds() ([]*Round, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []string
	for k := range c.values {
		if strings.HasPrefix(k, PrefixLearn) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var all []*Round
	for _, k := range keys {
		r := new(Round)
		if err := json.Unmarshal(c.values[k], r); err != nil {
			return nil, fmt.Errorf("%w: record %q of %s: %w", ErrGuarantee, k, c.topic, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// learn decides about source topics that are new to the deployment, given with their ids, and adds the note to writes.
func (w *Worker) learn(ctx context.Context, adm *kadm.Client, topics map[string]string, writes map[string][]byte) error {
	if len(topics) == 0 || w.cfg.Learning.Mode == LearnNothing {
		return nil
	}
	before, err := w.control.rounds()
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(topics))
	now := time.Now()
	r := &Round{Since: wire.NoTime, Topics: map[string]LearnedTopic{}}
	from := adm.ListEndOffsets
	switch l := w.cfg.Learning; l.Mode {
	case LearnHistory:
		r.Since = now.Add(-lateness).UnixMilli() - longestHistory(w.cfg.Rules)
	case LearnSince:
		r.Since = l.Time.UnixMilli()
	case LearnEverything:
		from = adm.ListStartOffsets
	case HoldUntil:
		r.Hold = l.Time.UnixMilli()
	}
	if r.Since != wire.NoTime {
		from = func(ctx context.Context, names ...string) (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, r.Since, names...)
		}
	}
	var starts, froms, ends kadm.ListedOffsets
	for _, list := range []struct {
		to *kadm.ListedOffsets
		of func(context.Context, ...string) (kadm.ListedOffsets, error)
	}{{&ends, adm.ListEndOffsets}, {&starts, adm.ListStartOffsets}, {&froms, from}} {
		if *list.to, err = list.of(ctx, names...); err == nil {
			err = list.to.Error()
		}
		if err != nil {
			return fmt.Errorf("%w: read the offsets of %s: %w", ErrUnreachable, strings.Join(names, ", "), err)
		}
	}
	for _, name := range names {
		t := LearnedTopic{ID: topics[name]}
		for p := range int32(len(ends[name])) {
			start, live := starts[name][p].Offset, ends[name][p].Offset
			at := min(max(start, froms[name][p].Offset), live)
			t.Start, t.From, t.Live = append(t.Start, start), append(t.From, at), append(t.Live, live)
			if key := sourceKey(prefixQuarantine, name, p); w.control.get(key) != nil {
				writes[key] = nil // it is about another topic of this name; the gate would not wait for the partition
			}
		}
		r.Topics[name] = t
	}
	writes[fmt.Sprintf("%s%04d", PrefixLearn, len(before))] = encodeNote(r)
	return nil
}

// tell logs what has been written to control about learning and histories.
func (w *Worker) tell(writes map[string][]byte) {
	log := w.cfg.Log
	for _, key := range slices.Sorted(maps.Keys(writes)) {
		var r Round
		var n ruleNote
		switch {
		case strings.HasPrefix(key, PrefixLearn) && json.Unmarshal(writes[key], &r) == nil:
			records := int64(0)
			for _, t := range r.Topics {
				for p, live := range t.Live {
					records += live - t.From[p]
				}
			}
			topics := slices.Sorted(maps.Keys(r.Topics))
			if r.Hold != 0 {
				log.Info("what rules with new terms find is suppressed for some time", "topics", topics, "until", timeOrNone(r.Hold))
			} else {
				log.Info("learning before alerting: what is found in these records makes no alerts", "records", records, "topics", topics, "since", timeOrNone(r.Since))
			}
		case !strings.HasPrefix(key, prefixRule) || json.Unmarshal(writes[key], &n) != nil:
		case n.Gone != 0:
			log.Info("a rule is gone or remembers something else now; what it knows is kept until it has expired", "rule", n.Rule)
		case n.Hold > n.Start:
			log.Warn("the history of a rule begins now; what it finds is suppressed until then, or until bootstrap --rule has run", "rule", n.Rule, "until", timeOrNone(n.Hold))
		default:
			log.Info("a rule goes on with the terms it knows, but has not seen all that it looks at now: the history in its alerts begins later", "rule", n.Rule, "begins", timeOrNone(n.Start))
		}
	}
}

func timeOrNone(ms int64) string {
	if ms == wire.NoTime || ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

// longestHistory of the rules that are on, in milliseconds.
func longestHistory(set *rules.Set) (ms int64) {
	for _, r := range set.Rules() {
		if r.Mode() != rulefile.Off {
			ms = max(ms, r.History())
		}
	}
	return ms
}

// lesson is what a source partition has to learn before it is live.
type lesson struct {
	round *Round
	n     int        // of the round
	live  int64      // records before it are learned
	since int64      // what the history of the partition begins with at the latest, Unix milliseconds; wire.NoTime: its first record
	ready bool       // all partitions of the round have been learned: it may go on behind live
	cut   bool       // this transaction has met a record behind live, and left it
	tail  time.Time  // when it was last asked whether only markers are left
	level slog.Level // of what is logged when it is ready
}

// lessonOf returns what a source partition has to learn, and where it begins; nil: all of it is live.
func (l *lane) lessonOf(p *part) (*lesson, int64, error) {
	rounds, err := l.w.control.rounds()
	if err != nil {
		return nil, 0, err
	}
	for i, r := range rounds {
		t, ok := r.Topics[p.tp.topic]
		n := int(p.tp.partition)
		if !ok || t.ID != kadm.TopicID(p.inputID).String() || n >= len(t.Live) { // a partition that was added later is live
			continue
		}
		s := &lesson{level: slog.LevelDebug, round: r, n: i, live: t.Live[n], since: wire.NoTime}
		if t.From[n] > t.Start[n] {
			s.since = r.Since // there was more, and all that is later has been read
		}
		return s, t.From[n], nil
	}
	return nil, 0, nil
}
