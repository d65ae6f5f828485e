//go:build !chaosnext

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/hamba/avro/v2"
)

// TestBrokenRecords: every truncation, every trailing byte and every record of another kind is refused as corrupt.
func TestBrokenRecords(t *testing.T) {
	for _, k := range kinds {
		refuse := func(src []byte, what string) {
			if _, err := k.again(src); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnknownVersion) {
				t.Errorf("%s, %s: %v", k.name, what, err)
			}
		}
		for i := range k.sample {
			refuse(k.sample[:i], "truncated")
		}
		for b := range 256 {
			refuse(append(bytes.Clone(k.sample), byte(b)), "with a byte behind")
		}
		refuse(append(bytes.Clone(k.sample), k.sample...), "twice")
		for _, other := range kinds {
			if other.name != k.name {
				refuse(other.sample, "given a "+other.name)
			}
		}
	}
}

// TestUnknownVersion: a header of a schema nobody here knows asks for an upgrade, whatever follows it.
func TestUnknownVersion(t *testing.T) {
	for _, k := range kinds {
		src := bytes.Clone(k.sample)
		src[5] ^= 1
		for _, src := range [][]byte{src, src[:10]} {
			if _, err := k.again(src); !errors.Is(err, ErrUnknownVersion) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", k.name, err)
			}
		}
	}
}

// TestShape: one spelling for each value, and no length or count that the bytes behind it do not bear out. Each of
// the refused ones is something hamba's decoder accepts, loops on or allocates for.
func TestShape(t *testing.T) {
	long := func(v int64) []byte { return binary.AppendVarint(nil, v) }
	with := func(v int64, rest string) []byte { return append(long(v), rest...) }
	for _, tt := range []struct {
		schema string
		src    []byte
		ok     bool
	}{
		{`"long"`, long(math.MinInt64), true},
		{`"long"`, []byte{0x82, 0x80, 0x00}, false}, // not the shortest form
		{`"long"`, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), false},
		{`"long"`, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false},
		{`"long"`, []byte{0x80}, false},
		{`"int"`, long(math.MinInt32), true},
		{`"int"`, long(math.MaxInt32 + 1), false},
		{`"boolean"`, []byte{1}, true},
		{`"boolean"`, []byte{2}, false},
		{`"boolean"`, nil, false},
		{`"string"`, with(3, "abc"), true},
		{`"string"`, with(4, "abc"), false},
		{`"string"`, with(-1, "abc"), false},
		{`"bytes"`, with(math.MinInt64, "abc"), false},
		{`"bytes"`, with(math.MaxInt64, "abc"), false},
		{`"bytes"`, with(1<<32, "abc"), false},
		{`{"type":"fixed","name":"F","size":4}`, []byte("abcd"), true},
		{`{"type":"fixed","name":"F","size":4}`, []byte("abc"), false},
		{`{"type":"array","items":"long"}`, []byte{0}, true},
		{`{"type":"array","items":"long"}`, []byte{4, 2, 2, 0}, true},
		{`{"type":"array","items":"long"}`, []byte{4, 2, 2}, false},          // no end
		{`{"type":"array","items":"long"}`, []byte{2, 2, 2, 2, 0}, false},    // two blocks
		{`{"type":"array","items":"long"}`, []byte{3, 4, 2, 2, 0}, false},    // a block with its size in bytes
		{`{"type":"array","items":"long"}`, []byte{1, 0}, false},             // a negative count, no size
		{`{"type":"array","items":"long"}`, with(1<<62, "\x00\x00"), false},  // GO-2026-5046
		{`{"type":"array","items":"long"}`, long(math.MinInt64), false},      // its negation is negative: GO-2026-5047
		{`{"type":"array","items":"long"}`, with(math.MaxInt64, "x"), false}, // overflows a sum of counts
	} {
		schema, err := avro.ParseWithCache(tt.schema, "", &avro.SchemaCache{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := newShape(schema)
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := s.skip(tt.src)
		if ok != tt.ok || ok && len(rest) > 0 {
			t.Errorf("%s %x: %v, rest %x", tt.schema, tt.src, ok, rest)
		}
	}
}

// TestFlatSchemas: types whose decoders are at fault or that could nest without end have no shape, so that no schema
// of ours can use them.
func TestFlatSchemas(t *testing.T) {
	field := func(typ string) string {
		return `{"type":"record","name":"R","fields":[{"name":"f","type":` + typ + `}]}`
	}
	for _, schema := range []string{
		field(`{"type":"map","values":"long"}`), field(`["null","long"]`), field(`"double"`),
		field(`{"type":"enum","name":"E","symbols":["A"]}`), field(`{"type":"record","name":"S","fields":[]}`),
	} {
		if _, err := NewCodec[struct{}](schema); err == nil {
			t.Errorf("%s is accepted", schema)
		}
	}
}
