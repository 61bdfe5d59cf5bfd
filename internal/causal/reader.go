package causal

import "encoding/binary"

// reader takes an encoding apart. The first failure stays, and all that is read after it is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = malformed(why)
	}
	r.rest = nil
}

// bytes are the next n bytes; nil for none. They alias what is read.
func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.fail("it ends too early")
		return nil
	}
	if n == 0 {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// count is a varint that counts things of at least size bytes each, all of which must still come.
func (r *reader) count(size int) int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.fail("a length is not a varint in its shortest form")
		return 0
	}
	r.rest = r.rest[n:]
	if v > uint64(len(r.rest)/size) {
		r.fail("a length is greater than what follows")
		return 0
	}
	return int(v)
}

func (r *reader) dot() Dot {
	b := r.bytes(entryBytes)
	if b == nil {
		return Dot{}
	}
	return dotAt(b)
}

// dotAt is the dot that b begins with, which has one.
func dotAt(b []byte) Dot {
	actor := uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
	return Dot{Actor: Actor(actor), Time: Timestamp(binary.BigEndian.Uint64(b[6:]))}
}

// head reads what appendHead wrote.
func (r *reader) head(s *Sibling) {
	flags := r.byte()
	if flags&^(flagTombstone|flagExpires) != 0 {
		r.fail("unknown flags of a sibling")
	}
	r.headOf(s, flags)
}

func (r *reader) headOf(s *Sibling, flags byte) {
	*s = Sibling{Dot: r.dot(), Tombstone: flags&flagTombstone != 0}
	if flags&flagExpires != 0 {
		s.ExpiresAt = r.expiry()
	}
}

// expiry is never zero: that an expiry is there is said by a flag.
func (r *reader) expiry() int64 {
	at := int64(r.uint64())
	if at <= 0 {
		r.fail("an expiry is not a time")
	}
	return at
}

// end is the first failure, or one if anything is left over.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("bytes are left over")
	}
	return r.err
}
