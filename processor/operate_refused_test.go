package processor

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
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
