package run

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// Hash is the hash of a key that MayContain and Get take: xxHash64.
func Hash(key []byte) uint64 { return xxhash.Sum64(key) }

const (
	// A line of the filter is a cache line: one miss answers for a key.
	filterLineBytes = 64
	filterLineWords = filterLineBytes / 8

	filterBitsDefault = 10
	filterBitsMax     = 64
	filterProbesMax   = 16
)

// fingerprintOf takes bits of the hash that the filter uses least.
func fingerprintOf(hash uint64) byte { return byte(hash >> 32) }

// filter is a blocked Bloom filter: all bits of a key are in one line. The high half of the hash picks the line, the low
// half the bits in it. A filter without words lets everything pass.
type filter struct {
	words  []uint64
	lines  uint64
	probes uint8
}

// newFilter makes the filter of n keys.
func newFilter(n uint64, bitsPerKey int) *filter {
	if n == 0 || bitsPerKey <= 0 {
		return &filter{}
	}
	lines := filterLines(n, bitsPerKey)
	// Bits times ln 2 would be best if the keys spread evenly over the lines; as they do not, a little less is.
	probes := min(max(bitsPerKey*6/10, 1), filterProbesMax)
	return &filter{words: make([]uint64, lines*filterLineWords), lines: lines, probes: uint8(probes)}
}

// foldable is how often a filter that is made before the number of keys is known can be halved.
const foldable = 5

// newFoldableFilter makes the filter of at most n keys.
func newFoldableFilter(n uint64, bitsPerKey int) *filter {
	f := newFilter(n, bitsPerKey)
	const unit = 1 << foldable
	f.lines = (f.lines + unit - 1) / unit * unit
	f.words = make([]uint64, f.lines*filterLineWords)
	return f
}

// fold halves the filter while it is large enough for n keys: a line is picked by the high bits of the hash, so that of two
// neighbours one takes the place of both.
func (f *filter) fold(n uint64, bitsPerKey int) {
	for need := filterLines(n, bitsPerKey); f.lines%2 == 0 && f.lines/2 >= need; {
		f.lines /= 2
		for i := range f.lines * filterLineWords {
			at := i/filterLineWords*2*filterLineWords + i%filterLineWords
			f.words[i] = f.words[at] | f.words[at+filterLineWords]
		}
		f.words = f.words[:f.lines*filterLineWords]
	}
}

func filterLines(n uint64, bitsPerKey int) uint64 {
	return (n*uint64(bitsPerKey) + filterLineBytes*8 - 1) / (filterLineBytes * 8)
}

// line returns the words that hold the bits of a hash.
func (f *filter) line(hash uint64) *[filterLineWords]uint64 {
	n, _ := bits.Mul64(hash, f.lines)
	return (*[filterLineWords]uint64)(f.words[n*filterLineWords:])
}

// nextProbe moves on to the next bit; the top nine bits of h say which.
func nextProbe(h uint32) uint32 { return h * 0x9e3779b9 }

func (f *filter) add(hash uint64) {
	line, h := f.line(hash), uint32(hash)
	for range f.probes {
		line[h>>29] |= 1 << (h >> 23 & 63)
		h = nextProbe(h)
	}
}

func (f *filter) mayContain(hash uint64) bool {
	if f.lines == 0 {
		return true
	}
	line, h := f.line(hash), uint32(hash)
	for range f.probes {
		if line[h>>29]&(1<<(h>>23&63)) == 0 {
			return false
		}
		h = nextProbe(h)
	}
	return true
}

const filterChunkBytes = 64 << 10

// encode hands the filter's bytes to emit, in chunks, and returns their checksum at off.
func (f *filter) encode(s sum, off int64, emit func([]byte) error) (uint32, error) {
	crc := uint32(s)
	chunk := make([]byte, 0, filterChunkBytes)
	for words := f.words; len(words) > 0; {
		n := min(len(words), filterChunkBytes/8)
		chunk = chunk[:0]
		for _, w := range words[:n] {
			chunk = binary.LittleEndian.AppendUint64(chunk, w)
		}
		crc = crc32.Update(crc, castagnoli, chunk)
		if err := emit(chunk); err != nil {
			return 0, err
		}
		words = words[n:]
	}
	return crc + place(off), nil
}

// appendWords adds encoded words.
func appendWords(words []uint64, b []byte) []uint64 {
	for ; len(b) >= 8; b = b[8:] {
		words = append(words, binary.LittleEndian.Uint64(b))
	}
	return words
}
