package stage

import (
	"bytes"
	"fmt"

	"firstseen/rules"
	"firstseen/schemas/wire"
)

// maxCombined is the size in bytes, encoded, at which a combined record is cut.
const maxCombined = 256 << 10

// keptEntries is how many entries of a record have their memory kept for one of the next transaction.
const keptEntries = 32

// findings combines the matches of one transaction into one record for each rule and group, in such a way that the
// group stage decides as if it had got them one by one.
//
//   - A rule with terms, a cap, a threshold above 1 or no dedup window decides on every match: each is an entry of its
//     own.
//   - For any other rule only a match later than all before it can open a window. It is an entry; matches after it that
//     are not later are folded into it, as they join whatever window is current then.
//   - A record that would be more than 256 KiB is cut. Its key is the same, so the order is kept; what is later than
//     all before it starts anew.
//   - The alerts of a rule with a cap are counted across its groups, so its matches stay in their order: the rule has
//     one open record, which is cut where the group changes, and all have the rule as their key.
type findings struct {
	limit int // bytes
	open  map[string]int
	list  []finding // in order of creation
	key   []byte
	arena arena // of what the records refer to
}

// finding is a record in the making.
type finding struct {
	wire.Finding
	seq    int   // its place among all records of the transaction
	latest int64 // second of its latest entry
	size   int   // upper bound of the encoded bytes; negative: the record has been cut
	counts int   // those of the last entry's counters, of size
}

// place says where a match goes.
type place uint8

const (
	folded   place = iota // into the last entry
	listed                // an entry of its own that needs no evidence, as no alert can be its
	alerting              // an entry of its own, with evidence
)

func newFindings(limit int) findings { return findings{limit: limit, open: map[string]int{}} }

// at returns the open record for a match like h at second t, and where in it the match goes. A record that does not
// exist yet is begun, with seq. The record is valid until the next call; of h only the group is copied.
func (f *findings) at(h *wire.Finding, terms bool, t int64, seq int) (*finding, place) {
	f.key = append(f.key[:0], h.State[:]...)
	if h.Policy.CapCount == 0 {
		f.key = append(f.key, h.Group...)
	}
	i, ok := f.open[string(f.key)]
	if !ok || !f.list[i].takes(h) {
		i = f.begin(h, seq)
		f.open[f.arena.text(f.key)] = i
	}
	fd := &f.list[i]
	later := len(fd.Entries) == 0 || t > fd.latest
	switch {
	case later || terms || h.Policy.Period == 0 || h.Policy.CapCount > 0:
		return fd, alerting
	case h.Policy.Threshold > 1:
		return fd, listed
	}
	return fd, folded
}

// takes says whether a match with this head may be part of the record.
func (fd *finding) takes(h *wire.Finding) bool {
	return fd.size >= 0 && fd.Held == h.Held && fd.Group == h.Group && fd.Policy == h.Policy && bytes.Equal(fd.Ruleset, h.Ruleset)
}

// begin adds an empty record, in memory of an earlier transaction where there is some.
func (f *findings) begin(h *wire.Finding, seq int) int {
	n := len(f.list)
	if n < cap(f.list) {
		f.list = f.list[:n+1]
	} else {
		f.list = append(f.list, finding{})
	}
	entries := f.list[n].Entries[:0]
	f.list[n] = finding{Finding: *h, seq: seq, size: 128 + len(h.Ruleset) + len(h.Rule) + len(h.Group)}
	f.list[n].Entries = entries
	f.list[n].Group = f.arena.text([]byte(h.Group))
	return n
}

// add appends an entry for a match that was listed or alerting, and reports whether it fitted. If not, the record is
// cut, and the match is to be placed anew.
func (f *findings) add(fd *finding, e *wire.Entry) bool {
	size := entrySize(e)
	if fd.size+size > f.limit && len(fd.Entries) > 0 {
		fd.size = -1
		return false
	}
	if t := rules.Second(e.Match.Time); len(fd.Entries) == 0 || t > fd.latest {
		fd.latest = t
	}
	fd.Entries = append(fd.Entries, *e)
	fd.size += size
	fd.counts = countersSize(e.Counters)
	return true
}

// fold adds a match to the last entry and returns it, for the match's attributes to be counted there; recount says that
// this is done. Where there may be no room for that many attributes more it returns nil: the record is cut, and the
// match is to be placed anew.
func (f *findings) fold(fd *finding, attributes int) *wire.Entry {
	if fd.size+attributes*maxValues*(maxCounted+64) > f.limit {
		fd.size = -1
		return nil
	}
	e := &fd.Entries[len(fd.Entries)-1]
	e.Folded++
	return e
}

func (f *findings) recount(fd *finding) {
	size := countersSize(fd.Entries[len(fd.Entries)-1].Counters)
	fd.size += size - fd.counts
	fd.counts = size
}

// output encodes record i.
func (f *findings) output(i int) (Output, error) {
	fd := &f.list[i]
	value, err := wire.AppendFinding(nil, &fd.Finding)
	if err != nil {
		return Output{}, fmt.Errorf("finding of rule %s: %w", fd.Rule, err)
	}
	key := fd.Group
	if fd.Policy.CapCount > 0 {
		key = fd.Rule
	}
	return Output{To: Findings, Key: []byte(key), Value: value}, nil
}

// reset forgets all records, keeping their memory.
func (f *findings) reset() {
	for i := range f.list {
		clear(f.list[i].Entries) // and with them what they hold on to
		if cap(f.list[i].Entries) > keptEntries {
			f.list[i].Entries = nil // else every place would in time have room for the entries of the largest group
		}
	}
	f.list = f.list[:0]
	clear(f.open)
	f.arena.reset()
}

// entrySize bounds the encoded size of an entry: its strings, and ten bytes for each number and length.
func entrySize(e *wire.Entry) int {
	m := &e.Match
	n := 180 + len(m.EventID) + len(m.Origin.Topic) + len(m.Origin.File) + len(m.Title) + len(m.Evidence)
	for _, term := range e.Terms {
		n += 10 + len(term)
	}
	return n + countersSize(e.Counters)
}

func countersSize(c []wire.Counter) (n int) {
	for i := range c {
		n += 40 + len(c[i].Attribute) + len(c[i].Value)
	}
	return n
}
