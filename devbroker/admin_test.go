package devbroker

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTopicSettingsAreDescribedAsCreated(t *testing.T) {
	b := start(t, Options{})
	adm := kadm.NewClient(b.client())
	want := map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "segment.bytes": "67108864",
		"min.cleanable.dirty.ratio": "0.2", "max.compaction.lag.ms": "3600000", "delete.retention.ms": "604800000"}
	configs := make(map[string]*string)
	for k, v := range want {
		configs[k] = kadm.StringPtr(v)
	}
	if _, err := adm.CreateTopic(b.context(), 16, -1, configs, "log"); err != nil {
		t.Fatal(err)
	}
	described := func() map[string]string {
		t.Helper()
		rc, err := adm.DescribeTopicConfigs(b.context(), "log")
		if err != nil || rc[0].Err != nil {
			t.Fatal(err, rc)
		}
		got := make(map[string]string)
		for _, c := range rc[0].Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				got[c.Key] = c.MaybeValue()
			}
		}
		return got
	}
	for k, v := range want {
		if got := described()[k]; got != v {
			t.Errorf("%s is %q, want %q", k, got, v)
		}
	}
	alter := func(key, value string) error {
		r, err := adm.AlterTopicConfigs(b.context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, "log")
		if err != nil {
			return err
		}
		return r[0].Err
	}
	if err := alter("retention.ms", "1000"); err != nil || described()["retention.ms"] != "1000" {
		t.Errorf("altered retention.ms: %v, %q", err, described()["retention.ms"])
	}
	if err := alter("max.compaction.lag.ms", "1"); err != nil || described()["max.compaction.lag.ms"] != "1" {
		t.Errorf("altered max.compaction.lag.ms: %v, %q", err, described()["max.compaction.lag.ms"])
	}
	if _, err := adm.CreateTopic(b.context(), 16, -1, nil, "log"); !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("second creation: %v", err)
	}
}

// Only the id tells a recreated topic from the one it replaced.
func TestRecreatedTopicHasAnotherID(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in"}}})
	id := func() kadm.TopicID {
		t.Helper()
		topics, err := kadm.NewClient(b.client()).ListTopics(b.context(), "in")
		if err != nil || topics["in"].Err != nil {
			t.Fatal(err, topics["in"].Err)
		}
		return topics["in"].ID
	}
	before := id()
	adm := kadm.NewClient(b.client())
	if _, err := adm.DeleteTopic(b.context(), "in"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(b.context(), 1, -1, nil, "in"); err != nil {
		t.Fatal(err)
	}
	if after := id(); after == before || after == (kadm.TopicID{}) {
		t.Errorf("id %v, before %v", after, before)
	}
}

func TestDeletedRecordsAreOutOfRange(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in"}}})
	b.produce(b.client(), "in", "a=1", "b=2", "c=3")
	offsets := make(kadm.Offsets)
	offsets.AddOffset("in", 0, 2, -1)
	adm := kadm.NewClient(b.client())
	if r, err := adm.DeleteRecords(b.context(), offsets); err != nil || r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	starts, err := adm.ListStartOffsets(b.context(), "in")
	if o, _ := starts.Lookup("in", 0); err != nil || o.Offset != 2 {
		t.Errorf("log starts at %d, %v", o.Offset, err)
	}
	cl := b.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"in": {0: kgo.NewOffset().At(0)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err := cl.PollFetches(b.context()).Err(); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("reading from 0: %v", err)
	}
	b.want("in", "c=3")
}

func TestOffsetForLeaderEpoch(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in"}}})
	b.produce(b.client(), "in", "a=1", "b=2")
	var req kadm.OffsetForLeaderEpochRequest
	req.Add("in", 0, 0)
	r, err := kadm.NewClient(b.client()).OffsetForLeaderEpoch(b.context(), req)
	if got := r["in"][0]; err != nil || got.Err != nil || got.EndOffset != 2 || got.LeaderEpoch != 0 {
		t.Errorf("%+v, %v: want epoch 0 to end at 2", got, err)
	}
}

func TestRecordsKeepHeadersTimesAndNulls(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "in", Partitions: 2}}})
	sent := &kgo.Record{Topic: "in", Partition: 1, Value: []byte("v"), Timestamp: time.UnixMilli(1577836800123),
		Headers: []kgo.RecordHeader{{Key: "k", Value: []byte("1")}, {Key: "k"}}}
	if err := b.client().ProduceSync(b.context(), sent).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cl := b.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"in": {1: kgo.NewOffset().AtStart()}}))
	got := cl.PollFetches(b.context()).Records()[0]
	if got.Key != nil || string(got.Value) != "v" || !got.Timestamp.Equal(sent.Timestamp) || got.LeaderEpoch != 0 || got.Partition != 1 {
		t.Errorf("read %+v", got)
	}
	if len(got.Headers) != 2 || string(got.Headers[0].Value) != "1" || got.Headers[1].Key != "k" {
		t.Errorf("headers %v", got.Headers)
	}
}

func TestTopicBoundsMessageSize(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "small", Configs: map[string]string{"max.message.bytes": "1000"}}}})
	err := b.client(kgo.ProducerBatchCompression(kgo.NoCompression())).ProduceSync(b.context(), &kgo.Record{Topic: "small", Value: make([]byte, 2000)}).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("2000 bytes where 1000 are allowed: %v", err)
	}
}

func TestCompactOnDemandKeepsTheLastOfEachKey(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "log", Configs: map[string]string{"cleanup.policy": "compact"}}}})
	tx := b.client(kgo.TransactionalID("t"))
	b.txn(tx, "log", kgo.TryCommit, "a=1", "b=1")
	b.txn(tx, "log", kgo.TryCommit, "a=2")
	b.txn(tx, "log", kgo.TryAbort, "b=never")
	b.produce(b.client(), "log", "last=1") // the active batch is never cleaned
	b.Cluster.Compact()
	b.want("log", "b=1", "a=2", "last=1")
}

// kfake's own cleaner must not run: it drops what only an open transaction supersedes.
func TestNothingIsCompactedByItself(t *testing.T) {
	b := start(t, Options{Topics: []Topic{{Name: "log", Configs: map[string]string{"cleanup.policy": "compact"}}}})
	rc, err := kadm.NewClient(b.client()).DescribeBrokerConfigs(b.context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rc[0].Configs, func(c kadm.Config) bool { return c.Key == "log.cleaner.backoff.ms" })
	if i < 0 {
		t.Fatal("no log.cleaner.backoff.ms")
	}
	if d, err := time.ParseDuration(rc[0].Configs[i].MaybeValue() + "ms"); err != nil || d < 100*365*24*time.Hour {
		t.Errorf("kfake compacts every %v, %v", d, err)
	}
}
