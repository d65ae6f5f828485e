package stage

import (
	"slices"
	"unsafe"

	"firstseen/schemas/wire"
)

// arena is memory for what the records of a transaction in the making refer to. All of it is given up at once: a string
// or slice of it is valid until reset.
type arena struct {
	bytes    []byte
	counters []wire.Counter
}

// keptArena is how much of an arena is kept for the next transaction, in bytes.
const keptArena = 8 << 20

// text is b as a string.
func (a *arena) text(b []byte) string { return view(a.take(b)) }

// take is b, copied.
func (a *arena) take(b []byte) []byte {
	from := len(a.bytes)
	a.bytes = append(a.bytes, b...) // what was taken before stays where it is when this moves
	return slices.Clip(a.bytes[from:])
}

// room is an empty slice for n counters.
func (a *arena) room(n int) []wire.Counter {
	from := len(a.counters)
	a.counters = slices.Grow(a.counters, n)[:from+n]
	return a.counters[from : from : from+n]
}

func (a *arena) reset() {
	if a.bytes = a.bytes[:0]; cap(a.bytes) > keptArena {
		a.bytes = nil
	}
	clear(a.counters)
	if a.counters = a.counters[:0]; cap(a.counters)*int(unsafe.Sizeof(wire.Counter{})) > keptArena {
		a.counters = nil
	}
}

// view is b as a string, as long as nobody writes to b.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
