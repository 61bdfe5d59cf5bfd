package run

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
)

// indexBytesMax bounds the separators of a run.
const indexBytesMax = 1 << 30

// indexBuilder collects what the sparse index says of each block.
type indexBuilder struct {
	lengths []uint32
	// seps is all separators back to back, ends where each ends.
	seps []byte
	ends []uint32
}

// separatorBytes is how much of key, which is above last, it takes to be above last.
func separatorBytes(last, key []byte) int { return commonPrefix(last, key) + 1 }

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// begin notes the separator of the next block, end its length.
func (x *indexBuilder) begin(sep []byte) {
	x.seps = append(x.seps, sep...)
	x.ends = append(x.ends, uint32(len(x.seps)))
}

func (x *indexBuilder) end(length int) { x.lengths = append(x.lengths, uint32(length)) }

func (x *indexBuilder) sep(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = x.ends[i-1]
	}
	return x.seps[from:x.ends[i]]
}

// encode writes the section: the prefix that all separators share, the blocks' lengths and those of the separators
// without it, and these.
func (x *indexBuilder) encode() []byte {
	n := len(x.lengths)
	if n == 0 {
		return []byte{0}
	}
	// The separators rise: what the first and the last share, all do.
	prefix := x.sep(0)[:commonPrefix(x.sep(0), x.sep(n-1))]
	b := binary.AppendUvarint(make([]byte, 0, len(x.seps)+4*n), uint64(len(prefix)))
	b = append(b, prefix...)
	for i, length := range x.lengths {
		b = binary.AppendUvarint(b, uint64(length))
		b = binary.AppendUvarint(b, uint64(len(x.sep(i))-len(prefix)))
	}
	for i := range n {
		b = append(b, x.sep(i)[len(prefix):]...)
	}
	return b
}

// index is the sparse index in memory: for each block a separator that is above every key of the blocks before it and
// not above any key of its own. There is nothing per block that the garbage collector looks at.
//
// Keys tend to differ late, and the later from their neighbours. So blocks form groups, and a separator is the prefix that
// all share, the part that its group shares, and its own tail. Groups form divisions. A search goes through divisions,
// groups and blocks, each time by eight bytes behind what is known to be the same.
type index struct {
	prefix []byte
	// shared is the groups' parts back to back: that of group g begins at sharedAt[g] and ends where the next begins.
	// groupHeads are the first eight bytes of each group's first separator, big-endian, zeros added, behind the prefix
	// and what the division shares.
	shared     []byte
	sharedAt   []uint32
	groupHeads []uint64
	// divisionHeads are the first eight bytes of each division's first separator behind the prefix, divisionSkips how many
	// bytes there its separators share.
	divisionHeads []uint64
	divisionSkips []uint16
	// tails is the blocks' tails, likewise, heads their first eight bytes.
	tails  []byte
	tailAt []uint32
	heads  []uint64
	// offsets are the low halves of where blocks begin, and of where the last one ends; the high half goes up by one at each
	// of the blocks in carries.
	offsets []uint32
	carries []uint32
}

const (
	// groupBlocks makes the heads of a group two cache lines.
	groupBlocks    = 16
	divisionGroups = 64
	divisionBlocks = divisionGroups * groupBlocks
)

func (x *index) blocks() int { return len(x.heads) }

func (x *index) memoryBytes() int64 {
	return int64(cap(x.prefix) + cap(x.shared) + cap(x.tails) + 2*cap(x.divisionSkips) +
		8*(cap(x.divisionHeads)+cap(x.groupHeads)+cap(x.heads)) +
		4*(cap(x.sharedAt)+cap(x.tailAt)+cap(x.offsets)+cap(x.carries)))
}

func (x *index) groupPart(g int) []byte { return x.shared[x.sharedAt[g]:x.sharedAt[g+1]] }
func (x *index) tail(i int) []byte      { return x.tails[x.tailAt[i]:x.tailAt[i+1]] }

// separator is the whole separator of block i, a copy; nil if there is no block i.
func (x *index) separator(i int) []byte {
	if i >= x.blocks() {
		return nil
	}
	return slices.Concat(x.prefix, x.groupPart(i/groupBlocks), x.tail(i))
}

// extent is where block i stands in the file.
func (x *index) extent(i int) (off, length int64) {
	low := x.offsets[i]
	if len(x.carries) > 0 {
		high := sort.Search(len(x.carries), func(c int) bool { return x.carries[c] > uint32(i) })
		off = int64(high) << 32
	}
	return off + int64(low), int64(x.offsets[i+1] - low)
}

// find is the block that may hold key: the last one whose separator is not above it; -1 if there is none.
func (x *index) find(key []byte) int {
	if !bytes.HasPrefix(key, x.prefix) {
		if bytes.Compare(key, x.prefix) < 0 {
			return -1
		}
		return x.blocks() - 1
	}
	rest := key[len(x.prefix):]
	d := x.notAbove(x.divisionHeads, 0, divisionBlocks, rest, 0) - 1
	if d < 0 {
		return -1
	}
	// rest is not below the first separator of the division, nor, further down, of the group: if it does not share what they
	// share, it is above all of them.
	g, skip := d*divisionGroups, int(x.divisionSkips[d])
	if skip > 0 && !bytes.HasPrefix(rest, x.groupPart(g)[:skip]) {
		return min((d+1)*divisionBlocks, x.blocks()) - 1
	}
	groups := x.groupHeads[g:min(g+divisionGroups, len(x.groupHeads))]
	g += x.notAbove(groups, g*groupBlocks, groupBlocks, rest, skip) - 1
	first, end := g*groupBlocks, min((g+1)*groupBlocks, x.blocks())
	known := skip
	if skip = int(x.sharedAt[g+1] - x.sharedAt[g]); skip > known && !x.inGroup(g, known, skip, rest) {
		return end - 1
	}
	return first + x.notAbove(x.heads[first:end], first, 1, rest, skip) - 1
}

// notAbove counts the separators not above rest, of those of the blocks first, first+stride and so on, which share
// skip bytes with it and have these heads behind them.
func (x *index) notAbove(heads []uint64, first, stride int, rest []byte, skip int) int {
	h := head(rest[skip:])
	n := countUpTo(heads, h)
	if n == 0 || heads[n-1] != h {
		return n
	}
	// The heads do not tell: the separators do, among those with the same head.
	low := 0
	if h > 0 {
		low = countUpTo(heads, h-1)
	}
	for low < n {
		mid := int(uint(low+n) / 2)
		if x.compareRest(first+mid*stride, rest) <= 0 {
			low = mid + 1
		} else {
			n = mid
		}
	}
	return low
}

// inGroup says whether rest, which shares known bytes with the group's first separator, shares skip with it. Mostly
// the head tells.
func (x *index) inGroup(g, known, skip int, rest []byte) bool {
	if len(rest) < skip {
		return false
	}
	if n := skip - known; n <= 8 {
		return (head(rest[known:])^x.groupHeads[g])>>(64-8*n) == 0
	}
	return bytes.Equal(rest[known:skip], x.groupPart(g)[known:])
}

// findBelow is the block that may hold the last key below key; -1 if there is none.
func (x *index) findBelow(key []byte) int {
	i := x.find(key)
	if i >= 0 && x.compare(i, key) == 0 {
		i--
	}
	return i
}

// compare compares the separator of block i with key.
func (x *index) compare(i int, key []byte) int {
	if !bytes.HasPrefix(key, x.prefix) {
		return bytes.Compare(x.prefix, key)
	}
	return x.compareRest(i, key[len(x.prefix):])
}

// compareRest compares the separator of block i behind the prefix with rest.
func (x *index) compareRest(i int, rest []byte) int {
	part := x.groupPart(i / groupBlocks)
	if !bytes.HasPrefix(rest, part) {
		return bytes.Compare(part, rest)
	}
	return bytes.Compare(x.tail(i), rest[len(part):])
}

// head is the first eight bytes of b as a number that compares as they do.
func head(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var pad [8]byte
	copy(pad[:], b)
	return binary.BigEndian.Uint64(pad[:])
}

// countUpTo counts the rising heads that are not above h. It does not branch on them, for no one could guess the way.
func countUpTo(heads []uint64, h uint64) int {
	at, n := 0, len(heads)
	for n > 0 {
		half := (n + 1) / 2
		_, above := bits.Sub64(h, heads[at+half-1], 0)
		at += half & (int(above) - 1)
		n -= half
	}
	return at
}

// build takes the separators, which stand back to back behind the prefix, apart. at has where they begin and is made
// tailAt. It says whether the separators rise.
func (x *index) build(seps []byte, at []uint32) bool {
	n := len(at) - 1
	sep := func(i int) []byte { return seps[at[i]:at[i+1]] }
	for i := 1; i < n; i++ {
		if bytes.Compare(sep(i-1), sep(i)) >= 0 {
			return false
		}
	}
	// As they rise, all of a group, and of a division, share what the first and the last do.
	divisions, groups := (n+divisionBlocks-1)/divisionBlocks, (n+groupBlocks-1)/groupBlocks
	x.divisionHeads, x.divisionSkips = make([]uint64, divisions), make([]uint16, divisions)
	for d := range divisions {
		first, end := d*divisionBlocks, min((d+1)*divisionBlocks, n)
		x.divisionHeads[d], x.divisionSkips[d] = head(sep(first)), uint16(commonPrefix(sep(first), sep(end-1)))
	}
	x.groupHeads, x.sharedAt = make([]uint64, groups), make([]uint32, groups+1)
	tails := len(seps)
	for g := range groups {
		first, end := g*groupBlocks, min((g+1)*groupBlocks, n)
		skip := commonPrefix(sep(first), sep(end-1))
		x.groupHeads[g] = head(sep(first)[x.divisionSkips[g/divisionGroups]:])
		x.sharedAt[g+1] = x.sharedAt[g] + uint32(skip)
		tails -= skip * (end - first)
	}
	x.shared, x.tails = make([]byte, 0, x.sharedAt[groups]), make([]byte, 0, tails)
	x.heads, x.tailAt = make([]uint64, n), at
	from := uint32(0)
	for i := range n {
		g := i / groupBlocks
		skip := x.sharedAt[g+1] - x.sharedAt[g]
		s := seps[from:at[i+1]]
		if i%groupBlocks == 0 {
			x.shared = append(x.shared, s[:skip]...)
		}
		from = at[i+1]
		x.heads[i] = head(s[skip:])
		x.tails = append(x.tails, s[skip:]...)
		at[i+1] = uint32(len(x.tails))
	}
	return true
}

// decodeIndex reads the section b of a run whose n blocks lie between header and end. What it allocates is bounded by
// len(b). It copies b. An empty reason is success.
func decodeIndex(b []byte, n uint64, end int64) (x *index, reason string) {
	// Each block has two numbers in b.
	if n > uint64(len(b))/2 {
		return nil, "index has no room for its blocks"
	}
	x = &index{}
	prefix, at := uvarint(b, 0)
	if at > len(b) || prefix > uint64(len(b)-at) {
		return nil, "prefix of the index"
	}
	x.prefix = slices.Clone(b[at : at+int(prefix)])
	at += int(prefix)
	sepAt, at, reason := x.decodeExtents(b, at, int(n), end)
	switch {
	case reason != "":
		return nil, reason
	case int64(len(b)-at) != int64(sepAt[n]):
		return nil, "length of the index"
	case !x.build(b[at:], sepAt):
		return nil, "order of the index"
	}
	return x, ""
}

// decodeExtents reads the lengths of blocks and separators, and returns where these begin and where it ended in b.
func (x *index) decodeExtents(b []byte, at, n int, end int64) (sepAt []uint32, next int, reason string) {
	x.offsets, sepAt = make([]uint32, n+1), make([]uint32, n+1)
	off, sepEnd := int64(headerBytes), uint64(0)
	x.offsets[0] = uint32(off)
	for i := range n {
		var length, sep uint64
		if length, at = uvarint(b, at); at > len(b) {
			return nil, 0, "length of a block in the index"
		}
		if sep, at = uvarint(b, at); at > len(b) {
			return nil, 0, "length of a separator in the index"
		}
		if length <= blockHeadBytes || length > blockBytesMax || sep > KeyBytesMax || int64(length) > end-off {
			return nil, 0, "block of the index"
		}
		if sepEnd += sep; sepEnd > indexBytesMax {
			return nil, 0, "separators of the index"
		}
		next := off + int64(length)
		if next>>32 != off>>32 {
			x.carries = append(x.carries, uint32(i+1))
		}
		off = next
		x.offsets[i+1], sepAt[i+1] = uint32(off), uint32(sepEnd)
	}
	if off != end {
		return nil, 0, "index does not cover the blocks"
	}
	return sepAt, at, ""
}
