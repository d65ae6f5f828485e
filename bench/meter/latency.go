package meter

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/bench/gen"
	"firstseen/bench/kafka"
	"firstseen/bench/process"
)

// LatencyReport is in milliseconds, from the moment a record was due to be produced to the moment a read_committed
// consumer got its alert.
type LatencyReport struct {
	Label   string  `json:"label"`
	Rate    int     `json:"rate"`
	Offered int     `json:"offered"`
	Samples int     `json:"samples"`
	Missing int     `json:"missing"`
	Wrong   int     `json:"wrong"` // alerts without a record that was due one: duplicates, or made up
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
	Cores   float64 `json:"cores"` // that the program took, if latency started it
	Broker  float64 `json:"broker_cores,omitempty"`
	Other   float64 `json:"other_cores"` // that everything but the program, the broker and bench took
	// What the program counted in the measured time, as in Report.
	Counters map[string]float64 `json:"counters,omitempty"`
}

// An offer is one measurement at a fixed rate.
type offer struct {
	topics     kafka.Topics
	bootstrap  string
	partitions int
	brokerPID  int
	rate       int
	duration   time.Duration
	warmup     time.Duration
	patience   time.Duration // with alerts that do not come
	metrics    string

	producer *kgo.Client
	consumer *kgo.Client
	prog     *process.Program // nil: it runs already

	mu       sync.Mutex
	due      map[string]time.Time // by event id
	measured time.Time            // records due before count for nothing
	samples  []time.Duration
	wrong    int
	alive    chan struct{} // closed when the first alert has come
}

// Latency is the command latency.
func Latency(ctx context.Context, args []string) error {
	r, err := measureLatency(ctx, args)
	if err != nil {
		return err
	}
	b, _ := json.Marshal(r) // numbers and strings
	fmt.Println(string(b))
	fmt.Printf("%s: %d records/s, %d alerts, %d missing, %d wrong: p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, max %.1f ms; program %.2f cores, other work %.2f\n",
		r.Label, r.Rate, r.Samples, r.Missing, r.Wrong, r.P50, r.P95, r.P99, r.Max, r.Cores, r.Other)
	return nil
}

func measureLatency(ctx context.Context, args []string) (*LatencyReport, error) {
	fs := flag.NewFlagSet("latency", flag.ExitOnError)
	o := &offer{due: map[string]time.Time{}, alive: make(chan struct{}), measured: time.Now().Add(time.Hour)}
	o.topics.Flags(fs)
	fs.StringVar(&o.bootstrap, "bootstrap", "127.0.0.1:9092", "broker")
	command := fs.String("cmd", "", "program under test; empty: it runs already")
	logPath := fs.String("log", "latency.log", "output of the program")
	fs.IntVar(&o.rate, "rate", 5000, "CloudTrail records per second")
	fs.DurationVar(&o.duration, "duration", 30*time.Second, "measured time")
	fs.DurationVar(&o.warmup, "warmup", 10*time.Second, "time at the same rate before that")
	fs.IntVar(&o.partitions, "partitions", 8, "partitions of the CloudTrail topic")
	fs.IntVar(&o.brokerPID, "broker-pid", 0, "process that is no other work")
	fs.DurationVar(&o.patience, "patience", 15*time.Second, "wait so long for the last alerts")
	fs.StringVar(&o.metrics, "metrics", "", "URL of the program's Prometheus metrics, to be read before and after the measured time")
	label := fs.String("label", "", "name of the run")
	_ = fs.Parse(args) // exits on errors
	if err := o.connect(ctx); err != nil {
		return nil, err
	}
	defer o.producer.Close()
	defer o.consumer.Close()
	if *command != "" {
		var err error
		if o.prog, err = process.Start(*command, *logPath); err != nil {
			return nil, err
		}
		defer o.prog.Stop(20 * time.Second)
	}
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() { o.read(reading) })
	defer reader.Wait()
	defer stop()

	if err := o.probe(ctx); err != nil {
		return nil, err
	}
	r := &LatencyReport{Label: *label, Rate: o.rate}
	if err := o.load(ctx, r); err != nil {
		return nil, err
	}
	o.await()
	if err := o.summarize(r); err != nil {
		return nil, err
	}
	return r, nil
}

// connect reads the alerts from where they end now.
func (o *offer) connect(ctx context.Context) (err error) {
	adm, err := kafka.Admin(o.bootstrap)
	if err != nil {
		return err
	}
	defer adm.Close()
	end, err := kafka.EndOffsets(ctx, adm, o.topics.Alerts)
	if err != nil {
		return err
	}
	at := map[int32]kgo.Offset{}
	for p, n := range end[o.topics.Alerts] {
		at[p] = kgo.NewOffset().At(n)
	}
	if o.producer, err = kgo.NewClient(kgo.SeedBrokers(o.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(time.Millisecond)); err != nil {
		return err
	}
	o.consumer, err = kgo.NewClient(kgo.SeedBrokers(o.bootstrap), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topics.Alerts: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMinBytes(1))
	return err
}

// read takes the time of every alert that comes.
func (o *offer) read(ctx context.Context) {
	first := true
	for ctx.Err() == nil {
		fetches := o.consumer.PollFetches(ctx)
		now := time.Now()
		o.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			a, opens, err := kafka.ParseAlert(r.Value)
			if err == nil && !opens {
				return
			}
			t, ok := o.due[a.EventID]
			if !ok {
				o.wrong++
				return
			}
			delete(o.due, a.EventID)
			if first {
				first = false
				close(o.alive)
			}
			if !t.Before(o.measured) {
				o.samples = append(o.samples, now.Sub(t))
			}
		})
		o.mu.Unlock()
	}
}

func (o *offer) send(ctx context.Context, r *gen.Record, due time.Time) {
	if r.Rule != "" {
		o.mu.Lock()
		o.due[r.ID] = due
		o.mu.Unlock()
	}
	// What cannot be produced comes out as a missing alert.
	o.producer.Produce(ctx, &kgo.Record{Topic: o.topics.CloudTrail, Partition: r.Partition, Value: r.Value}, nil)
}

// newGenerator makes n records; every candidate has a new address.
func (o *offer) newGenerator(n int) *gen.Generator {
	cfg := gen.Default()
	cfg.Partitions, cfg.CloudTrail, cfg.Late = o.partitions, n, 0
	cfg.Seed = rand.Uint64()>>32 | 1
	return &gen.Generator{Config: cfg, Nonce: cfg.Seed}
}

// probe sends single candidates until the first alert comes, and waits until all of them have theirs.
func (o *offer) probe(ctx context.Context) error {
	g := o.newGenerator(1 << 30)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for n := 0; ; n++ {
		for _, probe := range g.CloudTrailChunk(n) {
			if probe.Rule == "" {
				continue
			}
			o.send(ctx, &probe, time.Now())
			select {
			case <-o.alive:
				o.await()
				return nil
			case <-tick.C:
			case <-limit:
				return errors.New("no alert within two minutes")
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// load offers the records, each at its time.
func (o *offer) load(ctx context.Context, r *LatencyReport) error {
	r.Offered = int((o.warmup + o.duration).Seconds() * float64(o.rate))
	g := o.newGenerator(r.Offered)
	began := time.Now().Add(100 * time.Millisecond)
	o.mu.Lock()
	o.measured = began.Add(o.warmup)
	o.mu.Unlock()
	var before spent
	var recs []gen.Record
	interval := time.Second / time.Duration(o.rate)
	for i := range r.Offered {
		t := began.Add(time.Duration(i) * interval)
		if i%gen.ChunkSize == 0 {
			recs = g.CloudTrailChunk(i / gen.ChunkSize)
		}
		if wait := time.Until(t); wait > 500*time.Microsecond {
			time.Sleep(wait)
		}
		if before.counters == nil && !t.Before(o.measured) {
			before = o.spent(ctx)
		}
		o.send(ctx, &recs[i%gen.ChunkSize], t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	after, seconds := o.spent(ctx), o.duration.Seconds()
	r.Cores, r.Broker, r.Other = (after.program-before.program)/seconds, (after.broker-before.broker)/seconds, (after.other-before.other)/seconds
	first, last := <-before.counters, <-after.counters
	r.Counters = last.counts
	for name, n := range first.counts {
		r.Counters[name] -= n
	}
	return errors.Join(first.err, last.err, o.producer.Flush(ctx))
}

// await returns when no alert is due any more, or out of patience.
func (o *offer) await() {
	for deadline := time.Now().Add(o.patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		o.mu.Lock()
		n := len(o.due)
		o.mu.Unlock()
		if n == 0 {
			return
		}
	}
}

func (o *offer) summarize(r *LatencyReport) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.Samples, r.Missing, r.Wrong = len(o.samples), len(o.due), o.wrong
	if len(o.samples) == 0 {
		return errors.New("no alert came back")
	}
	slices.Sort(o.samples)
	quantile := func(q float64) float64 {
		return float64(o.samples[min(len(o.samples)-1, int(q*float64(len(o.samples))))].Microseconds()) / 1000
	}
	r.P50, r.P95, r.P99, r.Max = quantile(0.50), quantile(0.95), quantile(0.99), quantile(1)
	return nil
}
