package processor

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/rules"
)

// obstacle is something that brokers refuse for a while.
type obstacle struct {
	name   string
	begin  func(app string) (end func())
	reason string // in what NotReady says, APP for the name of the app
	lane   string // that says it
}

// refusedWhileRunning has the brokers refuse something to a worker under load, one thing after the other. The worker
// tries again and says what is refused and what helps; when it is allowed again, nothing was lost or doubled, and nothing
// is a dead letter.
func refusedWhileRunning(t *testing.T, brokers string, obstacles ...obstacle) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 2, nil)
	set, dir := mustLoad(t, rules.LoadOptions{Set: noCap}), filepath.Join(t.TempDir(), "state")
	inputs, model := load(t, app, 53, 3000, 2)
	in := c.start(testConfig(brokers, app, "one", dir, set))
	in.awaitReady(c)
	part := len(inputs) / (len(obstacles) + 1)
	for n, o := range obstacles {
		end := o.begin(app)
		if err := produce(c.cl, inputs[n*part:(n+1)*part], 0); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(o.reason, "APP", app)
		c.await(o.name+" makes the worker unready: "+want, 30*time.Second, func() bool {
			for _, why := range in.NotReady() {
				if strings.Contains(why, o.lane) && strings.Contains(why, want) {
					return true
				}
			}
			return false
		})
		end()
		c.awaitDrained(app, time.Minute)
		in.awaitReady(c)
	}
	if err := produce(c.cl, inputs[len(obstacles)*part:], 0); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, time.Minute)
	in.stop()
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, []string{dir}, 4), set); v != (verdict{}) {
		t.Errorf("of %d alerts: %s", len(model.Alerts), v)
	}
	if dead := c.read(app + ".dlq"); len(dead) > 0 {
		t.Errorf("%d dead letters, the first: %v", len(dead), dead[0].Headers)
	}
}

// What the worker says of each.
const (
	saysWrite  = "the brokers refuse it something: APP.alerts/"
	saysRead   = "--operation Read --operation DescribeConfigs --topic APP-cloudtrail"
	saysGroup  = "GROUP_AUTHORIZATION_FAILED"
	saysMinISR = "the brokers have not taken what it wrote for 2s: a partition has no leader, or fewer replicas in sync than min.insync.replicas; it tries again. Which one is said by: firstseen doctor"
)

// refusedAtTheStart has the brokers refuse something to a worker that starts, one thing after the other: it ends as one
// that cannot reach Kafka, and says what is refused and the command that allows it. When it is allowed, it starts.
func refusedAtTheStart(t *testing.T, brokers string, obstacles ...obstacle) {
	for _, o := range obstacles {
		c, app := newTestCluster(t, brokers), newApp()
		c.createSources(app, 1, nil)
		cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
		end := o.begin(app)
		w, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err = w.Run(ctx)
		cancel()
		for _, want := range []string{strings.ReplaceAll(o.reason, "APP", app), "to allow it: kafka-acls.sh --bootstrap-server BROKER --add "} {
			if !errors.Is(err, ErrUnreachable) || strings.Count(err.Error(), want) != 1 {
				t.Errorf("%s: %v; want %s", o.name, err, want)
			}
		}
		end()
		in := c.start(cfg)
		in.awaitReady(c)
		in.stop()
	}
}

func TestRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	b := broker(t)
	fault := func(f kfake.Fault, keys ...kmsg.Key) func(app string) func() {
		return func(app string) func() {
			f := f
			f.Keys, f.Count = keys, -1
			if f.Topic != "" {
				f.Topic = app + f.Topic
			}
			return b.Cluster.Fault(f).Remove
		}
	}
	topic, id := kerr.TopicAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed
	refusedAtTheStart(t, b.Addr(),
		obstacle{name: "a source may not be seen", begin: fault(kfake.Fault{Topic: "-cloudtrail", Err: topic}, kmsg.Metadata), reason: "source topic APP-cloudtrail: TOPIC_AUTHORIZATION_FAILED"},
		obstacle{name: "control may not be read", begin: fault(kfake.Fault{Topic: ".control", Err: topic}, kmsg.Fetch), reason: "read APP.control: "},
		obstacle{name: "control may not be written", begin: fault(kfake.Fault{Topic: ".control", Err: topic}, kmsg.Produce), reason: "to APP.control: TOPIC_AUTHORIZATION_FAILED"},
		obstacle{name: "settings may not be seen", begin: fault(kfake.Fault{Err: topic}, kmsg.DescribeConfigs), reason: "describe topic settings"},
		obstacle{name: "no topic may be made", begin: fault(kfake.Fault{Err: topic}, kmsg.CreateTopics), reason: "create topic APP.control"},
		obstacle{name: "no transactional id", begin: fault(kfake.Fault{Err: id}, kmsg.InitProducerID), reason: "fence APP-"},
		obstacle{name: "no offsets of groups", begin: fault(kfake.Fault{Err: kerr.GroupAuthorizationFailed}, kmsg.OffsetFetch), reason: "read the offsets of group APP."},
	)
}

// TestFencedOnce: a coordinator that goes back to the member before a new one of the same name fences an innocent worker,
// when it joins or later. It joins again. What is fenced again and again ends.
func TestFencedOnce(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(b.Addr(), app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	fence := func(count int, key kmsg.Key) *kfake.FaultHandle {
		return b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Group: app + ".detect", Err: kerr.FencedInstanceID, Count: count})
	}
	fence(1, kmsg.JoinGroup)
	in := c.start(cfg)
	in.awaitReady(c)
	c.await("it has joined again", 30*time.Second, func() bool { return in.counted("sessions_restarted_total", "detect") == 1 })
	fence(1, kmsg.Heartbeat)
	c.await("and once more", 30*time.Second, func() bool { return in.counted("sessions_restarted_total", "detect") == 2 })
	in.awaitReady(c)
	fence(-1, kmsg.Heartbeat)
	<-in.ended
	if !errors.Is(in.err, ErrGuarantee) || !strings.Contains(in.err.Error(), `another process runs as instance "one"`) {
		t.Errorf("ended with %v", in.err)
	}
	in.err = nil
}

// TestControlHeldUp: a transaction of somebody is open on control. A worker that starts does not wait for ever, and says
// what may be wrong.
func TestControlHeldUp(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	c.found(cfg)
	open, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.TransactionalID("stuck"+app))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := open.ProduceSync(context.Background(), &kgo.Record{Topic: cfg.topic(topicControl), Key: []byte("stuck")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg.Timing.Stall = 500 * time.Millisecond
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	want := "read " + cfg.topic(topicControl) + ": cannot reach Kafka: what is written to it is not there to be read after 500ms: a transaction may be open on it"
	if err := w.Run(ctx); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
}

// TestRefusedTakeover: a worker may not read a changelog that it has to restore from. It is not ready, and says why.
func TestRefusedTakeover(t *testing.T) {
	t.Parallel()
	b := broker(t)
	h := newHalfway(t, b.Addr())
	changelog := h.cfg.topic(topicDetectLog)
	h.cfg.StateDir = filepath.Join(t.TempDir(), "lost")
	f := b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: changelog, Err: kerr.TopicAuthorizationFailed, Count: -1})
	in := h.start(h.cfg)
	h.await("it says what is refused", 30*time.Second, func() bool {
		why := strings.Join(in.NotReady(), "\n")
		return strings.Contains(why, "restore from "+changelog+"/") && strings.Contains(why, "to allow it: kafka-acls.sh ")
	})
	f.Remove()
	in.awaitReady(h.cluster)
	h.second()
	h.awaitDrained(h.cfg.App, time.Minute)
	in.stop()
}

func TestRefusedWhileRunning(t *testing.T) {
	t.Parallel()
	b := broker(t)
	fault := func(key kmsg.Key, topic string, err *kerr.Error) func(app string) func() {
		return func(app string) func() {
			f := kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: -1}
			if topic != "" {
				f.Topic = app + topic
			}
			return b.Cluster.Fault(f).Remove
		}
	}
	refusedWhileRunning(t, b.Addr(),
		obstacle{"no permission to write", fault(kmsg.Produce, ".alerts", kerr.TopicAuthorizationFailed), saysWrite, "-group-one-0"},
		obstacle{"no permission to read", fault(kmsg.Fetch, "-cloudtrail", kerr.TopicAuthorizationFailed), saysRead, "-ingest-one-0"},
		obstacle{"too few replicas", fault(kmsg.Produce, ".alerts", kerr.NotEnoughReplicas), saysMinISR, "-group-one-0"},
	)
}
