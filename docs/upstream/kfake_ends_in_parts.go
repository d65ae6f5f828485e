package main

import (
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

var kfakeEndsInParts = behaviour{
	name:     "kfake-ends-in-parts",
	expected: "[] and [], or [a=1] and [b=1]",
	show: func(w *world) (string, bool) {
		dir := w.dir()
		c := w.cluster(kfake.DataDir(dir), kfake.SeedTopics(1, "a", "b"))
		producer := w.client(c, kgo.TransactionalID("p"))
		check(producer.BeginTransaction())
		w.produce(producer, "a", "a=1")
		w.produce(producer, "b", "b=1")
		// Killed when the marker is in one log, and not yet in the other, which is written next.
		crashed := w.copy(dir)
		check(producer.EndTransaction(w.ctx, kgo.TryCommit))
		written := filepath.Join("partitions", "a-0")
		check(os.RemoveAll(filepath.Join(crashed, written)))
		check(os.CopyFS(filepath.Join(crashed, written), os.DirFS(filepath.Join(dir, written))))

		after := w.cluster(kfake.DataDir(crashed))
		a, b := w.read(after, "a"), w.read(after, "b")
		return a + " and " + b, a == "[a=1]" && b == "[]"
	},
}
