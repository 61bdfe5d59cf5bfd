package antientropy

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/ringcask/ringcask/internal/causal"
)

// HashScheme numbers the way in which keys, leaves and nodes are hashed, and the shape of the tree. Hashes of different schemes must not
// be compared. In 1 the digest of a lone sibling was of SHA-256.
const HashScheme = 2

// Covers says whether everything that is settled under the older rule is settled under r, too.
func (r Rule) Covers(older Rule) bool {
	return r.Expired >= older.Expired && r.Stable.CoversAll(older.Stable)
}

// KeyHash is what a key with this meta adds to its leaf. Errors wrap causal.ErrMalformed.
func KeyHash(key, meta []byte) (uint64, error) {
	g, err := causal.GlanceAt(meta)
	if err != nil {
		return 0, err
	}
	return hashOf(xxhash.Sum64(key), g.Digest()), nil
}

// hashOf puts a key's hash and the digest of its heads together. Each step is one to one, so that two states of one key never
// hash alike unless their digests do.
func hashOf(key, digest uint64) uint64 { return mix(mix(key) ^ digest) }

// mix spreads every bit of x over all of them. Finalizer of SplitMix64 (Steele, Lea and Flood).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// nodeHash is the hash of a node with these children.
func nodeHash(children []uint64) uint64 {
	var buf [max(InnerCount, LeavesPerInner) * 8]byte
	for i, c := range children {
		binary.BigEndian.PutUint64(buf[8*i:], c)
	}
	return xxhash.Sum64(buf[:8*len(children)])
}

// innerHashes are the hashes of the inner nodes above all leaves of a tree.
func innerHashes(leaves *[LeafCount]uint64) (inner [InnerCount]uint64) {
	for i := range inner {
		inner[i] = nodeHash(leaves[i*LeavesPerInner : (i+1)*LeavesPerInner])
	}
	return inner
}

// keyState is one state of a key, as far as a tree is concerned. The zero state is that of an absent key.
type keyState struct {
	present bool
	// mortal is that of glance, which most are not.
	mortal bool
	hash   uint64
	glance causal.Glance
}

// look makes s, which is zero, the state of a key with that hash. A nil meta is absence.
func (s *keyState) look(key uint64, meta []byte) (err error) {
	if meta == nil {
		return nil
	}
	if s.glance, err = causal.GlanceAt(meta); err != nil {
		return err
	}
	s.present, s.mortal, s.hash = true, s.glance.Mortal(), hashOf(key, s.glance.Digest())
	return nil
}

// stays says whether a key in this state is in the tree for as long as it is not written again, whatever the rule.
func (s *keyState) stays() bool { return s.present && !s.mortal }

// tree is the leaves of one partition under one rule. All numbers are those of an Abelian group, and those of a tree in the making
// may be anything on the way: what is subtracted may be added later.
type tree struct {
	rule Rule
	// leaves are in the tree itself: Observe goes to them for every change, and for a value over a value to nothing else.
	leaves [LeafCount]uint64
	// keys are all that are in the tree; tombstones and expiring are those of them that may leave it one day without being written
	// again: of tombstones only, and those where something must expire first.
	keys, tombstones, expiring int64
	// settled are stored, and not in the tree.
	settled int64
	// spoiled are the leaves of which the sum is not known.
	spoiled leafSet
	// incomplete says that there may be keys which the scan could not name.
	incomplete bool
}

func newTree(rule Rule) *tree { return &tree{rule: rule} }

// count enters a key, or with sign -1 takes it out, unless it is absent. What is settled is counted, and no more.
func (t *tree) count(leaf int, s *keyState, sign int64) {
	if !s.present {
		return
	}
	if s.mortal && s.glance.Settled(t.rule.Stable, t.rule.Expired) {
		t.settled += sign
		return
	}
	t.leaves[leaf] += uint64(sign) * s.hash
	t.keys += sign
	switch {
	case !s.mortal:
	case s.glance.Expiring > 0:
		t.expiring += sign
	default:
		t.tombstones += sign
	}
}

// replace enters a change. What was there before is not known if old is nil.
func (t *tree) replace(leaf int, old, now *keyState) {
	switch {
	case old == nil:
		t.spoiled.add(leaf)
	case old.stays() && now.stays(): // most of the time: a value over a value
		t.leaves[leaf] += now.hash - old.hash
		return
	default:
		t.count(leaf, old, -1)
	}
	t.count(leaf, now, +1)
}

// leafSet is a set of leaves.
type leafSet [LeafCount / 64]uint64

func (s *leafSet) add(leaf int) { s[leaf/64] |= 1 << (leaf % 64) }

func (s *leafSet) has(leaf int) bool { return s[leaf/64]&(1<<(leaf%64)) != 0 }

func (s *leafSet) len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}
