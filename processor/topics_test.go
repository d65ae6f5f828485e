package processor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/schemas"
)

// TestRefusedDeployments changes what a deployment stands on, and starts a worker again. It must not start, and say what
// is wrong, with which topic, and what helps.
func TestRefusedDeployments(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	set := mustLoad(t, rules.LoadOptions{})
	ctx := context.Background()
	for _, test := range []struct {
		name   string
		change func(c *cluster, cfg *Config) error
		want   []string
	}{
		{"control deleted", func(c *cluster, cfg *Config) error {
			_, err := c.adm.DeleteTopic(ctx, cfg.topic(topicControl))
			return err
		}, []string{"group APP.ingest has committed offsets", "APP.control has no record of this deployment", "delete the groups APP.*"}},
		{"control emptied", func(c *cluster, cfg *Config) error { return c.deleteRecords(cfg.topic(topicControl), 0, -1) },
			[]string{"group APP.ingest has committed offsets", "APP.control has no record of this deployment"}},
		{"control of a newer version", func(c *cluster, cfg *Config) error {
			return c.cl.ProduceSync(ctx, &kgo.Record{Topic: cfg.topic(topicControl), Key: []byte(keyDeployment), Value: []byte(`{"version":2}`)}).FirstErr()
		}, []string{"APP.control was written by a newer version (2): upgrade this worker"}},
		{"a topic deleted", func(c *cluster, cfg *Config) error {
			_, err := c.adm.DeleteTopic(ctx, cfg.topic(topicFindings))
			return err
		}, []string{"topic APP.findings is missing, though the deployment had it", "another app name"}},
		{"a changelog deleted", func(c *cluster, cfg *Config) error {
			_, err := c.adm.DeleteTopic(ctx, cfg.topic(topicGroupLog))
			return err
		}, []string{"topic APP.group.changelog is missing, though the deployment had it", "another app name"}},
		{"more partitions", func(c *cluster, cfg *Config) error {
			_, err := c.adm.CreatePartitions(ctx, 2, cfg.topic(topicCandidates))
			return err
		}, []string{"topic APP.candidates has 6 partitions, not 4: keys would be elsewhere than their state"}},
		{"a changelog that forgets", func(c *cluster, cfg *Config) error {
			c.alter(cfg.topic(topicDetectLog), "cleanup.policy", "delete")
			return nil
		}, []string{"topic APP.detect.changelog has cleanup.policy=delete, it needs compact",
			"kafka-configs.sh --bootstrap-server BROKER --alter --topic APP.detect.changelog --add-config cleanup.policy=compact"}},
		{"internal records that expire", func(c *cluster, cfg *Config) error {
			c.alter(cfg.topic(topicFindings), "retention.ms", "604800000")
			return nil
		}, []string{"topic APP.findings has retention.ms=604800000, it needs -1", "--add-config retention.ms=-1"}},
		{"other sources", func(_ *cluster, cfg *Config) error {
			cfg.Sources = cfg.Sources[:1]
			return nil
		}, []string{"the deployment reads APP-cloudtrail, APP-s3access, this worker is configured for APP-cloudtrail", "--change-sources"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, app := newTestCluster(t, brokers), newApp()
			c.createSources(app, 1, nil)
			cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), set)
			c.found(cfg)
			var o kadm.Offsets
			o.AddOffset(app+"-cloudtrail", 0, 1, -1)
			if _, err := c.adm.CommitOffsets(ctx, cfg.group(StageIngest), o); err != nil {
				t.Fatal(err)
			}
			if err := test.change(c, &cfg); err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(c.refused(cfg), app, "APP")
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("refused: %s\nwant: %s", got, want)
				}
			}
		})
	}
}

// found makes a deployment without running a worker.
func (c *cluster) found(cfg Config) {
	c.t.Helper()
	w, err := New(cfg)
	if err == nil {
		err = w.prepare(context.Background())
	}
	if err != nil {
		c.t.Fatal(err)
	}
	w.control.Close()
}

// deleteRecords deletes a partition's records before an offset, -1: all.
func (c *cluster) deleteRecords(topic string, partition int32, before int64) error {
	var o kadm.Offsets
	o.AddOffset(topic, partition, before, -1)
	resp, err := c.adm.DeleteRecords(context.Background(), o)
	if err != nil {
		return err
	}
	return resp.Error()
}

// TestChangeSources adds a source to a deployment. Then a worker that does not know of it is refused.
func TestChangeSources(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 1, nil)
	if _, err := c.adm.CreateTopic(context.Background(), 1, -1, nil, app+"-more"); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(brokers, app, "one", filepath.Join(t.TempDir(), "state"), mustLoad(t, rules.LoadOptions{}))
	c.found(cfg)
	old := cfg
	cfg.Sources = append(cfg.Sources[:2:2], Source{app + "-more", schemas.FormatAuto})
	c.refused(cfg)
	cfg.ChangeSources = true
	c.found(cfg)
	cfg.ChangeSources = false
	c.found(cfg)
	c.refused(old)
}

// startTogether starts workers at once where there is nothing yet. They agree on one deployment.
func startTogether(t *testing.T, brokers string) {
	c, app := newTestCluster(t, brokers), newApp()
	c.createSources(app, 4, nil)
	set, dir := mustLoad(t, rules.LoadOptions{}), t.TempDir()
	var workers []*inside
	for n := range 4 {
		name := fmt.Sprintf("w%d", n)
		workers = append(workers, c.start(testConfig(brokers, app, name, filepath.Join(dir, name), set)))
	}
	for _, in := range workers {
		in.awaitReady(c)
	}
	if err := c.cl.ProduceSync(context.Background(), &kgo.Record{Topic: app + "-cloudtrail", Value: []byte(anonymous("198.51.100.1", day0))}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.awaitDrained(app, 30*time.Second)
	for _, in := range workers {
		in.stop()
	}
	if alerts := c.alerts(app); len(alerts) != 1 {
		t.Errorf("%d alerts, want one", len(alerts))
	}
	written := map[string]int{}
	for _, r := range c.read(app + ".control") {
		written[string(r.Key)]++
	}
	hash := set.Hash()
	if ruleset := fmt.Sprintf("%s%x", prefixRuleset, hash); written[keyDeployment] != 1 || written[ruleset] != 1 {
		t.Errorf("the deployment was written %d times, the ruleset %d times, want once each", written[keyDeployment], written[ruleset])
	}
}

// TestAgree lets a worker come between another's decision and its writing. What was decided on old knowledge is not
// written.
func TestAgree(t *testing.T) {
	t.Parallel()
	brokers := embedded(t)
	c, app, ctx := newTestCluster(t, brokers), newApp(), context.Background()
	c.createSources(app, 1, nil)
	cfg := testConfig(brokers, app, "one", t.TempDir(), mustLoad(t, rules.LoadOptions{}))
	c.found(cfg)
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	agree := func(value string, between func()) error {
		follower, err := openControl(ctx, &cfg)
		if err != nil {
			return err
		}
		defer follower.Close()
		return follower.agree(ctx, &cfg, func() (map[string][]byte, error) {
			known := follower.get("key")
			between()
			if known != nil {
				return nil, nil
			}
			return map[string][]byte{"key": []byte(value)}, nil
		})
	}
	calls := 0
	err := agree("slow", func() {
		if calls++; calls == 2 { // after it has fenced the others
			if err := agree("fast", func() {}); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	var written []string
	for _, r := range c.read(app + ".control") {
		if string(r.Key) == "key" {
			written = append(written, string(r.Value))
		}
	}
	if len(written) != 1 || written[0] != "fast" {
		t.Errorf("written: %v, want fast alone", written)
	}
}

// TestWeakSettings: settings with which a broker that is lost takes acknowledged records with it.
func TestWeakSettings(t *testing.T) {
	command := "run: kafka-configs.sh --bootstrap-server BROKER --alter --topic t --add-config "
	for _, test := range []struct {
		replicas         int
		minISR, unclean  string
		warnings, helped string
	}{
		{1, "1", "false", "", ""},
		{3, "2", "false", "", ""},
		{3, "1", "false", "topic t has 3 replicas but min.insync.replicas=1: a lost broker can lose acknowledged records", command + "min.insync.replicas=2"},
		{2, "1", "false", "topic t has 2 replicas but min.insync.replicas=1: a lost broker can lose acknowledged records", "give it three, with kafka-reassign-partitions.sh, and min.insync.replicas=2"},
		{3, "2", "true", "topic t allows unclean leader elections, which lose acknowledged records", command + "unclean.leader.election.enable=false"},
	} {
		s := TopicState{Plan: TopicPlan{Name: "t"}}
		s.compare(map[string]string{"min.insync.replicas": test.minISR, "unclean.leader.election.enable": test.unclean}, test.replicas)
		var want []string
		if test.warnings != "" {
			want = []string{test.warnings + "; " + test.helped}
		}
		if !slices.Equal(s.Warnings, want) || len(s.Problems) > 0 {
			t.Errorf("%+v: %q, %q", test, s.Warnings, s.Problems)
		}
	}
}
