package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Suffixes of the deployment's own topics, behind "<app>.".
const (
	topicCandidates = "candidates"
	topicFindings   = "findings"
	topicDetectLog  = "detect.changelog"
	topicGroupLog   = "group.changelog"
	topicAlerts     = "alerts"
	topicSuppressed = "suppressed"
	topicDLQ        = "dlq"
	topicControl    = "control"
)

// TopicPlan is how one of the deployment's own topics must be.
type TopicPlan struct {
	Name       string
	Partitions int32
	Configs    map[string]string
	fixed      bool     // another number of partitions would break the guarantee
	must       []string // settings that the guarantee needs; the others are advice
}

func (c *Config) topic(suffix string) string { return c.App + "." + suffix }

func (c *Config) group(s Stage) string { return s.Group(c.App) }

// ControlTopic is the topic with what the workers of a deployment must agree on.
func (c *Config) ControlTopic() string { return c.topic(topicControl) }

// Plan returns the topics that the deployment needs besides its sources.
func (c *Config) Plan() []TopicPlan {
	days := func(n int) string { return strconv.Itoa(n * 24 * 3600 * 1000) }
	internal := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "LogAppendTime",
		"segment.bytes": strconv.Itoa(64 << 20)} // a segment is on the disk until all of it has been deleted
	changelog := map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "segment.bytes": strconv.Itoa(64 << 20),
		"min.cleanable.dirty.ratio": "0.2", "max.compaction.lag.ms": "3600000", retention: days(1)} // the markers of all transactions stay that long, too
	// Every start reads all of it, and every takeover and every minute adds some, so it is kept short.
	control := map[string]string{"cleanup.policy": "compact", "max.compaction.lag.ms": "3600000"}
	result := map[string]string{"cleanup.policy": "delete", "retention.ms": days(7)}
	internalMust := []string{"cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type"}
	changelogMust := []string{"cleanup.policy", "message.timestamp.type"}
	return []TopicPlan{
		{c.topic(topicControl), 1, control, true, []string{"cleanup.policy"}},
		{c.topic(topicCandidates), c.Partitions, internal, true, internalMust},
		{c.topic(topicFindings), c.Partitions, internal, true, internalMust},
		{c.topic(topicDetectLog), c.Partitions, changelog, true, changelogMust},
		{c.topic(topicGroupLog), c.Partitions, changelog, true, changelogMust},
		{c.topic(topicAlerts), 8, result, false, nil},
		{c.topic(topicSuppressed), 8, result, false, nil},
		{c.topic(topicDLQ), 4, map[string]string{"cleanup.policy": "delete", "retention.ms": days(30)}, false, nil},
	}
}

// TopicState is what a broker says of one topic of the plan.
type TopicState struct {
	Plan     TopicPlan
	Missing  bool
	ID       kadm.TopicID
	Have     int32    // partitions
	Problems []string // what would break the guarantee; the worker does not start
	Warnings []string // what weakens it

	settings map[string]string
}

// number is a setting in its own unit; ok is false if the brokers did not tell it.
func (s *TopicState) number(setting string) (n int, ok bool) {
	n, err := strconv.Atoi(s.settings[setting])
	return n, err == nil
}

// CheckTopics compares the plan with what is there.
func CheckTopics(ctx context.Context, adm *kadm.Client, plan []TopicPlan) ([]TopicState, error) {
	names := make([]string, len(plan))
	for i, p := range plan {
		names[i] = p.Name
	}
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("%w: list topics: %w", ErrUnreachable, err)
	}
	states := make([]TopicState, len(plan))
	var present []string
	for i, p := range plan {
		d := details[p.Name]
		states[i] = TopicState{Plan: p, ID: d.ID, Have: int32(len(d.Partitions))}
		switch {
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			states[i].Missing = true
		case d.Err != nil:
			return nil, fmt.Errorf("%w: topic %s: %w", ErrUnreachable, p.Name, d.Err)
		default:
			present = append(present, p.Name)
		}
	}
	if len(present) == 0 {
		return states, nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, present...)
	if err != nil {
		return nil, fmt.Errorf("%w: describe topic settings: %w", ErrUnreachable, err)
	}
	for i := range states {
		if states[i].Missing {
			continue
		}
		rc, err := configs.On(states[i].Plan.Name, nil)
		if err != nil || rc.Err != nil {
			return nil, fmt.Errorf("%w: describe topic settings of %s: %w", ErrUnreachable, states[i].Plan.Name, errors.Join(err, rc.Err))
		}
		have := map[string]string{}
		for _, kv := range rc.Configs {
			have[kv.Key] = kv.MaybeValue()
		}
		states[i].settings = have
		states[i].compare(have, details[states[i].Plan.Name].Partitions.NumReplicas())
	}
	return states, nil
}

// retention is how long deletions, and the markers of transactions, stay in a compacted topic. A longer one is as good: it
// lets a store be away for longer, and takes disk.
const retention = "delete.retention.ms"

func longer(have, plan string) bool {
	a, errA := strconv.ParseInt(have, 10, 64)
	b, errB := strconv.ParseInt(plan, 10, 64)
	return errA == nil && errB == nil && a > b
}

func (s *TopicState) compare(have map[string]string, replicas int) {
	p := s.Plan
	if p.fixed && s.Have != p.Partitions {
		s.Problems = append(s.Problems, fmt.Sprintf("topic %s has %d partitions, not %d: keys would be elsewhere than their state; correct partitions in the configuration, "+
			"or, if partitions were added to the topic, start a deployment with another app name", p.Name, s.Have, p.Partitions))
	}
	for _, k := range slices.Sorted(maps.Keys(p.Configs)) {
		got, ok := have[k]
		if !ok || got == p.Configs[k] || k == retention && longer(got, p.Configs[k]) {
			continue
		}
		text := fmt.Sprintf("topic %s has %s=%s, it needs %s; run: kafka-configs.sh --bootstrap-server BROKER --alter --topic %s --add-config %s=%s",
			p.Name, k, got, p.Configs[k], p.Name, k, p.Configs[k])
		if slices.Contains(p.must, k) {
			s.Problems = append(s.Problems, text)
		} else {
			s.Warnings = append(s.Warnings, text)
		}
	}
	set := "run: kafka-configs.sh --bootstrap-server BROKER --alter --topic " + p.Name + " --add-config "
	if replicas > 1 && have["min.insync.replicas"] == "1" {
		help := set + "min.insync.replicas=2"
		if replicas == 2 {
			help = "give it three, with kafka-reassign-partitions.sh, and min.insync.replicas=2"
		}
		s.Warnings = append(s.Warnings, fmt.Sprintf("topic %s has %d replicas but min.insync.replicas=1: a lost broker can lose acknowledged records; %s", p.Name, replicas, help))
	}
	if have["unclean.leader.election.enable"] == "true" {
		s.Warnings = append(s.Warnings, fmt.Sprintf("topic %s allows unclean leader elections, which lose acknowledged records; %sunclean.leader.election.enable=false", p.Name, set))
	}
}

// MetadataAge is the kgo.MetadataMinAge that a client for CheckTopics and CreateTopics needs: by default it would answer
// for seconds with what it knew before a topic was created.
const MetadataAge = 20 * time.Millisecond

// CreateTopics creates those of the plan that are missing, returns their names, and waits until the brokers know them.
func CreateTopics(ctx context.Context, adm *kadm.Client, states []TopicState, replication int16) ([]string, error) {
	var made []string
	for _, s := range states {
		if !s.Missing {
			continue
		}
		configs := map[string]*string{}
		for k, v := range s.Plan.Configs {
			configs[k] = &v
		}
		_, err := adm.CreateTopic(ctx, s.Plan.Partitions, replication, configs, s.Plan.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return made, fmt.Errorf("create topic %s with %d partitions: %w", s.Plan.Name, s.Plan.Partitions, err)
		}
		made = append(made, s.Plan.Name)
	}
	for len(made) > 0 {
		details, err := adm.ListTopics(ctx, made...)
		if err == nil && details.Error() == nil {
			break
		}
		select {
		case <-ctx.Done():
			return made, errors.Join(ctx.Err(), err, details.Error())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return made, nil
}
