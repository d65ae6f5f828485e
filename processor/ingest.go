package processor

import (
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
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
	current *kgo.Record // the record in hand

	messages  int
	latest    int64 // Unix milliseconds, of the last record of this transaction
	stats     schemas.Stats
	set       *rules.Set // that the records of this transaction meet
	histories histories
	seen      int64 // offset of control that histories is current to
	ticked    time.Time
	noted     time.Time
	warned    time.Time // of times that lie
}

func newIngestStep(l *lane) *ingestStep {
	s := &ingestStep{lane: l, formats: map[string]schemas.Format{}, seen: -1, ticked: time.Now().Add(-l.w.cfg.Timing.Tick), noted: time.Now()}
	for _, src := range l.w.cfg.Sources {
		s.formats[src.Topic] = src.Format
	}
	return s
}

// refresh takes over what has changed since the last transaction: the rules, and since when their terms are recorded.
func (s *ingestStep) refresh() {
	w := s.lane.w
	if set := w.rules.Load(); set != s.set {
		dec := schemas.Config{Layout: set.Layout(), Filters: set.Filters(), Bounds: w.cfg.Bounds, ValidateAll: w.cfg.ValidateAll, Strict: set.Strict()}
		s.set, s.first = set, schemas.NewDecoder(dec)
		s.ingest = stage.NewIngest(set, stage.IngestConfig{Decoder: dec, Dead: func(_ *schemas.Message, d schemas.DeadLetter) { s.lane.deadLetter(s.current, d) }})
		s.ingest.SetSince(func(r *rules.Rule) stage.Since { return s.histories.of(r, s.current.Topic) })
	}
	if h, at, ok := w.control.histories(s.seen); ok {
		h.start = max(h.start, s.histories.start) // what this transaction's predecessor noted may not be seen yet
		s.histories, s.seen = h, at
	}
}

func (s *ingestStep) ready(*part) error { return nil }

func (s *ingestStep) record(p *part, r *kgo.Record) error {
	if s.messages == 0 {
		s.refresh()
	}
	s.current, s.latest = r, timestamp(r)
	m := schemas.Message{Value: r.Value, Timestamp: s.latest, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Format: s.formats[r.Topic]}
	if !p.firstSeen {
		s.noteFirst(p, m)
	}
	s.messages++
	s.ingest.SetLearn(p.lesson != nil && r.Offset < p.lesson.live)
	st := s.ingest.Message(m)
	s.stats.Add(st)
	if st.Clamped > 0 {
		s.clamped(r, st.Clamped)
	}
	return nil
}

// clamped counts records of a message that claim to be later than it, and says so once a minute.
func (s *ingestStep) clamped(r *kgo.Record, records int) {
	l := s.lane
	clamped := l.w.metrics.clamped.WithLabelValues(r.Topic)
	l.count(func() { clamped.Add(float64(records)) })
	if time.Since(s.warned) < time.Minute {
		return
	}
	s.warned = time.Now()
	l.log.Warn("records are more than 15 minutes later than the Kafka timestamp of their message, and were given that time: is the clock of its producer behind?",
		"topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "timestamp", r.Timestamp.UTC().Format(time.RFC3339), "records", records)
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
	if p.lesson != nil && p.lesson.since != wire.NoTime {
		first = min(first, firstTime(p.lesson.since))
	}
	p.firstSeen, p.newFirst = true, true
	s.lane.send(&kgo.Record{Topic: s.lane.w.control.topic, Key: []byte(sourceKey(prefixFirst, p.tp.topic, p.tp.partition)),
		Value: encodeNote(firstNote{int64(first)})}, nil)
	s.histories.start = max(s.histories.start, int64(first)) // the latest of all, so it never goes back
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

func (s *ingestStep) flush() error {
	l := s.lane
	if s.messages > 0 {
		if err := s.ingest.Flush(l.output); err != nil {
			return err
		}
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
	// With what is committed anyway, if there is anything: see turn.
	if since := time.Since(s.ticked); since >= l.w.cfg.Timing.Tick && len(l.touched) > 0 || since >= 2*l.w.cfg.Timing.Tick {
		s.ticked = time.Now()
		l.noteQuarantine()
		topic := l.w.cfg.topic(topicFindings)
		for n := range l.w.partitions[topic] {
			if len(owned) > 0 {
				l.send(&kgo.Record{Topic: topic, Partition: n, Key: []byte("tick")}, nil)
			}
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
	if s.messages > 0 && s.latest >= 0 {
		now = s.latest
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
	if s.ingest != nil {
		s.ingest.Discard()
	}
	s.reset()
}

func (s *ingestStep) reset() {
	s.messages, s.stats, s.current = 0, schemas.Stats{}, nil
}

func (s *ingestStep) size() (int, int64) { return s.stats.Records, s.stats.Bytes }
