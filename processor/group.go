package processor

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas/alert"
)

// groupStep makes alerts of findings.
type groupStep struct {
	lane    *lane
	cfg     stage.GroupConfig
	records int
	bytes   int64 // of outputs
	outputs []stage.Output
	byRule  map[ruleOutput]int // documents of the transaction
}

type ruleOutput struct {
	rule string
	to   stage.Destination
}

func newGroupStep(l *lane) *groupStep {
	cfg := stage.GroupConfig{CloseAfter: l.w.cfg.CloseAfter.Milliseconds(), SuppressedTopic: l.w.cfg.topic(topicSuppressed), Formats: l.w.cfg.Outputs}
	return &groupStep{lane: l, cfg: cfg, byRule: map[ruleOutput]int{}}
}

func (s *groupStep) ready(p *part) error {
	p.group, p.counted = stage.NewGroup(s.cfg), stage.GroupCounts{}
	return p.group.Open(p.view, p.off.InputTimestamp)
}

func (s *groupStep) record(p *part, r *kgo.Record) error {
	s.records++
	outputs, err := p.group.Record(p.view, p.off.SweepClock, r.Key, r.Value, r.Timestamp.UnixMilli(), s.lane.w.texts.lookup)
	for i := range outputs {
		s.bytes += int64(len(outputs[i].Value))
	}
	s.outputs = append(s.outputs, outputs...)
	return err
}

func (s *groupStep) flush() error {
	m := s.lane.w.metrics
	for _, o := range s.outputs {
		s.lane.output(o)
		for _, h := range o.Headers {
			if h[0] == "firstseen-rule" {
				s.byRule[ruleOutput{h[1], o.To}]++
			}
		}
	}
	for of, n := range s.byRule {
		s.lane.count(func() { m.byRule.WithLabelValues(of.rule, of.to.String()).Add(float64(n)) })
	}
	for _, p := range s.lane.touched {
		before, now := p.counted, p.group.Counts()
		s.lane.count(func() {
			m.alerts.WithLabelValues(alert.Open).Add(float64(now.Alerts - before.Alerts))
			m.alerts.WithLabelValues(alert.Closed).Add(float64(now.Closed - before.Closed))
			m.alerts.WithLabelValues(alert.Overflow).Add(float64(now.Overflows - before.Overflows))
			m.suppressed.WithLabelValues("cap").Add(float64(now.SuppressedByCap - before.SuppressedByCap))
			m.suppressed.WithLabelValues("learning").Add(float64(now.SuppressedByLearning - before.SuppressedByLearning))
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
	clear(s.byRule)
	s.records, s.bytes, s.outputs = 0, 0, s.outputs[:0]
}

func (s *groupStep) size() (int, int64) { return s.records, s.bytes }
