package processor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/state"
)

// health is what /readyz tells: which lanes have not joined yet and which partitions wait, and why.
type health struct {
	mu    sync.Mutex
	lanes map[string]bool // whether the lane has taken over partitions at least once, or been told it has none
	bad   map[string]map[topicPartition]error
	held  map[string]held   // lanes that the brokers refuse something
	notes map[string]string // what is worth knowing of a worker that is ready
}

// The keys of health's notes.
const (
	noteLearning = "learning"
	noteRules    = "rules"
	noteDiffer   = "rules differ"
	noteTopics   = "topics"
)

func newHealth() *health {
	return &health{lanes: map[string]bool{}, held: map[string]held{}, bad: map[string]map[topicPartition]error{}, notes: map[string]string{}}
}

// note keeps a text for /readyz until another one, or none, takes its place.
func (h *health) note(key, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if text == "" {
		delete(h.notes, key)
		return
	}
	h.notes[key] = text
}

func (h *health) starting(lane string) { h.set(lane, false) }

func (h *health) joined(lane string) { h.set(lane, true) }

func (h *health) set(lane string, joined bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lanes[lane] = joined
}

func (h *health) quarantine(lane string, tp topicPartition, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad[lane] == nil {
		h.bad[lane] = map[topicPartition]error{}
	}
	h.bad[lane][tp] = err
}

func (h *health) mend(lane string, tp topicPartition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bad[lane], tp)
}

// clear forgets a lane's partitions, which a new session will report again.
func (h *health) clear(lane string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bad, lane)
	delete(h.notes, noteLearning)
	h.lanes[lane] = false
}

// held is what keeps a lane from going on, and when it was last seen.
type held struct {
	why string
	at  time.Time
}

// stuck says what keeps a lane from going on.
func (h *health) stuck(lane, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[lane] = held{why, time.Now()}
}

// goesOn is called after a turn that nothing was wrong with. What is refused is refused again within seconds, not in every
// turn.
func (h *health) goesOn(lane string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.held[lane]; ok && h.lanes[lane] && time.Since(s.at) > 10*time.Second { // a takeover runs beside the turns
		delete(h.held, lane)
	}
}

// waiting reports whether a lane has partitions in quarantine.
func (h *health) waiting(lane string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.bad[lane]) > 0
}

// noted is 1 if there is a note under the key.
func (h *health) noted(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notes[key] != "" {
		return 1
	}
	return 0
}

// quarantinedBy returns the partitions of a lane that are in quarantine, and why.
func (h *health) quarantinedBy(lane string) map[topicPartition]error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.bad[lane])
}

// quarantined is the number of partitions in quarantine.
func (h *health) quarantined() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.bad {
		n += len(b)
	}
	return n
}

// reasons lists why the worker is not ready; it is empty when it is.
func (h *health) reasons() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var why []string
	if len(h.lanes) == 0 {
		why = append(why, "starting: the lanes do not run yet")
	}
	for lane, joined := range h.lanes {
		if !joined {
			why = append(why, fmt.Sprintf("lane %s: joining its group or restoring its state", lane))
		}
	}
	for lane, bad := range h.bad {
		for tp, err := range bad {
			why = append(why, fmt.Sprintf("lane %s: partition %s is in quarantine: %s", lane, tp, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	for lane, s := range h.held {
		why = append(why, fmt.Sprintf("lane %s: %s", lane, strings.ReplaceAll(s.why, "\n", "; ")))
	}
	slices.Sort(why)
	return why
}

// NotReady says why the worker is not ready, one reason a string; it is empty when it is: every lane has joined its
// group, nothing is being restored, no partition is in quarantine, the brokers take what is written, there is room on the
// disk.
func (w *Worker) NotReady() []string { return append(w.disk.Why(), w.health.reasons()...) }

// Notes says what else is worth knowing, one fact a string: that it is learning, that changed rules could not be loaded.
func (w *Worker) Notes() []string {
	w.health.mu.Lock()
	defer w.health.mu.Unlock()
	return slices.Sorted(maps.Values(w.health.notes))
}

// metrics are the worker's Prometheus metrics. Counters of records count what was committed: a transaction that is
// aborted and read again counts once.
type metrics struct {
	reg        prometheus.Registerer
	messages   *prometheus.CounterVec // stage
	records    prometheus.Counter
	filtered   prometheus.Counter
	skipped    prometheus.Counter
	dead       *prometheus.CounterVec // reason
	gap        *prometheus.CounterVec // topic
	unverified prometheus.Counter
	clamped    *prometheus.CounterVec // topic
	candidates prometheus.Counter
	findings   prometheus.Counter
	alerts     *prometheus.CounterVec   // status
	suppressed *prometheus.CounterVec   // reason
	lag        *prometheus.GaugeVec     // stage, topic, partition
	seconds    *prometheus.HistogramVec // stage
	aborts     *prometheus.CounterVec   // stage
	sessions   *prometheus.CounterVec   // stage
	pollErrors *prometheus.CounterVec   // stage
	restoring  *prometheus.GaugeVec     // stage, partition
	restored   *prometheus.CounterVec   // stage
	restoreETA *prometheus.GaugeVec     // stage
	purged     *prometheus.CounterVec   // topic
	reloads    *prometheus.CounterVec   // result
	byRule     *prometheus.CounterVec   // rule, topic
	aside      *prometheus.CounterVec   // reason
	learned    prometheus.Counter
	heldBack   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, h *health) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "firstseen", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "firstseen", Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "firstseen", Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	m := &metrics{
		reg:        reg,
		messages:   counters("messages_total", "Kafka messages processed, by stage.", "stage"),
		records:    counter("records_total", "Log records found in the messages of the source topics."),
		filtered:   counter("records_filtered_total", "Log records that no rule can match, passed over unparsed."),
		skipped:    counter("records_skipped_total", "Records of known kinds that are no log records: test events, digests, control messages."),
		dead:       counters("dead_letters_total", "Records sent to the dead-letter topic, by reason.", "reason"),
		gap:        counters("source_gap_records_total", "Records deleted by a source topic's retention before they were read.", "topic"),
		unverified: counter("time_unverified_total", "Records whose time could not be checked because their message has no timestamp."),
		clamped:    counters("time_clamped_total", "Records more than 15 minutes later than the Kafka timestamp of their message, whose time became that timestamp.", "topic"),
		candidates: counter("candidates_total", "Candidate records sent to detect, each standing for one or more events."),
		findings:   counter("findings_total", "Finding records sent to group, each with one or more matches."),
		alerts:     counters("alerts_total", "Alerts written, by status (open, closed, overflow, gap).", "status"),
		suppressed: counters("suppressed_total", "Findings written to the suppressed topic, by reason.", "reason"),
		lag:        gauges("lag", "Offsets between the last record processed and the high watermark. Transaction markers count, so an idle internal topic shows a few.", "stage", "topic", "partition"),
		aborts:     counters("transaction_aborts_total", "Transactions aborted and processed again.", "stage"),
		sessions:   counters("sessions_restarted_total", "Sessions given up because the outcome of a transaction was unknown or a partition waits.", "stage"),
		pollErrors: counters("poll_errors_total", "Errors of polls, which are retried.", "stage"),
		restoring:  gauges("restore_remaining", "Changelog offsets still to read before a partition's state is current.", "stage", "partition"),
		restored:   counters("restore_records_total", "Changelog records read to bring the state up to date.", "stage"),
		restoreETA: gauges("restore_seconds_left", "Estimate of how long a restore still takes; 0 without one.", "stage"),
		aside:      counters("state_moved_aside_total", "Times that state could not be used, was moved aside and restored, by reason (damaged, format, foreign, lost_records).", "reason"),
		reloads:    counters("rules_reloads_total", "Changes of rules while running, by result (ok, failed).", "result"),
		byRule:     counters("rule_documents_total", "Alerts and updates of them, by rule and by where they went (alerts, suppressed).", "rule", "topic"),
		learned:    counter("learned_total", "Matches that were only learned."),
		heldBack:   counter("held_back_total", "Learned terms that would have made an alert."),
		purged:     counters("purged_total", "Consumed internal records deleted.", "topic"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "firstseen", Name: "transaction_end_seconds",
			Help: "Time to flush and end a transaction.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 16)}, []string{"stage"}),
	}
	reg.MustRegister(m.seconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "firstseen", Name: "partitions_quarantined",
		Help: "Partitions that wait because of an error; /readyz says which."}, func() float64 { return float64(h.quarantined()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "firstseen", Name: "rules_refused",
			Help: "1 while the rules in force are not those on disk, because these cannot be used; /readyz says why."}, func() float64 { return float64(h.noted(noteRules)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "firstseen", Name: "rules_differ",
			Help: "1 while instances have had different rules in force for ten minutes; /readyz says which."}, func() float64 { return float64(h.noted(noteDiffer)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "firstseen", Name: "topics_unsafe",
			Help: "1 while a topic of the deployment has a setting with which state or records would be lost; /readyz says which."}, func() float64 { return float64(h.noted(noteTopics)) }))
	return m
}

// watchStore measures the store until stop is called, after which it may be closed.
func (m *metrics) watchStore(s *state.Store) (stop func()) {
	var mu sync.Mutex
	open := true
	m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "firstseen", Name: "store_bytes",
		Help: "Size of the local store on disk."}, func() float64 {
		mu.Lock()
		defer mu.Unlock()
		if !open {
			return math.NaN()
		}
		stats, err := s.Stats()
		if err != nil {
			return math.NaN()
		}
		return float64(stats.DiskBytes)
	}))
	return func() {
		mu.Lock()
		defer mu.Unlock()
		open = false
	}
}

// clientLog passes the Kafka client's warnings to the log. What it calls an error is routine here: the session decides.
type clientLog struct{ log *slog.Logger }

func (c clientLog) Level() kgo.LogLevel {
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

func (c clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	at := slog.LevelDebug
	if level <= kgo.LogLevelWarn {
		at = slog.LevelWarn
	}
	c.log.Log(context.Background(), at, "kafka client: "+msg, keyvals...)
}
