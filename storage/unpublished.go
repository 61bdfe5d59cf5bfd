package storage

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
)

// unpublished finds the newest change of each key in a group that is not published yet: decisions that follow see it in place of what the index
// has. It is used under the writer's lock. A log of blind writes never builds it: changes are entered when a decision first asks.
type unpublished struct {
	// slots are an open-addressing hash table with linear probing: 0 for none, else the upper half of the key's hash, and in the lower half one
	// more than the number of the change. There are a power of two of them, and at most half are taken.
	slots []uint64
	taken int
	// entered is how many of the group's changes are in.
	entered int
}

const (
	unpublishedSlotsMin = 64
	// unpublishedSlotsKept bounds what an empty group holds on to.
	unpublishedSlotsKept = 1 << 15
)

// scatter multiplies hashes, so that nobody can choose keys that crowd in one place of the table (Fibonacci hashing: Knuth, The Art of Computer
// Programming, volume 3, section 6.4, with a multiplier that is drawn).
var scatter = rand.Uint64() | 1

// home is where the search for a hash begins.
func (u *unpublished) home(hash uint64) uint64 {
	return hash * scatter >> (64 - bits.TrailingZeros(uint(len(u.slots))))
}

// enter enters the changes of the group that are not in yet.
func (u *unpublished) enter(g *group) {
	for ; u.entered < len(g.changes); u.entered++ {
		if 2*(u.taken+1) > len(u.slots) {
			u.grow(g)
		}
		c := &g.changes[u.entered]
		at, taken := u.place(g, c.hash, g.key(c))
		if !taken {
			u.taken++
		}
		u.slots[at] = c.hash>>32<<32 | uint64(u.entered+1)
	}
}

// place is the slot of a key, or the free one where it belongs.
func (u *unpublished) place(g *group, hash uint64, key []byte) (at uint64, taken bool) {
	mask := uint64(len(u.slots) - 1)
	for at = u.home(hash); u.slots[at] != 0; at = (at + 1) & mask {
		if slot := u.slots[at]; slot>>32 == hash>>32 && bytes.Equal(g.key(&g.changes[uint32(slot)-1]), key) {
			return at, true
		}
	}
	return at, false
}

// find returns the newest change of a key that was entered; nil if there is none.
func (u *unpublished) find(g *group, hash uint64, key []byte) *change {
	if u.taken == 0 {
		return nil
	}
	if at, taken := u.place(g, hash, key); taken {
		return &g.changes[uint32(u.slots[at])-1]
	}
	return nil
}

// grow doubles the table.
func (u *unpublished) grow(g *group) {
	slots := u.slots
	u.slots = make([]uint64, max(unpublishedSlotsMin, 2*len(slots)))
	mask := uint64(len(u.slots) - 1)
	for _, slot := range slots {
		if slot == 0 {
			continue
		}
		at := u.home(g.changes[uint32(slot)-1].hash)
		for u.slots[at] != 0 {
			at = (at + 1) & mask
		}
		u.slots[at] = slot
	}
}

func (u *unpublished) reset() {
	switch {
	case len(u.slots) > unpublishedSlotsKept:
		u.slots = nil
	case u.taken > 0:
		clear(u.slots)
	}
	u.taken, u.entered = 0, 0
}
