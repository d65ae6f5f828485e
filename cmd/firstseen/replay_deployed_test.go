package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/devbroker"
	"firstseen/processor"
	"firstseen/processor/history"
	"firstseen/rules"
	"firstseen/traffic"
)

// replayed is a deployment that has processed 20 days of traffic, spread over several partitions so that what belongs
// together stays together.
type replayed struct {
	t      *testing.T
	app    string
	addr   string
	cl     *kgo.Client
	file   string // its configuration
	cfg    processor.Config
	inputs []*kgo.Record
	start  time.Time // of the traffic
	model  *traffic.Model
	alerts int // that the model makes of all of it
	listed int // of the rule with the allowlist
}

// deploy sets up a deployment with a change to a rule, and makes traffic for it.
func deploy(t *testing.T, brokers, app, set string) *replayed {
	t.Helper()
	dir := t.TempDir()
	d := &replayed{t: t, app: app, addr: brokers, file: filepath.Join(dir, "firstseen.yml")}
	text := fmt.Sprintf("app: %s\nbrokers: [%s]\nsources: [{topic: %[1]s-cloudtrail}, {topic: %[1]s-s3access}]\nrules: {set: [%[3]q]}\n", app, brokers, set)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, _, err := rules.Load(rules.LoadOptions{Set: []string{set}})
	if err != nil {
		t.Fatal(err)
	}
	if d.cl, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.cl.Close)
	d.cfg = processor.Config{
		App: app, Instance: "one", Client: []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.MetadataMinAge(100 * time.Millisecond)},
		Sources: []processor.Source{{Topic: app + "-cloudtrail"}, {Topic: app + "-s3access"}}, Rules: loaded, StateDir: filepath.Join(dir, "state"), Partitions: 4,
		Lanes:  map[processor.Stage]int{processor.StageIngest: 1},
		Timing: processor.Timing{Session: 10 * time.Second, Rebalance: 15 * time.Second, Heartbeat: 500 * time.Millisecond, Transaction: 8 * time.Second, Tick: time.Second},
	}
	o := traffic.Defaults()
	o.Seed, o.Rate, o.Trail, o.Anonymous, o.Outside, o.Addresses, o.Buckets = 3, 4000/(20*86400.), 0.5, 0.7, 0.7, 1200, 30
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	model, at := traffic.NewModel(), time.Time{}
	for range 4000 {
		r := g.Next()
		model.Add(&r)
		if r.Time.After(at) { // late ones arrive when they arrive
			at = r.Time
		}
		d.inputs = append(d.inputs, &kgo.Record{Topic: app + "-" + string(r.Kind), Partition: r.Partition(3), Value: r.Value, Timestamp: at})
	}
	d.start, d.model, d.alerts = o.Start, model, len(model.Alerts)
	forever := "-1" // the traffic is older than what brokers keep by default
	for _, s := range d.cfg.Sources {
		if _, err := kadm.NewClient(d.cl).CreateTopic(t.Context(), 3, -1, map[string]*string{"retention.ms": &forever}, s.Topic); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *replayed) produce(records []*kgo.Record) {
	d.t.Helper()
	if err := d.cl.ProduceSync(d.t.Context(), records...).FirstErr(); err != nil {
		d.t.Fatal(err)
	}
}

// work runs a worker, and while it does fn, until it has made as many alerts as fn says, suppressed ones included.
func (d *replayed) work(fn func() (alerts int)) {
	d.t.Helper()
	w, err := processor.New(d.cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			d.t.Errorf("worker: %v", err)
		}
	})
	defer running.Wait()
	defer stop()
	alerts, last := fn(), 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { // between two questions to a broker
		if last = d.count(); last >= alerts {
			return
		}
	}
	d.t.Fatalf("%d alerts, want %d", last, alerts)
}

// count is how many alerts there are, by id, those that say that a cap was reached not counted.
func (d *replayed) count() int {
	d.t.Helper()
	cfg := d.cfg
	cfg.Sources = []processor.Source{{Topic: d.app + ".alerts"}, {Topic: d.app + ".suppressed"}}
	r, err := history.Open(d.t.Context(), cfg, history.Earliest, history.Latest)
	if err != nil {
		return 0 // they are being created
	}
	ids := map[string]bool{}
	err = r.Each(d.t.Context(), func(rec *kgo.Record) error {
		if !strings.Contains(string(rec.Value), "cap on alerts reached") {
			ids[string(rec.Key)] = true
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return len(ids)
}

// day is a time of the traffic as the command line takes it.
func (d *replayed) day(n float64) string {
	return d.start.Add(time.Duration(n * 24 * float64(time.Hour))).UTC().Format(time.RFC3339)
}

// awaitNote waits for a record of control whose key begins so.
func (d *replayed) awaitNote(prefix string) {
	d.t.Helper()
	cfg := d.cfg
	cfg.Sources = []processor.Source{{Topic: d.app + ".control"}}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { // between two questions to a broker
		r, err := history.Open(d.t.Context(), cfg, history.Earliest, history.Latest)
		if err != nil {
			continue // it is being created
		}
		found := false
		if err := r.Each(d.t.Context(), func(rec *kgo.Record) error {
			found = found || strings.HasPrefix(string(rec.Key), prefix)
			return nil
		}); err != nil {
			d.t.Fatal(err)
		}
		if found {
			return
		}
	}
	d.t.Fatalf("control has no record %s", prefix)
}

func embeddedBroker(t *testing.T) string {
	t.Helper()
	broker, err := devbroker.Start(devbroker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return broker.Addr()
}
