package stage

import (
	"slices"
	"unsafe"

	"firstseen/schemas/wire"
)

// arena is memory for what the records of a transaction in the making refer to. All of it is given up at once: a string
// or slice of it is valid until reset.
type arena struct {
	chunks   [][]byte
	used     int // chunks that are full, or in use
	counters []wire.Counter
}

const (
	chunkSize = 256 << 10
	// keptChunks and keptCounters are how much of an arena is kept for the next transaction.
	keptChunks   = 64
	keptCounters = 64 << 10
)

// text is b as a string.
func (a *arena) text(b []byte) string { return view(a.take(b)) }

// take is b, copied.
func (a *arena) take(b []byte) []byte {
	if a.used == 0 || len(b) > cap(a.chunks[a.used-1])-len(a.chunks[a.used-1]) {
		if len(b) > chunkSize {
			return slices.Clone(b)
		}
		if a.used == len(a.chunks) {
			a.chunks = append(a.chunks, make([]byte, 0, chunkSize))
		}
		a.used++
	}
	c := &a.chunks[a.used-1]
	from := len(*c)
	*c = append(*c, b...)
	return slices.Clip((*c)[from:])
}

// room is an empty slice for n counters.
func (a *arena) room(n int) []wire.Counter {
	from := len(a.counters)
	a.counters = slices.Grow(a.counters, n)[:from+n] // what was taken before stays where it is when this moves
	return a.counters[from : from : from+n]
}

func (a *arena) reset() {
	for i := range a.chunks[:a.used] {
		a.chunks[i] = a.chunks[i][:0]
	}
	if a.used = 0; len(a.chunks) > keptChunks {
		clear(a.chunks[keptChunks:])
		a.chunks = a.chunks[:keptChunks]
	}
	clear(a.counters)
	if a.counters = a.counters[:0]; cap(a.counters) > keptCounters {
		a.counters = nil
	}
}

// view is b as a string, as long as nobody writes to b.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
