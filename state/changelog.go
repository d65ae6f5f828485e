package state

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"firstseen/schemas/wire"
)

// The changelog's own keys. All others are state keys, whose first byte is never 0.
const (
	// OffsetKey has a wire.Offset as value: the input that the changelog contains up to here.
	OffsetKey = "\x00offset"
	// BarrierKey marks how far a reader has to read. Its value belongs to who wrote it.
	BarrierKey = "\x00barrier"
)

// Record is a record of a changelog partition. A nil value is a tombstone.
type Record struct {
	Offset     int64
	Key, Value []byte
}

// Fold turns a run of changelog records into the batch they amount to: the writes and the position after them, for
// [Range.Apply]. A transaction that was committed and the same read back from the changelog are the same batch. The
// barrier is left as it was: only the reader knows whether one is its own.
//
// A value or key of a newer build is refused with wire.ErrUnknownVersion, and damage with wire.ErrCorrupt. The writes
// alias the records.
func Fold(from Position, records []Record) (to Position, writes Writes, err error) {
	to = from
	var own []Record
	for _, r := range records {
		if r.Offset < to.ChangelogNext {
			return from, nil, fmt.Errorf("changelog offset %d comes after %d", r.Offset, to.ChangelogNext-1)
		}
		if err := to.advance(r); err != nil {
			return from, nil, fmt.Errorf("changelog offset %d, key %q: %w", r.Offset, r.Key, err)
		}
		if r.Key[0] != reserved {
			own = append(own, r)
		}
	}
	// In the order of their keys, Pebble takes in a batch for a quarter less, the sorting included.
	slices.SortFunc(own, func(a, b Record) int { return cmp.Or(bytes.Compare(a.Key, b.Key), cmp.Compare(a.Offset, b.Offset)) })
	return to, func(yield func(key, value []byte) bool) {
		for i, r := range own {
			overwritten := i+1 < len(own) && bytes.Equal(r.Key, own[i+1].Key)
			if !overwritten && !yield(r.Key, r.Value) {
				return
			}
		}
	}, nil
}

// advance moves a position over one record.
func (p *Position) advance(r Record) error {
	p.ChangelogNext = r.Offset + 1
	switch {
	case len(r.Key) == 0:
		return wire.ErrCorrupt
	case string(r.Key) == OffsetKey:
		return wire.DecodeOffset(r.Value, &p.Offset)
	case string(r.Key) == BarrierKey:
		return nil
	case r.Key[0] == reserved:
		return wire.ErrUnknownVersion
	case r.Value == nil:
		return nil
	}
	if _, ok := wire.SweepAt(r.Value); ok {
		return nil
	}
	// It is none of ours. Any decoder can tell a newer one from a broken one.
	if err := wire.DecodeTerm(r.Value, new(wire.Term)); err != nil {
		return err
	}
	return wire.ErrCorrupt
}
