package storage

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// unpublished finds the newest change of each key in a group that is not published yet: decisions that follow see it in place of what the index
// has. It is used under the writer's lock. A log of blind writes never builds it: changes are entered when a decision first asks.
type unpublished struct {
	// slots are an open-addressing hash table with linear probing: 0 for none, else the keyHash in the upper half, and in the lower half one
	// more than the number of the change. There are a power of two of them, and at most half are taken.
	slots []uint64
	taken int
	// entered is how many of the group's changes are in.
	entered int
}

const (
	unpublishedSlotsMin = 64
	// unpublishedSlotsKept bounds what an empty group holds on to, and so what it takes to empty it; it is less where few were taken.
	unpublishedSlotsKept = 1 << 15
	unpublishedSlotsEach = 64
)

// keySeed is drawn: the hashes by which keys find their shards are known to everybody, and keys that are equal by those would all crowd in
// one place.
var keySeed = maphash.MakeSeed()

// keyHash is what a key is found by.
func keyHash(key []byte) uint32 { return uint32(maphash.Bytes(keySeed, key)) }

// enter enters the changes of the group that are not in yet.
func (u *unpublished) enter(g *group) {
	for u.entered < len(g.changes) {
		u.enterNext(g, keyHash(g.key(&g.changes[u.entered])))
	}
}

// enterNext enters the next change, of whose key it takes the hash.
func (u *unpublished) enterNext(g *group, hash uint32) {
	if 2*(u.taken+1) > len(u.slots) {
		u.grow()
	}
	at, taken := u.place(g, hash, g.key(&g.changes[u.entered]))
	if !taken {
		u.taken++
	}
	u.entered++
	u.slots[at] = uint64(hash)<<32 | uint64(u.entered)
}

// home is where the search for a hash begins.
func (u *unpublished) home(hash uint32) int {
	return int(hash >> (32 - bits.TrailingZeros(uint(len(u.slots)))))
}

// place is the slot of a key, or the free one where it belongs.
func (u *unpublished) place(g *group, hash uint32, key []byte) (at int, taken bool) {
	mask := len(u.slots) - 1
	for at = u.home(hash); u.slots[at] != 0; at = (at + 1) & mask {
		if slot := u.slots[at]; uint32(slot>>32) == hash && bytes.Equal(g.key(&g.changes[uint32(slot)-1]), key) {
			return at, true
		}
	}
	return at, false
}

// find returns the newest change of a key that was entered; nil if there is none.
func (u *unpublished) find(g *group, hash uint32, key []byte) *change {
	if u.taken == 0 {
		return nil
	}
	if at, taken := u.place(g, hash, key); taken {
		return &g.changes[uint32(u.slots[at])-1]
	}
	return nil
}

// grow doubles the table.
func (u *unpublished) grow() {
	slots := u.slots
	u.slots = make([]uint64, max(unpublishedSlotsMin, 2*len(slots)))
	mask := len(u.slots) - 1
	for _, slot := range slots {
		if slot == 0 {
			continue
		}
		at := u.home(uint32(slot >> 32))
		for u.slots[at] != 0 {
			at = (at + 1) & mask
		}
		u.slots[at] = slot
	}
}

func (u *unpublished) reset() {
	switch {
	case len(u.slots) > min(unpublishedSlotsKept, max(unpublishedSlotsMin, unpublishedSlotsEach*u.taken)):
		u.slots = nil
	case u.taken > 0:
		clear(u.slots)
	}
	u.taken, u.entered = 0, 0
}
