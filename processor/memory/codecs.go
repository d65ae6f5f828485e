package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// codecs holds what decompression needs besides memory for its result.
type codecs struct {
	lz4, gzip sync.Pool // readers
	zstd      *zstd.Decoder
	ratio     atomic.Int64 // decompressed bytes for 16 of LZ4, as of late
}

func newCodecs(max int) codecs {
	d, _ := zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(uint64(max))) // the options are valid
	return codecs{
		lz4:  sync.Pool{New: func() any { return lz4.NewReader(nil) }},
		gzip: sync.Pool{New: func() any { return new(gzip.Reader) }},
		zstd: d,
	}
}

// Decompress decompresses a batch into memory that is lent. The client gives it back by PutDecompressBytes; on an error
// it has been given back.
func (b *Batches) Decompress(src []byte, codec kgo.CompressionCodecType) (out []byte, err error) {
	switch codec {
	case kgo.CodecNone:
		return src, nil
	case kgo.CodecLz4:
		return b.lz4(src)
	case kgo.CodecSnappy:
		return b.snappy(src)
	case kgo.CodecZstd:
		var head zstd.Header
		size := 4 * len(src)
		if head.Decode(src) == nil && head.FrameContentSize <= uint64(32*len(src)) {
			size = max(size, int(head.FrameContentSize)) // 0 if it does not say
		}
		if out, err = b.codecs.zstd.DecodeAll(src, b.bytes.get(max(least, size))); errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = fmt.Errorf("%w: %w", kgo.ErrMaxDecompress, err)
		}
	case kgo.CodecGzip:
		r := b.codecs.gzip.Get().(*gzip.Reader)
		defer b.codecs.gzip.Put(r)
		if err = r.Reset(bytes.NewReader(src)); err == nil {
			return b.read(r, src)
		}
	default:
		err = fmt.Errorf("unknown codec %d", codec)
	}
	return b.result(out, err)
}

// result gives the memory back if it holds nothing.
func (b *Batches) result(out []byte, err error) ([]byte, error) {
	if err == nil && len(out) > b.max {
		err = kgo.ErrMaxDecompress
	}
	if err != nil {
		b.PutDecompressBytes(out)
		return nil, err
	}
	return out, nil
}

// grow moves what is there to memory for n bytes.
func (b *Batches) grow(out []byte, n int) []byte {
	larger := append(b.bytes.get(n), out...)
	b.PutDecompressBytes(out)
	return larger
}

// read reads r to its end.
func (b *Batches) read(r io.Reader, src []byte) ([]byte, error) {
	out := b.GetDecompressBytes(src, 0)
	for {
		if len(out) == cap(out) {
			out = b.grow(out, 2*cap(out))
		}
		n, err := r.Read(out[len(out):cap(out)])
		if out = out[:len(out)+n]; err == io.EOF { //nolint:errorlint // a reader's end is io.EOF itself
			return b.result(out, nil)
		}
		if err != nil || len(out) > b.max {
			return b.result(out, err)
		}
	}
}

func (b *Batches) snappy(src []byte) ([]byte, error) {
	blocks, err := snappyBlocks(src)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, block := range blocks {
		n, err := s2.DecodedLen(block)
		if err != nil {
			return nil, err
		}
		if size += n; size > b.max {
			return nil, kgo.ErrMaxDecompress
		}
	}
	out := b.bytes.get(max(least, size))
	for _, block := range blocks {
		decoded, err := s2.Decode(out[len(out):cap(out)], block)
		if err != nil {
			return b.result(out, err)
		}
		out = out[:len(out)+len(decoded)]
	}
	return out, nil
}

// The Java client's framing of snappy: this, two versions, and blocks with their lengths.
var xerial = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func snappyBlocks(src []byte) (blocks [][]byte, err error) {
	const head = 16
	if len(src) <= head || !bytes.HasPrefix(src, xerial) {
		return [][]byte{src}, nil
	}
	for rest := src[head:]; len(rest) > 0; {
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return nil, errors.New("snappy: a block is cut off")
		}
		n := 4 + int(binary.BigEndian.Uint32(rest))
		blocks = append(blocks, rest[4:n])
		rest = rest[n:]
	}
	return blocks, nil
}

// lz4 decodes the frame that Kafka's producers write: one, of blocks that do not refer to each other. A frame says how
// large it is or one tries. The checksums are not looked at: the batch has one. All else is left to the library's reader.
//
// Source: LZ4 Frame Format Description 1.6.2.
func (b *Batches) lz4(src []byte) ([]byte, error) {
	out, ok := b.lz4Frame(src)
	if ok {
		return b.result(out, nil)
	}
	b.PutDecompressBytes(out)
	r := b.codecs.lz4.Get().(*lz4.Reader)
	defer b.codecs.lz4.Put(r)
	r.Reset(bytes.NewReader(src))
	return b.read(r, src)
}

// lz4Frame reports whether src is such a frame.
func (b *Batches) lz4Frame(src []byte) (out []byte, ok bool) {
	const (
		magic                                                = 0x184D2204
		version, independent, checked, sized, ended, reserve = 1 << 6, 1 << 5, 1 << 4, 1 << 3, 1 << 2, 3
	)
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != magic {
		return nil, false
	}
	flags := src[4]
	if flags&0xC0 != version || flags&independent == 0 || flags&reserve != 0 {
		return nil, false
	}
	ratio := b.codecs.ratio.Load()
	guess := len(src) * int(min(max(ratio+ratio/8, 32), 16*16)) / 16
	rest := src[6:]
	if flags&sized != 0 {
		if len(rest) < 9 {
			return nil, false
		}
		if size := binary.LittleEndian.Uint64(rest); size <= uint64(32*len(src)) { // it is only what it says
			guess = int(size)
		}
		rest = rest[8:]
	}
	rest = rest[1:] // the header's checksum
	out = b.bytes.get(max(least, min(guess, b.max)))
	for {
		if len(rest) < 4 {
			return out, false
		}
		size := binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
		if size == 0 {
			break
		}
		n := int(size &^ (1 << 31))
		if n > len(rest) {
			return out, false
		}
		if out, ok = b.lz4Block(out, rest[:n], size>>31 == 1); !ok {
			return out, false
		}
		if rest = rest[n:]; flags&checked != 0 {
			rest = rest[min(4, len(rest)):]
		}
	}
	if flags&ended != 0 && len(rest) == 4 {
		rest = nil
	}
	b.codecs.ratio.Store(max(ratio-ratio/64, int64(len(out))*16/int64(len(src))))
	return out, len(rest) == 0
}

// lz4Block appends a block to out.
func (b *Batches) lz4Block(out, block []byte, stored bool) ([]byte, bool) {
	for {
		if stored && len(block) <= cap(out)-len(out) {
			return append(out, block...), true
		}
		if !stored {
			if n, err := lz4.UncompressBlock(block, out[len(out):cap(out)]); err == nil {
				return out[:len(out)+n], true
			}
		}
		if cap(out) >= b.max { // too large, or no LZ4
			return out, false
		}
		out = b.grow(out, 2*cap(out))
	}
}
