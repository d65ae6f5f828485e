package processor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/schemas"
)

// bad is a message with something wrong about it, and where it must end.
type bad struct {
	name   string
	value  string
	dead   []letter
	alerts []string // addresses and buckets
	flag   string   // of the first alert
	count  string   // the metric that counts it
}

// letter is a dead letter. An empty value is that of the message.
type letter struct {
	reason schemas.Reason
	index  int
	value  string
	size   int // of a value that was too large for a dead letter
}

func whole(reason schemas.Reason) []letter { return []letter{{reason: reason, index: -1}} }

func badMessages() []bad {
	a := func(n int) string { return fmt.Sprintf("198.51.100.%d", n) }
	good := func(n int) string { return anonymous(a(n), day0) }
	file := func(elements ...string) string { return `{"Records":[` + strings.Join(elements, ",") + `]}` }
	// A record that no rule can match is not parsed, so these could match but for what is wrong with them.
	but := func(old, new string) string { return strings.Replace(good(9), old, new, 1) }
	broken := but(`"curl/8.7.1"`, `curl`)
	cut := good(10)[:200]
	garbageAddress := `{"bucket":"acme-garbage","remoteip":"10.0.0.300","time":"2025-02-06 00:00:38","operation":"REST.GET.OBJECT"}`
	deep := but(`"a"`, strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000))
	large := but("curl/8.7.1", strings.Repeat("x", 20<<20))
	bomb := strings.Repeat(zipped(strings.Repeat(" ", 16<<20)), 128)
	text := strings.Repeat("neither JSON nor a line of a log\n", 20<<20/32)
	return []bad{
		{name: "random bytes", value: noise(4096), dead: whole(schemas.UnknownShape)},
		{name: "a record cut off", value: good(1)[:300], dead: whole(schemas.Truncated)},
		{name: "a file cut off in its second record", value: file(good(2), cut)[:len(file(good(2), cut))-2],
			dead: []letter{{schemas.Truncated, 1, cut, 0}}, alerts: []string{a(2)}},
		{name: "gzip cut off", value: zipped(file(good(3), but("curl/8.7.1", hex.EncodeToString([]byte(noise(4096))))))[:2048], dead: []letter{{schemas.Truncated, 1, "-", 0}}, alerts: []string{a(3)}},
		{name: "gzip by its first bytes", value: "\x1f\x8bnot gzip", dead: whole(schemas.InvalidGzip)},
		{name: "a bad element among good ones", value: file(good(4), broken, good(5)), dead: []letter{{schemas.InvalidJSON, 1, broken, 0}}, alerts: []string{a(4), a(5)}},
		{name: "depth 10,000", value: deep, dead: whole(schemas.TooDeep)},
		{name: "a record of depth 10,000 among good ones", value: file(good(6), deep, good(7)), dead: []letter{{schemas.TooDeep, 1, deep, 0}}, alerts: []string{a(6), a(7)}},
		{name: "two gigabytes, gzipped", value: bomb, dead: []letter{{schemas.TooLarge, -1, "", len(bomb)}}},
		{name: "20 MB of text", value: text, dead: []letter{{schemas.UnknownShape, -1, "", len(text)}}},
		{name: "20 MB in one record among good ones", value: file(good(15), large, good(16)), dead: []letter{{schemas.TooLarge, 1, "", len(large)}}, alerts: []string{a(15), a(16)}},
		{name: "an address that is none", value: garbageAddress, dead: []letter{{schemas.RuleError, 0, "", 0}}},
		{name: "quotes forged in a user agent", value: accessLine("acme-forged", `x" 200 - "`), alerts: []string{"acme-forged"}},
		{name: "a user agent that ends in a quote", value: accessLine("acme-quote", `x"`), alerts: []string{"acme-quote"}},
		{name: "a line cut off in its user agent", value: strings.SplitAfter(accessLine("acme-cut", "x"), `"x`)[0], alerts: []string{"acme-cut"}, flag: "degraded"},
		{name: "an S3 event notification", count: "records_filtered_total",
			value: `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventTime":"2025-02-06T00:00:38.000Z","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"}}}]}`},
		{name: "a time in the future", value: anonymous(a(20), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)), alerts: []string{a(20)}, flag: "time_clamped"},
		{name: "an S3 test event", count: "records_skipped_total", value: `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}`},
		{name: "a tombstone", count: "records_skipped_total"},
		{name: "a good record after all these", value: good(30), alerts: []string{a(30)}},
	}
}

// badInput sends a worker what it cannot read, one message each: it lands in its place, with where it came from and
// why, and takes nothing with it.
func badInput(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, map[string]*string{"max.message.bytes": ptr("33554432")})
	in := c.start(testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{})))
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ProducerBatchMaxBytes(32<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	cases := badMessages()
	sent := make([]*kgo.Record, len(cases))
	for i, b := range cases {
		sent[i] = &kgo.Record{Topic: app + "-cloudtrail", Key: []byte("key of " + b.name), Value: []byte(b.value),
			Headers: []kgo.RecordHeader{{Key: "sender", Value: []byte(b.name)}}}
		if err := cl.ProduceSync(context.Background(), sent[i]).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitDrained(app, time.Minute)
	alerts, dead := c.alerts(app), c.deadLetters(app)
	want, counts := 0, map[string]float64{}
	for i, b := range cases {
		t.Run(b.name, func(t *testing.T) {
			for n, about := range b.alerts {
				d, ok := alerts[about]
				if !ok {
					t.Errorf("no alert about %s", about)
				}
				if n == 0 && b.flag != "" && !slices.Contains(d.Firstseen.Flags, b.flag) {
					t.Errorf("flags %v, want %s", d.Firstseen.Flags, b.flag)
				}
				if b.flag == "time_clamped" && !d.Timestamp.Equal(sent[i].Timestamp.Truncate(time.Millisecond)) {
					t.Errorf("at %s, want that of the Kafka record, %s", d.Timestamp, sent[i].Timestamp)
				}
			}
			got := dead[sent[i].Offset]
			if len(got) != len(b.dead) {
				t.Fatalf("%d dead letters, want %d", len(got), len(b.dead))
			}
			for n, l := range b.dead {
				l.check(t, got[n], sent[i])
			}
		})
		want += len(b.alerts)
		counts[b.count]++
		for _, l := range b.dead {
			counts["dead_letters_total "+string(l.reason)]++
		}
	}
	delete(counts, "")
	if len(alerts) != want {
		t.Errorf("%d alerts, want %d", len(alerts), want)
	}
	for metric, n := range counts {
		if got := in.counted(strings.Fields(metric)...); got != n {
			t.Errorf("%s is %v, want %v", metric, got, n)
		}
	}
	in.awaitReady(c)
}

// check compares a dead letter with what it was made of.
func (l letter) check(t *testing.T, got, sent *kgo.Record) {
	t.Helper()
	for key, want := range map[string]string{
		"dlq-reason": string(l.reason), "dlq-index": strconv.Itoa(l.index), "dlq-stage": "ingest", "dlq-topic": sent.Topic,
		"dlq-partition": strconv.Itoa(int(sent.Partition)), "dlq-timestamp": strconv.FormatInt(sent.Timestamp.UnixMilli(), 10),
		"sender": headerOf(sent, "sender"),
	} {
		if headerOf(got, key) != want {
			t.Errorf("header %s is %q, want %q", key, headerOf(got, key), want)
		}
	}
	if at, err := time.Parse(time.RFC3339, headerOf(got, "dlq-time")); err != nil || at.Before(sent.Timestamp.Add(-time.Minute)) {
		t.Errorf("dlq-time %q", headerOf(got, "dlq-time"))
	}
	if !bytes.Equal(got.Key, sent.Key) {
		t.Errorf("key %q, want %q", got.Key, sent.Key)
	}
	value := sent.Value
	if l.value != "" {
		value = []byte(l.value)
	}
	switch size := headerOf(got, "dlq-truncated"); {
	case l.value == "-":
	case l.size == 0 && (size != "" || !bytes.Equal(got.Value, value)):
		t.Errorf("value of %d bytes, dlq-truncated %q; want all %d bytes of the input", len(got.Value), size, len(value))
	case l.size > 0 && (size != strconv.Itoa(l.size) || len(got.Value) != 512<<10 || !bytes.Contains(sent.Value, got.Value)):
		t.Errorf("value of %d bytes, dlq-truncated %q; want the first 512 KiB of %d", len(got.Value), size, l.size)
	}
}

// atTheLimit sends a message that is exactly as large as its topic allows. The dead letter has to carry the reason too,
// and to fit a topic with the same limit.
func atTheLimit(t *testing.T, brokers string) {
	const limit = 1048588
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ProducerBatchMaxBytes(limit), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	value := []byte(noise(limit))
	for _, header := range []int{1, 300 << 10} {
		r := &kgo.Record{Topic: app + "-s3access", Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "sender", Value: value[:header]}}}
		for n := limit - header; ; n-- { // what a record costs besides its bytes, the client knows
			r.Value = value[:n]
			if err := cl.ProduceSync(context.Background(), r).FirstErr(); err == nil {
				break
			} else if !errors.Is(err, kerr.MessageTooLarge) {
				t.Fatal(err)
			}
		}
	}
	c.runUntilDrained(testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{})))
	dead := c.deadLetters(app)
	if len(dead[0]) != 1 || len(dead[1]) != 1 {
		t.Fatalf("%d and %d dead letters, want one of each message", len(dead[0]), len(dead[1]))
	}
	if r := dead[0][0]; headerOf(r, "dlq-reason") != "unknown_shape" || headerOf(r, "dlq-truncated") == "" || !bytes.Equal(r.Value, value[:512<<10]) ||
		headerOf(r, "sender") != string(value[:1]) {
		t.Errorf("%s, truncated %q, %d bytes", headerOf(r, "dlq-reason"), headerOf(r, "dlq-truncated"), len(r.Value))
	}
	// The headers go before the value does: they are not what the record says.
	if r := dead[1][0]; headerOf(r, "dlq-headers-dropped") != "true" || headerOf(r, "sender") != "" || len(r.Value) < 512<<10 || !bytes.HasPrefix(value, r.Value) {
		t.Errorf("headers dropped: %q, %d bytes", headerOf(r, "dlq-headers-dropped"), len(r.Value))
	}
}

func ptr[T any](v T) *T { return &v }

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

// noise is n bytes that no compression makes smaller.
func noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}
