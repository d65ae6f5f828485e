package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var kfakeFirstTimeout = behaviour{
	name:     "kfake-first-timeout",
	expected: "a transaction of a producer with a time-out of 300ms is aborted after it, whatever that of its predecessor was",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("t", 1, nil))
		if _, _, err := w.client(c, kgo.TransactionalID("p"), kgo.TransactionTimeout(time.Minute)).ProducerID(w.ctx); err != nil {
			panic(err)
		}
		producer := w.client(c, kgo.TransactionalID("p"), kgo.TransactionTimeout(300*time.Millisecond))
		check(producer.BeginTransaction())
		w.produce(producer, "t", "k=1")
		time.Sleep(2 * time.Second)
		open := c.PartitionInfo("t", 0).LastStableOffset == 0
		return fmt.Sprintf("after 2s it is open: %v", open), open
	},
}
