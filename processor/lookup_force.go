package processor

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// Force is what control tells of whether a rule was in force when a record was written.
type Force int

// What it may tell. A record that no worker had read when the rules changed was looked at with the later ones: of that
// nothing is known.
const (
	InForce      Force = iota // it was, as it is now
	NotYet                    // no worker had run with it
	Never                     // no worker has run with it until now
	ForceUnknown              // the rules changed about then, or were without it, or it looked at other events
)

// forceDoubt is how far from a change of the rules a record is taken to be on one side of it, in milliseconds: workers
// take rules up one after the other, and their clocks are not those of the producers.
const forceDoubt = 60_000

// taken is a ruleset that a worker has run with from a time on: when it was published first, or when an instance took it
// up last. In between others may have been in force, and this one again.
type taken struct {
	at  int64            // Kafka timestamp in control, Unix milliseconds; wire.NoTime: the deployment was founded with it
	set *rules.Published // nil: this build cannot read it
}

// controlMark is where and when a record of control was written.
type controlMark struct{ offset, at int64 }

// setTaken learns from control when which rules were taken up.
func (l *Lookup) setTaken(marks map[string]controlMark) {
	texts := &texts{control: l.notes}
	take := func(at int64, hash []byte) {
		set, _ := texts.get(hash) // else it is of a newer worker
		l.taken = append(l.taken, taken{at, set})
	}
	founding, least := "", int64(math.MaxInt64)
	for key, m := range marks {
		if strings.HasPrefix(key, prefixRuleset) && m.offset < least {
			founding, least = key, m.offset
		}
	}
	for _, hash := range l.notes.rulesets() {
		key := prefixRuleset + hex.EncodeToString(hash)
		at := marks[key].at
		if key == founding {
			at = wire.NoTime
		}
		take(at, hash)
	}
	for _, p := range l.notes.presences() {
		hash, err := hex.DecodeString(p.Ruleset)
		if err == nil && slices.Contains(p.Stages, StageIngest) && l.notes.get(prefixRuleset+p.Ruleset) != nil {
			take(marks[prefixWorker+p.instance].at, hash)
		}
	}
}

// InForce says whether a rule was in force for a record with a Kafka timestamp, in Unix milliseconds. since is, where it
// was not, the first time from which on it was; where that is not known, a time after which it was as it is now. It is
// wire.NoTime where there is no such time.
func (l *Lookup) InForce(r *rules.Rule, at int64) (f Force, since int64) {
	first, again := int64(math.MaxInt64), int64(math.MaxInt64) // known at all; as it is now, and not long before the record
	base := wire.NoTime                                        // the last change long before the record
	for _, t := range l.taken {
		if t.set == nil || t.set.Known(r) {
			first = min(first, t.at)
		}
		if t.at <= at-forceDoubt {
			base = max(base, t.at)
		} else if t.set != nil && t.set.Recorded(r) {
			again = min(again, t.at)
		}
	}
	switch {
	case first == math.MaxInt64:
		return Never, wire.NoTime
	case first > at+forceDoubt && at > 0:
		return NotYet, first
	case again == math.MaxInt64:
		again = wire.NoTime
	}
	for _, t := range l.taken {
		if t.at >= base && t.at <= at+forceDoubt && (t.set == nil || !t.set.Recorded(r)) {
			return ForceUnknown, again
		}
	}
	h, _, _ := l.notes.histories(-1)
	if note, ok := h.rules[r.State()]; ok && r.HasTerms() && at < note.Start+forceDoubt {
		return ForceUnknown, note.Start
	}
	return InForce, wire.NoTime
}
