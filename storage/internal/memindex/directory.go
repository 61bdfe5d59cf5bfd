package memindex

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// A leaf whose entries have one size has a directory, in which its keys are in order, while its entries stand as they
// came. It has, for each key, a byte that says in which of 256 buckets the key is, and a byte that says where its entry
// stands. Buckets part the range of the leaf's keys evenly, as it was when they were chosen. So a search looks at a few
// entries at most, all in the key's bucket, and an insertion moves bytes of the directory and no entry.
//
// A directory has room for about as many keys as the leaf's block, for when it gets wider all entries move.
const (
	bucketCount = 256
	// directoryMax bounds the keys of a directory, which has room for a multiple of directoryStep: it is read in words.
	directoryMax  = 248
	directoryStep = 8
	// directoryKey is what a key takes.
	directoryKey = 2
)

// directoryRoom is the least room that n keys need.
func directoryRoom(n int) int { return (n + directoryStep - 1) / directoryStep * directoryStep }

func (l leaf) directoryRoom() int { return int(l[leafRoom]) }

// roomFor is for how many keys the directory should have room if there are n, and they fit the leaf's block.
func (l leaf) roomFor(n int) int {
	const roundedUp = (directoryStep - 1) * directoryKey
	size := min(granulesOf(l)<<granuleShift-leafPad, leafBytesMax)
	fit := (size - leafHeader - l.prefixLen() - roundedUp) / (l.stride() + directoryKey)
	return directoryRoom(min(max(n, fit), directoryMax))
}

// widen makes room in the directory.
func (l leaf) widen(room int) {
	old, used := l.directoryRoom(), l.used()
	if room <= old {
		return
	}
	begin := leafHeader + l.prefixLen()
	end := begin + directoryKey*old
	copy(l[begin+directoryKey*room:], l[end:used])
	copy(l[begin+room:], l[begin+old:end])
	for i := begin + old; i < begin+room; i++ {
		l[i] = bucketCount - 1
	}
	l[leafRoom] = byte(room)
	l.put(l.count(), used+directoryKey*(room-old))
}

// buckets and places are the two parts of the directory. Buckets behind those of the leaf's keys are unused, and the last one.
func (l leaf) buckets() []byte {
	at := leafHeader + l.prefixLen()
	return l[at : at+l.directoryRoom()]
}

func (l leaf) places() []byte {
	room := l.directoryRoom()
	at := leafHeader + l.prefixLen() + room
	return l[at : at+room]
}

// place is where the i-th key's entry begins.
func (l leaf) place(i, stride int) int {
	room := l.directoryRoom()
	directory := leafHeader + l.prefixLen()
	return directory + directoryKey*room + int(l[directory+room+i])*stride
}

// bucket returns the bucket of a key, given its rest.
func (l leaf) bucket(rest []byte) byte {
	return bucketOf(head(rest), binary.LittleEndian.Uint64(l[leafBase:]), l[leafShift])
}

func bucketOf(h, base uint64, shift byte) byte {
	if h < base {
		return 0
	}
	return byte(min((h-base)>>shift, bucketCount-1))
}

// searchDirectory is search where the leaf has a directory. It is given the key's rest.
func (l leaf) searchDirectory(rest []byte, stride, n int) (int, bool) {
	buckets := l.buckets()
	b := l.bucket(rest)
	lo := countLess(buckets, b)
	hi := lo
	for hi < n && buckets[hi] == b {
		hi++
	}
	metaLen := l.metaLen()
	keyLen := stride - besidesKey(metaLen) - l.locBytes()
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		at := l.place(m, stride)
		if metaLen&metasPadded != 0 {
			at = l.paddedKey(at, metaLen)
		}
		switch c := bytes.Compare(l[at:at+keyLen], rest); {
		case c < 0:
			lo = m + 1
		case c > 0:
			hi = m
		default:
			return m, true
		}
	}
	return lo, false
}

// countLess returns how many bytes are less than b. Their number is a multiple of 8. It looks at all of them: to stop
// early would cost a branch that nobody can predict.
func countLess(s []byte, b byte) (n int) {
	const low, high = 0x0101010101010101, 0x8080808080808080
	y := low * uint64(b)
	for ; len(s) >= 8; s = s[8:] {
		x := binary.LittleEndian.Uint64(s)
		// The high bit of each byte of t says that the lower bits of x are not less than those of y.
		t := x | high - y&^high
		n += bits.OnesCount64((^x&y | ^(x^y)&^t) & high)
	}
	return n
}

// insertPlaced is insert where the leaf has a directory.
func (l leaf) insertPlaced(b leaf, i, stride int, key, meta []byte, loc *Location) {
	n := l.count()
	moves := &b[0] != &l[0]
	if moves {
		used := l.used()
		copy(b[leafUsed:used], l[leafUsed:used])
		if b.crowded() {
			b.chooseBuckets()
		}
	}
	if moves || n == l.directoryRoom() {
		b.widen(b.roomFor(n + 1))
	}
	used := b.used()
	rest := key[b.prefixLen():]
	buckets, places := b.buckets(), b.places()
	copy(buckets[i+1:n+1], buckets[i:n])
	copy(places[i+1:n+1], places[i:n])
	buckets[i], places[i] = b.bucket(rest), byte(n)
	at := used
	if metaLen := b.metaLen(); metaLen&metasPadded != 0 {
		at = b.pad(at, metaLen, len(meta))
	}
	at += copy(b[at:], rest)
	at += copy(b[at:], meta)
	f := b.frame()
	f.put(b[at:], loc, len(key)+len(meta))
	b.put(n+1, used+stride)
}

// removePlaced is remove where the leaf has a directory. The last entry takes the place of the one that goes.
func (l leaf) removePlaced(i, stride int) {
	n, used := l.count(), l.used()
	buckets, places := l.buckets(), l.places()
	if place, last := places[i], byte(n-1); place != last {
		at := l.place(i, stride)
		copy(l[at:at+stride], l[used-stride:used])
		places[bytes.IndexByte(places[:n], last)] = place
	}
	copy(buckets[i:], buckets[i+1:n])
	copy(places[i:], places[i+1:n])
	buckets[n-1] = bucketCount - 1
	l.put(n-1, used-stride)
}

// crowded says whether many keys are outside of the range that the buckets were chosen for.
func (l leaf) crowded() bool {
	n := l.count()
	buckets := l.buckets()
	return n > 0 && (buckets[n/8] == 0 || buckets[n-1-n/8] == bucketCount-1)
}

// chooseBuckets chooses the buckets anew by the keys that are there, which are some.
func (l leaf) chooseBuckets() {
	n, stride := l.count(), l.stride()
	first, last := l.entry(0), l.entry(n-1)
	base := head(l.rest(&first))
	span := head(l.rest(&last)) - base
	shift := byte(max(bits.Len64(span)-8, 0))
	if span == 0 {
		base, shift = 0, 56
	}
	binary.LittleEndian.PutUint64(l[leafBase:], base)
	l[leafShift] = shift
	metaLen := l.metaLen()
	keyLen := stride - besidesKey(metaLen) - l.locBytes()
	buckets, places := l.buckets(), l.places()
	entries := leafHeader + l.prefixLen() + directoryKey*len(places)
	for i, place := range places[:n] {
		at := entries + int(place)*stride
		if metaLen&metasPadded != 0 {
			at = l.paddedKey(at, metaLen)
		}
		buckets[i] = bucketOf(head(l[at:at+keyLen]), base, shift)
	}
	for i := n; i < len(buckets); i++ {
		buckets[i] = bucketCount - 1
	}
}
