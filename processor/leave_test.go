package processor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firstseen/rules"
)

// leaves kills one of two workers in the middle of a transaction and takes it out of the groups: its partitions go on at
// the other at once, and nothing is lost or doubled. Then the other is taken out although it runs, and joins again.
func leaves(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 4, nil)
	set, dirs := mustLoad(t, rules.LoadOptions{Set: noCap}), []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	inputs, model := load(t, app, 21, 3000, 4)
	cfg := testConfig(brokers, app, "one", dirs[0], set)
	in := c.start(cfg)
	in.awaitReady(c)
	two := startWorker(t, workerSpec{Brokers: brokers, App: app, Instance: "two", Dir: dirs[1], Set: noCap, Faults: true})
	members := func(instance string) (n int) {
		for _, s := range Stages {
			groups, err := c.adm.DescribeGroups(context.Background(), cfg.group(s))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range groups[cfg.group(s)].Members {
				if m.InstanceID != nil && strings.HasPrefix(*m.InstanceID, fmt.Sprintf("%s-%s-%s-", app, s, instance)) {
					n++
				}
			}
		}
		return n
	}
	c.await("the second worker has joined all groups", 30*time.Second, func() bool { return members("two") == 3 })
	if err := produce(c.cl, inputs[:1500], 0); err != nil {
		t.Fatal(err)
	}
	c.await("a transaction of the second worker is open", 30*time.Second, func() bool { return c.open(two) })
	two.kill()

	var said []string
	tell := func(line string) { said = append(said, line) }
	if err := Leave(context.Background(), cfg, "three", tell); !errors.Is(err, ErrNoMember) || !strings.HasSuffix(err.Error(), "they have members of: one, two") {
		t.Errorf("an instance that is not there: %v", err)
	}
	if err := Leave(context.Background(), cfg, "two", tell); err != nil {
		t.Fatal(err)
	}
	if members("two") != 0 || members("one") != 3 || !slices.Contains(said, "3 members removed") || c.open(two) {
		t.Errorf("members of two: %d, of one: %d, open: %v; it said %q", members("two"), members("one"), c.open(two), said)
	}
	c.awaitDrained(app, 30*time.Second)

	if err := Leave(context.Background(), cfg, "one", tell); err != nil {
		t.Fatal(err)
	}
	if err := produce(c.cl, inputs[1500:], 0); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, time.Minute)
	in.stop()
	if v := judge(t, model, c.read(app+".alerts"), readStates(t, dirs[:1], 4), set); v != (verdict{}) {
		t.Error(v)
	}
}
