package processor

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// What an operator meets, on the embedded broker; operate_kafka_test.go shows the same on Apache Kafka.

func TestExamined(t *testing.T) { t.Parallel(); examined(t, embedded(t)) }
func TestHanging(t *testing.T)  { t.Parallel(); hanging(t, embedded(t)) }
func TestRedriven(t *testing.T) { t.Parallel(); redrivenOnce(t, embedded(t)) }
func TestLeave(t *testing.T)    { t.Parallel(); leaves(t, embedded(t)) }

// TestLag: a partition that an open transaction holds up gives the reader nothing, but its lag shows what waits; and what
// one worker gives up is measured by the next alone.
func TestLag(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set := mustLoad(t, rules.LoadOptions{})
	one := c.start(testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), set))
	one.awaitReady(c)

	stuck, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.TransactionalID("stuck"+app), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if err := stuck.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	source := app + "-cloudtrail"
	r := &kgo.Record{Topic: source, Partition: 1, Value: []byte("{}")}
	if err := stuck.ProduceSync(context.Background(), r, r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.await("the lag is 2", 30*time.Second, func() bool { return one.counted("lag", "ingest", source, "1") == 2 })
	if err := stuck.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	c.await("nothing waits", 30*time.Second, func() bool { return one.counted("lag", "ingest", source, "1") <= 1 }) // its marker

	two := c.start(testConfig(brokers, app, "two", filepath.Join(t.TempDir(), "state"), set))
	const all = 4
	c.await("each measures what it has", 30*time.Second, func() bool {
		a, _ := one.series("lag", "ingest")
		b, _ := two.series("lag", "ingest")
		return a > 0 && b > 0 && a+b == all
	})
	one.stop()
	two.stop()
}
