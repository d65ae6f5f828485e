package processor

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/datadriven"
)

// The files in testdata are the protocol as text: what workers are made to meet, and what then is in the changelog, the
// offsets, the stores and the output. The commands stand in loop_commands_test.go. In a changelog a term stands with how
// often it was counted and in= with the input offset that this is current to; a ? follows what is not decided there yet,
// a ! what was aborted; commit and abort are markers, - was removed by the log cleaner.
//
//	lanes            commands, a line each; the output is what happened, and what is WRONG: how output, changelog and
//	                 stores differ from a fold over the input
//	lanes changed    the same after somebody has changed Kafka by hand: there is nothing to compare with
func TestTraces(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLoop(t)
				defer func() { l.close() }()
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					l.events = nil
					for line := range strings.Lines(d.Input) {
						if err := l.command(strings.TrimSpace(line)); err != nil {
							d.Fatalf(t, "%v", err)
						}
					}
					if err := l.check(); err != nil && !d.HasArg("changed") {
						l.event("WRONG: %v", err)
					}
					return strings.Join(l.events, "\n")
				})
			})
		})
	}
}
