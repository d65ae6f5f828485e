package processor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gateEvery is how often a lane whose partitions wait at the gate asks whether it is open.
const gateEvery = 300 * time.Millisecond

// gate keeps source partitions from going live before all partitions of their round have been learned: an address
// that is known in a slow partition must not be new in a fast one. A partition has been learned when the group's
// committed offset is at live. Its candidates are in the candidates topic then, before any that a live record makes.
func (l *lane) gate(ctx context.Context) {
	for _, p := range l.owned() {
		s := p.lesson
		if s == nil || s.ready {
			continue
		}
		if p.next < s.live {
			if l.idle && time.Since(s.tail) > 6*time.Second { // at once, then rarely
				s.tail = time.Now()
				if l.onlyMarkers(ctx, p) {
					p.next = s.live
				}
			}
		}
		switch {
		case p.next < s.live:
			s.level = slog.LevelInfo // which is news
		case p.committed < s.live:
			l.touch(p) // with this transaction the group's offset says so
		default:
			if l.taught[s.n] = l.taught[s.n] || l.learned(ctx, s.round); l.taught[s.n] {
				s.ready = true
				l.sess.ResumeFetchPartitions(p.tp.paused())
				l.log.Log(ctx, s.level, "learned; alerting from here", "partition", p.tp.String(), "offset", p.next)
			}
		}
	}
}

func (t topicPartition) paused() map[string][]int32 {
	return map[string][]int32{t.topic: {t.partition}}
}

// waits says whether the partition stands at the gate.
func (p *part) waits() bool { return p.lesson != nil && !p.lesson.ready && p.next >= p.lesson.live }

// learned says whether all partitions of a round have been.
func (l *lane) learned(ctx context.Context, r *Round) bool {
	switch {
	case l.w.cfg.hooks.noGate:
		return true
	case time.Since(l.asked) < gateEvery:
		return false
	}
	l.asked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	offsets, err := l.sess.FetchOffsets(kadm.RequireStable(ctx), l.w.cfg.group(StageIngest))
	if err != nil {
		l.log.Warn("ask what has been learned", "error", err)
		return false
	}
	if missing := l.unlearned(r, offsets); missing > 0 {
		l.w.health.note(noteLearning, fmt.Sprintf("learning: %d source partitions have not been read up to where alerting begins; the others wait for them", missing))
		return false
	}
	// What the others noted on the way, such as since when history is complete, has to be seen before the first alert.
	if err := l.w.control.sync(ctx); err != nil {
		l.log.Warn("ask what has been learned", "error", err)
		return false
	}
	l.w.health.note(noteLearning, "")
	return true
}

// unlearned counts the partitions of a round that have not been learned yet. While other workers commit, some offsets are
// always pending, so what was found once is kept.
func (l *lane) unlearned(r *Round, offsets kadm.OffsetResponses) (n int) {
	for topic, t := range r.Topics {
		if l.w.topicIDs[topic] != t.ID {
			continue // no source any more
		}
		for p, live := range t.Live {
			tp := topicPartition{topic, int32(p)}
			if o, ok := offsets.Lookup(topic, tp.partition); ok && o.Err == nil && o.At >= live {
				l.past[tp] = true
			}
			if !l.past[tp] && l.w.control.get(sourceKey(prefixQuarantine, topic, tp.partition)) == nil {
				n++
			}
		}
	}
	return n
}

// noteQuarantine notes in control which partitions are not read, as the others would wait for them at the gate, and
// takes back what is no longer so.
func (l *lane) noteQuarantine() {
	key := func(tp topicPartition) string { return sourceKey(prefixQuarantine, tp.topic, tp.partition) }
	note := func(tp topicPartition, why []byte) {
		l.send(&kgo.Record{Topic: l.w.control.topic, Key: []byte(key(tp)), Value: why}, nil)
	}
	for tp, err := range l.w.health.quarantinedBy(l.name) {
		if l.w.control.get(key(tp)) == nil {
			note(tp, []byte(err.Error()))
		}
	}
	for _, p := range l.owned() {
		if l.w.control.get(key(p.tp)) != nil {
			note(p.tp, nil)
		}
	}
}

// onlyMarkers says whether a partition has nothing to read before live: the end of a topic that is written in
// transactions is a marker, which no consumer sees.
func (l *lane) onlyMarkers(ctx context.Context, p *part) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // the lane waits for it
	defer cancel()
	cl, err := l.w.brokers.read(l, map[string]map[int32]kgo.Offset{p.tp.topic: {p.tp.partition: kgo.NewOffset().At(p.next)}}, kgo.ReadCommitted(), true)
	if err != nil {
		return false
	}
	defer cl.Close()
	for {
		fetches := cl.PollRecords(ctx, 0)
		if ctx.Err() != nil || fetches.Err() != nil {
			return false
		}
		for _, r := range fetches.Records() {
			switch {
			case r.Offset >= p.lesson.live:
				return true
			case !r.Attrs.IsControl():
				return false
			case r.Offset == p.lesson.live-1:
				return true
			}
		}
	}
}

// hold leaves a record that is behind live to be read again when the gate is open, and all that follow it.
func (p *part) hold(offset int64) bool {
	s := p.lesson
	if s == nil || s.ready || offset < s.live {
		return false
	}
	s.cut = true
	p.next = max(p.next, s.live) // a partition is read in order: what is left before live are markers
	return true
}

// back sets the client back to where a held partition stands, after what it had read up to there was committed.
func (l *lane) back(p *part) {
	if p.lesson == nil || !p.lesson.cut {
		return
	}
	p.lesson.cut = false
	l.sess.PauseFetchPartitions(p.tp.paused())
	l.sess.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.tp.topic: {p.tp.partition: {Epoch: -1, Offset: p.next}}})
}
