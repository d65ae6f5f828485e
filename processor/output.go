package processor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas"
)

// output is what a lane produces in a transaction. Any record that fails makes the transaction fail: the client would
// commit the offsets all the same.
type output struct {
	ctx      context.Context // ends when the transaction has taken too long
	sent     int             // records produced
	held     int             // bytes of those that the client holds
	messages int             // input messages
	last     place           // the last of them
	tried    int             // how many of its entries were processed, if one by one
	partial  bool            // of one of the messages these were not all
	outputs  [stage.Suppressed + 1]int
	counts   []func() // for the metrics, which count only what was committed

	mu    sync.Mutex // for first, which the client's promises set
	first error
}

func (o *output) reset(ctx context.Context) {
	o.ctx = ctx
	o.sent, o.held, o.outputs, o.counts = 0, 0, [len(o.outputs)]int{}, o.counts[:0]
	o.messages, o.tried, o.partial = 0, 0, false
	o.mu.Lock()
	o.first = nil
	o.mu.Unlock()
}

func (o *output) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first
}

func (o *output) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// An abort fails every record that waits; what made it necessary is the error to keep.
	if o.first == nil || errors.Is(o.first, kgo.ErrAborting) {
		o.first = err
	}
}

// counted brings the metrics up to date with a transaction that was committed.
func (l *lane) counted() {
	l.w.metrics.candidates.Add(float64(l.out.outputs[stage.Candidates]))
	l.w.metrics.findings.Add(float64(l.out.outputs[stage.Findings]))
	for _, fn := range l.out.counts {
		fn()
	}
}

// send produces r in the transaction. done, if not nil, is called with the record as the broker took it.
func (l *lane) send(r *kgo.Record, done func(*kgo.Record)) {
	l.buffer(r, func(r *kgo.Record, err error) {
		if err != nil {
			l.out.fail(fmt.Errorf("%s: %w", topicPartition{r.Topic, r.Partition}, err))
		} else if done != nil {
			done(r)
		}
	})
}

const (
	// maxHeld is how many bytes of records the client holds before they are sent, though the transaction goes on.
	maxHeld = 32 << 20
	// heldRecord is what a record takes besides key and value, about.
	heldRecord = 300
)

// buffer produces r in the transaction, at the latest at its end.
func (l *lane) buffer(r *kgo.Record, done func(*kgo.Record, error)) {
	l.out.sent++
	l.out.held += len(r.Key) + len(r.Value) + heldRecord
	l.sess.Produce(l.out.ctx, r, done)
	if l.out.held < maxHeld && !l.apart {
		return
	}
	l.out.held = 0
	if err := l.awaitTaken(l.out.ctx); err != nil {
		l.out.fail(err)
	}
}

// output sends what a stage made to its topic. Our own hash decides the partition, so that no producer's default can
// move a key away from its state.
func (l *lane) output(o stage.Output) {
	topic := l.topics[o.To]
	r := &kgo.Record{Topic: topic, Partition: partition(o.Key, l.w.partitions[topic]), Key: o.Key, Value: o.Value}
	if len(o.Headers) > 0 {
		size := 0
		for _, h := range o.Headers {
			size += len(h[1])
		}
		values := make([]byte, 0, size) // of all
		r.Headers = make([]kgo.RecordHeader, len(o.Headers))
		for i, h := range o.Headers {
			start := len(values)
			values = append(values, h[1]...)
			r.Headers[i] = kgo.RecordHeader{Key: h[0], Value: values[start:len(values):len(values)]}
		}
	}
	l.send(r, nil)
	l.out.outputs[o.To]++
}

// count has fn called when the transaction has been committed.
func (l *lane) count(fn func()) { l.out.counts = append(l.out.counts, fn) }

// partition is where a key goes.
func partition(key []byte, n int32) int32 { return int32(xxhash.Sum64(key) % uint64(n)) }

const (
	// maxDeadLetter is the size, uncompressed, up to which a dead letter is sent whole, if its topic takes that: below
	// the client's own limit, with room for the headers.
	maxDeadLetter = 900 << 10
	// minDeadLetter is the least that is counted on.
	minDeadLetter = 8 << 10
	// keptDeadLetter is how much of a larger value is sent, at most.
	keptDeadLetter = 512 << 10
	maxDetail      = 1 << 10
)

// limitDeadLetters takes note that the dead-letter topic takes batches up to this size.
func (w *Worker) limitDeadLetters(bytes int) {
	const batch = 128 // what a batch and a record cost besides their bytes
	w.deadLimit.Store(int64(max(minDeadLetter, min(maxDeadLetter, bytes-batch))))
}

// deadLetter sends r, or the part of it that d says, to the dead-letter topic, in the transaction that also moves the
// input offset behind it. It is always producible: what is too large is cut, and says so.
func (l *lane) deadLetter(r *kgo.Record, d schemas.DeadLetter) {
	topic, limit := l.w.cfg.topic(topicDLQ), int(l.w.deadLimit.Load())
	key, value := bytes.Clone(r.Key), bytes.Clone(d.Value) // r's memory will be another record's before this one is sent
	size := len(key)
	var headers []kgo.RecordHeader
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value) + 10
		headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	if size > limit/4 { // no sane producer writes such a key or headers; the value is what is needed
		key, headers, size = key[:min(len(key), 1024)], nil, 1024
		headers = append(headers, header("dlq-headers-dropped", "true"))
	}
	if len(d.Detail) > maxDetail {
		d.Detail = d.Detail[:maxDetail]
	}
	headers = append(headers, header("dlq-reason", string(d.Reason)), header("dlq-detail", d.Detail), header("dlq-topic", r.Topic),
		header("dlq-partition", strconv.Itoa(int(r.Partition))), header("dlq-offset", strconv.FormatInt(r.Offset, 10)),
		header("dlq-index", strconv.Itoa(int(d.Index))), header("dlq-stage", string(l.stage)),
		header("dlq-time", time.Now().UTC().Format(time.RFC3339)), header("dlq-timestamp", strconv.FormatInt(r.Timestamp.UnixMilli(), 10)))
	if room := limit - size - 2*maxDetail; len(value) > room {
		headers = append(headers, header("dlq-truncated", strconv.Itoa(len(value))))
		value = value[:min(keptDeadLetter, room)]
	}
	p := r.Partition % l.w.partitions[topic]
	if len(key) > 0 {
		p = partition(key, l.w.partitions[topic])
	}
	letter := &kgo.Record{Topic: topic, Partition: p, Key: key, Value: value, Headers: headers}
	refused, apart := l.out.tried > 0, l.apart
	l.buffer(letter, func(_ *kgo.Record, err error) {
		if err == nil {
			return
		}
		if isRejection(err) && refused {
			err = fmt.Errorf("%w: %w", errDeadLetter, err)
			if apart { // the topic takes less than it said
				l.w.limitDeadLetters(limit / 2)
			}
		}
		l.out.fail(fmt.Errorf("%s: %w", topicPartition{topic, p}, err))
	})
	l.count(l.w.metrics.dead.WithLabelValues(string(d.Reason)).Inc)
}

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}
