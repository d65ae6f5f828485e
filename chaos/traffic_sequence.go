package main

import (
	"bytes"
	"math/rand/v2"
	"time"

	"firstseen/traffic"
)

// Event time begins long ago, as no time may be later than its record's, and runs fast: a history of seven days passes
// within a minute.
var firstDay = time.Date(2010, 1, 4, 0, 0, 0, 0, time.UTC)

const (
	speed       = 8 * 24 * 60 // seconds of event time a second
	poisonEvery = 300         // records, about
)

// item is a record of the input.
type item struct {
	place
	offset    int64 // in its partition
	value     []byte
	kafkaTime time.Time      // never before the event's
	event     traffic.Record // what is known of it; of poison nothing
	dead      *deadLetter    // what must come of it or of a part of it; nil: nothing
}

// sequence is the whole input of a run, one record after the other. The same run has the same, and so does every start
// of it: what was asked for meanwhile is in the notes. Each address and each bucket has its records in one partition.
type sequence struct {
	r       *run
	notes   []note
	noted   int // notes looked at
	g       *traffic.Generator
	rnd     *rand.Rand // for poison: the records between do not depend on it
	n       int64      // number of the next record
	offsets map[place]int64
	now     time.Time // the highest event time so far
	pending int       // poison that comes next
	last    []byte    // a record that the rules about terms match
	quiet   []byte    // one that no rule matches
}

func newSequence(r *run, notes []note) *sequence {
	o := traffic.Defaults()
	o.Seed, o.Start, o.Rate, o.Trail, o.Anonymous, o.Outside, o.Addresses, o.Buckets = r.Seed, firstDay, float64(r.Rate)/speed, 0.5, 0.6, 0.6, 800, 12
	g, err := traffic.New(o)
	if err != nil {
		panic(err) // the options are constants
	}
	return &sequence{r: r, notes: notes, g: g, rnd: rand.New(rand.NewPCG(r.Seed, 0x706f69736f6e)), offsets: map[place]int64{}}
}

// next makes the next record.
func (s *sequence) next() item {
	for ; s.noted < len(s.notes) && s.notes[s.noted].At <= s.n; s.noted++ {
		s.pending += s.notes[s.noted].Poison
		s.g.Jump(s.notes[s.noted].Leap)
	}
	s.n++
	if s.last != nil && s.quiet != nil && (s.pending > 0 || s.rnd.IntN(poisonEvery) == 0) {
		s.pending = max(0, s.pending-1)
		return s.bad()
	}
	e := s.g.Next()
	if e.Time.After(s.now) {
		s.now = e.Time
	}
	switch {
	case e.Rule == traffic.NewTermsRule:
		s.last = e.Value
	case e.Kind == traffic.CloudTrail && !bytes.Contains(e.Value, []byte("anonymous")):
		s.quiet = e.Value
	}
	it := item{place: place{s.topic(e.Kind), e.Partition(int(s.r.SourceSize))}, value: e.Value, event: e}
	s.take(&it)
	return it
}

// take gives a record its offset and its time.
func (s *sequence) take(it *item) {
	it.offset, it.kafkaTime = s.offsets[it.place], s.now
	s.offsets[it.place]++
}

func (s *sequence) topic(k traffic.Kind) string {
	if k == traffic.CloudTrail {
		return s.r.Sources[0]
	}
	return s.r.Sources[1]
}
