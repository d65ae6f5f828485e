package processor

import (
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// ingestStep decodes the messages of the sources and sends on what the rules look at.
type ingestStep struct {
	lane    *lane
	ingest  *stage.Ingest
	first   *schemas.Decoder // finds the first time of a source partition
	formats map[string]schemas.Format
	current *kgo.Record // for dead letters

	messages int
	stats    schemas.Stats
	firsts   []*part // whose first time this transaction notes
	history  int64   // latest first time of any source partition, Unix milliseconds
	known    bool    // history is one
	seen     int64   // offset of control that history is current to
	ticked   time.Time
	noted    time.Time
}

func newIngestStep(l *lane) *ingestStep {
	cfg := &l.w.cfg
	dec := schemas.Config{Layout: cfg.Rules.Layout(), Filters: cfg.Rules.Filters(), Bounds: cfg.Bounds, ValidateAll: cfg.ValidateAll, Strict: cfg.Rules.Strict()}
	s := &ingestStep{lane: l, formats: map[string]schemas.Format{}, seen: -1, noted: time.Now()}
	for _, src := range cfg.Sources {
		s.formats[src.Topic] = src.Format
	}
	s.ingest = stage.NewIngest(cfg.Rules, stage.IngestConfig{Decoder: dec, Dead: func(_ *schemas.Message, d schemas.DeadLetter) { l.deadLetter(s.current, d) }})
	s.first = schemas.NewDecoder(dec)
	return s
}

func (s *ingestStep) ready(*part) error { return nil }

func (s *ingestStep) record(p *part, r *kgo.Record) error {
	s.current = r
	m := schemas.Message{Value: r.Value, Timestamp: timestamp(r), Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Format: s.formats[r.Topic]}
	if !p.firstSeen {
		s.noteFirst(p, m)
	}
	if s.messages == 0 {
		s.refresh()
	}
	s.messages++
	st := s.ingest.Message(m)
	s.stats.Add(st)
	return nil
}

// timestamp is the record's Kafka timestamp in Unix milliseconds; a topic of an old client may have none.
func timestamp(r *kgo.Record) int64 {
	if r.Timestamp.IsZero() {
		return -1
	}
	return r.Timestamp.UnixMilli()
}

// noteFirst notes in control the time of the first event read from a source partition: since then terms have been
// recorded. A message without an event leaves it to the next.
func (s *ingestStep) noteFirst(p *part, m schemas.Message) {
	first := firstTime(math.MaxInt64)
	func() {
		defer func() { _ = recover() }() // what panics here will be a dead letter
		s.first.DecodeUnfiltered(m, &first)
	}()
	if first == math.MaxInt64 {
		return
	}
	p.firstSeen, p.newFirst = true, true
	s.firsts = append(s.firsts, p)
	s.lane.send(&kgo.Record{Topic: s.lane.w.control.topic, Key: []byte(sourceKey(prefixFirst, p.tp.topic, p.tp.partition)),
		Value: encodeNote(firstNote{int64(first)})}, nil)
	s.raise(int64(first))
}

// firstTime takes the time of the first event of a message.
type firstTime int64

// Event keeps the first time.
func (f *firstTime) Event(e *schemas.Event) {
	if *f == math.MaxInt64 {
		*f = firstTime(e.Time)
	}
}

// Dead is left to the step that processes the message.
func (f *firstTime) Dead(schemas.DeadLetter) {}

// refresh takes the first times that other lanes have noted.
func (s *ingestStep) refresh() {
	if at, start, ok := s.lane.w.control.historyStart(s.seen); ok {
		s.seen = at
		s.raise(start)
	}
}

// raise makes the history start no earlier than t. It is the latest first time, so it never goes back.
func (s *ingestStep) raise(t int64) {
	if !s.known || t > s.history {
		s.known, s.history = true, t
		s.ingest.SetHistoryStart(t)
	}
}

func (s *ingestStep) flush() error {
	l := s.lane
	if err := s.ingest.Flush(l.output); err != nil {
		return err
	}
	for _, p := range l.touched {
		if err := s.reportGap(p); err != nil {
			return err
		}
	}
	st, messages, m := s.stats, s.messages, l.w.metrics
	if messages > 0 {
		l.count(func() {
			m.messages.WithLabelValues(string(StageIngest)).Add(float64(messages))
			m.records.Add(float64(st.Records))
			m.filtered.Add(float64(st.Filtered))
			m.skipped.Add(float64(st.Skipped))
			m.unverified.Add(float64(st.Unverified))
		})
	}
	s.reset()
	owned := l.owned()
	if len(owned) == 0 {
		return nil
	}
	if time.Since(s.ticked) >= l.w.cfg.Timing.Tick {
		s.ticked = time.Now()
		topic := l.w.cfg.topic(topicFindings)
		for n := range l.w.partitions[topic] {
			l.send(&kgo.Record{Topic: topic, Partition: n, Key: []byte("tick")}, nil)
		}
	}
	if time.Since(s.noted) >= l.w.cfg.Timing.Note || l.stopping {
		s.noted = time.Now()
		for _, p := range owned {
			if p.next > p.noted {
				l.touch(p)
				l.send(&kgo.Record{Topic: l.w.control.topic, Key: []byte(sourceKey(prefixOffset, p.tp.topic, p.tp.partition)),
					Value: encodeNote(offsetNote{p.next, kadm.TopicID(p.inputID).String()})}, nil)
				l.count(func() { p.noted = p.next })
			}
		}
	}
	return nil
}

// reportGap writes an alert for records that the topic's retention deleted before they were read.
func (s *ingestStep) reportGap(p *part) error {
	if p.gap == 0 {
		return nil
	}
	first := p.base - p.gap
	missing := &alert.Missing{Topic: p.tp.topic, Partition: p.tp.partition, First: first, Next: p.base}
	now := time.Now().UnixMilli()
	if s.current != nil {
		now = s.current.Timestamp.UnixMilli()
	}
	a := alert.Alert{Kind: alert.Gap, ID: alert.ID(alert.Gap, "", p.tp.String(), strconv.FormatInt(first, 10)), Missing: missing,
		Time: now, Created: now, Count: p.gap, FirstSeen: wire.NoTime, LastSeen: wire.NoTime}
	for _, f := range s.lane.w.cfg.Outputs {
		value, err := a.Append(nil, f)
		if err != nil {
			return err
		}
		s.lane.output(stage.Output{To: stage.Alerts, Key: []byte(a.ID.String()), Value: value, Headers: a.HeadersAs(f)})
	}
	gap := float64(p.gap)
	s.lane.count(func() {
		s.lane.w.metrics.alerts.WithLabelValues(alert.Gap).Inc()
		s.lane.w.metrics.gap.WithLabelValues(p.tp.topic).Add(gap)
	})
	return nil
}

func (s *ingestStep) drop() {
	s.ingest.Discard()
	s.reset()
}

func (s *ingestStep) reset() {
	s.messages, s.stats, s.firsts, s.current = 0, schemas.Stats{}, s.firsts[:0], nil
}

func (s *ingestStep) size() (int, int64) { return s.stats.Records, s.stats.Bytes }
