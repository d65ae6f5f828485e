package main

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"firstseen/internal/proof"
)

// letters compares the dead letters with the poison: each record of it must be one, once, with its reason, and nothing
// else may be. An outage makes none.
type letters struct {
	want map[origin]*deadLetter
	seen map[origin]string // where it is
	diff proof.Differences
}

func newLetters(a *answer) *letters { return &letters{want: a.letters, seen: map[origin]string{}} }

// saw takes a record of the dead-letter topic.
func (l *letters) saw(r *kgo.Record) {
	h := map[string]string{}
	for _, header := range r.Headers {
		h[header.Key] = string(header.Value)
	}
	d := proof.Difference{Kind: proof.Letter, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: fmt.Sprintf("%s/%s offset %s", h["dlq-topic"], h["dlq-partition"], h["dlq-offset"])}
	partition, err1 := strconv.ParseInt(h["dlq-partition"], 10, 32)
	offset, err2 := strconv.ParseInt(h["dlq-offset"], 10, 64)
	from := origin{place{h["dlq-topic"], int32(partition)}, offset}
	want := l.want[from]
	switch {
	case err1 != nil || err2 != nil:
		d.Detail = "it does not say where it comes from"
	case want == nil:
		d.Detail = fmt.Sprintf("this record is well; it is a dead letter of stage %s because of %s: %s", h["dlq-stage"], h["dlq-reason"], h["dlq-detail"])
	case l.seen[from] != "":
		d.Detail = "a second one, the first is at " + l.seen[from]
	case h["dlq-reason"] != string(want.reason) || h["dlq-index"] != strconv.Itoa(int(want.index)):
		d.Detail = fmt.Sprintf("reason %s, index %s; it should be %s, %d: %s", h["dlq-reason"], h["dlq-index"], want.reason, want.index, h["dlq-detail"])
	case want.value != nil && !bytes.Equal(want.value, r.Value):
		d.Detail = fmt.Sprintf("its value is %.80q", r.Value)
	}
	if want != nil && l.seen[from] == "" {
		l.seen[from] = fmt.Sprintf("%s/%d offset %d", r.Topic, r.Partition, r.Offset)
	}
	if d.Detail != "" {
		l.diff = append(l.diff, d)
	}
}

// differences says what was not as expected, when all were seen.
func (l *letters) differences() proof.Differences {
	all := l.diff
	for from, want := range l.want {
		if l.seen[from] == "" {
			all = append(all, proof.Difference{Kind: proof.Letter, Topic: from.topic, Partition: from.partition, Offset: from.offset, Detail: "no dead letter was made of this poison: " + string(want.reason)})
		}
	}
	return all
}
