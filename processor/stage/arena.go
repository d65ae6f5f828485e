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
	// keptChunks are how many are kept for the next transaction, and the last piece of memory for counters, of so many.
	keptChunks  = 64
	maxCounters = 64 << 10
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
	if from+n > cap(a.counters) { // what was taken before stays where it is
		from, a.counters = 0, make([]wire.Counter, 0, max(n, min(2*cap(a.counters), maxCounters)))
	}
	a.counters = a.counters[:from+n]
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
	a.counters = a.counters[:0]
}

// view is b as a string, as long as nobody writes to b.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
