// Package proof compares what a deployment has made of a known input with what it had to: the alerts that subscribers
// saw, the state that its workers keep, the topics themselves. The tests of the processor and the chaos run share it.
//
// It knows the formats of what it reads and nothing of how they came about. What had to come is told to it.
package proof

import "fmt"

// Kind is a kind of difference.
type Kind string

// The kinds.
const (
	Missing   Kind = "missing alert"
	Duplicate Kind = "duplicate alert"
	Wrong     Kind = "wrong alert"
	Count     Kind = "wrong count" // of a window that was reported closed
	Term      Kind = "wrong term"
	Window    Kind = "wrong window"
	Cap       Kind = "wrong cap"
	Letter    Kind = "dead letter"
	Store     Kind = "store"  // a range that is not there, or stands elsewhere than the group
	Broker    Kind = "broker" // open transactions, lag
	Input     Kind = "input"  // it is not what was meant to be written: then nothing else means anything
)

// Difference is one thing that is not as it has to be, and where to look.
type Difference struct {
	Kind      Kind   `json:"kind"`
	Rule      string `json:"rule,omitempty"`
	EventID   string `json:"event_id,omitempty"` // of the record that the alert, or the window, began with
	Key       string `json:"key,omitempty"`      // address, bucket, group
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition,omitempty"`
	Offset    int64  `json:"offset,omitempty"`
	Detail    string `json:"detail"`
}

// String is the difference in a line.
func (d Difference) String() string {
	s := string(d.Kind) + ": " + d.Detail
	for _, of := range [][2]string{{"rule", d.Rule}, {"event", d.EventID}, {"of", d.Key}} {
		if of[1] != "" {
			s += fmt.Sprintf(", %s %s", of[0], of[1])
		}
	}
	if d.Topic != "" {
		s += fmt.Sprintf(", at %s/%d offset %d", d.Topic, d.Partition, d.Offset)
	}
	return s
}

// Differences are all that were found.
type Differences []Difference

// Of counts those of a kind.
func (d Differences) Of(k Kind) (n int) {
	for i := range d {
		if d[i].Kind == k {
			n++
		}
	}
	return n
}

func (d *Differences) add(one Difference, format string, args ...any) {
	one.Detail = fmt.Sprintf(format, args...)
	*d = append(*d, one)
}
