package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/hamba/avro/v2"
)

// MaxRecord is the largest encoded record in bytes that is written or read. Combined records are cut far below it; it
// is there so that a damaged or foreign record cannot make a worker allocate without end.
const MaxRecord = 16 << 20

var (
	// ErrUnknownVersion is returned for a well-formed header that names a schema this build does not have. The record
	// was written by a newer worker: wait and say "upgrade this worker", it is no dead letter.
	ErrUnknownVersion = errors.New("record of an unknown schema version, upgrade this worker")
	// ErrCorrupt is returned for bytes that are no record of the kind asked for.
	ErrCorrupt = errors.New("corrupt record")
)

// api is hamba's codec with everything we do not write switched off: one block per array, without its size in bytes.
// The sizes are bounded by the shape before hamba reads them.
var api = avro.Config{
	BlockLength:            math.MaxInt32,
	DisableBlockSizeHeader: true,
	MaxByteSliceSize:       MaxRecord,
	MaxSliceAllocSize:      MaxRecord,
}.Freeze()

// A Codec writes records of one type by one schema and reads those of it and of older versions. It is safe for
// concurrent use.
type Codec[T any] struct {
	name     string
	json     string
	schema   avro.Schema
	header   [10]byte
	readers  map[uint64]reader // by fingerprint
	encoders sync.Pool         // *avro.Writer

	// What writes and reads the current version without hamba: both or neither.
	write   func(*T, []byte) []byte
	read    func(*T, []byte, *Memory) bool
	buffers sync.Pool // *[]byte
}

// A reader decodes what one version of a schema has written.
type reader struct {
	shape  *shape
	schema avro.Schema // the writer's, resolved to the current one
}

// NewCodec returns the codec of the schema that comes last; those before it are older versions of it, which are read
// but no longer written. Fields of T carry `avro` tags; a field that an older version lacks needs a default.
func NewCodec[T any](versions ...string) (*Codec[T], error) {
	c := &Codec[T]{json: versions[len(versions)-1], readers: map[uint64]reader{}}
	var err error
	if c.schema, err = parse(c.json); err != nil {
		return nil, err
	}
	c.name = c.schema.(avro.NamedSchema).Name()
	c.encoders.New = func() any { return avro.NewWriter(nil, 512, avro.WithWriterConfig(api)) }
	c.buffers.New = func() any { return new([]byte) }
	for _, version := range versions {
		writer, err := parse(version)
		if err != nil {
			return nil, err
		}
		r := reader{schema: c.schema}
		if r.shape, err = newShape(writer); err != nil {
			return nil, err
		}
		if c.header, err = header(writer); err != nil {
			return nil, err
		}
		if version != c.json {
			if r.schema, err = avro.NewSchemaCompatibility().Resolve(c.schema, writer); err != nil {
				return nil, fmt.Errorf("schema %s: %w", c.name, err)
			}
		}
		c.readers[fingerprint(c.header[:])] = r
	}
	return c, nil
}

// Schema returns the current schema as JSON.
func (c *Codec[T]) Schema() string { return c.json }

// Append appends the single-object encoding of v: C3 01, the CRC-64-AVRO fingerprint of the schema's canonical form,
// and the body (Avro 1.12 specification, "Single-object encoding"). A dst without memory gets as much as the record
// takes.
func (c *Codec[T]) Append(dst []byte, v *T) ([]byte, error) {
	if cap(dst) > 0 || c.write == nil {
		return c.AppendBody(append(dst, c.header[:]...), v)
	}
	buf := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	out, err := c.AppendBody(append((*buf)[:0], c.header[:]...), v)
	if err != nil {
		return dst, err
	}
	*buf = out
	return bytes.Clone(out), nil
}

// AppendBody appends v without any frame. On an error dst is returned as it was.
func (c *Codec[T]) AppendBody(dst []byte, v *T) ([]byte, error) {
	if c.write != nil {
		out := c.write(v, dst)
		if n := len(out) - len(dst); n > MaxRecord {
			return dst, c.tooLarge(n)
		}
		return out, nil
	}
	return c.appendByReflection(dst, v)
}

func (c *Codec[T]) tooLarge(n int) error {
	return fmt.Errorf("encode %s: %d bytes are over the bound of %d", c.name, n, MaxRecord)
}

func (c *Codec[T]) appendByReflection(dst []byte, v *T) ([]byte, error) {
	w := c.encoders.Get().(*avro.Writer)
	defer c.encoders.Put(w)
	w.Reset(nil)
	w.Error = nil
	w.WriteVal(c.schema, v)
	if w.Error != nil {
		return dst, fmt.Errorf("encode %s: %w", c.name, w.Error)
	}
	if w.Buffered() > MaxRecord {
		return dst, c.tooLarge(w.Buffered())
	}
	return append(dst, w.Buffer()...), nil
}

// Decode reads what Append wrote into v, of which nothing stays and nothing is reused: decoded strings and slices may
// be kept, and an empty slice may come back as nil or not. Errors wrap ErrUnknownVersion or ErrCorrupt; v is of no use
// then.
func (c *Codec[T]) Decode(src []byte, v *T) error { return c.view(src, v, nil) }

// view is Decode, but what it reads of the current version is a view of src with its arrays in m, if there is an m.
func (c *Codec[T]) view(src []byte, v *T, m *Memory) error {
	if len(src) < len(c.header) || [2]byte(src) != [2]byte(c.header[:]) {
		return fmt.Errorf("decode %s: no single-object header: %w", c.name, ErrCorrupt)
	}
	body := src[len(c.header):]
	if c.read != nil && [10]byte(src) == c.header {
		return c.readCurrent(body, v, m)
	}
	fp := fingerprint(src)
	r, ok := c.readers[fp]
	switch {
	case !ok && known[fp] != "":
		return fmt.Errorf("decode %s: this is a %s: %w", c.name, known[fp], ErrCorrupt)
	case !ok:
		return fmt.Errorf("decode %s: schema fingerprint %016x: %w", c.name, fp, ErrUnknownVersion)
	}
	return c.readByReflection(body, v, r)
}

// DecodeBody reads what AppendBody of this version wrote.
func (c *Codec[T]) DecodeBody(src []byte, v *T) error {
	if c.read != nil {
		return c.readCurrent(src, v, nil)
	}
	return c.readByReflection(src, v, c.readers[fingerprint(c.header[:])])
}

func (c *Codec[T]) readCurrent(src []byte, v *T, m *Memory) error {
	if len(src) <= MaxRecord && c.read(v, src, m) {
		return nil
	}
	*v = *new(T)
	return fmt.Errorf("decode %s: %w", c.name, ErrCorrupt)
}

func (c *Codec[T]) readByReflection(src []byte, v *T, r reader) error {
	if rest, ok := r.shape.skip(src); !ok || len(rest) > 0 || len(src) > MaxRecord {
		return fmt.Errorf("decode %s: %w", c.name, ErrCorrupt)
	}
	// hamba leaves a slice as it is when the array in the input is empty.
	*v = *new(T)
	if err := api.Unmarshal(r.schema, src, v); err != nil {
		return fmt.Errorf("decode %s: %w: %w", c.name, err, ErrCorrupt)
	}
	if o, ok := any(v).(interface{ own() }); ok {
		o.own()
	}
	return nil
}

// parse reads one schema with a cache of its own: shared types have the same name in every file.
func parse(json string) (avro.Schema, error) {
	schema, err := avro.ParseBytesWithCache([]byte(json), "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if _, ok := schema.(*avro.RecordSchema); !ok {
		return nil, fmt.Errorf("schema: %s is no record", schema.Type())
	}
	return schema, nil
}

// header returns the ten bytes before a single-object body.
func header(schema avro.Schema) ([10]byte, error) {
	sum, err := schema.FingerprintUsing(avro.CRC64AvroLE)
	if err != nil {
		return [10]byte{}, err
	}
	return [10]byte(append([]byte{0xC3, 0x01}, sum...)), nil
}

// fingerprint returns the fingerprint in a header, which the caller has checked to be one.
func fingerprint(header []byte) uint64 { return binary.LittleEndian.Uint64(header[2:]) }
