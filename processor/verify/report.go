package verify

import (
	"errors"
	"fmt"
	"time"

	"firstseen/processor"
	"firstseen/schemas/wire"
	"firstseen/state"
)

// Compared is what comparing a range of a store with its changelog has shown.
type Compared struct {
	Stage     processor.Stage
	Partition int32
	Position  state.Position
	Keys      int // the same in both
	Open      int // written again behind the position, and compacted before it: what they were there, nobody knows
	Differ    int
	Begins    int64  // offset at which its changelog begins, if not at 0: that has lost records
	Old       bool   // it may have missed tombstones that are gone: a worker that takes it over builds it anew
	Wrong     string // why it was not compared; empty: it was
}

// Difference is a key that the store and the changelog do not agree on. A nil value: the key is not there.
type Difference struct {
	Stage             processor.Stage
	Partition         int32
	Key, Store, Topic []byte
}

// Explain says what a state key is, for people.
func (d *Difference) Explain() string {
	name := "key"
	if len(d.Key) > 9 {
		name = map[byte]string{1: "term", 2: "window", 3: "cap"}[d.Key[0]]
	}
	if len(d.Key) < 9 {
		return fmt.Sprintf("%s %q", name, d.Key)
	}
	return fmt.Sprintf("%s %x %q: the store has %s, the changelog %s", name, d.Key[1:9], d.Key[9:], valueText(d.Store), valueText(d.Topic))
}

func valueText(value []byte) string {
	var t wire.Term
	switch err := wire.DecodeTerm(value, &t); {
	case value == nil:
		return "nothing"
	case errors.Is(err, nil):
		return fmt.Sprintf("first %s, last %s, %d times", timeText(t.FirstSeen), timeText(t.LastSeen), t.Count)
	}
	return fmt.Sprintf("another value (%d bytes)", len(value))
}

// Equal says that nothing was found that a worker would not put right by itself when it takes the partition over.
func (v *Compared) Equal() bool { return v.Wrong == "" && (v.Differ == 0 || v.Old) }

// String is a line for people.
func (v *Compared) String() string {
	result := "ok     "
	if !v.Equal() {
		result = "FAIL   "
	}
	text := fmt.Sprintf("%s  %s/%d  %d keys equal, %d differ, at %v, input offset %d", result, v.Stage, v.Partition, v.Keys, v.Differ, v.Position, v.Position.InputNext)
	if v.Wrong != "" {
		text = fmt.Sprintf("%s  %s/%d  %s", result, v.Stage, v.Partition, v.Wrong)
	}
	if v.Open > 0 {
		text += fmt.Sprintf("; %d have been written again since and cannot be compared", v.Open)
	}
	if v.Begins > 0 && v.Differ > 0 {
		text += fmt.Sprintf("; the changelog begins at offset %d: what was before has been deleted", v.Begins)
	}
	if v.Old {
		text += "; it is so old that a worker builds it anew"
	}
	return text
}

func timeText(ms int64) string {
	if ms == wire.NoTime || ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}
