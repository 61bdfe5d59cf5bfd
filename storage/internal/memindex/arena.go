package memindex

import (
	"encoding/binary"
	"math/bits"
)

// ref is the address of a block: its chunk, and the granule within the chunk.
type ref uint32

// none is the address of nothing: the first granule of the first chunk is never handed out.
const none ref = 0

const (
	granuleShift = 7
	granuleBytes = 1 << granuleShift
	// chunkGranuleBits leaves 2^18 chunks of at most 2 MiB: half a TiB.
	chunkGranuleBits = 14
	chunkBytesMax    = granuleBytes << chunkGranuleBits
	chunkBytesMin    = 64 << 10
	granuleMask      = 1<<chunkGranuleBits - 1
)

// Bins hold free blocks by their size: of exactBins granules and fewer, one bin a size; above, four bins for each
// doubling.
const (
	exactBins = 64
	binCount  = exactBins + 4*(chunkGranuleBits-6) + 5
)

// leftoverShare says up to which share of a block it is left longer than was asked for, for what it would leave free is
// of little use to others, and the block's owner may grow.
const leftoverShare = 6

// findTries bounds how many blocks of a bin that has several sizes are looked at.
const findTries = 32

// A free block begins with its size in granules, and its neighbours in its bin, and ends with its size again.
const (
	freeSize = 0
	freeNext = 4
	freePrev = 8
)

// arena hands out blocks of whole granules. It gives the best fit, and joins what is freed with free neighbours, so
// that memory freed in one size serves another.
type arena struct {
	heap   bool
	chunks [][]byte
	// edges has, for each chunk, a bit for each granule that is the first or the last of a free block.
	edges    [][]uint64
	bins     [binCount]ref
	nonEmpty [(binCount + 63) / 64]uint64
	bytes    int64
	// free counts the granules that are free.
	free int64
}

// at returns the memory from a block's beginning to its chunk's end.
func (a *arena) at(r ref) []byte { return blockAt(a.chunks, r) }

func blockAt(chunks [][]byte, r ref) []byte {
	return chunks[r>>chunkGranuleBits][(r&granuleMask)<<granuleShift:]
}

func granulesFor(size int) int { return (size + granuleBytes - 1) >> granuleShift }

func binOf(granules int) int {
	if granules <= exactBins {
		return granules - 1
	}
	log := bits.Len(uint(granules)) - 1
	return exactBins + 4*(log-6) + granules>>(log-2)&3
}

// alloc returns a block of at least size bytes, and how many granules it has. What it held before is still in it.
func (a *arena) alloc(size int) (ref, int) {
	want := granulesFor(size)
	r := a.find(want)
	if r == none {
		a.addChunk(want)
		r = a.find(want)
	}
	got := a.unlink(r)
	if got-want <= want/leftoverShare {
		return r, got
	}
	a.link(r+ref(want), got-want)
	return r, want
}

// find returns the smallest free block that has as many granules, as far as bins tell sizes apart.
func (a *arena) find(want int) ref {
	bin := binOf(want)
	if want > exactBins {
		// Blocks of this bin may be too small; those of greater bins are not.
		for r, tries := a.bins[bin], 0; r != none && tries < findTries; r, tries = a.next(r), tries+1 {
			if a.size(r) >= want {
				return r
			}
		}
		bin++
	}
	for word := bin / 64; word < len(a.nonEmpty); word++ {
		set := a.nonEmpty[word]
		if word == bin/64 {
			set &= ^uint64(0) << (bin % 64)
		}
		if set != 0 {
			return a.bins[word*64+bits.TrailingZeros64(set)]
		}
	}
	return none
}

// release gives back granules, which need not be a whole block as it was handed out.
func (a *arena) release(r ref, granules int) {
	at := int(r & granuleMask)
	edges := a.edges[r>>chunkGranuleBits]
	if end := at + granules; edges[end/64]>>(end%64)&1 != 0 {
		granules += a.unlink(r + ref(granules))
	}
	if before := at - 1; before >= 0 && edges[before/64]>>(before%64)&1 != 0 {
		last := a.at(r - 1)
		n := ref(binary.LittleEndian.Uint32(last[granuleBytes-4:]))
		r -= n
		granules += a.unlink(r)
	}
	a.link(r, granules)
}

// extend makes a block longer if enough that follows it is free for it to have need granules: up to most. It returns how
// many the block has then.
func (a *arena) extend(r ref, granules, need, most int) int {
	edges := a.edges[r>>chunkGranuleBits]
	end := int(r&granuleMask) + granules
	if edges[end/64]>>(end%64)&1 == 0 {
		return granules
	}
	next := r + ref(granules)
	if a.size(next) < need-granules {
		return granules
	}
	got, more := a.unlink(next), most-granules
	if got > more {
		a.link(next+ref(more), got-more)
		got = more
	}
	return granules + got
}

func (a *arena) size(r ref) int { return int(binary.LittleEndian.Uint32(a.at(r)[freeSize:])) }
func (a *arena) next(r ref) ref { return ref(binary.LittleEndian.Uint32(a.at(r)[freeNext:])) }

// link makes granules a free block.
func (a *arena) link(r ref, granules int) {
	bin := binOf(granules)
	head := a.bins[bin]
	b := a.at(r)
	binary.LittleEndian.PutUint32(b[freeSize:], uint32(granules))
	binary.LittleEndian.PutUint32(b[freeNext:], uint32(head))
	binary.LittleEndian.PutUint32(b[freePrev:], uint32(none))
	binary.LittleEndian.PutUint32(b[granules<<granuleShift-4:], uint32(granules))
	if head != none {
		binary.LittleEndian.PutUint32(a.at(head)[freePrev:], uint32(r))
	}
	a.bins[bin] = r
	a.nonEmpty[bin/64] |= 1 << (bin % 64)
	first, last := int(r&granuleMask), int(r&granuleMask)+granules-1
	edges := a.edges[r>>chunkGranuleBits]
	edges[first/64] |= 1 << (first % 64)
	edges[last/64] |= 1 << (last % 64)
	a.free += int64(granules)
}

// unlink makes a free block nobody's, and returns its size.
func (a *arena) unlink(r ref) int {
	b := a.at(r)
	granules := int(binary.LittleEndian.Uint32(b[freeSize:]))
	next := ref(binary.LittleEndian.Uint32(b[freeNext:]))
	prev := ref(binary.LittleEndian.Uint32(b[freePrev:]))
	bin := binOf(granules)
	if next != none {
		binary.LittleEndian.PutUint32(a.at(next)[freePrev:], uint32(prev))
	}
	if prev != none {
		binary.LittleEndian.PutUint32(a.at(prev)[freeNext:], uint32(next))
	} else {
		a.bins[bin] = next
		if next == none {
			a.nonEmpty[bin/64] &^= 1 << (bin % 64)
		}
	}
	first, last := int(r&granuleMask), int(r&granuleMask)+granules-1
	edges := a.edges[r>>chunkGranuleBits]
	edges[first/64] &^= 1 << (first % 64)
	edges[last/64] &^= 1 << (last % 64)
	a.free -= int64(granules)
	return granules
}

// addChunk takes memory from the system: more at a time as there is more.
func (a *arena) addChunk(granules int) {
	size := chunkBytesMin
	for size < chunkBytesMax && (int64(size) < a.bytes/8 || size < (granules+1)<<granuleShift) {
		size *= 2
	}
	a.checkChunks(1)
	mem := a.take(size)
	r := ref(len(a.chunks)) << chunkGranuleBits
	n := size >> granuleShift
	a.chunks = append(a.chunks, mem)
	// One word more than there are granules: the bit behind the last granule is read, and always zero.
	a.edges = append(a.edges, make([]uint64, n/64+1))
	a.bytes += int64(size)
	if r == none {
		r, n = r+1, n-1
	}
	a.link(r, n)
}

// checkChunks panics if there cannot be so many chunks more.
func (a *arena) checkChunks(more int) {
	if len(a.chunks)+more > 1<<(32-chunkGranuleBits) {
		panic("memindex: more than half a TiB of keys")
	}
}

func (a *arena) take(size int) []byte {
	if a.heap {
		return make([]byte, size)
	}
	mem, err := mapMemory(size)
	if err != nil {
		// As it is with the Go heap: a process that gets no memory cannot go on.
		panic("memindex: out of memory: " + err.Error())
	}
	return mem
}

// close gives all memory back.
func (a *arena) close() {
	for _, mem := range a.chunks {
		if !a.heap {
			// There is nothing to be done about memory that the system does not take back.
			_ = unmapMemory(mem)
		}
	}
	*a = arena{heap: a.heap}
}
