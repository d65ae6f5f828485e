package processor

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/disk"
	"firstseen/processor/memory"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/state"
)

// maxBatch is how large, decompressed, a fetched batch may be, in bytes.
const maxBatch = 64 << 20

// Worker runs the lanes of one process.
type Worker struct {
	cfg        Config
	brokers    brokers
	control    *control
	store      *state.Store
	topicIDs   map[string]string // of the deployment's topics and its sources, as control knows them
	partitions map[string]int32  // of the topics that are written to
	tombstones time.Duration     // delete.retention.ms of the changelogs, the lower one
	deadLimit  atomic.Int64      // bytes of a dead letter
	memory     *memory.Batches   // that the lanes fetch into
	metrics    *metrics
	health     *health
	disk       *disk.Watch
	texts      texts
	rules      atomic.Pointer[rules.Set] // in force
	ready      chan struct{}             // closed when rules is set and control is open
	changing   sync.Mutex                // one change of rules at a time
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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if w.needsStore() { // first, so that a second process on the directory disturbs nobody
		var err error
		if w.store, err = w.openStore(ctx, func(err error) { cancel(err) }); err != nil {
			return err
		}
		w.disk.Look() // before a restore writes
		go w.disk.Run(ctx)
	}
	return w.within(ctx, func() error {
		if w.store != nil {
			defer w.store.Close()
			defer w.metrics.watchStore(w.store)()
		}
		if err := w.prepare(ctx); err != nil {
			return w.refused(err)
		}
		defer w.control.Close()
		if w.store != nil {
			w.dropOldRanges()
		}
		if err := w.announce(ctx); err != nil {
			return w.refused(err)
		}
		go w.watchRules(ctx)
		go w.watchTopics(ctx)
		return w.run(ctx, cancel)
	})
}

// run runs the lanes until ctx ends, or the first of them does.
func (w *Worker) run(ctx context.Context, cancel context.CancelCauseFunc) error {
	results := make(chan error)
	var lanes []*lane
	for _, s := range w.cfg.Stages {
		for n := range w.cfg.Lanes[s] {
			lanes = append(lanes, w.newLane(s, n))
		}
	}
	for _, l := range lanes {
		w.health.starting(l.name)
		go func() { results <- l.run(ctx) }()
	}
	go w.watchLag(ctx, lanes)
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
	if first == nil && w.cfg.Leave {
		return w.leave(lanes)
	}
	return first
}

// New checks cfg and returns a worker that Run starts.
func New(cfg Config) (*Worker, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	w := &Worker{cfg: cfg, health: newHealth(), memory: memory.NewBatches(maxBatch), ready: make(chan struct{})}
	w.brokers = kafkaBrokers{&w.cfg}
	w.metrics = newMetrics(cfg.Metrics, w.health)
	if w.disk = disk.New(cfg.StateDir, cfg.StateMinFree, cfg.hooks.disk, cfg.Log); w.needsStore() {
		w.disk.Register(cfg.Metrics)
	}
	return w, nil
}

func (w *Worker) needsStore() bool {
	return slices.Contains(w.cfg.Stages, StageDetect) || slices.Contains(w.cfg.Stages, StageGroup)
}

// ChangelogTopic is the topic of a stage's state, "" for ingest.
func (c *Config) ChangelogTopic(s Stage) string {
	switch s {
	case StageDetect:
		return c.topic(topicDetectLog)
	case StageGroup:
		return c.topic(topicGroupLog)
	}
	return ""
}

// announce notes in control who runs what.
func (w *Worker) announce(ctx context.Context) error {
	hash := w.rules.Load().Hash()
	note, err := json.Marshal(presence{Version: w.cfg.Version, Ruleset: hex.EncodeToString(hash[:]), Sources: w.cfg.sourceTopics(), Stages: w.cfg.Stages})
	if err != nil {
		return err
	}
	_, err = w.control.put(ctx, prefixWorker+w.cfg.Instance, note)
	return err
}

// leave removes this worker's members from the groups: static members stay when their client closes.
func (w *Worker) leave(lanes []*lane) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopCommit)
	defer cancel()
	cl, err := kgo.NewClient(w.cfg.ClientOptions()...)
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
func (w *Worker) openStore(ctx context.Context, fatal func(error)) (*state.Store, error) {
	cfg := &w.cfg
	deadline, first := time.Now().Add(cfg.Timing.Session), true
	for {
		s, err := state.Open(cfg.StateDir, state.Options{CacheBytes: cfg.StateCache, MemTableBytes: cfg.StateMemTable, Logger: cfg.Log, Fatal: fatal, FS: cfg.hooks.disk})
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, state.ErrCorrupt), errors.Is(err, state.ErrFormat):
			what, reason := "the state directory is damaged", asideDamaged
			if errors.Is(err, state.ErrFormat) { // this build was rolled back to
				what, reason = "the state directory was written by a newer version", asideFormat
			}
			w.metrics.aside.WithLabelValues(reason).Inc()
			cfg.Log.Error(what+"; it is moved aside and restored from the changelog", "dir", cfg.StateDir, "error", err)
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
	l := &lane{w: w, stage: s, name: name, log: w.cfg.Log.With(slog.String("lane", name)), slice: maxSlice, limit: w.cfg.Commit.Messages, refused: map[place]*refusal{}, bad: map[topicPartition]fault{}, taught: map[int]bool{}, past: map[topicPartition]bool{}}
	for d := range l.topics {
		l.topics[d] = w.cfg.topic(stage.Destination(d).String())
	}
	switch s {
	case StageIngest:
		l.step = newIngestStep(l)
	case StageDetect:
		l.step = newDetectStep(l)
	case StageGroup:
		l.step = newGroupStep(l)
	}
	if w.cfg.hooks.step != nil {
		l.step = w.cfg.hooks.step(s, l.step)
	}
	return l
}

// pause waits a moment, or until ctx ends.
func (l *lane) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}
