package processor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/schemas"
)

// DeadLetter is a record of <app>.dlq, taken apart.
type DeadLetter struct {
	Record    *kgo.Record // as it is on the dead-letter topic
	Reason    schemas.Reason
	Detail    string
	Topic     string // where the message was read that it is about
	Partition int32
	Offset    int64
	Index     int32 // of the record in the message; -1: the value is the message
	Stage     Stage
	Time      string // when it was written, RFC 3339
	Timestamp int64  // of the message, Unix milliseconds; negative: it has none
	Size      int    // of the value before it was cut; 0: it is whole
	Bare      bool   // key and headers were too large and are not all here
}

// ParseDeadLetter takes a record of the dead-letter topic apart. ok is false for one that no worker has written.
func ParseDeadLetter(r *kgo.Record) (d DeadLetter, ok bool) {
	d = DeadLetter{Record: r, Index: -1, Timestamp: -1}
	var bad error
	number := func(text string, bits int) int64 {
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			bad = err
		}
		return n
	}
	for _, h := range r.Headers { // the worker's come last: those of the same name are somebody else's
		v := string(h.Value)
		switch h.Key {
		case "dlq-reason":
			d.Reason = schemas.Reason(v)
		case "dlq-detail":
			d.Detail = v
		case "dlq-topic":
			d.Topic = v
		case "dlq-partition":
			d.Partition = int32(number(v, 32))
		case "dlq-offset":
			d.Offset = number(v, 64)
		case "dlq-index":
			d.Index = int32(number(v, 32))
		case "dlq-stage":
			d.Stage = Stage(v)
		case "dlq-time":
			d.Time = v
		case "dlq-timestamp":
			d.Timestamp = number(v, 64)
		case "dlq-truncated":
			d.Size = int(number(v, 64))
		case "dlq-headers-dropped":
			d.Bare = true
		}
	}
	return d, bad == nil && d.Reason != "" && d.Topic != ""
}

// original is the record to write for the message to be processed again, or why there is none.
func (d *DeadLetter) original() (r *kgo.Record, why string) {
	switch {
	case d.Size > 0:
		return nil, fmt.Sprintf("only %d of its %d bytes are kept: send it again from where it came", len(d.Record.Value), d.Size)
	case d.Bare:
		return nil, "its key and headers are not kept: send it again from where it came"
	case d.Reason == schemas.Truncated && d.Index >= 0:
		return nil, "it is what was left where a message breaks off; the records before it were processed"
	}
	r = &kgo.Record{Topic: d.Topic, Partition: d.Partition, Key: d.Record.Key, Value: d.Record.Value}
	if d.Timestamp >= 0 { // a record without a time of its own has this one
		r.Timestamp = time.UnixMilli(d.Timestamp)
	}
	for _, h := range d.Record.Headers {
		if !strings.HasPrefix(h.Key, "dlq-") {
			r.Headers = append(r.Headers, h)
		}
	}
	return r, ""
}

// Redrive writes what dead letters are about back to where it was read, to be processed again: the whole message, or
// the one record of it that could not be processed. Workers never write to source topics; this is a person's decision.
//
// How far it has come is a record in control for each partition of the dead letters, reason and topic, in the
// transaction that writes the originals. So a dead letter is redriven once, however often and wherever it is asked for.
type Redrive struct {
	Reason schemas.Reason // only these; empty: all
	DryRun bool           // write nothing
	// Told gets each dead letter that had not been asked for before, once what was done is committed. why is empty if it
	// was written back, else it says why it was not.
	Told func(d DeadLetter, why string)
}

// prefixRedrive + partition of the dead letters/reason/topic has the offset in the dead letters to go on at.
const prefixRedrive = "redrive/"

// Of one transaction. Readers of the source topics wait for its end.
const (
	redriveLetters = 500
	redriveBytes   = 4 << 20
)

// redrive is one run.
type redrive struct {
	Redrive
	l      *Lookup
	marks  *control
	tx     *kgo.Client // nil: a dry run
	topics map[string]kadm.TopicDetail

	letters []redriven
	bytes   int
	next    map[string]int64 // marks of this transaction
	err     error
}

type redriven struct {
	DeadLetter
	original *kgo.Record // nil: see why
	why      string
}

// Run redrives the dead letters that were there when it began. The error wraps ErrUnreachable or ErrNoTopic; what had
// been redriven before it stays so, and is not redriven again.
func (r Redrive) Run(ctx context.Context, cfg Config) error {
	l, err := OpenLookup(ctx, cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	x := &redrive{Redrive: r, l: l, marks: l.notes, topics: map[string]kadm.TopicDetail{}, next: map[string]int64{}}
	if !r.DryRun {
		x.tx, err = kgo.NewClient(l.cfg.ClientOptions(kgo.TransactionalID(cfg.App+"-redrive"), kgo.TransactionTimeout(l.cfg.Timing.Transaction),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			return err
		}
		defer x.tx.Close()
		// In this order: another run is fenced, and then its last transaction is decided and seen.
		if _, _, err := x.tx.ProducerID(ctx); err != nil {
			return fmt.Errorf("%w: begin to redrive: %w", ErrUnreachable, err)
		}
		if x.marks, err = openControl(ctx, &l.cfg); err != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		defer x.marks.Close()
	}
	err = l.Read(ctx, l.cfg.topic(topicDLQ), nil, func(rec *kgo.Record) bool {
		if x.err == nil {
			x.err = x.letter(ctx, rec)
		}
		return x.err == nil
	})
	if x.err != nil {
		return x.err
	}
	if err != nil {
		return err
	}
	return x.flush(ctx)
}

// letter takes a dead letter up, unless it was redriven before.
func (x *redrive) letter(ctx context.Context, rec *kgo.Record) error {
	d, ok := ParseDeadLetter(rec)
	if !ok {
		if x.Reason == "" {
			x.Told(d, "no worker has written it")
		}
		return nil
	}
	if x.Reason != "" && d.Reason != x.Reason {
		return nil
	}
	key := fmt.Sprintf("%s%d/%s/%s", prefixRedrive, rec.Partition, d.Reason, d.Topic)
	if next, err := strconv.ParseInt(string(x.marks.get(key)), 10, 64); err == nil && rec.Offset < next {
		return nil
	}
	original, why := d.original()
	if original != nil {
		t, err := x.topic(ctx, d.Topic)
		if err != nil {
			return err
		}
		if _, there := t.Partitions[d.Partition]; !there { // it may be there again the next time, so it is not marked
			x.Told(d, fmt.Sprintf("there is no %s/%d", d.Topic, d.Partition))
			return nil
		}
	}
	x.letters = append(x.letters, redriven{d, original, why})
	x.next[key] = rec.Offset + 1
	if x.bytes += len(rec.Value); len(x.letters) >= redriveLetters || x.bytes >= redriveBytes {
		return x.flush(ctx)
	}
	return nil
}

func (x *redrive) topic(ctx context.Context, name string) (kadm.TopicDetail, error) {
	if t, ok := x.topics[name]; ok {
		return t, nil
	}
	details, err := x.l.adm.ListTopics(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("%w: describe %s: %w", ErrUnreachable, name, err)
	}
	x.topics[name] = details[name]
	return details[name], nil
}

// flush writes originals and marks in one transaction.
func (x *redrive) flush(ctx context.Context) error {
	if len(x.letters) == 0 {
		return nil
	}
	if x.tx != nil {
		if err := x.commit(ctx); err != nil {
			return err
		}
	}
	for _, d := range x.letters {
		x.Told(d.DeadLetter, d.why)
	}
	x.letters, x.bytes = nil, 0
	clear(x.next)
	return nil
}

func (x *redrive) commit(ctx context.Context) error {
	var records []*kgo.Record
	for _, d := range x.letters {
		if d.original != nil {
			records = append(records, d.original)
		}
	}
	for key, next := range x.next {
		records = append(records, &kgo.Record{Topic: x.marks.topic, Key: []byte(key), Value: strconv.AppendInt(nil, next, 10)})
	}
	if err := x.tx.BeginTransaction(); err != nil {
		return fmt.Errorf("begin to redrive: %w", err)
	}
	for _, p := range x.tx.ProduceSync(ctx, records...) {
		if p.Err == nil {
			continue
		}
		err := fmt.Errorf("write to %s/%d: %w: nothing of this transaction was redriven, what was told before it was; run it again", p.Record.Topic, p.Record.Partition, p.Err)
		if abort := x.tx.EndTransaction(ctx, kgo.TryAbort); abort != nil {
			err = fmt.Errorf("%w (and to abort: %w)", err, abort)
		}
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if err := x.tx.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("%w: whether the last %d dead letters were redriven is not known: %w; run it again, none is redriven twice", ErrUnreachable, len(x.letters), err)
	}
	return nil
}
