package verify

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
	"firstseen/internal/testkafka"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/traffic"
)

// deployed is a deployment and a load for it, with a worker that runs when the test says so.
type deployed struct {
	t      *testing.T
	cfg    processor.Config
	reach  []kgo.Opt
	cl     *kgo.Client
	adm    *kadm.Client
	inputs []*kgo.Record
}

func deploy(t *testing.T, brokers string) *deployed {
	t.Helper()
	app := testkafka.App(t)
	set, _, err := rules.Load(rules.LoadOptions{Set: []string{traffic.NewTermsRule + ".max_alerts=off"}})
	if err != nil {
		t.Fatal(err)
	}
	d := &deployed{t: t, reach: []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.MetadataMinAge(100 * time.Millisecond)}}
	d.cfg = processor.Config{
		App: app, Instance: "one", Client: d.reach, Rules: set, StateDir: filepath.Join(t.TempDir(), "state"), Partitions: 4, Version: "test", Leave: true,
		Sources: []processor.Source{{Topic: app + "-cloudtrail"}, {Topic: app + "-s3access"}},
		Timing:  processor.Timing{Session: 10 * time.Second, Rebalance: 15 * time.Second, Heartbeat: 500 * time.Millisecond, Transaction: 8 * time.Second, Tick: time.Second},
	}
	if d.cl, err = kgo.NewClient(append(d.reach, kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.cl.Close)
	d.adm = kadm.NewClient(d.cl)
	for _, s := range d.cfg.Sources {
		if _, err := d.adm.CreateTopic(t.Context(), 2, -1, nil, s.Topic); err != nil {
			t.Fatal(err)
		}
		d.await(s.Topic+" can be read", func() bool { // brokers know it a moment after the controller does
			ends, err := d.adm.ListEndOffsets(t.Context(), s.Topic)
			return err == nil && ends.Error() == nil && len(ends[s.Topic]) == 2
		})
	}
	o := traffic.Defaults()
	o.Seed, o.Rate, o.Trail, o.Anonymous, o.Outside, o.Addresses, o.Buckets = 5, 2000/(20*86400.), 0.5, 0.7, 0.7, 1200, 30
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		r := g.Next()
		d.inputs = append(d.inputs, &kgo.Record{Topic: app + "-" + string(r.Kind), Partition: r.Partition(2), Value: r.Value})
	}
	return d
}

// await polls until ok, which asks a broker, is true.
func (d *deployed) await(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if d.t.Failed() {
			d.t.FailNow()
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: not within a minute", what)
		}
	}
}

func (d *deployed) produce(records []*kgo.Record) {
	d.t.Helper()
	if err := d.cl.ProduceSync(d.t.Context(), records...).FirstErr(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployed) alter(topic, key, value string) {
	d.t.Helper()
	resp, err := d.adm.AlterTopicConfigs(d.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	if err == nil {
		_, err = resp.On(topic, nil)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// work runs some stages of a worker until they have processed everything there is. Then it leaves its groups.
func (d *deployed) work(stages ...processor.Stage) {
	d.t.Helper()
	cfg := d.cfg
	cfg.Stages = stages
	w, err := processor.New(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			d.t.Errorf("worker: %v", err)
		}
	})
	inputs := map[processor.Stage][]string{processor.StageIngest: {cfg.Sources[0].Topic, cfg.Sources[1].Topic},
		processor.StageDetect: {cfg.App + ".candidates"}, processor.StageGroup: {cfg.App + ".findings"}}
	for _, s := range stages {
		for _, topic := range inputs[s] {
			d.await(string(s)+" processes all of "+topic, func() bool {
				ask, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				drained, err := proof.Drained(ask, d.reach, s.Group(cfg.App), topic)
				return drained && err == nil
			})
		}
	}
}
