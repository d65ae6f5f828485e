package main

import (
	"hash/crc32"
	"time"

	"firstseen/internal/proof"
	"firstseen/traffic"
)

// answer is what must come of the input. It is folded from what the generator says of its records, in the order of their
// partitions, and shares nothing with the workers but the meaning of the rules.
type answer struct {
	records int64
	builtin terms // of the rule about new addresses
	capped  terms
	buckets windows // of the allowlist
	matches int     // of the allowlist
	letters map[origin]*deadLetter
	sums    map[place][]uint32 // of the records' bytes
	alerts  []proof.Alert      // those about new addresses
	now     time.Time          // the highest event time
}

// origin is where a record is.
type origin struct {
	place
	offset int64
}

func newAnswer() *answer {
	return &answer{builtin: terms{history: history, of: map[string]*term{}}, capped: terms{history: cappedHistory, of: map[string]*term{}},
		buckets: windows{}, letters: map[origin]*deadLetter{}, sums: map[place][]uint32{}}
}

// add lets a record arrive.
func (a *answer) add(it *item) {
	a.records++
	a.sums[it.place] = append(a.sums[it.place], checksum(it.value))
	if it.dead != nil {
		a.letters[origin{it.place, it.offset}] = it.dead
		return
	}
	e := &it.event
	if e.Time.After(a.now) {
		a.now = e.Time
	}
	switch e.Rule {
	case traffic.NewTermsRule:
		if a.builtin.add(e.Key, e.Time) {
			a.alerts = append(a.alerts, proof.Alert{Rule: traffic.NewTermsRule, EventID: e.EventID, Key: e.Key, Count: 1})
		}
		if a.capped.add(e.Key, e.Time) {
			a.alerts = append(a.alerts, proof.Alert{Rule: cappedRule, EventID: e.EventID, Key: e.Key, Count: 1})
		}
	case traffic.AllowlistRule:
		a.matches++
		a.buckets.add(e.Key, e.Time.Unix(), int64(period.Seconds()), 1, e.EventID)
	}
}

// terms are what is known of addresses.
type terms struct {
	history time.Duration
	of      map[string]*term
}

// term is what is known of an address. After each silence that is longer than the history it may have been swept, and
// then begins anew: nobody can tell which, and it makes no difference to an alert.
type term struct {
	last  time.Time
	count int64
	lives []life
}

// life is a beginning of a term.
type life struct {
	first  time.Time
	before int64 // counted before it
}

// add counts a match and reports whether it is new.
func (t *terms) add(key string, at time.Time) (fires bool) {
	k := t.of[key]
	if k == nil {
		k = &term{}
		t.of[key] = k
	}
	if fires = len(k.lives) == 0 || at.Sub(k.last) > t.history; fires {
		k.lives = append(k.lives, life{at, k.count})
	}
	k.count++
	if at.After(k.last) {
		k.last = at
	}
	return fires
}

// windows are dedup windows by group, those of each in their order.
type windows map[string][]*window

// window is a dedup window.
type window struct {
	start   int64 // Unix seconds of the match that opened it
	last    int64 // the highest
	count   int64
	eventID string // of the match that opened it
}

// add counts n matches that are not later than t, the second of the first of them.
func (w windows) add(group string, t, period, n int64, eventID string) {
	all := w[group]
	if len(all) == 0 || t > all[len(all)-1].start+period {
		all = append(all, &window{start: t, last: t, eventID: eventID})
		w[group] = all
	}
	current := all[len(all)-1]
	current.count += n
	current.last = max(current.last, t)
}

// alerts are those that the windows of a rule make. Of a window that was followed by another the count must have been
// reported; the last one may be open still.
func (w windows) alerts(rule string, key func(group string) string) (list []proof.Alert) {
	for group, all := range w {
		for i, one := range all {
			list = append(list, proof.Alert{Rule: rule, EventID: one.eventID, Key: key(group), Count: int(one.count), Closed: i < len(all)-1})
		}
	}
	return list
}

// matches is how many matches are in all windows.
func (w windows) matches() (n int64) {
	for _, all := range w {
		for _, one := range all {
			n += one.count
		}
	}
	return n
}

func checksum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }
