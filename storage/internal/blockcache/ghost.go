package blockcache

import "unsafe"

// ghost remembers the hashes of blocks that were evicted without having been read twice: who asks for one of them
// again shows that the block deserves a place. It is a table with two places for each hash, and forgets what is
// overwritten or old. Two hashes that agree in 32 bits are taken for one, which costs a wrong guess and no more.
type ghost struct {
	marks []mark // a power of two, or none
	// clock counts additions. It wraps around: then a few old marks look young.
	clock uint32
}

// mark is a hash's low half, and the clock when it was added. A zero mark is empty.
type mark struct{ low, added uint32 }

const ghostBytes = int64(unsafe.Sizeof(mark{}))

// places returns the two marks that a hash may be in.
func (g *ghost) places(low uint32) (a, b *mark) {
	i := low & uint32(len(g.marks)-1)
	return &g.marks[i], &g.marks[i^1]
}

// age is how many were added since, for an empty mark the most there can be.
func (g *ghost) age(m *mark) uint32 {
	if *m == (mark{}) {
		return ^uint32(0)
	}
	return g.clock - m.added
}

func (g *ghost) add(h uint64) {
	if len(g.marks) == 0 {
		return
	}
	g.clock++
	a, b := g.places(uint32(h))
	if g.age(b) > g.age(a) {
		a = b
	}
	*a = mark{low: uint32(h), added: g.clock}
}

// take says whether a hash is remembered, and forgets it.
func (g *ghost) take(h uint64) bool {
	if len(g.marks) == 0 {
		return false
	}
	a, b := g.places(uint32(h))
	for _, m := range [2]*mark{a, b} {
		// As many as there are places, which is about how many blocks the main queue can hold.
		if m.low == uint32(h) && g.age(m) < uint32(len(g.marks)) {
			*m = mark{}
			return true
		}
	}
	return false
}

// resize makes room for n marks, a power of two, and keeps the younger ones of those that do not fit.
func (g *ghost) resize(n int) {
	old := g.marks
	g.marks = make([]mark, n)
	for _, m := range old {
		if m == (mark{}) {
			continue
		}
		a, b := g.places(m.low)
		if g.age(b) > g.age(a) {
			a = b
		}
		if g.age(a) > g.age(&m) {
			*a = m
		}
	}
}
