package processor

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/state"
)

// Worker runs the lanes of one process.
type Worker struct {
	cfg        Config
	control    *control
	store      *state.Store
	topicIDs   map[string]string // of the deployment's topics and its sources, as control knows them
	partitions map[string]int32  // of the topics that are written to
	tombstones time.Duration     // delete.retention.ms of the changelogs
	deadLimit  atomic.Int64      // bytes of a dead letter
	metrics    *metrics
	health     *health
	texts      texts
}

// Run works until ctx ends; then every lane finishes the transaction in hand, and Run returns nil. It returns an error
// that wraps ErrGuarantee or ErrUnreachable when it cannot start or go on.
func (w *Worker) Run(ctx context.Context) error {
	err := w.work(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // stopped while starting
	}
	return err
}

func (w *Worker) work(ctx context.Context) error {
	cfg := &w.cfg
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if w.needsStore() { // first, so that a second process on the directory disturbs nobody
		var err error
		if w.store, err = openStore(ctx, cfg, func(err error) { cancel(err) }); err != nil {
			return err
		}
		defer w.store.Close()
		defer w.metrics.watchStore(w.store)()
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	defer w.control.Close()
	if w.store != nil {
		w.dropOldRanges()
	}
	if err := w.announce(ctx); err != nil {
		return err
	}
	results := make(chan error)
	var lanes []*lane
	for _, s := range cfg.Stages {
		for n := range cfg.Lanes[s] {
			lanes = append(lanes, w.newLane(s, n))
		}
	}
	for _, l := range lanes {
		w.health.starting(l.name)
		go func() { results <- l.run(ctx) }()
	}
	var first error
	for range lanes {
		if err := <-results; err != nil {
			if first == nil {
				first = err
			}
			cancel(err)
		}
	}
	if first == nil {
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			first = cause
		}
	}
	if first == nil && cfg.Leave {
		return w.leave(lanes)
	}
	return first
}

// New checks cfg and returns a worker that Run starts.
func New(cfg Config) (*Worker, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	w := &Worker{cfg: cfg, health: newHealth()}
	w.metrics = newMetrics(cfg.Metrics, w.health)
	w.texts.decoded = map[string]*rules.Set{}
	return w, nil
}

func (w *Worker) needsStore() bool {
	return slices.Contains(w.cfg.Stages, StageDetect) || slices.Contains(w.cfg.Stages, StageGroup)
}

// changelog is the topic of a stage's state, "" for ingest.
func (c *Config) changelog(s Stage) string {
	switch s {
	case StageDetect:
		return c.topic(topicDetectLog)
	case StageGroup:
		return c.topic(topicGroupLog)
	}
	return ""
}

// prepare agrees with the other workers on the deployment, creates and checks topics, and publishes the ruleset.
func (w *Worker) prepare(ctx context.Context) error {
	cfg := &w.cfg
	// The client would answer from what it has cached, also after a topic was created.
	cl, err := kgo.NewClient(cfg.client(kgo.MetadataMinAge(MetadataAge))...)
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
	ids, err := sourceIDs(ctx, adm, cfg.sourceTopics())
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
	hash := cfg.Rules.Hash()
	var d *Deployment
	err = w.control.agree(ctx, cfg, func() (map[string][]byte, error) {
		writes := map[string][]byte{}
		if d, err = w.control.deployment(); err != nil {
			return nil, err
		}
		if d == nil {
			if d, err = w.found(ctx, adm, ids); err != nil {
				return nil, err
			}
			writes[keyDeployment] = encodeNote(d)
		} else if changed, err := w.rejoin(d, ids); err != nil {
			return nil, err
		} else if changed {
			writes[keyDeployment] = encodeNote(d)
		}
		if key := prefixRuleset + hex.EncodeToString(hash[:]); w.control.get(key) == nil {
			writes[key] = cfg.Rules.Encode()
		}
		return writes, nil
	})
	if err != nil {
		return err
	}
	cfg.Partitions = d.Partitions
	if err := w.check(ctx, adm, d); err != nil {
		return err
	}
	w.texts.control = w.control
	ok = true
	return nil
}

// fence ends the transactions that a killed predecessor of this instance left open. One that holds a record of control
// would keep this worker from reading control until it times out.
func (w *Worker) fence(ctx context.Context) error {
	for _, s := range w.cfg.Stages {
		for n := range w.cfg.Lanes[s] {
			cl, err := kgo.NewClient(w.cfg.client(kgo.TransactionalID(w.cfg.laneName(s, n)), kgo.TransactionTimeout(w.cfg.Timing.Transaction))...)
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

// missing makes a broker's way to say it one that people understand.
func missing(err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return ErrNoTopic
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// sourceIDs returns the topic ids of the sources. A topic that was just created is waited for: not every broker knows it.
func sourceIDs(ctx context.Context, adm *kadm.Client, names []string) (ids map[string]string, err error) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		ids, err = listSources(ctx, adm, names)
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

func listSources(ctx context.Context, adm *kadm.Client, names []string) (map[string]string, error) {
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("%w: list source topics: %w", ErrUnreachable, err)
	}
	ids := map[string]string{}
	for _, n := range names {
		if err := details[n].Err; err != nil {
			return nil, fmt.Errorf("source topic %s: %w; create it, or correct sources in the configuration", n, missing(err))
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
	fresh, err := kgo.NewClient(w.cfg.client()...) // one that remembers no older ids
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

// rejoin compares the deployment with this worker's sources, and reports whether d was changed to have them.
func (w *Worker) rejoin(d *Deployment, sources map[string]string) (bool, error) {
	if w.cfg.ChangeSources {
		changed := !maps.Equal(d.Sources, sources)
		d.Sources = sources
		return changed, nil
	}
	if !slices.Equal(slices.Sorted(maps.Keys(d.Sources)), slices.Sorted(maps.Keys(sources))) {
		return false, fmt.Errorf("%w: the deployment reads %s, this worker is configured for %s: correct sources, or start it once with --change-sources",
			ErrGuarantee, list(d.Sources), list(sources))
	}
	return false, nil // another id under the same name puts the partitions in quarantine
}

func list(m map[string]string) string { return strings.Join(slices.Sorted(maps.Keys(m)), ", ") }

// check refuses to go on with topics that would break the guarantee.
func (w *Worker) check(ctx context.Context, adm *kadm.Client, d *Deployment) error {
	states, err := CheckTopics(ctx, adm, w.cfg.Plan())
	if err != nil {
		return err
	}
	var problems []error
	w.topicIDs, w.partitions = maps.Clone(d.Sources), map[string]int32{}
	maps.Copy(w.topicIDs, d.TopicIDs)
	w.tombstones = 24 * time.Hour // Kafka's default for delete.retention.ms
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
		if ms, ok := s.number("delete.retention.ms"); ok && s.Plan.Name == w.cfg.topic(topicDetectLog) {
			w.tombstones = time.Duration(ms) * time.Millisecond
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

// announce notes in control who runs what.
func (w *Worker) announce(ctx context.Context) error {
	hash := w.cfg.Rules.Hash()
	note, err := json.Marshal(presence{Version: w.cfg.Version, Ruleset: hex.EncodeToString(hash[:]), Sources: w.cfg.sourceTopics(), Stages: w.cfg.Stages})
	if err != nil {
		return err
	}
	_, err = w.control.put(ctx, prefixWorker+w.cfg.Instance, note)
	return err
}

// leave removes this worker's members from the groups: static members stay when their client closes.
func (w *Worker) leave(lanes []*lane) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(w.cfg.client()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, l := range lanes {
		if _, err := adm.LeaveGroup(ctx, kadm.LeaveGroup(w.cfg.group(l.stage)).InstanceIDs(l.name).Reason("stop: leave")); err != nil {
			return fmt.Errorf("leave group %s as %s: %w", w.cfg.group(l.stage), l.name, err)
		}
	}
	return nil
}

// openStore opens the state directory. Another process may still be giving it up, so a lock is waited for.
func openStore(ctx context.Context, cfg *Config, fatal func(error)) (*state.Store, error) {
	deadline, first := time.Now().Add(cfg.Timing.Session), true
	for {
		s, err := state.Open(cfg.StateDir, state.Options{CacheBytes: cfg.StateCache, MemTableBytes: cfg.StateMemTable, Logger: cfg.Log, Fatal: fatal})
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, state.ErrCorrupt):
			cfg.Log.Error("the state directory is damaged; it is moved aside and restored from the changelog", "dir", cfg.StateDir, "error", err)
			if _, err := state.MoveDirAside(cfg.StateDir, time.Now()); err != nil {
				return nil, fmt.Errorf("move %s aside: %w", cfg.StateDir, err)
			}
			continue
		case !errors.Is(err, state.ErrLocked) || time.Now().After(deadline):
			return nil, fmt.Errorf("%w: open the state directory: %w", ErrGuarantee, err)
		}
		if first {
			first = false
			cfg.Log.Warn("the state directory is in use by another process; waiting for it", "dir", cfg.StateDir, "until", deadline.Format(time.TimeOnly))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// dropOldRanges frees what was left behind by partitions that moved away long ago: a range that may have missed
// tombstones would be rebuilt in any case.
func (w *Worker) dropOldRanges() {
	ranges, err := w.store.Ranges()
	if err != nil {
		w.cfg.Log.Warn("list the ranges of the store", "error", err)
		return
	}
	for _, info := range ranges {
		if info.Err != nil || time.Since(time.UnixMilli(info.Position.AsOf())) < w.tombstones/2 {
			continue
		}
		r, err := w.store.Range(info.Stage, info.Partition)
		if err == nil {
			err = r.Delete(info.Position)
		}
		w.cfg.Log.Info("dropped an old range of the store", "stage", info.Stage, "partition", info.Partition, "bytes", info.Bytes, "error", err)
	}
}

func (w *Worker) newLane(s Stage, n int) *lane {
	name := w.cfg.laneName(s, n)
	l := &lane{w: w, stage: s, name: name, log: w.cfg.Log.With(slog.String("lane", name)), slice: maxSlice, limit: w.cfg.Commit.Messages, bad: map[topicPartition]fault{}}
	switch s {
	case StageIngest:
		l.step = newIngestStep(l)
	case StageDetect:
		l.step = newDetectStep(l)
	case StageGroup:
		l.step = newGroupStep(l)
	}
	return l
}
