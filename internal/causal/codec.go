package causal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// The layouts are drawn in docs/format/object.md. All integers are big-endian, but for lengths and counts, which are
// unsigned varints in their shortest form. Whatever a decoder accepts, its encoder would have written byte for byte.
const (
	objectFormat = 1 // first byte of an object
	vectorFormat = 1 // first byte of a causal context

	entryBytes    = 6 + 8 // actor, time
	expiryBytes   = 8
	headBytesMin  = 1 + entryBytes // flags, dot
	checksumBytes = 4

	flagTombstone = 1 << 0
	flagExpires   = 1 << 1
)

// ContextEntriesMax is the greatest number of entries that DecodeVector accepts. A vector gains an entry with each actor
// that ever wrote the key and is not yet forgotten; a client could make up any number.
const ContextEntriesMax = 4096

// ErrMalformed is wrapped by the errors of all decoders: the bytes are not what the encoder wrote.
var ErrMalformed = errors.New("causal: malformed encoding")

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ObjectLen is the number of bytes that AppendObject adds.
func ObjectLen(o Object) int {
	n := 1 + uvarintLen(len(o.Vector)) + entryBytes*len(o.Vector) + uvarintLen(len(o.Siblings))
	for i := range o.Siblings {
		s := &o.Siblings[i]
		n += headLen(s)
		if !s.Tombstone {
			n += uvarintLen(len(s.Value)) + len(s.Value)
		}
	}
	return n
}

// AppendObject appends o, which must be valid, in the form in which objects travel: full vector, siblings with values.
// An object of heads is written with empty values; only who asked for heads can tell.
func AppendObject(dst []byte, o Object) []byte {
	dst = append(dst, objectFormat)
	dst = binary.AppendUvarint(dst, uint64(len(o.Vector)))
	for _, e := range o.Vector {
		dst = appendDot(dst, e)
	}
	dst = binary.AppendUvarint(dst, uint64(len(o.Siblings)))
	for i := range o.Siblings {
		s := &o.Siblings[i]
		dst = appendHead(dst, s)
		if !s.Tombstone {
			dst = binary.AppendUvarint(dst, uint64(len(s.Value)))
			dst = append(dst, s.Value...)
		}
	}
	return dst
}

// DecodeObject is the object that AppendObject wrote. Its values alias data. It allocates at most four bytes for each
// byte of data. Errors wrap ErrMalformed.
func DecodeObject(data []byte) (Object, error) { return new(Arena).DecodeObject(data) }

// Arena allocates the entries and siblings of several objects in few pieces: for objects that are kept for about as long, for whoever
// keeps one keeps its neighbours, and what their values alias. The zero Arena allocates for each what it needs. It is for one goroutine.
type Arena struct {
	objects  int
	dots     []Dot
	siblings []Sibling
}

// arenaPiece is for how many objects a piece is at most.
const arenaPiece = 64

// NewArena returns an Arena for about so many objects. It allocates at most twice what DecodeObject would, and memory for 64 more
// objects with one sibling and one entry each.
func NewArena(objects int) *Arena { return &Arena{objects: min(objects, arenaPiece)} }

// DecodeObject is like the function, with memory of the arena.
func (a *Arena) DecodeObject(data []byte) (Object, error) {
	r := reader{rest: data}
	if r.byte() != objectFormat {
		r.fail("unknown object format")
	}
	var o Object
	if n := r.count(entryBytes); n > 0 {
		o.Vector = take(&a.dots, n, a.objects)
		for i := range o.Vector {
			o.Vector[i] = r.dot()
		}
	}
	if n := r.count(headBytesMin); n > 0 {
		o.Siblings = take(&a.siblings, n, a.objects)
		for i := range o.Siblings {
			s := &o.Siblings[i]
			r.head(s)
			if !s.Tombstone {
				s.Value = r.bytes(r.count(1))
			}
		}
	}
	if err := r.end(); err != nil {
		return Object{}, err
	}
	if err := o.Validate(); err != nil {
		return Object{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return o, nil
}

// take takes n from a piece, or from a new one, which has room for at least some.
func take[T any](piece *[]T, n, some int) []T {
	if n > len(*piece) {
		*piece = make([]T, max(n, some))
	}
	taken := (*piece)[:n:n]
	*piece = (*piece)[n:]
	return taken
}

// AppendVector appends v, which must be valid, as the causal context that clients are handed: opaque to them, and with a
// checksum, so that one that was cut or mangled on its way is not taken for another.
func AppendVector(dst []byte, v Vector) []byte {
	at := len(dst)
	if dst == nil {
		dst = make([]byte, 0, 1+len(v)*entryBytes+checksumBytes)
	}
	dst = append(dst, vectorFormat)
	for _, e := range v {
		dst = appendDot(dst, e)
	}
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// DecodeVector is the vector that AppendVector wrote; see Clock.CheckContext for what else a client's is to be checked
// for. Errors wrap ErrMalformed.
func DecodeVector(data []byte) (Vector, error) {
	n := (len(data) - 1 - checksumBytes) / entryBytes
	if len(data) < 1+checksumBytes || len(data) != 1+n*entryBytes+checksumBytes || n > ContextEntriesMax {
		return nil, malformed("a causal context cannot have this length")
	}
	body := data[:len(data)-checksumBytes]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(data[len(body):]) {
		return nil, malformed("wrong checksum of a causal context")
	}
	if body[0] != vectorFormat {
		return nil, malformed("unknown causal context format")
	}
	if n == 0 {
		return nil, nil
	}
	r := reader{rest: body[1:]}
	v := make(Vector, n)
	for i := range v {
		v[i] = r.dot()
	}
	if err := v.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return v, nil
}

func appendDot(dst []byte, d Dot) []byte {
	a := uint64(d.Actor)
	dst = append(dst, byte(a>>40), byte(a>>32), byte(a>>24), byte(a>>16), byte(a>>8), byte(a))
	return binary.BigEndian.AppendUint64(dst, uint64(d.Time))
}

func headFlags(s *Sibling) byte {
	var f byte
	if s.Tombstone {
		f |= flagTombstone
	}
	if s.ExpiresAt != 0 {
		f |= flagExpires
	}
	return f
}

func headLen(s *Sibling) int {
	if s.ExpiresAt != 0 {
		return headBytesMin + expiryBytes
	}
	return headBytesMin
}

func appendHead(dst []byte, s *Sibling) []byte {
	dst = appendDot(append(dst, headFlags(s)), s.Dot)
	if s.ExpiresAt != 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(s.ExpiresAt))
	}
	return dst
}

func uvarintLen(n int) int { return max(1, (bits.Len(uint(n))+6)/7) }
