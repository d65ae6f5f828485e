package processor

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firstseen/rules"
	"firstseen/traffic"
)

// TestRulesDiffer has two workers with different rules in force for longer than a change of rules takes. Both say so, and
// are ready all the same, until they agree; a third, which is gone, does not count.
func TestRulesDiffer(t *testing.T) {
	t.Parallel()
	c, app, dir := newTestCluster(t, embedded(t)), newApp(), t.TempDir()
	c.createSources(app, 2, nil)
	set, other := mustLoad(t, rules.LoadOptions{}), mustLoad(t, rules.LoadOptions{Set: []string{traffic.NewTermsRule + ".new_terms.history=3d"}})
	cfg := func(name string, set *rules.Set) Config {
		cfg := testConfig(c.brokers, app, name, filepath.Join(dir, name), set)
		cfg.Timing.Differ, cfg.Leave = time.Second, true
		return cfg
	}
	gone := c.start(cfg("gone", mustLoad(t, rules.LoadOptions{Set: noCap})))
	gone.awaitReady(c)
	gone.stop()
	workers := []*inside{c.start(cfg("one", set)), c.start(cfg("two", other))}
	says := func(in *inside) bool {
		return slices.ContainsFunc(in.Notes(), func(note string) bool {
			return strings.Contains(note, "rules: instances have had different ones in force since ") && strings.Contains(note, " on one; ") && strings.Contains(note, " on two; give all workers the same rule files") ||
				strings.Contains(note, " on two; ") && strings.Contains(note, " on one; give all workers the same rule files")
		})
	}
	for _, in := range workers {
		in.awaitReady(c)
		c.await("the worker says that rules differ", 20*time.Second, func() bool { return says(in) && in.counted("rules_differ") == 1 })
		in.awaitReady(c)
	}
	if err := workers[1].SetRules(context.Background(), set); err != nil {
		t.Fatal(err)
	}
	for _, in := range workers {
		c.await("the worker sees that they agree", 20*time.Second, func() bool { return !says(in) && in.counted("rules_differ") == 0 })
		in.stop()
	}
}
