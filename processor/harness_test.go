package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
	"firstseen/rules"
	"firstseen/schemas"
)

// The test binary is also the worker process that the tests kill: with this variable set it runs one.
const workerEnv = "FIRSTSEEN_TEST_WORKER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(workerEnv); spec != "" {
		os.Exit(workerMain(spec))
	}
	os.Exit(m.Run())
}

// workerSpec is what a worker process is told.
type workerSpec struct {
	Brokers, App, Instance, Dir string
	Set                         []string // rules.LoadOptions.Set
	Faults                      bool     // transactions held open and aborted at random
	ApplyFirst                  bool     // the mutant: state is written before the commit
	NoGate                      bool     // the mutant: partitions go live before all have been learned
	Learning                    Learning
	Other                       []string // rules.LoadOptions.Set that it changes to, and back, every second or so
	Messages                    int      // of a transaction, if not 0
}

func workerMain(encoded string) int {
	var spec workerSpec
	if err := json.Unmarshal([]byte(encoded), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	set, _, err := rules.Load(rules.LoadOptions{Set: spec.Set})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	cfg := testConfig(spec.Brokers, spec.App, spec.Instance, spec.Dir, set)
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if spec.Faults {
		cfg.hooks.beforeEnd = func() { time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) }
		cfg.hooks.abort = func() bool { return rand.IntN(20) == 0 }
	}
	cfg.hooks.applyFirst, cfg.hooks.noGate = spec.ApplyFirst, spec.NoGate
	cfg.Learning, cfg.Commit.Messages = spec.Learning, spec.Messages
	w, err := New(cfg)
	if err == nil && spec.Other != nil {
		go func() { changes(ctx, w, spec.Set, spec.Other) }()
	}
	if err == nil {
		err = w.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	return 0
}

// changes has a worker change its rules again and again.
func changes(ctx context.Context, w *Worker, sets ...[]string) {
	for n := 1; ctx.Err() == nil; n++ {
		set, _, err := rules.Load(rules.LoadOptions{Set: sets[n%len(sets)]})
		if err == nil {
			err = w.SetRules(ctx, set)
		}
		if err != nil && ctx.Err() == nil {
			panic(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(500+rand.IntN(2000)) * time.Millisecond):
		}
	}
}

// testConfig is a worker with short time-outs.
func testConfig(brokers, app, instance, dir string, set *rules.Set) Config {
	return Config{
		App: app, Instance: instance, StateDir: dir, Rules: set, Version: "test",
		Client:  []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.MetadataMinAge(100 * time.Millisecond)},
		Sources: []Source{{app + "-cloudtrail", schemas.FormatAuto}, {app + "-s3access", schemas.FormatAuto}}, Partitions: 4,
		Lanes:  map[Stage]int{StageIngest: 1, StageDetect: 1, StageGroup: 1},
		Timing: Timing{Session: 10 * time.Second, Rebalance: 15 * time.Second, Heartbeat: 500 * time.Millisecond, Transaction: 8 * time.Second, Tick: time.Second},
	}
}

// worker is a worker process.
type worker struct {
	spec workerSpec
	cmd  *exec.Cmd
	log  string
	done chan error
}

// start starts a worker process whose output is shown if the test fails.
func startWorker(t *testing.T, spec workerSpec) *worker {
	t.Helper()
	w := &worker{spec: spec, log: spec.Dir + ".log"}
	w.start(t)
	t.Cleanup(func() {
		w.kill()
		if t.Failed() {
			if b, err := os.ReadFile(w.log); err == nil {
				t.Logf("%s said:\n%s", spec.Instance, b[max(0, len(b)-6000):])
			}
		}
	})
	return w
}

func (w *worker) start(t *testing.T) {
	t.Helper()
	encoded, err := json.Marshal(w.spec)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w.cmd = exec.Command(os.Args[0])
	w.cmd.Env = append(os.Environ(), workerEnv+"="+string(encoded))
	w.cmd.Stdout, w.cmd.Stderr = out, out
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait(); close(done) }(w.cmd, w.done)
}

// kill ends the process with SIGKILL and waits until it is gone.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill() // it may have ended by itself
	<-w.done
}

// stop asks the process to end and fails the test if it does not end well.
func (w *worker) stop(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop %s: %v", w.spec.Instance, err)
	}
	if err, open := <-w.done; open && err != nil {
		t.Errorf("%s ended with %v", w.spec.Instance, err)
	}
}

// cluster is the broker under test, seen from outside.
type cluster struct {
	t       *testing.T
	brokers string
	reach   []kgo.Opt // how a client reaches them
	cl      *kgo.Client
	adm     *kadm.Client
}

func newTestCluster(t *testing.T, brokers string, reach ...kgo.Opt) *cluster {
	t.Helper()
	c := &cluster{t: t, brokers: brokers, reach: append(reach, kgo.SeedBrokers(strings.Split(brokers, ",")...))}
	c.cl = c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	t.Cleanup(c.cl.Close)
	c.adm = kadm.NewClient(c.cl)
	return c
}

// client makes a client that the caller closes.
func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append(slices.Clone(c.reach), opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

// createSources creates the source topics of an app. Brokers know them a moment after the controller does.
func (c *cluster) createSources(app string, partitions int32, configs map[string]*string) {
	c.t.Helper()
	names := []string{app + "-cloudtrail", app + "-s3access"}
	for _, name := range names {
		if _, err := c.adm.CreateTopic(context.Background(), partitions, -1, configs, name); err != nil {
			c.t.Fatal(err)
		}
	}
	c.await("the source topics can be read", 30*time.Second, func() bool {
		ends, err := c.adm.ListEndOffsets(context.Background(), names...)
		return err == nil && ends.Error() == nil && len(ends[names[0]]) == int(partitions) && len(ends[names[1]]) == int(partitions)
	})
}

// await polls until ok, which asks a broker, is true.
func (c *cluster) await(what string, limit time.Duration, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); {
		if c.t.Failed() {
			c.t.FailNow()
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(50 * time.Millisecond) // between two questions to a broker
	}
}

// open reports whether a worker's transaction is open on the broker.
func (c *cluster) open(w *worker) bool {
	c.t.Helper()
	txns, err := c.adm.ListTransactions(context.Background(), nil, []string{"Ongoing"})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, txn := range txns {
		if strings.HasPrefix(txn.TxnID, w.spec.App+"-") && strings.Contains(txn.TxnID, "-"+w.spec.Instance+"-") {
			return true
		}
	}
	return false
}

// drained reports whether a group has processed all records of a topic.
func (c *cluster) drained(group, topic string) bool {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	drained, err := proof.Drained(ctx, c.conn(), group, topic)
	return drained && err == nil
}

func (c *cluster) conn() []kgo.Opt { return c.reach }

// read returns all committed records of a topic.
func (c *cluster) read(topic string) (all []*kgo.Record) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := proof.Read(ctx, c.conn(), topic, func(r *kgo.Record) { all = append(all, r) }); err != nil {
		c.t.Fatal(err)
	}
	return all
}
