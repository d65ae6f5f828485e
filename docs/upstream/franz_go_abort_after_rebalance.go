package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

var franzGoAbortAfterRebalance = behaviour{
	name:     "franz-go-abort-after-rebalance",
	expected: "a transaction that begins after a rebalance is over is committed",
	show: func(w *world) (string, bool) {
		c, mine := w.cluster(), &owned{}
		check(c.CreateTopic("in", 2, nil))
		check(c.CreateTopic("out", 1, nil))
		s := w.session(c, "one", mine.opts()...)
		turn := func() {
			s.PollFetches(w.limit(heartbeat))
			s.AllowRebalance()
		}
		w.await(func() bool { turn(); return len(mine.list()) == 2 })
		two := w.join(c)
		w.await(func() bool { turn(); return len(mine.list()) == 1 && len(two.list()) == 1 })

		plain := w.client(c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		check(plain.ProduceSync(w.ctx, &kgo.Record{Topic: "in", Partition: mine.list()[0]}).FirstErr())
		check(s.Begin())
		w.poll(s)
		check(s.ProduceSync(w.ctx, &kgo.Record{Topic: "out"}).FirstErr())
		committed, err := s.End(w.ctx, kgo.TryCommit)
		return fmt.Sprintf("committed %v, error %v", committed, err), !committed && err == nil
	},
}
