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
	counted stage.DetectCounts // what the metrics have
}

func newDetectStep(l *lane) *detectStep { return &detectStep{lane: l, detect: stage.NewDetect()} }

func (s *detectStep) ready(*part) error { return nil }

func (s *detectStep) record(p *part, r *kgo.Record) error {
	s.records++
	return s.detect.Record(p.view, p.off.SweepClock, r.Key, r.Value, r.Timestamp.UnixMilli())
}

func (s *detectStep) flush() error {
	n, m := s.records, s.lane.w.metrics
	s.records = 0
	before, now := s.counted, s.detect.Counts()
	s.counted = now // what an aborted transaction counted is counted again by the next
	s.lane.count(func() {
		m.messages.WithLabelValues(string(StageDetect)).Add(float64(n))
		m.learned.Add(float64(now.Learned - before.Learned))
		m.heldBack.Add(float64(now.HeldBack - before.HeldBack))
	})
	return s.detect.Flush(s.lane.output)
}

func (s *detectStep) drop() {
	s.records, s.counted = 0, s.detect.Counts()
	s.detect.Discard()
}

func (s *detectStep) size() (int, int64) { return s.records, 0 }
