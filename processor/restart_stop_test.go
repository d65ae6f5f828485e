package processor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/rules"
)

// cable is the network between a worker and its brokers. When it is cut, what is sent vanishes and nothing comes back:
// no connection ends, as behind a firewall that drops packets.
type cable struct {
	cut atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	for c.cut.Load() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return strand{conn, c}, nil
}

// mend ends all connections, and lets new ones through: what was left behind by a stop, in a process that goes on, ends.
func (c *cable) mend() {
	c.cut.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close() // it may have been closed already
	}
}

type strand struct {
	net.Conn
	cable *cable
}

func (s strand) Write(b []byte) (int, error) {
	if s.cable.cut.Load() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s strand) Read(b []byte) (int, error) {
	for {
		if n, err := s.Conn.Read(b); err != nil || !s.cable.cut.Load() {
			return n, err
		}
	}
}

// TestStopWithoutBrokers stops workers that are in the middle of transactions and whose brokers are gone, or do not
// answer. They do not wait for them, and say so. What was in doubt is settled by the next start.
func TestStopWithoutBrokers(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 37, 3000, 2)
	if err := produce(c.cl, inputs, 0); err != nil {
		t.Fatal(err)
	}
	for n, part := range []string{"first", "second"} {
		cfg := testConfig(b.Addr(), app, "one", dir, set)
		cfg.Commit.Messages = 100
		network, turns, busy := &cable{}, atomic.Int64{}, make(chan struct{})
		cfg.Client = append(cfg.Client, kgo.Dialer(network.dial))
		cfg.hooks.abort = func() bool { return false }
		cfg.hooks.beforeEnd = func() { // all of it has been produced, nothing is committed
			if turns.Add(1) == int64(5+3*n) {
				network.cut.Store(true)
				close(busy)
			}
		}
		in := c.start(cfg)
		select {
		case <-busy:
		case <-in.ended:
			t.Fatalf("%s: ended with %v", part, in.err)
		}
		began := time.Now()
		in.cancel()
		<-in.ended
		network.mend()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: the stop took %s", part, took)
		}
		if err := in.err; !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), `the next start of instance "one"`) {
			t.Errorf("%s: ended with %v", part, err)
		}
		in.err = nil
	}
	c.runUntilDrained(testConfig(b.Addr(), app, "one", dir, set))
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
}

// TestStopWhileFounding stops a worker that writes to control what its deployment is created with, when the brokers do not
// answer any more: a client does not give up the records of a transaction. The worker does not wait, and another goes on.
func TestStopWhileFounding(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 2, nil)
	cfg, network, founding := testConfig(b.Addr(), app, "one", t.TempDir(), mustLoad(t, rules.LoadOptions{Set: noCap})), &cable{}, make(chan struct{})
	cfg.Client = append(cfg.Client, kgo.Dialer(network.dial))
	begun := sync.OnceFunc(func() {
		network.cut.Store(true)
		close(founding)
	})
	b.Cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		if req.(*kmsg.ProduceRequest).TransactionID != nil {
			begun()
		}
		return nil, nil, false
	})
	in := c.start(cfg)
	<-founding
	began := time.Now()
	in.cancel()
	<-in.ended
	network.mend()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if in.err != nil && !errors.Is(in.err, ErrUnreachable) {
		t.Errorf("ended with %v", in.err)
	}
	in.err = nil
	again := c.start(testConfig(b.Addr(), app, "one", t.TempDir(), cfg.Rules))
	again.awaitReady(c)
}

// TestStopWhileJoining stops a worker whose group is joining, and waits for a member that has stopped as well. The
// transaction in hand cannot be committed: it is aborted, and the stop is one like any other; unless that is not possible
// either.
func TestStopWhileJoining(t *testing.T) {
	t.Parallel()
	t.Run("aborted", func(t *testing.T) { t.Parallel(); stopWhileJoining(t, true) })
	t.Run("unknown", func(t *testing.T) { t.Parallel(); stopWhileJoining(t, false) })
}

func stopWhileJoining(t *testing.T, canAbort bool) {
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 2, nil)
	cfg := testConfig(b.Addr(), app, "one", t.TempDir(), mustLoad(t, rules.LoadOptions{Set: noCap}))
	in := c.start(cfg)
	in.awaitReady(c)
	group, lane := in.cfg.group(StageIngest), in.cfg.laneName(StageIngest, 0)
	ctx, cancel := context.WithCancel(context.Background())
	member := func(name string) *kgo.Client {
		return c.client(kgo.WithContext(ctx), kgo.ConsumerGroup(group), kgo.ConsumeTopics(app+"-cloudtrail", app+"-s3access"), kgo.InstanceID(name),
			kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(45*time.Second))
	}
	second := member("second")
	c.await("the second member is in the group", 30*time.Second, func() bool {
		groups, err := c.adm.DescribeGroups(context.Background(), group)
		return err == nil && groups[group].State == "Stable" && len(groups[group].Members) == 2
	})
	second.Close() // which leaves it in the group
	joining, once := make(chan struct{}), sync.Once{}
	b.Cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		if id := req.(*kmsg.JoinGroupRequest).InstanceID; id != nil && *id == lane {
			once.Do(func() { close(joining) })
		}
		return nil, nil, false
	})
	defer member("third").Close()
	defer cancel() // before Close, which waits for the second as well
	<-joining
	for n := range 4 { // some of these partitions are the worker's
		topic := app + []string{"-cloudtrail", "-s3access"}[n%2]
		r := &kgo.Record{Topic: topic, Partition: int32(n / 2), Value: []byte(anonymous("192.0.2.1", time.Now()))}
		if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.await("a transaction is in hand", 30*time.Second, func() bool {
		txn, err := c.adm.DescribeTransactions(context.Background(), lane)
		return err == nil && txn[lane].State == "Ongoing" && len(txn[lane].Topics[app+".candidates"]) > 0
	})
	if !canAbort {
		for _, key := range []kmsg.Key{kmsg.EndTxn, kmsg.InitProducerID} {
			b.Cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				b.Cluster.KeepControl()
				return nil, errors.New("the coordinator is down"), true
			})
		}
	}
	began := time.Now()
	in.cancel()
	<-in.ended
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
	open, err := c.adm.ListTransactions(context.Background(), nil, []string{"Ongoing"})
	if err != nil || len(open) > 0 == canAbort {
		t.Errorf("open transactions: %v, %v", open, err)
	}
	if errors.Is(in.err, ErrUnreachable) == canAbort || in.err != nil && canAbort {
		t.Errorf("ended with %v", in.err)
	}
	in.err = nil
}

// TestRolledBack starts a worker on a store that a newer version wrote: it restores its state from the changelogs, and
// leaves what it cannot read where it can be found. A store of another program it does not touch.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 43, 1000, 2)
	if err := produce(c.cl, inputs[:500], 0); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(brokers, app, "one", dir, set)
	c.runUntilDrained(cfg)
	mark := func(dir, key, value string) {
		db, err := pebble.Open(filepath.Join(dir, "store"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest})
		if err == nil {
			err = errors.Join(db.Set([]byte(key), []byte(value), pebble.Sync), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mark(dir, "\x00format", "2")
	if err := produce(c.cl, inputs[500:], 0); err != nil {
		t.Fatal(err)
	}
	c.runUntilDrained(cfg)
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Error(v)
	}
	if aside, err := filepath.Glob(filepath.Join(dir, "aside", "store-*", "store")); err != nil || len(aside) != 1 {
		t.Errorf("put aside: %q, %v", aside, err)
	}

	cfg.StateDir = t.TempDir()
	mark(cfg.StateDir, "theirs", "dear to them")
	if said := c.refused(cfg); !strings.Contains(said, "give state.dir a directory of its own") || !strings.Contains(said, cfg.StateDir) {
		t.Error(said)
	}
	if _, err := os.Stat(filepath.Join(cfg.StateDir, "aside")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was put aside: %v", err)
	}
}

// TestRefusedForAMoment has the broker refuse a produce request once, as it does while it still writes the markers of a
// killed predecessor's transaction. It is sent again at once, not after the five seconds that the client may wait for.
func TestRefusedForAMoment(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(b.Addr(), app, "one", t.TempDir(), mustLoad(t, rules.LoadOptions{Set: noCap}))
	cfg.Client = []kgo.Opt{kgo.SeedBrokers(b.Addr())} // with no more than a program has
	in := c.start(cfg)
	in.awaitReady(c)
	var took time.Duration
	for n, address := range []string{"192.0.2.1", "192.0.2.2"} {
		if n == 1 {
			b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: app + ".alerts", Err: kerr.ConcurrentTransactions})
		}
		began := time.Now()
		r := &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(anonymous(address, time.Now()))}
		if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c.await("the alert about "+address, 30*time.Second, func() bool { _, ok := c.alerts(app)[address]; return ok })
		took = time.Since(began)
	}
	if took > 3*time.Second {
		t.Errorf("the record that was refused took %s", took)
	}
}
