package storage

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"

	"github.com/ringcask/ringcask/storage/vfs"
)

// scanWindowBytes is how much of a segment is read at once.
const scanWindowBytes = 1 << 20

// logScan reads the frames of a segment one after the other.
type logScan struct {
	file vfs.File
	path string
	sum  frameSum
	// size is the end of what is looked at.
	size int64

	window   []byte
	windowAt int64
	// dataEnd is the end of the last byte that is not zero; -1 until it is looked for.
	dataEnd int64
}

func newLogScan(file vfs.File, path string, sum frameSum, size int64) *logScan {
	return &logScan{file: file, path: path, sum: sum, size: size, dataEnd: -1}
}

// bytes returns n bytes at off, fewer at the end of the segment. They are valid until the next call.
func (s *logScan) bytes(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off < s.windowAt || off+int64(n) > s.windowAt+int64(len(s.window)) {
		if err := s.load(off, max(n, scanWindowBytes)); err != nil {
			return nil, err
		}
	}
	b := s.window[min(off-s.windowAt, int64(len(s.window))):]
	return b[:min(n, len(b))], nil
}

func (s *logScan) load(off int64, n int) error {
	n = int(min(int64(n), s.size-off))
	if cap(s.window) < n {
		s.window = make([]byte, n)
	}
	s.window, s.windowAt = s.window[:n], off
	got, err := s.file.ReadAt(s.window, off)
	s.window = s.window[:got]
	if err != nil && !errors.Is(err, io.EOF) {
		return &IOError{"read", s.path, err}
	}
	return nil
}

// frameAt reads and checks the frame at off. The reason says what is wrong with it. The frame is valid until the next
// call.
func (s *logScan) frameAt(off int64) (f frame, reason string, err error) {
	head, err := s.bytes(off, frameHeadBytesMax)
	if err != nil {
		return f, "", err
	}
	if f, reason = parseFrame(head, off); reason != "" {
		return f, reason, nil
	}
	switch {
	case f.member:
		return f, "member of a batch without its batch", nil
	case int64(f.length) > s.size-off:
		return f, "frame reaches past the end", nil
	}
	if f.length > scanWindowBytes {
		// A damaged length must not make us allocate what it says.
		if ok, err := s.checkLong(off, f.length); err != nil || !ok {
			return f, "checksum mismatch", err
		}
	}
	whole, err := s.bytes(off, f.length)
	if err != nil {
		return f, "", err
	}
	if !s.sum.check(whole, off) {
		return f, "checksum mismatch", nil
	}
	f, reason = parseFrame(whole, off)
	if reason == "" && f.kind == kindBatch && !f.eachMember(off, func(*frame, int) {}) {
		reason = "malformed batch"
	}
	return f, reason, nil
}

// checkLong is frameSum.check in pieces.
func (s *logScan) checkLong(off int64, length int) (bool, error) {
	head, err := s.bytes(off, 8)
	if err != nil || len(head) < 8 {
		return false, err
	}
	want := leUint32(head[4:])
	crc := crc32.Update(uint32(s.sum), castagnoli, head[:4])
	for at, end := off+8, off+int64(length); at < end; {
		b, err := s.bytes(at, int(min(end-at, scanWindowBytes)))
		if err != nil || len(b) == 0 {
			return false, err
		}
		crc = crc32.Update(crc, castagnoli, b)
		at += int64(len(b))
	}
	return crc+uint32(off) == want, nil
}

// resync finds the first whole frame at or after off. Numbers from seq on may come next; zero is not known. ok is
// false if there is no frame.
func (s *logScan) resync(off int64, seq uint64) (at int64, ok bool, err error) {
	for at = off; at+frameBytesMin <= s.size; at++ {
		b, err := s.bytes(at, frameHeadBytesMax)
		if err != nil {
			return 0, false, err
		}
		// Cheap tests first: nearly every offset fails them. So many records cannot have been lost as to skip more
		// numbers.
		if len(b) < frameBytesMin || b[8] < kindPut || b[8] > kindMark || frameLength(b) > s.size-at {
			continue
		}
		f, reason := parseFrame(b, at)
		lostMax := uint64(at-off)/frameBytesMin + 1
		if reason != "" || seq != 0 && (f.seq < seq || f.seq-seq > lostMax) {
			continue
		}
		if _, reason, err = s.frameAt(at); err != nil || reason == "" {
			return at, err == nil, err
		}
	}
	return 0, false, nil
}

// zerosFrom says whether nothing but zeros stands at and after off.
func (s *logScan) zerosFrom(off int64) (bool, error) {
	if s.dataEnd < 0 {
		end := off
		for at := off; at < s.size; {
			b, err := s.bytes(at, scanWindowBytes)
			if err != nil {
				return false, err
			}
			if len(b) == 0 {
				break
			}
			if trimmed := bytes.TrimRight(b, "\x00"); len(trimmed) > 0 {
				end = at + int64(len(trimmed))
			}
			at += int64(len(b))
		}
		s.dataEnd = end
	}
	return s.dataEnd <= off, nil
}
