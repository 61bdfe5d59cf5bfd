package antientropy

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Forest has a tree for each partition of a node that was built or loaded. See the package comment.
type Forest struct {
	opts ForestOptions
	// mu is over all partitions: Observe takes it once for all that it is told, and hardly anybody else ever wants it.
	mu         sync.Mutex
	partitions []partition
	// salt is in the hash of every poisoned leaf.
	salt uint64
	// rebuilding holds one token, which whoever rebuilds has.
	rebuilding chan struct{}
}

// partition is a tree and what concerns it, under Forest.mu.
type partition struct {
	// standing is nil until a tree was built or loaded; making is nil but for the time of a Rebuild.
	standing, making *tree
	// observed says that a change was told: a file from before it is of no use.
	observed bool
	// poisoned are the keys that cannot be read, with their leaves; unpoisoned those that were taken out of it while a tree was in
	// the making.
	poisoned, unpoisoned map[string]int
}

// NewForest makes a forest in which no tree stands. The error says what is wrong with the options, or that the random number could not
// be drawn.
func NewForest(opts ForestOptions) (*Forest, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	var salt [8]byte
	if _, err := io.ReadFull(opts.Random, salt[:]); err != nil {
		return nil, fmt.Errorf("antientropy: draw the number of poisoned leaves: %w", err)
	}
	return &Forest{
		opts: opts, partitions: make([]partition, opts.Partitions),
		salt: binary.BigEndian.Uint64(salt[:]), rebuilding: make(chan struct{}, 1),
	}, nil
}

// LeafOf is where a key is: its partition, and its leaf there.
func (f *Forest) LeafOf(key []byte) (ring.PartitionID, int) { return f.place(xxhash.Sum64(key)) }

// place finds the leaf by what of the hash does not choose the partition: see ring.PartitionOf.
func (f *Forest) place(hash uint64) (ring.PartitionID, int) {
	n := uint64(len(f.partitions))
	return ring.PartitionID(hash % n), int(hash / n % LeafCount)
}

// Observe enters changes, in the order of the log: it is the storage engine's Options.Observer. It allocates nothing.
func (f *Forest) Observe(changes []storage.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range changes {
		f.observeLocked(&changes[i])
	}
}

func (f *Forest) observeLocked(c *storage.Change) {
	hash := xxhash.Sum64(c.Key)
	id, leaf := f.place(hash)
	p := &f.partitions[id]
	p.observed = true
	if p.standing == nil && p.making == nil {
		return
	}
	var old, now keyState
	before := &old
	// A meta that is none added nothing when it came.
	none := old.look(hash, c.OldMeta)
	_, unreadable := p.poisoned[string(c.Key)]
	if c.OldUnknown || unreadable && none == nil { // of what cannot be read a scan may have seen nothing
		before = nil
	}
	if err := now.look(hash, c.NewMeta); err != nil {
		f.poisonLocked(p, c.Key, leaf)
	}
	for _, t := range [...]*tree{p.standing, p.making} {
		if t != nil {
			t.replace(leaf, before, &now)
		}
	}
}

// Drop has no tree stand in a partition until the next Rebuild that begins now or later: what the tree says is no longer there.
func (f *Forest) Drop(p ring.PartitionID) {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	part.standing, part.making = nil, nil
}

// Stands says whether the partition has a tree that can be compared. Once it has, it does until it is dropped.
func (f *Forest) Stands(p ring.PartitionID) bool {
	_, ok := f.under(p)
	return ok
}

// Rule is what the partition's tree was built under; the zero Rule if none stands.
func (f *Forest) Rule(p ring.PartitionID) Rule {
	rule, _ := f.under(p)
	return rule
}

func (f *Forest) under(p ring.PartitionID) (Rule, bool) {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	if part.standing == nil {
		return Rule{}, false
	}
	return part.standing.rule, true
}

// Root is the hash of all that is in the partition's tree. It says nothing if none stands; nor do Inner and Leaves.
func (f *Forest) Root(p ring.PartitionID) uint64 {
	inner := f.Inner(p)
	return nodeHash(inner[:])
}

// Inner are the children of the root.
func (f *Forest) Inner(p ring.PartitionID) [InnerCount]uint64 {
	var leaves [LeafCount]uint64
	f.copyLeaves(p, 0, leaves[:])
	return innerHashes(&leaves)
}

// Leaves are the children of an inner node: leaf i of them is leaf inner × LeavesPerInner + i of the tree.
func (f *Forest) Leaves(p ring.PartitionID, inner int) (leaves [LeavesPerInner]uint64) {
	f.copyLeaves(p, inner*LeavesPerInner, leaves[:])
	return leaves
}

// copyLeaves copies the leaves from first on, as others see them.
func (f *Forest) copyLeaves(p ring.PartitionID, first int, dst []uint64) {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	if part.standing != nil {
		copy(dst, part.standing.leaves[first:])
		f.poisonLeavesLocked(part, first, dst)
	}
}

// Advance gives the partition's tree a rule that covers its own, if the tree is the same under both: nothing is in it that could be
// settled. False means that the tree needs a Rebuild, or is being built anew, or that there is none.
func (f *Forest) Advance(p ring.PartitionID, to Rule) bool {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	t := part.standing
	if t != nil && t.rule.Equal(to) {
		return true
	}
	// A tree in the making would take the place of this one with the rule that it was begun under.
	if t == nil || part.making != nil || t.tombstones+t.expiring > 0 || !to.Covers(t.rule) {
		return false
	}
	t.rule = to
	return true
}

// Settled says whether an object with that meta is left out of the partition's tree, so that the storage engine's merges may drop it. It
// is false if no tree stands, and for what is no meta.
func (f *Forest) Settled(p ring.PartitionID, meta []byte) bool {
	g, err := causal.GlanceAt(meta)
	if err != nil || !g.Mortal() {
		return false
	}
	rule, ok := f.under(p)
	return ok && g.Settled(rule.Stable, rule.Expired)
}

// TreeStats describes a partition's tree. If none stands, all is zero but for Rebuilding and PoisonedKeys.
type TreeStats struct {
	// Stands and Rebuilding say whether there is a tree, and whether one is in the making.
	Stands, Rebuilding bool
	// Keys are those in the tree, so that settled ones are not counted. Tombstones are those of them that consist of tombstones only,
	// Expiring those that consist of what expires, and tombstones. While a leaf is spoiled, all three may be too high.
	Keys, Tombstones, Expiring int64
	// Settled are stored and in no tree: the next merges drop them. It, too, may be off while a leaf is spoiled.
	Settled int64
	// PoisonedKeys are known by name to be unreadable.
	PoisonedKeys int
	// SpoiledLeaves have sums that are not known, until the next Rebuild.
	SpoiledLeaves int
	// Incomplete says that the tree was built past damage of which the keys are not known.
	Incomplete bool
}

// Stats describes the partition's tree.
func (f *Forest) Stats(p ring.PartitionID) TreeStats {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	s := TreeStats{Rebuilding: part.making != nil, PoisonedKeys: len(part.poisoned)}
	if t := part.standing; t != nil {
		s.Stands, s.Incomplete = true, t.incomplete
		s.Keys, s.Tombstones, s.Expiring = t.keys, t.tombstones, t.expiring
		s.Settled = t.settled
		s.SpoiledLeaves = t.spoiled.len()
	}
	return s
}

// KeyCount is how many keys a partition's tree has, about; zero if none stands.
func (f *Forest) KeyCount(p ring.PartitionID) int64 {
	part := &f.partitions[p]
	f.mu.Lock()
	defer f.mu.Unlock()
	if part.standing == nil {
		return 0
	}
	return part.standing.keys
}

// SettledKeys is how many keys are stored, in all partitions, that Settled is true of.
func (f *Forest) SettledKeys() (n int64) {
	for i := range f.partitions {
		p := &f.partitions[i]
		f.mu.Lock()
		if p.standing != nil {
			n += p.standing.settled
		}
		f.mu.Unlock()
	}
	return n
}
