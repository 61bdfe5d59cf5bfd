package causal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// MetaBytesMax is the greatest length of a stored object's meta: what the storage engine keeps in its index.
const MetaBytesMax = 255

// The first byte of a meta. Its upper three bits are the format; of the lower five, the first two are flagTombstone
// and flagExpires of a lone sibling.
const (
	metaFormat     = 1 << 5
	metaFormatMask = 7 << 5

	// metaSeveral: a count and heads with flags of their own follow, not one lone sibling.
	metaSeveral = 1 << 2
	// metaElsewhere: heads and vector did not fit; they are in the value, and only a digest of the heads is here.
	metaElsewhere = 1 << 3
	// metaVectorElsewhere: only the vector did not fit; the head of a lone sibling is here as ever, and everything is in the value.
	metaVectorElsewhere = metaElsewhere | metaSeveral
	// metaCompact: entries that the partition's stable vector implies are left out. Who does not know that vector must not take
	// the object for whole.
	metaCompact = 1 << 4

	digestBytes = 8
)

// MarkCompact marks a meta that AppendMeta made of what Compact left of an object.
func MarkCompact(meta []byte) { meta[0] |= metaCompact }

// IsCompact says whether a meta is marked so.
func IsCompact(meta []byte) bool { return len(meta) > 0 && meta[0]&metaCompact != 0 }

// AppendMeta appends the meta of o, which must be valid: at most MetaBytesMax bytes with the heads of the siblings and the
// vector. Entries that a sibling's dot implies cost nothing: a lone sibling of an actor that nobody wrote the key after
// takes 15 bytes. Where they do not fit, the meta has the head of a lone sibling or a digest of several, and StoredValue holds everything.
func AppendMeta(dst []byte, o Object) []byte {
	lone, elsewhere := len(o.Siblings) == 1, metaLen(o) > MetaBytesMax
	switch {
	case lone:
		at := len(dst)
		dst = appendHead(dst, &o.Siblings[0])
		if elsewhere {
			dst[at] |= metaFormat | metaVectorElsewhere
			return dst
		}
		dst[at] |= metaFormat
	case elsewhere:
		return appendDigest(append(dst, metaFormat|metaElsewhere), o)
	default:
		dst = append(dst, metaFormat|metaSeveral, byte(len(o.Siblings)))
		for i := range o.Siblings {
			dst = appendHead(dst, &o.Siblings[i])
		}
	}
	rest := o.Siblings
	for _, e := range o.Vector {
		var implied bool
		if implied, rest = impliedBy(rest, e); !implied {
			dst = appendDot(dst, e)
		}
	}
	return dst
}

// Outdated says whether AppendMeta would write o in another form than that of meta, with which it was stored by an earlier version: a
// tree takes the two for different.
func (o Object) Outdated(meta []byte) bool {
	return len(o.Siblings) == 1 && len(meta) > 0 && meta[0]&^(metaFormatMask|metaCompact) == metaElsewhere
}

// StoredValue is what is stored beside AppendMeta(o): the bare value of a lone sibling, which is returned itself, or
// bytes that are appended to buf, which may be nil.
func StoredValue(o Object, buf []byte) []byte {
	if metaLen(o) > MetaBytesMax {
		return AppendObject(buf, o)
	}
	if len(o.Siblings) == 1 {
		return o.Siblings[0].Value
	}
	for i := range o.Siblings {
		buf = binary.AppendUvarint(buf, uint64(len(o.Siblings[i].Value)))
	}
	for i := range o.Siblings {
		buf = append(buf, o.Siblings[i].Value...)
	}
	return buf
}

// DecodeMeta sets o to the heads and the vector that are in meta, using the memory of o's slices as far as it goes. It
// reports false where they are in the value: o is then the zero object, and only DecodeStored can tell more. The vector is without what
// the partition's stable vector implied when the object was stored: see Compact.
// Errors wrap ErrMalformed, and leave o with no meaning.
func DecodeMeta(o *Object, meta []byte) (complete bool, err error) {
	if len(meta) == 0 || len(meta) > MetaBytesMax || meta[0]&metaFormatMask != metaFormat {
		return false, malformed("not a meta of a known format")
	}
	o.Vector, o.Siblings = o.Vector[:0], o.Siblings[:0]
	r := reader{rest: meta[1:]}
	switch flags := meta[0] &^ (metaFormatMask | metaCompact); {
	case flags == metaElsewhere:
		r.bytes(digestBytes)
		return false, r.end()
	case flags&^(flagTombstone|flagExpires) == metaVectorElsewhere:
		r.headOf(new(Sibling), flags&^metaVectorElsewhere)
		return false, r.end()
	case flags == metaSeveral:
		n := int(r.byte())
		if n == 1 {
			r.fail("a lone sibling in the form of several")
		}
		if n*headBytesMin > len(r.rest) {
			r.fail("more siblings than bytes")
		}
		for ; n > 0 && r.err == nil; n-- {
			var s Sibling
			r.head(&s)
			o.Siblings = append(o.Siblings, s)
		}
	case flags&^(flagTombstone|flagExpires) == 0:
		var s Sibling
		r.headOf(&s, flags)
		o.Siblings = append(o.Siblings, s)
	default:
		return false, malformed("unknown flags of a meta")
	}
	o.Vector = r.entries(o.Vector, o.Siblings)
	if r.end() == nil {
		if err := o.Validate(); err != nil {
			return false, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	return r.err == nil, r.err
}

// DecodeStored sets o to the object that was stored as meta and value, using the memory of o's slices as far as it goes.
// Values alias value. Errors wrap ErrMalformed, and leave o with no meaning.
func DecodeStored(o *Object, meta, value []byte) error {
	complete, err := DecodeMeta(o, meta)
	if err != nil {
		return err
	}
	if !complete {
		return decodeElsewhere(o, meta, value)
	}
	if len(o.Siblings) == 1 {
		if o.Siblings[0].Tombstone && len(value) > 0 {
			return malformed("a tombstone with a value")
		}
		o.Siblings[0].Value = value
		return nil
	}
	return decodeValues(o.Siblings, value)
}

func decodeElsewhere(o *Object, meta, value []byte) (err error) {
	if *o, err = DecodeObject(value); err != nil {
		return err
	}
	if metaLen(*o) <= MetaBytesMax || !means(meta, *o) {
		return malformed("the object in the value is not the one that the meta means")
	}
	return nil
}

// means says whether meta is one of o, whose vector at least is in the value.
func means(meta []byte, o Object) bool {
	var buf [headBytesMin + expiryBytes]byte
	want := buf[:0]
	if o.Outdated(meta) {
		want = appendDigest(append(want, metaFormat|metaElsewhere), o)
	} else {
		want = AppendMeta(want, o)
	}
	return want[0] == meta[0]&^metaCompact && string(want[1:]) == string(meta[1:])
}

func decodeValues(siblings []Sibling, value []byte) error {
	lengths := reader{rest: value}
	total := 0
	for range siblings {
		total += lengths.count(1)
	}
	if lengths.err == nil && total != len(lengths.rest) {
		lengths.fail("values are not as long as their lengths say")
	}
	if lengths.err != nil {
		return lengths.err
	}
	values := reader{rest: lengths.rest}
	again := reader{rest: value}
	for i := range siblings {
		n := again.count(1)
		if n > 0 && siblings[i].Tombstone {
			return malformed("a tombstone with a value")
		}
		siblings[i].Value = values.bytes(n)
	}
	return nil
}

// metaLen is the length of o's meta if it were not bounded.
func metaLen(o Object) int {
	n := 0
	if len(o.Siblings) != 1 {
		n = 2
	}
	for i := range o.Siblings {
		n += headLen(&o.Siblings[i])
	}
	rest := o.Siblings
	for _, e := range o.Vector {
		var implied bool
		if implied, rest = impliedBy(rest, e); !implied {
			n += entryBytes
		}
	}
	return n
}

// impliedBy says whether e is the dot of one of the sorted siblings, and which siblings are still to be looked at for
// the entries after e. An entry is implied only by its own dot: as the siblings are covered, that is its actor's last.
func impliedBy(siblings []Sibling, e Entry) (bool, []Sibling) {
	for len(siblings) > 0 {
		switch c := siblings[0].Dot.Compare(e); {
		case c == 0:
			return true, siblings[1:]
		case c > 0:
			return false, siblings
		}
		siblings = siblings[1:]
	}
	return false, nil
}

// entries reads the entries up to the end of the meta and appends to v the vector that they and the siblings give.
// An explicit entry must say more than the siblings imply.
func (r *reader) entries(v Vector, siblings []Sibling) Vector {
	v = slices.Grow(v, len(r.rest)/entryBytes+len(siblings))
	for i := range siblings {
		next := i + 1
		if next == len(siblings) || siblings[next].Dot.Actor != siblings[i].Dot.Actor {
			v = append(v, siblings[i].Dot)
		}
	}
	var last Actor
	for len(r.rest) > 0 {
		e := r.dot()
		at, found := slices.BinarySearchFunc(v, e.Actor, func(x Entry, a Actor) int {
			if x.Actor < a {
				return -1
			}
			return int(min(x.Actor-a, 1))
		})
		switch {
		case r.err != nil:
		case e.Actor <= last:
			r.fail("entries are not sorted by actor")
		case found && v[at].Time >= e.Time:
			r.fail("an entry that the siblings imply")
		case found:
			v[at] = e
		default:
			v = slices.Insert(v, at, e)
		}
		last = e.Actor
	}
	return v
}

// appendDigest appends the first bytes of a SHA-256 over the sorted dots of the siblings with their flags: where the
// heads are not in the meta, it still tells one set of siblings from another.
func appendDigest(dst []byte, o Object) []byte {
	h := sha256.New()
	var b [headBytesMin + expiryBytes]byte
	for i := range o.Siblings {
		h.Write(appendHead(b[:0], &o.Siblings[i]))
	}
	var sum [sha256.Size]byte
	return append(dst, h.Sum(sum[:0])[:digestBytes]...)
}
