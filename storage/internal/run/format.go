package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// FormatVersion is the newest version of the format that this package reads. A run that does not list its records by bucket is
// written as version 1.
const FormatVersion = 2

// The versions of the format.
const (
	formatBlocks  = 1 // blocks, index and filter
	formatBuckets = 2 // and a bucket section
)

const (
	headerMagic  = "RCSRUNF\n"
	trailerMagic = "RCSREND\n"
	headerBytes  = 64
	trailerBytes = 112
	magicBytes   = 8
)

// ErrFormat says that a file is a run of another version or engine.
var ErrFormat = errors.New("unsupported run format")

// ErrDamaged is what every *DamageError is, for errors.Is.
var ErrDamaged = errors.New("damaged run")

// ErrRecord says that a record may not be added: out of order, too large, or with a sequence number or flags that the
// run cannot hold. The writer is as it was before.
var ErrRecord = errors.New("record not for this run")

// ErrFull says that a run has no room for another record: finish it and go on with another.
var ErrFull = errors.New("run is full")

// DamageError says which bytes of a run are not those that were written, and which keys that touches.
type DamageError struct {
	Path string
	// Offset and Length are the damaged part of the file in bytes: a block, or a section.
	Offset, Length int64
	// FirstKey and EndKey bound the keys that the part holds: FirstKey <= key < EndKey. A nil FirstKey stands for the
	// least key, a nil EndKey for no bound. They are the error's own.
	FirstKey, EndKey []byte
	// Aside says that no key is touched, whatever the bounds: what the part says can be found in another way.
	Aside  bool
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: damaged at %d, %d bytes: %s", e.Path, e.Offset, e.Length, e.Reason)
}

// Unwrap makes errors.Is find ErrDamaged.
func (e *DamageError) Unwrap() error { return ErrDamaged }

// Info says what a run stands for and what it holds.
type Info struct {
	// Engine is the id of the engine that the run belongs to.
	Engine [16]byte
	// First and Last are the ids of the first and last segment that the run stands for.
	First, Last uint64
	// Every record has a sequence number of at least FirstSeq and below NextSeq.
	FirstSeq, NextSeq uint64
	// LostSeq is kept for the engine, which gives it its meaning.
	LostSeq uint64
	// Records counts all records, those of the other two counts included.
	Records, Tombstones, Unreadables uint64
	// LiveBytes sums the keys, metas and values of the records without flags.
	LiveBytes uint64
	// Blocks is how many blocks the records are in, FilterBits the size of the filter.
	Blocks, FilterBits uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum computes the checksums of one run. It starts from the checksum of what tells the run from every other of its
// engine and of other engines, so that no bytes of another file pass in it.
type sum uint32

func newSum(i *Info) sum {
	ids := append(make([]byte, 0, 40), i.Engine[:]...)
	ids = binary.LittleEndian.AppendUint64(ids, i.First)
	ids = binary.LittleEndian.AppendUint64(ids, i.Last)
	ids = binary.LittleEndian.AppendUint64(ids, i.NextSeq)
	return sum(crc32.Checksum(ids, castagnoli))
}

// place is what an offset adds to a checksum: bytes pass only where they were written.
func place(off int64) uint32 { return uint32(off) + uint32(off>>32)*0x9e3779b1 }

// of is the checksum of parts that stand one after the other from off on.
func (s sum) of(off int64, parts ...[]byte) uint32 {
	crc := uint32(s)
	for _, p := range parts {
		crc = crc32.Update(crc, castagnoli, p)
	}
	return crc + place(off)
}

// ofRecord is the checksum of record number i, the checksum itself left out, in the block at off.
func (s sum) ofRecord(off int64, i int, b []byte) uint32 {
	return crc32.Update(uint32(s), castagnoli, b) + place(off) + uint32(i)*0x85ebca6b
}

func encodeHeader(i *Info, version uint16) []byte {
	b := make([]byte, headerBytes)
	copy(b, headerMagic)
	binary.LittleEndian.PutUint16(b[8:], version)
	binary.LittleEndian.PutUint64(b[16:], i.First)
	binary.LittleEndian.PutUint64(b[24:], i.Last)
	binary.LittleEndian.PutUint64(b[32:], i.NextSeq)
	copy(b[40:56], i.Engine[:])
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeHeader reads a header. ok says that its checksum is right; an error, which wraps ErrFormat, that it is right but
// the run is not for this engine or version.
func decodeHeader(b []byte, engine [16]byte, i *Info) (ok bool, err error) {
	if string(b[:magicBytes]) != headerMagic || leUint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return false, nil
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v < formatBlocks || v > FormatVersion {
		return true, fmt.Errorf("%w: run version %d, supported are %d to %d", ErrFormat, v, formatBlocks, FormatVersion)
	}
	i.First, i.Last, i.NextSeq = leUint64(b[16:]), leUint64(b[24:]), leUint64(b[32:])
	copy(i.Engine[:], b[40:])
	if i.Engine != engine {
		return true, fmt.Errorf("%w: run of engine %x in the directory of engine %x", ErrFormat, i.Engine[:], engine[:])
	}
	return true, nil
}

// trailer is what a run ends with.
type trailer struct {
	// info lacks what the header says.
	info                             Info
	version                          uint16
	probes                           uint8
	indexAt, indexBytes, filterBytes int64
	indexChecksum, filterChecksum    uint32
	// bucketBytes is what is between the filter and the trailer: the bucket section.
	bucketBytes, fileBytes int64
}

func (t *trailer) filterAt() int64  { return t.indexAt + t.indexBytes }
func (t *trailer) bucketsAt() int64 { return t.filterAt() + t.filterBytes }

func (t *trailer) encode(s sum) []byte {
	b := make([]byte, trailerBytes)
	copy(b, trailerMagic)
	binary.LittleEndian.PutUint16(b[8:], t.version)
	b[10] = t.probes
	binary.LittleEndian.PutUint32(b[12:], uint32(t.info.Blocks))
	for i, v := range []uint64{
		t.info.FirstSeq, t.info.LostSeq, t.info.Records, t.info.Tombstones, t.info.Unreadables, t.info.LiveBytes,
		uint64(t.indexAt), uint64(t.indexBytes), uint64(t.filterBytes), uint64(t.fileBytes),
	} {
		binary.LittleEndian.PutUint64(b[16+8*i:], v)
	}
	binary.LittleEndian.PutUint32(b[96:], t.indexChecksum)
	binary.LittleEndian.PutUint32(b[100:], t.filterChecksum)
	binary.LittleEndian.PutUint32(b[108:], s.of(t.fileBytes-trailerBytes, b[:108]))
	return b
}

// decode reads the trailer of a file of size bytes into t, whose info has what the header says. An empty reason
// is success: then the sections lie back to back between header and trailer.
func (t *trailer) decode(b []byte, s sum, size int64) (reason string) {
	switch {
	case string(b[:magicBytes]) != trailerMagic:
		return "no trailer at the end of the file"
	case leUint32(b[108:]) != s.of(size-trailerBytes, b[:108]):
		return "checksum of the trailer"
	}
	i := &t.info
	t.version, t.probes, i.Blocks = binary.LittleEndian.Uint16(b[8:]), b[10], uint64(leUint32(b[12:]))
	i.FirstSeq, i.LostSeq, i.Records = leUint64(b[16:]), leUint64(b[24:]), leUint64(b[32:])
	i.Tombstones, i.Unreadables, i.LiveBytes = leUint64(b[40:]), leUint64(b[48:]), leUint64(b[56:])
	t.indexChecksum, t.filterChecksum = leUint32(b[96:]), leUint32(b[100:])
	index, indexBytes, filterBytes := leUint64(b[64:]), leUint64(b[72:]), leUint64(b[80:])
	end := uint64(size)
	bucketBytes := end - trailerBytes - index - indexBytes - filterBytes
	if index < headerBytes || index > end || indexBytes > end || filterBytes > end || leUint64(b[88:]) != end ||
		bucketBytes > end || filterBytes%filterLineBytes != 0 || t.probes > filterProbesMax || i.FirstSeq > i.NextSeq {
		return "trailer does not fit the file"
	}
	if t.version != formatBuckets && bucketBytes > 0 || t.version == formatBuckets && bucketBytes < bucketTailBytes {
		return "trailer does not fit its version"
	}
	t.indexAt, t.indexBytes, t.filterBytes = int64(index), int64(indexBytes), int64(filterBytes)
	t.bucketBytes, t.fileBytes = int64(bucketBytes), size
	i.FilterBits = filterBytes * 8
	return ""
}

func leUint32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func leUint64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
