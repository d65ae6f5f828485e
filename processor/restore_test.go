package processor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/rules"
	"firstseen/state"
)

// TestResumeFromStore kills a worker. The next one reads the changelogs from where the store stands, not from their
// beginning: the broker sees it ask.
func TestResumeFromStore(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 2, nil)
	dir := filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 13, 2000, 2)
	w := startWorker(t, workerSpec{Brokers: b.Addr(), App: app, Instance: "one", Dir: dir, Set: noCap})
	if err := produce(c.cl, inputs[:1000], 0); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 30*time.Second)
	w.kill()

	type changelog struct {
		topic     string
		partition int32
	}
	stands, asked := positions(t, dir), map[changelog]int64{}
	var mu sync.Mutex
	names := map[[16]byte]string{}
	for _, name := range []string{app + ".detect.changelog", app + ".group.changelog"} {
		names[b.Cluster.TopicInfo(name).TopicID] = name
	}
	b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(req kmsg.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			for _, p := range topic.Partitions {
				log := changelog{names[topic.TopicID], p.Partition}
				if first, ok := asked[log]; log.topic != "" && (!ok || p.FetchOffset < first) {
					asked[log] = p.FetchOffset
				}
			}
		}
		return true
	}})
	w.start(t)
	if err := produce(c.cl, inputs[1000:], 0); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 30*time.Second)
	w.stop(t)
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), mustLoad(t, rules.LoadOptions{Set: noCap})); v != (verdict{}) {
		t.Error(v)
	}
	for stage, topic := range map[state.Stage]string{state.Detect: app + ".detect.changelog", state.Group: app + ".group.changelog"} {
		for n := range int32(4) {
			stood, first := stands[stage][n], asked[changelog{topic, n}]
			if stood == 0 || first != stood {
				t.Errorf("%s/%d: the store stood at %d, the changelog was read from %d", topic, n, stood, first)
			}
		}
	}
}

// positions says how much of their changelogs the ranges of a stopped worker's store contain.
func positions(t *testing.T, dir string) map[state.Stage][4]int64 {
	t.Helper()
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all := map[state.Stage][4]int64{}
	for _, stage := range []state.Stage{state.Detect, state.Group} {
		var at [4]int64
		for n := range at {
			r, err := store.Range(stage, int32(n))
			if err != nil {
				t.Fatal(err)
			}
			pos, _ := r.Position()
			at[n] = pos.ChangelogNext
		}
		all[stage] = at
	}
	return all
}

// oldStore puts an older copy of a store in the place of the store, as a backup does, or a disk that comes back. It
// catches up from the changelog.
func oldStore(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	old := dir + ".old"
	inputs, model := load(t, app, 17, 2100, 2)
	for n, part := range []int{0, 700, 1400} {
		if n == 1 {
			if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
		}
		if n == 2 {
			if err := errors.Join(os.RemoveAll(dir), os.Rename(old, dir)); err != nil {
				t.Fatal(err)
			}
		}
		if err := produce(c.cl, inputs[part:part+700], 0); err != nil {
			t.Fatal(err)
		}
		c.runUntilDrained(testConfig(brokers, app, "one", dir, set))
	}
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
}

// TestForeignStore gives a worker the store of another deployment, which has not come as far, so that nothing but the
// id of the changelog tells. It is put aside, not used and not lost.
func TestForeignStore(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, set, dir := newTestCluster(t, brokers), mustLoad(t, rules.LoadOptions{Set: noCap}), t.TempDir()
	short, long := newApp(), newApp()
	c.createSources(short, 1, nil)
	c.createSources(long, 1, nil)
	few, _ := load(t, short, 19, 200, 1)
	inputs, model := load(t, long, 23, 1500, 1)
	for _, part := range []struct {
		app, store string
		inputs     []*kgo.Record
	}{{short, "short", few}, {long, "long", inputs[:1000]}, {long, "short", inputs[1000:]}} {
		if err := produce(c.cl, part.inputs, 0); err != nil {
			t.Fatal(err)
		}
		c.runUntilDrained(testConfig(brokers, part.app, "one", filepath.Join(dir, part.store), set))
	}
	if v := judge(t, model, c.read(long+".alerts"), readStates(t, []string{filepath.Join(dir, "short")}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
	if aside, err := os.ReadDir(filepath.Join(dir, "short", "aside")); err != nil || len(aside) != 8 {
		t.Errorf("%d ranges put aside, want 8: %v", len(aside), err)
	}
}

// sameInstance runs two workers that believe to be the same one. They would take everything from each other for ever;
// at least one gives up and says why, and nothing is lost or doubled by it.
func sameInstance(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), t.TempDir()
	inputs, model := load(t, app, 29, 3000, 2)
	first := c.start(testConfig(brokers, app, "twin", filepath.Join(dir, "a"), set))
	first.awaitReady(c)
	if err := produce(c.cl, inputs[:1500], 0); err != nil {
		t.Fatal(err)
	}
	second := c.start(testConfig(brokers, app, "twin", filepath.Join(dir, "b"), set))
	if err := produce(c.cl, inputs[1500:], time.Second); err != nil {
		t.Fatal(err)
	}
	var err error
	select {
	case <-first.ended:
		err, first.err = first.err, nil
	case <-second.ended:
		err, second.err = second.err, nil
	case <-time.After(30 * time.Second):
		t.Fatal("two workers with one name run side by side")
	}
	if !errors.Is(err, ErrGuarantee) || !strings.Contains(err.Error(), `another process runs as instance "twin"`) {
		t.Errorf("ended with %v", err)
	}
	for _, in := range []*inside{first, second} { // it may be both, each fenced by the other at another stage
		in.cancel()
		if <-in.ended; errors.Is(in.err, ErrGuarantee) {
			in.err = nil
		}
	}
	last := c.start(testConfig(brokers, app, "twin", filepath.Join(dir, "a"), set))
	last.awaitReady(c)
	c.awaitDrained(app, time.Minute)
	last.stop()
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{filepath.Join(dir, "a")}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
}
