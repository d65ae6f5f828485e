// Package stage decides. Its machines turn records into outputs and writes to the state, and nothing else: no Kafka, no
// disk, no clock, no goroutine. The worker drives them with transactions, scan with files, test with the events of a
// rule file, replay with a range of a topic; what they decide is the same.
//
//	Ingest   messages            -> candidates, findings, dead letters   no state
//	Detect   candidates          -> findings                             terms
//	Group    findings            -> alerts, suppressed alerts            windows, caps
//
// A transaction is a run of records, one Flush where there is one, and the overlay's writes. All of it is a function of
// the records, their append times and the state they were met with: a transaction that was aborted and is played
// again, in one or in several parts, decides the same.
package stage

// View is the state of one partition as it was when the transaction began.
type View interface {
	// Get appends the value of a key to dst and returns the result; ok is false for a key that is not there.
	Get(dst, key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for every key with the prefix, in the order of their bytes, and ends with the first error of fn.
	// key and value are valid during the call.
	Scan(prefix []byte, fn func(key, value []byte) error) error
}

// Destination is the topic an output goes to.
type Destination uint8

// The destinations. Candidates and findings are internal records; alerts and suppressed alerts are documents.
const (
	Candidates Destination = iota
	Findings
	Alerts
	Suppressed
)

// String returns the topic's name without the prefix of the deployment.
func (d Destination) String() string {
	return [...]string{"candidates", "findings", "alerts", "suppressed"}[d]
}

// Output is one record to write. The caller may keep its slices.
type Output struct {
	To         Destination
	Key, Value []byte
	Headers    [][2]string // documents only
}
