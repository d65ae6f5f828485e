package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/traffic"
)

const (
	app        = "soak"
	partitions = 4
	speed      = 1000 // event time runs this much faster: what a rule keeps for six hours expires in 20 seconds
)

// deployment is the workers and what they read.
type deployment struct {
	settings
	cl      *kgo.Client
	adm     *kadm.Client
	workers []*worker // 0 runs all the time, 1 is restarted and killed, 2 comes and goes
	sent    atomic.Int64

	restarts, kills, scaled int
}

// found creates the sources, and with the first worker the deployment.
func found(ctx context.Context, s settings, address string) (*deployment, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	d := &deployment{settings: s, cl: cl, adm: kadm.NewClient(cl)}
	for n := range 3 {
		d.workers = append(d.workers, newWorker(s, n, address))
	}
	err = d.begin(ctx)
	if err != nil {
		d.close()
	}
	return d, err
}

func (d *deployment) begin(ctx context.Context) error {
	created, err := d.adm.CreateTopics(ctx, partitions, 1, sourceSettings, source(traffic.CloudTrail), source(traffic.S3Access))
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		return fmt.Errorf("create the sources: %w", err)
	}
	if err := d.workers[0].start(); err != nil {
		return err
	}
	if err := d.workers[0].awaitReady(time.Minute); err != nil {
		return err
	}
	for topic, compacted := range internalTopics {
		var alter []kadm.AlterConfig
		for k, v := range topicSettings {
			alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v})
		}
		for k, v := range changelogSettings {
			if compacted {
				alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v})
			}
		}
		resp, err := d.adm.AlterTopicConfigs(ctx, alter, topic)
		if err == nil {
			_, err = resp.On(topic, nil)
		}
		if err != nil {
			return fmt.Errorf("settings of %s: %w", topic, err)
		}
	}
	return d.workers[1].start()
}

// sourceSettings keep the disk from filling with what has been read long ago.
var sourceSettings = map[string]*string{"retention.ms": kadm.StringPtr("300000"), "segment.bytes": kadm.StringPtr("16777216")}

func source(k traffic.Kind) string { return app + "-" + string(k) }

// internalTopics are those that must stay as large as they are, and whether they are compacted.
var internalTopics = map[string]bool{app + ".candidates": false, app + ".findings": false, app + ".detect.changelog": true, app + ".group.changelog": true, app + ".control": true}

// load produces at a steady rate until ctx ends. There are so many addresses and buckets and no more: what grows is not
// the traffic.
func (d *deployment) load(ctx context.Context) error {
	o := traffic.Defaults()
	o.Rate, o.Anonymous, o.Outside, o.Addresses, o.Buckets = d.rate/speed, 0.9, 0.9, 4000, 500
	g, err := traffic.New(o)
	if err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for float64(d.sent.Load()) < d.rate*time.Since(began).Seconds() {
			r := g.Next()
			d.sent.Add(1)
			d.cl.Produce(context.Background(), &kgo.Record{Topic: source(r.Kind), Partition: r.Partition(partitions), Value: r.Value}, func(_ *kgo.Record, e error) {
				if e != nil && !errors.Is(e, kgo.ErrClientClosed) {
					fmt.Println("produce:", e)
				}
			})
		}
	}
}

// churn disturbs the deployment every minute or so, until ctx ends: it restarts the second worker in order, kills it, or
// has a third come for a while and leave.
func (d *deployment) churn(ctx context.Context, rnd *rand.Rand) error {
	for n := 0; ; n++ {
		if !wait(ctx, time.Duration(30+rnd.IntN(30))*time.Second) {
			return nil
		}
		if n%3 == 0 { // at first, so that each has been there before the middle of the run
			d.scaled++
			w := d.workers[2]
			if err := w.start(); err != nil {
				return err
			}
			wait(ctx, 30*time.Second)
			if err := w.stop(); err != nil {
				return err
			}
			continue
		}
		w := d.workers[1]
		d.restarts++
		if n%3 == 2 {
			d.kills++
			w.kill()
		} else if err := w.stop(); err != nil {
			return err
		}
		wait(ctx, time.Second)
		if err := w.start(); err != nil {
			return err
		}
	}
}

// wait waits and reports whether ctx has not ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (d *deployment) awaitReady() error {
	return errors.Join(d.workers[0].awaitReady(time.Minute), d.workers[1].awaitReady(time.Minute))
}

// stop ends the workers in order.
func (d *deployment) stop() (err error) {
	for _, w := range d.workers {
		err = errors.Join(err, w.stop())
	}
	return err
}

// close kills what still runs.
func (d *deployment) close() {
	for _, w := range d.workers {
		w.kill()
	}
	d.cl.Close()
}
