package schemas

// Message is what was read: a Kafka message, or one top-level value of a file.
type Message struct {
	Value     []byte
	Timestamp int64 // Kafka's, Unix milliseconds; negative: none
	Topic     string
	Partition int32
	Offset    int64
	File      string
	Line      int64  // of the value, from 1
	Now       int64  // Unix milliseconds: stands in for Timestamp where there is none, as in a file; 0: nothing does
	Format    Format // what is expected; FormatAuto: told by the shape
	Broken    Reason // not "": the source broke off after Value, for this reason
}

// Format says what the records of a source are.
type Format uint8

// The formats. FormatAuto tells the records apart by their shape.
const (
	FormatAuto Format = iota
	FormatCloudTrail
	FormatS3Access
)

// ParseFormat understands auto, cloudtrail and s3access.
func ParseFormat(name string) (Format, bool) {
	for i, n := range []string{"auto", "cloudtrail", "s3access"} {
		if n == name {
			return Format(i), true
		}
	}
	return 0, false
}

// Bounds limit what one message may cost.
type Bounds struct {
	MessageBytes int // of a message after decompression; over it the message is one dead letter
	Records      int // of a message; over it the message is one dead letter
	RecordBytes  int // over it the record is a dead letter, its neighbours are not
	Depth        int // of JSON in a record; over it the record is a dead letter, its neighbours are not
	Nesting      int // envelopes inside one another; Records counts as one
}

// DefaultBounds are generous for what AWS writes and small against what a forged message could cost.
var DefaultBounds = Bounds{MessageBytes: 64 << 20, Records: 500_000, RecordBytes: 1 << 20, Depth: 128, Nesting: 3}

// Config is what a Decoder is made of. Zero bounds are the default ones.
type Config struct {
	Layout      *Layout
	Filters     map[Dataset]*Filter // no filter for a dataset: every record passes
	Bounds      Bounds
	ValidateAll bool   // parse every record, also those that a filter would reject
	Strict      bool   // IPv4-mapped IPv6 addresses stay IPv6
	Owners      Owners // who is asked for source.as.*; nil: no record has them
}

// Sink takes what a message consists of, in the order in which it is there. The arguments are valid during the call
// only.
type Sink interface {
	Event(*Event)
	Dead(DeadLetter)
}

// DeadLetter is input that could not be decoded.
type DeadLetter struct {
	Reason Reason
	Detail string
	Index  int32  // which record of the message, from 0; -1: the whole message
	Value  []byte // the record, or what is left of a message that broke off
	Line   int64  // of a file, from 1
}

// Stats counts what became of a message. Records is the sum of Filtered, Events, Skipped and Dead.
type Stats struct {
	Records    int
	Filtered   int // rejected by the filter without being parsed
	Events     int
	Skipped    int // known not to be an API call or a request: notifications, digests, Insights, control messages
	Dead       int
	Unverified int   // events whose time could not be compared with a Kafka timestamp
	Clamped    int   // events whose time was later than it could be
	Bytes      int64 // decompressed
}

// Add adds the counts of another message.
func (s *Stats) Add(o Stats) {
	s.Records += o.Records
	s.Filtered += o.Filtered
	s.Events += o.Events
	s.Skipped += o.Skipped
	s.Dead += o.Dead
	s.Unverified += o.Unverified
	s.Clamped += o.Clamped
	s.Bytes += o.Bytes
}

// Reason is why input is a dead letter; a closed list, see Reasons.
type Reason string

// The reasons.
const (
	InvalidJSON    Reason = "invalid_json"     // the record is no JSON
	Truncated      Reason = "truncated"        // the message or the line ends in the middle of a record
	TooLarge       Reason = "too_large"        // message or record over its bound in bytes
	TooManyRecords Reason = "too_many_records" // message over its bound in records
	TooDeep        Reason = "too_deep"         // JSON over its bound in depth
	TooNested      Reason = "too_nested"       // more envelopes inside one another than the bound
	InvalidGzip    Reason = "invalid_gzip"     // gzip by its first bytes, but damaged
	UnknownShape   Reason = "unknown_shape"    // none of the envelopes and records we know
	NoTime         Reason = "no_time"          // neither the record nor the message has a time
	RuleError      Reason = "rule_error"       // a rule could not decide about the record
	Panicked       Reason = "panic"            // evaluating the record panicked
	RejectedOutput Reason = "rejected_output"  // the broker refused what came of the record
)

// Reasons lists every reason there is, for documentation and metrics.
func Reasons() []Reason {
	return []Reason{InvalidJSON, Truncated, TooLarge, TooManyRecords, TooDeep, TooNested, InvalidGzip, UnknownShape,
		NoTime, RuleError, Panicked, RejectedOutput}
}
