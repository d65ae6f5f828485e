package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var franzGoFailedProduce = behaviour{
	name:     "franz-go-failed-produce",
	expected: "a transaction in which a record could not be produced is not committed",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("in", 1, nil))
		check(c.CreateTopic("out", 1, map[string]string{"max.message.bytes": "1000"}))
		w.produce(w.client(c), "in", "k=1")
		s := w.session(c, "one", kgo.ProducerBatchCompression(kgo.NoCompression()))
		check(s.Begin())
		w.poll(s)
		failed := s.ProduceSync(w.ctx, &kgo.Record{Topic: "out", Value: make([]byte, 2000)}).FirstErr()
		committed, err := s.End(w.ctx, kgo.TryCommit)
		at, _ := must(kadm.NewClient(w.client(c)).FetchOffsets(kadm.RequireStable(w.ctx), "group")).Lookup("in", 0)
		return fmt.Sprintf("produce: %v; committed %v, error %v; the group is at offset %d", failed, committed, err, at.At), failed != nil && committed && at.At == 1
	},
}
