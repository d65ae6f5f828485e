package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// takeOver opens the partitions that the group has just assigned, and says where to read on. The client calls it after
// a stable OffsetFetch: any predecessor's transaction is decided by then, and a predecessor whose offsets were not
// accepted is fenced. So what a barrier shows now is all there is.
//
// It returns an error only when ctx ends: any other error would make the whole group join again, for ever. A partition
// that cannot be opened is paused, the others run.
func (l *lane) takeOver(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	began := time.Now()
	_, heard := l.w.control.requests(l.stage, topicPartition{}, 0)
	opened, failed, err := l.open(ctx, offsets)
	if err != nil {
		return nil, err
	}
	pause, resume := map[string][]int32{}, map[string][]int32{}
	l.mu.Lock()
	for tp, p := range opened {
		p.base = p.next
		l.parts[tp] = p
		delete(l.waiting, tp)
		offsets[tp.topic][tp.partition] = kgo.NewOffset().At(p.next)
		resume[tp.topic] = append(resume[tp.topic], tp.partition)
		l.w.health.mend(l.name, tp)
	}
	for tp := range failed {
		l.waiting[tp] = heard
	}
	l.mu.Unlock()
	for tp, err := range failed {
		pause[tp.topic] = append(pause[tp.topic], tp.partition)
		if offsets[tp.topic][tp.partition].EpochOffset().Offset < 0 {
			offsets[tp.topic][tp.partition] = kgo.NewOffset().At(0)
		}
		l.w.health.quarantine(l.name, tp, err)
		l.log.Error("partition in quarantine: it waits, the others go on", "stage", l.stage, "partition", tp.String(), "error", err)
	}
	cl := l.sess.Client()
	cl.ResumeFetchPartitions(resume)
	cl.PauseFetchPartitions(pause)
	l.w.health.joined(l.name)
	l.log.Info("took over partitions", "opened", len(opened), "quarantined", len(failed), "took", time.Since(began).Round(time.Millisecond))
	return offsets, nil
}

// open opens every partition of offsets: it ends in opened or in failed. err is set only when ctx ended.
func (l *lane) open(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (opened map[topicPartition]*part, failed map[topicPartition]error, err error) {
	opened, failed = map[topicPartition]*part{}, map[topicPartition]error{}
	// A client made for the purpose: a long-lived one answers with the topic ids it remembers.
	cl, err := kgo.NewClient(l.w.cfg.client()...)
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var topics []string
	for t := range offsets {
		topics = append(topics, t)
	}
	logTopic := l.w.cfg.changelog(l.stage)
	if logTopic != "" {
		topics = append(topics, logTopic)
	}
	var details kadm.TopicDetails
	var starts kadm.ListedOffsets
	if err := l.retry(ctx, "read topic ids and first offsets", func() (err error) {
		if details, err = adm.ListTopics(ctx, topics...); err != nil {
			return err
		}
		if err := details.Error(); err != nil {
			return err
		}
		if starts, err = adm.ListStartOffsets(ctx, topics...); err != nil {
			return err
		}
		return starts.Error()
	}); err != nil {
		return nil, nil, err
	}
	for topic, partitions := range offsets {
		for partition, o := range partitions {
			tp := topicPartition{topic, partition}
			l.mu.Lock()
			bad, isBad := l.bad[tp]
			if isBad && time.Since(bad.when) > l.w.cfg.Timing.Recheck {
				delete(l.bad, tp)
				isBad = false
			}
			l.mu.Unlock()
			start, _ := starts.Lookup(topic, partition)
			p := &part{tp: tp, committed: o.EpochOffset().Offset, inputID: details[topic].ID,
				lag: l.w.metrics.lag.WithLabelValues(string(l.stage), topic, strconv.Itoa(int(partition)))}
			switch {
			case isBad:
				failed[tp] = bad.err
			case l.w.topicIDs[topic] != details[topic].ID.String():
				hint := "start a deployment with another app name"
				if l.stage == StageIngest {
					hint = "if the new topic is meant, start the workers once with --change-sources"
				}
				failed[tp] = fmt.Errorf("topic %s was deleted and created again (its id is %s, the deployment knows %s): nothing is read from it; %s",
					topic, details[topic].ID, l.w.topicIDs[topic], hint)
			case l.stage == StageIngest:
				if err := l.openSource(p, start.Offset); err != nil {
					failed[tp] = err
				} else {
					opened[tp] = p
				}
			default:
				opened[tp] = p
			}
		}
	}
	if logTopic != "" {
		if err := l.restore(ctx, adm, details[logTopic], starts, opened, failed); err != nil {
			return nil, nil, err
		}
	}
	return opened, failed, nil
}

// openSource decides where to read a source partition on.
func (l *lane) openSource(p *part, start int64) error {
	var note offsetNote
	if v := l.w.control.get(sourceKey(prefixOffset, p.tp.topic, p.tp.partition)); v != nil {
		if err := json.Unmarshal(v, &note); err != nil {
			return fmt.Errorf("the note of %s in control cannot be read: %w", p.tp, err)
		}
	}
	noted := int64(-1)
	if note.TopicID == kadm.TopicID(p.inputID).String() { // else it is about another topic of this name
		noted = note.Next
	}
	p.noted = noted
	p.firstSeen = l.w.control.get(sourceKey(prefixFirst, p.tp.topic, p.tp.partition)) != nil
	if next, ok := l.resume(p, max(noted, p.committed), map[string]int64{UseNoted: noted, UseEarliest: start, UseCommitted: p.committed}); ok {
		p.next = max(next, start)
		return nil
	}
	switch {
	case p.committed < 0 && noted >= 0:
		return fmt.Errorf("the committed offset of group %s for %s is gone, but it had been read to offset %d: reading it again would repeat alerts; "+
			"run: firstseen state reset --stage ingest --use noted", l.w.cfg.group(l.stage), p.tp, noted)
	case p.committed < 0:
		p.next = start // an explicit offset: an abort must be able to go back to it
	case p.committed < start:
		if !l.w.cfg.SourceGapContinue {
			return fmt.Errorf("%s begins at offset %d, but the next to read is %d: the topic's retention deleted %d records that were never read; "+
				"give the topic a longer retention, then set on_source_gap: continue to go on after the gap", p.tp, start, p.committed, start-p.committed)
		}
		p.gap, p.next = start-p.committed, start
	default:
		p.next = p.committed
	}
	return nil
}

// retry calls fn until it succeeds or ctx ends. It logs every tenth failure.
func (l *lane) retry(ctx context.Context, what string, fn func() error) error {
	for n := 0; ; n++ {
		err := fn()
		if err == nil {
			return nil
		}
		if n%10 == 0 {
			l.log.Warn(what, "error", err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
