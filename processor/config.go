// Package processor moves records exactly once: it reads the source topics, runs the three stages as lanes, each with
// one Kafka transaction at a time, and applies to the local store what has been committed, never before.
//
// The order of a lane's turn is the guarantee: poll, process, produce outputs and changelog, commit, apply. The store
// is therefore always a prefix of the committed changelog, and the changelog says which input offset it is current to.
package processor

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/alert"
	"firstseen/state"
)

// Stage names one of the three steps of the flow. Each is a consumer group of its own, "<app>.<stage>".
type Stage string

// The stages, in the order in which a record passes them.
const (
	StageIngest Stage = "ingest"
	StageDetect Stage = "detect"
	StageGroup  Stage = "group"
)

// Stages lists all stages in the order of the flow.
var Stages = []Stage{StageIngest, StageDetect, StageGroup}

// Group is the stage's consumer group in the deployment of an app.
func (s Stage) Group(app string) string { return app + "." + string(s) }

// state is the stage of the store; ingest has none.
func (s Stage) state() state.Stage {
	if s == StageGroup {
		return state.Group
	}
	return state.Detect
}

// Source is a topic with logs.
type Source struct {
	Topic  string
	Format schemas.Format
}

// Timing holds the time-outs of the protocol. The zero value of a field means its default.
type Timing struct {
	Session     time.Duration // group session time-out; 45 s
	Rebalance   time.Duration // 60 s
	Heartbeat   time.Duration // 3 s
	Transaction time.Duration // below Session, so that a dead worker's transaction ends first; 40 s
	Tick        time.Duration // between two ticks to every findings partition, and two looks at the lag; 10 s
	Note        time.Duration // between two notes of ingest's offsets in control; 60 s
	Stall       time.Duration // a restore, or a look at control, without progress for this long is given up; 20 s longer than Transaction, at least 60 s
	Recheck     time.Duration // how often partitions in quarantine are tried again; 60 s
	Differ      time.Duration // instances may have different rules in force for so long without a note of it; 10 min
}

// Commit bounds one transaction. The zero value of a field means its default.
type Commit struct {
	Messages int           // 50,000
	Records  int           // 100,000 decoded records
	Bytes    int64         // 64 MiB decoded
	Every    time.Duration // 250 ms; what has caught up does not wait for it
}

// Config says what a worker does. App, Instance, Sources, Rules and StateDir are required.
type Config struct {
	App           string    // prefix of all topics, groups and transactional ids
	Instance      string    // name of this worker, stable over restarts and unique in the deployment
	Client        []kgo.Opt // how to reach the brokers: addresses, TLS, SASL
	Sources       []Source
	Rules         *rules.Set
	Strict        bool // mapped IPv6 addresses stay IPv6; must agree with Rules
	Stages        []Stage
	Lanes         map[Stage]int // 1 each
	StateDir      string
	StateCache    int64          // bytes; 0: the default of the store
	StateMemTable int            // bytes; 0: the default of the store
	StateMinFree  int64          // bytes that the disk of StateDir has free, or detect and group wait; at most a quarter of the disk counts. 0: not looked at
	Outputs       []alert.Format // of alerts; ECS if empty

	Partitions    int32 // of the internal topics, when they are created; 16
	Replication   int16 // of the internal topics, when they are created; -1: the broker's default
	ChangeSources bool  // accept other sources than the deployment was created with
	Learning      Learning

	Bounds      schemas.Bounds
	ValidateAll bool // parse every record, also those that no rule can match
	Commit      Commit
	Timing      Timing
	PurgeAfter  time.Duration // age of consumed internal records that are deleted; 1 h, negative: never
	CloseAfter  time.Duration // 15 min
	Leave       bool          // leave the groups when stopping, for scaling in

	SourceGapContinue bool // when retention deleted records before they were read: count them, alert, and go on

	Version string // of this program, for the presence note
	Log     *slog.Logger
	Metrics prometheus.Registerer

	hooks hooks
}

// hooks are the faults that tests inject. They are nil in every program.
type hooks struct {
	applyFirst bool        // the mutant: apply to the store before the commit
	abort      func() bool // whether to abort this transaction
	beforeEnd  func()      // called with the transaction open
	step       func(Stage, step) step
	noGate     bool // the mutant: a source partition goes live when it has been learned, whatever the others have

	// The mutants of a takeover: a restore that ends at the last stable offset, and one that reads uncommitted records.
	// Neither compares what it has restored with the group's offset, which would put the partition into quarantine.
	restoreToLSO, restoreUncommitted bool
	goOnAfterUnknown                 bool   // the mutant: an error from End is taken for an abort
	disk                             vfs.FS // where the store lies, if not on the disk itself
	sweep                            int64  // the sweep clock of detect runs so many times as fast, if not 0
	restoreBytes                     int    // how much a restore holds in memory, if not 0
}

// ErrGuarantee marks an error that means: as things stand, the guarantees cannot be kept, so the worker does not run.
var ErrGuarantee = errors.New("cannot guarantee exactly-once processing")

// ErrUnreachable marks an error that means: the brokers or topics cannot be reached.
var ErrUnreachable = errors.New("cannot reach Kafka")

// ErrNoTopic marks an error about a topic that is not there.
var ErrNoTopic = errors.New("the topic does not exist")

func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// setDefaults fills in what is not set and refuses what cannot work.
func (c *Config) setDefaults() error {
	switch {
	case c.App == "":
		return errors.New("app is not set: it is the prefix of all topics and groups")
	case len(c.Sources) == 0:
		return errors.New("sources is empty: name at least one topic with logs")
	case c.Rules == nil:
		return errors.New("no rules are loaded")
	}
	if c.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("instance is not set and the host name is unknown: %w", err)
		}
		c.Instance = host
	}
	if len(c.Stages) == 0 {
		c.Stages = Stages
	}
	for _, s := range c.Stages {
		if !slices.Contains(Stages, s) {
			return fmt.Errorf("stages: %q is not one of ingest, detect, group", s)
		}
		if s != StageIngest && c.StateDir == "" {
			return fmt.Errorf("state.dir is not set: stage %s keeps its state there", s)
		}
	}
	lanes := map[Stage]int{StageIngest: 1, StageDetect: 1, StageGroup: 1}
	for s, n := range c.Lanes {
		if n < 1 || n > 64 {
			return fmt.Errorf("lanes.%s is %d, it must be 1 to 64", s, n)
		}
		lanes[s] = n
	}
	c.Lanes = lanes
	if len(c.Outputs) == 0 {
		c.Outputs = []alert.Format{alert.ECS}
	}
	or(&c.Partitions, 16)
	or(&c.Replication, -1)
	or(&c.Bounds, schemas.DefaultBounds)
	or(&c.Commit.Messages, 50_000)
	or(&c.Commit.Records, 100_000)
	or(&c.Commit.Bytes, 64<<20)
	or(&c.Commit.Every, 250*time.Millisecond)
	or(&c.Timing.Session, 45*time.Second)
	or(&c.Timing.Rebalance, 60*time.Second)
	or(&c.Timing.Heartbeat, 3*time.Second)
	or(&c.Timing.Transaction, 40*time.Second)
	or(&c.Timing.Tick, 10*time.Second)
	or(&c.Timing.Note, time.Minute)
	or(&c.Timing.Stall, max(time.Minute, c.Timing.Transaction+20*time.Second)) // a transaction that times out meanwhile is aborted a while later
	or(&c.Timing.Recheck, time.Minute)
	or(&c.Timing.Differ, 10*time.Minute)
	or(&c.PurgeAfter, time.Hour)
	or(&c.CloseAfter, 15*time.Minute)
	if c.Timing.Transaction >= c.Timing.Session {
		return fmt.Errorf("transaction time-out %s must be below the session time-out %s", c.Timing.Transaction, c.Timing.Session)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return nil
}

// ClientOptions returns the options of a client: how to reach the brokers, then opts.
func (c *Config) ClientOptions(opts ...kgo.Opt) []kgo.Opt {
	// A produce request that is refused for a moment, as the first ones are after a predecessor's transaction was ended
	// for it, is sent again after the next look at the metadata. By default kgo looks once in 5 s.
	prompt := kgo.MetadataMinAge(250 * time.Millisecond)
	return slices.Concat([]kgo.Opt{prompt}, c.Client, opts)
}

// ReaderOptions returns the options of a client that looks at a deployment from outside, then opts, which say where it
// begins to read. It belongs to no group, reads what is committed, with the markers of transactions, and goes nowhere
// else by itself.
func (c *Config) ReaderOptions(opts ...kgo.Opt) []kgo.Opt {
	return c.ClientOptions(append([]kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.WithLogger(clientLog{c.Log}),
	}, opts...)...)
}

// laneName is the transactional id and the group instance id of a lane.
func (c *Config) laneName(s Stage, n int) string {
	return fmt.Sprintf("%s-%s-%s-%d", c.App, s, c.Instance, n)
}

// sourceTopics are the names of the source topics.
func (c *Config) sourceTopics() (names []string) {
	for _, s := range c.Sources {
		names = append(names, s.Topic)
	}
	return names
}
