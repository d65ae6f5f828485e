package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// A cell is a record of a run that is sorted. The first bytes in which the keys of the run differ decide most comparisons
// without a look at the key itself.
type cell struct {
	high, low uint64
	at        uint32
}

const cellBytes = 24

// touchCells fetches the records of the next cells from memory, when all that it fetched before were needed.
func (r *Run) touchCells(i int) {
	if i%queueLen == 0 {
		for _, c := range r.cells[i:min(i+queueLen, len(r.cells))] {
			r.touch(c.at)
		}
	}
}

// Writes are the writes of the run in the order of their keys, each once. They are valid until it is begun anew or added to.
func (r *Run) Writes() Writes {
	r.settle()
	r.sort()
	return func(yield func(key, value []byte) bool) {
		for i, c := range r.cells {
			r.touchCells(i)
			key, value, _ := parseRecord(r.at(c.at))
			if !yield(key, value) {
				return
			}
		}
	}
}

// share is told of every key, once.
func (r *Run) share(key []byte) {
	if r.newest.held == 1 {
		r.shared = len(key)
		return
	}
	first, _, _ := parseRecord(r.blocks[0])
	n := min(r.shared, len(key))
	for !bytes.Equal(key[:n], first[:n]) {
		n--
	}
	r.shared = n
}

func (r *Run) sort() {
	if r.sorted {
		return
	}
	r.sorted = true
	r.cells = make([]cell, 0, r.newest.held)
	for _, s := range r.newest.slots {
		if s.at > 0 {
			r.cells = append(r.cells, cell{at: s.at})
		}
	}
	for i := range r.cells {
		r.touchCells(i)
		key, _, _ := parseRecord(r.at(r.cells[i].at))
		var head [16]byte
		copy(head[:], key[r.shared:])
		r.cells[i].high, r.cells[i].low = binary.BigEndian.Uint64(head[:]), binary.BigEndian.Uint64(head[8:])
	}
	slices.SortFunc(r.cells, func(a, b cell) int {
		switch {
		case a.high != b.high:
			return cmp.Compare(a.high, b.high)
		case a.low != b.low:
			return cmp.Compare(a.low, b.low)
		}
		keyA, _, _ := parseRecord(r.at(a.at))
		keyB, _, _ := parseRecord(r.at(b.at))
		return bytes.Compare(keyA, keyB)
	})
}
