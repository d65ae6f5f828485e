package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var franzGoEmptyEnd = behaviour{
	name:     "franz-go-empty-end",
	expected: "ten transactions in which nothing was read or written take no time",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("in", 1, nil))
		s := w.session(c, "one")
		began := time.Now()
		for range 10 {
			check(s.Begin())
			must(s.End(w.ctx, kgo.TryCommit))
		}
		took := time.Since(began)
		return "they take " + fmt.Sprint(round(took)), took > 4*time.Second
	},
}
