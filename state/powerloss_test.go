package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Whatever a store is doing when the power fails, and whatever blocks of what was not synced survive, the store opens. Its
// ranges are what they were after one of the batches, no earlier than the last that was synced: each a prefix of its
// changelog that says where it ends. Following the changelogs from there leads to the state that there would be without
// the crash. The same holds for a power failure during that recovery, and for one during the recovery from that. A file
// system that keeps a name and loses an older one may cost the store; then that is said, and it begins anew.
//
// A seed decides all but the order of what Pebble does in the background. POWERLOSS_SEEDS says how many to try, a failure
// names its own:
//
//	POWERLOSS_SEEDS=42 go test ./state -run TestPowerLossAtEveryWrite/seed=42$
func TestPowerLossAtEveryWrite(t *testing.T) {
	seeds := 2
	if n, err := strconv.Atoi(os.Getenv("POWERLOSS_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed=", seed+1), func(t *testing.T) { failPower(t, seed+1) })
	}
}

func failPower(t *testing.T, seed uint64) {
	opts := Options{MemTableBytes: 64 << 10, CacheBytes: 1 << 20}
	m := &machine{disk: newDisk(vfs.NewCrashableMem()), old: newChangelog(t, 9, seed, 400), moments: make([]standing, 1), gone: -1}
	for i := range m.logs {
		m.logs[i] = newChangelog(t, byte(i+1), seed, 400)
	}
	var (
		images           = make(chan *image)
		checks           sync.WaitGroup
		lacking, keeping atomic.Int64
		rng              = rand.New(rand.NewPCG(seed, 2))
		writes           int
		phase            string
		crashes          = map[string]int{}
	)
	m.before = func() {
		writes++
		crashes[phase]++
		images <- m.image(fmt.Sprintf("%s, before write %d", phase, writes), rng)
	}
	for range 2 {
		checks.Go(func() {
			for im := range images {
				for again := 0; im != nil && again < 3; again++ {
					if err := im.recover(opts); err != nil {
						t.Errorf("power loss during %s: %v", im.name, err)
					}
					if im.lacks {
						lacking.Add(1)
					}
					if im.keeps {
						keeping.Add(1)
					}
					im = im.second
				}
			}
		})
	}
	err := m.live(seed, opts, func(p string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		phase = p
	})
	m.mu.Lock()
	m.before = nil // a store that has failed may go on
	m.mu.Unlock()
	close(images)
	checks.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d crashes: %v; %d took batches away, %d left some that were not synced", writes, crashes, lacking.Load(), keeping.Load())
	for _, p := range lifePhases {
		if crashes[p] == 0 {
			t.Errorf("no crash during %s", p)
		}
	}
	if lacking.Load() == 0 || keeping.Load() == 0 {
		t.Error("no crash took batches away, or none left any: the test shows nothing")
	}
}

var lifePhases = []string{"open", "apply", "flush", "delete", "move aside", "compact", "close"}

// live is what happens to a store: it is new, restored, applied to, emptied in part, tidied up and reopened.
func (m *machine) live(seed uint64, opts Options, phase func(string)) (err error) {
	rng := rand.New(rand.NewPCG(seed, 3))
	apply := func(batches int) (err error) {
		for range batches {
			if _, err = m.follow(rng.IntN(len(m.logs)), 1+rng.IntN(20)); err != nil {
				break
			}
		}
		return err
	}
	// beside runs what syncs all there is, and applies batches meanwhile.
	beside := func(sync func() error) error {
		before := m.now()
		done := make(chan error)
		go func() { done <- sync() }()
		err := errors.Join(apply(6), <-done)
		m.safe(before)
		return err
	}
	doing := map[string]func() error{
		"open":  func() error { return m.open(opts) },
		"apply": func() error { return apply(12) },
		"flush": func() error { return beside(m.s.db.Flush) },
		"compact": func() error {
			return beside(func() error { return m.s.db.Compact(context.Background(), []byte{0}, []byte{9}, false) })
		},
		"delete":     func() error { return m.drop(1) },
		"move aside": func() error { return m.move(time.Unix(1, 0)) },
		"close": func() error {
			err := m.s.Close()
			m.safe(m.now())
			return err
		},
	}
	for _, p := range []string{"open", "apply", "flush", "apply", "close", "open", "apply", "delete", "apply", "flush", "apply", "move aside",
		"apply", "compact", "apply", "delete", "close", "open", "apply", "flush", "compact", "apply", "close"} {
		phase(p)
		if err := doing[p](); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}
