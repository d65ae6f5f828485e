package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var kfakeAppendTime = behaviour{
	name:     "kfake-append-time",
	expected: "the broker's time, as message.timestamp.type=LogAppendTime says",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("t", 1, map[string]string{"message.timestamp.type": "LogAppendTime"}))
		check(w.client(c).ProduceSync(w.ctx, &kgo.Record{Topic: "t", Timestamp: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)}).FirstErr())
		got := w.client(c, kgo.ConsumeTopics("t")).PollFetches(w.ctx).Records()[0].Timestamp.UTC()
		return fmt.Sprintf("the producer's, %s", got.Format(time.DateOnly)), got.Year() == 2001
	},
}
