package processor

import (
	"bufio"
	"context"
	"encoding/json"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/traffic"
)

// honeyBucket feeds two years of real scanners' requests through workers. One input partition gives the alert ids that
// the same rules give without Kafka; eight partitions and four workers the same (rule, terms, first event).
func honeyBucket(t *testing.T, brokers string) {
	events := honeyEvents(t)
	set := mustLoad(t, rules.LoadOptions{})
	want := scanned(t, set, events)
	if len(want) != 92 {
		t.Fatalf("without Kafka: %d new-terms alerts, want 92", len(want))
	}
	for _, test := range []struct{ partitions, workers int }{{1, 1}, {8, 4}} {
		t.Run(strconv.Itoa(test.partitions)+" partitions", func(t *testing.T) {
			c, app := newTestCluster(t, brokers), newApp()
			c.createSources(app, int32(test.partitions), nil)
			var records []*kgo.Record
			for _, e := range events {
				h := fnv.New32a()
				h.Write([]byte(e.address))
				records = append(records, &kgo.Record{Topic: app + "-cloudtrail", Partition: int32(h.Sum32() % uint32(test.partitions)), Value: e.value})
			}
			if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			var cfgs []Config
			for n := range test.workers {
				name := "w" + strconv.Itoa(n)
				cfgs = append(cfgs, testConfig(brokers, app, name, filepath.Join(t.TempDir(), name), set))
			}
			c.runUntilDrained(cfgs...)
			got := map[string]string{}
			for _, r := range c.read(app + ".alerts") {
				newTermsAlert(t, r.Value, got)
			}
			if !maps.Equal(got, want) {
				t.Errorf("%d alerts, want %d:\n%v\n%v", len(got), len(want), slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
		})
	}
}

type honeyEvent struct {
	value   []byte
	address string
}

func honeyEvents(t *testing.T) (events []honeyEvent) {
	t.Helper()
	f, err := os.Open("../testdata/honeybucket/oldest-first.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var record struct{ SourceIPAddress string }
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		events = append(events, honeyEvent{[]byte(lines.Text()), record.SourceIPAddress})
	}
	if len(events) != 301 {
		t.Fatalf("%d events, want 301", len(events))
	}
	return events
}

// scanned returns the alerts that the stages make of the events without Kafka.
func scanned(t *testing.T, set *rules.Set, events []honeyEvent) map[string]string {
	t.Helper()
	alerts := map[string]string{}
	p, err := stage.NewPipeline(set, stage.PipelineConfig{
		Ingest: stage.IngestConfig{Dead: func(_ *schemas.Message, d schemas.DeadLetter) { t.Errorf("dead letter: %s %s", d.Reason, d.Detail) }},
		Emit:   func(o stage.Output) { newTermsAlert(t, o.Value, alerts) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		if _, err := p.Message(schemas.Message{Value: e.value, Timestamp: -1, Now: 1_700_000_000_000, File: "f", Line: int64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return alerts
}

// newTermsAlert notes an alert: its id, and the terms and the event that made it.
func newTermsAlert(t *testing.T, document []byte, to map[string]string) {
	t.Helper()
	var doc struct {
		Event     struct{ ID string }
		Rule      struct{ ID string }
		Firstseen struct {
			Alert  struct{ Status string }
			Origin struct {
				EventID string `json:"event_id"`
			}
			NewTerms struct{ Values []string } `json:"new_terms"`
		}
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatalf("alert %s: %v", document, err)
	}
	if doc.Rule.ID != traffic.NewTermsRule || doc.Firstseen.Alert.Status != "open" {
		t.Errorf("unexpected alert of rule %s, status %s", doc.Rule.ID, doc.Firstseen.Alert.Status)
	}
	if _, twice := to[doc.Event.ID]; twice {
		t.Errorf("alert %s twice", doc.Event.ID)
	}
	to[doc.Event.ID] = strings.Join(doc.Firstseen.NewTerms.Values, ",") + " " + doc.Firstseen.Origin.EventID
}
