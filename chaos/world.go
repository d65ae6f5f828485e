package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// run is what is written to DIR/run.json at the first start: everything about a run that must be the same when it is
// taken up again, and all that traffic and judge need to know of it.
type run struct {
	App        string   `json:"app"`
	Seed       uint64   `json:"seed"`
	Broker     string   `json:"broker"`     // kafka or embedded
	Port       int      `json:"port"`       // the first of the ports that brokers and workers listen on
	Brokers    []string `json:"brokers"`    // bootstrap addresses, of all brokers
	Timers     string   `json:"timers"`     // short or default
	Mutant     string   `json:"mutant"`     // empty: none
	Sources    []string `json:"sources"`    // the source topics: CloudTrail, S3 access logs
	SourceSize int32    `json:"sourceSize"` // partitions of each source topic
	Partitions int32    `json:"partitions"` // of the keyed internal topics
	Rate       int      `json:"rate"`       // input records a second
	Dir        string   `json:"-"`          // where the run keeps everything
}

// ports is how many neighbouring ports a run needs: two a broker, one a worker.
const ports = 2*3 + maxWorkers

// openRun reads DIR/run.json, or writes it when the run begins.
func openRun(s settings) (*run, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, "run.json")
	b, err := os.ReadFile(path)
	if err == nil {
		r := &run{}
		if err := json.Unmarshal(b, r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if r.Seed != s.seed || r.Timers != s.timers || r.Broker != s.broker || r.Mutant != s.mutant {
			return nil, fmt.Errorf("%s holds a run with CHAOS_SEED=%d CHAOS_BROKER=%s CHAOS_TIMERS=%s CHAOS_MUTANT=%s: set the same, or another CHAOS_DIR",
				s.dir, r.Seed, r.Broker, r.Timers, r.Mutant)
		}
		r.Dir = s.dir
		return r, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	port, err := freePorts(23000+20*int(s.seed%400), ports) // so that one which is interrupted finds them free again
	if err != nil {
		return nil, err
	}
	app := fmt.Sprintf("chaos-%d", s.seed)
	r := &run{App: app, Seed: s.seed, Broker: s.broker, Port: port, Timers: s.timers, Mutant: s.mutant,
		Sources: []string{app + "-cloudtrail", app + "-s3access"}, SourceSize: 4, Partitions: 4, Rate: s.rate, Dir: s.dir}
	return r, r.save()
}

func (r *run) save() error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Dir, "run.json"), b, 0o600)
}

// freePorts finds n neighbouring ports from port on that nobody listens on.
func freePorts(port, n int) (int, error) {
next:
	for ; port < 32700; port += 20 {
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return port, nil
	}
	return 0, fmt.Errorf("no %d neighbouring free ports", n)
}

// world is what is attacked, and what attacks it.
type world struct {
	*run
	settings
	newer    bool // workers that start are of the next build
	brokers  brokers
	proxy    *proxy
	traffic  *generator
	adm      *kadm.Client // straight to the brokers, not through the proxy
	cl       *kgo.Client
	fleet    []*worker
	journal  *journal
	findings findings
	active   activity
	seen     watch
	behind   bool   // not all of the input has been processed in the end, so that no answer can be right
	excused  counts // exits of workers, by what explains them
}

// open makes the clients that look at the brokers from outside.
func (w *world) open() (err error) {
	w.cl, err = kgo.NewClient(kgo.SeedBrokers(w.Brokers...), kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryTimeout(20*time.Second))
	if err == nil {
		w.adm = kadm.NewClient(w.cl)
	}
	return err
}

// createSources creates the source topics. Their records' times jump ahead of any clock.
func (w *world) createSources(ctx context.Context) error {
	value := func(s string) *string { return &s }
	configs := map[string]*string{"retention.ms": value("-1"), "message.timestamp.after.max.ms": value("9223372036854775807"),
		"message.timestamp.before.max.ms": value("9223372036854775807")}
	for _, name := range w.Sources {
		if _, err := w.adm.CreateTopic(ctx, w.SourceSize, -1, configs, name); err != nil && !strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	return nil
}

// findings are what no fault explains. What differs in its numbers alone is one finding.
type findings struct {
	mu    sync.Mutex
	lines []string
	seen  map[string]bool
}

var numbers = regexp.MustCompile(`\d+`)

func (f *findings) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	if key := numbers.ReplaceAllString(line, ""); !f.seen[key] {
		f.seen[key] = true
		f.lines = append(f.lines, line)
		say("FINDING %s", line)
	}
}

// take returns what was found since it was last called.
func (f *findings) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := f.lines
	f.lines = nil
	return lines
}

// activity is which faults are at work, and when each kind last was: what they may excuse.
type activity struct {
	mu    sync.Mutex
	now   map[string]int
	ended map[string]time.Time
}

func (a *activity) begin(kind string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == nil {
		a.now, a.ended = map[string]int{}, map[string]time.Time{}
	}
	a.now[kind]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.now[kind]--
		a.ended[kind] = time.Now()
	}
}

// recent reports whether a fault of one of these kinds is at work, or was within d.
func (a *activity) recent(d time.Duration, kinds ...string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range kinds {
		if at, ok := a.ended[k]; a.now[k] > 0 || ok && time.Since(at) < d {
			return true
		}
	}
	return false
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// await polls until ok, or until limit or ctx ends; it reports whether it was.
func await(ctx context.Context, limit time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); !ok(); {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		sleep(ctx, 100*time.Millisecond)
	}
	return true
}

// insist asks the brokers until they answer: one of them may be down, and its coordinators with it.
func insist(ctx context.Context, ask func() error) (err error) {
	await(ctx, time.Minute, func() bool { err = ask(); return err == nil })
	return err
}
