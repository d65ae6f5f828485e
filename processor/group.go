package processor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// groupStep makes alerts of findings.
type groupStep struct {
	lane    *lane
	cfg     stage.GroupConfig
	records int
	outputs []stage.Output
}

func newGroupStep(l *lane) *groupStep {
	cfg := stage.GroupConfig{CloseAfter: l.w.cfg.CloseAfter.Milliseconds(), SuppressedTopic: l.w.cfg.topic(topicSuppressed), Formats: l.w.cfg.Outputs}
	return &groupStep{lane: l, cfg: cfg}
}

func (s *groupStep) ready(p *part) error {
	p.group, p.counted = stage.NewGroup(s.cfg), stage.GroupCounts{}
	return p.group.Open(p.view, p.off.InputTimestamp)
}

func (s *groupStep) record(p *part, r *kgo.Record) error {
	s.records++
	outputs, err := p.group.Record(p.view, p.off.SweepClock, r.Key, r.Value, r.Timestamp.UnixMilli(), s.lane.w.texts.lookup)
	s.outputs = append(s.outputs, outputs...)
	return err
}

func (s *groupStep) flush() error {
	for _, o := range s.outputs {
		s.lane.output(o)
	}
	m := s.lane.w.metrics
	for _, p := range s.lane.touched {
		before, now := p.counted, p.group.Counts()
		s.lane.count(func() {
			m.alerts.WithLabelValues(alert.Open).Add(float64(now.Alerts - before.Alerts))
			m.alerts.WithLabelValues(alert.Closed).Add(float64(now.Closed - before.Closed))
			m.alerts.WithLabelValues(alert.Overflow).Add(float64(now.Overflows - before.Overflows))
			m.suppressed.WithLabelValues("cap").Add(float64(now.SuppressedByCap - before.SuppressedByCap))
			m.suppressed.WithLabelValues("shadow").Add(float64(now.SuppressedByShadow - before.SuppressedByShadow))
			p.counted = now
		})
	}
	n := s.records
	s.lane.count(func() { m.messages.WithLabelValues(string(StageGroup)).Add(float64(n)) })
	s.drop()
	return nil
}

func (s *groupStep) drop() {
	clear(s.outputs)
	s.records, s.outputs = 0, s.outputs[:0]
}

func (s *groupStep) size() (int, int64) { return s.records, 0 }

// texts keeps the rulesets that findings name, for rendering alerts.
type texts struct {
	control *control
	mu      sync.Mutex
	decoded map[string]*rules.Set
}

// lookup returns the texts of a rule. A ruleset that this process has not got yet is fetched from control, where it was
// committed before the first record that names it.
func (t *texts) lookup(ruleset []byte, rule string) (*alert.Rule, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.decoded[string(ruleset)]
	if set == nil {
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, stage.ErrUnknownRuleset)
		defer cancel()
		encoded, err := t.control.ruleset(ctx, ruleset)
		if err != nil {
			return nil, fmt.Errorf("ruleset %x: %w", ruleset, err)
		}
		if set, err = rules.Decode(encoded); err != nil {
			return nil, fmt.Errorf("ruleset %x in control: %w", ruleset, err)
		}
		t.decoded[string(ruleset)] = set
	}
	r := set.Rule(rule)
	if r == nil {
		return nil, fmt.Errorf("ruleset %x has no rule %q", ruleset, rule)
	}
	return r.Info(), nil
}

// states returns the state ids that a rule has in the rulesets of control: one for each set of fields it has had.
func (t *texts) states(rule string) []wire.StateID {
	var ids []wire.StateID
	for _, encoded := range t.control.rulesets() {
		set, err := rules.Decode(encoded)
		if err != nil {
			continue // of a newer worker, which can be asked
		}
		if r := set.Rule(rule); r != nil && !slices.Contains(ids, r.State()) {
			ids = append(ids, r.State())
		}
	}
	return ids
}
