package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas"
)

// A lane is one goroutine with one Kafka client, one transactional id and its partitions. It polls, processes, commits
// and applies; nothing it holds is shared but parts, which the client's group callbacks change too.
type lane struct {
	w     *Worker
	stage Stage
	name  string // "<app>-<stage>-<instance>-<lane>": transactional id and group instance id
	log   *slog.Logger
	step  step
	// Where outputs go, by destination.
	topics [stage.Suppressed + 1]string

	sess  session
	out   output
	slice int  // messages polled at once: fewer where one takes long
	limit int  // messages of a turn: halved to find a record whose output is refused
	apart bool // each record is sent in a batch of its own

	lastCommit time.Time
	lastPurge  time.Time
	complained time.Time // of a poll
	refused    map[place]*refusal
	touched    []*part                 // with records in this transaction
	idle       bool                    // the last turn had no records that are to be learned
	asked      time.Time               // whether the gate is open
	taught     map[int]bool            // for these rounds of learning it is
	past       map[topicPartition]bool // source partitions that were found to be learned
	stopping   bool                    // this transaction is the last
	begun      bool                    // a transaction has
	revoked    atomic.Bool             // a partition was, and no transaction has ended since

	mu    sync.Mutex
	parts map[topicPartition]*part // partitions taken over and not revoked since
	bad   map[topicPartition]fault // partitions that could not be processed, not to be tried again at once

	waiting map[topicPartition]int64 // partitions in quarantine, with the offset of control up to which requests were looked at
}

// fault is why a partition was put into quarantine, and when.
type fault struct {
	err  error
	when time.Time
}

// step is the work of a stage on the records of one transaction.
type step interface {
	// ready prepares a partition that was taken over, or whose transaction was aborted.
	ready(p *part) error
	// record processes one record. An error puts the partition in quarantine: bad input is no error, it is a dead letter.
	record(p *part, r *kgo.Record) error
	// flush produces what the transaction writes besides its changelog.
	flush() error
	// drop forgets everything since the last flush or drop.
	drop()
	// size is how much the transaction holds: decoded records and decoded bytes.
	size() (records int, bytes int64)
}

// errSession ends a session: its outcome is unknown or it is no longer trusted. The lane makes a new one, in which
// every partition is taken over again and the brokers say what was committed.
var errSession = errors.New("session ended")

const (
	maxSlice = 100
	idleWait = 500 * time.Millisecond // an idle turn; a rebalance waits no longer for it
)

// run works until ctx ends, then returns nil, or until an error that a new session cannot mend.
func (l *lane) run(ctx context.Context) error {
	var fenced []time.Time
	for ctx.Err() == nil {
		err := l.session(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return l.stopped(err) // what was not committed is read again after the restart
		case errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.ProducerFenced):
			// Once or twice means little: a coordinator that could not write down a new member of this name goes back to the
			// one before it, and a request to join may arrive behind the one that repeated it. Of two processes, the one that
			// was fenced first is the first to give up.
			fenced = append(fenced, time.Now())
			if n := len(fenced); n >= 3 && fenced[n-1].Sub(fenced[n-3]) < time.Minute {
				return l.twice(err)
			}
		}
		if !errors.Is(err, errSession) {
			return err
		}
		if isUnauthorized(err) {
			l.stuck(err, "")
		}
		l.w.metrics.sessions.WithLabelValues(string(l.stage)).Inc()
		l.log.Info("starting a new session", "because", err)
		l.pause(ctx) // a broker that refuses is not asked in a tight loop
	}
	return nil
}

func (l *lane) twice(err error) error {
	return fmt.Errorf("%w: another process runs as instance %q of app %q (%w): give every worker its own instance name, or stop the other one",
		ErrGuarantee, l.w.cfg.Instance, l.w.cfg.App, err)
}

// session runs turns with one client until the outcome of a transaction is unknown.
func (l *lane) session(ctx context.Context) error {
	l.mu.Lock()
	for tp := range l.parts {
		l.forgetLag(tp)
	}
	l.parts, l.waiting = map[topicPartition]*part{}, map[topicPartition]int64{}
	l.mu.Unlock()
	l.begun = false
	l.revoked.Store(false)
	made := make(chan struct{}) // the client joins its group before its constructor returns
	life, end := lifetime(ctx)
	defer end()
	sess, err := l.w.brokers.join(life, l, made)
	if err != nil {
		return fmt.Errorf("lane %s: %w", l.name, err)
	}
	l.sess = sess
	close(made)
	defer func() {
		sess.CloseAllowingRebalance() // before drop: the client may still be sending what drop frees
		l.step.drop()
		l.touched = l.touched[:0]
		l.w.health.clear(l.name)
	}()
	// Asking for the producer id ends the transaction that a killed predecessor left open.
	if _, _, err := sess.ProducerID(ctx); err != nil {
		return fmt.Errorf("%w: get a producer id: %w", errSession, err)
	}
	opened := time.Now()
	for {
		if err := l.turn(ctx); err != nil {
			return err
		}
		if l.stopping {
			return nil
		}
		l.purge(ctx, l.sess)
		if l.w.health.waiting(l.name) && time.Since(opened) > l.w.cfg.Timing.Recheck {
			return fmt.Errorf("%w: trying the partitions in quarantine again", errSession)
		}
	}
}

func (l *lane) options(made <-chan struct{}) []kgo.Opt {
	t := l.w.cfg.Timing
	var topics []string
	switch l.stage {
	case StageIngest:
		topics = l.w.cfg.sourceTopics()
	case StageDetect:
		topics = []string{l.w.cfg.topic(topicCandidates)}
	case StageGroup:
		topics = []string{l.w.cfg.topic(topicFindings)}
	}
	opts := l.w.cfg.ClientOptions(
		kgo.ConsumerGroup(l.w.cfg.group(l.stage)),
		kgo.ConsumeTopics(topics...),
		kgo.InstanceID(l.name),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(t.Session), kgo.RebalanceTimeout(t.Rebalance), kgo.HeartbeatInterval(t.Heartbeat),
		kgo.TransactionalID(l.name), kgo.TransactionTimeout(t.Transaction),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-made
			return l.takeOver(ctx, offsets)
		}),
		kgo.OnPartitionsAssigned(l.assigned), kgo.OnPartitionsRevoked(l.release), kgo.OnPartitionsLost(l.release),
		kgo.FetchMaxBytes(2<<20), kgo.FetchMaxPartitionBytes(256<<10),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.ManualFlushing(), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(math.MaxInt32), // see buffer
		kgo.WithLogger(clientLog{l.log}),
	)
	opts = append(opts, l.w.memory.Options()...)
	if l.w.cfg.hooks.goOnAfterUnknown {
		opts = append(opts, kgo.RequestRetries(0)) // otherwise the client asks again what came of it
	}
	return opts
}

// turn is one transaction, or nothing if there is nothing to do: to end a transaction without records takes the client
// half a second, in which records may come. But a session that has seen a revoke does not report the next one before an End.
func (l *lane) turn(ctx context.Context) error {
	defer l.sess.AllowRebalance()
	if !l.begun {
		if err := l.sess.Begin(); err != nil {
			return fmt.Errorf("%w: begin: %w", errSession, err)
		}
		l.begun = true
	}
	// A stop does not cut a transaction short; a broker that does not answer must not hold it for ever.
	end, cancel := outlive(ctx, l.w.cfg.Timing.Session+l.w.cfg.Timing.Rebalance+time.Minute)
	defer cancel()
	l.out.reset(end)
	try := kgo.TryCommit
	l.gate(end)
	l.idle = true
	if err := l.fill(ctx); err != nil {
		return err
	}
	for _, p := range l.owned() {
		p.read.Store(p.next)
	}
	l.stopping = ctx.Err() != nil
	if err := l.produce(); err != nil {
		return err
	}
	if revoked := l.revoked.Swap(false); !revoked && l.out.sent == 0 && len(l.touched) == 0 {
		l.w.health.goesOn(l.name)
		return nil
	}
	l.begun = false
	began := time.Now()
	if err := l.awaitTaken(end); err != nil {
		return l.doubt(ctx, fmt.Errorf("flush: %w", err))
	}
	if err := l.out.err(); err != nil {
		l.log.Warn("a record could not be produced; the transaction is aborted and its input read again", "error", err)
		if isRejection(err) {
			l.bisect(cause{schemas.RejectedOutput, err})
		}
		if !isRejection(err) || errors.Is(err, errDeadLetter) { // to leave out a record would not help
			l.stuck(err, "")
			defer l.pause(ctx) // a broker that refuses is not asked in a tight loop
		}
		try = kgo.TryAbort
	} else if l.out.partial {
		l.passed()
		try = kgo.TryAbort
	}
	if h := l.w.cfg.hooks; h.beforeEnd != nil && l.out.sent > 0 {
		h.beforeEnd()
		if h.abort() {
			try = kgo.TryAbort
		}
	}
	if l.w.cfg.hooks.applyFirst {
		if err := l.applyFirst(); err != nil {
			return err
		}
	}
	// When a heartbeat fails, the client's group management waits until a rebalance is allowed, and End for a heartbeat.
	// Allowing it ends that: the partitions are lost and the transaction is aborted. A rebalance within End is safe.
	defer time.AfterFunc(2*l.w.cfg.Timing.Heartbeat, l.sess.AllowRebalance).Stop()
	committed, err := l.sess.End(end, try, l.fence)
	if l.out.sent > 0 {
		l.w.metrics.seconds.WithLabelValues(string(l.stage)).Observe(time.Since(began).Seconds())
	}
	switch {
	case err != nil && l.w.cfg.hooks.goOnAfterUnknown:
		return l.goOn(end)
	case err != nil:
		return l.doubt(ctx, err)
	case !committed:
		l.w.metrics.aborts.WithLabelValues(string(l.stage)).Inc()
		return l.rewind(end)
	}
	l.lastCommit = time.Now()
	l.limit, l.apart = min(l.limit*2, l.w.cfg.Commit.Messages), false
	l.settle()
	l.w.health.goesOn(l.name)
	l.counted()
	return l.apply()
}
