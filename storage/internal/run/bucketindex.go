package run

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"
)

// bucketIndex is what a reader has in memory of the bucket section: four bytes for a page of some 350 records.
type bucketIndex struct {
	scheme, pairs uint64
	// at is where the pages begin, end where they end and the directory begins.
	at, end           int64
	directoryChecksum uint32
	// starts are the first page of each part and the end of the last part, firsts the first bucket of each page.
	starts, firsts []uint32
}

func (x *bucketIndex) directoryBytes() int64 { return int64(4 * (len(x.starts) - 1 + len(x.firsts))) }

func (x *bucketIndex) memoryBytes() int64 { return int64(4 * (cap(x.starts) + cap(x.firsts))) }

// extent is where a page stands.
func (x *bucketIndex) extent(page int) (off, length int64) {
	off = x.at + int64(page)*bucketPageBytes
	return off, min(bucketPageBytes, x.end-off)
}

// readBuckets reads the directory of the bucket section. A damaged section is as good as none: no key is lost with it.
func (r *Reader) readBuckets() error {
	t := &r.trailer
	if t.bucketBytes == 0 {
		return nil
	}
	end := t.bucketsAt() + t.bucketBytes - bucketTailBytes
	tail, err := r.bytesAt(end, bucketTailBytes)
	if err != nil {
		return err
	}
	x := &bucketIndex{at: t.bucketsAt()}
	pages, parts, reason := x.decodeTail(tail, r.sum, end)
	if reason != "" {
		r.bucketDamage = r.damageAside(end, bucketTailBytes, reason)
		return nil
	}
	directory, err := r.bytesAt(x.end, end-x.end)
	if err != nil {
		return err
	}
	if reason := x.decodeDirectory(directory, r.sum, pages, parts); reason != "" {
		r.bucketDamage = r.damageAside(x.end, end-x.end, reason)
		return nil
	}
	r.buckets = x
	return nil
}

// decodeTail reads the tail of a section, which stands at off.
func (x *bucketIndex) decodeTail(b []byte, s sum, off int64) (pages, parts uint32, reason string) {
	if leUint32(b[28:]) != s.of(off, b[:28]) {
		return 0, 0, "checksum of the bucket section"
	}
	x.scheme, x.pairs, x.directoryChecksum = leUint64(b), leUint64(b[8:]), leUint32(b[24:])
	pages, parts = leUint32(b[16:]), leUint32(b[20:])
	x.end = off - 4*(int64(pages)+int64(parts))
	// All pages are full but the last one, which is there.
	if n := x.end - x.at; n > int64(pages)*bucketPageBytes || pages > 0 && n < int64(pages-1)*bucketPageBytes+bucketPageHeadBytes || n < 0 {
		return 0, 0, "bucket section does not fit the file"
	}
	return pages, parts, ""
}

func (x *bucketIndex) decodeDirectory(b []byte, s sum, pages, parts uint32) (reason string) {
	const malformed = "directory of the bucket section"
	if s.of(x.end, b) != x.directoryChecksum {
		return "checksum of the bucket directory"
	}
	x.starts, x.firsts = make([]uint32, 1, parts+1), make([]uint32, pages)
	total := uint64(0)
	for i := range parts {
		total += uint64(leUint32(b[4*i:]))
		if total > uint64(pages) {
			return malformed
		}
		x.starts = append(x.starts, uint32(total))
	}
	if total != uint64(pages) {
		return malformed
	}
	for i := range x.firsts {
		x.firsts[i] = leUint32(b[4*(int(parts)+i):])
	}
	for i := range parts {
		if !slices.IsSorted(x.firsts[x.starts[i]:x.starts[i+1]]) {
			return malformed
		}
	}
	return ""
}

// pairReader takes the pairs off a page.
type pairReader struct {
	b     []byte
	at    int
	left  int
	begun bool
	bad   bool
	pair  uint64
}

// next goes to the next pair. It is false at the end, and where there is none though there should be: then the page is bad.
func (p *pairReader) next() bool {
	if p.left == 0 {
		return false
	}
	p.left--
	v, at := uvarint(p.b, p.at)
	bucket, block := p.pair>>32, p.pair&math.MaxUint32+v>>1
	p.bad = v>>1 == 0 || !p.begun
	if v&1 == 1 {
		var more uint64
		more, at = uvarint(p.b, min(at, len(p.b)))
		p.bad = more == 0 && p.begun || more > math.MaxUint32
		bucket, block = bucket+more, v>>1
	}
	if p.bad = p.bad || at > len(p.b) || bucket > math.MaxUint32 || v>>1 > math.MaxUint32 || block > math.MaxUint32; p.bad {
		p.left = 0
		return false
	}
	p.at, p.pair, p.begun = at, bucket<<32|block, true
	return true
}

// pairsOf checks a page, whose bytes are stored, and begins to read it.
func (r *Reader) pairsOf(page int, stored []byte) (p pairReader, reason string) {
	off, _ := r.buckets.extent(page)
	if leUint32(stored) != r.sum.of(off, stored[4:]) {
		return p, "checksum of a page of buckets"
	}
	return pairReader{b: stored, at: bucketPageHeadBytes, left: int(binary.LittleEndian.Uint16(stored[4:]))}, ""
}

func (r *Reader) damagePage(page int, reason string) *DamageError {
	off, length := r.buckets.extent(page)
	return r.damageAside(off, length, reason)
}

// bucketPart is the part of the blocks, as 1/bucketPart, from where on to find them by their buckets does not pay.
const bucketPart = 4

// BlocksOf returns the numbers, which rise, of the blocks that hold the records of some buckets, which must rise, too: for
// IterOptions.Blocks. It is ok only if the run lists its records by this scheme, and if so many are asked for that it is better to
// read all blocks, it is not.
//
// Errors: *DamageError if the list is damaged, where all blocks can be read instead; those of reading, wrapped.
func (r *Reader) BlocksOf(scheme uint64, buckets []uint32, buf *Buffer) (blocks []uint32, ok bool, err error) {
	if r.bucketDamage != nil {
		return nil, false, r.bucketDamage
	}
	x := r.buckets
	if x == nil || x.scheme != scheme {
		return nil, false, nil
	}
	s := bucketSearch{r: r, buckets: buckets, buf: buf, blocks: []uint32{}, most: r.index.blocks() / bucketPart}
	for i := range len(x.starts) - 1 {
		if err := s.part(int(x.starts[i]), int(x.starts[i+1])); err != nil || len(s.blocks) > s.most {
			return nil, false, err
		}
	}
	slices.Sort(s.blocks)
	return slices.Compact(s.blocks), true, nil
}

type bucketSearch struct {
	r       *Reader
	buckets []uint32
	buf     *Buffer
	blocks  []uint32
	most    int
}

// part searches the pages from first on and before end.
func (s *bucketSearch) part(first, end int) (err error) {
	firsts := s.r.buckets.firsts
	for at, page := 0, first; at < len(s.buckets) && page < end && len(s.blocks) <= s.most; {
		bucket := s.buckets[at]
		// The bucket may begin on the page before the first that begins with it.
		n := sort.Search(end-page, func(i int) bool { return firsts[page+i] >= bucket })
		page += max(n-1, 0)
		if firsts[page] > bucket {
			at++
			continue
		}
		if at, err = s.page(page, at); err != nil {
			return err
		}
		page++
	}
	return nil
}

// page takes what a page has of the buckets from at on, and says which are for the next page.
func (s *bucketSearch) page(page, at int) (int, error) {
	r := s.r
	off, length := r.buckets.extent(page)
	stored, err := r.storedAt(off, length, s.buf)
	if err != nil {
		return at, err
	}
	p, reason := r.pairsOf(page, stored)
	for reason == "" && p.next() {
		bucket, block := uint32(p.pair>>32), uint32(p.pair)
		for at < len(s.buckets) && s.buckets[at] < bucket {
			at++
		}
		if at == len(s.buckets) {
			return at, nil
		}
		if s.buckets[at] == bucket {
			if int(block) >= r.index.blocks() {
				reason = "block in a page of buckets"
			}
			s.blocks = append(s.blocks, block)
		}
	}
	if p.bad {
		reason = "page of buckets"
	}
	if reason != "" {
		return at, r.damagePage(page, reason)
	}
	return at, nil
}
