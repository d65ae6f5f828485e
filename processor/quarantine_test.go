package processor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// halfway is a deployment that has processed half of a load, and read the other half as far as candidates. Its worker
// has stopped and left its groups, so that offsets can be changed by hand.
type halfway struct {
	*cluster
	cfg    Config
	second func() // reads the second half as far as candidates
	judge  func() verdict
}

func newHalfway(t *testing.T, brokers string) *halfway {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 5, 2000, 2)
	h := &halfway{cluster: c, cfg: testConfig(brokers, app, "one", dir, set)}
	h.cfg.Leave, h.cfg.Timing.Recheck = true, time.Second
	h.second = func() {
		if err := produce(c.cl, inputs[1000:], 0); err != nil {
			t.Fatal(err)
		}
		cfg := h.cfg
		cfg.Stages = []Stage{StageIngest}
		in := c.start(cfg)
		for _, topic := range []string{app + "-cloudtrail", app + "-s3access"} {
			c.await("ingest reads "+topic, 30*time.Second, func() bool { return c.drained(app+".ingest", topic) })
		}
		in.stop()
	}
	h.judge = func() verdict {
		return judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set)
	}
	if err := produce(c.cl, inputs[:1000], 0); err != nil {
		t.Fatal(err)
	}
	c.runUntilDrained(h.cfg)
	return h
}

// committed returns the offsets of a stage's group, by topic and partition.
func (h *halfway) committed(s Stage) map[string]int64 {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	offsets, err := stableOffsets(ctx, h.adm, h.cfg.group(s))
	if err != nil {
		h.t.Fatal(err)
	}
	at := map[string]int64{}
	offsets.Each(func(o kadm.Offset) { at[topicPartition{o.Topic, o.Partition}.String()] = o.At })
	return at
}

// reset does what kafka-consumer-groups --reset-offsets does.
func (h *halfway) reset(s Stage, topic string, partition int32, to int64) {
	h.t.Helper()
	var o kadm.Offsets
	o.AddOffset(topic, partition, to, -1)
	if resp, err := h.adm.CommitOffsets(context.Background(), h.cfg.group(s), o); err != nil || resp.Error() != nil {
		h.t.Fatal(err, resp.Error())
	}
}

// ask makes a request and returns the answer of one partition.
func (h *halfway) ask(r Request) (answer string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := Ask(ctx, h.cfg, r, func(_, done string) { answer += done }); err != nil {
		h.t.Fatalf("%+v: %v", r, err)
	}
	return answer
}

// offsetsReset moves the offsets of two detect partitions by hand, one ahead and one behind. Either would lose or repeat
// candidates, so these partitions wait and say what to do, and the others go on.
func offsetsReset(t *testing.T, brokers string) {
	h := newHalfway(t, brokers)
	h.second()
	topic, before := h.cfg.topic(topicCandidates), h.committed(StageDetect)
	at := func(partition int32) int64 { return before[topicPartition{topic, partition}.String()] }
	h.reset(StageDetect, topic, 0, at(0)+3)
	h.reset(StageDetect, topic, 1, at(1)-3)
	in := h.start(h.cfg)
	in.awaitReady(h.cluster,
		fmt.Sprintf("partition %s/0 is in quarantine: group %s is at offset %d", topic, h.cfg.group(StageDetect), at(0)+3),
		"firstseen state reset --stage detect --partition 1 --use store")
	h.await("the other partitions go on", 20*time.Second, func() bool {
		now := h.committed(StageDetect)
		return now[topic+"/2"] > at(2) && now[topic+"/3"] > at(3)
	})
	if now := h.committed(StageDetect); now[topic+"/0"] != at(0)+3 || now[topic+"/1"] != at(1)-3 {
		t.Errorf("offsets of the partitions in quarantine have moved: %v, were %v", now, before)
	}
	for n := range int32(2) {
		want := fmt.Sprintf("reads on at offset %d", at(n))
		if got := h.ask(Request{Stage: StageDetect, Partition: n, Use: UseStore}); got != want {
			t.Errorf("partition %d: %q, want %q", n, got, want)
		}
	}
	in.awaitReady(h.cluster)
	h.awaitDrained(h.cfg.App, time.Minute)
	in.stop()
	if v := h.judge(); v != (verdict{}) {
		t.Error(v)
	}
}

// useCommitted goes on where somebody has put the offsets: candidates are read twice, or not at all, and the answer says
// how many. A partition with nothing more to read answers too, and is well after a restart.
func useCommitted(t *testing.T, brokers string) {
	h := newHalfway(t, brokers)
	topic, before := h.cfg.topic(topicCandidates), h.committed(StageDetect)
	h.reset(StageDetect, topic, 0, before[topic+"/0"]-5)
	h.second()
	ends, err := h.adm.ListEndOffsets(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 1)
	h.reset(StageDetect, topic, 1, end.Offset)
	in := h.start(h.cfg)
	in.awaitReady(h.cluster, topic+"/0 is in quarantine", topic+"/1 is in quarantine")
	for n, want := range []string{"repeats 5 offsets", fmt.Sprintf("skips %d offsets", end.Offset-before[topic+"/1"])} {
		if got := h.ask(Request{Stage: StageDetect, Partition: int32(n), Use: UseCommitted}); !strings.Contains(got, want) {
			t.Errorf("partition %d: %q, want %q", n, got, want)
		}
	}
	in.awaitReady(h.cluster)
	h.awaitDrained(h.cfg.App, time.Minute)
	in.stop()
	if v := h.judge(); v.duplicate > 0 || v.wrong > 0 || v.missing == 0 {
		t.Errorf("%s; want alerts missing for what was skipped, and none twice for what was repeated", v)
	}
	in = h.start(h.cfg)
	in.awaitReady(h.cluster)
	in.stop()
}

// offsetsGone deletes committed offsets, as Kafka does when a group was empty for a week. Detect and group have noted
// them beside their state. Ingest has noted them in control; they may be a little old, so a person must say so.
func offsetsGone(t *testing.T, brokers string) {
	h := newHalfway(t, brokers)
	h.second()
	source := h.cfg.App + "-cloudtrail"
	before := h.committed(StageIngest)[source+"/1"]
	var gone kadm.TopicsSet
	gone.Add(source, 1)
	if _, err := h.adm.DeleteOffsets(context.Background(), h.cfg.group(StageIngest), gone); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Stage{StageDetect, StageGroup} {
		if _, err := h.adm.DeleteGroup(context.Background(), h.cfg.group(s)); err != nil {
			t.Fatal(err)
		}
	}
	in := h.start(h.cfg)
	in.awaitReady(h.cluster, fmt.Sprintf("%s/1 is in quarantine: the committed offset of group %s for %[1]s/1 is gone, but it had been read to offset %[3]d: "+
		"reading it again would repeat alerts; run: firstseen state reset --stage ingest --topic %[1]s --partition 1 --use noted", source, h.cfg.group(StageIngest), before))
	if got, want := h.ask(Request{Stage: StageIngest, Topic: source, Partition: 1, Use: UseNoted}), fmt.Sprintf("reads on at offset %d", before); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	in.awaitReady(h.cluster)
	h.awaitDrained(h.cfg.App, time.Minute)
	in.stop()
	if v := h.judge(); v != (verdict{}) {
		t.Error(v)
	}
}

// TestUnreadableRecords puts records of tomorrow's schemas, and records of nobody's, where only our own can be: in front
// of a stage and in a changelog. Those partitions wait, the others go on, and nothing of it is a dead letter.
func TestUnreadableRecords(t *testing.T) {
	t.Parallel()
	h := newHalfway(t, embedded(t))
	newer := append([]byte{0xC3, 0x01}, "ofthefuture"...) // a single-object header
	candidates, changelog := h.cfg.topic(topicCandidates), h.cfg.topic(topicGroupLog)
	for _, r := range []*kgo.Record{
		{Topic: candidates, Partition: 2, Value: newer}, {Topic: candidates, Partition: 3, Value: []byte("nothing of ours")},
		{Topic: changelog, Partition: 0, Value: newer}, {Topic: changelog, Partition: 1, Value: []byte("nothing of ours")},
	} {
		r.Key = []byte("key")
		if err := h.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	in := h.start(h.cfg)
	findings := h.cfg.topic(topicFindings)
	in.awaitReady(h.cluster, candidates+"/2 is in quarantine", candidates+"/3 is in quarantine", findings+"/0 is in quarantine", findings+"/1 is in quarantine")
	for _, why := range in.NotReady() {
		if upgrade := strings.Contains(why, "/2 ") || strings.Contains(why, "/0 "); upgrade != strings.Contains(why, "upgrade this worker") {
			t.Errorf("%s; upgrade is the answer: %v", why, upgrade)
		}
	}
	before := len(h.read(h.cfg.topic(topicAlerts)))
	var news []*kgo.Record
	for n := range 40 {
		news = append(news, &kgo.Record{Topic: h.cfg.App + "-cloudtrail", Value: []byte(anonymous(fmt.Sprintf("198.51.100.%d", n), day0.AddDate(0, 6, 0)))})
	}
	if err := h.cl.ProduceSync(context.Background(), news...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	h.await("the other partitions go on", 20*time.Second, func() bool { return len(h.read(h.cfg.topic(topicAlerts))) > before })
	if dead := h.read(h.cfg.topic(topicDLQ)); len(dead) > 0 {
		t.Errorf("%d dead letters", len(dead))
	}
	in.stop()
}

// TestRecreatedTopics deletes topics and creates them again. The offsets and the state of old are about other records, so
// what they belong to waits. A source may have been meant to be a new one: then it is read from its beginning.
func TestRecreatedTopics(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		topic   string
		waiting []string
	}{
		{"-cloudtrail", []string{"-cloudtrail/0 is in quarantine: topic APP-cloudtrail was deleted and created again", "-cloudtrail/1 is in quarantine"}},
		{".candidates", []string{"candidates/0 is in quarantine: topic APP.candidates was deleted and created again", "start a deployment with another app name", "candidates/2 ", "candidates/3 "}},
		{".group.changelog", []string{"findings/0 is in quarantine: the changelog APP.group.changelog was deleted and created again", "findings/1 ", "findings/2 ", "findings/3 "}},
	} {
		t.Run(test.topic, func(t *testing.T) {
			h := newHalfway(t, embedded(t))
			h.recreate(h.cfg.App + test.topic)
			in := h.start(h.cfg)
			for i := range test.waiting {
				test.waiting[i] = strings.ReplaceAll(test.waiting[i], "APP", h.cfg.App)
			}
			in.awaitReady(h.cluster, test.waiting...)
			in.stop()
			if test.topic != "-cloudtrail" {
				return
			}
			h.cfg.ChangeSources = true
			r := &kgo.Record{Topic: h.cfg.App + "-cloudtrail", Value: []byte(anonymous("198.51.100.1", day0.AddDate(0, 6, 0)))}
			fresh := newTestCluster(t, h.brokers) // a client remembers the ids of topics
			if err := fresh.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			h.runUntilDrained(h.cfg)
			if !slices.ContainsFunc(h.read(h.cfg.topic(topicAlerts)), func(r *kgo.Record) bool { return strings.Contains(string(r.Value), "198.51.100.1") }) {
				t.Error("no alert of the first record of the new topic")
			}
		})
	}
}

// recreate deletes a topic and creates it with the same partitions and settings.
func (h *halfway) recreate(topic string) {
	h.t.Helper()
	ctx := context.Background()
	details, err := h.adm.ListTopics(ctx, topic)
	if err != nil {
		h.t.Fatal(err)
	}
	configs := map[string]*string{}
	for _, p := range h.cfg.Plan() {
		for k, v := range p.Configs {
			if p.Name == topic {
				configs[k] = &v
			}
		}
	}
	if _, err := h.adm.DeleteTopic(ctx, topic); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.adm.CreateTopic(ctx, int32(len(details[topic].Partitions)), -1, configs, topic); err != nil {
		h.t.Fatal(err)
	}
}
