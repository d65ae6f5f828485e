package processor

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// sourceGap deletes records of a source that were never read, as retention does while a worker is down. By default the
// partition waits and says how many there were; told to continue, the worker says it once, in an alert.
func sourceGap(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	source := app + "-cloudtrail"
	send := func(partition int32, addresses ...int) {
		t.Helper()
		for _, n := range addresses {
			r := &kgo.Record{Topic: source, Partition: partition, Value: []byte(anonymous(fmt.Sprintf("198.51.100.%d", n), day0))}
			if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(0, 1, 2)
	send(1, 3)
	c.runUntilDrained(cfg)
	send(0, 4, 5, 6, 7)
	if err := c.deleteRecords(source, 0, 5); err != nil {
		t.Fatal(err)
	}
	send(1, 8)

	in := c.start(cfg)
	in.awaitReady(c, source+"/0 begins at offset 5, but the next to read is 2: the topic's retention deleted 3 records that were never read")
	c.await("the other partition goes on", 10*time.Second, func() bool { _, ok := c.alerts(app)["198.51.100.8"]; return ok })
	in.stop()
	if alerts := c.alerts(app); len(alerts) != 4 {
		t.Errorf("%d alerts while the partition waits, want 4", len(alerts))
	}

	cfg.SourceGapContinue = true
	in = c.start(cfg)
	c.awaitDrained(app, 30*time.Second)
	if got := in.counted("source_gap_records_total", source); got != 3 {
		t.Errorf("counted %v records, want 3", got)
	}
	in.stop()
	c.runUntilDrained(cfg) // after a restart nothing is said again
	gaps := 0
	for _, r := range c.read(app + ".alerts") {
		if strings.Contains(string(r.Value), `"status":"gap"`) {
			gaps++
			for _, want := range []string{source, `"gap"`, "3"} {
				if !strings.Contains(string(r.Value), want) {
					t.Errorf("the gap alert does not have %s: %s", want, r.Value)
				}
			}
		}
	}
	if alerts := c.alerts(app); gaps != 1 || len(alerts) != 6 {
		t.Errorf("%d gap alerts, %d in all; want 1 and 6: %v", gaps, len(alerts), alerts)
	}
}

// TestGapWithoutNews: the gap is told although nothing comes after it.
func TestGapWithoutNews(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	cfg.SourceGapContinue = true
	for n := range 2 {
		r := &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(anonymous("198.51.100.1", day0))}
		if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			c.runUntilDrained(cfg)
		}
	}
	if err := c.deleteRecords(app+"-cloudtrail", 0, -1); err != nil {
		t.Fatal(err)
	}
	in := c.start(cfg)
	c.await("the gap is told", 20*time.Second, func() bool { _, ok := c.alerts(app)[" gap"]; return ok })
	in.stop()
}

// purges shows that a lane deletes what it has consumed and what is old enough, and no more than that.
func purges(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	c.found(cfg)
	topic := cfg.topic(topicCandidates)
	starts := func() (at [4]int64) {
		t.Helper()
		list, err := c.adm.ListStartOffsets(context.Background(), topic)
		if err == nil {
			err = list.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		list.Each(func(o kadm.ListedOffset) { at[o.Partition] = o.Offset })
		return at
	}
	for n := range 40 {
		if err := c.cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: int32(n % 4), Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	written := time.Now()
	c.await("the records have an age", time.Second, func() bool { return time.Since(written) > 20*time.Millisecond })
	for _, test := range []struct {
		age  time.Duration
		want [4]int64
	}{{-1, [4]int64{}}, {time.Hour, [4]int64{}}, {time.Millisecond, [4]int64{0, 3, 10, 0}}} {
		cfg.PurgeAfter = test.age
		w, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l := w.newLane(StageDetect, 0)
		l.parts = map[topicPartition]*part{}
		for n, committed := range []int64{0, 3, 10} { // partition 3 is another lane's
			tp := topicPartition{topic, int32(n)}
			l.parts[tp] = &part{tp: tp, committed: committed, base: committed, next: committed}
		}
		l.purge(context.Background(), c.adm)
		if got := starts(); got != test.want {
			t.Errorf("purge after %s: the partitions begin at %v, want %v", test.age, got, test.want)
		}
	}
}
