package processor

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/rules/rulefile"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// ruleNote is since when the terms of a rule have been recorded, where that is not the deployment's beginning.
type ruleNote struct {
	Rule  string `json:"rule"`
	Start int64  `json:"start"`           // Unix milliseconds
	Hold  int64  `json:"hold,omitempty"`  // findings of events before it are held back, Unix milliseconds; 0: none are
	Whole bool   `json:"whole,omitempty"` // Start holds although the source partitions were first read later: bootstrap has filled that in
}

const prefixRule = "rule/" // + hex of the state id; value: ruleNote

// maxRuleset bounds a published ruleset in bytes: below what a broker takes by default.
const maxRuleset = 900 << 10

// SetRules has the worker go on with other rules, between transactions. All workers of a deployment may do so at
// different times: every record names the rules that decided about it. It waits until the worker has started, and
// returns when the rules are in force here. On an error the rules in force stay.
func (w *Worker) SetRules(ctx context.Context, set *rules.Set) error {
	select {
	case <-w.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.changing.Lock()
	defer w.changing.Unlock()
	if set.Hash() == w.rules.Load().Hash() {
		w.health.note(noteRules, "")
		return w.announce(ctx) // the last change may not have got there
	}
	cl, err := kgo.NewClient(w.cfg.client()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	err = w.control.agree(ctx, &w.cfg, func() (map[string][]byte, error) {
		writes := map[string][]byte{}
		return writes, w.publish(ctx, kadm.NewClient(cl), set, false, writes)
	})
	if err != nil {
		return fmt.Errorf("publish the rules: %w", err)
	}
	w.rules.Store(set)
	hash := set.Hash()
	w.metrics.reloads.WithLabelValues("ok").Inc()
	w.health.note(noteRules, "")
	w.cfg.Log.Info("other rules are in force", "rules", len(set.Rules()), "ruleset", hex.EncodeToString(hash[:]))
	return w.announce(ctx)
}

// RulesFailed notes that changed rules could not be used, for metrics and [Worker.Notes], until SetRules succeeds.
func (w *Worker) RulesFailed(err error) {
	w.metrics.reloads.WithLabelValues("failed").Inc()
	w.health.note(noteRules, "rules: those in force are not the ones on disk, which cannot be used: "+strings.ReplaceAll(err.Error(), "\n", "; "))
}

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
	before, all := w.texts.current(w.cfg.Instance), w.texts.all()
	now := wire.NoTime
	for _, r := range set.Rules() {
		gap := slices.ContainsFunc(before, func(p *rules.Published) bool { return !p.Recorded(r) })
		if !taught(r) || len(before) > 0 && !gap {
			continue
		}
		if now == wire.NoTime {
			var err error
			if now, err = latest(ctx, adm, w.cfg.sourceTopics()); err != nil {
				return err
			}
			if h, _, _ := w.control.histories(-1); now <= 0 && h.start != wire.NoTime { // all that was read has been deleted
				now = time.Now().UnixMilli()
			}
		}
		state := r.State()
		key := prefixRule + hex.EncodeToString(state[:])
		n := ruleNote{Rule: r.ID()}
		fresh := !slices.ContainsFunc(all, func(p *rules.Published) bool { return p.Known(r) })
		if v := w.control.get(key); v != nil {
			if err := json.Unmarshal(v, &n); err != nil {
				return fmt.Errorf("%w: record %q of %s: %w", ErrGuarantee, key, w.control.topic, err)
			}
		}
		n.Start = max(n.Start, now)
		if fresh {
			n.Hold = n.Start + r.History()
		}
		writes[key] = encodeNote(n)
		if fresh {
			w.cfg.Log.Warn("the history of a rule begins now; what it finds is suppressed for one history, or until bootstrap --rule has run",
				"rule", r.ID(), "fields", r.Info().Fields, "until", timeOrNone(n.Hold))
		} else {
			w.cfg.Log.Info("a rule keeps its terms but looks at other events than before: the history of its alerts begins now", "rule", r.ID())
		}
	}
	return nil
}

// taught says whether a rule remembers terms.
func taught(r *rules.Rule) bool { return r.HasTerms() && r.Mode() != rulefile.Off }

// latest is the highest timestamp of any record in the topics, in Unix milliseconds, but no later than now.
func latest(ctx context.Context, adm *kadm.Client, topics []string) (int64, error) {
	offsets, err := adm.ListMaxTimestampOffsets(ctx, topics...)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("%w: read the latest timestamps of %s: %w", ErrUnreachable, strings.Join(topics, ", "), err)
	}
	at := int64(0)
	offsets.Each(func(o kadm.ListedOffset) { at = max(at, o.Timestamp) })
	return min(at, time.Now().UnixMilli()), nil
}

// histories is since when the terms of each rule have been recorded.
type histories struct {
	start int64 // of the deployment: the latest first time of any source partition
	hold  int64
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
	h = histories{start: wire.NoTime, hold: wire.NoTime, rules: map[wire.StateID]ruleNote{}}
	for k, v := range c.values {
		var first firstNote
		var note ruleNote
		var state wire.StateID
		var learned round
		switch {
		case strings.HasPrefix(k, prefixFirst) && json.Unmarshal(v, &first) == nil:
			h.start = max(h.start, first.Time)
		case strings.HasPrefix(k, prefixLearn) && json.Unmarshal(v, &learned) == nil && learned.Hold != 0:
			h.hold = max(h.hold, learned.Hold)
		case strings.HasPrefix(k, prefixRule) && json.Unmarshal(v, &note) == nil:
			if n, err := hex.Decode(state[:], []byte(k[len(prefixRule):])); err == nil && n == len(state) {
				h.rules[state] = note
			}
		}
	}
	return h, c.next, true
}

// of is what the candidates of a rule say.
func (h *histories) of(r *rules.Rule) stage.Since {
	s := stage.Since{Start: h.start, HoldUntil: h.hold}
	n, ok := h.rules[r.State()]
	switch {
	case !ok:
		return s
	case n.Whole:
		s.Start = n.Start
	default:
		s.Start = max(s.Start, n.Start)
	}
	if n.Hold != 0 {
		s.HoldUntil = max(s.HoldUntil, n.Hold)
	}
	return s
}

// texts keeps the rulesets that records name, for rendering alerts.
type texts struct {
	control *control
	mu      sync.Mutex
	read    map[string]*rules.Published // by hash
}

// lookup returns the texts of a rule. A ruleset that this process has not got yet is fetched from control, where it was
// committed before the first record that names it.
func (t *texts) lookup(ruleset []byte, rule string) (*alert.Rule, error) {
	set, err := t.get(ruleset)
	if err != nil {
		return nil, err
	}
	r := set.Rule(rule)
	if r == nil {
		return nil, fmt.Errorf("ruleset %x has no rule %q", ruleset, rule)
	}
	return r.Info(), nil
}

func (t *texts) get(ruleset []byte) (*rules.Published, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if set := t.read[string(ruleset)]; set != nil {
		return set, nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, stage.ErrUnknownRuleset)
	defer cancel()
	encoded, err := t.control.ruleset(ctx, ruleset)
	if err != nil {
		return nil, fmt.Errorf("ruleset %x: %w", ruleset, err)
	}
	set, err := rules.ReadPublished(encoded)
	if err != nil {
		return nil, fmt.Errorf("ruleset %x in control: %w", ruleset, err)
	}
	if t.read == nil {
		t.read = map[string]*rules.Published{}
	}
	t.read[string(ruleset)] = set
	return set, nil
}

// all returns every ruleset in control that this build can read.
func (t *texts) all() (sets []*rules.Published) {
	for _, hash := range t.control.rulesets() {
		if set, err := t.get(hash); err == nil { // else it is of a newer worker
			sets = append(sets, set)
		}
	}
	return sets
}

// current returns the rulesets in force before an instance starts or changes its own: its last one, and those that others
// have taken up since, as they may have read what it reads now; for a new instance the one taken up last. Before anybody
// has said what it runs, the deployment has just been founded, with the rulesets that there are.
func (t *texts) current(instance string) (sets []*rules.Published) {
	all := slices.DeleteFunc(t.control.presences(), func(p presence) bool { return !slices.Contains(p.Stages, StageIngest) })
	if len(all) == 0 {
		return t.all()
	}
	from := slices.IndexFunc(all, func(p presence) bool { return p.instance == instance })
	if from < 0 {
		from = len(all) - 1
	}
	for _, p := range all[from:] {
		if hash, err := hex.DecodeString(p.Ruleset); err == nil && len(hash) > 0 {
			if set, err := t.get(hash); err == nil {
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// states returns the state ids that a rule has in the rulesets of control: one for each set of fields it has had.
func (t *texts) states(rule string) (ids []wire.StateID) {
	for _, set := range t.all() {
		if r := set.Rule(rule); r != nil && !slices.Contains(ids, r.State()) {
			ids = append(ids, r.State())
		}
	}
	return ids
}
