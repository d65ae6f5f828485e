package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fill polls and processes until the transaction is large enough, old enough, or there is nothing more to read.
func (l *lane) fill(ctx context.Context) error {
	if l.stage != StageIngest && !l.w.disk.Await(ctx, idleWait) {
		return nil
	}
	gap := 5 * time.Millisecond
	if l.stage == StageIngest {
		gap = 20 * time.Millisecond
	}
	budget := l.w.cfg.Commit
	old := time.Now().Add(min(budget.Every, l.w.cfg.Timing.Transaction/4) + idleWait)
	messages := 0
	wait := idleWait
	if len(l.owned()) == 0 {
		wait /= 5 // partitions may be on their way, with records that wait
	}
	for {
		n, took, err := l.poll(ctx, wait, min(l.slice, l.limit-messages))
		if err != nil {
			return err
		}
		if took > budget.Every {
			l.slice = max(1, l.slice/2)
		} else {
			l.slice = min(2*l.slice, maxSlice)
		}
		if n > 0 && messages == 0 {
			old = time.Now().Add(min(budget.Every, l.w.cfg.Timing.Transaction/4))
		}
		messages += n
		records, bytes := l.step.size()
		now, stopped := time.Now(), ctx.Err() != nil
		if stopped || messages >= l.limit || records >= budget.Records || bytes >= budget.Bytes || now.After(old) {
			return nil //nolint:nilerr // what there is, is committed
		}
		wait = 0
		if n == 0 {
			until := l.lastCommit.Add(gap)
			if l.behind() {
				until = old // the next fetch is on its way: a small transaction would cost as much as a large one
			}
			if wait = until.Sub(now); wait <= 0 || messages == 0 {
				return nil
			}
		}
	}
}

// behind reports whether a partition has more to read than the markers that may follow its last record.
func (l *lane) behind() bool {
	for _, p := range l.owned() {
		if p.high-p.next > 64 {
			return true
		}
	}
	return false
}

// poll processes up to limit buffered messages, waiting up to wait for the first. It returns how many there were and
// how long processing them took.
func (l *lane) poll(ctx context.Context, wait time.Duration, limit int) (n int, took time.Duration, err error) {
	var fetches kgo.Fetches
	if wait <= 0 {
		fetches = l.sess.PollRecords(nil, limit) //nolint:staticcheck // nil is kgo's way to say: do not wait
	} else {
		pollCtx, cancel := context.WithTimeout(ctx, wait)
		fetches = l.sess.PollRecords(pollCtx, limit)
		cancel()
	}
	refused := false
	// Errors first: after some of them the records of the same poll are not the next ones.
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, context.Canceled):
		case errors.Is(e.Err, kgo.ErrClientClosed), errors.Is(e.Err, kerr.FencedInstanceID):
			return 0, 0, fmt.Errorf("%w: %w", errSession, e.Err)
		case isLoss(e.Err):
			return 0, 0, fmt.Errorf("%w: %s/%d: %w", errSession, e.Topic, e.Partition, e.Err)
		case errors.Is(e.Err, kerr.UnknownTopicID), errors.Is(e.Err, kerr.UnknownTopicOrPartition), errors.As(e.Err, new(*kgo.ErrDecompressTooLarge)):
			// The client will not get over this; a new session takes the partition over again, and says what it finds.
			l.w.health.quarantine(l.name, topicPartition{e.Topic, e.Partition}, e.Err)
			fallthrough
		default:
			if isUnauthorized(e.Err) {
				l.stuck(fmt.Errorf("read %s: %w", topicPartition{e.Topic, e.Partition}, e.Err), e.Topic)
			}
			refused = true
			l.w.metrics.pollErrors.WithLabelValues(string(l.stage)).Inc()
			if time.Since(l.complained) > time.Second { // the client has them as often as it asks
				l.complained = time.Now()
				l.log.Warn("poll", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
			}
		}
	}
	began := time.Now()
	for _, f := range fetches {
		for _, t := range f.Topics {
			for _, fp := range t.Partitions {
				n += len(fp.Records)
				if err := l.records(topicPartition{t.Topic, fp.Partition}, fp); err != nil {
					return n, 0, err
				}
			}
		}
	}
	took = time.Since(began)
	if refused && n == 0 {
		l.pause(ctx) // a broker that refuses is not asked in a tight loop
	}
	return n, took, nil
}

// records processes what was polled of one partition.
func (l *lane) records(tp topicPartition, fp kgo.FetchPartition) error {
	if len(fp.Records) == 0 {
		return nil
	}
	p := l.part(tp)
	if p == nil {
		return fmt.Errorf("%w: got records of %s, which was not taken over", errSession, tp)
	}
	for _, r := range fp.Records {
		if r.Offset < p.next {
			return fmt.Errorf("%w: %s: got offset %d again after %d", errSession, tp, r.Offset, p.next-1)
		}
		l.touch(p)
		if p.hold(r.Offset) {
			return nil
		}
		l.idle = l.idle && (p.lesson == nil || r.Offset >= p.lesson.live)
		p.next = r.Offset + 1
		l.out.messages++
		l.out.last, l.out.tried = place{tp, p.inputID, r.Offset}, 0
		l.advance(&p.off, r.Timestamp.UnixMilli())
		if err := l.process(p, r); err != nil {
			err = fmt.Errorf("%s offset %d: %w", tp, r.Offset, err)
			if !errors.Is(err, errPanic) {
				l.mu.Lock()
				l.bad[tp] = fault{err, time.Now()}
				l.mu.Unlock()
			}
			return fmt.Errorf("%w: %w", errSession, err)
		}
		r.Recycle() // nothing refers to it
	}
	p.high = fp.HighWatermark
	l.lagOf(tp).Set(float64(p.high - p.next))
	return nil
}
