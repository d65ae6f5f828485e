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
	hits, kills, done := 0, 0, false
	rnd := rand.New(rand.NewPCG(o.seed, 2))
	for !done {
		select {
		case err := <-produced:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(time.Duration(300+rnd.IntN(400)) * time.Millisecond):
			w := workers[rnd.IntN(len(workers))]
			w.kill()
			kills++
			if c.open(w) {
				hits++
			}
			w.start(t)
		}
	}
	c.awaitDrained(app, 90*time.Second)
	for _, w := range workers {
		w.stop(t)
	}
	v := judge(t, model, c.read(app+".alerts"), readStates(t, dirs, 4), set)
	t.Logf("seed %d: %d records, %d kills, %d of them with an open transaction; of %d alerts, %d terms and %d windows: %s",
		o.seed, o.records, kills, hits, len(model.Alerts), len(model.Terms), len(model.Windows), v)
	return v, hits
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
