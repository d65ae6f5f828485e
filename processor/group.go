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
	byRule  documents
}

func newGroupStep(l *lane) *groupStep {
	return &groupStep{lane: l, cfg: l.w.cfg.alerts(), byRule: documents{}}
}

// alerts is how alerts are made.
func (c *Config) alerts() stage.GroupConfig {
	return stage.GroupConfig{CloseAfter: c.CloseAfter.Milliseconds(), SuppressedTopic: c.topic(topicSuppressed), Formats: c.Outputs}
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
		s.byRule.add(o)
	}
	s.byRule.count(s.lane)
	for _, p := range s.lane.touched {
		before, now := p.counted, p.group.Counts()
		s.lane.count(func() { m.made(before, now); p.counted = now })
	}
	n := s.lane.out.messages // whatever was processed entry by entry
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

// documents are those of a transaction, by rule and topic.
type documents map[ruleOutput]int

type ruleOutput struct {
	rule string
	to   stage.Destination
}

func (d documents) add(o stage.Output) {
	for _, h := range o.Headers {
		if h[0] == "firstseen-rule" {
			d[ruleOutput{h[1], o.To}]++
		}
	}
}

// count has the metrics count them when the transaction has been committed.
func (d documents) count(l *lane) {
	for of, n := range d {
		l.count(func() { l.w.metrics.byRule.WithLabelValues(of.rule, of.to.String()).Add(float64(n)) })
	}
}

// made counts the alerts that were made between two counts.
func (m *metrics) made(before, now stage.GroupCounts) {
	m.alerts.WithLabelValues(alert.Open).Add(float64(now.Alerts - before.Alerts))
	m.alerts.WithLabelValues(alert.Closed).Add(float64(now.Closed - before.Closed))
	m.alerts.WithLabelValues(alert.Overflow).Add(float64(now.Overflows - before.Overflows))
	m.suppressed.WithLabelValues("cap").Add(float64(now.SuppressedByCap - before.SuppressedByCap))
	m.suppressed.WithLabelValues("learning").Add(float64(now.SuppressedByLearning - before.SuppressedByLearning))
	m.suppressed.WithLabelValues("shadow").Add(float64(now.SuppressedByShadow - before.SuppressedByShadow))
}
