package run

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
)

const (
	// verifyStepBytes is how much is read at a time, but for larger blocks.
	verifyStepBytes = 128 << 10
	// verifyBlockMax is the largest block whose records are looked at one by one.
	verifyBlockMax = 1 << 20
)

// Verify reads the whole file, never from the mapping or the cache, and checks every byte of it. It returns all damage
// that it finds. step, unless nil, is called with the bytes read since it was called last, after 128 KiB or one block of at most 1 MiB: it may
// take its time, and its error ends the Verify. An error says why not everything was read: ctx's, step's or one of
// reading, wrapped.
func (r *Reader) Verify(ctx context.Context, step func(bytes int64) error) ([]*DamageError, error) {
	v := &verifier{r: r, ctx: ctx, step: step, buf: make([]byte, min(verifyBlockMax, r.trailer.fileBytes))}
	err := v.run()
	return v.found, err
}

type verifier struct {
	r     *Reader
	ctx   context.Context
	step  func(int64) error
	buf   []byte
	raw   []byte
	last  []byte
	found []*DamageError
	// count is what the records of intact blocks amount to, whole that no record was left out.
	count Info
	whole bool
}

func (v *verifier) run() error {
	t := &v.r.trailer
	if err := v.ends(); err != nil {
		return err
	}
	v.whole = true
	for i := 0; i < v.r.index.blocks(); {
		n, err := v.blocks(i)
		if err != nil {
			return err
		}
		i += n
	}
	if c, i := &v.count, &t.info; v.whole && (c.Records != i.Records || c.Tombstones != i.Tombstones ||
		c.Unreadables != i.Unreadables || c.LiveBytes != i.LiveBytes) {
		v.add(v.r.damageWhole(t.fileBytes-trailerBytes, trailerBytes, "counts of the trailer"))
	}
	if err := v.section(t.indexAt, t.indexBytes, t.indexChecksum, "checksum of the index"); err != nil {
		return err
	}
	if err := v.section(t.filterAt(), t.filterBytes, t.filterChecksum, "checksum of the filter"); err != nil {
		return err
	}
	return v.buckets()
}

// buckets checks the bucket section, but for what it says of the keys.
func (v *verifier) buckets() error {
	t, x := &v.r.trailer, v.r.buckets
	if t.bucketBytes == 0 {
		return nil
	}
	if x == nil {
		v.add(v.r.bucketDamage)
		_, err := v.checksum(t.bucketsAt(), t.bucketBytes)
		return err
	}
	if err := v.bucketPages(); err != nil {
		return err
	}
	have, err := v.checksum(x.end, x.directoryBytes())
	if err != nil {
		return err
	}
	if have+place(x.end) != x.directoryChecksum {
		v.add(v.r.damageAside(x.end, x.directoryBytes(), "checksum of the bucket directory"))
	}
	tail, at := v.buf[:bucketTailBytes], x.end+x.directoryBytes()
	if err := v.read(tail, at); err != nil {
		return err
	}
	if _, _, reason := (&bucketIndex{at: x.at}).decodeTail(tail, v.r.sum, at); reason != "" {
		v.add(v.r.damageAside(at, bucketTailBytes, reason))
	}
	return nil
}

func (v *verifier) bucketPages() error {
	x := v.r.buckets
	pairs, sound := uint64(0), true
	for page := 0; page < len(x.firsts); {
		off, _ := x.extent(page)
		b := v.buf[:min(x.end-off, verifyStepBytes)]
		if err := v.read(b, off); err != nil {
			return err
		}
		for ; len(b) > 0; page++ {
			_, length := x.extent(page)
			n, reason := v.bucketPage(page, b[:length])
			if pairs += n; reason != "" {
				v.add(v.r.damagePage(page, reason))
				sound = false
			}
			b = b[length:]
		}
	}
	if sound && pairs != x.pairs {
		v.add(v.r.damageAside(x.at, x.end-x.at, "count of the pairs of buckets"))
	}
	return nil
}

// bucketPage checks a page and counts its pairs.
func (v *verifier) bucketPage(page int, stored []byte) (pairs uint64, reason string) {
	p, reason := v.r.pairsOf(page, stored)
	for reason == "" && p.next() {
		if pairs == 0 && uint32(p.pair>>32) != v.r.buckets.firsts[page] {
			reason = "first bucket of a page"
		}
		if int(uint32(p.pair)) >= v.r.index.blocks() {
			reason = "block in a page of buckets"
		}
		pairs++
	}
	if p.bad || reason == "" && pairs == 0 {
		reason = "page of buckets"
	}
	return pairs, reason
}

func (v *verifier) add(d *DamageError) { v.found = append(v.found, d) }

// read fills b from off and reports it.
func (v *verifier) read(b []byte, off int64) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	if err := v.r.readAt(b, off); err != nil {
		return err
	}
	if v.step != nil {
		return v.step(int64(len(b)))
	}
	return nil
}

// ends checks the header and the trailer against those that were read by Open.
func (v *verifier) ends() error {
	t := &v.r.trailer
	var want Info
	b := v.buf[:headerBytes]
	if err := v.read(b, 0); err != nil {
		return err
	}
	if ok, err := decodeHeader(b, t.info.Engine, &want); !ok || err != nil {
		v.add(v.r.damageWhole(0, headerBytes, "checksum of the header"))
	}
	b = v.buf[:trailerBytes]
	if err := v.read(b, t.fileBytes-trailerBytes); err != nil {
		return err
	}
	if reason := (&trailer{info: want}).decode(b, v.r.sum, t.fileBytes); reason != "" {
		v.add(v.r.damageWhole(t.fileBytes-trailerBytes, trailerBytes, reason))
	}
	return nil
}

// blocks checks block i and those behind it that one read takes, and returns how many.
func (v *verifier) blocks(i int) (n int, err error) {
	x := v.r.index
	off, total := x.extent(i)
	if total > verifyBlockMax {
		return 1, v.largeBlock(i, off, total)
	}
	for n = 1; i+n < x.blocks(); n++ {
		_, more := x.extent(i + n)
		if total+more > verifyStepBytes {
			break
		}
		total += more
	}
	b := v.buf[:total]
	if err := v.read(b, off); err != nil {
		return n, err
	}
	for j := i; j < i+n; j++ {
		at, length := x.extent(j)
		if err := v.block(j, at, b[at-off:][:length]); err != nil {
			v.add(err)
			v.whole = false
		}
	}
	return n, nil
}

// largeBlock checks a block in pieces; its records are covered by its checksum and not looked at.
func (v *verifier) largeBlock(i int, off, length int64) error {
	v.whole = false
	var want [4]byte
	if err := v.read(want[:], off); err != nil {
		return err
	}
	have, err := v.checksum(off+4, length-4)
	if err == nil && leUint32(want[:]) != have+place(off) {
		v.add(v.r.damageBlock(i, "checksum of the block"))
	}
	return err
}

// checksum reads a part of the file in pieces; the place is not yet in the sum.
func (v *verifier) checksum(off, length int64) (uint32, error) {
	crc := uint32(v.r.sum)
	for done := int64(0); done < length; {
		b := v.buf[:min(length-done, verifyStepBytes)]
		if err := v.read(b, off+done); err != nil {
			return 0, err
		}
		crc = crc32.Update(crc, castagnoli, b)
		done += int64(len(b))
	}
	return crc, nil
}

func (v *verifier) section(off, length int64, want uint32, reason string) error {
	have, err := v.checksum(off, length)
	if err == nil && have+place(off) != want {
		v.add(v.r.damageWhole(off, length, reason))
	}
	return err
}

// block checks a whole block: its checksum, its records', and that the keys rise within the bounds of the index.
func (v *verifier) block(i int, off int64, stored []byte) *DamageError {
	raw, err := v.r.unpack(i, stored, &v.raw)
	var damage *DamageError
	if errors.As(err, &damage) {
		return damage
	}
	b := block{at: off, firstSeq: v.r.trailer.info.FirstSeq}
	if err != nil || !b.view(raw) {
		return v.r.damageBlock(i, "content of the block")
	}
	var rec Record
	at := b.records
	for n := range b.count {
		from := b.from(n)
		length := rec.decode(from, b.firstSeq)
		fingerprint := b.raw[countBytes+n]
		switch {
		case length == 0 || len(b.raw)-len(from) != at:
			return v.r.damageBlock(i, "content of the block")
		case leUint32(from) != v.r.sum.ofRecord(off, n, from[4:length]):
			return v.r.damageBlock(i, "checksum of a record")
		case fingerprint != fingerprintOf(Hash(rec.Key)) || !v.r.filter.mayContain(Hash(rec.Key)):
			return v.r.damageBlock(i, "hash of a key")
		case v.count.Records > 0 && bytes.Compare(v.last, rec.Key) >= 0 || v.r.index.find(rec.Key) != i:
			return v.r.damageBlock(i, "order of the keys")
		}
		at += length
		v.last = append(v.last[:0], rec.Key...)
		v.tally(&rec)
	}
	if at != len(b.raw) {
		return v.r.damageBlock(i, "content of the block")
	}
	return nil
}

func (v *verifier) tally(rec *Record) {
	v.count.Records++
	switch rec.Flags {
	case FlagTombstone:
		v.count.Tombstones++
	case FlagUnreadable:
		v.count.Unreadables++
	default:
		v.count.LiveBytes += uint64(len(rec.Key) + len(rec.Meta) + len(rec.Value))
	}
}
