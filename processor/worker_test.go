package processor

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"firstseen/rules"
)

// TestRestart runs one worker over a load in two halves, with a restart between them, and again with the state directory
// deleted between them: the answers are the same.
func TestRestart(t *testing.T) {
	for _, test := range []struct {
		name   string
		remove bool
	}{{"with its store", false}, {"without its store", true}} {
		t.Run(test.name, func(t *testing.T) {
			brokers := embedded(t)
			c := newTestCluster(t, brokers)
			for _, topic := range []string{"cloudtrail", "s3access"} {
				c.createTopic(topic, 3, nil)
			}
			set, _, err := rules.Load(rules.LoadOptions{Set: noCap})
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "state")
			inputs := load(7, 4000, 3)
			for _, half := range [][]input{inputs[:2000], inputs[2000:]} {
				if err := produce(c.cl, half, 0); err != nil {
					t.Fatal(err)
				}
				c.runUntilDrained(testConfig(brokers, "app", "one", dir, set))
				if test.remove && &half[0] == &inputs[0] {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
			}
			if v := judge(t, answerOf(inputs), c.read("app.alerts"), terms(t, []string{dir}, 4), set.Rule(ruleNewTerms).State()); v != (verdict{}) {
				t.Error(v)
			}
		})
	}
}

// runUntilDrained runs a worker in this process until it has processed everything there is.
func (c *cluster) runUntilDrained(cfg Config) {
	c.t.Helper()
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := w.Run(ctx)
		if err != nil {
			c.t.Errorf("worker: %v", err)
		}
		done <- err
	}()
	c.awaitDrained(cfg.App, time.Minute)
	cancel()
	<-done
}

// awaitDrained waits until all stages have processed everything.
func (c *cluster) awaitDrained(app string, limit time.Duration) {
	c.t.Helper()
	for _, s := range []struct {
		stage Stage
		topic string
	}{{StageIngest, "cloudtrail"}, {StageIngest, "s3access"}, {StageDetect, app + ".candidates"}, {StageGroup, app + ".findings"}} {
		c.await(string(s.stage)+" processes all of "+s.topic, limit, func() bool { return c.drained(app+"."+string(s.stage), s.topic) })
	}
}
