package processor

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/devbroker"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/wire"
	"firstseen/state"
	"firstseen/traffic"
)

// long is a deployment whose changelog of detect is too long for one fetch, with the worker stopped and its store lost.
type long struct {
	*cluster
	broker *devbroker.Broker
	app    string
	topic  string // the changelog
	set    *rules.Set
	filled map[int32]int64 // offset behind the filling, by partition
	cfg    Config
}

func newLong(t *testing.T) *long {
	t.Helper()
	b := broker(t)
	l := &long{cluster: newTestCluster(t, b.Addr()), broker: b, app: newApp(), set: mustLoad(t, rules.LoadOptions{Set: noCap}), filled: map[int32]int64{}}
	l.topic = l.app + "." + topicDetectLog
	l.createSources(l.app, 2, nil)
	inputs, _ := load(t, l.app, 41, 600, 2)
	if err := produce(l.cl, inputs, 0); err != nil {
		t.Fatal(err)
	}
	l.cfg = testConfig(b.Addr(), l.app, "one", filepath.Join(t.TempDir(), "first"), l.set)
	l.cfg.Leave = true // nobody waits for it to come back
	l.runUntilDrained(l.cfg)
	l.cfg.Leave = false
	l.cfg.StateDir += "-lost"
	return l
}

func termKey(set *rules.Set, address string) []byte {
	return stage.TermKey(nil, set.Rule(traffic.NewTermsRule).State(), []string{address})
}

// fill adds about two fetches of terms to each partition of the changelog.
func (l *long) fill() {
	l.t.Helper()
	rnd, now := rand.New(rand.NewPCG(1, 1)), time.Now().UnixMilli()
	var records []*kgo.Record
	for n := range 160_000 {
		value, err := wire.AppendTerm(nil, &wire.Term{FirstSeen: now - rnd.Int64N(1e9), LastSeen: now - rnd.Int64N(1e8), SweepAt: now + 1e10, Count: rnd.Int64N(1e9)})
		if err != nil {
			l.t.Fatal(err)
		}
		address := fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255)
		records = append(records, &kgo.Record{Topic: l.topic, Partition: int32(n % 4), Key: termKey(l.set, address), Value: value})
	}
	l.write(records...)
	for _, r := range records {
		l.filled[r.Partition] = max(l.filled[r.Partition], r.Offset+1)
	}
}

func (l *long) write(records ...*kgo.Record) {
	l.t.Helper()
	if err := l.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

// halt keeps what was filled in from being read behind the first fetch, until the handle is removed.
func (l *long) halt() *kfake.FaultHandle {
	id := l.broker.Cluster.TopicInfo(l.topic).TopicID
	return l.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, TopicID: id, Err: kerr.KafkaStorageError, Count: -1, When: func(req kmsg.Request) bool {
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			for _, p := range topic.Partitions {
				if topic.TopicID == id && p.FetchOffset > 2000 && p.FetchOffset < l.filled[p.Partition] {
					return true
				}
			}
		}
		return false
	}})
}

// fetched notes where each partition of the changelog was first read from.
func (l *long) fetched() (first func() map[int32]int64) {
	id, asked := l.broker.Cluster.TopicInfo(l.topic).TopicID, map[int32]int64{}
	h := l.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(req kmsg.Request) bool {
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			for _, p := range topic.Partitions {
				if at, ok := asked[p.Partition]; topic.TopicID == id && (!ok || p.FetchOffset < at) {
					asked[p.Partition] = p.FetchOffset
				}
			}
		}
		return true
	}})
	return func() map[int32]int64 { h.Remove(); return asked }
}

// TestInterruptedRestore kills a worker in the middle of the restore of a lost store. The next one reads the rest, no
// record twice. How far the restore is can be seen meanwhile.
func TestInterruptedRestore(t *testing.T) {
	t.Parallel()
	l := newLong(t)
	offsets := map[int32]*kgo.Record{}
	for _, r := range l.read(l.topic) {
		if string(r.Key) == state.OffsetKey {
			offsets[r.Partition] = &kgo.Record{Topic: l.topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
		}
	}
	l.fill()
	for range 2 { // the last batch is not cleaned
		for _, r := range offsets {
			l.write(&kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value})
		}
	}
	l.broker.Cluster.Compact() // now nothing in what is read first tells how young it is
	halt := l.halt()
	w := startWorker(t, workerSpec{Brokers: l.brokers, App: l.app, Instance: "one", Dir: l.cfg.StateDir, Set: noCap})
	l.await("the restore has come as far as it can", 30*time.Second, func() bool { return halt.Hits() > 8 })
	w.kill()
	halt.Remove()

	stands, done, rest := positions(t, l.cfg.StateDir)[state.Detect], int64(0), 0
	for n, at := range stands { // some partitions may not have had their turn
		if done += at; at >= l.filled[int32(n)] {
			t.Errorf("partition %d stands at %d of %d: the restore was not interrupted", n, at, l.filled[int32(n)])
		}
	}
	if done == 0 {
		t.Error("the restore had not begun")
	}
	for _, r := range l.read(l.topic) {
		if r.Offset >= stands[r.Partition] {
			rest++
		}
	}
	first := l.fetched()
	in := l.start(l.cfg)
	in.awaitReady(l.cluster)
	for n, at := range first() {
		if at != stands[n] {
			t.Errorf("%s/%d: the store stood at %d, the changelog was read from %d", l.topic, n, stands[n], at)
		}
	}
	// And the barriers of this worker.
	if got := in.counted("restore_records_total", "detect"); got < float64(rest) || got > float64(rest+16) {
		t.Errorf("%v records were read again or left out: %d were left", got, rest)
	}
}

// TestRestoreIsSeen looks at a restore that is halted.
func TestRestoreIsSeen(t *testing.T) {
	t.Parallel()
	l := newLong(t)
	l.fill()
	halt := l.halt()
	in := l.start(l.cfg)
	var seen string
	l.await("the restore is in the notes", 30*time.Second, func() bool {
		n := slices.IndexFunc(in.Notes(), func(s string) bool { return strings.Contains(s, "to go") })
		if n >= 0 {
			seen = in.Notes()[n]
		}
		return n >= 0
	})
	var done, of, percent, records int
	var rate float64
	_, err := fmt.Sscanf(seen[strings.Index(seen, "changelog: "):], "changelog: %d of %d partitions, %d %%, %d records read, %f a second,", &done, &of, &percent, &records, &rate)
	if err != nil || done != 0 || of != 4 || percent < 1 || percent > 99 || records < 1000 || rate <= 0 {
		t.Errorf("%q: %v", seen, err)
	}
	if left, eta := in.counted("restore_remaining", "detect"), in.counted("restore_seconds_left", "detect"); left < 1000 || eta <= 0 {
		t.Errorf("%v left, %v s", left, eta)
	}
	if len(in.NotReady()) == 0 {
		t.Error("ready while restoring")
	}
	halt.Remove()
	in.awaitReady(l.cluster)
	if left, eta := in.counted("restore_remaining"), in.counted("restore_seconds_left"); left != 0 || eta != 0 || len(in.Notes()) > 0 {
		t.Errorf("after it: %v left, %v s, %q", left, eta, in.Notes())
	}
}

// TestSlowRestore has a restore take so long that the changelog no longer has a deletion which was there when it began:
// the key was read before, its tombstone was to be read after. The key must not come back.
func TestSlowRestore(t *testing.T) {
	t.Parallel()
	l := newLong(t)
	const retention = 4 * time.Second
	value, settings := fmt.Sprint(retention.Milliseconds()), kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	settings.Name, settings.Value = "delete.retention.ms", &value
	l.alter(l.topic, settings)
	key := termKey(l.set, "192.0.2.77")
	term, err := wire.AppendTerm(nil, &wire.Term{Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	l.write(&kgo.Record{Topic: l.topic, Partition: 1, Key: key, Value: term})
	l.fill()
	tombstone := &kgo.Record{Topic: l.topic, Partition: 1, Key: key}
	l.write(tombstone)
	halt := l.halt()
	in := l.start(l.cfg)
	l.await("the restore has come as far as it can", 30*time.Second, func() bool { return halt.Hits() > 8 })
	time.Sleep(time.Until(tombstone.Timestamp.Add(retention + 500*time.Millisecond))) // the time is the point
	l.broker.Cluster.Compact()
	halt.Remove()
	in.awaitReady(l.cluster)
	in.stop()
	if _, back := readStates(t, []string{l.cfg.StateDir}, 4).Terms[string(key)]; back {
		t.Error("a deleted key is back")
	}
}

func (l *long) alter(topic string, setting kmsg.IncrementalAlterConfigsRequestResourceConfig) {
	l.t.Helper()
	req, resource := kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName, resource.Configs = kmsg.ConfigResourceTypeTopic, topic, append(resource.Configs, setting)
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(context.Background(), l.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// TestExpelledWhileTakingOver has a lane lose its partitions after it was told their offsets, before it has written its
// barriers. Another takes them over and goes on, so the first finds the state ahead of its offset. That is nothing for an
// operator to look into: the lane waits for the group to tell it.
func TestExpelledWhileTakingOver(t *testing.T) {
	t.Parallel()
	l := newLong(t)
	first := l.cfg
	first.Stages = []Stage{StageDetect}
	first.Timing.Session, first.Timing.Rebalance, first.Timing.Heartbeat = 50*time.Second, 50*time.Second, 40*time.Second // it hears late
	group, lane := first.group(StageDetect), first.laneName(StageDetect, 0)
	halt := l.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: l.topic, Err: kerr.NotEnoughReplicas, Count: -1, When: func(req kmsg.Request) bool {
		for _, topic := range req.(*kmsg.ProduceRequest).Topics {
			for _, p := range topic.Partitions {
				if bytes.Contains(p.Records, []byte(lane)) { // its barrier
					return true
				}
			}
		}
		return false
	}})
	one := l.start(first)
	l.await("the lane has written barriers in vain", 30*time.Second, func() bool { return halt.Hits() > 0 })
	if _, err := l.adm.LeaveGroup(context.Background(), kadm.LeaveGroup(group).InstanceIDs(lane)); err != nil {
		t.Fatal(err)
	}
	second := l.cfg
	second.Instance, second.StateDir = "two", filepath.Join(t.TempDir(), "state")
	two := l.start(second)
	inputs, _ := load(t, l.app, 47, 600, 2)
	if err := produce(l.cl, inputs, 0); err != nil {
		t.Fatal(err)
	}
	l.awaitDrained(l.app, 30*time.Second)
	halt.Remove()
	l.await("the lane has restored", 30*time.Second, func() bool { return one.counted("restore_records_total") > 0 })
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) { // it would be soon
		if one.counted("partitions_quarantined") > 0 {
			t.Fatalf("a partition that another owns is in quarantine: %q", one.NotReady())
		}
	}
	one.stop()
	two.stop()
}
