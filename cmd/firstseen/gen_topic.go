package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/config"
	"firstseen/processor"
	"firstseen/traffic"
)

// sourceTopics writes records to the source topics: each to the partition of its address or bucket, so that the order in
// which they are decided about is that in which they were made.
type sourceTopics struct {
	ctx        context.Context // ends with the command
	cl         *kgo.Client
	topics     map[traffic.Kind]string
	partitions map[string]int
	sum        *genSummary

	mu     sync.Mutex
	failed error // the first record that could not be written
}

// openTopics reaches the brokers and finds the topics.
func (c *genCmd) openTopics(a *cli.App, sum *genSummary) (sink, error) {
	layers := config.Layers{File: c.Config, Environ: os.Environ(), Flags: map[string]string{}}
	maps.Copy(layers.Flags, c.Set)
	if c.Brokers != "" {
		layers.Flags["brokers"] = c.Brokers
	}
	if c.Config == "" {
		layers.Base = config.Default()
		layers.Base.Sources = []config.Source{{Topic: "cloudtrail", Format: "cloudtrail"}, {Topic: "s3access", Format: "s3access"}}
	}
	cfg, err := config.Load(layers)
	if err != nil {
		return nil, cli.Usage(err)
	}
	topics, err := c.sourcesOf(cfg)
	if err != nil {
		return nil, cli.Usage(err)
	}
	opts, err := cfg.ClientOpts()
	if err != nil {
		return nil, cli.Usage(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(30*time.Second))...)
	if err != nil {
		return nil, cli.Usage(err)
	}
	t := &sourceTopics{ctx: a.Ctx, cl: cl, topics: topics, partitions: map[string]int{}, sum: sum}
	if err := t.find(cfg); err != nil {
		cl.Close()
		return nil, err
	}
	return t, nil
}

// sourcesOf chooses a topic for each kind of record: the first that takes nothing else; else, of those that take
// anything, the first for CloudTrail and the last for access logs.
func (c *genCmd) sourcesOf(cfg *config.Config) (map[traffic.Kind]string, error) {
	topics := map[traffic.Kind]string{}
	for _, kind := range []traffic.Kind{traffic.CloudTrail, traffic.S3Access} {
		if c.Kind != "both" && c.Kind != string(kind) {
			continue
		}
		var own, any []string
		for _, s := range cfg.Sources {
			switch s.Format {
			case string(kind):
				own = append(own, s.Topic)
			case "auto", "":
				any = append(any, s.Topic)
			}
		}
		if kind == traffic.S3Access {
			slices.Reverse(any)
		}
		if own = append(own, any...); len(own) == 0 {
			return nil, fmt.Errorf("gen: no source has the format %s or auto: add one to sources, or leave these records out with --kind", kind)
		}
		topics[kind] = own[0]
	}
	return topics, nil
}

// find asks the brokers for the topics' partitions.
func (t *sourceTopics) find(cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(t.ctx, 15*time.Second)
	defer cancel()
	names := slices.Sorted(maps.Values(t.topics))
	details, err := kadm.NewClient(t.cl).ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("%w at %s: %w", processor.ErrUnreachable, strings.Join(cfg.Brokers, ", "), err)
	}
	for _, name := range names {
		if err := details[name].Err; err != nil {
			return fmt.Errorf("%w: source topic %s: %w; firstseen topics create --sources 4 makes it", processor.ErrUnreachable, name, err)
		}
		t.partitions[name] = len(details[name].Partitions)
	}
	return nil
}

func (t *sourceTopics) write(r *traffic.Record) error {
	topic := t.topics[r.Kind]
	t.cl.Produce(t.ctx, &kgo.Record{Topic: topic, Partition: r.Partition(t.partitions[topic]), Value: r.Value}, func(_ *kgo.Record, err error) {
		if err == nil {
			t.sum.add(r)
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.failed == nil {
			t.failed = fmt.Errorf("%w: write to topic %s: %w", processor.ErrUnreachable, topic, err)
		}
	})
	return nil
}

// err is the first failure, unless the command was interrupted, which loses the records that were on their way.
func (t *sourceTopics) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(t.failed, context.Canceled) {
		return context.Canceled
	}
	return t.failed
}

// Flush waits for nothing: the client sends what it has as fast as it can.
func (t *sourceTopics) Flush() error { return t.err() }

func (t *sourceTopics) Close() error {
	defer t.cl.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), time.Minute)
	defer cancel()
	if err := t.cl.Flush(ctx); err != nil {
		return fmt.Errorf("%w: %w", processor.ErrUnreachable, err)
	}
	if err := t.err(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
