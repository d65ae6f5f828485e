package main

import "github.com/twmb/franz-go/pkg/kgo"

var kfakeCleanerOpenTransaction = behaviour{
	name:     "kfake-cleaner-open-transaction",
	expected: "[k=committed last=1]",
	show: func(w *world) (string, bool) {
		c := w.cluster()
		check(c.CreateTopic("t", 1, map[string]string{"cleanup.policy": "compact"}))
		plain, producer := w.client(c), w.client(c, kgo.TransactionalID("p"))
		w.produce(plain, "t", "k=committed")
		check(producer.BeginTransaction())
		w.produce(producer, "t", "k=aborted")
		w.produce(plain, "t", "last=1") // the last batch is never cleaned
		c.Compact()
		check(producer.EndTransaction(w.ctx, kgo.TryAbort))
		seen := w.read(c, "t")
		return seen, seen == "[last=1]"
	},
}
