package wire

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// ErrCursor: the bytes are not a cursor of this range.
var ErrCursor = errors.New("wire: not a cursor of this range")

// Cursor is where a range goes on. Callers take it for opaque bytes; its layout, integers big-endian, is
//
//	u8 version (1) · u8 flags (1: reverse) · u32 crc32c of the range's bounds · resume key · u32 crc32c of all before
//
// The checksums keep a cursor that was cut, or that belongs to another range, from silently skipping keys. They do not
// keep anyone from making one: a cursor grants nothing that a range does not.
type Cursor struct {
	// Resume is the inclusive start of the next page, in reverse its exclusive end.
	Resume  []byte
	Reverse bool
}

const (
	cursorVersion   = 1
	cursorReverse   = 1
	cursorHeadBytes = 6
	cursorBytesMin  = cursorHeadBytes + 4
)

// Append appends the cursor, bound to a range with those bounds.
func (c Cursor) Append(b []byte, start, end, prefix []byte) []byte {
	from := len(b)
	flags := byte(0)
	if c.Reverse {
		flags = cursorReverse
	}
	b = append(b, cursorVersion, flags)
	b = binary.BigEndian.AppendUint32(b, boundsChecksum(start, end, prefix))
	b = append(b, c.Resume...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// ParseCursor is the cursor of bytes that Append made for a range with the same bounds. Resume aliases b. Error: ErrCursor.
func ParseCursor(b, start, end, prefix []byte) (Cursor, error) {
	if len(b) < cursorBytesMin || b[0] != cursorVersion || b[1] > cursorReverse {
		return Cursor{}, ErrCursor
	}
	body := len(b) - 4
	if crc32.Checksum(b[:body], castagnoli) != binary.BigEndian.Uint32(b[body:]) ||
		boundsChecksum(start, end, prefix) != binary.BigEndian.Uint32(b[2:]) {
		return Cursor{}, ErrCursor
	}
	return Cursor{Resume: b[cursorHeadBytes:body:body], Reverse: b[1] == cursorReverse}, nil
}

// boundsChecksum tells ranges apart.
func boundsChecksum(start, end, prefix []byte) uint32 {
	var sum uint32
	for _, part := range [][]byte{start, end, prefix} {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		sum = crc32.Update(sum, castagnoli, length[:])
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum
}
