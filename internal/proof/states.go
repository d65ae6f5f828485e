package proof

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"firstseen/processor/stage"
	"firstseen/schemas/wire"
	"firstseen/state"
)

// States is what the stores of all workers hold, each partition as its last owner has it.
type States struct {
	Terms   map[string]wire.Term   // by state key
	Windows map[string]wire.Window // by rule and the event id of their first match, with a space between
	Caps    map[string]wire.Cap    // by state key
	Ranges  map[Range]Held
}

// Range names the state of a partition.
type Range struct {
	Stage     state.Stage
	Partition int32
}

// Held is where a range is, and how far it has come.
type Held struct {
	Dir      string
	Position state.Position
}

// Disk is where a state directory is.
type Disk struct {
	Dir string
	FS  vfs.FS // nil: the disk
}

// ReadStates reads stores that nobody has open: of every partition the range that has come farthest, which is its last
// owner's. A directory that holds no store that this build can read is left out, and told to skipped.
func ReadStates(disks []Disk, partitions int32, skipped func(dir string, err error)) (*States, error) {
	s := &States{map[string]wire.Term{}, map[string]wire.Window{}, map[string]wire.Cap{}, map[Range]Held{}}
	values := map[Range]map[string][]byte{}
	for _, disk := range disks {
		dir := disk.Dir
		store, err := state.Open(dir, state.Options{ReadOnly: true, FS: disk.FS})
		if err != nil {
			skipped(dir, err)
			continue
		}
		for _, st := range []state.Stage{state.Detect, state.Group} {
			for n := range partitions {
				id := Range{st, n}
				r, err := store.Range(st, n)
				if err != nil {
					skipped(dir, err)
					continue
				}
				pos, ok := r.Position()
				if !ok || pos.ChangelogNext <= s.Ranges[id].Position.ChangelogNext {
					continue
				}
				read := map[string][]byte{}
				if err := r.Scan(nil, func(key, value []byte) error {
					read[string(key)] = bytes.Clone(value)
					return nil
				}); err != nil {
					skipped(dir, err)
					continue
				}
				s.Ranges[id], values[id] = Held{dir, pos}, read
			}
		}
		if err := store.Close(); err != nil {
			return nil, err
		}
	}
	for id, read := range values {
		for key, value := range read {
			if err := s.take(key, value); err != nil {
				return nil, fmt.Errorf("%s, %s partition %d, state key %q: %w", s.Ranges[id].Dir, id.Stage, id.Partition, key, err)
			}
		}
	}
	return s, nil
}

// take decodes a value.
func (s *States) take(key string, value []byte) error {
	switch key[0] {
	case stage.TermKind:
		var t wire.Term
		err := wire.DecodeTerm(value, &t)
		s.Terms[key] = t
		return err
	case stage.WindowKind:
		var w wire.Window
		err := wire.DecodeWindow(value, &w)
		s.Windows[w.Rule+" "+w.First.Match.EventID] = w
		return err
	case stage.CapKind:
		var c wire.Cap
		err := wire.DecodeCap(value, &c)
		s.Caps[key] = c
		return err
	}
	return fmt.Errorf("it is of no known kind")
}
