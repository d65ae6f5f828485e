package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// stopInMidLoad stops a worker while it is busy. It commits what it has in hand: no transaction is left open, no work
// was for nothing, and the offsets that ingest notes in control are those it has committed.
func stopInMidLoad(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 31, 6000, 2)
	if err := produce(c.cl, inputs, 0); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(brokers, app, "one", dir, set)
	cfg.Commit.Messages = 100
	turns, busy := atomic.Int64{}, make(chan struct{})
	cfg.hooks.beforeEnd = func() {
		if turns.Add(1) == 10 {
			close(busy)
		}
	}
	cfg.hooks.abort = func() bool { return false }
	in := c.start(cfg)
	<-busy
	in.stop()
	if c.drained(app+".ingest", app+"-cloudtrail") {
		t.Error("all was read before the stop: this shows nothing")
	}
	open, err := c.adm.ListTransactions(context.Background(), nil, []string{"Ongoing"})
	if err != nil {
		t.Fatal(err)
	}
	for id := range open {
		if strings.HasPrefix(id, app) {
			t.Errorf("transaction of %s is open", id)
		}
	}
	for _, topic := range []string{topicCandidates, topicFindings, topicAlerts, topicDetectLog, topicGroupLog} {
		if aborted := c.aborted(app + "." + topic); aborted > 0 {
			t.Errorf("%d transactions aborted in %s", aborted, topic)
		}
	}
	h := &halfway{cluster: c, cfg: cfg}
	notes, committed := map[string]int64{}, h.committed(StageIngest)
	for _, r := range c.read(app + ".control") {
		if partition, ok := strings.CutPrefix(string(r.Key), prefixOffset); ok {
			var n offsetNote
			if err := json.Unmarshal(r.Value, &n); err != nil {
				t.Fatal(err)
			}
			notes[partition] = n.Next
		}
	}
	if fmt.Sprint(notes) != fmt.Sprint(committed) || len(notes) == 0 {
		t.Errorf("noted in control: %v, committed: %v", notes, committed)
	}
	c.runUntilDrained(cfg)
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
}

// aborted counts the abort markers in a topic.
func (c *cluster) aborted(topic string) (n int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ends, err := c.adm.ListEndOffsets(ctx, topic)
	if err != nil {
		c.t.Fatal(err)
	}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	ends.Each(func(e kadm.ListedOffset) {
		if e.Offset > 0 {
			left[e.Partition], from[e.Partition] = e.Offset, kgo.NewOffset().AtStart()
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.brokers, ",")...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.KeepControlRecords())
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("read %s: %v left", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Attrs.IsControl() && len(r.Key) == 4 && r.Key[3] == 0 { // version and type, 0 aborts
				n++
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return n
}

// historyStart reads partitions that begin at different times. An alert says since when addresses have been recorded
// everywhere, and whether that is a whole history; a restart does not change it.
func historyStart(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	for n, step := range []struct {
		partition, day int
		start          int // day of history_start
		complete       bool
	}{
		{0, 0, 0, false}, {0, 6, 0, false}, {0, 8, 0, true},
		{1, 9, 9, false}, {0, 10, 9, false}, {0, 17, 9, true}, {1, 18, 9, true},
	} {
		address := fmt.Sprintf("198.51.100.%d", n)
		r := &kgo.Record{Topic: app + "-cloudtrail", Partition: int32(step.partition), Value: []byte(anonymous(address, day0.AddDate(0, 0, step.day)))}
		if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c.runUntilDrained(cfg)
		d, ok := c.alerts(app)[address]
		if nt := d.Firstseen.NewTerms; !ok || !nt.Start.Equal(day0.AddDate(0, 0, step.start)) || nt.Complete != step.complete {
			t.Errorf("partition %d, day %d: history since %s, complete %v; want day %d, %v", step.partition, step.day, nt.Start, nt.Complete, step.start, step.complete)
		}
	}
}
