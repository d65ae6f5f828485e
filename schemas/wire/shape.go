package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/hamba/avro/v2"
)

// A shape is what the bytes of one Avro type must look like. It stands before hamba's decoder, whose known faults
// (GO-2026-5046, 5047 and 5048: endless loops over a huge block count, lengths and counts that overflow, allocation
// before the bytes are there) all need a length or count that the bytes behind it do not bear out. Bytes that pass a
// shape have none.
//
// It is strict: numbers in their shortest form, booleans 0 or 1, an array as one block without a byte size, nothing
// missing. So a record has exactly one encoding, the one Append writes.
type shape struct {
	kind  avro.Type
	size  int      // of a fixed, in bytes
	parts []*shape // the fields of a record, the item of an array
}

// newShape returns the shape of a schema. Types that our records do without are refused: maps and unions, enums,
// floating point, and whatever takes no bytes at all.
func newShape(schema avro.Schema) (*shape, error) {
	switch t := schema.(type) {
	case *avro.RefSchema:
		return newShape(t.Schema())
	case *avro.RecordSchema:
		s := &shape{kind: avro.Record}
		for _, f := range t.Fields() {
			part, err := newShape(f.Type())
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name(), err)
			}
			s.parts = append(s.parts, part)
		}
		if len(s.parts) == 0 {
			return nil, fmt.Errorf("%s: a record without fields", t.Name())
		}
		return s, nil
	case *avro.ArraySchema:
		item, err := newShape(t.Items())
		if err != nil {
			return nil, err
		}
		return &shape{kind: avro.Array, parts: []*shape{item}}, nil
	case *avro.FixedSchema:
		if t.Size() < 1 {
			return nil, fmt.Errorf("%s: a fixed of %d bytes", t.Name(), t.Size())
		}
		return &shape{kind: avro.Fixed, size: t.Size()}, nil
	}
	switch k := schema.Type(); k {
	case avro.String, avro.Bytes, avro.Long, avro.Int, avro.Boolean:
		return &shape{kind: k}, nil
	default:
		return nil, fmt.Errorf("avro type %q is not used in records of ours", k)
	}
}

// skip returns what follows the value at the start of src, and false if there is no whole value of this shape.
func (s *shape) skip(src []byte) ([]byte, bool) {
	switch s.kind {
	case avro.Record:
		for _, part := range s.parts {
			rest, ok := part.skip(src)
			if !ok {
				return nil, false
			}
			src = rest
		}
		return src, true
	case avro.Array:
		return s.skipArray(src)
	case avro.Fixed:
		return cut(src, uint64(s.size))
	case avro.Boolean:
		return src[min(1, len(src)):], len(src) > 0 && src[0] <= 1
	}
	v, rest, ok := varint(src)
	switch {
	case !ok:
		return nil, false
	case s.kind == avro.Long:
		return rest, true
	case s.kind == avro.Int:
		return rest, v >= math.MinInt32 && v <= math.MaxInt32
	}
	return cut(rest, uint64(v)) // a negative length is far longer than anything
}

// skipArray skips one block of items and the zero that ends the array. An item takes at least a byte, so the walk ends
// with the bytes, however large the count.
func (s *shape) skipArray(src []byte) ([]byte, bool) {
	n, src, ok := varint(src)
	if !ok || n == 0 {
		return src, ok
	}
	if n < 0 {
		return nil, false
	}
	for ; n > 0; n-- {
		if src, ok = s.parts[0].skip(src); !ok {
			return nil, false
		}
	}
	end, src, ok := varint(src)
	return src, ok && end == 0
}

// cut drops the first n bytes.
func cut(src []byte, n uint64) ([]byte, bool) {
	if n > uint64(len(src)) {
		return nil, false
	}
	return src[n:], true
}

// varint reads a zigzag number in its shortest form.
func varint(src []byte) (v int64, rest []byte, ok bool) {
	u, n := binary.Uvarint(src)
	if n <= 0 || n > 1 && src[n-1] == 0 {
		return 0, nil, false
	}
	return int64(u>>1) ^ -int64(u&1), src[n:], true
}
