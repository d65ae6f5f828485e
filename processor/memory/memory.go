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
	kept     = 24 << 20 // bytes of all slices of decompressed data that wait to be lent again, at most
	keptRecs = 8 << 20  // bytes of all slices of records that do
)

// Options make a client use the memory of a new [Batches] for what it fetches. Its records are valid until they are
// recycled, which the client wants for each. A batch that would be larger than max bytes is an error of its partition.
func Options(max int) []kgo.Opt {
	b := NewBatches(max)
	return []kgo.Opt{kgo.MaxDecompressBatchBytes(max), kgo.WithPools(b), kgo.WithDecompressor(b)}
}

// Batches is the memory of one client. It is safe for concurrent use.
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

// pile is slices that wait to be lent again, by the power of two that is their capacity.
type pile[T any] struct {
	most int // bytes

	mu   sync.Mutex
	size int // bytes
	free [32][][]T
}

// get lends a slice with a capacity of at least n.
func (p *pile[T]) get(n int) []T {
	class := bits.Len(uint(n - 1))
	p.mu.Lock()
	defer p.mu.Unlock()
	if class < len(p.free) {
		if last := len(p.free[class]) - 1; last >= 0 {
			s := p.free[class][last]
			p.free[class][last] = nil
			p.free[class] = p.free[class][:last]
			p.size -= bytesOf(s)
			return s
		}
	}
	return make([]T, 0, 1<<class)
}

// put takes a slice back. One that is not of our making, or for which there is no room, is left to the collector.
func (p *pile[T]) put(s []T) {
	class := bits.Len(uint(cap(s))) - 1
	if cap(s) == 0 || cap(s) != 1<<class || class >= len(p.free) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size += bytesOf(s); p.size > p.most {
		p.size -= bytesOf(s)
		return
	}
	p.free[class] = append(p.free[class], s[:0])
}

func bytesOf[T any](s []T) int {
	var t T
	return cap(s) * int(unsafe.Sizeof(t))
}
