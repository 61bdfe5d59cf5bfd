package storage

import (
	"encoding/binary"
	"hash/crc32"
)

// The kinds of frames. kindMember is added to a put or delete inside a batch: it can be read by itself, for it has its
// own checksum, but is never replayed without its batch.
const (
	kindPut    = 1
	kindDelete = 2
	kindBatch  = 3
	kindMark   = 4
	kindMember = 0x80
)

const (
	// frameFixedBytes is the length, the checksum and the kind.
	frameFixedBytes = 9
	// frameHeadBytesMax is the most that comes before the key of a record, or before the first member of a batch.
	frameHeadBytesMax = frameFixedBytes + 3*binary.MaxVarintLen64 + 1
	// frameBytesMin is the smallest frame: a mark, or the member that deletes an empty key.
	frameBytesMin = frameFixedBytes + 2
	// frameBytesMax bounds the length that a reader believes.
	frameBytesMax = 1<<30 + 1<<20
)

// recordBytesMax bounds the encoded size of one record.
func recordBytesMax(key, meta, value int) int { return frameHeadBytesMax + key + meta + value }

// recordBytes is the size of the key, meta and value of the record that a live entry points at: at least that, and up to 5 bytes
// more, for the entry does not say how far its frame was from what was synced, and whether it is in a batch.
func (e *entry) recordBytes() int {
	var number [binary.MaxVarintLen64]byte
	numbers := binary.PutUvarint(number[:], e.Seq) + binary.PutUvarint(number[:], uint64(len(e.key)))
	return int(e.Length) - frameFixedBytes - numbers - 1
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSum computes the checksums of one segment's frames. It starts from the checksum of the engine's and the
// segment's ids, so that no frame passes in a place that it was not written to: not one of a file's former life, nor
// one that a user stored as a value.
type frameSum uint32

func newFrameSum(engine engineID, segment SegmentID) frameSum {
	ids := binary.LittleEndian.AppendUint64(engine[:len(engine):len(engine)], uint64(segment))
	return frameSum(crc32.Checksum(ids, castagnoli))
}

// of is the checksum of a whole frame that stands at off in the segment.
func (s frameSum) of(frame []byte, off int64) uint32 {
	return crc32.Update(crc32.Update(uint32(s), castagnoli, frame[:4]), castagnoli, frame[8:]) + uint32(off)
}

// frame is a decoded frame. Its slices alias what it was decoded from.
type frame struct {
	kind   byte
	member bool
	// length is the whole frame's, in bytes.
	length int
	// synced is the offset in the segment below which everything was durable when the frame was encoded; members have
	// none.
	synced int64
	// seq is the number of the record; of the first record of a batch; of the next record after a mark.
	seq uint64
	// count is how many records the frame holds.
	count            int
	key, meta, value []byte
	// whole is the frame itself, where it was read by itself.
	whole []byte
	// members are the frames inside a batch, which begin membersAt bytes into it.
	members   []byte
	membersAt int
}

// seal completes the frame that begins at start of buf: its length and its checksum. off is where the frame will stand.
func (s frameSum) seal(buf []byte, start int, off int64) {
	binary.LittleEndian.PutUint32(buf[start:], uint32(len(buf)-start))
	binary.LittleEndian.PutUint32(buf[start+4:], s.of(buf[start:], off))
}

var frameBlank [8]byte

// appendHead begins a top-level frame that will stand at off.
func appendHead(buf []byte, kind byte, off, synced int64, seq uint64) []byte {
	buf = append(append(buf, frameBlank[:]...), kind)
	return binary.AppendUvarint(binary.AppendUvarint(buf, uint64(off-synced)), seq)
}

// placement is where a record goes. A member of a batch has no synced offset of its own.
type placement struct {
	off, synced int64
	seq         uint64
	member      bool
}

// appendRecord adds a put, or a delete, which has no meta and value. keyAt is where the key begins in the result, followed by the meta.
func (s frameSum) appendRecord(buf []byte, p placement, del bool, key, meta, value []byte) (out []byte, keyAt int) {
	start := len(buf)
	kind := byte(kindPut)
	if del {
		kind = kindDelete
	}
	if p.member {
		buf = append(append(buf, frameBlank[:]...), kind|kindMember)
		buf = binary.AppendUvarint(buf, p.seq)
	} else {
		buf = appendHead(buf, kind, p.off, p.synced, p.seq)
	}
	buf = binary.AppendUvarint(buf, uint64(len(key)))
	if !del {
		buf = append(buf, byte(len(meta)))
	}
	keyAt = len(buf)
	buf = append(append(append(buf, key...), meta...), value...)
	s.seal(buf, start, p.off)
	return buf, keyAt
}

// appendBatchHead begins a batch; the members follow, and seal ends it.
func appendBatchHead(buf []byte, off, synced int64, seq uint64, count int) []byte {
	return binary.AppendUvarint(appendHead(buf, kindBatch, off, synced, seq), uint64(count))
}

// appendMark adds a mark: it holds nothing but says what is durable. next is the number of the record that follows.
func (s frameSum) appendMark(buf []byte, off, synced int64, next uint64) []byte {
	start := len(buf)
	buf = appendHead(buf, kindMark, off, synced, next)
	s.seal(buf, start, off)
	return buf
}

// frameLength is the length that a frame claims, given its first 4 bytes.
func frameLength(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }

// check says whether frame, exactly as long as it claims, has the checksum that belongs at off.
func (s frameSum) check(frame []byte, off int64) bool {
	return len(frame) >= frameBytesMin && frameLength(frame) == int64(len(frame)) &&
		binary.LittleEndian.Uint32(frame[4:]) == s.of(frame, off)
}

// parseFrame decodes a frame from its bytes, which begin with it and may be cut short: what is missing is left
// out of the slices. It does not look at the checksum. An empty reason is success.
func parseFrame(b []byte, off int64) (f frame, reason string) {
	if len(b) < frameBytesMin {
		return f, "too short"
	}
	f.length = int(frameLength(b))
	f.kind, f.member = b[8]&^kindMember, b[8]&kindMember != 0
	r := fieldReader{b: b[:min(len(b), f.length)], at: frameFixedBytes}
	switch {
	case f.length < frameBytesMin || f.length > frameBytesMax:
		return f, "impossible length"
	case f.kind < kindPut || f.kind > kindMark || f.member && f.kind > kindDelete:
		return f, "unknown kind"
	}
	if !f.member {
		back := r.uvarint()
		if back > uint64(off-segmentHeaderBytes) {
			return f, "impossible synced offset"
		}
		f.synced = off - int64(back)
	}
	f.seq = r.uvarint()
	switch f.kind {
	case kindPut, kindDelete:
		f.count = 1
		keyLen, metaLen := r.uvarint(), uint64(0)
		if f.kind == kindPut {
			metaLen = uint64(r.byte())
		}
		end := uint64(r.at) + keyLen + metaLen
		if r.bad || keyLen > keyBytesLimit || end > uint64(f.length) || f.kind == kindDelete && end < uint64(f.length) {
			return f, "impossible lengths"
		}
		f.key, f.meta, f.value = r.take(int(keyLen)), r.take(int(metaLen)), r.rest()
	case kindBatch:
		count := r.uvarint()
		if r.bad || count == 0 || count > uint64(f.length/frameBytesMin) {
			return f, "impossible count"
		}
		f.count, f.membersAt, f.members = int(count), r.at, r.rest()
	case kindMark:
		if r.at != f.length {
			return f, "bytes after the mark"
		}
	}
	if r.bad {
		return f, "fields out of bounds"
	}
	return f, ""
}

// eachMember calls fn for each member of a batch, whose checksum was verified, with the member's place within the
// frame. It says whether the batch is well-formed; fn is not called past the first flaw.
func (f *frame) eachMember(off int64, fn func(m *frame, at int)) bool {
	at := 0
	for i := range f.count {
		m, reason := parseFrame(f.members[at:], off+int64(f.membersAt+at))
		if reason != "" || !m.member || m.length > len(f.members)-at || m.seq != f.seq+uint64(i) {
			return false
		}
		fn(&m, f.membersAt+at)
		at += m.length
	}
	return at == len(f.members)
}

// fieldReader takes fields off a frame; once one is out of bounds it is bad and gives zeros.
type fieldReader struct {
	b   []byte
	at  int
	bad bool
}

func (r *fieldReader) uvarint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[min(r.at, len(r.b)):])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.at += n
	return v
}

func (r *fieldReader) byte() byte {
	if r.at >= len(r.b) {
		r.bad = true
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

// take returns the next n bytes, or as many of them as there are.
func (r *fieldReader) take(n int) []byte {
	from := min(r.at, len(r.b))
	r.at += n
	to := min(r.at, len(r.b))
	return r.b[from:to:to]
}

func (r *fieldReader) rest() []byte { return r.b[min(r.at, len(r.b)):] }
