package processor

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/processor/stage"
	"firstseen/schemas"
)

// place is where a message is in the input.
type place struct {
	tp     topicPartition
	topic  [16]byte // its id: one that is made again has other messages
	offset int64
}

// refusal is a message over which a stage panics, or whose output the broker refuses for its content. It is processed
// again entry by entry, until it is known which of them are the cause: they become dead letters, the others count. Of more
// than maxCauses it becomes one as a whole, since each costs a few transactions, or a session.
type refusal struct {
	search search
	last   cause         // of the last failure
	causes map[int]cause // by entry
}

type cause struct {
	reason schemas.Reason
	err    error
}

const maxCauses = 16

// failed takes note that the first so many entries could not be processed; none: the message as a whole.
func (r *refusal) failed(tried int, c cause) {
	r.last = c
	if tried > 0 {
		r.found(r.search.failed(tried))
	}
}

func (r *refusal) found(entry int, ok bool) {
	if ok {
		r.causes[entry] = r.last
	}
}

// search looks for those of n entries with which an attempt fails. An attempt takes the first so many entries without
// those that were found; it ends with the attempt that takes all and succeeds. One entry is found by halving.
type search struct {
	n    int
	good int // an attempt with this many succeeded
	bad  int // one with this many failed; n+1: not since the last was found
}

func newSearch(n int) search { return search{n: n, bad: n + 1} }

// next is how many entries to take.
func (s *search) next() int {
	if s.bad > s.n {
		return s.n
	}
	return (s.good + s.bad) / 2
}

func (s *search) failed(tried int) (entry int, found bool) {
	s.bad = tried
	return s.between()
}

func (s *search) succeeded(tried int) (entry int, found bool) {
	s.good = tried
	return s.between()
}

// between is the one entry that an attempt which failed had more than one that succeeded.
func (s *search) between() (entry int, found bool) {
	if s.bad > s.n || s.bad-s.good > 1 {
		return 0, false
	}
	entry = s.good
	s.good, s.bad = s.bad, s.n+1
	return entry, true
}

// isRejection reports whether a produce error is about the record itself. Only such errors lead toward a dead letter;
// an outage never does.
func isRejection(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord)
}

// errDeadLetter is that of a dead letter that is refused itself, which is cut the next time: no entry is the cause.
var errDeadLetter = errors.New("dead letter")

// refuse takes note that a message, or the first so many entries of it, could not be processed.
func (l *lane) refuse(at place, tried int, c cause) {
	r := l.refused[at]
	if r == nil {
		r = &refusal{causes: map[int]cause{}}
		l.refused[at] = r
	}
	r.failed(tried, c)
}

// bisect narrows down which input message led to output that the broker refuses, or to a panic: every failed turn halves
// the next, and a turn of one message names it. Refused output may only be too much in one batch: it is sent record by
// record before the message is given up.
func (l *lane) bisect(c cause) {
	switch {
	case l.out.messages != 1:
	case c.reason == schemas.RejectedOutput && !l.apart:
		l.apart = true
	case errors.Is(c.err, errDeadLetter):
	default:
		l.refuse(l.out.last, l.out.tried, c)
	}
	l.halve()
}

func (l *lane) halve() { l.limit = max(1, min(l.limit, l.out.messages)/2) }

// passed takes note that a transaction with some entries of a message alone would have been committed.
func (l *lane) passed() {
	if l.out.messages == 1 {
		r := l.refused[l.out.last]
		r.found(r.search.succeeded(l.out.tried))
	}
	l.halve()
}

// settle forgets messages that were committed.
func (l *lane) settle() {
	for at := range l.refused {
		if p := l.part(at.tp); p != nil && (p.next > at.offset || p.inputID != at.topic) {
			delete(l.refused, at)
		}
	}
}

// errPanic is a panic of a stage. What it had done so far is not to be trusted, so the transaction is given up, and the
// message is processed in another way the next time.
var errPanic = errors.New("panic")

// process has the stage process one message.
func (l *lane) process(p *part, r *kgo.Record) error {
	if at := l.out.last; l.refused[at] != nil {
		return l.processEntries(p, r, l.refused[at])
	}
	err := caught(func() error { return l.step.record(p, r) })
	if errors.Is(err, errPanic) {
		l.refuse(l.out.last, 0, cause{schemas.Panicked, err})
	}
	return err
}

// processEntries has the stage process a message that was refused, one entry after the other, up to where the search for
// the cause wants it; what is known to be the cause becomes a dead letter.
func (l *lane) processEntries(p *part, r *kgo.Record, refused *refusal) error {
	entries := [][]byte{r.Value}
	if l.stage == StageGroup && len(refused.causes) <= maxCauses {
		_ = caught(func() error { entries = stage.Entries(r.Value); return nil }) // else it is one
	}
	if n := len(entries); refused.search.n != n {
		refused.search = newSearch(n)
		if n == 1 {
			refused.found(0, true)
		}
	}
	l.out.tried = refused.search.next()
	l.out.partial = l.out.partial || l.out.tried < len(entries)
	one := *r
	for i := range l.out.tried {
		one.Value = entries[i]
		if c, ok := refused.causes[i]; ok {
			index := int32(i)
			if len(entries) == 1 {
				index = -1 // it is the message
			}
			l.deadLetter(&one, schemas.DeadLetter{Reason: c.reason, Detail: c.err.Error(), Index: index, Value: one.Value})
			continue
		}
		err := caught(func() error { return l.step.record(p, &one) })
		if errors.Is(err, errPanic) {
			refused.last = cause{schemas.Panicked, err}
			refused.found(i, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flush has the stage produce what its records came to.
func (l *lane) flush() error {
	err := caught(l.step.flush)
	if errors.Is(err, errPanic) {
		l.bisect(cause{schemas.Panicked, err})
	}
	return err
}

// caught makes an error of a panic of fn.
func caught(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
		}
	}()
	return fn()
}
