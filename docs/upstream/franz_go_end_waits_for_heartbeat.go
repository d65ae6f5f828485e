package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var franzGoEndWaitsForHeartbeat = behaviour{
	name:     "franz-go-end-waits-for-heartbeat",
	expected: "End says soon that a transaction was aborted whose member is unknown to the group",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("in", 1, nil))
		check(c.CreateTopic("out", 1, nil))
		s := w.session(c, "one")
		w.produce(w.client(c), "in", "k=1")
		check(s.Begin())
		w.poll(s)
		check(s.ProduceSync(w.ctx, &kgo.Record{Topic: "out"}).FirstErr())
		refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, TopLevel: true})
		check(refused.Wait(w.ctx, 1))
		time.Sleep(2 * heartbeat) // for the client to see the answer

		const patience = 10 * time.Second
		began := time.Now()
		committed, err := s.End(w.limit(patience), kgo.TryCommit)
		took := time.Since(began)
		return fmt.Sprintf("committed %v, error %v, after %s", committed, err, round(took)), took >= patience
	},
}
