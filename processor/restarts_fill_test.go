//go:build restarts

package processor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas/wire"
	"firstseen/state"
	"firstseen/traffic"
)

// filledAddress is one of the addresses that the changelog is filled with: even ones, in no order. The probes' are odd.
func filledAddress(i int) string {
	n := uint32(i) * 2654435761 << 1
	return fmt.Sprintf("%d.%d.%d.%d", n>>24, n>>16&255, n>>8&255, n&255)
}

// fill writes terms to the changelog of detect as a worker does that has seen them: in transactions, compressed, each term in
// the partition where candidates of its address go, and behind them the input offset that they are current to. Each is
// written so many times, all of them before any the next time: what a changelog is like before it is compacted, which here
// it is not, so that a restore reads them all and has the processors to itself.
func (f *figures) fill() {
	const perTxn = 80_000
	began := time.Now()
	topic, partitions := f.app+"."+topicDetectLog, int32(f.parts)
	offsets := map[int32][]byte{}
	for _, r := range f.read(topic) {
		if string(r.Key) == state.OffsetKey {
			offsets[r.Partition] = r.Value
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(f.brokers, ",")...), kgo.TransactionalID(f.app+"-fill"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.MaxBufferedRecords(2*perTxn), kgo.ProducerLinger(0))
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	hour := "3600000" // no less than max.compaction.lag.ms
	if done, err := f.adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: "min.compaction.lag.ms", Value: &hour}}, topic); err != nil || done[0].Err != nil {
		f.t.Fatal(err, done)
	}
	ctx, id, now := context.Background(), f.set.Rule(traffic.NewTermsRule).State(), time.Now().UnixMilli()
	const day = 86_400_000
	for n := 0; n < f.terms*f.updates; n += perTxn {
		if err := cl.BeginTransaction(); err != nil {
			f.t.Fatal(err)
		}
		promise := func(_ *kgo.Record, err error) {
			if err != nil {
				f.t.Error(err)
			}
		}
		for u := n; u < min(n+perTxn, f.terms*f.updates); u++ {
			i := u % f.terms
			address := filledAddress(i)
			seen := now - int64(u)%day
			value, err := wire.AppendTerm(nil, &wire.Term{FirstSeen: seen - int64(i*7919)%day, LastSeen: seen, SweepAt: seen + 15*day, Count: int64(i%40) + 1 + int64(u/f.terms)})
			if err != nil {
				f.t.Fatal(err)
			}
			cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: partition([]byte(address), partitions),
				Key: stage.TermKey(nil, id, []string{address}), Value: value}, promise)
		}
		for p, value := range offsets {
			cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: p, Key: []byte(state.OffsetKey), Value: value}, promise)
		}
		if err := cl.Flush(ctx); err != nil {
			f.t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			f.t.Fatal(err)
		}
	}
	f.t.Logf("wrote %d terms, %d times each, to %s in %s", f.terms, f.updates, topic, time.Since(began).Round(time.Second))
}
