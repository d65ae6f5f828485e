package main

import "fmt"

var franzGoSecondRevoke = behaviour{
	name:     "franz-go-second-revoke",
	expected: "by its callbacks a session has 2 partitions of 6 when it has 2",
	show: func(w *world) (string, bool) {
		c, mine := w.cluster(), &owned{}
		check(c.CreateTopic("in", 6, nil))
		s := w.session(c, "one", mine.opts()...)
		turn := func() { // nothing to do: no transaction
			s.PollFetches(w.limit(heartbeat))
			s.AllowRebalance()
		}
		w.await(func() bool { turn(); return len(mine.list()) == 6 })
		two := w.join(c)
		w.await(func() bool { turn(); return len(mine.list()) == 3 && len(two.list()) == 3 })
		three := w.join(c)
		w.await(func() bool { turn(); return len(two.list()) == 2 && len(three.list()) == 2 })
		told := len(mine.list())
		return fmt.Sprintf("by its callbacks a session has %d partitions of 6, the others %v and %v", told, two.list(), three.list()), told == 3
	},
}
