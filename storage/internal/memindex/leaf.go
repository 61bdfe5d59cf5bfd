package memindex

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Both kinds of node begin with the generation in which they were born and their size in granules.
const (
	nodeBirth    = 0
	nodeGranules = 8
)

// What a leaf's header has besides.
const (
	leafUsed    = 12
	leafCount   = 16
	leafPrefix  = 18
	leafStride  = 20
	leafMetaLen = 22
	leafBits    = 24
	leafShift   = 30
	leafRoom    = 31
	leafSeq     = 32
	leafSegment = 40
	leafOffset  = 44
	leafLength  = 48
	leafBase    = 52
	leafHeader  = 60

	// metasVary stands for the metas' length if they are not of one length. With metasPadded there stands the greatest length for which
	// the entries, which are of one size, have room.
	metasVary   = 0x7FFF
	metasPadded = 0x8000
	// padMax bounds what an entry has on average that it could do without if entries were not of one size.
	padMax = 4
	// leafPad is room behind the last entry, for reads of whole words.
	leafPad = 8

	// leafBytesMax bounds a leaf of more than one entry.
	leafBytesMax = 32*granuleBytes - leafPad
	// leafBytesMin is what a leaf should have, unless its neighbours are oversized.
	leafBytesMin = leafBytesMax / 4

	// growthShare says by which share of its size a leaf grows at once.
	growthShare = 12

	keyBytesMax  = 1<<16 - 1
	metaBytesMax = 1<<8 - 1
)

// leaf is a node that has entries, in the order of their keys.
type leaf []byte

func birthOf(node []byte) uint64       { return binary.LittleEndian.Uint64(node[nodeBirth:]) }
func setBirth(node []byte, gen uint64) { binary.LittleEndian.PutUint64(node[nodeBirth:], gen) }
func granulesOf(node []byte) int       { return int(binary.LittleEndian.Uint32(node[nodeGranules:])) }
func setGranules(node []byte, n int)   { binary.LittleEndian.PutUint32(node[nodeGranules:], uint32(n)) }
func get16(b []byte, at int) int       { return int(binary.LittleEndian.Uint16(b[at:])) }
func get32(b []byte, at int) uint32    { return binary.LittleEndian.Uint32(b[at:]) }
func put16(b []byte, at int, v int)    { binary.LittleEndian.PutUint16(b[at:], uint16(v)) }
func put32(b []byte, at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
func (l leaf) used() int               { return int(get32(l, leafUsed)) }
func (l leaf) count() int              { return get16(l, leafCount) }
func (l leaf) prefixLen() int          { return get16(l, leafPrefix) }
func (l leaf) prefix() []byte          { return l[leafHeader : leafHeader+l.prefixLen()] }
func (l leaf) stride() int             { return get16(l, leafStride) }
func (l leaf) metaLen() int            { return get16(l, leafMetaLen) }
func (l leaf) locBytes() int           { return int(l[leafBits+5]) }
func (l leaf) put(count, used int)     { put16(l, leafCount, count); put32(l, leafUsed, uint32(used)) }
func (l leaf) slot(slots, i int) int   { return get16(l, slots+2*i) }
func (l leaf) location(e *leafEntry) Location {
	f := l.frame()
	return f.get(l[e.loc:], e.textLen(l))
}

func (l leaf) frame() frame {
	return frame{
		seq:       binary.LittleEndian.Uint64(l[leafSeq:]),
		segment:   get32(l, leafSegment),
		offset:    get32(l, leafOffset),
		length:    get32(l, leafLength),
		seqBits:   l[leafBits],
		offBits:   l[leafBits+1],
		lenBits:   l[leafBits+2],
		segBits:   l[leafBits+3],
		flagsBits: l[leafBits+4],
		bytes:     l[leafBits+5],
	}
}

func (l leaf) setFrame(f *frame) {
	binary.LittleEndian.PutUint64(l[leafSeq:], f.seq)
	put32(l, leafSegment, f.segment)
	put32(l, leafOffset, f.offset)
	put32(l, leafLength, f.length)
	l[leafBits] = f.seqBits
	l[leafBits+1] = f.offBits
	l[leafBits+2] = f.lenBits
	l[leafBits+3] = f.segBits
	l[leafBits+4] = f.flagsBits
	l[leafBits+5] = f.bytes
}

// leafEntry is where the parts of an entry are in its leaf: the rest of the key up to meta, the meta up to loc, the
// packed location up to end. start is that of the key, or of the byte with the meta's length, between which and the key may be room.
type leafEntry struct{ start, key, meta, loc, end int }

// textLen is the length of the key and the meta.
func (e *leafEntry) textLen(l leaf) int { return l.prefixLen() + e.loc - e.key }

func (l leaf) entry(i int) (e leafEntry) {
	metaLen := l.metaLen()
	if stride := l.stride(); stride != 0 {
		e.start = l.place(i, stride)
		e.end = e.start + stride
		e.key = e.start
		if metaLen&metasPadded != 0 {
			e.key = l.paddedKey(e.start, metaLen)
			metaLen = int(l[e.start])
		}
	} else {
		n := l.count()
		base := leafHeader + l.prefixLen()
		entries := base + 2*n
		e.start = entries + l.slot(base, i)
		e.end = l.used()
		if i+1 < n {
			e.end = entries + l.slot(base, i+1)
		}
		e.key = e.start
		if metaLen == metasVary {
			metaLen = int(l[e.start])
			e.key++
		}
	}
	e.loc = e.end - l.locBytes()
	e.meta = e.loc - metaLen
	return e
}

// paddedKey is where the key begins of an entry that has room for a longer meta, and stands at start.
func (l leaf) paddedKey(start, metaLen int) int {
	return start + 1 + metaLen&^metasPadded - int(l[start])
}

// pad begins such an entry, whose meta has a length, and returns where its key goes.
func (l leaf) pad(start, metaLen, length int) int {
	l[start] = byte(length)
	key := l.paddedKey(start, metaLen)
	clear(l[start+1 : key])
	return key
}

// roomInPlace says whether an entry could have a meta of a length where it stands.
func (l leaf) roomInPlace(e *leafEntry, length int) bool {
	metaLen := l.metaLen()
	return length == e.loc-e.meta || l.stride() != 0 && metaLen&metasPadded != 0 && length <= metaLen&^metasPadded
}

// replaceMeta gives an entry another meta, for which there is room where it stands.
func (l leaf) replaceMeta(e *leafEntry, key, meta []byte) {
	if len(meta) != e.loc-e.meta {
		at := l.pad(e.start, l.metaLen(), len(meta))
		e.meta = at + copy(l[at:], key[l.prefixLen():])
	}
	copy(l[e.meta:], meta)
}

// besidesKey is what an entry takes besides its key and location, where all have one size.
func besidesKey(metaLen int) int {
	if metaLen&metasPadded == 0 {
		return metaLen
	}
	return 1 + metaLen&^metasPadded
}

func (l leaf) rest(e *leafEntry) []byte { return l[e.key:e.meta] }
func (l leaf) meta(e *leafEntry) []byte { return l[e.meta:e.loc:e.loc] }

// head is the first 8 bytes as a number that sorts as they do.
func head(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var h uint64
	for i, c := range b {
		h |= uint64(c) << (56 - 8*i)
	}
	return h
}

// headOf is head(b[:n]). b has at least 8 bytes.
func headOf(b []byte, n int) uint64 {
	return binary.BigEndian.Uint64(b) &^ (^uint64(0) >> (8 * uint(min(n, 8))))
}

// search returns the first entry that is not less than key, and whether it is key's.
func (l leaf) search(key []byte) (int, bool) {
	n := l.count()
	prefix := l.prefix()
	if !bytes.HasPrefix(key, prefix) {
		if bytes.Compare(key, prefix) < 0 {
			return 0, false
		}
		return n, false
	}
	rest := key[len(prefix):]
	if stride := l.stride(); stride != 0 {
		return l.searchDirectory(rest, stride, n)
	}
	return l.searchSlots(rest, n)
}

// searchSlots is search where entries have several sizes, and stand as entry says. It is given the key's rest.
func (l leaf) searchSlots(rest []byte, n int) (int, bool) {
	slots := leafHeader + l.prefixLen()
	entries := l[slots+2*n : l.used()+leafPad]
	metaLen, locBytes := l.metaLen(), l.locBytes()
	h := head(rest)
	for lo, hi := 0, n; ; {
		if lo == hi {
			return lo, false
		}
		m := int(uint(lo+hi) >> 1)
		at, end := l.slot(slots, m), len(entries)-leafPad
		if m+1 < n {
			end = l.slot(slots, m+1)
		}
		end -= locBytes
		if metaLen == metasVary {
			end -= int(entries[at])
			at++
		} else {
			end -= metaLen
		}
		// Most keys differ in their heads. Behind each are 8 bytes that may be read: its meta, its location, other entries, the pad.
		c := cmp.Compare(headOf(entries[at:], end-at), h)
		if c == 0 {
			c = bytes.Compare(entries[at:end], rest)
		}
		switch {
		case c < 0:
			lo = m + 1
		case c > 0:
			hi = m
		default:
			return m, true
		}
	}
}

// room returns how much longer the leaf gets by an entry, and false if the leaf's form does not have it.
func (l leaf) room(key, meta []byte, loc *Location) (int, bool) {
	prefix := l.prefix()
	if !bytes.HasPrefix(key, prefix) {
		return 0, false
	}
	f := l.frame()
	if !f.fits(loc, len(key)+len(meta)) {
		return 0, false
	}
	size := len(key) - len(prefix) + len(meta) + int(f.bytes)
	metaLen := l.metaLen()
	if stride := l.stride(); stride != 0 {
		if metaLen&metasPadded != 0 {
			if len(meta) > metaLen&^metasPadded {
				return 0, false
			}
			size += besidesKey(metaLen) - len(meta)
		} else if metaLen != len(meta) {
			return 0, false
		}
		n := l.count()
		if n == l.directoryRoom() {
			return size + directoryKey*directoryStep, size == stride && n < directoryMax
		}
		return size, size == stride
	}
	if metaLen == metasVary {
		size++
	} else if metaLen != len(meta) {
		return 0, false
	}
	return size + 2, true
}

// insert makes the entry the i-th, and has the leaf in b, which is l or the block that l moves to. b has room for it,
// and the leaf's form has it.
func (l leaf) insert(b leaf, i int, key, meta []byte, loc *Location, room int) {
	if stride := l.stride(); stride != 0 {
		l.insertPlaced(b, i, stride, key, meta, loc)
		return
	}
	n, used := l.count(), l.used()
	base := leafHeader + l.prefixLen()
	size := room - 2
	entries := base + 2*n
	at := used
	if i < n {
		at = entries + l.slot(base, i)
	}
	copy(b[at+room:used+room], l[at:used])
	copy(b[entries+2:at+2], l[entries:at])
	start := at - entries
	for j := n; j > i; j-- {
		put16(b, base+2*j, l.slot(base, j-1)+size)
	}
	put16(b, base+2*i, start)
	if &b[0] != &l[0] {
		copy(b[leafUsed:base+2*i], l[leafUsed:base+2*i])
	}
	at += 2
	if l.metaLen() == metasVary {
		b[at] = byte(len(meta))
		at++
	}
	at += copy(b[at:], key[base-leafHeader:])
	at += copy(b[at:], meta)
	f := l.frame()
	f.put(b[at:], loc, len(key)+len(meta))
	b.put(n+1, used+room)
}

// remove takes the i-th entry out.
func (l leaf) remove(i int) {
	if stride := l.stride(); stride != 0 {
		l.removePlaced(i, stride)
		return
	}
	n, used := l.count(), l.used()
	e := l.entry(i)
	size := e.end - e.start
	base := leafHeader + l.prefixLen()
	for j := i; j < n-1; j++ {
		put16(l, base+2*j, l.slot(base, j+1)-size)
	}
	entries := base + 2*n
	copy(l[entries-2:], l[entries:e.start])
	copy(l[e.start-2:], l[e.end:used])
	l.put(n-1, used-size-2)
}

// entry is one that stands outside of a leaf while leaves are built.
type entry struct {
	// keyAt, metaAt and end are places in entries.text.
	keyAt, metaAt, end int
	loc                Location
}

// entries are the scratch memory in which leaves are taken apart and built.
type entries struct {
	list []entry
	text []byte
}

func (s *entries) reset() { s.list, s.text = s.list[:0], s.text[:0] }

func (s *entries) key(i int) []byte  { return s.text[s.list[i].keyAt:s.list[i].metaAt] }
func (s *entries) meta(i int) []byte { return s.text[s.list[i].metaAt:s.list[i].end] }

func (s *entries) add(prefix, rest, meta []byte, loc Location) {
	e := entry{keyAt: len(s.text), metaAt: len(s.text) + len(prefix) + len(rest), loc: loc}
	s.text = append(append(append(s.text, prefix...), rest...), meta...)
	e.end = len(s.text)
	s.list = append(s.list, e)
}

// addLeaf adds the entries of a leaf from the i-th to before the j-th.
func (s *entries) addLeaf(l leaf, i, j int) {
	prefix := l.prefix()
	f := l.frame()
	stride := l.stride()
	if stride == 0 || l.metaLen()&metasPadded != 0 {
		for ; i < j; i++ {
			e := l.entry(i)
			s.add(prefix, l.rest(&e), l.meta(&e), f.get(l[e.loc:], e.textLen(l)))
		}
		return
	}
	// Where all entries have one size, their text is put down at once.
	text := stride - int(f.bytes)
	textLen := len(prefix) + text
	keyLen := textLen - l.metaLen()
	at, n := len(s.text), len(s.list)
	s.text = slices.Grow(s.text, (j-i)*textLen)[:at+(j-i)*textLen]
	s.list = slices.Grow(s.list, j-i)[:n+j-i]
	for k := range s.list[n:] {
		from := l.place(i+k, stride)
		copy(s.text[at:], prefix)
		copy(s.text[at+len(prefix):at+textLen], l[from:from+text])
		s.list[n+k] = entry{at, at + keyLen, at + textLen, f.get(l[from+text:], textLen)}
		at += textLen
	}
}

// leafForm is what the header of a leaf to be built will say.
type leafForm struct {
	prefixLen, stride, metaLen, used int
	frame                            frame
}

// shape is what decides the form of a leaf, but for the prefix.
type shape struct {
	n, keyLen, metaLen int
	// keysVary says that the keys are not of one length. For the metas, metaLen is metasVary. metaMax is the length of the longest.
	keysVary bool
	metaMax  int
	// text is how long keys and metas are together.
	text   int
	spread spread
}

func (s *shape) reset() { *s = shape{} }

func (s *shape) add(e *entry) {
	keyLen, metaLen := e.metaAt-e.keyAt, e.end-e.metaAt
	if s.n == 0 {
		s.keyLen, s.metaLen = keyLen, metaLen
	}
	s.n++
	s.keysVary = s.keysVary || keyLen != s.keyLen
	if metaLen != s.metaLen {
		s.metaLen = metasVary
	}
	s.metaMax = max(s.metaMax, metaLen)
	s.text += keyLen + metaLen
	s.spread.add(&e.loc, keyLen+metaLen)
}

// metas is what a leaf's header says of the length of the metas.
func (s *shape) metas() int {
	if s.metaLen != metasVary || s.keysVary || s.n*(s.metaMax+s.keyLen)-s.text > s.n*padMax {
		return s.metaLen
	}
	return metasPadded | s.metaMax
}

// stride is the size of an entry, or 0 if they have several.
func (s *shape) stride(prefixLen, locBytes int) int {
	metas := s.metas()
	if s.keysVary || metas == metasVary {
		return 0
	}
	if size := s.keyLen - prefixLen + besidesKey(metas) + locBytes; size <= leafBytesMax {
		return size
	}
	return 0
}

// used is how long the leaf is.
func (s *shape) used(prefixLen int) int {
	locBytes := s.spread.bytes()
	if stride := s.stride(prefixLen, locBytes); stride > 0 {
		return leafHeader + prefixLen + s.n*stride + directoryKey*directoryRoom(s.n)
	}
	used := leafHeader + prefixLen + s.text + s.n*(locBytes-prefixLen) + 2*s.n
	if s.metaLen == metasVary {
		used += s.n
	}
	return used
}

// tooMany says whether n entries that are used bytes long in one leaf are to be split.
func tooMany(n, used int) bool { return n > 1 && (used > leafBytesMax || n > directoryMax) }

// form works out the leaf of the entries from i to before j, which are some.
func (s *entries) form(i, j int) (f leafForm) {
	f.prefixLen = commonPrefix(s.key(i), s.key(j-1))
	if j-i == 1 {
		// A leaf's first entry says nothing of what the keys to come have in common.
		f.prefixLen = f.prefixLen / 2
	}
	var sh shape
	for k := i; k < j; k++ {
		sh.add(&s.list[k])
	}
	f.frame = sh.spread.frame()
	f.metaLen = sh.metaLen
	f.used = sh.used(f.prefixLen)
	if f.stride = sh.stride(f.prefixLen, int(f.frame.bytes)); f.stride != 0 {
		f.metaLen = sh.metas()
	}
	return f
}

// write fills l, which has room for it, with the entries from i to before j.
func (s *entries) write(l leaf, f *leafForm, i, j int) {
	n := j - i
	put16(l, leafPrefix, f.prefixLen)
	put16(l, leafStride, f.stride)
	put16(l, leafMetaLen, f.metaLen)
	l.setFrame(&f.frame)
	copy(l[leafHeader:], s.key(i)[:f.prefixLen])
	slots := leafHeader + f.prefixLen
	at := slots
	if f.stride == 0 {
		at += 2 * n
	} else {
		room := l.roomFor(n)
		l[leafRoom] = byte(room)
		at += directoryKey * room
		places := l.places()
		for k := range n {
			places[k] = byte(k)
		}
	}
	start := at
	for k := i; k < j; k++ {
		e := &s.list[k]
		switch {
		case f.stride == 0:
			put16(l, slots+2*(k-i), at-start)
			if f.metaLen == metasVary {
				l[at] = byte(e.end - e.metaAt)
				at++
			}
		case f.metaLen&metasPadded != 0:
			at = l.pad(at, f.metaLen, e.end-e.metaAt)
		}
		at += copy(l[at:], s.text[e.keyAt+f.prefixLen:e.end])
		f.frame.put(l[at:], &e.loc, e.end-e.keyAt)
		at += int(f.frame.bytes)
	}
	l.put(n, at)
	if f.stride != 0 {
		l.chooseBuckets()
	}
}

// commonPrefix is how many bytes a and b have in common.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
