package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"firstseen/processor/disk"
	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/state"
)

// loop is the code of lanes over a modelled cluster, one step at a time. Every call of a lane to the brokers waits until
// it is told what comes of it, so whoever steers can let anything happen in between; and nothing else runs. It lives in a
// synctest bubble: when nobody runs, all wait, and time is what the test says it is.
type loop struct {
	t       *testing.T
	c       *modelCluster
	workers []*modelWorker
	flying  []*call // requests whose sender is dead or has given up
	events  []string
	turns   atomic.Int64 // changed by whoever begins or ceases to run, which tells the race detector that they take turns
	metrics *metrics
	rules   *rules.Set
	log     *slog.Logger
}

const loopApp, loopPartitions = "app", 2

var loopTopics = []string{loopApp + "." + topicCandidates, loopApp + "." + topicFindings, loopApp + "." + topicDetectLog}

// modelWorker is a process with one lane of detect, and its state directory.
type modelWorker struct {
	name   string
	loop   *loop
	hooks  hooks
	store  *state.Store
	lent   bool    // it is another's
	twin   string  // the worker whose instance name it was given as well
	copies []image // older copies of the state

	tombstones time.Duration // it takes them to be kept for

	lane      *lane
	session   *modelSession
	run, over *thread // the lane's own goroutine, and that of a takeover
	stop      context.CancelFunc
	ended     error // of a lane that has ended by itself
}

// thread is a goroutine of a worker that runs only when it is let.
type thread struct {
	w    *modelWorker
	name string
	call *call // that it waits in; nil: it sleeps, or has ended
	dead bool
	done chan struct{}
}

// call is a request on its way.
type call struct {
	what    string
	ready   func() bool  // whether the brokers can answer yet; nil: yes
	do      func() error // what it does there
	arrived bool
	reply   chan error
}

var errDead = errors.New("the process was killed")

// errNothing is of a request that got nothing, and is not worth an event.
var errNothing = errors.New("nothing to read")

var errNetwork = errors.New("connection reset by peer")

// request waits until the request has been answered. It does not return in a process that is dead.
func (th *thread) request(ctx context.Context, what string, ready func() bool, do func() error) error {
	th.w.loop.turns.Add(1)
	if th.dead {
		runtime.Goexit()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c := &call{what: what, ready: ready, do: do, reply: make(chan error)}
	th.call = c
	var err error
	select {
	case err = <-c.reply:
	case <-ctx.Done():
		err = ctx.Err()
	}
	th.w.loop.turns.Add(1)
	th.call = nil
	if errors.Is(err, errDead) {
		runtime.Goexit()
	}
	return err
}

// sleep waits for ctx; it ends with it, or with the process.
func (th *thread) sleep(ctx context.Context) {
	<-ctx.Done()
	th.w.loop.turns.Add(1)
	if th.dead {
		runtime.Goexit()
	}
}

func newLoop(t *testing.T) *loop {
	m := newLoopShared(t)
	l := &loop{t: t, metrics: m.metrics, rules: m.rules, log: slog.New(slog.DiscardHandler)}
	l.c = newModelCluster(loopPartitions, loopTopics...)
	return l
}

// loopShared is what all loops of a test may share.
type loopShared struct {
	metrics *metrics
	rules   *rules.Set
}

var sharedLoop *loopShared

// newLoopShared makes what takes long to make only once.
func newLoopShared(t *testing.T) *loopShared {
	if sharedLoop == nil {
		sharedLoop = &loopShared{metrics: newMetrics(prometheus.NewRegistry(), newHealth()), rules: mustLoad(t, rules.LoadOptions{})}
	}
	return sharedLoop
}

func (l *loop) close() {
	for _, w := range l.workers {
		w.kill()
		if w.lent {
			continue
		}
		if err := w.store.Close(); err != nil {
			l.t.Error(err)
		}
	}
}

func (l *loop) event(format string, args ...any) {
	l.events = append(l.events, fmt.Sprintf(format, args...))
}

// worker returns a worker, which it makes if there is none of this name. It is not started.
func (l *loop) worker(name string) *modelWorker {
	if i := slices.IndexFunc(l.workers, func(w *modelWorker) bool { return w.name == name }); i >= 0 {
		return l.workers[i]
	}
	store, err := state.Open(name, state.Options{FS: vfs.NewMem(), MemTableBytes: 64 << 10, CacheBytes: 1 << 20})
	if err != nil {
		l.t.Fatal(err)
	}
	w := &modelWorker{name: name, loop: l, store: store}
	l.workers = append(l.workers, w)
	return w
}

// share makes the worker's store that of another, with which it shares a process.
func (w *modelWorker) share(other *modelWorker) {
	if w.store == other.store {
		return
	}
	if err := w.store.Close(); err != nil {
		w.loop.t.Fatal(err)
	}
	w.store, w.lent = other.store, true
}

// start starts the worker's process.
func (w *modelWorker) start() {
	l := w.loop
	cfg := Config{App: loopApp, Instance: cmp.Or(w.twin, w.name), Stages: []Stage{StageDetect}, StateDir: w.name, Rules: l.rules, Log: l.log, Partitions: loopPartitions,
		Sources: []Source{{loopApp + "-logs", schemas.FormatAuto}}, PurgeAfter: time.Millisecond, Commit: Commit{Messages: 4}, hooks: w.hooks}
	cfg.hooks.restoreBytes = 1 // what is read is applied at once: there are as many crashes as reads
	if err := cfg.setDefaults(); err != nil {
		l.t.Fatal(err)
	}
	worker := &Worker{cfg: cfg, health: newHealth(), metrics: l.metrics, store: w.store, disk: disk.New(cfg.StateDir, cfg.StateMinFree, cfg.hooks.disk, cfg.Log), ready: make(chan struct{}),
		tombstones: w.tombstones, topicIDs: map[string]string{}, partitions: map[string]int32{}}
	for i, name := range loopTopics { // as they were when the deployment began
		worker.topicIDs[name], worker.partitions[name] = modelTopicID(i+1).String(), loopPartitions
	}
	worker.partitions[cfg.topic(topicDLQ)] = loopPartitions
	worker.limitDeadLetters(maxDeadLetter)
	worker.brokers = modelBrokers{w}
	worker.control = &control{topic: cfg.topic(topicControl), stall: cfg.Timing.Stall, cl: modelBrokers{w}, values: map[string][]byte{}, offsets: map[string]int64{}, changed: make(chan struct{})}
	worker.texts.control = worker.control
	worker.rules.Store(l.rules)
	ctx, cancel := context.WithCancel(context.Background())
	lane := worker.newLane(StageDetect, 0)
	w.lane, w.stop, w.ended = lane, cancel, nil
	w.run = &thread{w: w, name: w.name, done: make(chan struct{})}
	go func(th *thread) {
		defer close(th.done)
		w.ended = lane.run(ctx)
	}(w.run)
	synctest.Wait()
}

func (w *modelWorker) alive() bool { return w.run != nil && !w.run.over() }

func (th *thread) over() bool {
	select {
	case <-th.done:
		return true
	default:
		return false
	}
}

// kill ends the worker's process. What it has sent already may still arrive.
func (w *modelWorker) kill() {
	var cancel context.CancelFunc // asked for now: they will be running
	if w.session != nil {
		cancel = w.session.cancel
	}
	for _, th := range []*thread{w.over, w.run} {
		if th == nil || th.over() {
			continue
		}
		th.dead = true
		if th.call != nil {
			th.call.reply <- errDead
		}
	}
	w.loop.turns.Add(1)
	if w.stop != nil {
		w.stop()
	}
	if cancel != nil {
		cancel()
	}
	for _, th := range []*thread{w.over, w.run} {
		if th != nil {
			<-th.done
		}
	}
	w.run, w.over, w.session, w.lane = nil, nil, nil, nil
}

// threads are those that wait for an answer that the brokers can give.
func (l *loop) threads() (waiting []*thread) {
	for _, w := range l.workers {
		for _, th := range []*thread{w.run, w.over} {
			if th != nil && th.call != nil && (th.call.ready == nil || th.call.ready()) {
				waiting = append(waiting, th)
			}
		}
	}
	return waiting
}

// answer has the request arrive, and its answer too unless lost; then the thread runs until it waits again.
func (l *loop) answer(th *thread, lost bool) {
	c := th.call
	err := c.do()
	if errors.Is(err, errNothing) {
		l.reply(c, nil)
		return
	}
	said := "ok"
	if err != nil {
		said = err.Error()
		said, _, _ = strings.Cut(said, ":")
	}
	if lost {
		said, err = "("+said+", the answer is lost)", errNetwork
	}
	l.event("%s: %s: %s", th.name, c.what, said)
	l.reply(c, err)
}

// arrive has a request arrive; its answer comes later.
func (l *loop) arrive(th *thread) {
	c := th.call
	err := c.do()
	c.do, c.ready = func() error { return err }, nil
	c.arrived = true
	l.event("%s: %s: arrives", th.name, c.what)
}

// lose has a request fail. It may arrive later.
func (l *loop) lose(th *thread) {
	c := th.call
	l.event("%s: %s: no answer", th.name, c.what)
	l.fly(c)
	l.reply(c, errNetwork)
}

// fly leaves a request on its way that changes something where it arrives.
func (l *loop) fly(c *call) {
	if !c.arrived && slices.Contains([]string{"produce", "TxnOffsetCommit", "EndTxn", "barrier"}, c.name()) {
		l.flying = append(l.flying, c)
	}
}

// name is the first word.
func (c *call) name() string {
	name, _, _ := strings.Cut(c.what, " ")
	return name
}

func (l *loop) reply(c *call, err error) {
	c.reply <- err
	synctest.Wait()
}

// pass lets time pass, a session's life at most: whoever sleeps may wake up.
func (l *loop) pass(d time.Duration) {
	l.turns.Add(1)
	time.Sleep(d)
	synctest.Wait()
}

// image is what a state directory has of the ranges of its partitions.
type image [loopPartitions]struct {
	pos    state.Position
	keys   [][2][]byte
	exists bool
}

func (w *modelWorker) copy() (im image) {
	for p := range im {
		r := w.rangeOf(int32(p))
		im[p].pos, im[p].exists = r.Position()
		if err := r.Scan(nil, func(key, value []byte) error {
			im[p].keys = append(im[p].keys, [2][]byte{slices.Clone(key), slices.Clone(value)})
			return nil
		}); err != nil {
			w.loop.t.Fatal(err)
		}
	}
	return im
}

func (w *modelWorker) rangeOf(p int32) *state.Range {
	r, err := w.store.Range(state.Detect, p)
	if err != nil {
		w.loop.t.Fatal(err)
	}
	return r
}

// put makes the state what it was.
func (w *modelWorker) put(im image) {
	for p := range im {
		r := w.rangeOf(int32(p))
		if now, ok := r.Position(); ok {
			if err := r.Delete(now); err != nil {
				w.loop.t.Fatal(err)
			}
		}
		if !im[p].exists {
			continue
		}
		if err := r.Apply(state.Position{}, im[p].pos, func(yield func(key, value []byte) bool) {
			for _, kv := range im[p].keys {
				if !yield(kv[0], kv[1]) {
					return
				}
			}
		}); err != nil {
			w.loop.t.Fatal(err)
		}
	}
}

// far is behind the end of every log.
const far = math.MaxInt64
