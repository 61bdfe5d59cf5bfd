package antientropy

import (
	"context"
	"errors"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// Item is a key and what a replica holds for it. Its vector is always full.
type Item struct {
	Key    []byte
	Object causal.Object
}

// Leaf is a leaf of a partition's tree.
type Leaf struct {
	Partition ring.PartitionID
	Number    uint16
}

// Replica is this node's own copy, as exchanges need it.
type Replica interface {
	// Filled says whether the replica vouches for what it does not hold of a partition; Fill makes it so, durably.
	Filled(p ring.PartitionID) bool
	Fill(ps ...ring.PartitionID) error
	// Stable is a partition's stable vector, KnownStable what is known of it even while the partition is not filled. Learn joins others',
	// durably.
	Stable(p ring.PartitionID) causal.Vector
	KnownStable(p ring.PartitionID) causal.Vector
	Learn(vectors map[ring.PartitionID]causal.Vector) error
	// Refuse has events of retired actors come by exchange only, durably; Refused are those actors, with times that are no less than
	// those of any of their events that were seen before.
	Refuse(p ring.PartitionID, retired ...causal.Actor) error
	Refused(p ring.PartitionID) causal.Vector
	// Actor is the replica's present actor; Issued a time up to which all dots that it has issued in a partition, or ever will, are durable.
	Actor() causal.Actor
	Issued(p ring.PartitionID) causal.Timestamp
	// Keys calls fn for every key in some leaves with its hash as the tree has it; unknown says that the key's record cannot be read. Keys
	// that are settled are left out. The key is valid in the call.
	Keys(ctx context.Context, leaves []Leaf, fn func(leaf Leaf, key []byte, hash uint64, unknown bool)) error
	// Held is what the replica holds for keys, also while their partitions are not filled, until the values fill bytesMax: the items
	// are those of the first keys, at least one. A key that cannot be read has no place in known.
	Held(keys [][]byte, bytesMax int) (items []Item, known []bool)
	// Store joins items that an exchange brought, and returns when that is durable. An error that wraps ErrUnreadable says that nothing was stored, because
	// one of the keys cannot be read.
	Store(ctx context.Context, items []Item) error
}

// ErrUnreadable is why items cannot be joined with what is stored.
var ErrUnreadable = errors.New("antientropy: what is stored cannot be read")

// Trees are the Merkle trees of the node's partitions.
type Trees interface {
	// Stands says whether a partition has a tree.
	Stands(p ring.PartitionID) bool
	// Rule is what the tree was built under: two trees can be compared if they are equal.
	Rule(p ring.PartitionID) Rule
	Root(p ring.PartitionID) uint64
	Inner(p ring.PartitionID) [InnerCount]uint64
	Leaves(p ring.PartitionID, inner int) [LeavesPerInner]uint64
	// KeyCount is how many keys a tree has, about; zero if none stands.
	KeyCount(p ring.PartitionID) int64
	// Poisoned says whether some key of the partition cannot be read.
	Poisoned(p ring.PartitionID) bool
	// Want has the tree be built under a rule, in the background.
	Want(p ring.PartitionID, rule Rule)
}

// Peer carries messages to another node's Exchanger.
type Peer interface {
	// Exchange sends a request and calls done exactly once, perhaps before it returns.
	Exchange(deadline time.Time, request []byte, done func(answer []byte, err error))
	// Reachable is a hint.
	Reachable() bool
}

// Topology is what exchanges need to know of the partition table. *ring.Table is one.
type Topology interface {
	Replicas(p ring.PartitionID) []ring.NodeID
	PartitionCount() int
	N() int
}
