package processor

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
)

// detectStep looks terms up in the store and makes findings of those that are new.
type detectStep struct {
	lane    *lane
	detect  *stage.Detect
	records int
}

func newDetectStep(l *lane) *detectStep { return &detectStep{lane: l, detect: stage.NewDetect()} }

func (s *detectStep) ready(*part) error { return nil }

func (s *detectStep) record(p *part, r *kgo.Record) error {
	s.records++
	return s.detect.Record(p.view, p.off.SweepClock, r.Key, r.Value, r.Timestamp.UnixMilli())
}

func (s *detectStep) flush() error {
	n := s.records
	s.records = 0
	s.lane.count(func() { s.lane.w.metrics.messages.WithLabelValues(string(StageDetect)).Add(float64(n)) })
	return s.detect.Flush(s.lane.output)
}

func (s *detectStep) drop() {
	s.records = 0
	s.detect.Discard()
}

func (s *detectStep) size() (int, int64) { return s.records, 0 }
