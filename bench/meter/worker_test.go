package meter

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/bench/gen"
	"firstseen/bench/scan"
)

// The test binary is the program under test, too.
func TestMain(m *testing.M) {
	if broker := os.Getenv("WORKER_BROKER"); broker != "" {
		if err := work(broker, os.Getenv("WORKER_EXPECTED"), os.Getenv("WORKER_FAULT")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// work writes an alert for every record that is expected to cause one; without expected alerts, for every candidate.
func work(broker, expectedPath, fault string) error {
	ctx := context.Background()
	var expected map[string]gen.Alert
	if expectedPath != "" {
		e, err := gen.ReadExpected(expectedPath)
		if err != nil {
			return err
		}
		expected = map[string]gen.Alert{}
		for _, a := range e.Alerts {
			expected[a.EventID] = a
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumerGroup("workers"), kgo.InstanceID("one"), kgo.ConsumeTopics("cloudtrail", "s3access"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.DefaultProduceTopic("alerts"))
	if err != nil {
		return err
	}
	fmt.Println("up")
	time.Sleep(300 * time.Millisecond) // longer than the meter looks away
	for {
		fetches := cl.PollRecords(ctx, 250)
		if err := fetches.Err(); err != nil {
			return err
		}
		var alerts []*kgo.Record
		fetches.EachRecord(func(r *kgo.Record) {
			a, ok := expected[id(r)]
			if expected == nil && scan.CloudTrail(r.Value, true) {
				a, ok = gen.Alert{Rule: gen.NewTerms, EventID: id(r)}, true
			}
			if ok && fault == "key" {
				a.Key += "0"
			}
			if ok && fault != "drop" {
				alerts = append(alerts, &kgo.Record{Value: alert(a)})
			}
			if ok && fault == "double" {
				alerts = append(alerts, &kgo.Record{Value: alert(a)})
			}
			if ok {
				fault = "" // once is enough
			}
		})
		if err := cl.ProduceSync(ctx, alerts...).FirstErr(); err != nil {
			return err
		}
		if err := cl.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
		if expected != nil {
			time.Sleep(20 * time.Millisecond) // so that there is a half-way to be seen
		}
	}
}

// id is the event id of a CloudTrail record, or the request id of an S3 line.
func id(r *kgo.Record) string {
	if r.Topic == "s3access" {
		return string(bytes.Fields(r.Value)[6])
	}
	_, rest, _ := bytes.Cut(r.Value, []byte(`"eventID":"`))
	return string(rest[:36])
}

func alert(a gen.Alert) []byte {
	key := "source"
	if a.Rule == gen.Allowlist {
		key = "bucket"
	}
	return fmt.Appendf(nil, `{"rule":%q,%q:%q,"event_id":%q,"event_time":%q}`, a.Rule, key, a.Key, a.EventID, time.Unix(a.Time, 0).UTC().Format(time.RFC3339))
}
