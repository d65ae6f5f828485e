package processor

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas"
)

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
	key, value, headers := r.Key, append([]byte(nil), d.Value...), r.Headers
	size := len(key)
	for _, h := range headers {
		size += len(h.Key) + len(h.Value) + 10
	}
	if size > limit/4 { // no sane producer writes such a key or headers; the value is what is needed
		key, headers, size = key[:min(len(key), 1024)], nil, 1024
		headers = append(headers, header("dlq-headers-dropped", "true"))
	}
	if len(d.Detail) > maxDetail {
		d.Detail = d.Detail[:maxDetail]
	}
	headers = append(headers[:len(headers):len(headers)],
		header("dlq-reason", string(d.Reason)), header("dlq-detail", d.Detail), header("dlq-topic", r.Topic),
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
	l.out.sent++
	l.sess.Produce(context.Background(), letter, func(_ *kgo.Record, err error) {
		if err == nil {
			return
		}
		if isRejection(err) && d.Reason == schemas.RejectedOutput { // this one is alone: the topic takes less than it said
			l.w.limitDeadLetters(limit / 2)
		}
		l.out.fail(err)
	})
	l.count(l.w.metrics.dead.WithLabelValues(string(d.Reason)).Inc)
}

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}
