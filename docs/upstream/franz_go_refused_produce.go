package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var franzGoRefusedProduce = behaviour{
	name:     "franz-go-refused-produce",
	expected: "a record that is refused once with CONCURRENT_TRANSACTIONS is sent again after 20ms, the back-off for it",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("t", 1, nil))
		cl := w.client(c)
		w.produce(cl, "t", "k=1")
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: kerr.ConcurrentTransactions})
		began := time.Now()
		w.produce(cl, "t", "k=2")
		took := time.Since(began)
		return fmt.Sprintf("it is there after %s", round(took)), took > time.Second
	},
}
