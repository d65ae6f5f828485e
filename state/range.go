package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"

	"firstseen/schemas/wire"
)

// Keys on disk: the stage, the partition (big endian), then the key as it is in the changelog. The position is under a
// single 0 byte. Keys that begin with 0 are the changelog's own, so nothing else is there and the position comes first.
const (
	prefixLen = 5
	reserved  = 0
)

func rangePrefix(stage Stage, partition int32) (p [prefixLen]byte) {
	p[0] = byte(stage)
	binary.BigEndian.PutUint32(p[1:], uint32(partition))
	return p
}

// Writes are the changes of one batch: keys and values, a nil value deletes the key. Of several values for one key the
// last counts.
type Writes = iter.Seq2[[]byte, []byte]

// A Range is the state of one partition of a stage. Invariant: keys and position change together, and only from the
// position that the change was computed from.
//
// Reads do not wait for batches and see the last one applied. A lane whose range was taken over in the meantime may read
// a mixture; it finds out when it applies what it has made of it.
type Range struct {
	store     *Store
	stage     Stage
	partition int32
	prefix    [prefixLen]byte
	held      atomic.Uint32 // the id in recent

	mu      sync.Mutex
	loaded  bool // position and present are those on disk
	pos     Position
	present bool
}

func (r *Range) String() string { return fmt.Sprintf("%s partition %d", r.stage, r.partition) }

func (r *Range) key(suffix ...byte) []byte {
	return append(r.prefix[:len(r.prefix):len(r.prefix)], suffix...)
}

// load reads the position from disk. mu is held.
func (r *Range) load() error {
	value, ok, err := r.get(nil, []byte{reserved})
	if err != nil {
		return err
	}
	if ok {
		if r.pos, err = decodePosition(value); err != nil {
			return fmt.Errorf("state %s, %v: %w", r.store.dir, r, err)
		}
	}
	r.loaded, r.present = true, ok
	return nil
}

// Position returns where the range stands, and false for a range that holds nothing: it stands at the zero Position.
func (r *Range) Position() (Position, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pos, r.present
}

// Get appends the value of a key to dst and returns the result; ok is false for a key that is not there.
func (r *Range) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if len(key) == 0 || key[0] == reserved {
		return dst, false, nil
	}
	if err := r.store.failure(); err != nil {
		return dst, false, err
	}
	if dst, ok = r.store.recent.get(dst, r.held.Load(), key); ok {
		return dst, true, nil
	}
	return r.get(dst, key)
}

var consultFilters = pebble.IterOptions{UseL6Filters: true}

// get is Get for every key, from the store. Most keys that are not among the recent ones are new, and Pebble's own Get
// would read a block of the last level to learn that: only a prefix seek can be told to consult the filters there too.
// The prefix is the whole key.
func (r *Range) get(dst, key []byte) ([]byte, bool, error) {
	if err := r.store.failure(); err != nil {
		return dst, false, err
	}
	it, err := r.store.db.NewIter(&consultFilters)
	if err != nil {
		return dst, false, r.store.readError("read", err)
	}
	found := it.SeekPrefixGE(r.key(key...))
	if found {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			dst = append(dst, value...)
		}
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return dst, false, r.store.readError("read", err)
	}
	return dst, found, nil
}

// Scan calls fn for every key with the prefix, in the order of their bytes, and ends with the first error of fn. key
// and value are valid during the call. What is applied meanwhile is not seen.
func (r *Range) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if len(prefix) > 0 && prefix[0] == reserved {
		return nil
	}
	lower := r.key(prefix...)
	upper := successor(lower)
	if len(prefix) == 0 {
		lower = r.key(reserved + 1)
	}
	return r.walk(lower, upper, func(key, value []byte) (bool, error) { return true, fn(key, value) })
}

// Sweep looks at the next n keys from cursor on, which is nil to begin with, and returns copies of those whose sweep
// deadline the clock has passed. next is where to go on, nil at the end of the range. Nothing is deleted: the keys may
// have been written anew in the transaction at hand.
func (r *Range) Sweep(cursor []byte, n int, clock int64) (due [][]byte, next []byte, err error) {
	lower := r.key(reserved + 1)
	if len(cursor) > 0 {
		lower = r.key(cursor...)
	}
	err = r.walk(lower, successor(r.prefix[:]), func(key, value []byte) (bool, error) {
		if n--; n < 0 {
			next = bytes.Clone(key)
			return false, nil
		}
		if at, ok := wire.SweepAt(value); ok && clock > at {
			due = append(due, bytes.Clone(key))
		}
		return true, nil
	})
	return due, next, err
}

// walk calls fn for the keys of [lower, upper), without the range's prefix, until it returns false or an error.
func (r *Range) walk(lower, upper []byte, fn func(key, value []byte) (more bool, err error)) (err error) {
	if err := r.store.failure(); err != nil {
		return err
	}
	it, err := r.store.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return r.store.readError("read", err)
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = r.store.readError("read", cerr)
		}
	}()
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return r.store.readError("read", err)
		}
		if more, err := fn(it.Key()[prefixLen:], value); err != nil || !more {
			return err
		}
	}
	return nil // an error of the iterator comes from its Close
}

// Apply writes one batch and moves the range from one position to another, or does neither: with ErrMoved unless the
// range stands at from, which is the position that the writes were computed from (the zero Position for a new range).
// The batch is in memory when Apply returns, no further: a log that is not synced is written block by block, so a process
// that is killed loses its last batches as a machine does.
func (r *Range) Apply(from, to Position, writes Writes) error {
	return r.move(from, to, func() error {
		batch := r.store.db.NewBatch()
		err := r.each(to, writes, func(key, value []byte) error {
			if value == nil {
				return batch.Delete(key, nil)
			}
			return batch.Set(key, value, nil)
		})
		if err != nil {
			return err
		}
		return r.commit(batch)
	})
}

// move has a change written that takes the range from one position to another.
func (r *Range) move(from, to Position, write func() error) error {
	if to.ChangelogID == from.ChangelogID && to.ChangelogNext < from.ChangelogNext {
		return fmt.Errorf("apply to %v: from %v back to %v", r, from, to)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.standsAt(from); err != nil {
		return fmt.Errorf("apply to %v: %w", r, err)
	}
	if err := write(); err != nil {
		r.forget() // whatever has become of it
		return fmt.Errorf("apply to %v: %w", r, err)
	}
	r.pos, r.present = to, true
	return nil
}

// each calls put for the position and then for every write, with keys as they are on disk, valid during the call.
func (r *Range) each(to Position, writes Writes, put func(key, value []byte) error) error {
	full := r.key(reserved)
	if err := put(full, appendPosition(nil, to)); err != nil {
		return err
	}
	for key, value := range writes {
		if len(key) == 0 || key[0] == reserved {
			return fmt.Errorf("key %q is not for state", key)
		}
		full = append(full[:prefixLen], key...)
		if err := put(full, value); err != nil {
			return err
		}
	}
	return nil
}

// Delete empties the range, which then stands at the zero Position. Like Apply it does so only from where it was seen
// to stand, so that a range that has found a new owner stays.
func (r *Range) Delete(from Position) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.standsAt(from); err != nil {
		return fmt.Errorf("delete %v: %w", r, err)
	}
	return r.clear()
}

// standsAt returns ErrMoved unless the range is at a position. mu is held.
func (r *Range) standsAt(from Position) error {
	if !r.pos.at(from) {
		return fmt.Errorf("it stands at %v, not at %v: %w", r.pos, from, ErrMoved)
	}
	return nil
}

// clear removes all keys and the position. mu is held.
func (r *Range) clear() error {
	r.forget()
	batch := r.store.db.NewBatch()
	_ = batch.DeleteRange(r.key(), successor(r.prefix[:]), nil)
	if err := r.commit(batch); err != nil {
		return fmt.Errorf("delete %v: %w", r, err)
	}
	r.pos, r.present, r.loaded = Position{}, false, true
	return nil
}

// commit writes a batch, and then holds what it wrote among the recent values. It ends the batch's use; a store that has
// failed may go on using it. mu is held.
func (r *Range) commit(batch *pebble.Batch) error {
	return r.store.guard(func() error {
		written := batch.Reader() // a large batch gives its memory to the store
		err := batch.Commit(pebble.NoSync)
		if err == nil {
			r.hold(written)
		}
		return errors.Join(err, batch.Close())
	})
}

// hold takes the writes of a committed batch among the recent values.
func (r *Range) hold(written batchrepr.Reader) {
	id := r.held.Load()
	for {
		kind, key, value, more, err := written.Next()
		switch {
		case err == nil && !more:
			return
		case err == nil && kind == pebble.InternalKeyKindSet && key[prefixLen] == reserved:
		case err == nil && kind == pebble.InternalKeyKindSet:
			r.store.recent.put(id, key[prefixLen:], value)
		case err == nil && kind == pebble.InternalKeyKindDelete:
			r.store.recent.remove(id, key[prefixLen:])
		default:
			r.forget()
			return
		}
	}
}

// forget holds nothing of the range among the recent values any more.
func (r *Range) forget() { r.held.Store(r.store.recent.newID()) }

// successor returns the first key after all that begin with a prefix. A range's prefix begins with its stage, so there
// always is one.
func successor(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for len(end) > 1 && end[len(end)-1] == 0xFF {
		end = end[:len(end)-1]
	}
	end[len(end)-1]++
	return end
}
