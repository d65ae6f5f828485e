package scan

import (
	"errors"
	"fmt"
	"time"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor/stage"
	"firstseen/rules"
	"firstseen/schemas/wire"
	"firstseen/state"
)

// memory is the state directory of scan: what earlier runs have seen, and what this one adds at its end, in one batch.
//
// All of it is in one range. A scan has no changelog and no input topic, so the range's position has other things to
// say: ChangelogID is that of every scan, ChangelogNext counts the runs, InputTopicID is the beginning of the hash of
// the rules, and InputTimestamp is since when what they look for has been recorded.
type memory struct {
	dir     string
	store   *state.Store
	kept    *state.Range
	from    state.Position
	to      state.Position
	rules   [16]byte
	terms   int            // known at the start
	windows int            // likewise
	written *stage.Overlay // of this run, over kept
}

// ChangelogID is the changelog id of a scan's range, which tells it from those of a worker.
var ChangelogID = [16]byte([]byte("firstseen scan 1"))

// openMemory opens the directory, or makes it. It refuses the directory of a worker, whose answers a scan would change.
func openMemory(dir string, set *rules.Set) (m *memory, err error) {
	hash := set.Hash()
	m = &memory{dir: dir, rules: [16]byte(hash[:16])}
	if m.store, err = state.Open(dir, state.Options{}); err != nil {
		return nil, err
	}
	if err := m.load(); err != nil {
		return nil, errors.Join(err, m.store.Close())
	}
	return m, nil
}

func (m *memory) load() (err error) {
	infos, err := m.store.Ranges()
	if err != nil {
		return err
	}
	for _, info := range infos {
		if info.Err != nil {
			return fmt.Errorf("state %s: %w", m.dir, info.Err)
		}
		if info.Position.ChangelogID != ChangelogID {
			return fmt.Errorf("state %s is that of a worker: give scan a directory of its own", m.dir)
		}
	}
	if m.kept, err = m.store.Range(state.Detect, 0); err != nil {
		return err
	}
	m.from, _ = m.kept.Position()
	if m.to = m.from; m.from.ChangelogNext == 0 {
		m.to.ChangelogID, m.to.InputTimestamp = ChangelogID, wire.NoTime
	}
	m.to.ChangelogNext++
	m.written = stage.NewOverlay(m.kept)
	return errors.Join(count(m.kept, stage.TermKind, &m.terms), count(m.kept, stage.WindowKind, &m.windows))
}

func count(r *state.Range, kind byte, n *int) error {
	return r.Scan([]byte{kind}, func(_, _ []byte) error {
		*n++
		return nil
	})
}

// String says what was known at the start.
func (m *memory) String() string {
	if m.from.ChangelogNext == 0 {
		return fmt.Sprintf("state %s: new, nothing is known", m.dir)
	}
	s := fmt.Sprintf("state %s: %s and %s known after %s", m.dir, show.Plural(int64(m.terms), "term"), show.Plural(int64(m.windows), "window"), show.Plural(m.from.ChangelogNext, "run"))
	if m.from.InputTimestamp != wire.NoTime {
		s += ", recorded since " + time.UnixMilli(m.from.InputTimestamp).UTC().Format(time.RFC3339)
	}
	if m.from.InputTopicID != m.rules {
		s += ", with other rules"
	}
	return s
}

// begin returns since when the rules' terms have been recorded, in Unix milliseconds: since the first event of the first
// run, but with changed rules since the first of this run, which is given. What the old rules let pass was not seen.
func (m *memory) begin(first int64) int64 {
	if m.from.InputTopicID != m.rules {
		m.to.InputTimestamp = max(m.to.InputTimestamp, first)
	}
	m.to.InputTopicID = m.rules
	return m.to.InputTimestamp
}

// commit takes the writes of a batch of the pipeline.
func (m *memory) commit(terms, windows *stage.Overlay) error {
	for _, o := range []*stage.Overlay{terms, windows} {
		for key, value := range o.Writes() {
			m.written.Put(key, value) // a scan does not sweep, so nothing is deleted
		}
	}
	return nil
}

// save writes what this run has seen.
func (m *memory) save() error { return m.kept.Apply(m.from, m.to, m.written.Writes()) }

func (m *memory) close() error { return m.store.Close() }
