package rules

import (
	"math"

	"firstseen/schemas/wire"
)

// Observe is the decision of a rule with new terms. The terms were met count times in a row: first at event time
// first, and at last at the latest, with no event among them more than history after all before it. So only the first
// can be new: it fires iff the terms were unknown, or silent for longer than history. All times are milliseconds.
//
// term becomes what is known afterwards, its sweep deadline excepted. A late event never lowers LastSeen, and FirstSeen
// stays the time of the event that made the terms known. previous is LastSeen as it was before, wire.NoTime if the
// terms were unknown.
func Observe(term *wire.Term, known bool, first, last, count, history int64) (fire bool, previous int64) {
	if !known {
		*term = wire.Term{FirstSeen: first, LastSeen: max(first, last), Count: count, SweepAt: term.SweepAt}
		return true, wire.NoTime
	}
	previous = term.LastSeen
	term.LastSeen = max(term.LastSeen, first, last)
	term.Count += count
	return Silent(previous, first, history), previous
}

// Silent says whether an event at t comes more than history after the last one. All are milliseconds; an event
// exactly history later is still known.
func Silent(last, t, history int64) bool {
	return t > last && uint64(t)-uint64(last) > uint64(history) // the difference cannot overflow unsigned
}

// day is the least grace of a sweep deadline, in milliseconds.
const day = 24 * 60 * 60 * 1000

// SweepAt returns the time on the partition's sweep clock after which a value that was updated at clock may go: once
// window, what decisions look back on it for, has passed and a grace of as long again, at least a day. It is never
// lowered below old. All are milliseconds.
func SweepAt(old, clock, window int64) int64 {
	return max(old, plus(clock, plus(window, max(window, day))))
}

// plus adds two numbers of which b is not negative, without passing the highest there is.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
