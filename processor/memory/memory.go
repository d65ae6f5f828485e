// Package memory lends a Kafka client the memory that fetched batches are decompressed into, and takes it back when
// their records are recycled, instead of leaving it to the garbage collector: at a million records a second that would
// be a gigabyte each second.
package memory

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	least    = 4 << 10  // bytes of the smallest slice that is lent: batches may be small, and many
	kept     = 40 << 20 // bytes of all slices of decompressed data that wait to be lent again, at most
	keptRecs = 8 << 20  // bytes of all slices of records that do
	larger   = 4        // classes that are looked through: what is lent may be up to twice as large as wanted
)

// Options make a client use the memory for what it fetches. Its records are valid until they are recycled, which it
// wants for each. A batch that would be too large, decompressed, is an error of its partition.
func (b *Batches) Options() []kgo.Opt {
	return []kgo.Opt{kgo.MaxDecompressBatchBytes(b.max), kgo.WithPools(b), kgo.WithDecompressor(b)}
}

// Batches is the memory of one or more clients. It is safe for concurrent use.
type Batches struct {
	max     int
	codecs  codecs
	bytes   pile[byte]
	records pile[kgo.Record]
}

var (
	_ kgo.PoolDecompressBytes = (*Batches)(nil)
	_ kgo.PoolRecords         = (*Batches)(nil)
	_ kgo.Decompressor        = (*Batches)(nil)
)

// NewBatches returns memory for batches of up to max bytes each, decompressed.
func NewBatches(max int) *Batches {
	return &Batches{max: max, codecs: newCodecs(max), bytes: pile[byte]{most: kept}, records: pile[kgo.Record]{most: keptRecs}}
}

// GetDecompressBytes is for a client that has its own decompressor.
func (b *Batches) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	return b.bytes.get(max(least, 4*len(compressed)))
}

// PutDecompressBytes takes back what Decompress returned.
func (b *Batches) PutDecompressBytes(s []byte) { b.bytes.put(s) }

// GetRecords lends a slice with a capacity of at least n.
func (b *Batches) GetRecords(n int) []kgo.Record {
	return b.records.get(max(least/int(unsafe.Sizeof(kgo.Record{})), n))
}

// PutRecords takes it back.
func (b *Batches) PutRecords(s []kgo.Record) { b.records.put(s) }

// pile is slices that wait to be lent again, by their class.
type pile[T any] struct {
	most int // bytes

	mu   sync.Mutex
	size int // bytes
	free [4 * 32][][]T
}

// class is the least capacity of at least n that slices are made with, and its number: four to each power of two, so
// that little of the memory is not used.
func class(n int) (number, capacity int) {
	n = max(n, 4)
	shift := bits.Len(uint(n-1)) - 3
	if n <= 4 {
		shift = 0
	}
	quarters := (n + 1<<shift - 1) >> shift // 4 to 8
	return 4*shift + quarters - 4, quarters << shift
}

// get lends a slice with a capacity of at least n.
func (p *pile[T]) get(n int) []T {
	number, capacity := class(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := number; c < min(number+larger, len(p.free)); c++ {
		if last := len(p.free[c]) - 1; last >= 0 {
			s := p.free[c][last]
			p.free[c][last] = nil
			p.free[c] = p.free[c][:last]
			p.size -= bytesOf(s)
			return s
		}
	}
	return make([]T, 0, capacity)
}

// put takes a slice back. One that is not of our making, or for which there is no room, is left to the collector.
func (p *pile[T]) put(s []T) {
	number, capacity := class(cap(s))
	if cap(s) != capacity || number >= len(p.free) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size += bytesOf(s); p.size > p.most {
		p.size -= bytesOf(s)
		return
	}
	p.free[number] = append(p.free[number], s[:0])
}

func bytesOf[T any](s []T) int {
	var t T
	return cap(s) * int(unsafe.Sizeof(t))
}
