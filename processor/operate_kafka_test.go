//go:build kafka

package processor

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"firstseen/internal/testkafka"
	"firstseen/rules"
)

func TestKafkaExamined(t *testing.T) { t.Parallel(); examined(t, kafka(t)) }
func TestKafkaHanging(t *testing.T)  { t.Parallel(); hanging(t, kafka(t)) }
func TestKafkaRedriven(t *testing.T) { t.Parallel(); redrivenOnce(t, kafka(t)) }
func TestKafkaLeave(t *testing.T)    { t.Parallel(); leaves(t, kafka(t)) }

func TestKafkaDiskNearlyFull(t *testing.T) {
	t.Parallel()
	// Longer than a lane that does not heartbeat would be kept, in all; then it still has its partitions.
	nearlyFull(t, kafka(t), func(string) { time.Sleep(3 * time.Second) })
}

// authorized starts a broker with Kafka's own authorizer. denied begins a denial, and returns what ends it.
func authorized(t *testing.T) (brokers string, denied func(rule func(b *kadm.ACLBuilder, app string)) func(app string) func()) {
	brokers = strings.Join(testkafka.Start(t, 1, "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "allow.everyone.if.no.acl.found=true").Brokers(), ",")
	c := newTestCluster(t, brokers)
	return brokers, func(rule func(b *kadm.ACLBuilder, app string)) func(app string) func() {
		return func(app string) func() {
			// What has any rule needs one that allows.
			all := kadm.NewACLs().Allow("User:*").AllowHosts("*").ResourcePatternType(kadm.ACLPatternPrefixed).Topics(app).Groups(app).TransactionalIDs(app).Operations(kadm.OpAll)
			if _, err := c.adm.CreateACLs(context.Background(), all); err != nil {
				t.Fatal(err)
			}
			b := kadm.NewACLs().Deny("User:ANONYMOUS").DenyHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
			rule(b, app)
			created, err := c.adm.CreateACLs(context.Background(), b)
			if err != nil || slices.ContainsFunc(created, func(r kadm.CreateACLsResult) bool { return r.Err != nil }) {
				t.Fatal(created, err)
			}
			return func() {
				deleted, err := c.adm.DeleteACLs(context.Background(), b)
				if err != nil || slices.ContainsFunc(deleted, func(r kadm.DeleteACLsResult) bool { return r.Err != nil || len(r.Deleted) == 0 }) {
					t.Error(deleted, err)
				}
			}
		}
	}
}

// TestKafkaRefusedWhileRunning has a real authorizer deny things to a worker.
func TestKafkaRefusedWhileRunning(t *testing.T) {
	t.Parallel()
	brokers, denied := authorized(t)
	refusedWhileRunning(t, brokers,
		obstacle{"no permission to write", denied(func(b *kadm.ACLBuilder, app string) { b.Topics(app + ".alerts").Operations(kadm.OpWrite) }), saysWrite, "-group-one-0"},
		obstacle{"no permission to read", denied(func(b *kadm.ACLBuilder, app string) { b.Topics(app + "-cloudtrail").Operations(kadm.OpRead) }), saysRead, "-ingest-one-0"},
		obstacle{"no permission for the group", denied(func(b *kadm.ACLBuilder, app string) { b.Groups(app + ".detect").Operations(kadm.OpRead) }), saysGroup, "-detect-one-0"},
	)
}

// TestKafkaRefusedAtTheStart has a real authorizer deny things to a worker that starts.
func TestKafkaRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	brokers, denied := authorized(t)
	refusedAtTheStart(t, brokers,
		obstacle{name: "a source may not be seen", begin: denied(func(b *kadm.ACLBuilder, app string) {
			b.Topics(app+"-cloudtrail").Operations(kadm.OpDescribe, kadm.OpRead)
		}), reason: "source topic APP-cloudtrail: TOPIC_AUTHORIZATION_FAILED"},
		obstacle{name: "control may not be read", begin: denied(func(b *kadm.ACLBuilder, app string) { b.Topics(app + ".control").Operations(kadm.OpRead) }), reason: "read APP.control: "},
		obstacle{name: "control may not be written", begin: denied(func(b *kadm.ACLBuilder, app string) { b.Topics(app + ".control").Operations(kadm.OpWrite) }), reason: "to APP.control: TOPIC_AUTHORIZATION_FAILED"},
		obstacle{name: "settings may not be seen", begin: denied(func(b *kadm.ACLBuilder, app string) { b.Topics(app + ".findings").Operations(kadm.OpDescribeConfigs) }), reason: "describe topic settings"},
		obstacle{name: "no transactional id", begin: denied(func(b *kadm.ACLBuilder, app string) {
			b.TransactionalIDs(app + "-detect-one-0").Operations(kadm.OpWrite)
		}), reason: "fence APP-detect-one-0"},
	)
}

// TestKafkaTooFewReplicas kills a broker where a topic wants all of its replicas in sync. The doctor says which topic it is.
func TestKafkaTooFewReplicas(t *testing.T) {
	t.Parallel()
	kafka := testkafka.Start(t, 3)
	c := newTestCluster(t, strings.Join(kafka.Brokers(), ","))
	refusedWhileRunning(t, c.brokers, obstacle{"too few replicas", func(app string) func() {
		c.alter(app+".alerts", "min.insync.replicas", "3")
		kafka.Kill(t, 3)
		return func() {
			checks := examine(t, testConfig(c.brokers, app, "one", t.TempDir(), mustLoad(t, rules.LoadOptions{Set: noCap})))
			if !slices.ContainsFunc(checks, func(c Check) bool {
				return c.Result == CheckFail && c.What == "replicas" && c.On == app+".alerts/0" && c.Says == "2 replicas are in sync, min.insync.replicas is 3: nothing can be written"
			}) {
				t.Errorf("the doctor does not see it: %+v", checks)
			}
			c.alter(app+".alerts", "min.insync.replicas", "2")
		}
	}, saysMinISR, "-group-one-0"})
}

// TestKafkaHangingTransaction leaves a transaction in a changelog that no coordinator knows of, as brokers before 4.0 can:
// nobody ever ends it. The restore is given up and says whose it is, the doctor says that it hangs, and the command that
// the doctor prints ends it.
func TestKafkaHangingTransaction(t *testing.T) {
	t.Parallel()
	brokers := strings.Join(testkafka.Start(t, 1, "transaction.partition.verification.enable=false").Brokers(), ",")
	h := newHalfway(t, brokers)
	h.second()
	changelog := h.cfg.topic(topicDetectLog)
	id, epoch, start := h.hang(changelog, 2)

	h.cfg.Timing.Stall = 2 * time.Second
	in := h.start(h.cfg)
	hint := fmt.Sprintf("kafka-transactions.sh --bootstrap-server BROKER abort --topic %s --partition 2 --start-offset %d", changelog, start)
	in.awaitReady(h.cluster, fmt.Sprintf("partition %s/2 is in quarantine: restoring %[1]s/2 from %s stalled at offset ", h.cfg.topic(topicCandidates), changelog))
	for _, want := range []string{fmt.Sprintf("open transactions: producer %d epoch %d since offset %d", id, epoch, start), "firstseen doctor", hint} {
		if why := strings.Join(in.NotReady(), "\n"); !strings.Contains(why, want) {
			t.Errorf("%s: it does not say %s", why, want)
		}
	}
	h.await("the others go on", 20*time.Second, func() bool { return h.committed(StageDetect)[h.cfg.topic(topicCandidates)+"/1"] > 0 })

	cfg := h.cfg
	cfg.Timing.Transaction = 4 * time.Second // what is open for a second more than that, in no known transaction, hangs
	var command string
	h.await("the doctor sees that it hangs", 20*time.Second, func() bool {
		for _, c := range examine(t, cfg) {
			if c.What == "transactions" && c.Result == CheckFail && strings.Contains(c.On, changelog+"/2") && strings.Contains(c.Says, "it hangs, no coordinator will end it") {
				command = c.Next
			}
		}
		return command != ""
	})
	if command != hint {
		t.Fatalf("the doctor says %q, the worker %q", command, hint)
	}
	args := strings.Fields(strings.Replace(command, "BROKER", brokers, 1))
	args[0] = "org.apache.kafka.tools.TransactionsCommand"
	if out, err := exec.Command("../scripts/kafka", slices.Concat([]string{"run-tool"}, args)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	in.awaitReady(h.cluster)
	h.awaitDrained(h.cfg.App, time.Minute)
	in.stop()
	if v := h.judge(); v != (verdict{}) {
		t.Error(v)
	}
}

// hang writes a record in a transaction to a partition that was not added to the transaction.
func (h *halfway) hang(topic string, partition int32) (id int64, epoch int16, offset int64) {
	h.t.Helper()
	ctx := context.Background()
	cl := h.client(kgo.TransactionalID("dead-" + h.cfg.App))
	defer cl.Close()
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	record := kmsg.Record{Key: []byte("key"), Value: []byte("never decided")}
	record.Length = int32(len(record.AppendTo(nil)) - 1)
	now := time.Now().UnixMilli()
	const transactional = 1 << 4
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: transactional, FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: id, ProducerEpoch: epoch, NumRecords: 1, Records: record.AppendTo(nil)}
	b := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))

	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = kmsg.StringPtr("dead-"+h.cfg.App), -1, 5000
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rt.Topic, rp.Partition, rp.Records = topic, partition, b
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	old := h.client(kgo.MaxVersions(kversion.V3_7_0()))
	defer old.Close()
	resp, err := req.RequestWith(ctx, old)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return id, epoch, resp.Topics[0].Partitions[0].BaseOffset
}
