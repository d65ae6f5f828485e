package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/bench/gen"
	"firstseen/bench/kafka"
)

// A loader produces a data set and works out the alerts that must come of it.
type loader struct {
	client   *kgo.Client
	topics   kafka.Topics
	oracle   *gen.Oracle
	expected gen.Expected
	failed   atomic.Pointer[error]
}

func configFlags(fs *flag.FlagSet, cfg *gen.Config) {
	*cfg = gen.Default()
	fs.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "seed of the generator")
	fs.IntVar(&cfg.CloudTrail, "cloudtrail-records", cfg.CloudTrail, "CloudTrail records")
	fs.IntVar(&cfg.S3Access, "s3-records", cfg.S3Access, "S3 access log lines")
	fs.IntVar(&cfg.Partitions, "partitions", cfg.Partitions, "partitions of each topic")
	fs.IntVar(&cfg.Pool, "pool", cfg.Pool, "source addresses to draw from (Zipf)")
	fs.IntVar(&cfg.Buckets, "buckets", cfg.Buckets, "buckets to draw from (Zipf)")
	fs.Float64Var(&cfg.Candidates, "candidates", cfg.Candidates, "share of anonymous S3 candidates")
	fs.Float64Var(&cfg.Scanner, "scanner", cfg.Scanner, "share of the candidates that come from one address")
	fs.Float64Var(&cfg.HotBucket, "hot-bucket", cfg.HotBucket, "share of the matching S3 lines that are about one bucket")
	fs.Float64Var(&cfg.Inside, "inside", cfg.Inside, "share of the S3 lines from approved networks")
	fs.IntVar(&cfg.Terms, "terms", cfg.Terms, "the first so many CloudTrail records are candidates with an address of their own")
	fs.Float64Var(&cfg.S3Data, "s3-data", cfg.S3Data, "share of other S3 data events")
	fs.Float64Var(&cfg.Services, "services", cfg.Services, "share of events with a service name as source")
	fs.Float64Var(&cfg.IPv6, "ipv6", cfg.IPv6, "share of IPv6 addresses in the pool")
	fs.IntVar(&cfg.Days, "days", cfg.Days, "days of event time")
	fs.IntVar(&cfg.Late, "late", cfg.Late, "seconds an event may come late")
}

func loadCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	l := &loader{oracle: gen.NewOracle()}
	cfg := &l.expected.Config
	configFlags(fs, cfg)
	l.topics.Flags(fs)
	bootstrap := fs.String("bootstrap", "127.0.0.1:9092", "broker")
	path := fs.String("expected", "expected.json", "file to write the expected alerts to")
	workers := fs.Int("workers", runtime.NumCPU(), "generator goroutines")
	_ = fs.Parse(args) // exits on errors
	var err error
	if l.client, err = kgo.NewClient(kgo.SeedBrokers(*bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerBatchMaxBytes(1<<20),
		kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(100_000)); err != nil {
		return err
	}
	defer l.client.Close()
	for _, t := range []string{l.topics.CloudTrail, l.topics.S3Access, l.topics.Alerts} {
		if err := kafka.Recreate(ctx, kadm.NewClient(l.client), t, int32(cfg.Partitions)); err != nil {
			return err
		}
	}

	began := time.Now()
	if err := l.produce(ctx, *workers); err != nil {
		return err
	}
	e := &l.expected
	e.Alerts, e.Addresses = l.oracle.Alerts, l.oracle.Addresses()
	if err := e.Write(*path); err != nil {
		return err
	}
	fmt.Printf("loaded %d CloudTrail records and %d S3 lines, %.0f MB, in %.1f s: %d candidates from %d addresses, %d matches, %d alerts expected\n",
		cfg.CloudTrail, cfg.S3Access, float64(e.Bytes)/1e6, time.Since(began).Seconds(), e.Candidates, e.Addresses, e.Matches, len(e.Alerts))
	return nil
}

// A job is one chunk of one input.
type job struct {
	topic string
	n     int
}

// jobs lists the chunks. The two inputs advance together, so that a consumer sees both all the time.
func (l *loader) jobs() (list []job) {
	n1, n2 := gen.Chunks(l.expected.Config.CloudTrail), gen.Chunks(l.expected.Config.S3Access)
	for i, k := 0, 0; i < n1 || k < n2; {
		if k >= n2 || i < n1 && i*max(n2, 1) <= k*n1 {
			list = append(list, job{l.topics.CloudTrail, i})
			i++
		} else {
			list = append(list, job{l.topics.S3Access, k})
			k++
		}
	}
	return list
}

func (l *loader) produce(ctx context.Context, workers int) error {
	g := &gen.Generator{Config: l.expected.Config}
	ordered(l.jobs(), workers, func(j job) []gen.Record {
		if j.topic == l.topics.CloudTrail {
			return g.CloudTrailChunk(j.n)
		}
		return g.S3AccessChunk(j.n)
	}, func(j job, recs []gen.Record) bool {
		l.send(ctx, j.topic, recs)
		return l.failed.Load() == nil && ctx.Err() == nil
	})
	if err := l.client.Flush(ctx); err != nil {
		return err
	}
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return ctx.Err()
}

func (l *loader) send(ctx context.Context, topic string, recs []gen.Record) {
	for i := range recs {
		r := &recs[i]
		l.expected.Bytes += int64(len(r.Value))
		switch r.Rule {
		case gen.NewTerms:
			l.expected.Candidates++
		case gen.Allowlist:
			l.expected.Matches++
		}
		l.oracle.Add(r)
		l.client.Produce(ctx, &kgo.Record{Topic: topic, Partition: r.Partition, Value: r.Value}, func(_ *kgo.Record, err error) {
			if err != nil {
				l.failed.CompareAndSwap(nil, &err)
			}
		})
	}
}

// ordered runs work on several goroutines and done on the results, in order.
func ordered[J, R any](jobs []J, workers int, work func(J) R, done func(J, R) bool) {
	results := make([]chan R, len(jobs))
	for i := range results {
		results[i] = make(chan R, 1)
	}
	var next atomic.Int64
	ahead := make(chan struct{}, 2*workers)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				select {
				case ahead <- struct{}{}:
				case <-quit:
					return
				}
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				results[i] <- work(jobs[i])
			}
		})
	}
	for i, j := range jobs {
		if !done(j, <-results[i]) {
			break
		}
		<-ahead
	}
	close(quit)
	wg.Wait()
}
