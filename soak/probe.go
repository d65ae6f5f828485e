package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// probe takes samples. What it looks at of a process is the first worker's, which runs all the time.
type probe struct {
	d    *deployment
	rows []*row
	last map[string]float64 // metrics of the first worker
}

const mib = 1 << 20

func newProbe(d *deployment, b *broker) *probe {
	p := &probe{d: d}
	for _, r := range []row{
		{name: "memory, MiB", unit: mib, slack: 16 * mib, judged: true},
		{name: "heap in use, MiB", unit: mib, slack: 16 * mib, judged: true},
		{name: "open files", slack: 8, judged: true},
		{name: "goroutines", slack: 16, judged: true},
		{name: "store, MiB", unit: mib, slack: 4 * mib, judged: true},
		{name: "state directories, MiB", unit: mib, slack: 8 * mib, judged: true},
		{name: "producer ids", slack: 16, judged: b.cleans},
		{name: "transactional ids", slack: 2, judged: true},
		{name: "candidates, findings, MiB", unit: mib, slack: 2 * mib, judged: b.cleans},
		{name: "changelogs, MiB", unit: mib, slack: 2 * mib, judged: b.cleans},
		{name: "control, KiB", unit: 1 << 10, slack: 64 << 10, judged: b.cleans},
		{name: "lag, offsets", slack: 2000, judged: true},
	} {
		p.rows = append(p.rows, &r)
	}
	return p
}

// watch takes samples until ctx ends.
func (p *probe) watch(ctx context.Context) error {
	began := time.Now()
	for n := 0; wait(ctx, p.d.every); n++ {
		sample, err := p.sample(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end came while it looked
		}
		if err != nil {
			return fmt.Errorf("sample: %w", err)
		}
		for i, r := range p.rows {
			r.add(time.Since(began), sample[i])
		}
		if n%12 == 11 {
			p.say(time.Since(began))
		}
	}
	return nil
}

// say prints the last sample.
func (p *probe) say(at time.Duration) {
	fmt.Printf("%6s", at.Round(time.Second))
	for _, r := range p.rows {
		unit := max(r.unit, 1)
		fmt.Printf("  %s %.1f", r.name, r.values[len(r.values)-1]/unit)
	}
	fmt.Println()
}

// counted is a counter of the first worker.
func (p *probe) counted(name string) float64 { return p.last[name] }

// sample is in the order of the rows.
func (p *probe) sample(ctx context.Context) ([]float64, error) {
	m, err := p.d.workers[0].metrics()
	if err != nil {
		return nil, err
	}
	p.last = m
	states := 0.0
	for _, w := range p.d.workers {
		states += size(w.state)
	}
	producers, transactional, err := p.producers(ctx)
	if err != nil {
		return nil, err
	}
	topics, err := p.topics(ctx)
	if err != nil {
		return nil, err
	}
	lag, err := p.lag(ctx)
	if err != nil {
		return nil, err
	}
	return []float64{m["process_resident_memory_bytes"], m["go_memstats_heap_inuse_bytes"], m["process_open_fds"], m["go_goroutines"],
		m["firstseen_store_bytes"], states, producers, transactional,
		topics[app+".candidates"] + topics[app+".findings"], topics[app+".detect.changelog"] + topics[app+".group.changelog"], topics[app+".control"], lag}, nil
}

// size is that of the files below a folder. Pebble deletes some of them meanwhile.
func size(dir string) (sum float64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				sum += float64(info.Size())
			}
		}
		return nil
	})
	return sum
}

// producers are how many producer ids the deployment's topics remember, and how many transactional ids there are.
func (p *probe) producers(ctx context.Context) (ids, transactional float64, err error) {
	var set kadm.TopicsSet
	for topic := range internalTopics {
		n := int32(partitions)
		if strings.HasSuffix(topic, ".control") {
			n = 1
		}
		for i := range n {
			set.Add(topic, i)
		}
	}
	described, err := p.d.adm.DescribeProducers(ctx, set)
	if err != nil {
		return 0, 0, err
	}
	seen := map[int64]bool{}
	described.EachProducer(func(pr kadm.DescribedProducer) { seen[pr.ProducerID] = true })
	listed, err := p.d.adm.ListTransactions(ctx, nil, nil)
	return float64(len(seen)), float64(len(listed)), err
}

// topics are the sizes of the topics on the broker's disk.
func (p *probe) topics(ctx context.Context) (map[string]float64, error) {
	dirs, err := p.d.adm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil, err
	}
	sizes := map[string]float64{}
	dirs.Each(func(dir kadm.DescribedLogDir) {
		dir.Topics.Each(func(part kadm.DescribedLogDirPartition) { sizes[part.Topic] += float64(part.Size) })
	})
	return sizes, nil
}

// lag is how far the groups are behind the ends of what they read; markers count.
func (p *probe) lag(ctx context.Context) (sum float64, err error) {
	lags, err := p.d.adm.Lag(ctx, app+".ingest", app+".detect", app+".group")
	if err == nil {
		err = lags.Error()
	}
	lags.Each(func(l kadm.DescribedGroupLag) { sum += float64(max(0, l.Lag.Total())) })
	return sum, err
}
