//go:build synctests

// The tag synctests gives franz-go locks that a bubble of testing/synctest can wait for. With sync.Mutex a goroutine that
// waits for a lock held during a request, such as one that joins a group, would stop the clock for good.

package processor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// TestVirtualSchedules runs workers as they are, client, store and all, against an embedded cluster of three brokers on a
// network and on disks in memory, where time is virtual. A seed decides the input and a schedule of misfortunes; whatever
// happens, nothing may be missing, doubled or wrong, for subscribers or in the stores.
//
// VIRTUAL_SCHEDULES says how many to try. A seed that fails is tried 50 times more, since it decides all but which of the
// goroutines that can go on goes first; its trace is kept with -artifacts. To try one alone:
//
//	VIRTUAL_SCHEDULES=200 go test -tags synctests ./processor -run TestVirtualSchedules/seed=142$
func TestVirtualSchedules(t *testing.T) {
	schedules := 20
	if n, err := strconv.Atoi(os.Getenv("VIRTUAL_SCHEDULES")); err == nil {
		schedules = n
	}
	set := mustLoad(t, rules.LoadOptions{Set: noCap})
	all := tally{counts: map[string]int{}}
	t.Cleanup(func() { t.Log(&all) })
	for seed := range uint64(schedules) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			s := bubble{seed: seed, set: set}
			w := s.run(t)
			all.add(w.counts)
			if len(w.failures) == 0 {
				return
			}
			trace := strings.Join(w.trace, "\n")
			t.Errorf("seed %d: %s\n%s", seed, strings.Join(w.failures, "; "), trace)
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "trace.txt"), []byte(trace), 0o600); err != nil {
				t.Error(err)
			}
			const again = 50
			failed := 0
			for range again {
				if len(s.run(t).failures) > 0 {
					failed++
				}
			}
			t.Errorf("seed %d failed %d times when it was run %d times again", seed, failed, again)
		})
	}
}

// TestVirtualSchedulesCatchMutants shows that the schedules can fail: with each of the protocol's rules broken, a few of
// them do.
func TestVirtualSchedulesCatchMutants(t *testing.T) {
	set := mustLoad(t, rules.LoadOptions{Set: noCap})
	for name, mutant := range map[string]hooks{
		"state written before the commit":             {applyFirst: true},
		"uncommitted records restored":                {restoreUncommitted: true},
		"restored up to the last stable offset":       {restoreToLSO: true},
		"an error from the commit taken for an abort": {goOnAfterUnknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(200) {
				if w := (bubble{seed: seed, set: set, hooks: mutant}).run(t); len(w.failures) > 0 {
					t.Logf("seed %d: %s", seed, strings.Join(w.failures, "; "))
					return
				}
			}
			t.Error("no schedule has noticed")
		})
	}
}

// bubble is one run of a schedule, in a bubble of its own.
type bubble struct {
	seed  uint64
	set   *rules.Set
	hooks hooks // a mutant
}

// run runs it and returns the world as it was in the end.
func (s bubble) run(t *testing.T) (w *world) {
	t.Helper()
	// A bubble that hangs has stopped its clock: what it did so far is all there is to say.
	hangs := time.AfterFunc(5*time.Minute, func() { panic(fmt.Sprintf("seed %d hangs:\n%s", s.seed, w)) })
	defer hangs.Stop()
	ended := false
	defer func() {
		if !ended && w != nil {
			fmt.Fprintf(os.Stderr, "seed %d:\n%s\n", s.seed, w) // the bubble panics, which says nothing of it
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, s.seed, s.set, s.hooks)
		w.live(s.seed)
	})
	ended = true
	return w
}

// live is what happens in a world.
func (w *world) live(seed uint64) {
	const records, batches, pause = 400, 40, 600 * time.Millisecond
	input, model := load(w.t, w.app, seed, records, virtualPartitions)
	for n := range 2 + w.rng.IntN(2) {
		w.join(fmt.Sprint("w", n), between(w.rng, 0, 5*time.Second))
	}
	fed := make(chan error, 1)
	go func() { fed <- w.feed(input, batches, pause) }()
	w.suffer(batches * pause)
	w.calm()
	if err := <-fed; err != nil {
		w.t.Fatal(err)
	}
	w.finish()

	var disks []vfs.FS
	var dirs []string
	for _, m := range w.members {
		disks, dirs = append(disks, m.disk), append(dirs, virtualDir)
	}
	if v := judge(w.t, model, w.read(w.app+".alerts"), readDisks(w.t, disks, dirs, virtualPartitions), w.set); v != (verdict{}) {
		w.fail("of %d alerts, %d terms and %d windows: %s", len(model.Alerts), len(model.Terms), len(model.Windows), v)
	}
	if dead := w.read(w.app + ".dlq"); len(dead) > 0 {
		w.fail("%d dead letters, the first: %v", len(dead), dead[0].Headers)
	}
	time.Sleep(2 * virtualTiming.Transaction)
	open, err := w.adm.ListTransactions(w.t.Context(), nil, []string{"Ongoing"})
	if err != nil || len(open) > 0 {
		w.fail("open transactions: %v, %v", open, err)
	}
	for _, l := range w.ghosts {
		<-l.ended
	}
	time.Sleep(5 * time.Minute) // what an ended process leaves behind goes on here until it gives up
}

// feed writes the input in batches.
func (w *world) feed(records []*kgo.Record, batches int, pause time.Duration) error {
	for i := range batches {
		batch := records[i*len(records)/batches : (i+1)*len(records)/batches]
		if err := w.cl.ProduceSync(w.t.Context(), batch...).FirstErr(); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// tally counts what has happened in many worlds.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *tally) add(counts map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for what, n := range counts {
		t.counts[what] += n
	}
}

func (t *tally) String() string { return fmt.Sprint(t.counts) }
