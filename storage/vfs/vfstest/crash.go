package vfstest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorBytes is what a disk writes whole or not at all.
const sectorBytes = 512

// Keep decides what of the unsynced a crash keeps. Nothing, Everything and Random make one.
type Keep struct {
	rng        *rand.Rand
	everything bool
}

// Nothing keeps only what was synced.
func Nothing() Keep { return Keep{} }

// Everything keeps all that was written, as when only the process was killed.
func Everything() Keep { return Keep{everything: true} }

// Random keeps, for each file and directory by itself, nothing, all, a prefix with a torn end, or any subset of its
// sectors.
func Random(seed uint64) Keep { return Keep{rng: rand.New(rand.NewPCG(seed, 0))} }

// Crash returns the file system that is found when the power is back: durable, unlocked and without faults. The FS itself
// is left as it was, so that several outcomes can be had of one crash.
func (m *FS) Crash(keep Keep) *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.written {
		n.absorb()
	}
	after := New()
	after.capacity, after.mappings = m.capacity, m.mappings
	nodes := map[*inode]*inode{} // a file has one content, under however many names it was kept
	for _, path := range slices.Sorted(maps.Keys(m.dirs)) {
		before := m.dirs[path]
		names := maps.Clone(before.durable)
		for _, c := range before.unsynced[:keep.prefix(len(before.unsynced))] {
			c.apply(names)
		}
		d := newDirectory()
		for _, name := range slices.Sorted(maps.Keys(names)) {
			old := names[name]
			if nodes[old] == nil {
				data := keep.content(old)
				nodes[old] = &inode{data: data, durable: slices.Clone(data)}
			}
			d.now[name], d.durable[name] = nodes[old], nodes[old]
		}
		after.dirs[path] = d
	}
	return after
}

// Restart returns the file system as it is found after the process was killed and the system lived on: all that was
// written is there, and what was not synced can still be lost. Locks and faults are gone, the FS itself is left as it
// was.
func (m *FS) Restart() *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.written {
		n.absorb()
	}
	after := New()
	after.capacity, after.mappings = m.capacity, m.mappings
	nodes := map[*inode]*inode{nil: nil}
	copyOf := func(n *inode) *inode {
		if _, ok := nodes[n]; !ok {
			nodes[n] = &inode{data: slices.Clone(n.data), durable: slices.Clone(n.durable), unsynced: slices.Clone(n.unsynced)}
		}
		return nodes[n]
	}
	for path, before := range m.dirs {
		d := newDirectory()
		for name, n := range before.now {
			d.now[name] = copyOf(n)
		}
		for name, n := range before.durable {
			d.durable[name] = copyOf(n)
		}
		for _, c := range before.unsynced {
			c.file = copyOf(c.file)
			d.unsynced = append(d.unsynced, c)
		}
		after.dirs[path] = d
	}
	return after
}

// prefix is how many of n ordered changes are kept.
func (k Keep) prefix(n int) int {
	switch {
	case k.everything:
		return n
	case k.rng == nil:
		return 0
	}
	return k.rng.IntN(n + 1)
}

func (k Keep) content(n *inode) []byte {
	data := slices.Clone(n.durable)
	if k.rng == nil {
		if k.everything {
			data = slices.Clone(n.data)
		}
		return data
	}
	switch k.rng.IntN(4) {
	case 0:
	case 1:
		data = slices.Clone(n.data)
	case 2:
		kept := k.prefix(len(n.unsynced))
		for _, c := range n.unsynced[:kept] {
			data = c.on(data)
		}
		if kept < len(n.unsynced) {
			data = k.sectors(data, n.unsynced[kept])
		}
	default:
		for _, c := range n.unsynced {
			data = k.sectors(data, c)
		}
	}
	return data
}

// sectors applies a random subset of the sectors of a change.
func (k Keep) sectors(data []byte, c change) []byte {
	if c.truncate {
		if k.rng.IntN(2) == 0 {
			return c.on(data)
		}
		return data
	}
	for from := 0; from < len(c.bytes); {
		to := min(len(c.bytes), from+sectorBytes-int(c.off+int64(from))%sectorBytes)
		if k.rng.IntN(2) == 0 {
			data = change{off: c.off + int64(from), bytes: c.bytes[from:to]}.on(data)
		}
		from = to
	}
	return data
}
