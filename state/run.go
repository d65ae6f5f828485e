package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A Run is a stretch of a changelog that is read to be applied in one piece: what [Fold] makes of it, for as many keys
// as fit into memory. It has the newest record of each key alone: how often one was written before does not count.
// Records are copied. It keeps the memory for them when it is begun anew.
type Run struct {
	to     Position
	blocks [][]byte // records one after another, as appendRecord has them; of some there is a newer one
	used   int      // blocks
	newest index
	wait   queue
	shared int // the keys have so many first bytes in common
	cells  []cell
	sorted bool
	read   byte
}

// queue has records that were not looked up yet. To look up many at a time is several times as fast as one after the
// other: what is known of their keys lies all over the memory, and a processor waits for many places at once.
type queue struct {
	bytes   []byte // the records one after another
	records []queued
}

type queued struct {
	hash uint32
	end  uint32 // in the queue's bytes
	slot slot   // where to look first
}

const (
	blockBytes = 1 << 20
	queueLen   = 64
	queueBytes = 16 << 10
)

// Begin empties the run: its first record comes at a position.
func (r *Run) Begin(from Position) {
	r.to, r.used, r.shared, r.cells, r.sorted = from, 0, 0, nil, false
	r.wait.empty()
	r.newest.empty()
}

// To is the position after the records of the run. The barrier is left as it was, as by [Fold].
func (r *Run) To() Position { return r.to }

// Bytes is how much memory the records take. It has to stay below 4 GB.
func (r *Run) Bytes() int {
	return r.used*blockBytes + len(r.wait.bytes) + r.newest.held*(cellBytes+2*slotBytes)
}

// Add adds the next record. With an error, which is that of [Fold], the run is as it was.
func (r *Run) Add(rec Record) error {
	if rec.Offset < r.to.ChangelogNext {
		return fmt.Errorf("changelog offset %d comes after %d", rec.Offset, r.to.ChangelogNext-1)
	}
	was := r.to
	if err := r.to.advance(rec); err != nil {
		r.to = was
		return fmt.Errorf("changelog offset %d, key %q: %w", rec.Offset, rec.Key, err)
	}
	if rec.Key[0] == reserved {
		return nil
	}
	r.wait.bytes = appendRecord(r.wait.bytes, rec)
	r.wait.records = append(r.wait.records, queued{hash: r.newest.hash(rec.Key), end: uint32(len(r.wait.bytes))})
	if len(r.wait.records) == queueLen || len(r.wait.bytes) > queueBytes {
		r.settle()
	}
	return nil
}

// settle takes in the queue.
func (r *Run) settle() {
	q := &r.wait
	if len(q.records) == 0 {
		return
	}
	r.sorted = false
	r.newest.reserve(len(q.records))
	for i := range q.records {
		q.records[i].slot = r.newest.first(q.records[i].hash)
	}
	for _, w := range q.records {
		if w.slot.hash == w.hash && w.slot.at > 0 {
			r.touch(w.slot.at)
		}
	}
	from := uint32(0)
	for _, w := range q.records {
		r.put(w.hash, q.bytes[from:w.end])
		from = w.end
	}
	q.empty()
}

func (q *queue) empty() { q.bytes, q.records = q.bytes[:0], q.records[:0] }

// put takes in a record in place of the one before it with the same key, for good if it fits there.
func (r *Run) put(hash uint32, rec []byte) {
	key, _, _ := parseRecord(rec)
	for n := r.newest.begin(hash); ; n = r.newest.next(n) {
		s := &r.newest.slots[n]
		if s.at == 0 {
			*s = slot{hash, r.keep(rec)}
			r.newest.held++
			r.share(key)
			return
		}
		if s.hash != hash {
			continue
		}
		old := r.at(s.at)
		if was, _, size := parseRecord(old); !bytes.Equal(was, key) {
			continue
		} else if len(rec) <= size {
			copy(old, rec)
		} else {
			s.at = r.keep(rec)
		}
		return
	}
}

// keep copies a record and returns its place.
func (r *Run) keep(rec []byte) uint32 {
	if r.used == 0 || len(r.blocks[r.used-1])+len(rec) > blockBytes {
		if r.used == len(r.blocks) {
			r.blocks = append(r.blocks, nil)
		}
		if cap(r.blocks[r.used]) < len(rec) {
			r.blocks[r.used] = make([]byte, 0, max(len(rec), blockBytes))
		}
		r.blocks[r.used] = r.blocks[r.used][:0]
		r.used++
	}
	b := &r.blocks[r.used-1]
	at := (r.used-1)*blockBytes + len(*b)
	*b = append(*b, rec...)
	return uint32(at) + 1
}

// at returns what lies at a place and behind it. Places count from 1. In a block that is larger than others there is one
// record.
func (r *Run) at(place uint32) []byte { return r.blocks[(place-1)/blockBytes][(place-1)%blockBytes:] }

// touch has a record fetched from memory that will be needed soon.
func (r *Run) touch(place uint32) {
	b := r.at(place)
	r.read ^= b[0] ^ b[min(64, len(b)-1)] // most lie in two cache lines
}

// appendRecord appends the sizes of key and value, then both.
func appendRecord(b []byte, rec Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(rec.Key)))
	size := uint64(0) // of a tombstone
	if rec.Value != nil {
		size = 1 + uint64(len(rec.Value))
	}
	b = binary.AppendUvarint(b, size)
	return append(append(b, rec.Key...), rec.Value...)
}

// parseRecord returns the record that b begins with, and its size.
func parseRecord(b []byte) (key, value []byte, size int) {
	n, w := binary.Uvarint(b)
	v, x := binary.Uvarint(b[w:])
	from := w + x
	size = from + int(n)
	key = b[from:size:size]
	if v > 0 {
		from, size = size, size+int(v)-1
		value = b[from:size:size]
	}
	return key, value, size
}
