// Package alert makes the documents that go out: an alert as ECS, OCSF or Panther JSON, as Avro, and as text for a
// terminal. Nothing here reads a clock or a map, so the same alert is always the same bytes.
//
// What comes from the network is bounded and escaped: a document is never larger than MaxBytes, whatever the evidence.
package alert

import (
	"github.com/google/uuid"

	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// The kinds of alerts, which are also the values of firstseen.alert.status.
const (
	Open     = "open"     // a rule fired
	Closed   = "closed"   // the window of an alert closed: the same alert again, with its final count
	Overflow = "overflow" // a rule made more alerts than its cap allows
	Gap      = "gap"      // records of a source were deleted before they were read
)

// Alert is what the documents are made of. All times are Unix milliseconds; wire.NoTime is a time that is not known.
type Alert struct {
	Kind    string // Open, Closed, Overflow or Gap
	ID      uuid.UUID
	Rule    *Rule       // nil: of kind Gap
	Ruleset []byte      // SHA-256
	Title   string      // empty: the rule's name
	Match   *wire.Match // the event shown; nil: of kind Gap

	Time      int64 // @timestamp: event time of what decided
	Count     int64 // matches
	FirstSeen int64
	LastSeen  int64
	Created   int64 // append time of the record that the alert was made of; 0: Time

	NewTerms *NewTerms // of a rule with terms
	Group    *Group    // of a rule with a dedup window or a threshold
	Summary  []wire.Counter

	Suppressed      int64  // findings over the cap, of an overflow alert and its Closed update
	SuppressedTopic string // where they are
	Missing         *Missing

	Flags schemas.Flags // added to those of Match
}

// NewTerms says why the terms were new.
type NewTerms struct {
	Values       []string
	PreviousSeen int64 // wire.NoTime: never
	History      int64 // how long terms stay known, milliseconds
	HistoryStart int64 // since when they have been recorded
}

// Complete says whether the whole history window before t has been recorded.
func (n *NewTerms) Complete(t int64) bool {
	return n.HistoryStart != wire.NoTime && n.HistoryStart <= t-n.History
}

// Group is the dedup window.
type Group struct {
	By        []string // fields or "title"; empty: one group for the rule
	Key       string
	Start     int64
	End       int64
	Threshold int64 // the match that made the alert; 0 and 1: the first
	ReachedAt int64 // event time of that match; 0: not a matter of a threshold
}

// Missing says which records a Gap is about.
type Missing struct {
	Topic     string
	Partition int32
	First     int64 // first offset that is missing
	Next      int64 // first offset that is there
}
