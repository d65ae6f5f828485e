package wire

import (
	"bytes"
	"math"
	"unsafe"
)

// A cursor reads values one after the other, as strictly as a shape: what a shape would not skip makes it bad, and
// then nothing is left and everything it reads is empty. Texts are views of src.
type cursor struct {
	src    []byte
	at     int // what is read of src
	bad    bool
	memory Memory // for arrays
}

// open returns a cursor at the start of src. Without memory for a view it is at that of a copy, and what is read of it
// has memory of its own.
func open(src []byte, m *Memory) cursor {
	if m == nil {
		return cursor{src: bytes.Clone(src)}
	}
	m.reset()
	return cursor{src: src, memory: *m}
}

// done says whether everything was there and nothing is left. What a broken record made the memory grow to is given
// back.
func (c *cursor) done(m *Memory) bool {
	ok := !c.bad && c.at == len(c.src)
	if m != nil && ok {
		*m = c.memory
	}
	return ok
}

func (c *cursor) fail() { c.src, c.at, c.bad = nil, 0, true }

func (c *cursor) long() int64 {
	if at := c.at; uint(at) < uint(len(c.src)) && c.src[at] < 0x80 {
		c.at++
		return int64(c.src[at]>>1) ^ -int64(c.src[at]&1)
	}
	return c.longer()
}

// longer is long for more than a byte.
func (c *cursor) longer() int64 {
	v, rest, ok := varint(c.src[c.at:])
	if !ok {
		c.fail()
		return 0
	}
	c.at = len(c.src) - len(rest)
	return v
}

func (c *cursor) int() int32 {
	v := c.long()
	if v < math.MinInt32 || v > math.MaxInt32 {
		c.fail()
		return 0
	}
	return int32(v)
}

func (c *cursor) bool() bool {
	if c.at >= len(c.src) || c.src[c.at] > 1 {
		c.fail()
		return false
	}
	c.at++
	return c.src[c.at-1] == 1
}

// next returns the next n bytes, which cannot be appended to.
func (c *cursor) next(n uint64) []byte {
	if n > uint64(len(c.src)-c.at) { // so is a negative length
		c.fail()
		return nil
	}
	from := c.at
	c.at += int(n)
	return c.src[from:c.at:c.at]
}

func (c *cursor) bytes() []byte { return c.next(uint64(c.long())) }

func (c *cursor) text() string {
	b := c.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (c *cursor) fixed(dst []byte) { copy(dst, c.next(uint64(len(dst)))) }

// count reads how many items of at least size bytes an array has: no more than the bytes left can hold, so that no
// memory is taken that they do not bear out.
func (c *cursor) count(size int) int {
	n := c.long()
	if uint64(n) > uint64((len(c.src)-c.at)/size) {
		c.fail()
		return 0
	}
	return int(n)
}

// end reads what follows the items of an array: the zero of a second block. An empty array is that zero alone.
func (c *cursor) end(items int) {
	if items > 0 && c.long() != 0 {
		c.fail()
	}
}

// Memory is what the arrays of a view lie in: of one record at a time, the next one overwrites it. The zero value is
// ready for use.
type Memory struct {
	texts    []string
	counters []Counter
	entries  []Entry
}

// reset forgets the record, and with it the bytes it was a view of.
func (m *Memory) reset() {
	clear(m.texts)
	clear(m.counters)
	clear(m.entries)
	m.texts, m.counters, m.entries = m.texts[:0], m.counters[:0], m.entries[:0]
}

// take returns the next n items of a slab, which cannot be appended to. Where there are not as many, a larger slab
// takes its place; what was taken of the old one stays.
func take[T any](slab *[]T, n int) []T {
	from := len(*slab)
	if *slab == nil || cap(*slab)-from < n {
		from, *slab = 0, make([]T, 0, max(n, 2*cap(*slab)))
	}
	*slab = (*slab)[:from+n]
	return (*slab)[from : from+n : from+n]
}
