package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/ringcask/ringcask/storage/vfs"
)

// Buckets has a run list its records by bucket, a number of which many keys have the same: then the records of a few buckets
// are found without a look at all others. See Reader.BlocksOf.
type Buckets struct {
	// Of is the bucket of a key. It must always say the same.
	Of func(key []byte) uint32
	// Scheme tells Of from all other such functions. A reader has to name the same.
	Scheme uint64
	// Spill makes an empty file for what the writer has no room for, at most once. It stays the caller's, and is of no use after
	// Finish.
	Spill func() (vfs.File, error)
	// Rest, if not nil, is called now and then while the list is sorted and written, to let others run.
	Rest func()
}

// The list is of pairs: a bucket in the high half, in the low half a block that has a record of it. They stand in pages, so that a
// reader needs no more of them than it asks for. The pages form parts: one is of as many pairs as the writer sorts at a time, which
// are of neighbouring blocks. So a long run is written with bounded memory, and a look at a bucket is a page or two of each part.
const (
	// bucketPageBytes is small, for most of the time of a look at a few buckets goes into reading pages: 100 of 2¹⁸ buckets among a million
	// records took twice the time with 4 KiB.
	bucketPageBytes = 1 << 10
	// bucketPageHeadBytes is the checksum and the count of pairs.
	bucketPageHeadBytes = 6
	// pairBytesMax is the longest that a pair can be in a page.
	pairBytesMax = 10
	// bucketPartPairs is how many pairs are sorted at a time: two to a bucket, if there are 2¹⁸ of these. They take 8 MiB.
	bucketPartPairs = 512 << 10
	// bucketTailBytes is what the section ends with: scheme, pairs, pages, parts, and the checksums of the directory and of this.
	bucketTailBytes = 32
)

// bucketDirectory says where in the section to look for a bucket.
type bucketDirectory struct {
	// parts are the numbers of pages in each part, firsts the first bucket of each page.
	parts, firsts []uint32
	pairs         uint64
}

// appendPart adds the pages of a part to b, all of the same size and without their checksums, and says where the last one's
// pairs end. It rests after each page.
func (d *bucketDirectory) appendPart(b []byte, sorted []uint64, rest func()) (pages []byte, end int) {
	d.parts = append(d.parts, 0)
	page, count, last := len(b), 0, uint64(0)
	for i, pair := range sorted {
		if i > 0 && pair == sorted[i-1] {
			continue
		}
		if i > 0 && len(b)+pairBytesMax > page+bucketPageBytes {
			b = endBucketPage(b, page, count)
			page, count = len(b), 0
			rest()
		}
		if count == 0 {
			d.parts[len(d.parts)-1]++
			d.firsts = append(d.firsts, uint32(pair>>32))
			b, last = append(b, make([]byte, bucketPageHeadBytes)...), 0
		}
		b = appendPair(b, pair, last, count == 0)
		last = pair
		count++
		d.pairs++
	}
	return endBucketPage(b, page, count), len(b)
}

// endBucketPage fills the page up.
func endBucketPage(b []byte, page, count int) []byte {
	binary.LittleEndian.PutUint16(b[page+4:], uint16(count))
	return append(b, make([]byte, page+bucketPageBytes-len(b))...)
}

// appendPair adds a pair: twice how far its block is from the last one's; or twice its block and one, and how far its bucket is.
func appendPair(b []byte, pair, last uint64, first bool) []byte {
	if !first && pair>>32 == last>>32 {
		return binary.AppendUvarint(b, (pair-last)<<1)
	}
	b = binary.AppendUvarint(b, pair&math.MaxUint32<<1|1)
	return binary.AppendUvarint(b, pair>>32-last>>32)
}

func (d *bucketDirectory) encode() []byte {
	b := make([]byte, 0, 4*(len(d.parts)+len(d.firsts)))
	for _, n := range d.parts {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	for _, bucket := range d.firsts {
		b = binary.LittleEndian.AppendUint32(b, bucket)
	}
	return b
}

// encodeTail makes the end of a section whose pages end at off.
func (d *bucketDirectory) encodeTail(s sum, off int64, scheme uint64, directory []byte) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, bucketTailBytes), scheme)
	b = binary.LittleEndian.AppendUint64(b, d.pairs)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.firsts)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.parts)))
	b = binary.LittleEndian.AppendUint32(b, s.of(off, directory))
	return binary.LittleEndian.AppendUint32(b, s.of(off+int64(len(directory)), b))
}

// bucketWriter collects the pairs of a run: those of one part in memory, the pages of those before in a file.
type bucketWriter struct {
	o         *Buckets
	partPairs int
	// pairs are those of the part under way, in the order of their blocks. scratch is room for sorting, pages for a part's pages.
	pairs, scratch []uint64
	pages          []byte
	directory      bucketDirectory
	spill          vfs.File
	spilled        int64
	crc            uint32 // of what was spilled
}

func (w *bucketWriter) add(key []byte, block uint64) error {
	w.pairs = append(w.pairs, uint64(w.o.Of(key))<<32|block)
	if len(w.pairs) < w.partPairs {
		return nil
	}
	w.endPart()
	return w.spillPages()
}

// endPart makes pages of the part, and says where the last one ends.
func (w *bucketWriter) endPart() (end int) {
	if cap(w.scratch) < len(w.pairs) {
		w.scratch = make([]uint64, cap(w.pairs))
	}
	w.pairs, w.scratch = sortByBucket(w.pairs, w.scratch[:len(w.pairs)], w.rest)
	w.pages, end = w.directory.appendPart(w.pages[:0], w.pairs, w.rest)
	w.pairs = w.pairs[:0]
	return end
}

func (w *bucketWriter) rest() {
	if w.o.Rest != nil {
		w.o.Rest()
	}
}

func (w *bucketWriter) spillPages() (err error) {
	if w.spill == nil {
		if w.spill, err = w.o.Spill(); err != nil {
			return err
		}
	}
	if _, err := w.spill.WriteAt(w.pages, w.spilled); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	w.spilled += int64(len(w.pages))
	w.crc = crc32.Update(w.crc, castagnoli, w.pages)
	return nil
}

const (
	radixBits = 11
	radixMask = 1<<radixBits - 1
)

// sortPairs is how many pairs are moved between two rests.
const sortPairs = 8 << 10

// sortByBucket sorts pairs whose blocks rise, with rests. It needs another slice of the same length, and may return either first.
func sortByBucket(pairs, scratch []uint64, rest func()) (sorted, other []uint64) {
	buckets := uint64(0)
	for _, pair := range pairs {
		buckets |= pair >> 32
	}
	for shift := 32; buckets > 0; buckets >>= radixBits {
		var at [1 << radixBits]int
		for _, pair := range pairs {
			at[pair>>shift&radixMask]++
		}
		sum := 0
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for some := range slices.Chunk(pairs, sortPairs) {
			for _, pair := range some {
				digit := pair >> shift & radixMask
				scratch[at[digit]] = pair
				at[digit]++
			}
			rest()
		}
		pairs, scratch = scratch, pairs
		shift += radixBits
	}
	return pairs, scratch
}

// errSpill says that the file of Buckets.Spill has other bytes than were written.
var errSpill = errors.New("spilled pairs are damaged")

// finish hands the section, which begins at off, to emit.
func (w *bucketWriter) finish(s sum, off int64, emit func([]byte) error) error {
	put := func(pages []byte) error {
		for len(pages) > 0 {
			page := pages[:min(len(pages), bucketPageBytes)]
			binary.LittleEndian.PutUint32(page, s.of(off, page[4:]))
			if err := emit(page); err != nil {
				return err
			}
			off += int64(len(page))
			pages = pages[len(page):]
		}
		return nil
	}
	if err := w.unspill(put); err != nil {
		return err
	}
	if len(w.pairs) > 0 {
		// Nothing comes after the last page: it is as long as it has to be.
		end := w.endPart()
		if err := put(w.pages[:end]); err != nil {
			return err
		}
	}
	directory := w.directory.encode()
	return errors.Join(emit(directory), emit(w.directory.encodeTail(s, off, w.o.Scheme, directory)))
}

const unspillBytes = 256 * bucketPageBytes

func (w *bucketWriter) unspill(put func(pages []byte) error) error {
	crc, buf := uint32(0), make([]byte, min(unspillBytes, w.spilled))
	for at := int64(0); at < w.spilled; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), w.spilled-at)]
		if n, err := w.spill.ReadAt(buf, at); n < len(buf) {
			return fmt.Errorf("read what was spilled: %w", err)
		}
		crc = crc32.Update(crc, castagnoli, buf)
		if err := put(buf); err != nil {
			return err
		}
	}
	if crc != w.crc {
		return errSpill
	}
	return nil
}
