package devbroker

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// txn produces records in a transaction of their own and ends it.
func (b bench) txn(cl *kgo.Client, topic string, end kgo.TransactionEndTry, records ...string) {
	b.T.Helper()
	if err := cl.BeginTransaction(); err != nil {
		b.T.Fatal(err)
	}
	b.produce(cl, topic, records...)
	if err := cl.EndTransaction(b.context(), end); err != nil {
		b.T.Fatal(err)
	}
}

func TestReadCommittedSeesCommittedOnly(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "out"}}})
	tx := b.client(kgo.TransactionalID("t"))
	b.txn(tx, "out", kgo.TryCommit, "a=1", "b=2")
	b.txn(tx, "out", kgo.TryAbort, "c=3")
	b.txn(tx, "out", kgo.TryCommit, "d=4")
	b.want("out", "a=1", "b=2", "d=4")
}

func TestOpenTransactionHoldsTheStableOffset(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "out"}}})
	tx := b.client(kgo.TransactionalID("t"))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.produce(tx, "out", "a=1")
	b.produce(b.client(), "out", "b=2")
	if p := b.Cluster.PartitionInfo("out", 0); p.LastStableOffset != 0 || p.HighWatermark != 2 {
		t.Errorf("stable offset %d, high watermark %d, want 0 and 2", p.LastStableOffset, p.HighWatermark)
	}
}

// A restarted producer frees its predecessor's transaction at once, and the predecessor can only fail.
func TestSuccessorFencesPredecessor(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "out"}}})
	old := b.client(kgo.TransactionalID("t"))
	if err := old.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.produce(old, "out", "zombie=1")
	next := b.client(kgo.TransactionalID("t"))
	if _, _, err := next.ProducerID(b.context()); err != nil {
		t.Fatal(err)
	}
	if p := b.Cluster.PartitionInfo("out", 0); p.LastStableOffset != p.HighWatermark {
		t.Errorf("stable offset %d, high watermark %d: the transaction is still open", p.LastStableOffset, p.HighWatermark)
	}
	if err := old.EndTransaction(b.context(), kgo.TryCommit); err == nil { // INVALID_TXN_STATE here, PRODUCER_FENCED from Kafka
		t.Error("the predecessor could commit")
	}
	b.txn(next, "out", kgo.TryCommit, "a=1")
	b.want("out", "a=1")
}

func TestTransactionTimesOut(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "out"}}})
	tx := b.client(kgo.TransactionalID("t"), kgo.TransactionTimeout(100*time.Millisecond))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.produce(tx, "out", "late=1")
	b.want("out") // waits until the broker has aborted
	if err := tx.EndTransaction(b.context(), kgo.TryCommit); err == nil {
		t.Error("a transaction that had timed out was committed")
	}
}

// One turn of a worker: read, write, commit the offsets in the same transaction. An aborted turn is read again.
func TestConsumeAndProduceInOneTransaction(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in"}, {Name: "out"}}})
	b.produce(b.client(), "in", "a=1", "b=2")
	s := b.session("s", "in")
	for turn, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		b.turn(s, 2)
		if committed, err := s.End(b.context(), end); err != nil || committed != bool(end) {
			t.Fatalf("turn %d: committed %v, %v", turn, committed, err)
		}
	}
	b.want("out", "a=1", "b=2")
	if at := b.stable("group", "in"); at != 2 {
		t.Errorf("committed offset %d, want 2", at)
	}
}

// A stable OffsetFetch waits for the transaction that carries offsets.
func TestStableOffsetFetchRefusesWhileOpen(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in"}, {Name: "out"}}})
	b.produce(b.client(), "in", "a=1")
	s := b.session("s", "in")
	b.turn(s, 1)
	member, generation := s.Client().GroupMetadata()
	if err := b.txnOffsets(s.Client(), member, generation, 1); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = "group", []kmsg.OffsetFetchRequestGroupTopic{{Topic: "in", TopicID: b.Cluster.TopicInfo("in").TopicID, Partitions: []int32{0}}}
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(b.context(), b.client(kgo.RetryTimeout(time.Millisecond), kgo.RequestRetries(0)))
	if err == nil {
		err = kerr.ErrorForCode(resp.Groups[0].Topics[0].Partitions[0].ErrorCode)
	}
	if !errors.Is(err, kerr.UnstableOffsetCommit) {
		t.Errorf("stable fetch during the transaction: %v", err)
	}
	if err := b.txnOffsets(s.Client(), member, generation-1, 1); !errors.Is(err, kerr.IllegalGeneration) {
		t.Errorf("offsets of an old generation: %v", err)
	}
}

// txnOffsets sends offset at for partition 0 of "in" in the open transaction of cl.
func (b bench) txnOffsets(cl *kgo.Client, member string, generation int32, at int64) error {
	id, epoch, err := cl.ProducerID(b.context())
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = "s", id, epoch, "group"
	if resp, err := add.RequestWith(b.context(), cl); err != nil || resp.ErrorCode != 0 {
		return errors.Join(err, kerr.ErrorForCode(resp.ErrorCode))
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = "s", id, epoch, "group"
	req.MemberID, req.Generation = member, generation
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = at
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "in", TopicID: b.Cluster.TopicInfo("in").TopicID, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
	resp, err := req.RequestWith(b.context(), cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// session is a lane as the worker makes it.
func (b bench) session(id, topic string, opts ...kgo.Opt) *kgo.GroupTransactSession {
	b.T.Helper()
	s, err := kgo.NewGroupTransactSession(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addr()), kgo.TransactionalID(id), kgo.ConsumerGroup("group"), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.InstanceID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(s.CloseAllowingRebalance)
	return s
}

// turn begins a transaction, reads n records and produces a copy of each to "out".
func (b bench) turn(s *kgo.GroupTransactSession, n int) {
	b.T.Helper()
	if err := s.Begin(); err != nil {
		b.T.Fatal(err)
	}
	for n > 0 {
		fs := s.PollFetches(b.context())
		if err := fs.Err(); err != nil {
			b.T.Fatal(err)
		}
		for r := range fs.RecordsAll() {
			if err := s.Client().ProduceSync(b.context(), &kgo.Record{Topic: "out", Key: r.Key, Value: r.Value}).FirstErr(); err != nil {
				b.T.Fatal(err)
			}
			n--
		}
		s.AllowRebalance()
	}
}

// stable is the committed offset of partition 0 when no transaction holds one back.
func (b bench) stable(group, topic string) int64 {
	b.T.Helper()
	got, err := kadm.NewClient(b.client()).FetchOffsets(kadm.RequireStable(b.context()), group)
	if err != nil {
		b.T.Fatal(err)
	}
	o, _ := got.Lookup(topic, 0)
	return o.At
}
