package processor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

// ordeal is a run of worker processes that are killed again and again.
type ordeal struct {
	seed       uint64
	records    int
	pace       time.Duration // over which the records are produced
	workers    int
	applyFirst bool
}

// run returns the verdict and how many kills met an open transaction, as the broker saw it.
func (o ordeal) run(t *testing.T, brokers string) (verdict, int) {
	c := newTestCluster(t, brokers)
	app := newApp()
	c.createSources(app, 6, nil)
	set := mustLoad(t, rules.LoadOptions{Set: noCap})
	dir := t.TempDir()
	var workers []*worker
	var dirs []string
	for n := range o.workers {
		spec := workerSpec{Brokers: brokers, App: app, Instance: fmt.Sprintf("w%d", n), Dir: filepath.Join(dir, fmt.Sprintf("w%d", n)),
			Set: noCap, Faults: true, ApplyFirst: o.applyFirst}
		workers, dirs = append(workers, startWorker(t, spec)), append(dirs, spec.Dir)
	}
	inputs, model := load(t, app, o.seed, o.records, 6)
	produced := make(chan error, 1)
	go func() { produced <- produce(c.cl, inputs, o.pace) }()
	hits := 0
	kills := c.kill(workers, produced, rand.New(rand.NewPCG(o.seed, 2)), 300*time.Millisecond, 400*time.Millisecond, func(w *worker) {
		if c.open(w) {
			hits++
		}
	})
	c.awaitDrained(app, 90*time.Second)
	for _, w := range workers {
		w.stop(t)
	}
	v := judge(t, model, c.read(app+".alerts"), readStates(t, dirs, 4), set)
	t.Logf("seed %d: %d records, %d kills, %d of them with an open transaction; of %d alerts, %d terms and %d windows: %s",
		o.seed, o.records, kills, hits, len(model.Alerts), len(model.Terms), len(model.Windows), v)
	return v, hits
}

// kill kills one worker after the other and starts it again, until until delivers, and returns how many it has killed.
// each is called while the worker is dead. Between two kills the workers have least and up to more.
func (c *cluster) kill(workers []*worker, until <-chan error, rnd *rand.Rand, least, more time.Duration, each func(*worker)) (kills int) {
	c.t.Helper()
	for {
		select {
		case err := <-until:
			if err != nil {
				c.t.Fatal(err)
			}
			return kills
		case <-time.After(least + time.Duration(rnd.Int64N(int64(more)))):
			w := workers[rnd.IntN(len(workers))]
			w.kill()
			kills++
			each(w)
			w.start(c.t)
		}
	}
}

// produce writes the records evenly over the pace.
func produce(cl *kgo.Client, records []*kgo.Record, pace time.Duration) error {
	const steps = 200
	began := time.Now()
	for i := range steps {
		batch := records[i*len(records)/steps : (i+1)*len(records)/steps]
		if err := cl.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
			return err
		}
		time.Sleep(time.Until(began.Add(pace * time.Duration(i+1) / steps))) // the pace is the point
	}
	return nil
}
