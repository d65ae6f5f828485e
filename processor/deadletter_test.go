package processor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/traffic"
)

// rejectedOutput has a broker refuse what comes of one message among many, at each stage in turn, and of one match in a
// message of findings: that one alone is a dead letter, and all others count exactly once.
func rejectedOutput(t *testing.T, brokers string) {
	for _, test := range []struct {
		stage         Stage
		input, output string
		set           []string
	}{
		{StageIngest, "-cloudtrail", ".candidates", noCap}, {StageDetect, ".candidates", ".findings", windowed},
		{StageDetect, ".candidates", ".alerts", noCap}, {StageGroup, ".findings", ".alerts", windowed}, {StageGroup, ".findings", ".alerts", nil},
	} {
		t.Run(fmt.Sprintf("%s to %s with %q", test.stage, test.output, test.set), func(t *testing.T) {
			c, app := newTestCluster(t, brokers), newApp()
			c.createSources(app, 1, nil)
			set, dir := mustLoad(t, rules.LoadOptions{Set: test.set}), filepath.Join(t.TempDir(), "state")
			in := c.start(testConfig(brokers, app, "one", dir, set))
			in.awaitReady(c)
			c.alter(app+test.output, "max.message.bytes", "4500")
			const addresses, fat = 40, 23
			var records []*kgo.Record
			for n := range 2 * addresses {
				value := anonymous(fmt.Sprintf("198.51.100.%d", n%addresses), day0.Add(time.Duration(n)*time.Second))
				if n == fat {
					value = fatten(value, 0)
				}
				if n%addresses != fat || n == fat {
					records = append(records, &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(value)})
				}
			}
			if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			c.awaitDrained(app, 30*time.Second)
			if n := in.counted("transaction_aborts_total", string(test.stage)); n == 0 || n > 20 {
				t.Errorf("%v transactions were aborted to find one message of %d", n, len(records))
			}
			in.stop()

			alerts, terms := c.alerts(app), readStates(t, []string{dir}, 4).Terms
			for n := range addresses {
				address := fmt.Sprintf("198.51.100.%d", n)
				_, alerted := alerts[address]
				term := terms[string(stage.TermKey(nil, set.Rule(traffic.NewTermsRule).State(), []string{address}))]
				want := int64(2)
				if n == fat {
					want = 0
					if test.stage == StageGroup {
						want = 1 // detect has seen it, only its alert could not be written
					}
				}
				if alerted != (n != fat) || term.Count != want {
					t.Errorf("%s: alert %v, counted %d times, want %d", address, alerted, term.Count, want)
				}
			}
			dead := c.read(app + ".dlq")
			if len(dead) != 1 {
				t.Fatalf("%d dead letters, want that of the fat record alone", len(dead))
			}
			d := dead[0]
			if headerOf(d, "dlq-reason") != "rejected_output" || headerOf(d, "dlq-stage") != string(test.stage) || headerOf(d, "dlq-topic") != app+test.input ||
				(headerOf(d, "dlq-index") == "-1") == (test.set == nil) || !strings.Contains(headerOf(d, "dlq-detail"), "MESSAGE_TOO_LARGE") {
				t.Errorf("dead letter %s", d.Headers)
			}
			if got := mentioned(d.Value); !slices.Equal(got, []string{"198.51.100.23"}) {
				t.Errorf("dead letter of %s", got)
			}
		})
	}
}

// TestDeadLettersFitTheirTopic gives the dead-letter topic a limit far below the size of what must go there: first while
// the worker runs, which then does not know the limit, then before it starts.
func TestDeadLettersFitTheirTopic(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	value := hex.EncodeToString([]byte(noise(200_000)))
	for offset, reason := range []string{"rejected_output", "unknown_shape"} {
		in := c.start(cfg)
		in.awaitReady(c)
		c.alter(app+".dlq", "max.message.bytes", "100000")
		if err := c.cl.ProduceSync(context.Background(), &kgo.Record{Topic: app + "-s3access", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c.awaitDrained(app, 30*time.Second)
		in.stop()
		dead := c.deadLetters(app)[int64(offset)]
		if len(dead) != 1 {
			t.Fatalf("message %d: %d dead letters", offset, len(dead))
		}
		if d := dead[0]; headerOf(d, "dlq-reason") != reason || headerOf(d, "dlq-truncated") != "400000" || len(d.Value) < 40_000 || !strings.HasPrefix(value, string(d.Value)) {
			t.Errorf("message %d: %s, %d bytes of %s", offset, headerOf(d, "dlq-reason"), len(d.Value), headerOf(d, "dlq-truncated"))
		}
	}
}

// TestDeadLetterRefused: the dead-letter topic takes no dead letter at all. Nothing is lost and no broker is asked in a
// tight loop; the worker says what is wrong, and goes on once it is mended.
func TestDeadLetterRefused(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	in := c.start(testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{})))
	in.awaitReady(c)
	c.alter(app+".dlq", "max.message.bytes", "10")
	if err := c.cl.ProduceSync(context.Background(), &kgo.Record{Topic: app + "-s3access", Value: []byte("?")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.await("the worker is not ready", 30*time.Second, func() bool {
		return slices.ContainsFunc(in.NotReady(), func(why string) bool { return strings.Contains(why, app+".dlq/") })
	})
	aborts := func() float64 { return in.counted("transaction_aborts_total", "ingest") }
	began, before := time.Now(), aborts()
	c.await("five more tries", 30*time.Second, func() bool { return aborts() >= before+5 })
	if took := time.Since(began); took < 4*200*time.Millisecond {
		t.Errorf("five tries in %s", took)
	}
	c.alter(app+".dlq", "max.message.bytes", "100000")
	c.awaitDrained(app, 30*time.Second)
	in.awaitReady(c)
	in.stop()
	if dead := c.read(app + ".dlq"); len(dead) != 1 || string(dead[0].Value) != "?" {
		t.Errorf("%d dead letters, want one", len(dead))
	}
}

// TestTogetherTooLarge: what comes of one message fits its topic record by record, but not in one batch. It is no dead
// letter.
func TestTogetherTooLarge(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 1, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	in := c.start(testConfig(b.Addr(), app, "one", dir, set))
	in.awaitReady(c)
	c.alter(app+".candidates", "max.message.bytes", "9000")
	const addresses = 9 // some share one of four partitions
	var fat []string
	for n := range addresses {
		fat = append(fat, fatten(anonymous(fmt.Sprintf("198.51.100.%d", n), day0), n))
	}
	records := []*kgo.Record{
		{Topic: app + "-cloudtrail", Value: []byte(`{"Records":[` + strings.Join(fat, ",") + `]}`)},
		{Topic: app + "-cloudtrail", Value: []byte(anonymous("198.51.100.100", day0))},
	}
	if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 30*time.Second)
	if in.counted("transaction_aborts_total", "ingest") == 0 {
		t.Error("nothing was refused")
	}
	in.stop()
	if alerts, dead := c.alerts(app), c.read(app+".dlq"); len(alerts) != addresses+1 || len(dead) > 0 {
		t.Errorf("%d alerts, %d dead letters; want %d and none", len(alerts), len(dead), addresses+1)
	}
}

// fatten makes of a record the n-th of those whose evidence no compression brings below 4 KiB.
func fatten(record string, n int) string {
	letters := hex.EncodeToString([]byte(noise(2500 * (n + 1))[2500*n:]))
	for n, field := range []string{`curl/8.7.1`, `"key":"a`, `"bucketName":"acme-data`, `"eventType":"AwsApiCall`, `"requestID":"`} {
		record = strings.Replace(record, field, field+letters[1000*n:1000*(n+1)], 1)
	}
	return record
}

func (c *cluster) alter(topic, key, value string) {
	c.t.Helper()
	if _, err := c.adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic); err != nil {
		c.t.Fatal(err)
	}
}

// TestOutage cuts every connection for a while in the middle of a load, and then has the broker refuse to write for
// reasons that lie in no record. The worker waits and goes on: nothing is lost, nothing comes twice, and nothing is a
// dead letter.
func TestOutage(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 3, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 11, 3000, 3)
	in := c.start(testConfig(b.Addr(), app, "one", dir, set))
	in.awaitReady(c)
	if err := produce(c.cl, inputs[:1000], 0); err != nil {
		t.Fatal(err)
	}
	c.await("the load is under way", 10*time.Second, func() bool { return in.counted("alerts_total") > 0 })
	var refused atomic.Int64
	over := make(chan struct{})
	b.Cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		if refused.Add(1) == 40 {
			b.Cluster.DropControl()
			close(over)
		} else {
			b.Cluster.KeepControl()
		}
		return nil, errors.New("the network is down"), true
	})
	if err := produce(c.cl, inputs[1000:2500], 0); err != nil {
		t.Fatal(err)
	}
	<-over
	c.awaitDrained(app, time.Minute)
	for topic, reason := range map[string]*kerr.Error{".candidates": kerr.TopicAuthorizationFailed, ".alerts": kerr.InvalidRequiredAcks} {
		b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: app + topic, Err: reason, Count: 20})
	}
	if err := produce(c.cl, inputs[2500:], 0); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, time.Minute)
	in.stop()
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Errorf("of %d alerts: %s", len(model.Alerts), v)
	}
	if dead := c.read(app + ".dlq"); len(dead) > 0 {
		t.Errorf("%d dead letters, the first: %v", len(dead), dead[0].Headers)
	}
}
