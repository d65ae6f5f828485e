package kafka

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/bench/gen"
)

// broker boots a broker with topics of two partitions and returns its address.
func broker(t *testing.T, topics ...string) (string, *kadm.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	adm, err := Admin(c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(adm.Close)
	return c.ListenAddrs()[0], adm
}

// transaction produces values to the topic alerts, and commits them or not.
func transaction(t *testing.T, address string, end kgo.TransactionEndTry, values ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("alerts"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Partition: int32(i % 2), Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

const alertA, alertB = `{"rule":"new_terms","source":"192.0.2.1","event_time":"2026-01-05T00:15:03Z","event_id":"a"}`,
	`{"rule":"new_terms","source":"192.0.2.2","event_time":"2026-01-05T00:15:03Z","event_id":"b"}`

// What was aborted was never said: it is neither a duplicate nor an answer.
func TestCheckCountsCommittedAlertsOnly(t *testing.T) {
	address, adm := broker(t, "alerts")
	path := filepath.Join(t.TempDir(), "expected.json")
	expected := gen.Expected{Alerts: []gen.Alert{{Rule: gen.NewTerms, Key: "192.0.2.1", EventID: "a"}, {Rule: gen.NewTerms, Key: "192.0.2.2", EventID: "b"}}}
	if err := expected.Write(path); err != nil {
		t.Fatal(err)
	}
	check := func(from Offsets, want gen.Verdict) {
		t.Helper()
		if got, err := Check(t.Context(), address, "alerts", from, path); err != nil || got != want {
			t.Errorf("%+v %v, want %+v", got, err, want)
		}
	}
	check(Offsets{}, gen.Verdict{Expected: 2, Missing: 2})
	transaction(t, address, kgo.TryAbort, alertA, alertB)
	check(Offsets{}, gen.Verdict{Expected: 2, Missing: 2})
	transaction(t, address, kgo.TryCommit, alertA)
	check(Offsets{}, gen.Verdict{Expected: 2, Seen: 1, Missing: 1})
	transaction(t, address, kgo.TryCommit, alertA, alertB)
	transaction(t, address, kgo.TryAbort, alertA, alertB)
	check(Offsets{}, gen.Verdict{Expected: 2, Seen: 3, Duplicate: 1})
	transaction(t, address, kgo.TryCommit, "no JSON")
	check(Offsets{}, gen.Verdict{Expected: 2, Seen: 4, Duplicate: 1, Wrong: 1})
	end, err := EndOffsets(t.Context(), adm, "alerts")
	if err != nil {
		t.Fatal(err)
	}
	transaction(t, address, kgo.TryCommit, alertB)
	check(end, gen.Verdict{Expected: 2, Seen: 1, Missing: 1})
}

func TestRecreateEmptiesATopic(t *testing.T) {
	address, adm := broker(t, "alerts")
	transaction(t, address, kgo.TryCommit, alertA, alertB)
	for range 2 {
		if err := Recreate(t.Context(), adm, "alerts", 3); err != nil {
			t.Fatal(err)
		}
	}
	end, err := EndOffsets(t.Context(), adm, "alerts")
	if err != nil || len(end["alerts"]) != 3 || end.Sum() != 0 {
		t.Errorf("%v %v", end, err)
	}
}

func TestForgetDeletesByPrefix(t *testing.T) {
	address, adm := broker(t, "cloudtrail", "app-001.alerts", "app-001-in", "app-002.alerts")
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"", []string{"app-001-in", "app-001.alerts", "app-002.alerts", "cloudtrail"}},
		{"app-001", []string{"app-002.alerts", "cloudtrail"}},
	} {
		if err := Forget(context.Background(), adm, []string{"nobody"}, c.prefix); err != nil {
			t.Fatal(err)
		}
		observer, err := Admin(address) // it remembers nothing
		if err != nil {
			t.Fatal(err)
		}
		defer observer.Close()
		topics, err := observer.ListTopics(t.Context())
		if err != nil || !slices.Equal(topics.Names(), c.want) {
			t.Errorf("%q: %v %v, want %v", c.prefix, topics.Names(), err, c.want)
		}
	}
}

// Groups share the work, or follow one another: what one of them has committed is done.
func TestCommittedTakesTheFurthest(t *testing.T) {
	_, adm := broker(t, "cloudtrail", "internal")
	commit := func(group, topic string, partition int32, at int64) {
		t.Helper()
		o := kadm.Offsets{}
		o.AddOffset(topic, partition, at, -1)
		if err := adm.CommitAllOffsets(t.Context(), group, o); err != nil {
			t.Fatal(err)
		}
	}
	commit("one", "cloudtrail", 0, 5)
	commit("two", "cloudtrail", 0, 7)
	commit("two", "cloudtrail", 1, 200) // past the end: at most what there is
	commit("two", "internal", 0, 1000)
	start, end := Offsets{"cloudtrail": {0: 2, 1: 0}}, Offsets{"cloudtrail": {0: 100, 1: 50}}
	got, err := Committed(t.Context(), adm, []string{"one", "two", "none"}, start, end)
	if err != nil || got.Done != 5+50 || !slices.Equal(got.Groups, []int64{5, 1207, 0}) {
		t.Errorf("%+v %v", got, err)
	}
}
