// Package wire holds the records that firstseen writes for itself: candidates and findings between the stages, and the
// values of the state. They are Avro, single-object encoded, by the schemas in this folder.
package wire

import "slices"

// StateID names the state of a rule: the first 8 bytes of SHA-256 over the rule id and its fields.
type StateID = [8]byte

// Policy is how the group stage treats a finding: parameters of the decision, carried by every record that needs them.
type Policy struct {
	Period    int64 `avro:"period"`    // length of the dedup window in seconds; 0: no window, every match alerts
	Threshold int64 `avro:"threshold"` // the match of a window that makes the alert; at least 1
	CapCount  int64 `avro:"cap_count"` // alerts per cap window; 0: no cap
	CapPer    int64 `avro:"cap_per"`   // length of the cap window in seconds
	Shadow    bool  `avro:"shadow"`    // alerts go to the suppressed topic with reason "shadow"
}

// Origin is where an event was read. Topic is empty for events that came from a file.
type Origin struct {
	Topic     string `avro:"topic"`
	Partition int32  `avro:"partition"`
	Offset    int64  `avro:"offset"`
	Index     int32  `avro:"index"` // which record of the message, from 0
	File      string `avro:"file"`
	Line      int64  `avro:"line"` // line or element of the file, from 1
}

// Match is one event that matched a rule.
type Match struct {
	Time     int64  `avro:"time"`     // event time in Unix milliseconds
	EventID  string `avro:"event_id"` // the record's own id; empty: its origin identifies it
	Origin   Origin `avro:"origin"`
	Flags    int32  `avro:"flags"` // schemas.Flags
	Title    string `avro:"title"`
	Evidence []byte `avro:"evidence"` // schemas.Evidence; empty where no alert can come of it
}

// Counter counts the values of one summary attribute: SpaceSaving, at most 16 values an attribute.
type Counter struct {
	Attribute string `avro:"attribute"`
	Value     string `avro:"value"`
	Count     int64  `avro:"count"`
	Error     int64  `avro:"error"` // Count is at most this much too high
}

// Candidate says that a rule with terms matched. One record stands for Count events with the same rule and terms.
// Key: the source address, or all terms of a rule without it.
type Candidate struct {
	Ruleset      []byte    `avro:"ruleset"` // SHA-256, 32 bytes
	Rule         string    `avro:"rule"`
	State        StateID   `avro:"state"`
	Terms        []string  `avro:"terms"` // values in the order of the rule's fields
	Group        string    `avro:"group"` // group key of the finding that may come of it
	Policy       Policy    `avro:"policy"`
	History      int64     `avro:"history"`       // history window in milliseconds
	HistoryStart int64     `avro:"history_start"` // Unix milliseconds
	Count        int64     `avro:"count"`
	Last         int64     `avro:"last"` // highest event time, Unix milliseconds
	First        Match     `avro:"first"`
	Counters     []Counter `avro:"counters"` // summary attributes of the first event
	Learn        bool      `avro:"learn"`
	HoldUntil    int64     `avro:"hold_until"` // findings of events before it are held: the rule is still learning; Unix milliseconds, NoTime: none
}

// Entry is a match in a finding, with the matches folded into it: those after it, up to the next entry, that are not
// later than it. Its time counts in whole seconds.
type Entry struct {
	Match        Match     `avro:"match"`
	Terms        []string  `avro:"terms"`         // new terms only
	PreviousSeen int64     `avro:"previous_seen"` // Unix milliseconds, NoTime: never; new terms only
	History      int64     `avro:"history"`       // milliseconds; new terms only
	HistoryStart int64     `avro:"history_start"` // Unix milliseconds; new terms only
	Folded       int64     `avro:"folded"`        // matches folded into this entry, itself not counted
	Counters     []Counter `avro:"counters"`      // summary attributes of this match and the folded ones
}

// NoTime stands for a time that is not known, in Unix milliseconds or seconds.
const NoTime int64 = -1 << 63

// Finding is what a rule found, for the group stage. Key: Group.
type Finding struct {
	Ruleset []byte  `avro:"ruleset"`
	Rule    string  `avro:"rule"`
	State   StateID `avro:"state"`
	Group   string  `avro:"group"`
	Policy  Policy  `avro:"policy"`
	Entries []Entry `avro:"entries"`
	Held    bool    `avro:"held"` // the rule is still learning: alerts are suppressed, and no window or cap counts them
}

// Term is the state of one (rule, terms): what new terms are compared with.
type Term struct {
	FirstSeen int64 `avro:"first_seen"` // Unix milliseconds, event time
	LastSeen  int64 `avro:"last_seen"`
	SweepAt   int64 `avro:"sweep_at"` // milliseconds of the partition's sweep clock, after which the key may go
	Count     int64 `avro:"count"`
}

// Window is the state of one (rule, group): the current dedup window. It keeps the policy it was opened with.
type Window struct {
	Start     int64     `avro:"start"` // Unix seconds of the first match
	Ruleset   []byte    `avro:"ruleset"`
	Rule      string    `avro:"rule"`
	Group     string    `avro:"group"`
	Policy    Policy    `avro:"policy"`
	First     Entry     `avro:"first"`      // with its evidence
	Count     int64     `avro:"count"`      // matches
	Reported  int64     `avro:"reported"`   // count in the last alert or update; 0: no alert yet
	ReachedAt int64     `avro:"reached_at"` // Unix milliseconds, event time of the match that reached the threshold
	LastSeen  int64     `avro:"last_seen"`  // Unix milliseconds, highest event time
	JoinedAt  int64     `avro:"joined_at"`  // Unix milliseconds, append time of the last join
	Closed    bool      `avro:"closed"`
	Counters  []Counter `avro:"counters"`
	SweepAt   int64     `avro:"sweep_at"`
}

// Cap is the state of a rule's cap on alerts: the current cap window.
type Cap struct {
	Start      int64  `avro:"start"` // Unix seconds of the first finding
	Ruleset    []byte `avro:"ruleset"`
	Rule       string `avro:"rule"`
	Policy     Policy `avro:"policy"`
	First      Entry  `avro:"first"`
	Alerts     int64  `avro:"alerts"`
	Suppressed int64  `avro:"suppressed"`
	Reported   int64  `avro:"reported"` // suppressed in the last overflow alert or update; 0: none yet
	LastSeen   int64  `avro:"last_seen"`
	JoinedAt   int64  `avro:"joined_at"`
	Closed     bool   `avro:"closed"`
	SweepAt    int64  `avro:"sweep_at"`
}

// Offset is the value of the changelog key "\x00offset": how far the input is contained in the changelog before it.
type Offset struct {
	InputTopicID   [16]byte `avro:"input_topic_id"`
	InputNext      int64    `avro:"input_next"`
	SweepClock     int64    `avro:"sweep_clock"`     // milliseconds
	InputTimestamp int64    `avro:"input_timestamp"` // highest Kafka timestamp of the input, Unix milliseconds
}

// The own methods cut byte slices to their length: hamba takes small ones out of a common kilobyte, in which an append
// would run into the next string.
func (m *Match) own()     { m.Evidence = slices.Clip(m.Evidence) }
func (c *Candidate) own() { c.Ruleset = slices.Clip(c.Ruleset); c.First.own() }
func (w *Window) own()    { w.Ruleset = slices.Clip(w.Ruleset); w.First.Match.own() }
func (c *Cap) own()       { c.Ruleset = slices.Clip(c.Ruleset); c.First.Match.own() }
func (f *Finding) own() {
	f.Ruleset = slices.Clip(f.Ruleset)
	for i := range f.Entries {
		f.Entries[i].Match.own()
	}
}
