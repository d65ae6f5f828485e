package stage

import (
	"fmt"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// Detect is the stage of new terms: it compares candidates with the terms of its partitions' state. One Detect serves
// all partitions of a transaction, as findings are combined over all of them.
type Detect struct {
	findings   findings
	candidate  wire.Candidate // a view of the record
	memory     wire.Memory
	term       wire.Term
	key, value []byte
	counts     DetectCounts
}

// DetectCounts says what a Detect has met since it was made, aborted transactions included.
type DetectCounts struct {
	Candidates int64 // records
	Events     int64 // the events in them
	Learned    int64 // records that only taught their terms
	HeldBack   int64 // those of them whose terms were new
	Findings   int64 // new terms
}

// NewDetect returns the stage with nothing pending.
func NewDetect() *Detect { return &Detect{findings: newFindings(maxCombined)} }

// Record decides on one candidate, in the order of its partition. clock is the partition's sweep clock with this record
// counted (see [Advance]). key and timestamp are the record's; nothing here depends on them.
//
// An error means that the record or a value of the state cannot be read, and nothing was changed: the partition must
// not go on. It wraps wire.ErrUnknownVersion if a newer worker can read it.
func (d *Detect) Record(view *Overlay, clock int64, key, value []byte, timestamp int64) error {
	c := &d.candidate
	if err := wire.ViewCandidate(value, c, &d.memory); err != nil {
		return err
	}
	d.key = TermKey(d.key[:0], c.State, c.Terms)
	stored, known, err := view.Get(d.value[:0], d.key)
	if err != nil {
		return fmt.Errorf("terms of rule %s: %w", c.Rule, err)
	}
	d.value, d.term = stored, wire.Term{}
	if known {
		if err := wire.DecodeTerm(stored, &d.term); err != nil {
			return fmt.Errorf("terms of rule %s: %w", c.Rule, err)
		}
	}
	fire, previous := rules.Observe(&d.term, known, c.First.Time, c.Last, c.Count, c.History)
	d.term.SweepAt = rules.SweepAt(d.term.SweepAt, clock, c.History)
	if d.value, err = wire.AppendTerm(d.value[:0], &d.term); err != nil {
		return fmt.Errorf("terms of rule %s: %w", c.Rule, err)
	}
	view.Put(d.key, d.value)
	d.counts.Candidates++
	d.counts.Events += c.Count
	switch {
	case c.Learn:
		d.counts.Learned++
		if fire {
			d.counts.HeldBack++
		}
	case fire:
		d.counts.Findings++
		// The record is gone before Flush, and d.memory used again.
		var kept wire.Candidate
		if err := wire.ViewCandidate(d.findings.arena.take(value), &kept, new(wire.Memory)); err != nil {
			return err // it was read before
		}
		d.find(&kept, previous)
	}
	return nil
}

// find adds a finding for the first event of the candidate.
func (d *Detect) find(c *wire.Candidate, previous int64) {
	head := wire.Finding{Ruleset: c.Ruleset, Rule: c.Rule, State: c.State, Group: c.Group, Policy: c.Policy, Held: c.First.Time < c.HoldUntil}
	e := wire.Entry{
		Match: c.First, Terms: c.Terms, PreviousSeen: previous, History: c.History, HistoryStart: c.HistoryStart,
		Counters: c.Counters,
	}
	for {
		fd, _ := d.findings.at(&head, true, rules.Second(c.First.Time), len(d.findings.list))
		if d.findings.add(fd, &e) {
			return
		}
	}
}

// Flush emits the findings of the transaction, one record for each rule and group, and is ready for the next one.
func (d *Detect) Flush(emit func(Output)) error {
	defer d.findings.reset()
	for i := range d.findings.list {
		out, err := d.findings.output(i)
		if err != nil {
			return err
		}
		emit(out)
	}
	return nil
}

// Discard drops what an aborted transaction left.
func (d *Detect) Discard() { d.findings.reset() }

// Counts returns what was met so far.
func (d *Detect) Counts() DetectCounts { return d.counts }
