package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// A Run is a stretch of a changelog that is read to be applied in one piece: what [Fold] makes of it, for as many records
// as fit into memory. Records are copied. It keeps its memory when it is begun anew.
type Run struct {
	to     Position
	blocks [][]byte // records one after another: the sizes of key and value, then both
	used   int      // blocks
	cells  []cell
	sorted bool
}

// A cell is a record of a run. The first bytes in which the keys of the run differ decide most comparisons without a look
// at the key itself.
type cell struct {
	high, low uint64
	block, at uint32
}

const (
	cellBytes  = 24
	blockBytes = 1 << 20
)

// Begin empties the run: its first record comes at a position.
func (r *Run) Begin(from Position) {
	r.to, r.used, r.cells, r.sorted = from, 0, r.cells[:0], false
}

// To is the position after the records of the run. The barrier is left as it was, as by [Fold].
func (r *Run) To() Position { return r.to }

// Bytes is how much memory the records take.
func (r *Run) Bytes() int { return r.used*blockBytes + len(r.cells)*cellBytes }

// Add adds the next record. With an error, which is that of [Fold], the run is as it was.
func (r *Run) Add(rec Record) error {
	if rec.Offset < r.to.ChangelogNext {
		return fmt.Errorf("changelog offset %d comes after %d", rec.Offset, r.to.ChangelogNext-1)
	}
	to := r.to
	if err := to.advance(rec); err != nil {
		return fmt.Errorf("changelog offset %d, key %q: %w", rec.Offset, rec.Key, err)
	}
	if r.to = to; rec.Key[0] != reserved {
		r.keep(rec)
	}
	return nil
}

func (r *Run) keep(rec Record) {
	need := 2*binary.MaxVarintLen64 + len(rec.Key) + len(rec.Value)
	if r.used == 0 || len(r.blocks[r.used-1])+need > cap(r.blocks[r.used-1]) {
		if r.used == len(r.blocks) {
			r.blocks = append(r.blocks, nil)
		}
		if cap(r.blocks[r.used]) < need {
			r.blocks[r.used] = make([]byte, 0, max(need, blockBytes))
		}
		r.blocks[r.used] = r.blocks[r.used][:0]
		r.used++
	}
	b := r.blocks[r.used-1]
	r.cells = append(r.cells, cell{block: uint32(r.used - 1), at: uint32(len(b))})
	b = binary.AppendUvarint(b, uint64(len(rec.Key)))
	size := uint64(0) // of a tombstone
	if rec.Value != nil {
		size = 1 + uint64(len(rec.Value))
	}
	b = binary.AppendUvarint(b, size)
	r.blocks[r.used-1] = append(append(b, rec.Key...), rec.Value...)
}

// record returns the key and the value of a cell.
func (r *Run) record(c cell) (key, value []byte) {
	b := r.blocks[c.block][c.at:]
	n, w := binary.Uvarint(b)
	size, v := binary.Uvarint(b[w:])
	b = b[w+v:]
	if size > 0 {
		value = b[n : n+size-1 : n+size-1]
	}
	return b[:n:n], value
}

// Writes are the writes of the run in the order of their keys. They are valid until it is begun anew.
func (r *Run) Writes() Writes {
	r.sort()
	return func(yield func(key, value []byte) bool) {
		for i, c := range r.cells {
			key, value := r.record(c)
			if i+1 < len(r.cells) && r.cells[i+1].high == c.high && r.cells[i+1].low == c.low {
				if next, _ := r.record(r.cells[i+1]); bytes.Equal(key, next) {
					continue // overwritten
				}
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

func (r *Run) sort() {
	if r.sorted || len(r.cells) == 0 {
		return
	}
	r.sorted = true
	first, _ := r.record(r.cells[0])
	shared := len(first)
	for _, c := range r.cells {
		key, _ := r.record(c)
		shared = min(shared, len(key))
		if !bytes.Equal(key[:shared], first[:shared]) {
			for shared = 0; key[shared] == first[shared]; {
				shared++
			}
		}
	}
	for i, c := range r.cells {
		key, _ := r.record(c)
		var head [16]byte
		copy(head[:], key[shared:])
		r.cells[i].high, r.cells[i].low = binary.BigEndian.Uint64(head[:]), binary.BigEndian.Uint64(head[8:])
	}
	slices.SortFunc(r.cells, func(a, b cell) int {
		switch {
		case a.high != b.high:
			return cmp.Compare(a.high, b.high)
		case a.low != b.low:
			return cmp.Compare(a.low, b.low)
		}
		keyA, _ := r.record(a)
		keyB, _ := r.record(b)
		if c := bytes.Compare(keyA, keyB); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.block, b.block), cmp.Compare(a.at, b.at)) // the later one last
	})
}
