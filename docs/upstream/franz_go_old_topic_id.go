package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

var franzGoOldTopicID = behaviour{
	name:     "franz-go-old-topic-id",
	expected: "kadm's ListTopics gives the id that the topic has",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("t", 1, nil))
		adm := kadm.NewClient(w.client(c))
		before := must(adm.ListTopics(w.ctx, "t"))["t"].ID
		check(c.DeleteTopic("t"))
		check(c.CreateTopic("t", 1, nil))
		after := must(adm.ListTopics(w.ctx, "t"))["t"].ID
		is := c.TopicInfo("t").TopicID
		return fmt.Sprintf("the old one: %v, the new one: %v", after == before, after == kadm.TopicID(is)), after == before && after != kadm.TopicID(is)
	},
}
