package state

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// Stats are the figures of a store for metrics.
type Stats struct {
	DiskBytes   uint64 // all files of the store, logs included
	FreeBytes   uint64 // what the file system has left for us
	Keys        uint64 // estimate: keys overwritten lately count more than once, those still in memory not at all
	MemoryBytes uint64 // memtables, cached blocks and the values written last
}

// Stats returns the figures of the store. It opens every file there is: once in some seconds is often enough.
func (s *Store) Stats() (Stats, error) {
	if err := s.failure(); err != nil {
		return Stats{}, err
	}
	m := s.db.Metrics()
	st := Stats{DiskBytes: m.DiskSpaceUsage(), MemoryBytes: m.MemTable.Size + m.MemTable.ZombieSize + uint64(m.BlockCache.Size) + s.recent.bytes()}
	if disk, err := s.fs.GetDiskUsage(s.path()); err == nil {
		st.FreeBytes = disk.AvailBytes // a file system in memory does not say
	}
	levels, err := s.db.SSTables(pebble.WithProperties())
	if err != nil {
		return Stats{}, s.readError("read", err)
	}
	for _, tables := range levels {
		for _, t := range tables {
			st.Keys += t.Properties.NumEntries - min(t.Properties.NumEntries, 2*t.Properties.NumDeletions)
		}
	}
	return st, nil
}

// RangeInfo describes a range on disk.
type RangeInfo struct {
	Stage     Stage
	Partition int32
	Position  Position
	Err       error  // the position cannot be read: ErrFormat
	Bytes     uint64 // on disk, without what is still in memory
}

// Ranges lists the ranges that are not empty, owned or not, by stage and partition.
func (s *Store) Ranges() ([]RangeInfo, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{byte(Detect)}})
	if err != nil {
		return nil, s.readError("read", err)
	}
	var infos []RangeInfo
	for valid := it.First(); valid; {
		prefix := [prefixLen]byte(it.Key())
		info := RangeInfo{Stage: Stage(prefix[0]), Partition: int32(binary.BigEndian.Uint32(prefix[1:]))}
		end := successor(prefix[:])
		// The position is the first key of its range; without it the value is none and says so.
		var value []byte
		if string(it.Key()) == string(append(prefix[:], reserved)) {
			value = it.Value()
		}
		info.Position, info.Err = decodePosition(value)
		if info.Bytes, err = s.db.EstimateDiskUsage(prefix[:], end); err != nil {
			break
		}
		infos = append(infos, info)
		valid = it.SeekGE(end)
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, s.readError("read", err)
	}
	return infos, nil
}
