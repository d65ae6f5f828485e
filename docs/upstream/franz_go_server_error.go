package main

import "github.com/twmb/franz-go/pkg/kgo"

var franzGoServerError = behaviour{
	name:     "franz-go-server-error",
	expected: "an error, as the outcome is unknown, and offset 0 is not read again unless the brokers say so",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		s := w.committed(c, func(answer []byte) bool {
			const size, correlation, tags, throttled = 4, 4, 1, 4
			at := size + correlation + tags + throttled
			answer[at], answer[at+1] = 0xff, 0xff // UNKNOWN_SERVER_ERROR
			return true
		})
		committed, err := s.End(w.ctx, kgo.TryCommit)
		return w.whatFollows(c, s, committed, err)
	},
}
