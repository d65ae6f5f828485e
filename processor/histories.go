package processor

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas/wire"
)

// ruleNote is since when the terms of a rule have been recorded, where that is not the deployment's beginning.
type ruleNote struct {
	Rule  string `json:"rule"`
	Start int64  `json:"start"`           // Unix milliseconds
	Hold  int64  `json:"hold,omitempty"`  // findings of events before it are held back, Unix milliseconds; 0: none are
	Gone  int64  `json:"gone,omitempty"`  // no longer among the rules since then, Unix milliseconds; 0: it is
	Whole bool   `json:"whole,omitempty"` // Start holds although the source partitions were first read later, up to Until: bootstrap has filled that in
	Until int64  `json:"until,omitempty"` // Unix milliseconds
}

const prefixRule = "rule/" // + hex of the state id; value: ruleNote

// publish adds to writes what the deployment has to know of a set before the first record names it: its texts, and
// since when the terms of rules that are new or look at other events now are recorded.
func (w *Worker) publish(ctx context.Context, adm *kadm.Client, set *rules.Set, founding bool, writes map[string][]byte) error {
	hash := set.Hash()
	if key := prefixRuleset + hex.EncodeToString(hash[:]); w.control.get(key) == nil {
		text := set.Publish()
		if len(text) > maxRuleset {
			return fmt.Errorf("the rules are %d bytes when compressed, more than the %d that a record of %s may have: load fewer", len(text), maxRuleset, w.control.topic)
		}
		writes[key] = text
	}
	if founding {
		return nil
	}
	return w.publishHistories(ctx, adm, set, writes)
}

// publishHistories adds to writes since when the terms of rules that are new, are back, or look at other events than
// before, are recorded; and that rules are gone.
func (w *Worker) publishHistories(ctx context.Context, adm *kadm.Client, set *rules.Set, writes map[string][]byte) (err error) {
	before, all := w.texts.current(w.cfg.Instance), w.texts.all()
	now := wire.NoTime
	note := func(r *rules.Rule, change func(n *ruleNote)) error {
		if now == wire.NoTime {
			if now, err = w.latest(ctx, adm); err != nil {
				return err
			}
		}
		n := ruleNote{Rule: r.ID(), Start: wire.NoTime}
		key := ruleKey(r)
		if v := w.control.get(key); v != nil {
			if err := json.Unmarshal(v, &n); err != nil {
				return fmt.Errorf("%w: record %q of %s: %w", ErrGuarantee, key, w.control.topic, err)
			}
		}
		change(&n)
		writes[key] = encodeNote(n)
		return nil
	}
	for _, r := range set.Rules() {
		gap := slices.ContainsFunc(before, func(p *rules.Published) bool { return !p.Recorded(r) })
		if !taught(r) || len(before) > 0 && !gap {
			continue
		}
		if err := note(r, func(n *ruleNote) {
			// What it knew has expired when it was away for a whole history: then it is as good as new.
			fresh := !slices.ContainsFunc(all, func(p *rules.Published) bool { return p.Known(r) }) || n.Gone != 0 && now-n.Gone > r.History()
			n.Start, n.Gone = max(n.Start, now), 0
			if fresh {
				n.Hold = n.Start + r.History()
			}
		}); err != nil {
			return err
		}
	}
	for _, p := range before {
		for _, r := range p.Rules() {
			if kept := set.Rule(r.ID()); taught(r) && (kept == nil || !taught(kept) || kept.State() != r.State()) {
				if err := note(r, func(n *ruleNote) { n.Gone = max(n.Gone, now) }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// taught says whether a rule remembers terms.
func taught(r *rules.Rule) bool { return r.HasTerms() && r.Mode() != rulefile.Off }

// latest is the highest timestamp of any record in the source topics, in Unix milliseconds, but no later than now. If all
// that was read has been deleted, it is now.
func (w *Worker) latest(ctx context.Context, adm *kadm.Client) (int64, error) {
	topics := w.cfg.sourceTopics()
	offsets, err := adm.ListMaxTimestampOffsets(ctx, topics...)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("%w: read the latest timestamps of %s: %w", ErrUnreachable, strings.Join(topics, ", "), err)
	}
	at, now := int64(0), time.Now().UnixMilli()
	offsets.Each(func(o kadm.ListedOffset) { at = max(at, o.Timestamp) })
	if h, _, _ := w.control.histories(-1); at <= 0 && h.start != wire.NoTime {
		return now, nil
	}
	return min(at, now), nil
}

// ruleKey is the key in control under which a rule's history is noted.
func ruleKey(r *rules.Rule) string {
	state := r.State()
	return prefixRule + hex.EncodeToString(state[:])
}

// histories is since when the terms of each rule have been recorded.
type histories struct {
	start int64            // of the deployment: the latest first time of any source partition
	hold  map[string]int64 // by source topic: findings of events before it are held back
	rules map[wire.StateID]ruleNote
}

// histories returns what control says, and the offset that this is current to. ok is false when there is nothing new
// since the offset seen.
func (c *control) histories(seen int64) (h histories, at int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == seen {
		return h, seen, false
	}
	h = histories{start: wire.NoTime, hold: map[string]int64{}, rules: map[wire.StateID]ruleNote{}}
	for k, v := range c.values {
		var first firstNote
		var note ruleNote
		var state wire.StateID
		var learned Round
		switch {
		case strings.HasPrefix(k, prefixFirst) && json.Unmarshal(v, &first) == nil:
			h.start = max(h.start, first.Time)
		case strings.HasPrefix(k, PrefixLearn) && json.Unmarshal(v, &learned) == nil && learned.Hold != 0:
			for topic := range learned.Topics {
				h.hold[topic] = learned.Hold
			}
		case strings.HasPrefix(k, prefixRule) && json.Unmarshal(v, &note) == nil:
			if n, err := hex.Decode(state[:], []byte(k[len(prefixRule):])); err == nil && n == len(state) {
				h.rules[state] = note
			}
		}
	}
	return h, c.next, true
}

// of is what the candidates of a rule say that are made of a source topic's records.
func (h *histories) of(r *rules.Rule, topic string) stage.Since {
	s := stage.Since{Start: h.start, HoldUntil: wire.NoTime}
	if hold, ok := h.hold[topic]; ok {
		s.HoldUntil = hold
	}
	n, ok := h.rules[r.State()]
	switch {
	case !ok:
		return s
	case n.Whole && h.start <= n.Until:
		s.Start = n.Start
	default:
		s.Start = max(s.Start, n.Start)
	}
	if n.Hold != 0 {
		s.HoldUntil = max(s.HoldUntil, n.Hold)
	}
	return s
}
