package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// modelBrokers makes the connections of a worker's lane to the modelled cluster.
type modelBrokers struct{ w *modelWorker }

func (b modelBrokers) join(_ context.Context, l *lane, made <-chan struct{}) (session, error) {
	loop := b.w.loop
	s := &modelSession{modelAdmin: modelAdmin{loop: loop, th: b.w.run}, w: b.w, lane: l, made: made, txn: loop.c.txn(l.name),
		pos: map[int32]int64{}, committed: map[int32]int64{}, paused: map[int32]bool{}}
	err := s.th.request(context.Background(), "join", nil, func() error {
		s.member = loop.c.group.join(l.name)
		s.member.generation-- // it has to be told its partitions
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.w.session = s
	s.rebalance()
	return s, nil
}

func (b modelBrokers) ask() (admin, func(), error) {
	return modelAdmin{loop: b.w.loop, th: b.w.over}, func() {}, nil
}

func (b modelBrokers) read(_ *lane, from map[string]map[int32]kgo.Offset, level kgo.IsolationLevel, _ bool) (reader, error) {
	r := &modelReader{th: b.w.over, level: level, pos: map[int32]int64{}}
	for topic, partitions := range from {
		r.topic = topic
		for p, o := range partitions {
			r.pos[p] = o.EpochOffset().Offset
		}
	}
	return r, nil
}

// ProduceSync writes barriers, and what the worker itself writes to control, where nobody else writes.
func (b modelBrokers) ProduceSync(ctx context.Context, records ...*kgo.Record) (results kgo.ProduceResults) {
	c := b.w.loop.c
	write := func() error {
		slices.SortFunc(records, func(a, b *kgo.Record) int { return int(a.Partition - b.Partition) })
		for _, r := range records {
			c.append(c.log(r.Topic, r.Partition), r, nil)
		}
		return nil
	}
	var err error
	if control := b.w.lane.w.control; records[0].Topic == control.topic {
		records[0].Offset = control.next
		control.take(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: control.topic, Partitions: []kgo.FetchPartition{{Records: records}}}}}})
	} else {
		err = b.w.over.request(ctx, "barrier", nil, write)
	}
	for _, r := range records {
		results = append(results, kgo.ProduceResult{Record: r, Err: err})
	}
	return results
}

func (b modelBrokers) PollFetches(context.Context) kgo.Fetches { panic("nobody follows control") }
func (b modelBrokers) Close()                                  {}

// modelSession is kgo.GroupTransactSession as far as it matters: what it believes to be committed, when it runs the
// callbacks, and what it makes of errors.
type modelSession struct {
	modelAdmin
	w      *modelWorker
	lane   *lane
	made   <-chan struct{}
	member *modelMember
	txn    *modelTxn
	epoch  int16

	pos       map[int32]int64 // of assigned partitions whose offset is known: the next to return
	committed map[int32]int64 // the same, after an abort
	assigned  []int32
	paused    map[int32]bool
	revoked   bool        // since the last End; a second revoke is not reported
	blocked   atomic.Bool // no rebalance while the lane works on what it has polled

	buffered []buffered
	produced bool  // something of this transaction has been sent
	reload   bool  // the last EndTxn was not answered: the client asks for its producer id again
	fatal    error // of the producer, which is fenced

	cancel context.CancelFunc // of the takeover
}

type buffered struct {
	r    *kgo.Record
	done func(*kgo.Record, error)
}

func (s *modelSession) topic() string { return loopApp + "." + topicCandidates }

func (s *modelSession) ProducerID(ctx context.Context) (int64, int16, error) {
	err := s.th.request(ctx, "InitProducerId", func() bool { return s.txn.state == "" || s.txn.state == "open" }, func() error {
		epoch, ok := s.txn.take()
		if !ok {
			return kerr.ConcurrentTransactions
		}
		s.epoch = epoch
		return nil
	})
	if errors.Is(err, kerr.ConcurrentTransactions) {
		return s.ProducerID(ctx) // the client asks until it is told
	}
	return s.txn.pid, s.epoch, err
}

func (s *modelSession) Begin() error {
	s.buffered, s.produced = nil, false
	if s.fatal != nil {
		return s.fatal
	}
	if s.reload {
		s.reload = false
		_, _, err := s.ProducerID(context.Background())
		return err
	}
	return nil
}

func (s *modelSession) Produce(_ context.Context, r *kgo.Record, done func(*kgo.Record, error)) {
	s.buffered = append(s.buffered, buffered{r, done})
}

// Flush sends what was produced, a request for each partition.
func (s *modelSession) Flush(ctx context.Context) error {
	for len(s.buffered) > 0 {
		l := s.loop.c.log(s.buffered[0].r.Topic, s.buffered[0].r.Partition)
		var now, later []buffered
		var records []*kgo.Record
		for _, b := range s.buffered {
			if s.loop.c.log(b.r.Topic, b.r.Partition) == l {
				now, records = append(now, b), append(records, b.r)
			} else {
				later = append(later, b)
			}
		}
		s.buffered, s.produced = later, true
		epoch := s.epoch
		err := s.th.request(ctx, "produce to "+strings.TrimPrefix(l.name, loopApp+"."), s.free, func() error {
			return s.loop.c.produce(s.txn, epoch, l, records)
		})
		for _, b := range now {
			b.done(b.r, err)
		}
	}
	return nil
}

// free says whether the coordinator takes requests of a new transaction: not before the last one's markers are written.
func (s *modelSession) free() bool {
	return s.txn.epoch != s.epoch || s.txn.state == "" || s.txn.state == "open"
}

func (s *modelSession) End(ctx context.Context, try kgo.TransactionEndTry, fence func(*kmsg.TxnOffsetCommitRequest) error) (committed bool, err error) {
	defer func() { s.revoked = false }()
	if s.reload && !bool(try) { // again, since what came of the last request is not known: only asks for the producer id
		if _, _, err := s.ProducerID(ctx); err == nil {
			s.reload = false
		}
		return false, nil
	}
	for _, b := range s.buffered {
		b.done(b.r, kgo.ErrAborting)
	}
	s.buffered = nil
	commit := bool(try) && !s.revoked
	var failed error
	if commit {
		offsets, err := s.uncommitted(fence)
		if err == nil && len(offsets) > 0 {
			s.produced = true
			epoch, member := s.epoch, s.member
			err = s.th.request(ctx, "TxnOffsetCommit "+show(offsets), s.free, func() error {
				if err := errors.Join(s.txn.check(epoch), s.loop.c.group.check(member)); err != nil && !s.loop.c.broken["fence"] {
					return err
				}
				s.txn.open()
				for p, at := range offsets {
					s.txn.offsets[p] = at
				}
				return nil
			})
		}
		if err != nil {
			commit = false
		}
		if err != nil && !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.IllegalGeneration) {
			failed = fmt.Errorf("unable to commit transaction offsets: %w", err)
		}
	}
	if s.produced {
		decision := "abort"
		if commit {
			decision = "commit"
		}
		epoch, next := s.epoch, s.epoch
		s.produced = false
		if err := s.th.request(ctx, "EndTxn "+decision, nil, func() error {
			if s.txn.state == "" && s.txn.epoch == epoch { // nothing arrived
				return nil
			}
			var err error
			next, err = s.txn.end(epoch, decision)
			return err
		}); err != nil {
			failed, s.reload = err, errors.Is(err, errNetwork)
			if !s.reload {
				s.fatal = err
			}
		} else {
			s.epoch = next
		}
	}
	if !commit || failed != nil {
		for p := range s.pos {
			s.pos[p] = s.committed[p]
		}
		return false, failed
	}
	for p, at := range s.pos {
		s.committed[p] = at
	}
	return true, nil
}

// uncommitted are the offsets that a commit sends.
func (s *modelSession) uncommitted(fence func(*kmsg.TxnOffsetCommitRequest) error) (offsets map[int32]int64, err error) {
	t := kmsg.TxnOffsetCommitRequestTopic{Topic: s.topic()}
	for p, at := range s.pos {
		if at != s.committed[p] {
			t.Partitions = append(t.Partitions, kmsg.TxnOffsetCommitRequestTopicPartition{Partition: p, Offset: at})
		}
	}
	req := &kmsg.TxnOffsetCommitRequest{}
	if len(t.Partitions) > 0 {
		req.Topics = append(req.Topics, t)
	}
	err = fence(req)
	offsets = map[int32]int64{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			offsets[p.Partition] = p.Offset
		}
	}
	return offsets, err
}

// AllowRebalance is called by a timer, too.
func (s *modelSession) AllowRebalance() { s.blocked.Store(false) }

// CloseAllowingRebalance ends the takeover, if there is one. A static member does not leave.
func (s *modelSession) CloseAllowingRebalance() {
	s.endTakeover()
	s.w.session = nil
}

func (s *modelSession) PauseFetchPartitions(p map[string][]int32) map[string][]int32 {
	for _, n := range p[s.topic()] {
		s.paused[n] = true
	}
	return nil
}

func (s *modelSession) ResumeFetchPartitions(p map[string][]int32) {
	for _, n := range p[s.topic()] {
		delete(s.paused, n)
	}
}

func (s *modelSession) SetOffsets(map[string]map[int32]kgo.EpochOffset) {}

// modelAdmin answers questions about the cluster. Only those are steps that others may come before.
type modelAdmin struct {
	loop *loop
	th   *thread
}

func (a modelAdmin) ListTopics(ctx context.Context, topics ...string) (kadm.TopicDetails, error) {
	details := kadm.TopicDetails{}
	for _, t := range topics {
		details[t] = kadm.TopicDetail{Topic: t, ID: a.loop.c.topics[t].id}
	}
	return details, nil
}

func (a modelAdmin) list(topics []string, of func(*modelLog) int64) (kadm.ListedOffsets, error) {
	listed := kadm.ListedOffsets{}
	for _, t := range topics {
		listed[t] = map[int32]kadm.ListedOffset{}
		for p, l := range a.loop.c.topics[t].logs {
			listed[t][int32(p)] = kadm.ListedOffset{Topic: t, Partition: int32(p), Offset: of(l)}
		}
	}
	return listed, nil
}

func (a modelAdmin) ListStartOffsets(_ context.Context, topics ...string) (kadm.ListedOffsets, error) {
	return a.list(topics, func(l *modelLog) int64 { return l.start })
}

func (a modelAdmin) ListCommittedOffsets(ctx context.Context, topics ...string) (listed kadm.ListedOffsets, err error) {
	err = a.th.request(ctx, "list last stable offsets", nil, func() error {
		listed, _ = a.list(topics, (*modelLog).stable)
		return nil
	})
	return listed, err
}

func (a modelAdmin) ListEndOffsets(ctx context.Context, topics ...string) (listed kadm.ListedOffsets, err error) {
	err = a.th.request(ctx, "list offsets", nil, func() error {
		listed, _ = a.list(topics, (*modelLog).end)
		return nil
	})
	return listed, err
}

func (a modelAdmin) ListOffsetsAfterMilli(_ context.Context, at int64, topics ...string) (kadm.ListedOffsets, error) {
	return a.list(topics, func(l *modelLog) int64 {
		for _, r := range l.records[l.start:] {
			if r.Timestamp.UnixMilli() >= at {
				return r.Offset
			}
		}
		return l.end()
	})
}

func (a modelAdmin) OffsetForLeaderEpoch(_ context.Context, req kadm.OffsetForLeaderEpochRequest) (kadm.OffsetsForLeaderEpochs, error) {
	answer := kadm.OffsetsForLeaderEpochs{}
	for t, partitions := range req {
		answer[t] = map[int32]kadm.OffsetForLeaderEpoch{}
		for p, epoch := range partitions {
			answer[t][p] = kadm.OffsetForLeaderEpoch{Topic: t, Partition: p, LeaderEpoch: epoch, EndOffset: a.loop.c.log(t, p).epochEnd(epoch)}
		}
	}
	return answer, nil
}

// FetchOffsets is asked with RequireStable: partitions with a transaction pending say so.
func (a modelAdmin) FetchOffsets(ctx context.Context, _ string) (kadm.OffsetResponses, error) {
	topic, partitions := loopApp+"."+topicCandidates, map[int32]kadm.OffsetResponse{}
	err := a.th.request(ctx, "OffsetFetch", a.stable, func() error {
		for p := range int32(loopPartitions) {
			at, ok := a.loop.c.group.committed[p]
			if !ok {
				at = -1
			}
			r := kadm.OffsetResponse{Offset: kadm.Offset{Topic: topic, Partition: p, At: at}}
			if a.loop.c.pending(p) {
				r.Err = kerr.UnstableOffsetCommit
			}
			partitions[p] = r
		}
		return nil
	})
	return kadm.OffsetResponses{topic: partitions}, err
}

// stable says whether no transaction is pending on the lane's partitions: it asks again otherwise.
func (a modelAdmin) stable() bool {
	return a.th != a.th.w.run || !slices.ContainsFunc(a.th.w.lane.owned(), func(p *part) bool { return a.loop.c.pending(p.tp.partition) })
}

func (a modelAdmin) DescribeProducers(_ context.Context, of kadm.TopicsSet) (kadm.DescribedProducersTopics, error) {
	answer := kadm.DescribedProducersTopics{}
	for topic, partitions := range of {
		answer[topic] = kadm.DescribedProducersTopic{Topic: topic, Partitions: kadm.DescribedProducersPartitions{}}
		for p := range partitions {
			l, found := a.loop.c.log(topic, p), kadm.DescribedProducers{}
			for i, r := range l.records {
				if r.txn != nil && r.txn.in != nil && found[r.txn.in.pid] == (kadm.DescribedProducer{}) {
					found[r.txn.in.pid] = kadm.DescribedProducer{Topic: topic, Partition: p, ProducerID: r.txn.in.pid, ProducerEpoch: r.txn.in.epoch, CurrentTxnStartOffset: int64(i)}
				}
			}
			answer[topic].Partitions[p] = kadm.DescribedProducersPartition{Topic: topic, Partition: p, ActiveProducers: found}
		}
	}
	return answer, nil
}

func (a modelAdmin) DeleteRecords(ctx context.Context, upTo kadm.Offsets) (kadm.DeleteRecordsResponses, error) {
	return nil, a.th.request(ctx, "DeleteRecords", nil, func() error {
		for _, o := range upTo.Sorted() {
			l := a.loop.c.log(o.Topic, o.Partition)
			l.start = max(l.start, min(o.At, l.end()))
			a.loop.event("purged %s up to %d", strings.TrimPrefix(l.name, loopApp+"."), l.start)
		}
		return errNothing // what went was said
	})
}
