// Package stage decides. Its machines turn records into outputs and writes to the state, and nothing else: no Kafka, no
// disk, no clock, no goroutine. The worker drives them with transactions, scan with files, test with the events of a
// rule file, replay with a range of a topic; what they decide is the same.
//
//	Ingest   messages            -> candidates, findings, dead letters   no state
//	Detect   candidates          -> findings; alerts, suppressed alerts  terms
//	Group    findings            -> alerts, suppressed alerts            windows, caps
//
// A transaction is a run of records, one Flush where there is one, and the overlay's writes. All of it is a function of
// the records, their append times and the state they were met with: a transaction that was aborted and is played
// again, in one or in several parts, decides the same.
package stage

import (
	"encoding/binary"

	"firstseen/schemas/wire"
)

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

// The kinds of state, which are the first byte of a state key. The second to ninth are the rule's state id.
const (
	TermKind   byte = 1 // detect: wire.Term by terms
	WindowKind byte = 2 // group: wire.Window by group
	CapKind    byte = 3 // group: wire.Cap, one a rule
)

// TermKey appends the state key of a rule's terms.
func TermKey(dst []byte, state wire.StateID, terms []string) []byte {
	return appendTerms(append(append(dst, TermKind), state[:]...), terms)
}

// WindowKey appends the state key of a group's window.
func WindowKey(dst []byte, state wire.StateID, group string) []byte {
	return append(append(append(dst, WindowKind), state[:]...), group...)
}

// CapKey appends the state key of a rule's cap window.
func CapKey(dst []byte, state wire.StateID) []byte {
	return append(append(dst, CapKind), state[:]...)
}

// candidateKey is what the candidates of a rule are partitioned by: the source address if it is one of the terms, so that
// one worker sees all of an address, else all terms.
func candidateKey(terms []string, source int) []byte {
	if source >= 0 {
		return []byte(terms[source])
	}
	return appendTerms(nil, terms)
}

// appendTerms appends terms so that no two lists of the same length look alike: all but the last with their length
// before them. One term, the usual case, is just its bytes.
func appendTerms[T string | []byte](dst []byte, terms []T) []byte {
	for i, term := range terms {
		if i < len(terms)-1 {
			dst = binary.AppendUvarint(dst, uint64(len(term)))
		}
		dst = append(dst, term...)
	}
	return dst
}
