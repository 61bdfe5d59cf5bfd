package httpgw

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// bounds are the keys that a range still has to give: from start, to before end. Empty is no bound.
type bounds struct {
	start, end []byte
	reverse    bool
}

// A cursor is, in URL-safe base64 without padding,
//
//	format (1 byte, 1) | flags (1 byte, 1: reverse) | length of start (uvarint) | start | end | CRC32C of all before it
//	                                                                                          (4 bytes, big-endian)
//
// It holds what is left of a range, so that a node needs no memory of it, and any node can go on with it.
const (
	cursorFormat    = 1
	cursorReverse   = 1
	cursorBytesMin  = 1 + 1 + 1 + 4
	cursorBytesHead = 2
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errCursor  = errors.New("is not a cursor that a node gave out")
)

// appendCursor appends the cursor of what is left.
func appendCursor(b []byte, left bounds) []byte {
	flags := byte(0)
	if left.reverse {
		flags = cursorReverse
	}
	raw := []byte{cursorFormat, flags}
	raw = binary.AppendUvarint(raw, uint64(len(left.start)))
	raw = append(raw, left.start...)
	raw = append(raw, left.end...)
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum(raw, castagnoli))
	return base64.RawURLEncoding.AppendEncode(b, raw)
}

// parseCursor reads what appendCursor wrote.
func parseCursor(cursor string) (bounds, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < cursorBytesMin {
		return bounds{}, errCursor
	}
	body, sum := raw[:len(raw)-4], binary.BigEndian.Uint32(raw[len(raw)-4:])
	if crc32.Checksum(body, castagnoli) != sum || body[0] != cursorFormat || body[1] > cursorReverse {
		return bounds{}, errCursor
	}
	n, size := binary.Uvarint(body[cursorBytesHead:])
	rest := body[cursorBytesHead+max(size, 0):]
	if size <= 0 || n > uint64(len(rest)) {
		return bounds{}, errCursor
	}
	return bounds{start: rest[:n:n], end: rest[n:], reverse: body[1] == cursorReverse}, nil
}

// boundsOf turns inclusive bounds and a prefix into bounds. ok is false if no key can be in them.
func boundsOf(p *rangeParams) (b bounds, ok bool) {
	b = bounds{start: p.start, reverse: p.reverse}
	if len(p.end) > 0 {
		// The least key above end.
		b.end = append(bytes.Clone(p.end), 0)
	}
	if len(p.prefix) > 0 {
		if bytes.Compare(b.start, p.prefix) < 0 {
			b.start = p.prefix
		}
		if after := afterPrefix(p.prefix); after != nil && (len(b.end) == 0 || bytes.Compare(after, b.end) < 0) {
			b.end = after
		}
	}
	return b, len(b.end) == 0 || bytes.Compare(b.start, b.end) < 0
}

// afterPrefix is the least key above all that have a prefix, or nil if there is none.
func afterPrefix(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			after := bytes.Clone(prefix[:i+1])
			after[i]++
			return after
		}
	}
	return nil
}

// within says whether what is left is part of the bounds it is said to be left of: a cursor belongs to one range.
func (left bounds) within(all bounds) bool {
	switch {
	case left.reverse != all.reverse:
		return false
	case left.reverse:
		ends := len(left.end) > 0 && (len(all.end) == 0 || bytes.Compare(left.end, all.end) <= 0)
		return ends && bytes.Equal(left.start, all.start)
	}
	return bytes.Equal(left.end, all.end) && bytes.Compare(left.start, all.start) >= 0
}

// rest is what is left after a page that was cut short at resume.
func (all bounds) rest(resume []byte) bounds {
	if all.reverse {
		return bounds{start: all.start, end: resume, reverse: true}
	}
	return bounds{start: resume, end: all.end}
}
