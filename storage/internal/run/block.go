package run

import (
	"bytes"
	"encoding/binary"
)

const (
	// blockHeadBytes is the checksum, the codec, the stored length and the raw length.
	blockHeadBytes = 13
	// Of the raw content: the count of records, and what a slot takes for each of them beside its fingerprint.
	countBytes     = 2
	slotBytes      = 2
	wideSlotBytes  = 4
	narrowBytesMax = 1<<16 - 1
	// blockBytesMax bounds the length of a stored block that a reader believes.
	blockBytesMax = ValueBytesMax + 1<<20
)

// blockHead is what a stored block begins with.
type blockHead struct {
	checksum    uint32
	codec       Codec
	stored, raw uint32
}

func decodeBlockHead(b []byte) blockHead {
	return blockHead{leUint32(b), Codec(b[4]), leUint32(b[5:]), leUint32(b[9:])}
}

// fits says whether the head is one of a stored block of length bytes.
func (h *blockHead) fits(length int64) bool {
	if int64(h.stored) != length-blockHeadBytes {
		return false
	}
	if h.codec == CodecNone {
		return h.raw == h.stored
	}
	return h.raw >= countBytes && h.raw <= compressBytesMax
}

// blockBuilder collects the records of one block.
type blockBuilder struct {
	records      []byte
	slots        []uint32
	fingerprints []byte
}

func (b *blockBuilder) rawBytes() int { return rawBytes(len(b.slots), len(b.records)) }

// rawBytes is the size of the raw content for a count of records of so many bytes together.
func rawBytes(count, records int) int {
	n := countBytes + count*(1+slotBytes) + records
	if n > narrowBytesMax {
		n += count * (wideSlotBytes - slotBytes)
	}
	return n
}

// appendDirectory adds what comes before the records.
func (b *blockBuilder) appendDirectory(dir []byte) []byte {
	wide := b.rawBytes() > narrowBytesMax
	dir = binary.LittleEndian.AppendUint16(dir, uint16(len(b.slots)))
	dir = append(dir, b.fingerprints...)
	for _, s := range b.slots {
		if wide {
			dir = binary.LittleEndian.AppendUint32(dir, s)
		} else {
			dir = binary.LittleEndian.AppendUint16(dir, uint16(s))
		}
	}
	return dir
}

func (b *blockBuilder) reset() {
	if cap(b.records) > outBytes {
		b.records = nil
	}
	b.records, b.slots, b.fingerprints = b.records[:0], b.slots[:0], b.fingerprints[:0]
}

// block is a view of a block's raw content. Nothing in it is trusted: what does not fit is not found.
type block struct {
	raw []byte
	// at is the offset of the stored block in the file.
	at       int64
	firstSeq uint64
	count    int
	// slots and records are where these begin.
	slots, records int
	wide           bool
}

// view says whether raw has room for the directory that it claims.
func (b *block) view(raw []byte) bool {
	if len(raw) < countBytes {
		return false
	}
	b.raw, b.count = raw, int(binary.LittleEndian.Uint16(raw))
	b.wide = len(raw) > narrowBytesMax
	b.slots = countBytes + b.count
	b.records = b.slots + b.count*slotBytes
	if b.wide {
		b.records = b.slots + b.count*wideSlotBytes
	}
	return b.count > 0 && b.records <= len(raw)
}

// from returns the bytes from record i on; none if its slot points outside.
func (b *block) from(i int) []byte {
	at := b.records
	if b.wide {
		at += int(leUint32(b.raw[b.slots+i*wideSlotBytes:]))
	} else {
		at += int(binary.LittleEndian.Uint16(b.raw[b.slots+i*slotBytes:]))
	}
	if at > len(b.raw) {
		return nil
	}
	return b.raw[at:]
}

// record decodes record i.
func (b *block) record(i int, rec *Record) bool { return rec.decode(b.from(i), b.firstSeq) > 0 }

// outcome is what a look into a block tells.
type outcome uint8

const (
	absent outcome = iota
	found
	damaged
)

// lookup finds a key. found vouches for the record by its own checksum; absent holds only for an intact block.
func (b *block) lookup(s sum, key []byte, fingerprint byte, rec *Record) outcome {
	fingerprints := b.raw[countBytes:b.slots]
	for i := 0; ; i++ {
		n := bytes.IndexByte(fingerprints[i:], fingerprint)
		if n < 0 {
			return absent
		}
		i += n
		at := b.from(i)
		length := rec.decode(at, b.firstSeq)
		if length == 0 {
			return damaged
		}
		if !bytes.Equal(rec.Key, key) {
			continue
		}
		if leUint32(at) != s.ofRecord(b.at, i, at[4:length]) {
			return damaged
		}
		return found
	}
}

// lowerBound is the number of the first record whose key is not below key, count if there is none. The block's
// checksum was right; ok=false says that it is malformed nevertheless.
func (b *block) lowerBound(key []byte) (n int, ok bool) {
	var rec Record
	low, high := 0, b.count
	for low < high {
		mid := (low + high) / 2
		if !b.record(mid, &rec) {
			return 0, false
		}
		if bytes.Compare(rec.Key, key) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, true
}
