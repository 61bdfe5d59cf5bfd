package antientropy

import "github.com/ringcask/ringcask/ring"

// Poison has the key's leaf differ from every other replica's, because what is stored under the key cannot be read, until Unpoison. It
// copies key.
func (f *Forest) Poison(key []byte) {
	id, leaf := f.LeafOf(key)
	p := &f.partitions[id]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.poisonLocked(p, key, leaf)
}

func (f *Forest) poisonLocked(p *partition, key []byte, leaf int) {
	if _, ok := p.poisoned[string(key)]; ok {
		return
	}
	if len(p.poisoned) < f.opts.PoisonedKeysMax {
		p.poisoned = with(p.poisoned, key, leaf)
		return
	}
	for _, t := range [...]*tree{p.standing, p.making} {
		if t != nil {
			t.spoiled.add(leaf)
		}
	}
}

func with(keys map[string]int, key []byte, leaf int) map[string]int {
	if keys == nil {
		keys = make(map[string]int)
	}
	keys[string(key)] = leaf
	return keys
}

// Unpoison takes back Poison of the key, and what a Rebuild found out about it. It is to be called after the key was written anew.
// Where the engine said of that write that what was there before cannot be read, the leaf stays poisoned until the next
// Rebuild: see TreeStats.SpoiledLeaves.
func (f *Forest) Unpoison(key []byte) {
	id, leaf := f.LeafOf(key)
	p := &f.partitions[id]
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(p.poisoned, string(key))
	if p.making != nil && len(p.unpoisoned) < f.opts.PoisonedKeysMax {
		p.unpoisoned = with(p.unpoisoned, key, leaf)
	}
}

// Poisoned says whether something in the partition cannot be read: by the name of a key, or in a leaf of which the sum is not known.
func (f *Forest) Poisoned(p ring.PartitionID) bool {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(part.poisoned) > 0 || part.standing != nil && part.standing.spoiled != leafSet{}
}

// PoisonedKeys are the keys of a partition that are poisoned, in no order.
func (f *Forest) PoisonedKeys(p ring.PartitionID) [][]byte {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := make([][]byte, 0, len(part.poisoned))
	for key := range part.poisoned {
		keys = append(keys, []byte(key))
	}
	return keys
}

// poisonLeavesLocked changes those of the standing tree's leaves, copied from first on, that must not be compared.
func (f *Forest) poisonLeavesLocked(p *partition, first int, leaves []uint64) {
	bad := p.standing.spoiled
	for _, leaf := range p.poisoned {
		bad.add(leaf)
	}
	for i := range leaves {
		if leaf := first + i; bad.has(leaf) {
			leaves[i] = mix(leaves[i] ^ mix(f.salt^uint64(leaf)))
		}
	}
}
