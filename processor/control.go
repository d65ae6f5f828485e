package processor

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Keys of <app>.control. Records that workers must agree on (deployment, learning, rulesets) are written once, under the
// transactional id "<app>-control". The others have one writer each: the lane that owns the source partition, in its
// transaction, or the instance itself.
const (
	keyDeployment = "deployment"
	keyBarrier    = "barrier"
	prefixRuleset = "ruleset/"  // + hex of the hash; value: rules.Set.Publish
	prefixFirst   = "first/"    // + topic/partition; value: firstNote
	prefixOffset  = "offset/"   // + topic/partition; value: offsetNote
	prefixWorker  = "instance/" // + instance; value: presence
	// + topic/partition; value: why ingest does not read it
	prefixQuarantine = "quarantine/"
)

// Deployment is what the first worker wrote down when it created the topics.
type Deployment struct {
	Version    int               `json:"version"`
	Partitions int32             `json:"partitions"` // of candidates, findings and changelogs
	TopicIDs   map[string]string `json:"topic_ids"`  // internal topics, by name
	Sources    map[string]string `json:"sources"`    // ids of the source topics, by name
}

// firstNote is the event time of the first record read from a source partition, in Unix milliseconds.
type firstNote struct {
	Time int64 `json:"time"`
}

// offsetNote is how far ingest had read a source partition, of the topic that then had the name.
type offsetNote struct {
	Next    int64  `json:"next"`
	TopicID string `json:"topic_id"`
}

type presence struct {
	Version string   `json:"version"`
	Ruleset string   `json:"ruleset"`
	Sources []string `json:"sources"`
	Stages  []Stage  `json:"stages"`

	instance string
	at       int64 // offset in control
}

func sourceKey(prefix, topic string, partition int32) string {
	return fmt.Sprintf("%s%s/%d", prefix, topic, partition)
}

// control follows the control topic: the latest committed value of every key.
type control struct {
	topic string
	cl    interface { // reads committed records and writes plain ones: a kgo.Client
		PollFetches(ctx context.Context) kgo.Fetches
		ProduceSync(ctx context.Context, records ...*kgo.Record) kgo.ProduceResults
		Close()
	}

	stall time.Duration // longest wait in sync

	mu      sync.Mutex
	values  map[string][]byte
	offsets map[string]int64 // of the values
	next    int64            // offset behind the last record seen
	trouble error            // why nothing can be read since
	changed chan struct{}    // closed and replaced at every change
	done    chan struct{}
}

// openControl starts following topic. Close ends it.
func openControl(ctx context.Context, cfg *Config) (*control, error) {
	topic := cfg.topic(topicControl)
	cl, err := kgo.NewClient(cfg.ClientOptions(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(100), kgo.AllowIdempotentProduceCancellation(),
	)...)
	if err != nil {
		return nil, err
	}
	c := &control{topic: topic, cl: cl, stall: cfg.Timing.Stall, values: map[string][]byte{}, offsets: map[string]int64{}, changed: make(chan struct{}), done: make(chan struct{})}
	go c.follow()
	if err := c.sync(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *control) follow() {
	defer close(c.done)
	for {
		fetches := c.cl.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		c.take(fetches)
		if fetches.Err() != nil { // a broker that refuses is not asked in a tight loop
			time.Sleep(200 * time.Millisecond)
		}
	}
}

func (c *control) take(fetches kgo.Fetches) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		c.next = r.Offset + 1
		if len(r.Value) == 0 {
			delete(c.values, string(r.Key))
		} else {
			c.values[string(r.Key)], c.offsets[string(r.Key)] = r.Value, r.Offset
		}
	})
	if err := fetches.Err(); err != nil || !fetches.Empty() {
		c.trouble = err
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Close stops following.
func (c *control) Close() {
	c.cl.Close()
	<-c.done
}

func (c *control) get(key string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key]
}

// put writes a record that has this process as its only writer.
func (c *control) put(ctx context.Context, key string, value []byte) (int64, error) {
	r := &kgo.Record{Topic: c.topic, Key: []byte(key), Value: value}
	if err := c.cl.ProduceSync(ctx, r).FirstErr(); err != nil {
		return 0, fmt.Errorf("write %q to %s: %w", key, c.topic, errors.Join(err, context.Cause(ctx)))
	}
	return r.Offset, nil
}

// sync returns when everything that was committed to control before the call has been seen: it writes a barrier and
// waits until a read_committed reader delivers it, or cannot.
func (c *control) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.stall, fmt.Errorf("%w: what is written to it is not there to be read after %s: "+
		"a transaction may be open on it, or a partition has no leader; which one is said by: firstseen doctor -c FILE", ErrUnreachable, c.stall))
	defer cancel()
	at, err := c.put(ctx, keyBarrier, []byte("1"))
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.trouble = nil // of before: what is wrong now is met again
	c.mu.Unlock()
	var denied error
	err = c.wait(ctx, func() bool {
		if isUnauthorized(c.trouble) {
			denied = c.trouble
		}
		return c.next > at || denied != nil
	})
	if denied != nil {
		return fmt.Errorf("read %s: %w", c.topic, denied)
	}
	return err
}

// wait returns when ok is true. ok is called with the lock held, after every change.
func (c *control) wait(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		yes, changed := ok(), c.changed
		c.mu.Unlock()
		if yes {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			return fmt.Errorf("read %s: %w", c.topic, errors.Join(context.Cause(ctx), c.trouble))
		}
	}
}

// agree writes records that all workers must agree on: it fences every other writer, reads to a barrier, asks decide
// for what is missing and writes that in one transaction. decide is called again when another worker came between.
func (c *control) agree(ctx context.Context, cfg *Config, decide func() (map[string][]byte, error)) error {
	var last error
	for n := range 25 {
		if last = c.tryAgree(ctx, cfg, decide); last == nil || !errors.Is(last, errFenced) {
			return last
		}
		select { // workers that start together fence each other as long as they do the same at the same time
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(min(50*time.Millisecond<<min(n, 6), 2*time.Second))):
		}
		if err := c.sync(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, last)
}

var errFenced = errors.New("another worker wrote to control at the same time")

func (c *control) tryAgree(ctx context.Context, cfg *Config, decide func() (map[string][]byte, error)) error {
	if c.get(keyDeployment) != nil { // mostly there is nothing to write, and nobody to fence
		if records, err := decide(); err != nil || len(records) == 0 {
			return err
		}
	}
	cl, err := kgo.NewClient(cfg.ClientOptions(kgo.TransactionalID(cfg.App+"-control"), kgo.TransactionTimeout(cfg.Timing.Transaction),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	defer context.AfterFunc(ctx, cl.Close)() // records of a transaction are not given up because their context ends
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("fence the writers of %s: %w", c.topic, err)
	}
	if err := c.sync(ctx); err != nil {
		return err
	}
	records, err := decide()
	if err != nil || len(records) == 0 {
		return err
	}
	if err := cl.BeginTransaction(); err != nil {
		return fmt.Errorf("%w: %w", errFenced, err)
	}
	for k, v := range records {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: c.topic, Key: []byte(k), Value: v}).FirstErr(); err != nil {
			return errors.Join(fmt.Errorf("%w: write %q: %w", errFenced, k, err), cl.EndTransaction(ctx, kgo.TryAbort))
		}
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("%w: %w", errFenced, err)
	}
	return c.sync(ctx)
}

// deployment returns the record of the deployment, nil if there is none.
func (c *control) deployment() (*Deployment, error) {
	v := c.get(keyDeployment)
	if v == nil {
		return nil, nil
	}
	d := new(Deployment)
	if err := json.Unmarshal(v, d); err != nil {
		return nil, fmt.Errorf("%w: record %q of %s: %w", ErrGuarantee, keyDeployment, c.topic, err)
	}
	if d.Version != 1 {
		return nil, fmt.Errorf("%w: %s was written by a newer version (%d): upgrade this worker", ErrGuarantee, c.topic, d.Version)
	}
	return d, nil
}

// ruleset returns the encoded ruleset of a hash, waiting for it until ctx ends: it is committed to control before the
// first record that names it, but this follower may be a moment behind.
func (c *control) ruleset(ctx context.Context, hash []byte) ([]byte, error) {
	key := prefixRuleset + hex.EncodeToString(hash)
	var v []byte
	err := c.wait(ctx, func() bool { v = c.values[key]; return v != nil })
	return v, err
}

// rulesets returns the hash of every published ruleset.
func (c *control) rulesets() (hashes [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.values {
		if text, ok := strings.CutPrefix(k, prefixRuleset); ok {
			if hash, err := hex.DecodeString(text); err == nil {
				hashes = append(hashes, hash)
			}
		}
	}
	return hashes
}

// presences returns what every instance has noted of itself, the latest last.
func (c *control) presences() (all []presence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range c.values {
		var p presence
		if name, ok := strings.CutPrefix(k, prefixWorker); ok && json.Unmarshal(v, &p) == nil {
			p.instance, p.at = name, c.offsets[k]
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b presence) int { return cmp.Compare(a.at, b.at) })
	return all
}

// encodeNote returns the JSON of a note; the note types cannot fail to encode.
func encodeNote(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
