package wire

import (
	"encoding/binary"
	"math"
)

// Writer appends MessagePack values to a buffer. Integers and lengths take the shortest form. The zero Writer is ready for
// use. Byte strings, arrays and maps must be shorter than 4 GiB, which every limit of this package keeps them.
type Writer struct {
	buf []byte
}

// NewWriter returns a Writer that appends to buf, which then belongs to it.
func NewWriter(buf []byte) *Writer { return &Writer{buf: buf} }

// Bytes is everything written so far. It is valid until the next call that writes.
func (w *Writer) Bytes() []byte { return w.buf }

// Len is the number of bytes written so far.
func (w *Writer) Len() int { return len(w.buf) }

// Reset drops what was written and keeps the buffer.
func (w *Writer) Reset() { w.buf = w.buf[:0] }

// Nil writes nil.
func (w *Writer) Nil() { w.buf = append(w.buf, codeNil) }

// Bool writes a boolean.
func (w *Writer) Bool(v bool) {
	if v {
		w.buf = append(w.buf, codeTrue)
		return
	}
	w.buf = append(w.buf, codeFalse)
}

// Uint writes a non-negative integer.
func (w *Writer) Uint(v uint64) {
	switch {
	case v <= codePosFixedIntHigh:
		w.buf = append(w.buf, byte(v))
	case v <= math.MaxUint8:
		w.buf = append(w.buf, codeUint8, byte(v))
	case v <= math.MaxUint16:
		w.buf = append(w.buf, codeUint16, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, codeUint32), uint32(v))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, codeUint64), v)
	}
}

// Int writes an integer.
func (w *Writer) Int(v int64) {
	switch {
	case v >= 0:
		w.Uint(uint64(v))
	case v >= -32:
		w.buf = append(w.buf, byte(v))
	case v >= math.MinInt8:
		w.buf = append(w.buf, codeInt8, byte(v))
	case v >= math.MinInt16:
		w.buf = append(w.buf, codeInt16, byte(v>>8), byte(v))
	case v >= math.MinInt32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, codeInt32), uint32(v))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, codeInt64), uint64(v))
	}
}

// Float writes a 64-bit float.
func (w *Writer) Float(v float64) {
	w.buf = binary.BigEndian.AppendUint64(append(w.buf, codeFloat64), math.Float64bits(v))
}

// Str writes a string.
func (w *Writer) Str(s string) {
	if n := len(s); n < 32 {
		w.buf = append(w.buf, codeFixedStrLow|byte(n))
	} else {
		w.length(codeStr8, n)
	}
	w.buf = append(w.buf, s...)
}

// Bin writes a byte string. A nil slice is an empty byte string, not nil.
func (w *Writer) Bin(b []byte) {
	w.length(codeBin8, len(b))
	w.buf = append(w.buf, b...)
}

// BinOrNil writes a byte string, or nil for a nil slice.
func (w *Writer) BinOrNil(b []byte) {
	if b == nil {
		w.Nil()
		return
	}
	w.Bin(b)
}

// length writes the header of a string (code8 is codeStr8) or byte string (codeBin8) of n bytes.
func (w *Writer) length(code8 byte, n int) {
	switch {
	case n <= math.MaxUint8:
		w.buf = append(w.buf, code8, byte(n))
	case n <= math.MaxUint16:
		w.buf = append(w.buf, code8+1, byte(n>>8), byte(n))
	default:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, code8+2), uint32(n))
	}
}

// ArrayLen begins an array: the next n values are its elements.
func (w *Writer) ArrayLen(n int) { w.container(codeFixedArrayLow, codeArray16, n) }

// MapLen begins a map: the next n pairs of values are its keys and values.
func (w *Writer) MapLen(n int) { w.container(codeFixedMapLow, codeMap16, n) }

func (w *Writer) container(fixed, code16 byte, n int) {
	switch {
	case n < 16:
		w.buf = append(w.buf, fixed|byte(n))
	case n <= math.MaxUint16:
		w.buf = append(w.buf, code16, byte(n>>8), byte(n))
	default:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, code16+1), uint32(n))
	}
}

// Raw appends bytes that are MessagePack already.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }
