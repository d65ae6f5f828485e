//go:build synctests

package processor

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
)

const (
	virtualBrokers    = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"
	virtualPartitions = 2
	virtualDir        = "state"
)

// virtualTiming are the shortest time-outs that the broker takes.
var virtualTiming = Timing{Session: 6 * time.Second, Rebalance: 8 * time.Second, Heartbeat: time.Second, Transaction: 5 * time.Second,
	Tick: 3 * time.Second, Note: 5 * time.Second, Recheck: 5 * time.Second}

// A world is a cluster with its workers, all within one bubble of fake time.
type world struct {
	*cluster
	kfake   *kfake.Cluster
	brokers kfake.VirtualNetwork
	rng     *rand.Rand // of the one goroutine that runs the schedule
	app     string
	set     *rules.Set
	hooks   hooks
	members []*member
	ghosts  []*life // killed, and not yet aware of it
	began   time.Time
	aborts  float64        // share of the transactions that are aborted for no reason
	counts  map[string]int // what has happened

	agenda   []appointment // what comes next, in the order of time
	refused  []*kfake.FaultHandle
	failures []string

	mu    sync.Mutex
	trace []string
	traps []*trap
}

// member is a worker over all its lives.
type member struct {
	w     *world
	name  string
	disk  *ramDisk
	older *ramDisk // a copy of the disk from some time ago
	lives uint64
	life  *life // nil: down
}

// life is one process.
type life struct {
	*Worker
	net    *network
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
	hold   atomic.Int64 // the next transaction is held open for this long
}

func newWorld(t *testing.T, seed uint64, set *rules.Set, h hooks) *world {
	t.Helper()
	// A bubble begins in 2000, when no broker's clock is believed.
	time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), app: "app", set: set, hooks: h, began: time.Now(), counts: map[string]int{}}
	if w.rng.IntN(3) == 0 {
		w.aborts = 0.1
	}
	var err error
	w.kfake, err = kfake.NewCluster(kfake.Ports(9092, 9093, 9094), kfake.ListenFn(w.brokers.Listen), kfake.ClusterID("virtual"),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "9000000000000", "min.insync.replicas": "2"})) // never, see devbroker
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kfake.Close)
	w.cluster = newTestCluster(t, virtualBrokers, kgo.Dialer(w.brokers.DialContext), kgo.MetadataMinAge(100*time.Millisecond), kgo.DisableClientMetrics())
	w.createSources(w.app, virtualPartitions, nil)
	return w
}

// note adds a line to the trace.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%9.3f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.trace, "\n")
}

// join adds a worker, which starts in a while.
func (w *world) join(name string, in time.Duration) {
	m := &member{w: w, name: name, disk: newRAMDisk(vfs.NewCrashableMem())}
	w.members = append(w.members, m)
	m.back(in)
}

// start begins a new life on the member's disk.
func (m *member) start() {
	w := m.w
	if m.life != nil {
		return
	}
	m.lives++
	name := fmt.Sprintf("%s.%d", m.name, m.lives)
	w.note("%s starts", name)
	l := &life{ended: make(chan struct{})}
	l.net = newNetwork(&w.brokers, w.rng.Uint64(), func(msg message) fate { return w.passing(m, l, msg) })
	cfg := testConfig(virtualBrokers, w.app, m.name, virtualDir, w.set)
	cfg.Client = append(cfg.Client, kgo.Dialer(l.net.dial), kgo.DisableClientMetrics())
	cfg.Partitions, cfg.Timing, cfg.StateMemTable, cfg.StateCache = virtualPartitions, virtualTiming, 64<<10, 1<<20
	cfg.PurgeAfter = 10 * time.Second
	cfg.Log = slog.New(&traceLog{w: w, name: name})
	cfg.hooks = w.hooks
	cfg.hooks.disk = m.disk
	cfg.hooks.beforeEnd = func() {
		time.Sleep(time.Duration(l.hold.Swap(0)))
		if thaw := l.net.frozen(); thaw != nil {
			<-thaw // a process that is frozen does nothing
		}
	}
	cfg.hooks.abort = func() bool { return l.net.chance(w.aborts) }
	var err error
	if l.Worker, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	m.life = l
	go func() {
		defer close(l.ended)
		l.err = l.Run(ctx)
		w.note("%s has ended: %v", name, l.err)
	}()
}

// kill ends a life at once: nothing that the process still does is seen by anyone.
func (m *member) kill(power bool) {
	l := m.life
	if l == nil {
		return
	}
	m.life = nil
	l.net.die()
	if power {
		m.disk = m.disk.crashed(m.w.rng)
	} else {
		m.disk = m.disk.copied(m.w.rng)
	}
	l.cancel()
	m.w.ghosts = append(m.w.ghosts, l)
	m.w.note("%s is gone, power lost: %t", m.name, power)
}

// traceLog has what the workers log in the trace.
type traceLog struct {
	w    *world
	name string
	with string
}

func (l *traceLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *traceLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	l.w.note("  %s%s: %s%s", l.name, l.with, r.Message, b.String())
	return nil
}

func (l *traceLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *l
	for _, a := range attrs {
		more.with += fmt.Sprintf(" %v", a.Value)
	}
	return &more
}

func (l *traceLog) WithGroup(string) slog.Handler { return l }
