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

// noCap switches off the cap on alerts, so that every finding is one alert.
var noCap = []string{ruleNewTerms + ".max_alerts=off"}

// ordeal is a run of worker processes that are killed again and again.
type ordeal struct {
	seed       uint64
	records    int
	pace       time.Duration // over which the records are produced
	workers    int
	hits       int // kills that must meet an open transaction
	applyFirst bool
}

// run returns the verdict and how many kills met an open transaction, as the broker saw it.
func (o ordeal) run(t *testing.T, brokers string) (verdict, int) {
	c := newTestCluster(t, brokers)
	app := fmt.Sprintf("app%d", rand.IntN(1_000_000))
	for _, topic := range []string{"cloudtrail", "s3access"} {
		c.createTopic(topic, 6, nil)
	}
	set, _, err := rules.Load(rules.LoadOptions{Set: noCap})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var workers []*worker
	var dirs []string
	for n := range o.workers {
		spec := workerSpec{Brokers: brokers, App: app, Instance: fmt.Sprintf("w%d", n), Dir: filepath.Join(dir, fmt.Sprintf("w%d", n)),
			Set: noCap, Faults: true, ApplyFirst: o.applyFirst}
		workers, dirs = append(workers, startWorker(t, spec)), append(dirs, spec.Dir)
	}
	inputs := load(o.seed, o.records, 6)
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
	v := judge(t, answerOf(inputs), c.read(app+".alerts"), terms(t, dirs, 4), set.Rule(ruleNewTerms).State())
	t.Logf("seed %d: %d records, %d kills, %d of them with an open transaction: %s", o.seed, o.records, kills, hits, v)
	return v, hits
}

// produce writes the inputs evenly over the pace.
func produce(cl *kgo.Client, inputs []input, pace time.Duration) error {
	const steps = 200
	began := time.Now()
	for i := range steps {
		var batch []*kgo.Record
		for _, in := range inputs[i*len(inputs)/steps : (i+1)*len(inputs)/steps] {
			batch = append(batch, in.record)
		}
		if err := cl.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
			return err
		}
		time.Sleep(time.Until(began.Add(pace * time.Duration(i+1) / steps))) //nolint:forbidigo // the pace is the point
	}
	return nil
}
