package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas/wire"
)

// takeOver opens the partitions that the group has just assigned, and says where to read on. The client calls it after
// a stable OffsetFetch: any predecessor's transaction is decided by then, and a predecessor whose offsets were not
// accepted is fenced. So what a barrier shows now is all there is.
//
// It returns an error only when ctx ends: any other error would make the whole group join again, for ever. A partition
// that cannot be opened is paused, the others run.
func (l *lane) takeOver(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	began := time.Now()
	l.w.health.starting(l.name)
	_, heard := l.w.control.requests(l.stage, topicPartition{}, 0)
	opened, failed, err := l.open(ctx, offsets)
	if err == nil {
		err = ctx.Err() // what failed then says nothing about the partition; the next call tries again
	}
	if err != nil {
		return nil, err
	}
	pause, resume := map[string][]int32{}, map[string][]int32{}
	l.mu.Lock()
	for tp, p := range opened {
		p.base = p.next
		p.read.Store(p.next)
		l.parts[tp] = p
		delete(l.waiting, tp)
		offsets[tp.topic][tp.partition] = kgo.NewOffset().At(p.next)
		if p.waits() {
			pause[tp.topic] = append(pause[tp.topic], tp.partition)
		} else {
			resume[tp.topic] = append(resume[tp.topic], tp.partition)
		}
		l.w.health.mend(l.name, tp)
	}
	for tp := range failed {
		l.waiting[tp] = heard
	}
	for tp, err := range failed {
		pause[tp.topic] = append(pause[tp.topic], tp.partition)
		delete(l.parts, tp)
		l.forgetLag(tp)
		offsets[tp.topic][tp.partition] = kgo.NewOffset().At(max(0, offsets[tp.topic][tp.partition].EpochOffset().Offset)) // no epoch: nothing to validate while it is paused
		l.w.health.quarantine(l.name, tp, err)
		l.log.Error("partition in quarantine: it waits, the others go on", "stage", l.stage, "partition", tp.String(), "error", err)
	}
	// Before the lane sees them: it may open the gate for one at once, and what is paused after that would stay so.
	l.sess.ResumeFetchPartitions(resume)
	l.sess.PauseFetchPartitions(pause)
	l.mu.Unlock()
	l.w.health.joined(l.name)
	l.log.Info("took over partitions", "opened", len(opened), "quarantined", len(failed), "took", time.Since(began).Round(time.Millisecond))
	return offsets, nil
}

// facts are what the brokers say of the topics of a takeover.
type facts struct {
	details      kadm.TopicDetails
	starts, ends kadm.ListedOffsets
	epochs       kadm.OffsetsForLeaderEpochs // where the leader epochs of the committed offsets end
}

// end is the offset behind the last record that a reader at this offset can have seen. Records of a later leader may
// have taken the place of what it read: then that is where its leader's records end.
func (f *facts) end(tp topicPartition) int64 {
	end, _ := f.ends.Lookup(tp.topic, tp.partition)
	if e, ok := f.epochs[tp.topic][tp.partition]; ok && e.Err == nil && e.EndOffset >= 0 {
		return min(end.Offset, e.EndOffset)
	}
	return end.Offset
}

// patience is how long a takeover waits for a partition without a leader. Then that partition is put into quarantine, so
// that the others need not wait for it.
const patience = 15 * time.Second

// ask asks the brokers, until they answer or ctx ends. What they could not say of a partition is an error in the answer.
func (l *lane) ask(ctx context.Context, adm admin, offsets map[string]map[int32]kgo.Offset, topics []string) (f facts, err error) {
	var epochs kadm.OffsetForLeaderEpochRequest
	for t, partitions := range offsets {
		for p, o := range partitions {
			if e := o.EpochOffset(); e.Offset > 0 && e.Epoch >= 0 {
				epochs.Add(t, p, e.Epoch)
			}
		}
	}
	began := time.Now()
	err = l.retry(ctx, "read topic ids and offsets", func() (err error) {
		// Notes and answers of a predecessor are in its last transaction, too.
		if err = l.w.control.sync(ctx); err != nil {
			return err
		}
		if f.details, err = adm.ListTopics(ctx, topics...); err != nil {
			return err
		}
		if f.starts, err = adm.ListStartOffsets(ctx, topics...); err != nil {
			return err
		}
		if f.ends, err = adm.ListEndOffsets(ctx, topics...); err != nil {
			return err
		}
		if err = errors.Join(f.details.Error(), f.starts.Error(), f.ends.Error()); err != nil && time.Since(began) < patience {
			return err
		}
		f.epochs, err = adm.OffsetForLeaderEpoch(ctx, epochs)
		return err
	})
	return f, err
}

// failure is why nothing can be said of a partition.
func (f *facts) failure(tp topicPartition) error {
	start, _ := f.starts.Lookup(tp.topic, tp.partition)
	end, _ := f.ends.Lookup(tp.topic, tp.partition)
	if err := errors.Join(f.details[tp.topic].Err, start.Err, end.Err); err != nil {
		return fmt.Errorf("the brokers do not answer for %s: %w", tp, err)
	}
	return nil
}

// open opens every partition of offsets: it ends in opened or in failed. err is set only when ctx ended.
func (l *lane) open(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (opened map[topicPartition]*part, failed map[topicPartition]error, err error) {
	opened, failed = map[topicPartition]*part{}, map[topicPartition]error{}
	// A client made for the purpose: a long-lived one answers with the topic ids it remembers.
	adm, end, err := l.w.brokers.ask()
	if err != nil {
		return nil, nil, err
	}
	defer end()
	topics := slices.Collect(maps.Keys(offsets))
	logTopic := l.w.cfg.ChangelogTopic(l.stage)
	if logTopic != "" {
		topics = append(topics, logTopic)
	}
	f, err := l.ask(ctx, adm, offsets, topics)
	if err != nil {
		return nil, nil, err
	}
	for topic, partitions := range offsets {
		for partition, o := range partitions {
			tp := topicPartition{topic, partition}
			start, _ := f.starts.Lookup(topic, partition)
			p := &part{tp: tp, committed: o.EpochOffset().Offset, start: start.Offset, end: f.end(tp), inputID: f.details[topic].ID}
			err := f.failure(tp)
			if err == nil && logTopic != "" {
				err = f.failure(topicPartition{logTopic, partition})
			}
			if err == nil {
				err = l.check(p)
			}
			if err != nil {
				failed[tp] = err
			} else {
				opened[tp] = p
			}
		}
	}
	if logTopic != "" {
		if err := l.restore(ctx, adm, f.details[logTopic], f.starts, opened, failed); err != nil {
			return nil, nil, err
		}
	}
	return opened, failed, nil
}

// check says why an input partition must not be read. That of a source is then ready to be.
func (l *lane) check(p *part) error {
	l.mu.Lock()
	bad, isBad := l.bad[p.tp]
	if isBad && time.Since(bad.when) > l.w.cfg.Timing.Recheck {
		delete(l.bad, p.tp)
		isBad = false
	}
	l.mu.Unlock()
	id := kadm.TopicID(p.inputID).String()
	switch {
	case isBad:
		return bad.err
	case l.w.topicIDs[p.tp.topic] != id:
		hint := "start a deployment with another app name"
		if l.stage == StageIngest {
			hint = "if the new topic is meant, start the workers once with --change-sources"
		}
		return fmt.Errorf("topic %s was deleted and created again (its id is %s, the deployment knows %s): nothing is read from it; %s",
			p.tp.topic, id, l.w.topicIDs[p.tp.topic], hint)
	case l.stage != StageIngest && p.tp.partition >= l.w.partitions[p.tp.topic]:
		return fmt.Errorf("%s: the deployment was created with %d partitions of this topic: partitions must not be added to it, and it cannot get rid of them; start a deployment with another app name", p.tp, l.w.partitions[p.tp.topic])
	case l.stage == StageIngest:
		return l.openSource(p)
	}
	return nil
}

// openSource decides where to read a source partition on.
func (l *lane) openSource(p *part) (err error) {
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
	var from int64
	if p.lesson, from, err = l.lessonOf(p); err != nil {
		return err
	}
	p.firstSeen = l.w.control.get(sourceKey(prefixFirst, p.tp.topic, p.tp.partition)) != nil
	if next, ok := l.resume(p, max(noted, p.committed), map[string]int64{UseNoted: noted, UseEarliest: p.start, UseCommitted: p.committed}); ok {
		if p.next = max(next, p.start); next < p.start {
			p.gap = p.start - next // what was asked for is gone: that is counted, whatever on_source_gap says
		}
		return nil
	}
	switch {
	case p.committed < 0 && noted >= 0:
		return fmt.Errorf("the committed offset of group %s for %s is gone, but it had been read to offset %d: reading it again would repeat alerts; "+
			"run: firstseen state reset --stage ingest --topic %s --partition %d --use noted", l.w.cfg.group(l.stage), p.tp, noted, p.tp.topic, p.tp.partition)
	case p.committed < 0:
		p.next = max(p.start, from) // an explicit offset: an abort must be able to go back to it
		if p.next > from && p.lesson != nil {
			p.lesson.since = wire.NoTime // what was to be learned has been deleted meanwhile
		}
	case p.committed > p.end:
		return fmt.Errorf("the group is at offset %d of %s, but the topic ends at %d: it lost records; to go on at its beginning, run: firstseen state reset --stage ingest --topic %s --partition %d --use earliest",
			p.committed, p.tp, p.end, p.tp.topic, p.tp.partition)
	case p.committed < p.start:
		if !l.w.cfg.SourceGapContinue {
			return fmt.Errorf("%s begins at offset %d, but the next to read is %d: the topic's retention deleted %d records that were never read; "+
				"give the topic a longer retention, then set on_source_gap: continue to go on after the gap", p.tp, p.start, p.committed, p.start-p.committed)
		}
		p.gap, p.next = p.start-p.committed, p.start
	default:
		p.next = p.committed
	}
	return nil
}

// retry calls fn until it succeeds or ctx ends. It logs every tenth failure, and says each to who asks whether the worker
// is ready.
func (l *lane) retry(ctx context.Context, what string, fn func() error) error {
	for n := 0; ; n++ {
		err := fn()
		if err == nil {
			return nil
		}
		if n%10 == 0 {
			l.log.Warn(what, "error", err)
		}
		if ctx.Err() == nil {
			l.stuck(fmt.Errorf("%s: %w", what, err), "")
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
