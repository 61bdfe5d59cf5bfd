package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/vfs"
)

const (
	segmentMagic       = "RCSEGMT\n"
	segmentHeaderBytes = 64
	segmentSuffix      = ".seg"
	hintFileSuffix     = ".hintfile"
	suspectSuffix      = ".suspect"
	// segmentIDMax is what a location has room for.
	segmentIDMax = 1<<32 - 1
)

// segment is one file of the log. The open file serves reads until the engine closes.
type segment struct {
	id       SegmentID
	path     string
	sum      frameSum
	firstSeq uint64
	file     vfs.File
	// written is the end of the frames in the file, synced the end of those that are durable.
	written, synced atomic.Int64
	// filled is the end of the file, zeros ahead of the frames included.
	filled atomic.Int64
	// marked is where the last frame ended, if that
	// was a mark. Only the committer uses it.
	marked int64
	// sealed segments take no more frames.
	sealed atomic.Bool
	// suspect: see quarantine.go.
	suspect       atomic.Bool
	hintFileBytes atomic.Int64
}

func newSegment(dir string, engine engineID, id SegmentID, firstSeq uint64) *segment {
	s := &segment{id: id, path: segmentPath(dir, id), sum: newFrameSum(engine, id), firstSeq: firstSeq}
	s.written.Store(segmentHeaderBytes)
	// What is encoded for a new segment is written only after the header was synced.
	s.synced.Store(segmentHeaderBytes)
	return s
}

func segmentPath(dir string, id SegmentID) string {
	return filepath.Join(dir, fmt.Sprintf("%010d%s", id, segmentSuffix))
}

func (s *segment) hintFilePath() string {
	return strings.TrimSuffix(s.path, segmentSuffix) + hintFileSuffix
}
func (s *segment) suspectPath() string {
	return strings.TrimSuffix(s.path, segmentSuffix) + suspectSuffix
}

// segmentIDOf is the id in the name of a segment file.
func segmentIDOf(name string) (SegmentID, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) < 10 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || id == 0 || id > segmentIDMax || filepath.Base(segmentPath("", SegmentID(id))) != name {
		return 0, false
	}
	return SegmentID(id), true
}

// segmentHeader is what a segment file begins with.
type segmentHeader struct {
	id       SegmentID
	engine   engineID
	firstSeq uint64
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, segmentHeaderBytes)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], FormatVersion)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.id))
	copy(b[24:40], h.engine[:])
	binary.LittleEndian.PutUint64(b[40:], h.firstSeq)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeSegmentHeader reads a header. ok says that its checksum is right; an error, which wraps ErrFormat, that it is
// right but the segment is not for this engine.
func decodeSegmentHeader(b []byte, engine engineID, id SegmentID) (h segmentHeader, ok bool, err error) {
	if len(b) < segmentHeaderBytes || binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) ||
		string(b[:8]) != segmentMagic {
		return h, false, nil
	}
	h.id = SegmentID(binary.LittleEndian.Uint64(b[16:]))
	copy(h.engine[:], b[24:40])
	h.firstSeq = binary.LittleEndian.Uint64(b[40:])
	switch version := binary.LittleEndian.Uint16(b[8:]); {
	case version != FormatVersion:
		err = fmt.Errorf("%w: segment version %d, supported is %d", ErrFormat, version, FormatVersion)
	case h.engine != engine:
		err = fmt.Errorf("%w: segment of engine %x in the directory of engine %x", ErrFormat, h.engine[:], engine[:])
	case h.id != id:
		err = fmt.Errorf("%w: segment %d under the name of %d", ErrFormat, h.id, id)
	}
	return h, true, err
}
