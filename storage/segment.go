package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/internal/handles"
	"github.com/ringcask/ringcask/storage/vfs"
)

const (
	segmentMagic       = "RCSEGMT\n"
	segmentVersion     = 1
	segmentHeaderBytes = 64
	segmentSuffix      = ".seg"
	hintFileSuffix     = ".hintfile"
	suspectSuffix      = ".suspect"
	// segmentIDMax is what a location has room for.
	segmentIDMax = 1<<32 - 1
)

// segment is one file of the log.
type segment struct {
	id       SegmentID
	path     string
	sum      frameSum
	firstSeq uint64
	// file is held while the segment is active, and pooled once it is sealed.
	file *handles.File
	// mapping has the file from its beginning, the end of an active one not yet; none where it is read by calls.
	mapping vfs.Mapping
	// mapped is how much of the mapping of what is or was the active segment counts.
	mapped atomic.Int64
	// written is the end of the frames in the file, synced the end of those that are durable.
	written, synced atomic.Int64
	// filled is the end of the file, zeros ahead of the frames included.
	filled atomic.Int64
	// marked is where the last frame ended, if that was a mark. Only the committer uses it.
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

// mapSlackBytes is how far behind SegmentBytesMax the last group of a segment is still mapped.
const mapSlackBytes = 1 << 20

// close closes the file and what is mapped of it.
func (s *segment) close() error {
	var err error
	if s.mapping.Unmap != nil {
		err = s.mapping.Unmap()
	}
	if err = errors.Join(err, s.file.Close()); err != nil {
		return &IOError{"close", s.path, err}
	}
	return nil
}

// readAt fills buf from off. n is how much of it is in the file.
func (s *segment) readAt(buf []byte, off int64) (n int, err error) {
	if data := s.mapping.Bytes; off+int64(len(buf)) <= min(int64(len(data)), s.written.Load()) {
		err := vfs.Guard(func() { copy(buf, data[off:]) })
		if err != nil {
			return 0, &IOError{"read", s.path, err}
		}
		return len(buf), nil
	}
	if n, err = vfs.Read(s.file, buf, off); err != nil && !errors.Is(err, io.EOF) {
		return n, &IOError{"read", s.path, err}
	}
	return n, nil
}

// writeAt writes buf at off.
func (s *segment) writeAt(buf []byte, off int64) error {
	_, err := s.file.WriteAt(buf, off)
	if err != nil {
		return &IOError{"write", s.path, err}
	}
	return nil
}

// writeMapped writes buf at off, where the file has its zeros already, without a call.
func (s *segment) writeMapped(buf []byte, off int64) error {
	data := s.mapping.Bytes[off : off+int64(len(buf))]
	if err := vfs.Guard(func() { copy(data, buf) }); err != nil {
		return &IOError{"write", s.path, err}
	}
	return nil
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
	binary.LittleEndian.PutUint16(b[8:], segmentVersion)
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
	case version != segmentVersion:
		err = fmt.Errorf("%w: segment version %d, supported is %d", ErrFormat, version, segmentVersion)
	case h.engine != engine:
		err = fmt.Errorf("%w: segment of engine %x in the directory of engine %x", ErrFormat, h.engine[:], engine[:])
	case h.id != id:
		err = fmt.Errorf("%w: segment %d under the name of %d", ErrFormat, h.id, id)
	}
	return h, true, err
}
