package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// openTransaction is a transaction that keeps readers of committed records from what is behind it.
type openTransaction struct {
	id       string // transactional id; empty: no coordinator knows it
	producer int64
	epoch    int16
	state    string
	began    time.Time
	timeout  time.Duration
	places   map[topicPartition]int64 // where it holds readers back, and its first offset
}

// transactions looks where the last stable offset is below the high watermark, and for whose transaction that is. It is
// so for a moment under every load.
func (x *doctor) transactions(ctx context.Context) bool {
	var held kadm.TopicsSet
	partitions := 0
	x.ends.Each(func(end kadm.ListedOffset) {
		stable, ok := x.stable.Lookup(end.Topic, end.Partition)
		if end.Err != nil || !ok || stable.Err != nil {
			return
		}
		if partitions++; stable.Offset < end.Offset {
			held.Add(end.Topic, end.Partition)
		}
	})
	if len(held) == 0 {
		x.ok("transactions", x.cfg.App, "no open transaction holds readers back, on %d partitions", partitions)
		return true
	}
	open, err := x.openTransactions(ctx, held)
	if err != nil {
		x.unchecked("transactions", fmt.Sprintf("%d partitions whose last stable offset is below the end", len(held.IntoList())), err)
		return true
	}
	for _, t := range open {
		x.checks = append(x.checks, t.check(&x.cfg, time.Now()))
	}
	if len(open) == 0 {
		x.ok("transactions", x.cfg.App, "those that were open have ended meanwhile")
	}
	return true
}

func (x *doctor) openTransactions(ctx context.Context, held kadm.TopicsSet) ([]*openTransaction, error) {
	described, err := x.adm.DescribeProducers(ctx, held)
	if err != nil {
		return nil, fmt.Errorf("describe producers: %w", err)
	}
	open := map[int64]*openTransaction{}
	var failed error
	described.EachPartition(func(p kadm.DescribedProducersPartition) { failed = errors.Join(failed, p.Err) })
	described.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset < 0 {
			return
		}
		t := open[p.ProducerID]
		if t == nil {
			t = &openTransaction{producer: p.ProducerID, epoch: p.ProducerEpoch, began: time.UnixMilli(p.LastTimestamp), places: map[topicPartition]int64{}}
			open[p.ProducerID] = t
		}
		t.places[topicPartition{p.Topic, p.Partition}] = p.CurrentTxnStartOffset
	})
	if len(open) == 0 {
		return nil, failed
	}
	listed, err := x.adm.ListTransactions(ctx, slices.Collect(maps.Keys(open)), nil)
	if err != nil {
		return nil, fmt.Errorf("list transactions: %w", err)
	}
	if ids := listed.TransactionalIDs(); len(ids) > 0 {
		states, err := x.adm.DescribeTransactions(ctx, ids...)
		if err != nil {
			return nil, fmt.Errorf("describe transactions: %w", err)
		}
		for _, s := range states {
			if t := open[s.ProducerID]; t != nil && s.Err == nil {
				t.id, t.state, t.timeout = s.TxnID, s.State, time.Duration(s.TimeoutMillis)*time.Millisecond
				if s.StartTimestamp > 0 {
					t.began = time.UnixMilli(s.StartTimestamp)
				}
			}
		}
	}
	return slices.SortedFunc(maps.Values(open), func(a, b *openTransaction) int { return a.began.Compare(b.began) }), nil
}

// abortScan is how long after its time-out a coordinator may take to abort a transaction: it looks every 10 s.
const abortScan = 30 * time.Second

// check judges an open transaction. A worker's own lasts a quarter of its time-out at most while it is well.
func (t *openTransaction) check(cfg *Config, now time.Time) Check {
	first := slices.MinFunc(slices.Collect(maps.Keys(t.places)), func(a, b topicPartition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	age := now.Sub(t.began)
	who := fmt.Sprintf("a transaction of transactional id %s (producer id %d, epoch %d)", t.id, t.producer, t.epoch)
	if t.id == "" {
		who = fmt.Sprintf("a transaction of producer id %d, epoch %d, of no known transactional id,", t.producer, t.epoch)
	}
	on := first.String()
	if n := len(t.places); n > 1 {
		on += fmt.Sprintf(" and %d more", n-1)
	}
	c := Check{Result: CheckOK, What: "transactions", On: on, Says: fmt.Sprintf("%s has been open for %s, since offset %d", who, age.Round(100*time.Millisecond), t.places[first])}
	ended := t.id == "" || t.state == "Empty" || t.state == "Dead" || t.state == "CompleteCommit" || t.state == "CompleteAbort"
	switch {
	case age > cfg.Timing.Transaction/4 && ended, t.timeout > 0 && age > t.timeout+abortScan, t.timeout == 0 && age > abortScan+15*time.Minute:
		c.Result = CheckFail
		c.Says += ": it hangs, no coordinator will end it, and no reader of committed records gets behind it"
		c.Next = fmt.Sprintf("kafka-transactions.sh --bootstrap-server BROKER abort --topic %s --partition %d --start-offset %d", first.topic, first.partition, t.places[first])
	case age > cfg.Timing.Transaction/4:
		c.Result = CheckWarn
		c.Says += fmt.Sprintf("; readers of committed records wait there, until its coordinator aborts it at %s", t.began.Add(t.timeout).UTC().Format(time.TimeOnly))
		c.Next = "end its producer, or wait"
		if instance, ok := cfg.instanceOf(t.id); ok {
			c.Next = fmt.Sprintf("start that worker again, or, if it will not come back: firstseen leave -c FILE %s", instance)
		}
	}
	return c
}
