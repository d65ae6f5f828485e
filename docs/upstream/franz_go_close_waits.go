package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var franzGoCloseWaits = behaviour{
	name:     "franz-go-close-waits",
	expected: "a member that waits for others to join can be closed at once",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("in", 2, nil))
		const rebalance = 6 * time.Second
		// One has polled a record, and allows no rebalance.
		silent := w.session(c, "one", kgo.RebalanceTimeout(rebalance))
		w.produce(w.client(c), "in", "k=1")
		w.poll(silent)
		joining := w.session(c, "two", kgo.RebalanceTimeout(rebalance))
		w.await(func() bool { return len(c.GroupInfo("group").Members) == 2 })
		began := time.Now()
		joining.CloseAllowingRebalance()
		took := time.Since(began)
		return fmt.Sprintf("closed after %s of a rebalance time-out of %s", round(took), rebalance), took > rebalance/2
	},
}
