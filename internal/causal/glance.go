package causal

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Glance is what a meta tells without being decoded: enough to keep a tree of keys up to date on every commit. It aliases the
// meta, and neither it nor its methods allocate.
type Glance struct {
	// Elsewhere says that heads and vector, or only that, are in the value: only Digest is known then, and all else is zero.
	Elsewhere bool
	// Siblings counts the siblings, Tombstones those that are tombstones, Expiring those that expire.
	Siblings, Tombstones, Expiring int
	// ExpiresMax is when the last of those that expire does, in milliseconds since the epoch; zero if none does.
	ExpiresMax int64

	// heads are the heads, each behind its flags; those of a lone sibling are loneFlags. Elsewhere, unless lone, they are the digest.
	heads     []byte
	loneFlags byte
	lone      bool
	// entries are those of the vector that are written.
	entries []byte
}

// GlanceAt looks at a meta, which must not change while the Glance is in use. It checks lengths and flags, not the order of what is
// written: whatever DecodeMeta takes it takes, too. Errors wrap ErrMalformed.
func GlanceAt(meta []byte) (g Glance, err error) {
	if len(meta) == 0 || len(meta) > MetaBytesMax || meta[0]&metaFormatMask != metaFormat {
		return g, errGlance
	}
	rest := meta[1:]
	switch flags := meta[0] &^ (metaFormatMask | metaCompact); {
	case flags == metaElsewhere:
		if len(rest) != digestBytes {
			return g, errGlance
		}
		return Glance{Elsewhere: true, heads: rest}, nil
	case flags&^(flagTombstone|flagExpires) == metaVectorElsewhere:
		flags &^= metaVectorElsewhere
		if g.count(flags, rest) != len(rest) || len(rest) == 0 {
			return Glance{}, errGlance
		}
		return Glance{Elsewhere: true, lone: true, loneFlags: flags, heads: rest}, nil
	case flags == metaSeveral:
		if len(rest) == 0 || !g.several(int(rest[0]), rest[1:]) {
			return Glance{}, errGlance
		}
	case flags&^(flagTombstone|flagExpires) == 0:
		n := g.count(flags, rest)
		if n == 0 {
			return Glance{}, errGlance
		}
		g.lone, g.loneFlags, g.heads, g.entries = true, flags, rest[:n], rest[n:]
	default:
		return g, errGlance
	}
	if len(g.entries)%entryBytes != 0 {
		return Glance{}, errGlance
	}
	return g, nil
}

var errGlance = malformed("not a meta of a known format, flags or length")

// several counts n heads at the beginning of rest. It is false if they are not there.
func (g *Glance) several(n int, rest []byte) bool {
	at := 0
	for range n {
		if at == len(rest) || rest[at]&^(flagTombstone|flagExpires) != 0 {
			return false
		}
		dot := g.count(rest[at], rest[at+1:])
		if dot == 0 {
			return false
		}
		at += 1 + dot
	}
	g.heads, g.entries = rest[:at], rest[at:]
	return true
}

// count takes a sibling into account, and returns how many bytes of its head come after the flags: zero if they are not there.
func (g *Glance) count(flags byte, rest []byte) int {
	n := entryBytes
	if flags&flagExpires != 0 {
		n += expiryBytes
	}
	if len(rest) < n {
		return 0
	}
	g.Siblings++
	if flags&flagTombstone != 0 {
		g.Tombstones++
	}
	if flags&flagExpires != 0 {
		g.Expiring++
		g.ExpiresMax = max(g.ExpiresMax, int64(binary.BigEndian.Uint64(rest[entryBytes:])))
	}
	return n
}

// Digest is a digest of the heads: the dots, flags and expiries of the siblings, and nothing of the vector. It is the same for every
// form in which the same siblings can be stored today: see Outdated.
//
// That of a lone sibling is xxHash64, because it is taken twice for every write; that of several is what a meta has of them if they
// are elsewhere. docs/decisions/0006-digests-of-trees.md says what a stronger one would be worth.
func (g *Glance) Digest() uint64 {
	switch {
	case g.lone:
		var head [headBytesMin + expiryBytes]byte
		head[0] = g.loneFlags
		return xxhash.Sum64(head[:1+copy(head[1:], g.heads)])
	case g.Elsewhere:
		return binary.BigEndian.Uint64(g.heads)
	default:
		sum := sha256.Sum256(g.heads)
		return binary.BigEndian.Uint64(sum[:digestBytes])
	}
}

// Mortal says whether the object may be settled one day as it is: each sibling is a tombstone, or expires.
func (g *Glance) Mortal() bool { return !g.Elsewhere && g.Tombstones+g.Expiring == g.Siblings }

// Settled is Object.Settled of what DecodeMeta makes of the meta. It is false where heads and vector are elsewhere.
func (g *Glance) Settled(stable Vector, expired int64) bool {
	return g.Mortal() && g.ExpiresMax <= expired && g.coveredBy(stable)
}

// coveredBy says whether v covers the dots of the siblings and all entries that are written.
func (g *Glance) coveredBy(v Vector) bool {
	if g.lone {
		return v.Covers(dotAt(g.heads)) && coversEntries(v, g.entries)
	}
	for heads := g.heads; len(heads) > 0; {
		if !v.Covers(dotAt(heads[1:])) {
			return false
		}
		n := headBytesMin
		if heads[0]&flagExpires != 0 {
			n += expiryBytes
		}
		heads = heads[n:]
	}
	return coversEntries(v, g.entries)
}

func coversEntries(v Vector, entries []byte) bool {
	for ; len(entries) > 0; entries = entries[entryBytes:] {
		if !v.Covers(dotAt(entries)) {
			return false
		}
	}
	return true
}
