package processor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// examine runs the doctor, which must come to an end.
func examine(t *testing.T, cfg Config) []Check {
	t.Helper()
	checks, err := Examine(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return checks
}

// expect compares the checks of a result with texts, one each, in any order.
func expect(t *testing.T, checks []Check, r CheckResult, want ...string) {
	t.Helper()
	var got []string
	for _, c := range checks {
		if c.Result == r {
			got = append(got, fmt.Sprintf("%s %s: %s; next: %s", c.What, c.On, c.Says, c.Next))
		}
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(g string) bool { return strings.Contains(g, w) })
		if i < 0 {
			t.Errorf("no check is %s with %q; there are\n%s", r, w, strings.Join(got, "\n"))
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	if len(got) > 0 {
		t.Errorf("%s, and nobody expects it:\n%s", r, strings.Join(got, "\n"))
	}
}

// examined has the doctor look at a deployment that is well, one that is stopped, and one that much has been done to.
func examined(t *testing.T, brokers string) {
	h := newHalfway(t, brokers)
	in := h.start(h.cfg)
	in.awaitReady(h.cluster)
	checks := examine(t, h.cfg)
	expect(t, checks, CheckFail)
	expect(t, checks, CheckWarn)
	for _, what := range []string{"disk", "version", "control", "topics", "permissions", "lag", "transactions", "position", "source", "instance", "rules", "clock"} {
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.What == what && c.Result == CheckOK }) {
			t.Errorf("no check of %s in %+v", what, checks)
		}
	}
	in.stop()
	h.second()
	idle := []string{"group " + h.cfg.group(StageIngest) + ": no worker runs", "group " + h.cfg.group(StageDetect) + ": no worker runs", "group " + h.cfg.group(StageGroup) + ": no worker runs"}
	checks = examine(t, h.cfg)
	expect(t, checks, CheckFail)
	expect(t, checks, CheckWarn, idle...)
	for _, c := range checks {
		if c.What == "lag" && strings.HasSuffix(c.On, ".detect") && (len(c.Partitions) != 4 || strings.HasSuffix(c.Says, "wait: 0")) {
			t.Errorf("what ingest wrote waits for detect: %+v", c)
		}
	}

	topic, source, at := h.cfg.topic(topicCandidates), h.cfg.App+"-s3access", h.committed(StageDetect)
	h.reset(StageDetect, topic, 0, at[topic+"/0"]+3)
	h.reset(StageDetect, topic, 1, at[topic+"/1"]-3)
	var gone kadm.TopicsSet
	gone.Add(source, 1)
	if _, err := h.adm.DeleteOffsets(context.Background(), h.cfg.group(StageIngest), gone); err != nil {
		t.Fatal(err)
	}
	h.recreate(h.cfg.topic(topicGroupLog))
	if _, err := h.adm.DeleteTopic(context.Background(), h.cfg.topic(topicFindings)); err != nil {
		t.Fatal(err)
	}
	h.alter(h.cfg.topic(topicDetectLog), "cleanup.policy", "delete")
	h.alter(h.cfg.topic(topicDLQ), "retention.ms", "1000")
	h.alter(h.cfg.topic(topicDLQ), "min.insync.replicas", "2")
	var dlq []string
	for n := range 4 {
		dlq = append(dlq, fmt.Sprintf("replicas %s/%d: min.insync.replicas is 2, but it has 1 replicas", h.cfg.topic(topicDLQ), n))
	}
	state := fmt.Sprintf("current to offset %d", at[topic+"/0"])
	checks = examine(t, h.cfg)
	expect(t, checks, CheckFail,
		fmt.Sprintf("%s/0: the group is at offset %d, the state is %s only", topic, at[topic+"/0"]+3, state),
		"--stage detect --partition 1 --use store",
		"--stage ingest --topic "+source+" --partition 1 --use noted",
		h.cfg.topic(topicGroupLog)+": it was deleted and created again",
		h.cfg.topic(topicFindings)+": it is missing, though the deployment had it",
		"kafka-configs.sh --bootstrap-server BROKER --alter --topic "+h.cfg.topic(topicDetectLog)+" --add-config cleanup.policy=compact",
	)
	expect(t, checks, CheckWarn, append(append(dlq, idle...), h.cfg.topic(topicDLQ)+" --add-config retention.ms=2592000000")...)
}

// hanging has a producer leave a transaction open: the doctor names it, and where it holds readers back.
func hanging(t *testing.T, brokers string) {
	h := newHalfway(t, brokers)
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.TransactionalID("stuck"+h.cfg.App), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	source := h.cfg.App + "-cloudtrail"
	r := &kgo.Record{Topic: source, Partition: 1, Value: []byte("{}")}
	if err := cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	id, epoch, err := cl.ProducerID(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	cfg := h.cfg
	cfg.Timing.Transaction = 4 * time.Millisecond // what is open for a quarter of it is worth a warning
	who := fmt.Sprintf("transactions %s/1: a transaction of transactional id stuck%s (producer id %d, epoch %d) has been open for", source, h.cfg.App, id, epoch)
	checks := slices.DeleteFunc(examine(t, cfg), func(c Check) bool { return c.What != "transactions" })
	expect(t, checks, CheckWarn, who)
	if err := cl.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	h.await("no transaction is open", 10*time.Second, func() bool {
		return slices.ContainsFunc(examine(t, h.cfg), func(c Check) bool {
			return c.What == "transactions" && strings.HasPrefix(c.Says, "no open transaction")
		})
	})
}

// TestExamineWithoutDeployment: there is nothing yet, no source either, or not even a broker.
func TestExamineWithoutDeployment(t *testing.T) {
	t.Parallel()
	c, app := newTestCluster(t, embedded(t)), newApp()
	cfg := testConfig(c.brokers, app, "one", t.TempDir(), mustLoad(t, rules.LoadOptions{}))
	checks := examine(t, cfg)
	expect(t, checks, CheckFail, "topics "+app+"-cloudtrail: the source topic is missing", "topics "+app+"-s3access: the source topic is missing")
	if !slices.ContainsFunc(checks, func(c Check) bool { return c.What == "control" && c.Result == CheckWarn }) {
		t.Error("nobody says that no worker has run here")
	}
	cfg.Client = []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1"), kgo.RetryTimeout(time.Second), kgo.RequestRetries(1)}
	expect(t, examine(t, cfg), CheckFail, "brokers the configured addresses: no broker answers")
}

// Kafka 3.5, 3.6, 3.9 and 4.0 by the requests that tell them apart, and a broker that knows neither.
func TestVersionCheck(t *testing.T) {
	for _, test := range []struct {
		addPartitions, endTxn int16
		want                  CheckResult
	}{{3, 3, CheckFail}, {4, 3, CheckWarn}, {5, 4, CheckWarn}, {5, 5, CheckOK}, {-1, -1, CheckFail}} {
		if c := versionCheck("broker 1", "v1.2", test.addPartitions, test.endTxn); c.Result != test.want || (c.Next == "") != (c.Result == CheckOK) || !strings.Contains(c.Says, "v1.2") {
			t.Errorf("%+v: %+v", test, c)
		}
	}
}

func TestClockCheck(t *testing.T) {
	now := time.UnixMilli(1_000_000_000)
	for _, test := range []struct {
		newest  int64
		running bool
		want    CheckResult
		says    string
	}{
		{-1, true, CheckOK, "could not be compared"},
		{1_000_000_000, true, CheckOK, "0s ago"},
		{1_000_000_000 + 900, true, CheckOK, "0s ago"},
		{1_000_000_000 + 90_000, true, CheckWarn, "it is 1m30s behind the brokers"},
		{1_000_000_000 - 90_000, true, CheckWarn, "it may be ahead of the brokers"},
		{1_000_000_000 - 90_000, false, CheckOK, "nothing was written for 1m30s"},
	} {
		if c := clockCheck(now, test.newest, test.running); c.Result != test.want || !strings.Contains(c.Says, test.says) {
			t.Errorf("%d, running %v: %+v, want %s, %s", test.newest, test.running, c, test.want, test.says)
		}
	}
}

// A transaction is routine while it is young, waits for its coordinator, or hangs for ever; who can end it follows.
func TestOpenTransactionCheck(t *testing.T) {
	cfg := Config{App: "app", Timing: Timing{Transaction: 40 * time.Second}}
	now := time.Now()
	for _, test := range []struct {
		id, state    string
		age, timeout time.Duration
		want         CheckResult
		next         string
	}{
		{"app-detect-one-0", "Ongoing", 5 * time.Second, 40 * time.Second, CheckOK, ""},
		{"app-detect-one-0", "Ongoing", 30 * time.Second, 40 * time.Second, CheckWarn, "firstseen leave -c FILE one"},
		{"loader", "Ongoing", 30 * time.Second, time.Minute, CheckWarn, "end its producer, or wait"},
		{"loader", "Ongoing", 2 * time.Minute, time.Minute, CheckFail, "abort --topic in --partition 2 --start-offset 7"},
		{"loader", "CompleteAbort", 30 * time.Second, time.Minute, CheckFail, "abort --topic in"},
		{"", "", 5 * time.Second, 0, CheckOK, ""},
		{"", "", 30 * time.Second, 0, CheckFail, "abort --topic in"},
	} {
		tx := openTransaction{id: test.id, state: test.state, began: now.Add(-test.age), timeout: test.timeout, places: map[topicPartition]int64{{"in", 2}: 7, {"out", 0}: 1}}
		c := tx.check(&cfg, now)
		if c.Result != test.want || !strings.Contains(c.Next, test.next) || c.On != "in/2 and 1 more" || !strings.Contains(c.Says, "since offset 7") {
			t.Errorf("%+v: %+v", test, c)
		}
	}
}

// The name of a lane says whose it is, also where the names of instances and apps have dashes.
func TestLaneOf(t *testing.T) {
	cfg := Config{App: "my-app"}
	for name, want := range map[string]string{"my-app-detect-a-0": "a", "my-app-detect-a-b-12": "a-b", "my-app-detect-a-0-1": "a-0",
		"my-app-detect-0": "", "my-app-detect-a-x": "", "my-app-group-a-0": "", "other-detect-a-0": ""} {
		if got, ok := cfg.laneOf(StageDetect, name); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}
