package processor

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokers makes the connections of a lane: to the cluster of the configuration, or to a modelled one in tests.
type brokers interface {
	// join makes a session that reads the lane's topics as a member of its group. It may call the lane's takeOver,
	// assigned and release as soon as made is closed. When ctx ends, so do all its requests.
	join(ctx context.Context, l *lane, made <-chan struct{}) (session, error)
	// ask makes a client for questions that must not be answered from what an older one remembers.
	ask() (adm admin, end func(), err error)
	// read makes a consumer of partitions from given offsets on, which goes nowhere else by itself; markers are records,
	// too, if they are asked for.
	read(l *lane, from map[string]map[int32]kgo.Offset, level kgo.IsolationLevel, markers bool) (reader, error)
}

// session is one client with one transaction at a time. Its methods are those of [kgo.GroupTransactSession] and
// [kgo.Client], with one difference: what is to be changed in the offsets that a commit sends is an argument of End.
type session interface {
	admin
	ProducerID(ctx context.Context) (int64, int16, error)
	Begin() error
	PollRecords(ctx context.Context, limit int) kgo.Fetches
	Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error))
	Flush(ctx context.Context) error
	End(ctx context.Context, try kgo.TransactionEndTry, fence func(*kmsg.TxnOffsetCommitRequest) error) (bool, error)
	AllowRebalance()
	CloseAllowingRebalance()
	PauseFetchPartitions(map[string][]int32) map[string][]int32
	ResumeFetchPartitions(map[string][]int32)
	SetOffsets(map[string]map[int32]kgo.EpochOffset)
}

// admin is what a lane asks of the brokers, and has them delete. Its methods are those of [kadm.Client].
type admin interface {
	ListTopics(ctx context.Context, topics ...string) (kadm.TopicDetails, error)
	ListStartOffsets(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)
	ListCommittedOffsets(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)
	ListEndOffsets(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)
	ListOffsetsAfterMilli(ctx context.Context, millisecond int64, topics ...string) (kadm.ListedOffsets, error)
	OffsetForLeaderEpoch(ctx context.Context, r kadm.OffsetForLeaderEpochRequest) (kadm.OffsetsForLeaderEpochs, error)
	FetchOffsets(ctx context.Context, group string) (kadm.OffsetResponses, error)
	DescribeProducers(ctx context.Context, s kadm.TopicsSet) (kadm.DescribedProducersTopics, error)
	DeleteRecords(ctx context.Context, upTo kadm.Offsets) (kadm.DeleteRecordsResponses, error)
}

// reader reads without a group. Its methods are those of [kgo.Client].
type reader interface {
	PollRecords(ctx context.Context, limit int) kgo.Fetches
	PauseFetchPartitions(map[string][]int32) map[string][]int32
	ResumeFetchPartitions(map[string][]int32)
	Close()
}

// kafkaBrokers is the cluster of the configuration.
type kafkaBrokers struct{ cfg *Config }

func (c kafkaBrokers) join(ctx context.Context, l *lane, made <-chan struct{}) (session, error) {
	s, err := kgo.NewGroupTransactSession(append(l.options(made), kgo.WithContext(ctx))...)
	if err != nil {
		return nil, err
	}
	return kafkaSession{s, kadm.NewClient(s.Client())}, nil
}

func (c kafkaBrokers) ask() (admin, func(), error) {
	cl, err := kgo.NewClient(c.cfg.ClientOptions()...)
	if err != nil {
		return nil, nil, err
	}
	return kadm.NewClient(cl), cl.Close, nil
}

func (c kafkaBrokers) read(l *lane, from map[string]map[int32]kgo.Offset, level kgo.IsolationLevel, markers bool) (reader, error) {
	opts := c.cfg.ClientOptions(
		kgo.FetchIsolationLevel(level), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(512<<10), // records that fit into a processor's cache
		kgo.FetchMaxWait(25*time.Millisecond), // a fetch that waits at the end of one partition holds up that of the next
		kgo.WithLogger(clientLog{l.log}),
	)
	opts = append(opts, l.w.memory.Options()...)
	if markers {
		opts = append(opts, kgo.KeepControlRecords())
	}
	return newReaders(from, opts)
}

type kafkaSession struct {
	*kgo.GroupTransactSession
	*kadm.Client
}

func (s kafkaSession) client() *kgo.Client { return s.GroupTransactSession.Client() }

func (s kafkaSession) ProducerID(ctx context.Context) (int64, int16, error) {
	return s.client().ProducerID(ctx)
}

func (s kafkaSession) Flush(ctx context.Context) error { return s.client().Flush(ctx) }

func (s kafkaSession) End(ctx context.Context, try kgo.TransactionEndTry, fence func(*kmsg.TxnOffsetCommitRequest) error) (bool, error) {
	return s.GroupTransactSession.End(kgo.PreTxnCommitFnContext(ctx, fence), try)
}

func (s kafkaSession) PauseFetchPartitions(p map[string][]int32) map[string][]int32 {
	return s.client().PauseFetchPartitions(p)
}

func (s kafkaSession) ResumeFetchPartitions(p map[string][]int32) {
	s.client().ResumeFetchPartitions(p)
}

func (s kafkaSession) SetOffsets(o map[string]map[int32]kgo.EpochOffset) { s.client().SetOffsets(o) }
