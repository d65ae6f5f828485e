package processor

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
)

// detectStep looks terms up in the store and makes findings, or alerts, of those that are new.
type detectStep struct {
	lane    *lane
	detect  *stage.Detect
	records int
	counted stage.DetectCounts // what the metrics have
	made    stage.GroupCounts  // likewise
	byRule  documents
}

func newDetectStep(l *lane) *detectStep {
	return &detectStep{lane: l, detect: stage.NewDetect(l.w.cfg.alerts()), byRule: documents{}}
}

func (s *detectStep) ready(*part) error { return nil }

func (s *detectStep) record(p *part, r *kgo.Record) error {
	s.records++
	return s.detect.Record(p.view, p.off.SweepClock, r.Key, r.Value, r.Timestamp.UnixMilli(), s.lane.w.texts.lookup)
}

func (s *detectStep) flush() error {
	defer s.drop()
	n, m := s.records, s.lane.w.metrics
	before, now := s.counted, s.detect.Counts()
	made, alerts := s.made, s.detect.Alerts()
	s.lane.count(func() {
		m.messages.WithLabelValues(string(StageDetect)).Add(float64(n))
		m.learned.Add(float64(now.Learned - before.Learned))
		m.heldBack.Add(float64(now.HeldBack - before.HeldBack))
		m.made(made, alerts)
	})
	err := s.detect.Flush(func(o stage.Output) {
		s.lane.output(o)
		s.byRule.add(o)
	})
	s.byRule.count(s.lane)
	return err
}

// drop also ends what is counted: what an aborted transaction counted is counted again by the next.
func (s *detectStep) drop() {
	s.records, s.counted, s.made = 0, s.detect.Counts(), s.detect.Alerts()
	clear(s.byRule)
	s.detect.Discard()
}

func (s *detectStep) size() (int, int64) { return s.records, s.detect.Bytes() }
