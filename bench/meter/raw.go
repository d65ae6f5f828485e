package meter

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/bench/kafka"
	"firstseen/bench/process"
	"firstseen/bench/scan"
)

// A reader consumes the inputs and does nothing with them but scan.
type reader struct {
	topics     kafka.Topics
	bootstrap  string
	scan       string
	start, end kafka.Offsets
	began      time.Time

	matches, done atomic.Int64
	first         atomic.Int64 // nanoseconds to the first record
}

// Raw is the command raw.
func Raw(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("raw", flag.ExitOnError)
	var c reader
	c.topics.Flags(fs)
	fs.StringVar(&c.bootstrap, "bootstrap", "127.0.0.1:9092", "broker")
	inputList := fs.String("inputs", "", "input topics, comma-separated; default: both")
	fs.StringVar(&c.scan, "scan", "none", "none: only consume; early: read JSON up to the first field that fails; full: read all of it")
	consumers := fs.Int("consumers", 1, "consumers; they share the partitions")
	brokerPID := fs.Int("broker-pid", 0, "report the CPU time of this process too")
	_ = fs.Parse(args) // exits on errors
	inputs := []string{c.topics.CloudTrail, c.topics.S3Access}
	if *inputList != "" {
		inputs = strings.Split(*inputList, ",")
	}
	if err := c.look(ctx, inputs); err != nil {
		return err
	}
	r := &Report{Label: fmt.Sprintf("raw %s, %d consumers", c.scan, *consumers), Records: c.end.Sum() - c.start.Sum(), Finished: true}

	cpu, broker, machine := process.SelfCPU(), process.CPU(*brokerPID), process.MachineCPU()
	c.began = time.Now()
	var wg sync.WaitGroup
	errs := make(chan error, *consumers)
	for n := range *consumers {
		wg.Go(func() {
			if err := c.consume(ctx, n, *consumers); err != nil {
				errs <- err
			}
		})
	}
	go func() {
		wg.Wait()
		close(errs)
	}()
	// Peak memory, sampled as meter does.
	var peak int64
	var half mark
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for open := true; open; {
		select {
		case err, failed := <-errs:
			if failed {
				return err
			}
			open = false
		case <-tick.C:
		}
		peak = max(peak, process.SelfRSS())
		if n := c.done.Load(); half.done == 0 && n*2 >= r.Records {
			half = mark{n, time.Since(c.began).Seconds(), process.SelfCPU() - cpu}
		}
	}
	r.WallS, r.CPUS = time.Since(c.began).Seconds(), process.SelfCPU()-cpu
	r.StartupS = time.Duration(c.first.Load()).Seconds()
	r.BrokerCPUS, r.PeakRSSMB = process.CPU(*brokerPID)-broker, float64(peak)/1e6
	r.OtherCores = (process.MachineCPU() - machine - r.CPUS - r.BrokerCPUS) / r.WallS
	r.rates(half)
	r.print(false)
	if c.scan != "none" {
		fmt.Printf("records that the rules look at: %d\n", c.matches.Load())
	}
	return nil
}

func (c *reader) look(ctx context.Context, inputs []string) error {
	adm, err := kafka.Admin(c.bootstrap)
	if err != nil {
		return err
	}
	defer adm.Close()
	if c.start, err = kafka.StartOffsets(ctx, adm, inputs...); err != nil {
		return err
	}
	c.end, err = kafka.EndOffsets(ctx, adm, inputs...)
	return err
}

// consume reads the n-th share of the partitions to their ends.
func (c *reader) consume(ctx context.Context, n, consumers int) error {
	at := map[string]map[int32]kgo.Offset{}
	open := 0
	for topic, ends := range c.end {
		at[topic] = map[int32]kgo.Offset{}
		for p, e := range ends {
			if int(p)%consumers == n && e > c.start[topic][p] {
				at[topic][p] = kgo.NewOffset().At(c.start[topic][p])
				open++
			}
		}
	}
	if open == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap), kgo.ConsumePartitions(at), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(2<<20))
	if err != nil {
		return err
	}
	defer cl.Close()
	for open > 0 {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			return e.Err
		}
		c.first.CompareAndSwap(0, int64(time.Since(c.began)))
		var found int64
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			found += c.scanned(p)
			if k := len(p.Records); k > 0 && p.Records[k-1].Offset+1 >= c.end[p.Topic][p.Partition] {
				open--
			}
		})
		c.matches.Add(found)
		c.done.Add(int64(fetches.NumRecords()))
	}
	return nil
}

// scanned is the number of records of a partition's batch that the rules look at.
func (c *reader) scanned(p kgo.FetchTopicPartition) (found int64) {
	if c.scan == "none" {
		return 0
	}
	for _, rec := range p.Records {
		if p.Topic == c.topics.S3Access && scan.S3Access(rec.Value) || p.Topic != c.topics.S3Access && scan.CloudTrail(rec.Value, c.scan == "early") {
			found++
		}
	}
	return found
}
