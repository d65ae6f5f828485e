package stage

import (
	"errors"
	"fmt"

	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// ErrUnknownRuleset is what a RuleLookup answers for a ruleset it has not got. The partition waits until it has been
// fetched.
var ErrUnknownRuleset = errors.New("unknown ruleset")

// RuleLookup returns the texts of a rule in the ruleset with the given SHA-256. Its error, ErrUnknownRuleset or
// another, is returned by the stage with nothing changed: the same call may be made again. What it returned may be used
// again for the same names, and must stay as it is.
type RuleLookup func(ruleset []byte, rule string) (*alert.Rule, error)

// GroupConfig is how alerts are made.
type GroupConfig struct {
	// CloseAfter is how many milliseconds after the last join a window is reported closed, at the earliest.
	// Default: 15 minutes.
	CloseAfter int64
	// Formats of the documents. Default: ECS.
	Formats []alert.Format
	// SuppressedTopic is where an overflow alert says that suppressed alerts are. Default: "suppressed".
	SuppressedTopic string
}

// Group is the stage that makes alerts of findings: dedup windows, thresholds, caps. One Group serves one partition.
//
// Between records it holds the windows that will have something to report when they close, to be found without a scan,
// and the highest append time it has read. Both follow from the state and the input position: [Group.Open] makes them.
type Group struct {
	cfg    GroupConfig
	now    int64 // highest append time of the partition, Unix milliseconds
	due    dueHeap
	queued map[string]bool // keys in due
	counts GroupCounts
	rules  map[ruleName]*alert.Rule // that were looked up
	turn
}

// turn is one call of Record. What it does takes effect when it has done all of it.
type turn struct {
	writes  *Overlay
	clock   int64
	lookup  RuleLookup
	outputs []Output
	popped  []dueKey
	counted GroupCounts
	key     []byte // memory for the key of a window
	value   []byte // and for values of the state

	read   wire.Finding // a view of the record
	memory wire.Memory
	window struct { // a view of what the state has
		wire.Window
		value    []byte
		memory   wire.Memory
		counters counters // where they grow
	}
	cap     capWindow
	summary []wire.Counter // of the alert in hand
}

// GroupCounts says what a Group has met and made since it was opened, aborted transactions included.
type GroupCounts struct {
	Findings, Ticks                     int64 // records
	Entries, Matches                    int64 // entries of findings; with the matches folded into them
	Alerts, Closed, Overflows           int64 // documents
	SuppressedByCap, SuppressedByShadow int64 // alerts and updates of them
	SuppressedByLearning                int64 // alerts
}

// add adds what the detect stage made, where no window and no cap is.
func (c GroupCounts) add(d GroupCounts) GroupCounts {
	c.Entries += d.Entries
	c.Matches += d.Matches
	c.Alerts += d.Alerts
	c.SuppressedByShadow += d.SuppressedByShadow
	c.SuppressedByLearning += d.SuppressedByLearning
	return c
}

// NewGroup returns the stage for a partition without state. For one with state, call Open.
func NewGroup(cfg GroupConfig) *Group {
	if cfg.CloseAfter == 0 {
		cfg.CloseAfter = 15 * 60 * 1000
	}
	if cfg.SuppressedTopic == "" {
		cfg.SuppressedTopic = Suppressed.String()
	}
	if len(cfg.Formats) == 0 {
		cfg.Formats = []alert.Format{alert.ECS}
	}
	return &Group{cfg: cfg, queued: map[string]bool{}, rules: map[ruleName]*alert.Rule{}, turn: turn{writes: NewOverlay(nil)}}
}

// Record decides on one finding, in the order of its partition, after closing the windows whose time has come by the
// record's append time. An empty value is a tick, which does only that. clock is the partition's sweep clock with this
// record counted (see [Advance]), timestamp the record's append time in Unix milliseconds; the key is not looked at.
// The outputs are valid until the next call.
//
// On an error nothing was changed. It is the lookup's, or says that the record or a value of the state cannot be read
// and the partition must not go on; then it wraps wire.ErrUnknownVersion if a newer worker can read it.
func (g *Group) Record(view *Overlay, clock int64, key, value []byte, timestamp int64, lookup RuleLookup) ([]Output, error) {
	f := &g.read
	if len(value) > 0 {
		if err := wire.ViewFinding(value, f, &g.memory); err != nil {
			return nil, err
		}
	}
	before := g.now
	g.now = max(g.now, timestamp)
	g.begin(view, clock, lookup)
	err := g.closeDue(g.now)
	switch {
	case err != nil:
	case len(value) == 0:
		g.counted.Ticks++
	default:
		g.counted.Findings++
		err = g.finding(f)
	}
	if err != nil {
		g.now = before
	}
	return g.end(view, err)
}

// begin starts a turn.
func (g *Group) begin(view *Overlay, clock int64, lookup RuleLookup) {
	g.writes.Reset()
	g.writes.base = view
	g.clock, g.lookup = clock, lookup
	g.outputs, g.popped, g.counted = g.outputs[:0], g.popped[:0], g.counts
}

// end makes the turn take effect, or not.
func (g *Group) end(view *Overlay, err error) ([]Output, error) {
	if err != nil {
		for _, d := range g.popped {
			g.due.push(d) // a key that is in there twice does no harm
			g.queued[d.key] = true
		}
		return nil, err
	}
	view.putAll(g.writes)
	g.counts = g.counted
	return g.outputs, nil
}

// stateless says whether every entry of a finding is an alert, or a suppressed one, whatever the state is.
func stateless(f *wire.Finding) bool {
	return f.Held || f.Policy.Period <= 0 && f.Policy.CapCount <= 0
}

// noState is what a stateless finding is decided with. Nothing is written to it.
var noState = NewOverlay(nil)

// alone makes the alert of an entry of a stateless finding. Its outputs and errors are those of Record.
func (g *Group) alone(f *wire.Finding, e *wire.Entry, timestamp int64, lookup RuleLookup) ([]Output, error) {
	g.now = timestamp
	g.begin(noState, 0, lookup)
	g.counted.Entries++
	g.counted.Matches++
	if _, err := g.alert(f, e, nil, nil); err != nil {
		return nil, fmt.Errorf("finding of rule %s: %w", f.Rule, err)
	}
	g.counts = g.counted
	return g.outputs, nil
}

// Entries takes a finding apart: it returns a record for each of its entries, which Record decides on, one after the other,
// as on the whole. What cannot be read, a tick and a finding of one entry are returned as they are.
func Entries(value []byte) [][]byte {
	var f wire.Finding
	if len(value) == 0 || wire.ViewFinding(value, &f, new(wire.Memory)) != nil || len(f.Entries) < 2 {
		return [][]byte{value}
	}
	all := f.Entries
	records := make([][]byte, len(all))
	for i := range all {
		f.Entries = all[i : i+1]
		var err error
		if records[i], err = wire.AppendFinding(nil, &f); err != nil {
			return [][]byte{value}
		}
	}
	return records
}

// Counts returns what was met and made so far.
func (g *Group) Counts() GroupCounts { return g.counts }

// Timestamp returns the highest append time read, in Unix milliseconds.
func (g *Group) Timestamp() int64 { return g.now }
