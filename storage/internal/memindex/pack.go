package memindex

import (
	"encoding/binary"
	"math/bits"
)

// Location is where a record stands.
type Location struct {
	// Seq is the record's sequence number.
	Seq uint64
	// Segment is the file, Offset the byte in it at which the record begins, Length its size in bytes.
	Segment, Offset, Length uint32
	// Flags are the caller's. Zero costs nothing.
	Flags uint8
}

// frame is how a leaf writes locations: each field as its distance from a base, in few bits more than the leaf's entries
// need. Length is kept as what it exceeds the key and the meta by. Subtraction wraps around, so that any value fits a
// frame of full width.
type frame struct {
	seq                                           uint64
	segment, offset, length                       uint32
	seqBits, offBits, lenBits, segBits, flagsBits uint8
	// bytes is how long a packed location is.
	bytes uint8
}

// frameBytesMax is the size of a packed location of full width.
const frameBytesMax = (64 + 3*32 + 8 + 7) / 8

// frameSpare is how many bits a frame has at least above those that its entries need. While a log grows to twice its
// length, a leaf's range of numbers gets a bit wider, and that of segments, too, or that of offsets as long as there is one segment; and
// its entries grow to twice as many, and it is split. So a frame that has both bits serves from one split to the next.
const frameSpare = 2

func ones(width uint8) uint64 { return 1<<width - 1 }

// fits says whether a location can be written in the frame.
func (f *frame) fits(loc *Location, textLen int) bool {
	return (loc.Seq-f.seq)&^ones(f.seqBits) == 0 &&
		uint64(loc.Offset-f.offset)&^ones(f.offBits) == 0 &&
		uint64(loc.Length-uint32(textLen)-f.length)&^ones(f.lenBits) == 0 &&
		uint64(loc.Segment-f.segment)&^ones(f.segBits) == 0 &&
		uint64(loc.Flags)&^ones(f.flagsBits) == 0
}

// put writes a location that fits into the first f.bytes of b.
func (f *frame) put(b []byte, loc *Location, textLen int) {
	if f.bytes > 16 {
		f.putWide(b, loc, textLen)
		return
	}
	var p pair
	p.add(loc.Seq-f.seq, f.seqBits)
	p.add(uint64(loc.Offset-f.offset), f.offBits)
	p.add(uint64(loc.Length-uint32(textLen)-f.length), f.lenBits)
	p.add(uint64(loc.Segment-f.segment), f.segBits)
	p.add(uint64(loc.Flags), f.flagsBits)
	b = b[:f.bytes]
	word := p.lo
	if len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, p.lo)
		b, word = b[8:], p.hi
	}
	for i := range b {
		b[i] = byte(word)
		word >>= 8
	}
}

// pair is up to 128 bits that are being packed.
type pair struct {
	lo, hi uint64
	at     uint8
}

// add puts width bits after those that are there. Shifts by 64 and more give zero.
func (p *pair) add(x uint64, width uint8) {
	p.lo |= x << p.at
	if p.at >= 64 {
		p.hi |= x << (p.at - 64)
	} else {
		p.hi |= x >> (64 - p.at)
	}
	p.at += width
}

func (f *frame) putWide(b []byte, loc *Location, textLen int) {
	var packed [frameBytesMax + 8]byte
	at := uint(0)
	at = putBits(&packed, at, f.seqBits, loc.Seq-f.seq)
	at = putBits(&packed, at, f.offBits, uint64(loc.Offset-f.offset))
	at = putBits(&packed, at, f.lenBits, uint64(loc.Length-uint32(textLen)-f.length))
	at = putBits(&packed, at, f.segBits, uint64(loc.Segment-f.segment))
	putBits(&packed, at, f.flagsBits, uint64(loc.Flags))
	copy(b[:f.bytes], packed[:])
}

// get reads a location. It may look at 8 bytes behind the packed ones.
func (f *frame) get(b []byte, textLen int) (loc Location) {
	if f.bytes <= 8 {
		x := binary.LittleEndian.Uint64(b)
		loc.Seq = f.seq + x&ones(f.seqBits)
		x >>= f.seqBits
		loc.Offset = f.offset + uint32(x&ones(f.offBits))
		x >>= f.offBits
		loc.Length = f.length + uint32(textLen) + uint32(x&ones(f.lenBits))
		x >>= f.lenBits
		loc.Segment = f.segment + uint32(x&ones(f.segBits))
		x >>= f.segBits
		loc.Flags = uint8(x & ones(f.flagsBits))
		return loc
	}
	at := uint(0)
	loc.Seq = f.seq + getBits(b, at, f.seqBits)
	at += uint(f.seqBits)
	loc.Offset = f.offset + uint32(getBits(b, at, f.offBits))
	at += uint(f.offBits)
	loc.Length = f.length + uint32(textLen) + uint32(getBits(b, at, f.lenBits))
	at += uint(f.lenBits)
	loc.Segment = f.segment + uint32(getBits(b, at, f.segBits))
	at += uint(f.segBits)
	loc.Flags = uint8(getBits(b, at, f.flagsBits))
	return loc
}

func putBits(b *[frameBytesMax + 8]byte, at uint, width uint8, x uint64) uint {
	i, shift := at>>3, at&7
	w := b[i : i+8]
	binary.LittleEndian.PutUint64(w, binary.LittleEndian.Uint64(w)|x<<shift)
	if shift+uint(width) > 64 {
		b[i+8] = byte(x >> (64 - shift))
	}
	return at + uint(width)
}

func getBits(b []byte, at uint, width uint8) uint64 {
	if width == 0 {
		return 0
	}
	i, shift := at>>3, at&7
	x := binary.LittleEndian.Uint64(b[i:]) >> shift
	if shift+uint(width) > 64 {
		x |= uint64(b[i+8]) << (64 - shift)
	}
	return x & ones(width)
}

// spread collects the locations that a frame is made for.
type spread struct {
	some                           bool
	seqMin, seqMax                 uint64
	offMin, offMax, lenMin, lenMax uint32
	segMin, segMax                 uint32
	flags                          uint8
}

func (s *spread) add(loc *Location, textLen int) {
	length := loc.Length - uint32(textLen)
	if !s.some {
		*s = spread{true, loc.Seq, loc.Seq, loc.Offset, loc.Offset, length, length, loc.Segment, loc.Segment, loc.Flags}
		return
	}
	s.seqMin, s.seqMax = min(s.seqMin, loc.Seq), max(s.seqMax, loc.Seq)
	s.offMin, s.offMax = min(s.offMin, loc.Offset), max(s.offMax, loc.Offset)
	s.lenMin, s.lenMax = min(s.lenMin, length), max(s.lenMax, length)
	s.segMin, s.segMax = min(s.segMin, loc.Segment), max(s.segMax, loc.Segment)
	s.flags |= loc.Flags
}

// bits is how many bits the entries need.
func (s *spread) bits() int {
	return bits.Len64(s.seqMax-s.seqMin) + bits.Len32(s.offMax-s.offMin) + bits.Len32(s.lenMax-s.lenMin) +
		bits.Len32(s.segMax-s.segMin) + bits.Len8(s.flags)
}

// bytes is how long a packed location is.
func (s *spread) bytes() int { return min((s.bits()+frameSpare+7)/8, frameBytesMax) }

// addSpare gives spare bits to the fields that are likeliest to grow. Entries that are all in one segment are taken to be in the one that is
// being written, where offsets grow with the numbers.
func (f *frame) addSpare(spare int, oneSegment bool) {
	for i := range spare {
		switch {
		case i == 0 && oneSegment && f.offBits < 32:
			f.offBits++
		case i%3 == 0 && f.segBits < 32:
			f.segBits++
		case i%3 == 2 && f.lenBits < 32:
			f.lenBits++
		case f.seqBits < 64:
			f.seqBits++
		}
	}
}

// frame returns the frame. Room in a field is on the side on which it grows: later records have greater numbers.
func (s *spread) frame() frame {
	f := frame{
		seqBits:   uint8(bits.Len64(s.seqMax - s.seqMin)),
		offBits:   uint8(bits.Len32(s.offMax - s.offMin)),
		lenBits:   uint8(bits.Len32(s.lenMax - s.lenMin)),
		segBits:   uint8(bits.Len32(s.segMax - s.segMin)),
		flagsBits: uint8(bits.Len8(s.flags)),
		bytes:     uint8(s.bytes()),
	}
	f.addSpare(int(f.bytes)*8-s.bits(), s.segMin == s.segMax)
	f.seq = s.seqMin - min(s.seqMin, (ones(f.seqBits)-(s.seqMax-s.seqMin))/4)
	// Where offsets grow, a quarter of the room is beneath them, for the segment to come; else half of it.
	share := uint32(2)
	if s.segMin == s.segMax {
		share = 4
	}
	f.offset = s.offMin - min(s.offMin, uint32(ones(f.offBits)-uint64(s.offMax-s.offMin))/share)
	f.length = s.lenMin - min(s.lenMin, uint32(ones(f.lenBits)-uint64(s.lenMax-s.lenMin))/2)
	f.segment = s.segMin - min(s.segMin, uint32(ones(f.segBits)-uint64(s.segMax-s.segMin))/4)
	return f
}
