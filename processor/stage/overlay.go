package stage

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"unsafe"
)

// Overlay holds the writes of one transaction over a view: what is read through it is what was written last. It keeps
// its memory from one transaction to the next, so slices it hands out are valid until Reset.
type Overlay struct {
	base  View
	index map[string]int
	cells []cell // in the order in which the keys were first written
}

type cell struct {
	key     string
	value   []byte
	deleted bool
}

// NewOverlay returns an empty overlay. Without a base there is nothing under it: an overlay that is never reset is a
// state in memory.
func NewOverlay(base View) *Overlay { return &Overlay{base: base, index: map[string]int{}} }

// Reset drops all writes.
func (o *Overlay) Reset() {
	clear(o.index)
	o.cells = o.cells[:0]
}

// Get is [View.Get].
func (o *Overlay) Get(dst, key []byte) ([]byte, bool, error) {
	if i, ok := o.index[string(key)]; ok {
		return append(dst, o.cells[i].value...), !o.cells[i].deleted, nil
	}
	if o.base == nil {
		return dst, false, nil
	}
	return o.base.Get(dst, key)
}

// Put writes a value. key and value are copied.
func (o *Overlay) Put(key, value []byte) {
	c := o.cell(key)
	c.value, c.deleted = append(c.value[:0], value...), false
}

// putAll writes what another transaction leaves behind, which deletes nothing.
func (o *Overlay) putAll(of *Overlay) {
	for i := range of.cells {
		from := &of.cells[i]
		j, ok := o.index[from.key]
		if !ok {
			j = o.add(from.key)
		}
		to := &o.cells[j]
		to.value, to.deleted = append(to.value[:0], from.value...), false
	}
}

// Delete removes a key.
func (o *Overlay) Delete(key []byte) {
	c := o.cell(key)
	c.value, c.deleted = c.value[:0], true
}

// cell returns the place of a key, an old one or a new one at the end.
func (o *Overlay) cell(key []byte) *cell {
	i, ok := o.index[string(key)]
	if !ok {
		i = o.add(string(key))
	}
	return &o.cells[i]
}

func (o *Overlay) add(key string) int {
	n := len(o.cells)
	if n < cap(o.cells) {
		o.cells = o.cells[:n+1] // the value's memory of an earlier transaction is used again
	} else {
		o.cells = append(o.cells, cell{})
	}
	o.cells[n].key = key
	o.index[key] = n
	return n
}

// Len is the number of distinct keys written.
func (o *Overlay) Len() int { return len(o.cells) }

// Writes yields what the transaction leaves behind, once for every key, in the order in which the keys were first
// written. A nil value deletes the key. Neither may be changed; a key may be kept for longer than until Reset.
func (o *Overlay) Writes() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for i := range o.cells {
			c := &o.cells[i]
			value := c.value[:len(c.value):len(c.value)]
			if c.deleted {
				value = nil
			} else if value == nil {
				value = []byte{}
			}
			if !yield(unsafe.Slice(unsafe.StringData(c.key), len(c.key)), value) {
				return
			}
		}
	}
}

// Scan is [View.Scan] over the base with the writes in place. fn must not write.
func (o *Overlay) Scan(prefix []byte, fn func(key, value []byte) error) error {
	var own []*cell
	for i := range o.cells {
		if strings.HasPrefix(o.cells[i].key, string(prefix)) {
			own = append(own, &o.cells[i])
		}
	}
	slices.SortFunc(own, func(a, b *cell) int { return strings.Compare(a.key, b.key) })
	// until calls fn for the written keys before the given one, or all of them.
	until := func(key []byte, all bool) error {
		for len(own) > 0 && (all || own[0].key < string(key)) {
			c := own[0]
			own = own[1:]
			if c.deleted {
				continue
			}
			if err := fn([]byte(c.key), c.value); err != nil {
				return err
			}
		}
		return nil
	}
	if o.base != nil {
		err := o.base.Scan(prefix, func(key, value []byte) error {
			if err := until(key, false); err != nil {
				return err
			}
			if len(own) > 0 && bytes.Equal([]byte(own[0].key), key) {
				return until(append(bytes.Clone(key), 0), false) // written here: ours is the one that counts
			}
			return fn(key, value)
		})
		if err != nil {
			return err
		}
	}
	return until(nil, true)
}
