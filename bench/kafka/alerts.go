package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/bench/gen"
)

// Check compares the committed alerts behind the given offsets with the expected ones.
func Check(ctx context.Context, bootstrap, topic string, from Offsets, expectedPath string) (gen.Verdict, error) {
	expected, err := gen.ReadExpected(expectedPath)
	if err != nil {
		return gen.Verdict{}, err
	}
	var seen []gen.Alert
	err = readCommitted(ctx, bootstrap, topic, from, func(v []byte) {
		a, opens, err := ParseAlert(v)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bad alert %q: %v\n", v, err)
		}
		if opens || err != nil {
			seen = append(seen, a)
		}
	})
	return gen.Compare(expected.Alerts, seen), err
}

// ParseAlert reads the fields an alert must have: either the flat ones of the
// contract, or those of an ECS alert document. The second result is false for
// a record that updates an earlier alert or reports an overflow.
func ParseAlert(value []byte) (gen.Alert, bool, error) {
	var a struct {
		Rule      json.RawMessage `json:"rule"` // a name, or ECS's object
		Source    json.RawMessage `json:"source"`
		Bucket    string          `json:"bucket"`
		EventID   string          `json:"event_id"`
		EventTime string          `json:"event_time"`
		Event     struct {
			Start string `json:"start"`
		} `json:"event"`
		Firstseen *struct {
			Alert struct {
				Status string `json:"status"`
			} `json:"alert"`
			NewTerms struct {
				Values []string `json:"values"`
			} `json:"new_terms"`
			Origin struct {
				EventID string `json:"event_id"`
			} `json:"origin"`
		} `json:"firstseen"`
	}
	if err := json.Unmarshal(value, &a); err != nil {
		return gen.Alert{}, false, err
	}
	if f := a.Firstseen; f != nil {
		var rule struct {
			Category string `json:"category"`
		}
		if err := json.Unmarshal(a.Rule, &rule); err != nil {
			return gen.Alert{}, false, err
		}
		t, err := time.Parse(time.RFC3339, a.Event.Start)
		out := gen.Alert{Rule: rule.Category, Key: a.Bucket, Time: t.Unix()}
		out.EventID, _, _ = strings.Cut(f.Origin.EventID, ":") // an S3 request id comes with operation and key
		if rule.Category != gen.Allowlist {
			out.Key = strings.Join(f.NewTerms.Values, " ")
		}
		return out, f.Alert.Status == "open", err
	}
	var rule, source string
	if err := errors.Join(json.Unmarshal(a.Rule, &rule), unmarshalOptional(a.Source, &source)); err != nil {
		return gen.Alert{}, false, err
	}
	t, err := time.Parse(time.RFC3339, a.EventTime)
	out := gen.Alert{Rule: rule, Key: source, EventID: a.EventID, Time: t.Unix()}
	if rule == gen.Allowlist {
		out.Key = a.Bucket
	}
	return out, true, err
}

func unmarshalOptional(raw json.RawMessage, to *string) error {
	if raw == nil {
		return nil
	}
	return json.Unmarshal(raw, to)
}

// readCommitted visits the committed values of a topic from the given offsets to the end: there may be more than there is
// memory for.
func readCommitted(ctx context.Context, bootstrap, topic string, from Offsets, visit func(value []byte)) error {
	adm, err := Admin(bootstrap)
	if err != nil {
		return err
	}
	defer adm.Close()
	l, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = l.Error()
	}
	if err != nil {
		return err
	}
	end := fromListed(l)[topic]
	at := map[int32]kgo.Offset{}
	for p, o := range end {
		if o > from[topic][p] {
			at[p] = kgo.NewOffset().At(from[topic][p])
		} else {
			delete(end, p)
		}
	}
	if len(at) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(end) > 0 {
		// Aborted batches at the very end leave no record to see, hence the time limit.
		poll, cancel := context.WithTimeout(ctx, 20*time.Second)
		fetches := cl.PollFetches(poll)
		idle := poll.Err() != nil
		cancel()
		if idle {
			break
		}
		for _, e := range fetches.Errors() {
			return e.Err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() && r.Offset < end[r.Partition] {
				visit(r.Value)
			}
			if r.Offset+1 >= end[r.Partition] {
				delete(end, r.Partition)
			}
		})
	}
	return ctx.Err()
}
