package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

var kfakeNoAbortMarker = behaviour{
	name:     "kfake-no-abort-marker",
	expected: "[kept=1] after the crash, and [kept=1] after the next",
	show: func(w *world) (string, bool) {
		dir := w.dir()
		before := w.cluster(kfake.DataDir(dir), kfake.SeedTopics(1, "t"))
		producer := w.client(before, kgo.TransactionalID("p"))
		check(producer.BeginTransaction())
		w.produce(producer, "t", "lost=1")

		crashed := w.copy(dir)
		after := w.cluster(kfake.DataDir(crashed))
		producer = w.client(after, kgo.TransactionalID("p"))
		check(producer.BeginTransaction())
		w.produce(producer, "t", "kept=1")
		check(producer.EndTransaction(w.ctx, kgo.TryCommit))
		once := w.read(after, "t")

		twice := w.read(w.cluster(kfake.DataDir(w.copy(crashed))), "t")
		return fmt.Sprintf("%s after the crash, and %s after the next", once, twice), once != "[kept=1]" || twice != "[kept=1]"
	},
}

// dir is a directory for a broker.
func (w *world) dir() string {
	dir := must(os.MkdirTemp("", "upstream"))
	w.defers(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

// copy is what a broker that is killed now finds in its directory.
func (w *world) copy(dir string) string {
	to := w.dir()
	check(os.CopyFS(to, os.DirFS(dir)))
	return to
}
