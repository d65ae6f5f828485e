package main

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/devbroker"
	"firstseen/internal/proof"
	"firstseen/processor"
)

// TestQuietRun: of a run without a fault the judge finds nothing wrong, and there was something to find: every kind of
// poison, alerts over the cap, windows that cross partitions, and a jump of the times, all written in three starts.
func TestQuietRun(t *testing.T) {
	r := newQuietRun(t)
	ctx := t.Context()
	eyes, err := openWitness(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, r)
	written := 0
	for start := range 3 {
		g, err := openGenerator(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		writing, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- g.run(writing) }()
		if start == 1 {
			g.poison(40)
			if err := g.jump(16 * 24 * time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if !await(ctx, 30*time.Second, func() bool { return g.written() > written+3000 }) {
			t.Fatal("nothing is written")
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		written = g.written()
		if start == 0 { // the witness is resumed, too
			if err := eyes.Close(); err != nil {
				t.Fatal(err)
			}
			if eyes, err = openWitness(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.drain(t)
	v, err := judge(ctx, r, eyes, []string{r.Dir + "/state"})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range v.Lines {
		t.Log(line)
	}
	if v.Missing+v.Duplicate+v.Wrong > 0 || !v.StoresEqual {
		t.Errorf("%d missing, %d duplicate, %d wrong, stores equal: %v", v.Missing, v.Duplicate, v.Wrong, v.StoresEqual)
	}
	if err := eyes.Close(); err != nil {
		t.Error(err)
	}
}

// newQuietRun is a run on a broker that nothing happens to.
func newQuietRun(t *testing.T) *run {
	t.Helper()
	r := &run{App: "quiet", Seed: 7, Timers: "short", Sources: []string{"trail", "access"}, SourceSize: 3, Partitions: 4, Rate: 2000, Dir: t.TempDir()}
	b, err := devbroker.Start(devbroker.Options{Topics: []devbroker.Topic{{Name: "trail", Partitions: 3}, {Name: "access", Partitions: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Brokers = []string{b.Addr()}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	cfg := processor.Config{App: r.App, Partitions: r.Partitions}
	plan, err := processor.CheckTopics(t.Context(), adm, cfg.Plan())
	if err == nil {
		_, err = processor.CreateTopics(t.Context(), adm, plan, -1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quietWorker is a worker in this process.
type quietWorker struct {
	r    *run
	stop context.CancelFunc
	done chan error
}

func startWorker(t *testing.T, r *run) *quietWorker {
	t.Helper()
	set, err := runRules(r)
	if err != nil {
		t.Fatal(err)
	}
	w, err := processor.New(processor.Config{App: r.App, Instance: "only", StateDir: r.Dir + "/state", Rules: set, Partitions: r.Partitions,
		Client: []kgo.Opt{kgo.SeedBrokers(r.Brokers...)}, Sources: []processor.Source{{Topic: r.Sources[0]}, {Topic: r.Sources[1]}},
		Lanes:    map[processor.Stage]int{processor.StageIngest: 1, processor.StageDetect: 1, processor.StageGroup: 1},
		Learning: processor.Learning{Mode: processor.LearnNothing}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	q := &quietWorker{r, cancel, make(chan error, 1)}
	go func() { q.done <- w.Run(ctx) }()
	t.Cleanup(cancel)
	return q
}

// drain waits until all is processed, then stops the worker.
func (q *quietWorker) drain(t *testing.T) {
	t.Helper()
	conn := []kgo.Opt{kgo.SeedBrokers(q.r.Brokers...)}
	for _, of := range [][2]string{{"ingest", q.r.Sources[0]}, {"ingest", q.r.Sources[1]}, {"detect", q.r.App + ".candidates"}, {"group", q.r.App + ".findings"}} {
		if !await(t.Context(), time.Minute, func() bool {
			drained, err := proof.Drained(t.Context(), conn, q.r.App+"."+of[0], of[1])
			return drained && err == nil
		}) {
			t.Fatalf("%s has not processed all of %s", of[0], of[1])
		}
	}
	q.stop()
	if err := <-q.done; err != nil {
		t.Fatal(err)
	}
}
