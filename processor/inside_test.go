package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// inside is a worker that runs in this process, so that a test can ask it.
type inside struct {
	*Worker
	t       *testing.T
	cancel  context.CancelFunc
	ended   chan struct{}
	err     error // of Run, once ended is closed
	metrics *prometheus.Registry
}

// start runs a worker in this process until stop, or the end of the test.
func (c *cluster) start(cfg Config) *inside {
	c.t.Helper()
	if testing.Verbose() && cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	in := &inside{t: c.t, ended: make(chan struct{}), metrics: prometheus.NewRegistry()}
	cfg.Metrics = in.metrics
	var err error
	if in.Worker, err = New(cfg); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in.cancel = cancel
	go func() {
		defer close(in.ended)
		in.err = in.Run(ctx)
	}()
	c.t.Cleanup(in.stop)
	return in
}

// stop ends the worker well; a test that expects it to fail takes err first.
func (in *inside) stop() {
	in.t.Helper()
	in.cancel()
	<-in.ended
	if in.err != nil {
		in.t.Errorf("worker: %v", in.err)
		in.err = nil
	}
}

// awaitReady waits until NotReady gives exactly the reasons that contain these texts, one each.
func (in *inside) awaitReady(c *cluster, because ...string) {
	in.t.Helper()
	c.await(fmt.Sprintf("the worker is ready but for %q", because), 30*time.Second, func() bool {
		select {
		case <-in.ended:
			in.t.Fatalf("the worker ended: %v", in.err)
		default:
		}
		why := in.NotReady()
		return len(why) == len(because) && !slices.ContainsFunc(because, func(part string) bool {
			return !slices.ContainsFunc(why, func(s string) bool { return strings.Contains(s, part) })
		})
	})
}

// counted is the sum of a metric over the series that have the other values among their labels.
func (in *inside) counted(name ...string) float64 {
	_, sum := in.series(name...)
	return sum
}

// series is how many there are of a metric with the other values among their labels, and their sum.
func (in *inside) series(name ...string) (n int, sum float64) {
	in.t.Helper()
	families, err := in.metrics.Gather()
	if err != nil {
		in.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			has := func(value string) bool { return strings.Contains(m.String(), strconv.Quote(value)) }
			if f.GetName() == "firstseen_"+name[0] && !slices.ContainsFunc(name[1:], func(value string) bool { return !has(value) }) {
				n++
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n, sum
}

// refused runs a worker that must not start, and returns why.
func (c *cluster) refused(cfg Config) string {
	c.t.Helper()
	w, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = w.Run(ctx)
	if !errors.Is(err, ErrGuarantee) {
		c.t.Fatalf("the worker is not refused: %v", err)
	}
	return err.Error()
}

// document is what the tests look at in an alert.
type document struct {
	Timestamp time.Time `json:"@timestamp"`
	Event     struct{ ID string }
	Rule      struct{ ID string }
	AWS       struct {
		S3access struct{ Bucket string }
	}
	Firstseen struct {
		Alert struct {
			Status string
			Count  int
		}
		NewTerms struct {
			Values   []string
			Start    time.Time `json:"history_start"`
			Complete bool      `json:"history_complete"`
		} `json:"new_terms"`
		Flags []string
	}
}

// alerts reads the open alerts, by the address or bucket that they are about, and fails the test if one comes twice.
func (c *cluster) alerts(app string) map[string]document {
	c.t.Helper()
	all := map[string]document{}
	for _, r := range c.read(app + ".alerts") {
		var d document
		if err := json.Unmarshal(r.Value, &d); err != nil {
			c.t.Fatalf("alert %s: %v", r.Value, err)
		}
		about := strings.Join(append(d.Firstseen.NewTerms.Values, d.AWS.S3access.Bucket), "")
		if d.Firstseen.Alert.Status != "open" {
			about += " " + d.Firstseen.Alert.Status
		}
		if _, twice := all[about]; twice && d.Firstseen.Alert.Status == "open" {
			c.t.Errorf("two alerts about %s", about)
		}
		all[about] = d
	}
	return all
}

// deadLetters reads the dead letters, by the offset of the message that they come from.
func (c *cluster) deadLetters(app string) map[int64][]*kgo.Record {
	c.t.Helper()
	all := map[int64][]*kgo.Record{}
	for _, r := range c.read(app + ".dlq") {
		offset, err := strconv.ParseInt(headerOf(r, "dlq-offset"), 10, 64)
		if err != nil {
			c.t.Fatal(err)
		}
		all[offset] = append(all[offset], r)
	}
	return all
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// day0 is when the events of these tests begin: before the Kafka timestamps of any clock.
var day0 = time.Date(2025, 2, 6, 0, 0, 0, 0, time.UTC)

// anonymous is a CloudTrail record that the rule about new addresses matches.
func anonymous(address string, at time.Time) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"AWSAccount","principalId":"","accountId":"anonymous"},"eventTime":%q,`+
		`"eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"us-east-1","sourceIPAddress":%q,"userAgent":"curl/8.7.1",`+
		`"requestParameters":{"bucketName":"acme-data","key":"a"},"requestID":"","eventID":"%[2]s %[1]s","eventType":"AwsApiCall","recipientAccountId":"111122223333"}`,
		at.Format(time.RFC3339), address)
}

// accessLine is a line of an access log that the allowlist rule matches, once an hour for a bucket.
func accessLine(bucket, agent string) string {
	return fmt.Sprintf(`79a59df900b949e5 %s [06/Feb/2025:00:00:38 +0000] 203.0.113.7 - 3E57427F33A59F07 REST.GET.OBJECT a "GET /a HTTP/1.1" `+
		`200 - 11 11 9 8 "-" "%s" - hostid= - TLS_AES_128_GCM_SHA256 - %[1]s.s3.amazonaws.com TLSv1.3 - -`, bucket, agent)
}
