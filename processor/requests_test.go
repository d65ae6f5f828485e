package processor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstseen/rules"
	"firstseen/traffic"
)

// otherRule sees the same events as the rule about new addresses, and has a state of its own.
const otherRule = `
id: other
name: Other
version: 1
description: Another rule about the same events.
dataset: aws.cloudtrail
query: 'event.provider: "s3.amazonaws.com" and cloud.account.id: "anonymous"'
new_terms: {fields: [source.address], history: 7d}
severity: low
title: other
tests: []
`

// TestForgetRule deletes the state of one rule while the worker runs, and nothing else, also when the transaction that
// does it is aborted at first: only what is committed is answered. Nothing is read in it, yet it commits the offsets of
// the partitions: a lane that has lost them must not be able to.
func TestForgetRule(t *testing.T) {
	t.Parallel()
	b := broker(t)
	file := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(file, []byte(otherRule), 0o600); err != nil {
		t.Fatal(err)
	}
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 1, nil)
	set := mustLoad(t, rules.LoadOptions{Paths: []string{file}, Set: noCap})
	cfg := testConfig(b.Addr(), app, "one", filepath.Join(t.TempDir(), "state"), set)
	var armed atomic.Pointer[inside]
	cfg.hooks.beforeEnd = func() {}
	cfg.hooks.abort = func() bool {
		in := armed.Load()
		return in != nil && in.counted("transaction_aborts_total", "detect") == 0
	}
	in := c.start(cfg)
	send := func(day int) {
		t.Helper()
		var records []*kgo.Record
		for n := range 20 {
			records = append(records, &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(anonymous(fmt.Sprintf("198.51.100.%d", n), day0.AddDate(0, 0, day)))})
		}
		if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c.awaitDrained(app, 20*time.Second)
	}
	send(0)
	commits := b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Group: app + ".detect", Observe: true, Count: -1})
	armed.Store(in)
	answers, keys := 0, 0
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := Ask(ctx, cfg, Request{Stage: StageDetect, Partition: -1, Rule: traffic.NewTermsRule}, func(_, done string) {
		var n int
		if _, err := fmt.Sscanf(done, "deleted %d keys of rule "+traffic.NewTermsRule, &n); err != nil {
			t.Errorf("answer %q", done)
		}
		answers, keys = answers+1, keys+n
	}); err != nil {
		t.Fatal(err)
	}
	if answers != 4 || keys != 20 {
		t.Errorf("%d answers, %d keys deleted; want 4 and 20", answers, keys)
	}
	if commits.Hits() != 1 || in.counted("transaction_aborts_total", "detect") == 0 {
		t.Errorf("%d commits of offsets, %v aborts; want one after an abort", commits.Hits(), in.counted("transaction_aborts_total", "detect"))
	}
	send(1)
	in.stop()
	alerts := map[string]int{}
	for _, r := range c.read(app + ".alerts") {
		alerts[headerOf(r, "firstseen-rule")]++
	}
	if alerts[traffic.NewTermsRule] != 40 || alerts["other"] != 20 {
		t.Errorf("alerts by rule %v: each address is new twice for the rule that was reset, once for the other", alerts)
	}
}

// TestForgetRuleLater: what was asked while no worker ran is done by the one that starts.
func TestForgetRuleLater(t *testing.T) {
	t.Parallel()
	b := broker(t)
	c, app := newTestCluster(t, b.Addr()), newApp()
	c.createSources(app, 1, nil)
	cfg := testConfig(b.Addr(), app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{Set: noCap}))
	in := c.start(cfg)
	if err := c.cl.ProduceSync(context.Background(), &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(anonymous("198.51.100.1", day0))}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 20*time.Second)
	in.stop()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answers, asked := map[string]int{}, make(chan error, 1)
	go func() {
		asked <- Ask(ctx, cfg, Request{Stage: StageDetect, Partition: -1, Rule: traffic.NewTermsRule}, func(_, done string) { answers[done]++ })
	}()
	c.await("the request is in control", 20*time.Second, func() bool {
		return slices.ContainsFunc(c.read(app+".control"), func(r *kgo.Record) bool { return strings.HasPrefix(string(r.Key), prefixRequest) })
	})
	in = c.start(cfg)
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	in.stop()
	none, one := "deleted 0 keys of rule "+traffic.NewTermsRule, "deleted 1 keys of rule "+traffic.NewTermsRule
	if answers[none] != 3 || answers[one] != 1 || len(answers) != 2 {
		t.Errorf("answers %v", answers)
	}
}

// TestRequestsThatCannotBe are refused by Ask, before anybody waits for an answer.
func TestRequestsThatCannotBe(t *testing.T) {
	cfg := testConfig("127.0.0.1:1", "app", "one", t.TempDir(), mustLoad(t, rules.LoadOptions{}))
	for _, test := range []struct {
		request Request
		want    string
	}{
		{Request{Stage: StageIngest, Use: UseStore}, `stage ingest keeps no state and can go on at noted, committed, earliest, not at "store"`},
		{Request{Stage: StageIngest, Rule: "x"}, "stage ingest keeps no state"},
		{Request{Stage: StageDetect, Use: UseNoted}, `stage detect can go on at store, committed, earliest, not at "noted"`},
	} {
		err := Ask(context.Background(), cfg, test.request, func(_, _ string) {})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.request, err, test.want)
		}
	}
}
