package memory

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

const bound = 1 << 20

// frame compresses as a producer's LZ4 writer with these options does.
func frame(t rapid.TB, data []byte, options ...lz4.Option) []byte {
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := errors.Join(w.Apply(options...), func() error { _, err := w.Write(data); return err }(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// batch draws what a batch may hold: text that compresses well and noise that does not.
func batch(t *rapid.T) []byte {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	var b []byte
	for size := rapid.IntRange(0, bound).Draw(t, "size"); len(b) < size; {
		switch rnd.IntN(3) {
		case 0:
			b = append(b, strings.Repeat("0123456789abcdef"[rnd.IntN(16):], 1+rnd.IntN(4000))...)
		default:
			for range min(1+rnd.IntN(20_000), size-len(b)) {
				b = append(b, byte(rnd.Uint32()))
			}
		}
		b = b[:min(len(b), size)]
	}
	return b
}

// compressed is the batch by the client's own compressors and by what other producers' LZ4 looks like.
func compressed(t *rapid.T, data []byte) ([]byte, kgo.CompressionCodecType) {
	codec := rapid.SampledFrom([]kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}).Draw(t, "codec")
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	src, kind := c.Compress(new(bytes.Buffer), data)
	switch {
	case kind == kgo.CodecLz4:
		return frame(t, data,
			lz4.BlockSizeOption(rapid.SampledFrom([]lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb}).Draw(t, "block")),
			lz4.BlockChecksumOption(rapid.Bool().Draw(t, "block checksum")), lz4.ChecksumOption(rapid.Bool().Draw(t, "checksum")),
			lz4.SizeOption(rapid.SampledFrom([]uint64{0, uint64(len(data))}).Draw(t, "content size")),
		), kind
	case kind == kgo.CodecSnappy && rapid.Bool().Draw(t, "xerial"):
		framed := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 32<<10)
			block, _ := c.Compress(new(bytes.Buffer), rest[:n])
			framed = append(framed, byte(len(block)>>24), byte(len(block)>>16), byte(len(block)>>8), byte(len(block)))
			framed, rest = append(framed, block...), rest[n:]
		}
		return framed, kind
	}
	return bytes.Clone(src), kind
}

// TestDecompressIsTheClients: whatever a producer compressed, or somebody damaged on the way, comes out as of the client's
// own decompressor, in memory that is used again and again; but what we do not check is what checksums only tell.
func TestDecompressIsTheClients(t *testing.T) {
	b, reference := NewBatches(bound), kgo.DefaultDecompressor()
	rapid.Check(t, func(t *rapid.T) {
		data := batch(t)
		src, codec := compressed(t, data)
		damaged := rapid.IntRange(0, 3).Draw(t, "damage") == 0 && len(src) > 0
		if damaged {
			src[rapid.IntRange(0, len(src)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		}
		got, err := b.Decompress(src, codec)
		want, wantErr := reference.Decompress(src, codec)
		switch {
		case err != nil && wantErr == nil && len(want) <= bound:
			t.Fatalf("%v; the client reads %d bytes", err, len(want))
		case err == nil && wantErr == nil && !bytes.Equal(got, want):
			t.Fatalf("%d bytes, the client reads %d others", len(got), len(want))
		case err == nil && !damaged && !bytes.Equal(got, data):
			t.Fatal("not what was compressed")
		}
		if err == nil {
			clear(got[:cap(got)])
			b.PutDecompressBytes(got)
		}
	})
}

// TestDecompressIsBounded: a few bytes do not become more than the bound, by any codec.
func TestDecompressIsBounded(t *testing.T) {
	b := NewBatches(bound)
	for _, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		for size, want := range map[int]error{bound: nil, bound + 1: kgo.ErrMaxDecompress, 8 * bound: kgo.ErrMaxDecompress} {
			c, err := kgo.DefaultCompressor(codec)
			if err != nil {
				t.Fatal(err)
			}
			src, kind := c.Compress(new(bytes.Buffer), make([]byte, size))
			if out, err := b.Decompress(src, kind); !errors.Is(err, want) || err == nil && len(out) != size {
				t.Errorf("codec %d, %d bytes: %d, %v; want %v", kind, size, len(out), err, want)
			}
		}
	}
	if b.bytes.size > kept {
		t.Errorf("%d bytes are kept", b.bytes.size)
	}
}

// TestLz4Dependent: blocks that refer to each other, and what follows a frame, are left to the library.
func TestLz4Dependent(t *testing.T) {
	b := NewBatches(bound)
	one := frame(t, []byte("one"))
	got, err := b.Decompress(append(bytes.Clone(one), frame(t, []byte("two"))...), kgo.CodecLz4)
	if want, wantErr := kgo.DefaultDecompressor().Decompress(append(bytes.Clone(one), frame(t, []byte("two"))...), kgo.CodecLz4); string(got) != string(want) || (err == nil) != (wantErr == nil) {
		t.Errorf("%q, %v; want %q, %v", got, err, want, wantErr)
	}
	if _, ok := b.lz4Frame(one); !ok {
		t.Error("the frame that producers write is not read the short way")
	}
	dependent := bytes.Clone(one)
	dependent[4] &^= 1 << 5
	if _, ok := b.lz4Frame(dependent); ok {
		t.Error("a frame of dependent blocks was read as one of independent ones")
	}
}

// TestPile: what is lent is as large as asked for and nobody else's, what is kept stays within the bound.
func TestPile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pile[byte]{most: 1 << 16}
		var lent [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				n := rapid.IntRange(1, 1<<15).Draw(t, "n")
				s := p.get(n)
				if len(s) != 0 || cap(s) < n || cap(s) > 2*n+16 {
					t.Fatalf("asked for %d, got %d of %d", n, len(s), cap(s))
				}
				s = s[:1]
				for _, other := range lent {
					if &other[0] == &s[0] {
						t.Fatal("lent twice")
					}
				}
				lent = append(lent, s)
			},
			"put": func(t *rapid.T) {
				if len(lent) > 0 {
					p.put(lent[len(lent)-1])
					lent = lent[:len(lent)-1]
				}
			},
			"put a stranger": func(*rapid.T) { p.put(make([]byte, 3, 100)) },
			"": func(t *rapid.T) {
				size := 0
				for number, list := range p.free {
					for _, s := range list {
						if n, capacity := class(cap(s)); n != number || capacity != cap(s) {
							t.Fatalf("%d bytes in class %d", cap(s), number)
						}
						size += cap(s)
					}
				}
				if size != p.size || size > p.most {
					t.Fatalf("%d bytes are kept, counted as %d, at most %d", size, p.size, p.most)
				}
			},
		})
	})
}

func BenchmarkDecompress(b *testing.B) {
	data := []byte(strings.Repeat(`{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:session"},"eventTime":"2026-01-05T00:15:03Z"}`, 8000))
	for i := range data {
		if i%16 < 5 {
			data[i] = byte('a' + rand.IntN(26))
		}
	}
	pool := NewBatches(64 << 20)
	for name, d := range map[string]kgo.Decompressor{"own": pool, "kgo": kgo.DefaultDecompressor(pool)} {
		for codec, c := range map[string]kgo.CompressionCodec{"lz4": kgo.Lz4Compression(), "snappy": kgo.SnappyCompression(), "zstd": kgo.ZstdCompression(), "gzip": kgo.GzipCompression()} {
			b.Run(codec+"/"+name, func(b *testing.B) {
				compressor, _ := kgo.DefaultCompressor(c)
				src, kind := compressor.Compress(new(bytes.Buffer), data)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					out, err := d.Decompress(src, kind)
					if err != nil {
						b.Fatal(err)
					}
					pool.PutDecompressBytes(out)
				}
			})
		}
	}
}
