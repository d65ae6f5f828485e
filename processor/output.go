package processor

import (
	"context"
	"errors"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
)

// output is what a lane produces in a transaction. Any record that fails makes the transaction fail: the client would
// commit the offsets all the same.
type output struct {
	ctx      context.Context // ends when the transaction has taken too long
	sent     int             // records produced
	messages int             // input messages
	last     refusal         // the last input message, without an error
	counts   []func()        // for the metrics, which count only what was committed

	mu    sync.Mutex // for first, which the client's promises set
	first error
}

func (o *output) reset(ctx context.Context) {
	o.ctx = ctx
	o.sent, o.messages, o.counts = 0, 0, o.counts[:0]
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

func (o *output) count() {
	for _, fn := range o.counts {
		fn()
	}
}

// send produces r in the transaction. done, if not nil, is called with the record as the broker took it.
func (l *lane) send(r *kgo.Record, done func(*kgo.Record)) {
	l.out.sent++
	l.sess.Produce(l.out.ctx, r, func(r *kgo.Record, err error) {
		if err != nil {
			l.out.fail(err)
		} else if done != nil {
			done(r)
		}
	})
}

// isRejection reports whether a produce error is about the record itself. Only such errors lead toward a dead letter;
// an outage never does.
func isRejection(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord)
}

// bisect narrows down which input message led to output that the broker refuses: every failed turn halves the next,
// and a turn of one message names it.
func (l *lane) bisect(err error) {
	if l.out.messages == 1 {
		l.refused = l.out.last
		l.refused.err = err
	}
	l.limit = max(1, min(l.limit, l.out.messages)/2)
}

// output sends what a stage made to its topic. Our own hash decides the partition, so that no producer's default can
// move a key away from its state.
func (l *lane) output(o stage.Output) {
	topic := l.w.cfg.topic(o.To.String())
	r := &kgo.Record{Topic: topic, Partition: partition(o.Key, l.w.partitions[topic]), Key: o.Key, Value: o.Value}
	for _, h := range o.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	l.send(r, nil)
	switch o.To {
	case stage.Candidates:
		l.count(l.w.metrics.candidates.Inc)
	case stage.Findings:
		l.count(l.w.metrics.findings.Inc)
	}
}

// count has fn called when the transaction has been committed.
func (l *lane) count(fn func()) { l.out.counts = append(l.out.counts, fn) }

// partition is where a key goes.
func partition(key []byte, n int32) int32 { return int32(xxhash.Sum64(key) % uint64(n)) }
