package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// prepare agrees with the other workers on the deployment, creates and checks topics, and publishes the ruleset.
func (w *Worker) prepare(ctx context.Context) error {
	cfg := &w.cfg
	// The client would answer from what it has cached, also after a topic was created.
	cl, err := kgo.NewClient(cfg.ClientOptions(kgo.MetadataMinAge(MetadataAge))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	probe, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := cl.Ping(probe); err != nil {
		return fmt.Errorf("%w: no broker answers: %w; check brokers, tls and sasl in the configuration", ErrUnreachable, err)
	}
	ids, err := sourceIDs(ctx, adm, cfg)
	if err != nil {
		return err
	}
	if err := w.ensure(ctx, adm, cfg.Plan()[:1]); err != nil {
		return err
	}
	if err := w.fence(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if w.control, err = openControl(ctx, cfg); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	ok := false
	defer func() {
		if !ok {
			w.control.Close()
		}
	}()
	w.texts.control = w.control
	var d *Deployment
	var writes map[string][]byte
	err = w.control.agree(ctx, cfg, func() (_ map[string][]byte, err error) {
		writes = map[string][]byte{}
		if d, err = w.control.deployment(); err != nil {
			return nil, err
		}
		fresh := ids // sources that the deployment does not know yet
		founding := d == nil
		if founding {
			if d, err = w.found(ctx, adm, ids); err != nil {
				return nil, err
			}
		} else if fresh, err = w.rejoin(d, ids); err != nil {
			return nil, err
		}
		if founding || !maps.Equal(d.Sources, ids) {
			d.Sources = ids
			writes[keyDeployment] = encodeNote(d)
		}
		if err := w.learn(ctx, adm, fresh, writes); err != nil {
			return nil, err
		}
		return writes, w.publish(ctx, adm, cfg.Rules, founding, writes)
	})
	if err != nil {
		return err
	}
	w.tell(writes)
	if m := cfg.Learning.Mode; m != LearnHistory && m != LearnNothing && writes[keyDeployment] == nil {
		cfg.Log.Info("what is learned was decided when the deployment began; what is configured now would matter for topics that are added")
	}
	w.rules.Store(cfg.Rules)
	cfg.Partitions = d.Partitions
	if err := w.check(ctx, adm, d); err != nil {
		return err
	}
	ok = true
	close(w.ready)
	return nil
}

// fence ends the transactions that a killed predecessor of this instance left open. One that holds a record of control
// would keep this worker from reading control until it times out.
func (w *Worker) fence(ctx context.Context) error {
	for _, s := range w.cfg.Stages {
		for n := range w.cfg.Lanes[s] {
			cl, err := kgo.NewClient(w.cfg.ClientOptions(kgo.TransactionalID(w.cfg.laneName(s, n)), kgo.TransactionTimeout(w.cfg.Timing.Transaction))...)
			if err != nil {
				return err
			}
			_, _, err = cl.ProducerID(ctx)
			cl.Close()
			if err != nil {
				return fmt.Errorf("fence %s: %w", w.cfg.laneName(s, n), err)
			}
		}
	}
	return nil
}

// TopicError makes of what a broker says of a topic an error that wraps ErrNoTopic or, of anything else, ErrUnreachable.
func TopicError(err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return ErrNoTopic
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// sourceIDs returns the topic ids of the sources. A topic that was just created is waited for: not every broker knows it.
func sourceIDs(ctx context.Context, adm *kadm.Client, cfg *Config) (ids map[string]string, err error) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		ids, err = listSources(ctx, adm, cfg)
		if !errors.Is(err, ErrNoTopic) || time.Now().After(deadline) {
			return ids, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func listSources(ctx context.Context, adm *kadm.Client, cfg *Config) (map[string]string, error) {
	ids := map[string]string{}
	for _, n := range cfg.sourceTopics() { // one by one: the error for a topic that may not be seen does not name it
		details, err := adm.ListTopics(ctx, n)
		switch err = cmp.Or(err, details[n].Err); {
		case isUnauthorized(err):
			return nil, fmt.Errorf("%w: source topic %s: %v; to allow it: %s", ErrUnreachable, n, err, cfg.allow(n)) //nolint:errorlint // all is said
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return nil, fmt.Errorf("source topic %s: %w; create it, or correct sources in the configuration", n, ErrNoTopic)
		case err != nil:
			return nil, fmt.Errorf("%w: source topic %s: %w", ErrUnreachable, n, err)
		}
		ids[n] = details[n].ID.String()
	}
	return ids, nil
}

// ensure creates the topics of the plan that are missing.
func (w *Worker) ensure(ctx context.Context, adm *kadm.Client, plan []TopicPlan) error {
	states, err := CheckTopics(ctx, adm, plan)
	if err != nil {
		return err
	}
	if _, err := CreateTopics(ctx, adm, states, w.cfg.Replication); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// found founds a deployment: control has no record of one, so no group may have committed offsets either.
func (w *Worker) found(ctx context.Context, adm *kadm.Client, sources map[string]string) (*Deployment, error) {
	for _, s := range Stages {
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		offsets, err := stableOffsets(wait, adm, w.cfg.group(s))
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%w: read the offsets of group %s: %w", ErrUnreachable, w.cfg.group(s), err)
		}
		if len(offsets) > 0 {
			return nil, fmt.Errorf("%w: group %s has committed offsets, but %s has no record of this deployment: it was emptied or deleted, and what was detected before cannot be known. "+
				"Start with another app name, or delete the groups %s.* to begin anew", ErrGuarantee, w.cfg.group(s), w.cfg.topic(topicControl), w.cfg.App)
		}
	}
	plan := w.cfg.Plan()
	if err := w.ensure(ctx, adm, plan); err != nil {
		return nil, err
	}
	fresh, err := kgo.NewClient(w.cfg.ClientOptions()...) // one that remembers no older ids
	if err != nil {
		return nil, err
	}
	defer fresh.Close()
	states, err := CheckTopics(ctx, kadm.NewClient(fresh), plan)
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		if len(s.Problems) > 0 { // they were made beforehand, or by a worker with another configuration that did not get far
			return nil, fmt.Errorf("%w: %s", ErrGuarantee, strings.Join(s.Problems, "; "))
		}
	}
	d := &Deployment{Version: 1, Partitions: w.cfg.Partitions, TopicIDs: map[string]string{}, Sources: sources}
	for _, s := range states {
		d.TopicIDs[s.Plan.Name] = s.ID.String()
	}
	return d, nil
}

// rejoin compares the deployment with this worker's sources, and returns those that are new to it.
func (w *Worker) rejoin(d *Deployment, sources map[string]string) (fresh map[string]string, err error) {
	if !w.cfg.ChangeSources {
		if !slices.Equal(slices.Sorted(maps.Keys(d.Sources)), slices.Sorted(maps.Keys(sources))) {
			return nil, fmt.Errorf("%w: the deployment reads %s, this worker is configured for %s: correct sources, or start it once with --change-sources",
				ErrGuarantee, list(d.Sources), list(sources))
		}
		maps.Copy(sources, d.Sources) // another id under the same name puts the partitions in quarantine
	}
	fresh = maps.Clone(sources)
	maps.DeleteFunc(fresh, func(name, id string) bool { return d.Sources[name] == id })
	return fresh, nil
}

func list(m map[string]string) string { return strings.Join(slices.Sorted(maps.Keys(m)), ", ") }

// watchTopics looks again and again whether the settings of the topics are still those that the guarantee needs. A worker
// that runs goes on with others, since it has its state; what they cost is lost in the topics, and it says so.
func (w *Worker) watchTopics(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.cfg.Timing.Recheck):
		}
		problems, err := w.problems(ctx)
		if err != nil {
			continue // the next look will do
		}
		text := ""
		if len(problems) > 0 {
			text = "topics: " + strings.Join(problems, "; ")
			w.cfg.Log.Error(text)
		}
		w.health.note(noteTopics, text)
	}
}

// problems are those of topics whose settings were changed.
func (w *Worker) problems(ctx context.Context) (texts []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(w.cfg.ClientOptions()...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	states, err := CheckTopics(ctx, kadm.NewClient(cl), w.cfg.Plan())
	for _, s := range states {
		texts = append(texts, s.Problems...)
	}
	return texts, err
}

// check refuses to go on with topics that would break the guarantee.
func (w *Worker) check(ctx context.Context, adm *kadm.Client, d *Deployment) error {
	states, err := CheckTopics(ctx, adm, w.cfg.Plan())
	if err != nil {
		return err
	}
	var problems []error
	w.topicIDs, w.partitions = maps.Clone(d.Sources), map[string]int32{}
	maps.Copy(w.topicIDs, d.TopicIDs)
	w.tombstones = 0
	w.limitDeadLetters(maxDeadLetter)
	for _, s := range states {
		if s.Missing {
			problems = append(problems, fmt.Errorf("topic %s is missing, though the deployment had it: what it held is lost; start a deployment with another app name", s.Plan.Name))
		}
		for _, p := range s.Problems {
			problems = append(problems, errors.New(p))
		}
		for _, text := range s.Warnings {
			w.cfg.Log.Warn(text)
		}
		w.partitions[s.Plan.Name] = s.Have
		if slices.Contains([]string{w.cfg.ChangelogTopic(StageDetect), w.cfg.ChangelogTopic(StageGroup)}, s.Plan.Name) {
			keep := 24 * time.Hour // Kafka's default
			if ms, ok := s.number("delete.retention.ms"); ok {
				keep = time.Duration(ms) * time.Millisecond
			}
			if w.tombstones == 0 || keep < w.tombstones {
				w.tombstones = keep
			}
		}
		if bytes, ok := s.number("max.message.bytes"); ok && s.Plan.Name == w.cfg.topic(topicDLQ) {
			w.limitDeadLetters(bytes)
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", ErrGuarantee, errors.Join(problems...))
	}
	return nil
}
