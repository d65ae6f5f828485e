package state

import "hash/maphash"

// index says where the newest record of each key of a run is. It is a hash table with open addressing: the slots from the
// one that a hash names up to the next free one are those where a key of this hash may be. The hashes are seeded: keys
// come from those who are watched.
type index struct {
	slots []slot // a power of two, at most 3/4 of them held
	held  int
	seed  maphash.Seed
	blunt uint32 // bits of the hash that tests have no use for
}

// A slot is free while at is 0.
type slot struct{ hash, at uint32 }

const slotBytes = 8

func (x *index) hash(key []byte) uint32 {
	if x.slots == nil {
		x.slots, x.seed = make([]slot, 1<<10), maphash.MakeSeed()
	}
	return uint32(maphash.Bytes(x.seed, key)) &^ x.blunt
}

func (x *index) begin(hash uint32) uint32 { return hash & uint32(len(x.slots)-1) }
func (x *index) next(n uint32) uint32     { return (n + 1) & uint32(len(x.slots)-1) }
func (x *index) first(hash uint32) slot   { return x.slots[x.begin(hash)] }

func (x *index) empty() {
	if x.held > 0 {
		clear(x.slots)
		x.held = 0
	}
}

// reserve makes room for n more keys.
func (x *index) reserve(n int) {
	if 4*(x.held+n) <= 3*len(x.slots) {
		return
	}
	old := x.slots
	x.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.at > 0 {
			n := x.begin(s.hash)
			for x.slots[n].at > 0 {
				n = x.next(n)
			}
			x.slots[n] = s
		}
	}
}
