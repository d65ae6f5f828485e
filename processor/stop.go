package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A stop takes no longer than stopWithin, whatever the brokers do. Most of it is for the transactions in hand: what is
// not committed by then is aborted. What cannot be aborted either stays open, and the next start of the instance ends it, or
// its time-out. Nothing that is in doubt is applied, so a transaction that was committed after all is read from the
// changelog, like after a kill.
const (
	stopCommit = 2500 * time.Millisecond
	stopAbort  = 800 * time.Millisecond // after stopCommit
	stopClose  = 3500 * time.Millisecond
	stopWithin = 4500 * time.Millisecond
)

// outlive returns a context for what a stop must not cut short: it ends limit from now, or stopCommit after ctx.
func outlive(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopCommit, cancel) })
	return longer, func() { stop(); cancel() }
}

// lifetime returns a context that ends stopClose after ctx: to close a client waits for its group as long as that is
// joining, which may be until other members, perhaps stopped by now, have been given up.
func lifetime(ctx context.Context) (context.Context, context.CancelFunc) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopClose, cancel) })
	return life, func() { stop(); cancel() }
}

// errOutcome ends a session, and may have left a transaction open.
var errOutcome = fmt.Errorf("%w: the outcome of a transaction is unknown", errSession)

// doubt is the error of a transaction that ended with err, or has not ended. In a stop it is aborted: a group that is
// joining takes no commit, and goes on joining for as long as members that have stopped too are waited for.
func (l *lane) doubt(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errOutcome, err)
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopAbort)
	defer cancel()
	_, failed := l.sess.End(short, kgo.TryAbort, l.fence)
	if failed == nil { // by asking for the producer id again, perhaps: then its answer is what counts
		_, _, failed = l.sess.ProducerID(short)
	}
	var refused *kerr.Error
	if failed != nil && !(errors.As(failed, &refused) && !refused.Retriable) {
		return fmt.Errorf("%w: %w; to end it: %v", errOutcome, err, failed) //nolint:errorlint // a refusal that would be tried again says nothing
	}
	l.log.Info("the transaction in hand could not be committed in time and was ended, as the worker stops", "because", err)
	return fmt.Errorf("%w: %w", errSession, err)
}

// stopped is the error of a lane that had err when it was asked to stop: none, unless the brokers were silent about what it
// had sent. What they refused is as good as aborted.
func (l *lane) stopped(err error) error {
	if !errors.Is(err, errOutcome) || errors.As(err, new(*kerr.Error)) {
		return nil
	}
	return fmt.Errorf("%w: lane %s stopped without knowing what became of its last transaction (%v): if it is open, the next start of instance %q ends it, "+
		"or the brokers do after %s; nothing is lost or done twice", ErrUnreachable, l.name, err, l.w.cfg.Instance, l.w.cfg.Timing.Transaction)
}

// within returns what fn returns, but no later than stopWithin after ctx has ended. fn may then still be running: the
// process has to end.
func (w *Worker) within(ctx context.Context, fn func() error) error {
	ended, late := make(chan error, 1), make(chan struct{})
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopWithin, func() { close(late) }) })
	defer stop()
	go func() { ended <- fn() }()
	select {
	case err := <-ended:
		return err
	case <-late:
		return fmt.Errorf("%w: the brokers have not answered for %s since the stop, and are not waited for: open transactions are ended by the next start of instance %q, "+
			"or by the brokers after %s; nothing is lost or done twice", ErrUnreachable, stopWithin, w.cfg.Instance, w.cfg.Timing.Transaction)
	}
}
