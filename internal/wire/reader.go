package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DecodeError is a message that is not what it should be. Nothing was done with it.
type DecodeError struct {
	// Offset is where in the message.
	Offset int
	Reason string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("malformed message: %s at offset %d", e.Reason, e.Offset)
}

// Reader decodes MessagePack values from one message held in memory. It allocates nothing but strings and errors, and never
// trusts a length: each is checked against what is left of the message. The first thing that is wrong is remembered: every
// method then returns a zero value, so that a decoder can be written straight down and ask [Reader.Done] once, at its end.
// A loop over ArrayLen or MapLen is bounded by the limit that it passes.
type Reader struct {
	msg []byte
	off int
	err error
}

// NewReader returns a Reader of msg. What it hands out aliases msg.
func NewReader(msg []byte) Reader { return Reader{msg: msg} }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Offset is the number of bytes consumed.
func (r *Reader) Offset() int { return r.off }

// Remaining is the number of bytes left.
func (r *Reader) Remaining() int { return len(r.msg) - r.off }

// Done is the first error, or an error if anything is left of the message.
func (r *Reader) Done() error {
	if r.err == nil && r.off != len(r.msg) {
		r.fail("%d bytes after the end", len(r.msg)-r.off)
	}
	return r.err
}

// Fail records an error at the present offset, unless there is one.
func (r *Reader) Fail(format string, args ...any) { r.fail(format, args...) }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &DecodeError{Offset: r.off, Reason: fmt.Sprintf(format, args...)}
	}
}

func (r *Reader) failKind(want string) {
	if r.err == nil {
		r.fail("%s where %s is expected", r.Kind(), want)
	}
}

// Kind is the type of the next value.
func (r *Reader) Kind() Kind {
	if r.err != nil || r.off >= len(r.msg) {
		return KindNone
	}
	return headers[r.msg[r.off]].kind
}

// TryNil consumes a nil and says whether there was one.
func (r *Reader) TryNil() bool {
	if r.err == nil && r.off < len(r.msg) && r.msg[r.off] == codeNil {
		r.off++
		return true
	}
	return false
}

// Bool decodes a boolean.
func (r *Reader) Bool() bool {
	if r.Kind() != KindBool {
		r.failKind("a boolean")
		return false
	}
	r.off++
	return r.msg[r.off-1] == codeTrue
}

// integer decodes any integer: neg says that v is to be read as an int64 below zero.
func (r *Reader) integer() (v uint64, neg bool) {
	if r.Kind() != KindInt {
		r.failKind("an integer")
		return 0, false
	}
	c := r.msg[r.off]
	switch {
	case c <= codePosFixedIntHigh:
		r.off++
		return uint64(c), false
	case c == codeUint64 && len(r.msg)-r.off >= 9:
		r.off += 9
		return binary.BigEndian.Uint64(r.msg[r.off-8:]), false
	case c >= codeNegFixedIntLow:
		r.off++
		return uint64(int64(int8(c))), true
	}
	b := r.take(1 + int(headers[c].fixed))
	if b == nil {
		return 0, false
	}
	switch b = b[1:]; c {
	case codeUint8:
		v = uint64(b[0])
	case codeUint16:
		v = uint64(binary.BigEndian.Uint16(b))
	case codeUint32:
		v = uint64(binary.BigEndian.Uint32(b))
	case codeUint64:
		return binary.BigEndian.Uint64(b), false
	case codeInt8:
		v = uint64(int64(int8(b[0])))
	case codeInt16:
		v = uint64(int64(int16(binary.BigEndian.Uint16(b))))
	case codeInt32:
		v = uint64(int64(int32(binary.BigEndian.Uint32(b))))
	case codeInt64:
		v = binary.BigEndian.Uint64(b)
	}
	return v, int64(v) < 0
}

// Uint decodes an integer from 0 to limit.
func (r *Reader) Uint(limit uint64) uint64 {
	at := r.off
	v, neg := r.integer()
	if neg || v > limit {
		r.off = at
		r.fail("integer out of range 0 to %d", limit)
		return 0
	}
	return v
}

// Uint64 decodes a non-negative integer.
func (r *Reader) Uint64() uint64 { return r.Uint(math.MaxUint64) }

// Int decodes an integer between lo and hi, both included.
func (r *Reader) Int(lo, hi int64) int64 {
	at := r.off
	v, neg := r.integer()
	if (!neg && v > math.MaxInt64) || int64(v) < lo || int64(v) > hi {
		r.off = at
		r.fail("integer out of range %d to %d", lo, hi)
		return 0
	}
	if r.err != nil {
		return 0
	}
	return int64(v)
}

// Int64 decodes any integer that fits.
func (r *Reader) Int64() int64 { return r.Int(math.MinInt64, math.MaxInt64) }

// Float decodes a float of either size, or an integer as one.
func (r *Reader) Float() float64 {
	switch r.Kind() {
	case KindInt:
		v, neg := r.integer()
		if neg {
			return float64(int64(v))
		}
		return float64(v)
	case KindFloat:
	default:
		r.failKind("a number")
		return 0
	}
	b := r.take(1 + int(headers[r.msg[r.off]].fixed))
	switch len(b) {
	case 5:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b[1:])))
	case 9:
		return math.Float64frombits(binary.BigEndian.Uint64(b[1:]))
	}
	return 0
}

// Bytes decodes a byte string or a string as a slice of the message: not nil even when it is empty, unless there is an error.
func (r *Reader) Bytes() []byte {
	if b, ok := r.shortBytes(); ok {
		return b
	}
	if k := r.Kind(); k != KindBin && k != KindStr {
		r.failKind("a byte string")
		return nil
	}
	return r.take(r.length())
}

// shortBytes is Bytes for the two forms that names, keys and small values have, and for nothing else.
func (r *Reader) shortBytes() ([]byte, bool) {
	if r.err != nil || len(r.msg)-r.off < 2 {
		return nil, false
	}
	c, from, n := r.msg[r.off], r.off+1, 0
	switch {
	case c >= codeFixedStrLow && c <= codeFixedStrHigh:
		n = int(c & 0x1f)
	case c == codeBin8:
		n = int(r.msg[from])
		from++
	default:
		return nil, false
	}
	if n > len(r.msg)-from {
		return nil, false
	}
	r.off = from + n
	return r.msg[from:r.off:r.off], true
}

// StrBytes decodes a string as a slice of the message.
func (r *Reader) StrBytes() []byte {
	if r.Kind() != KindStr {
		r.failKind("a string")
		return nil
	}
	return r.take(r.length())
}

// Str decodes a string.
func (r *Reader) Str() string { return string(r.StrBytes()) }

// ArrayLen decodes the header of an array of at most limit elements.
func (r *Reader) ArrayLen(limit int) int {
	if r.Kind() != KindArray {
		r.failKind("an array")
		return 0
	}
	return r.elements(limit, 1)
}

// MapLen decodes the header of a map of at most limit pairs.
func (r *Reader) MapLen(limit int) int {
	if r.Kind() != KindMap {
		r.failKind("a map")
		return 0
	}
	return r.elements(limit, 2)
}

func (r *Reader) elements(limit, perElement int) int {
	at := r.off
	n := r.length()
	switch {
	case r.err != nil:
	case n > limit:
		r.off = at
		r.fail("%d elements, more than the limit of %d", n, limit)
	case n > r.Remaining()/perElement:
		r.off = at
		r.fail("%d elements, more than the message has room for", n)
	default:
		return n
	}
	return 0
}

// Skip passes over one value of any kind. It does not recurse: what is still to come is a count.
func (r *Reader) Skip() {
	for values := 1; values > 0 && r.err == nil; values-- {
		switch r.Kind() {
		case KindNone:
			r.failKind("a value")
		case KindArray:
			values += r.elements(math.MaxInt32, 1)
		case KindMap:
			values += 2 * r.elements(math.MaxInt32, 2)
		default:
			r.take(r.length())
		}
	}
}

// length consumes the header of the next value, which exists, and returns the length of what follows; 0 after an error.
func (r *Reader) length() int {
	h := headers[r.msg[r.off]]
	b := r.take(1 + int(h.lengthBytes))
	switch len(b) {
	case 2:
		return int(b[1]) + int(h.fixed)
	case 3:
		return int(binary.BigEndian.Uint16(b[1:])) + int(h.fixed)
	case 5:
		// No message is as long as the clamp, which keeps the sum positive where an int has 32 bits.
		return int(min(binary.BigEndian.Uint32(b[1:]), math.MaxInt32-1)) + int(h.fixed)
	}
	return int(h.fixed)
}

// take consumes n bytes. The slice has no room to grow, so that appending to it never overwrites the message.
func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.msg)-r.off {
		r.fail("%d bytes wanted, %d left", n, len(r.msg)-r.off)
		return nil
	}
	b := r.msg[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}
