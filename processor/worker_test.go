package processor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// restart runs one worker over a load in two halves, with a restart between them, and again with the state directory
// deleted between them: the answers are the same.
func restart(t *testing.T, brokers string) {
	for _, test := range []struct {
		name   string
		remove bool
	}{{"with its store", false}, {"without its store", true}} {
		t.Run(test.name, func(t *testing.T) {
			c, app := newTestCluster(t, brokers), newApp()
			c.createSources(app, 3, nil)
			set := mustLoad(t, rules.LoadOptions{Set: noCap})
			dir := filepath.Join(t.TempDir(), "state")
			inputs, model := load(t, app, 7, 4000, 3)
			for _, half := range [][]*kgo.Record{inputs[:2000], inputs[2000:]} {
				if err := produce(c.cl, half, 0); err != nil {
					t.Fatal(err)
				}
				c.runUntilDrained(testConfig(brokers, app, "one", dir, set))
				if test.remove && &half[0] == &inputs[0] {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
			}
			if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
				t.Errorf("of %d alerts: %s", len(model.Alerts), v)
			}
		})
	}
}

func mustLoad(t *testing.T, o rules.LoadOptions) *rules.Set {
	t.Helper()
	set, _, err := rules.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var apps struct {
	sync.Mutex
	n int
}

// newApp returns a name that no other test has, on a cluster that other runs may have used.
func newApp() string {
	apps.Lock()
	defer apps.Unlock()
	apps.n++
	return fmt.Sprintf("app%d-%d", time.Now().UnixNano(), apps.n)
}

// runUntilDrained runs workers in this process until they have processed everything there is.
func (c *cluster) runUntilDrained(cfgs ...Config) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, cfg := range cfgs {
		c.run(ctx, &running, cfg)
	}
	c.awaitDrained(cfgs[0].App, time.Minute)
}

// run runs a worker in this process until ctx ends.
func (c *cluster) run(ctx context.Context, running *sync.WaitGroup, cfg Config) *Worker {
	c.t.Helper()
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			c.t.Errorf("worker %s: %v", cfg.Instance, err)
		}
	})
	return w
}

// awaitDrained waits until all stages have processed everything.
func (c *cluster) awaitDrained(app string, limit time.Duration) {
	c.t.Helper()
	for _, s := range []struct {
		stage Stage
		topic string
	}{{StageIngest, app + "-cloudtrail"}, {StageIngest, app + "-s3access"}, {StageDetect, app + ".candidates"}, {StageGroup, app + ".findings"}} {
		c.await(string(s.stage)+" processes all of "+s.topic, limit, func() bool { return c.drained(app+"."+string(s.stage), s.topic) })
	}
}
