package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// beginner is a deployment that begins, with a clock that stands: what is old and what is new is as the test says.
type beginner struct {
	*cluster
	app string
	now time.Time
	cfg Config
}

func newBeginner(t *testing.T, brokers string, partitions int32) *beginner {
	b := &beginner{cluster: newTestCluster(t, brokers), app: newApp(), now: time.Now()}
	b.createSources(b.app, partitions, nil)
	b.cfg = testConfig(brokers, b.app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{Set: noCap}))
	return b
}

// record is an anonymous read some time ago; Kafka got it at once.
func (b *beginner) record(topic string, partition int32, address string, ago time.Duration) *kgo.Record {
	at := b.now.Add(-ago).Truncate(time.Second)
	return &kgo.Record{Topic: b.app + "-" + topic, Partition: partition, Value: []byte(anonymous(address, at)), Timestamp: at}
}

func (b *beginner) send(records ...*kgo.Record) {
	b.t.Helper()
	if err := b.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// found waits until the deployment is noted in control.
func (b *beginner) found() {
	b.t.Helper()
	b.await("the deployment is founded", 30*time.Second, func() bool {
		topics, err := b.adm.ListTopics(context.Background(), b.app+".group.changelog", b.app+".control")
		if err != nil || topics.Error() != nil {
			return false
		}
		return slices.ContainsFunc(b.read(b.app+".control"), func(r *kgo.Record) bool { return string(r.Key) == keyDeployment })
	})
}

// answers are the alerts, and the suppressed ones with their reason, by address.
func (b *beginner) answers() (lines []string) {
	b.t.Helper()
	for _, topic := range []string{".alerts", ".suppressed"} {
		for _, r := range b.read(b.app + topic) {
			var d document
			if err := json.Unmarshal(r.Value, &d); err != nil {
				b.t.Fatal(err)
			}
			line := strings.TrimPrefix(d.Firstseen.NewTerms.Values[0], "192.0.2.")
			if d.Timestamp.Before(b.now.Add(-2 * time.Hour)) {
				line += " old"
			}
			if !d.Firstseen.NewTerms.Complete {
				line += " incomplete"
			}
			if why := headerOf(r, "firstseen-suppressed"); why != "" {
				line += " " + why
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// learningModes: address 1 was seen 20 days ago, 2 five days ago, 3 an hour ago; then all come again, and 4.
func learningModes(t *testing.T, brokers string) {
	now, day := time.Now(), 24*time.Hour // now is asked again by each, some seconds later
	for _, test := range []struct {
		name string
		Learning
		want []string
	}{
		{"history", Learning{Mode: LearnHistory}, []string{"1", "4"}},
		{"nothing", Learning{Mode: LearnNothing}, []string{"1", "1 old incomplete", "2 old", "3", "4"}},
		{"everything", Learning{Mode: LearnEverything}, []string{"1", "4"}},
		{"since a time", Learning{Mode: LearnSince, Time: now.Add(-2 * day)}, []string{"1 incomplete", "2 incomplete", "4 incomplete"}},
		{"skip", Learning{Mode: SkipEverything}, []string{"1 incomplete", "2 incomplete", "3 incomplete", "4 incomplete"}},
		{"hold", Learning{Mode: HoldUntil, Time: now.Add(-10 * time.Minute)}, []string{"1 incomplete", "2 incomplete", "3 incomplete", "4 incomplete", "5 incomplete learning"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBeginner(t, brokers, 1)
			b.cfg.Learning = test.Learning
			b.send(b.record("cloudtrail", 0, "192.0.2.1", 20*day), b.record("cloudtrail", 0, "192.0.2.2", 5*day), b.record("cloudtrail", 0, "192.0.2.3", time.Hour))
			in := b.start(b.cfg)
			b.found()
			if test.Mode == HoldUntil {
				b.send(b.record("cloudtrail", 0, "192.0.2.5", 30*time.Minute))
			}
			for n := range 4 {
				b.send(b.record("cloudtrail", 0, fmt.Sprint("192.0.2.", n+1), time.Minute))
			}
			b.awaitDrained(b.app, 30*time.Second)
			in.stop()
			if got := b.answers(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// learnedTail: the ends of the source partitions are markers: of a transaction that was committed, and of one that was
// aborted, with its records. No consumer gets to the offset at which alerting begins, and yet it does.
func learnedTail(t *testing.T, brokers string) {
	b := newBeginner(t, brokers, 2)
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(b.app+"-source"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for n, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(context.Background(), b.record("cloudtrail", int32(n), fmt.Sprint("192.0.2.", n+1), time.Hour)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(context.Background(), end); err != nil {
			t.Fatal(err)
		}
	}
	b.cfg.Learning = Learning{Mode: LearnEverything}
	in := b.start(b.cfg)
	b.found()
	b.send(b.record("cloudtrail", 0, "192.0.2.1", 0), b.record("cloudtrail", 1, "192.0.2.2", 0))
	b.awaitDrained(b.app, 30*time.Second)
	in.stop()
	if got, want := b.answers(), []string{"2 incomplete"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: what was committed is known, what was aborted is not", got, want)
	}
}

// learnedTopic: a topic that is added later has its own history to learn. The deployment's other topic alerts meanwhile.
func laterTopic(t *testing.T, brokers string) {
	b := newBeginner(t, brokers, 1)
	trail := b.cfg.Sources[:1]
	both := b.cfg.Sources
	b.cfg.Learning, b.cfg.Sources = Learning{Mode: LearnHistory}, trail
	in := b.start(b.cfg)
	b.found()
	b.send(b.record("cloudtrail", 0, "192.0.2.1", time.Minute))
	b.awaitDrained(b.app, 30*time.Second)
	in.stop()
	b.send(b.record("s3access", 0, "192.0.2.2", time.Hour)) // the topic has another name than what is in it
	b.cfg.Sources, b.cfg.ChangeSources = both, true
	in = b.start(b.cfg)
	in.awaitReady(b.cluster)
	b.send(b.record("s3access", 0, "192.0.2.2", 0), b.record("s3access", 0, "192.0.2.3", 0), b.record("cloudtrail", 0, "192.0.2.4", 0))
	b.awaitDrained(b.app, 30*time.Second)
	in.stop()
	if got, want := b.answers(), []string{"1 incomplete", "3 incomplete", "4 incomplete"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// quarantinedWhileLearning: a partition that cannot be read keeps the others from alerting only until that is noted.
func quarantinedWhileLearning(t *testing.T, brokers string) {
	b := newBeginner(t, brokers, 1)
	b.send(b.record("cloudtrail", 0, "192.0.2.1", time.Hour), b.record("s3access", 0, "192.0.2.2", time.Hour))
	b.cfg.Learning = Learning{Mode: LearnHistory}
	b.cfg.Stages = []Stage{StageDetect, StageGroup} // it founds the deployment and reads no source
	in := b.start(b.cfg)
	b.found()
	in.stop()
	topic := b.app + "-s3access"
	if _, err := b.adm.DeleteTopic(context.Background(), topic); err != nil {
		t.Fatal(err)
	}
	b.await("the topic is created again", 20*time.Second, func() bool {
		_, err := b.adm.CreateTopic(context.Background(), 1, -1, nil, topic)
		return err == nil
	})
	b.cfg.Stages = Stages
	in = b.start(b.cfg)
	in.awaitReady(b.cluster, "was deleted and created again")
	b.send(b.record("cloudtrail", 0, "192.0.2.1", 0), b.record("cloudtrail", 0, "192.0.2.3", 0))
	b.await("the other partition alerts", 30*time.Second, func() bool {
		return slices.Equal(b.answers(), []string{"3 incomplete"})
	})
	in.stop()
	// The new topic is meant: it is waited for, though nobody has read it yet who could take the note back.
	b.cfg.Stages, b.cfg.ChangeSources = []Stage{StageDetect, StageGroup}, true
	in = b.start(b.cfg)
	in.awaitReady(b.cluster)
	in.stop()
	if b.note("learn/0001") == nil || b.note(sourceKey(prefixQuarantine, topic, 0)) != nil {
		t.Error("the new topic is not learned, or still noted as one that is in quarantine")
	}
}

// note is the value of a key of control.
func (b *beginner) note(key string) (value []byte) {
	b.t.Helper()
	for _, r := range b.read(b.app + ".control") {
		if string(r.Key) == key {
			value = r.Value
		}
	}
	return value
}

// learnedBesideOthers: what is last in a partition of a later topic is aborted after learning has begun. Its lane always
// has something to do by then, as the other topic is busy, and yet that topic goes live.
func learnedBesideOthers(t *testing.T, brokers string) {
	b := newBeginner(t, brokers, 2)
	both := b.cfg.Sources
	b.cfg.Learning, b.cfg.Sources = Learning{Mode: LearnHistory}, both[:1]
	in := b.start(b.cfg)
	in.awaitReady(b.cluster)
	in.stop()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(b.app+"-source"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(context.Background(), b.record("s3access", 0, "192.0.2.2", time.Hour)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	busy, silence := context.WithTimeout(context.Background(), 40*time.Second) // it ends even if this test hangs
	silent := make(chan struct{})
	go func() {
		defer close(silent)
		for n := 0; ; n++ {
			if err := b.cl.ProduceSync(busy, b.record("cloudtrail", int32(n%2), "192.0.2.1", time.Minute)).FirstErr(); err != nil {
				return
			}
		}
	}()
	defer func() { silence(); <-silent }()
	b.cfg.Sources, b.cfg.ChangeSources = both, true
	in = b.start(b.cfg)
	b.await("the busy topic alerts", 30*time.Second, func() bool { return slices.Equal(b.answers(), []string{"1 incomplete"}) })
	if err := cl.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	b.send(b.record("s3access", 1, "192.0.2.3", 0))
	b.await("the later topic alerts", 30*time.Second, func() bool {
		return slices.Equal(b.answers(), []string{"1 incomplete", "3 incomplete"})
	})
	select {
	case <-silent:
		t.Error("it alerted only when the other topic fell silent")
	default:
	}
	in.stop()
}

// foundedAndKilled: the founder is killed before it says what it runs. What is learned after the restart is the whole
// history, as it would have been.
func foundedAndKilled(t *testing.T, brokers string) {
	b := newBeginner(t, brokers, 1)
	b.send(b.record("cloudtrail", 0, "192.0.2.1", 20*24*time.Hour), b.record("cloudtrail", 0, "192.0.2.2", time.Hour))
	b.cfg.Learning = Learning{Mode: LearnHistory}
	w, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.control.Close()
	in := b.start(b.cfg)
	in.awaitReady(b.cluster)
	b.send(b.record("cloudtrail", 0, "192.0.2.3", 0))
	b.awaitDrained(b.app, 30*time.Second)
	in.stop()
	if got, want := b.answers(), []string{"3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUnlearned: at no time are all offsets stable, as others commit. Each has been found at live once: that will do.
func TestUnlearned(t *testing.T) {
	answer := func(at ...int64) kadm.OffsetResponses {
		all := kadm.OffsetResponses{}
		for p, at := range at {
			o := kadm.OffsetResponse{Offset: kadm.Offset{Topic: "t", Partition: int32(p), At: at}}
			if at < 0 {
				o.Err = kerr.UnstableOffsetCommit
			}
			all.Add(o)
		}
		return all
	}
	r := &Round{Topics: map[string]LearnedTopic{"t": {ID: "id", Live: []int64{5, 0, 7}}, "gone": {ID: "id", Live: []int64{9}}}}
	l := &lane{w: &Worker{topicIDs: map[string]string{"t": "id"}, control: &control{values: map[string][]byte{}}}, past: map[topicPartition]bool{}}
	for _, step := range []struct {
		offsets kadm.OffsetResponses
		want    int
	}{{answer(), 3}, {answer(4, 0, -1), 2}, {answer(-1, -1, 7), 1}, {answer(5, -1, -1), 0}} {
		if got := l.unlearned(r, step.offsets); got != step.want {
			t.Errorf("%v: %d have not been learned, want %d", step.offsets, got, step.want)
		}
	}
}
