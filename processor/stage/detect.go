package stage

import (
	"fmt"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// Detect is the stage of new terms: it compares candidates with the terms of its partitions' state. What is new is a
// finding, or at once an alert where nothing is left for the group stage to decide: without dedup window and cap. One
// Detect serves all partitions of a transaction, as findings are combined over all of them.
type Detect struct {
	findings   findings
	alerts     *Group         // which renders
	outputs    []Output       // alerts
	bytes      int64          // of them
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

// NewDetect returns the stage with nothing pending. The configuration is that of its alerts.
func NewDetect(cfg GroupConfig) *Detect {
	return &Detect{findings: newFindings(maxCombined), alerts: NewGroup(cfg)}
}

// Record decides on one candidate, in the order of its partition. clock is the partition's sweep clock with this record
// counted (see [Advance]), timestamp the record's append time in Unix milliseconds, which alerts show as the time they
// were made; the key is not looked at.
//
// On an error nothing was changed. It is the lookup's, or says that the record or a value of the state cannot be read
// and the partition must not go on; then it wraps wire.ErrUnknownVersion if a newer worker can read it.
func (d *Detect) Record(view *Overlay, clock int64, key, value []byte, timestamp int64, lookup RuleLookup) error {
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
	if fire && !c.Learn {
		if err := d.find(value, previous, timestamp, lookup); err != nil {
			return err
		}
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
	}
	return nil
}

// find makes a finding, or an alert, of the first event of the candidate in hand, whose record is value.
func (d *Detect) find(value []byte, previous, timestamp int64, lookup RuleLookup) error {
	f, e := found(&d.candidate, previous)
	if stateless(&f) {
		outputs, err := d.alerts.alone(&f, &e, timestamp, lookup)
		for i := range outputs {
			d.bytes += int64(len(outputs[i].Value))
		}
		d.outputs = append(d.outputs, outputs...)
		return err
	}
	// The record is gone before Flush, and d.memory used again.
	var kept wire.Candidate
	if err := wire.ViewCandidate(d.findings.arena.take(value), &kept, new(wire.Memory)); err != nil {
		return err // it was read before
	}
	f, e = found(&kept, previous)
	for {
		fd, _ := d.findings.at(&f, true, rules.Second(e.Match.Time), len(d.findings.list))
		if d.findings.add(fd, &e) {
			return nil
		}
	}
}

// found is the finding, without its entry, and the entry that a candidate with new terms makes.
func found(c *wire.Candidate, previous int64) (wire.Finding, wire.Entry) {
	f := wire.Finding{Ruleset: c.Ruleset, Rule: c.Rule, State: c.State, Group: c.Group, Policy: c.Policy, Held: c.First.Time < c.HoldUntil}
	return f, wire.Entry{
		Match: c.First, Terms: c.Terms, PreviousSeen: previous, History: c.History, HistoryStart: c.HistoryStart, Counters: c.Counters,
	}
}

// Flush emits the alerts and the findings of the transaction, of these one record for each rule and group, and is ready
// for the next one.
func (d *Detect) Flush(emit func(Output)) error {
	defer d.Discard()
	d.emitAlerts(emit)
	for i := range d.findings.list {
		out, err := d.findings.output(i)
		if err != nil {
			return err
		}
		emit(out)
	}
	return nil
}

// emitAlerts emits the alerts that wait for Flush.
func (d *Detect) emitAlerts(emit func(Output)) {
	for _, out := range d.outputs {
		emit(out)
	}
	d.dropAlerts()
}

func (d *Detect) dropAlerts() {
	clear(d.outputs)
	d.outputs, d.bytes = d.outputs[:0], 0
}

// Discard drops what an aborted transaction left.
func (d *Detect) Discard() {
	d.findings.reset()
	d.dropAlerts()
}

// Bytes is how large the alerts are that wait for Flush.
func (d *Detect) Bytes() int64 { return d.bytes }

// Counts returns what was met so far.
func (d *Detect) Counts() DetectCounts { return d.counts }

// Alerts returns what alerts were made so far, aborted transactions included.
func (d *Detect) Alerts() GroupCounts { return d.alerts.Counts() }
