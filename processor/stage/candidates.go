package stage

import (
	"fmt"

	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// combined is what the matches of a transaction of ingest have become so far: candidates for rules with terms, findings
// for the others. Matches with the same rule and terms are one candidate, as only the first of them can be new: an
// event that comes more than the history after all before it begins another candidate, and so does one that is to be
// learned after one that is not, or the other way round. The detect stage decides as if it had got them one by one.
type combined struct {
	findings   findings
	candidates []candidate // in order of creation
	last       map[string]int
	seq        int
	key        []byte // state id and terms
	scratch    []byte
	shown      []byte // the evidence of the event in hand
}

type candidate struct {
	wire.Candidate
	seq int // its place among all records of the transaction
	key []byte
}

func newCombined() combined {
	return combined{findings: newFindings(maxCombined), last: map[string]int{}}
}

// join counts an event at t into the latest candidate with its key, if it may.
func (c *combined) join(t, history int64, learn bool) bool {
	i, ok := c.last[string(c.key)]
	if !ok {
		return false
	}
	last := &c.candidates[i]
	if last.Learn != learn || rules.Silent(last.Last, t, history) {
		return false
	}
	last.Count++
	last.Last = max(last.Last, t)
	return true
}

// open begins a candidate for the key.
func (c *combined) open() *candidate {
	c.last[string(c.key)] = len(c.candidates)
	c.candidates = append(c.candidates, candidate{seq: c.seq})
	c.seq++
	return &c.candidates[len(c.candidates)-1]
}

// evidence returns the event's evidence, bounded, in memory of the transaction. All that comes of the event shares it.
func (c *combined) evidence(e *schemas.Event) []byte {
	if c.shown == nil {
		c.scratch = boundEvidence(e.AppendEvidence(c.scratch[:0]), 0)
		c.shown = c.findings.arena.take(c.scratch)
	}
	return c.shown
}

// Flush emits the records of the transaction in the order in which they were begun, and is ready for the next one.
func (c *combined) Flush(emit func(Output)) error {
	defer c.Discard()
	f := 0
	for i := 0; i < len(c.candidates) || f < len(c.findings.list); {
		var out Output
		var err error
		if i == len(c.candidates) || f < len(c.findings.list) && c.findings.list[f].seq < c.candidates[i].seq {
			out, err = c.findings.output(f)
			f++
		} else {
			out, err = c.candidates[i].output()
			i++
		}
		if err != nil {
			return err
		}
		emit(out)
	}
	return nil
}

// Discard drops what an aborted transaction left.
func (c *combined) Discard() {
	c.findings.reset()
	clear(c.candidates)
	c.candidates = c.candidates[:0]
	clear(c.last)
	c.seq, c.shown = 0, nil
}

func (c *candidate) output() (Output, error) {
	value, err := wire.AppendCandidate(nil, &c.Candidate)
	if err != nil {
		return Output{}, fmt.Errorf("candidate of rule %s: %w", c.Rule, err)
	}
	return Output{To: Candidates, Key: c.key, Value: value}, nil
}
