package state

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// recent holds the values that were written last, by their keys: most keys that are asked for were written shortly
// before, and to find one here takes a tenth of the time. It knows what it holds exactly, and of the rest nothing.
//
// What is in it has been committed to the store, by the batch it was taken from ([Range.commit]); nothing else ever puts
// anything in. Whatever changes a range in another way, or may have, makes it forget the range, which gets a new id:
// what is under the old one is never found again and makes room in time.
//
// It is two generations: when the young one is full, the old one is emptied and becomes the young one. A value that is
// written again and again thus stays. Neither has pointers that garbage collection would follow.
type recent struct {
	ids    atomic.Uint32
	seed   maphash.Seed
	shards [16]shard // by hash, so that lanes do not wait for each other
}

type shard struct {
	mu         sync.Mutex
	young, old generation
	limit      int // bytes of a generation
}

// A generation is entries one after another: the range's id, the sizes of key and value, then both. at says where the
// entry is that has a hash: one at most, the last.
type generation struct {
	at      map[uint64]uint32
	entries []byte
}

const (
	entryHead = 8
	// placeBytes is what the place of an entry takes in memory, about.
	placeBytes = 28
)

func newRecent(bytes int64) *recent {
	c := &recent{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].limit = int(min(bytes, 1<<32) / int64(2*len(c.shards)))
	}
	return c
}

// newID returns an id for a range of which nothing is held.
func (c *recent) newID() uint32 { return c.ids.Add(1) }

func (c *recent) shard(id uint32, key []byte) (*shard, uint64) {
	hash := maphash.Bytes(c.seed, key) ^ uint64(id)*0x9E3779B97F4A7C15
	return &c.shards[hash>>60], hash
}

// get appends the value of a key to dst, if it is held.
func (c *recent) get(dst []byte, id uint32, key []byte) ([]byte, bool) {
	s, hash := c.shard(id, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.value(hash, id, key)
	return append(dst, value...), ok
}

// put holds a value from now on.
func (c *recent) put(id uint32, key, value []byte) {
	s, hash := c.shard(id, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(hash, id, key, value)
}

// remove no longer holds the value of a key.
func (c *recent) remove(id uint32, key []byte) {
	s, hash := c.shard(id, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(hash)
}

// bytes is how much memory it takes, about.
func (c *recent) bytes() (n uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, g := range []*generation{&s.young, &s.old} {
			n += uint64(cap(g.entries) + len(g.at)*placeBytes)
		}
		s.mu.Unlock()
	}
	return n
}

func (s *shard) value(hash uint64, id uint32, key []byte) ([]byte, bool) {
	if at, ok := s.young.at[hash]; ok { // if it is another key's, the old one may have a value that was replaced since
		return s.young.value(at, id, key)
	}
	if at, ok := s.old.at[hash]; ok {
		return s.old.value(at, id, key)
	}
	return nil, false
}

func (s *shard) put(hash uint64, id uint32, key, value []byte) {
	if at, ok := s.young.at[hash]; ok {
		if held, ok := s.young.value(at, id, key); ok && len(held) == len(value) {
			copy(held, value)
			return
		}
	}
	size := entryHead + len(key) + len(value)
	if len(key) > 0xFFFF || len(value) > 0xFFFF || size+placeBytes > s.limit {
		s.remove(hash)
		return
	}
	if len(s.young.entries)+size+(len(s.young.at)+1)*placeBytes > s.limit {
		s.young, s.old = s.old, s.young
		clear(s.young.at)
		s.young.entries = s.young.entries[:0]
	}
	s.young.add(hash, id, key, value)
}

// remove forgets whatever has a hash: in both, as the old one may have a value that was replaced.
func (s *shard) remove(hash uint64) {
	delete(s.young.at, hash)
	delete(s.old.at, hash)
}

func (g *generation) add(hash uint64, id uint32, key, value []byte) {
	if g.at == nil {
		g.at = map[uint64]uint32{}
	}
	g.at[hash] = uint32(len(g.entries))
	g.entries = binary.LittleEndian.AppendUint32(g.entries, id)
	g.entries = binary.LittleEndian.AppendUint16(g.entries, uint16(len(key)))
	g.entries = binary.LittleEndian.AppendUint16(g.entries, uint16(len(value)))
	g.entries = append(append(g.entries, key...), value...)
}

// value returns the value of the entry at a place, if it is that key's.
func (g *generation) value(at, id uint32, key []byte) ([]byte, bool) {
	e := g.entries[at:]
	keyEnd := entryHead + int(binary.LittleEndian.Uint16(e[4:]))
	if binary.LittleEndian.Uint32(e) != id || string(e[entryHead:keyEnd]) != string(key) {
		return nil, false
	}
	return e[keyEnd : keyEnd+int(binary.LittleEndian.Uint16(e[6:]))], true
}
