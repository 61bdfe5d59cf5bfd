package coordinator

import (
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// Level is how many replicas must answer: a positive number, or one of the names below.
type Level = wire.Level

// The levels with names: the cluster's setting, 1, N/2+1 and N.
const (
	LevelDefault = wire.LevelDefault
	LevelOne     = wire.LevelOne
	LevelQuorum  = wire.LevelQuorum
	LevelAll     = wire.LevelAll
)

// OpKind is what a write does to a key.
type OpKind uint8

// The kinds.
const (
	OpPut OpKind = iota
	OpDelete
)

// Op is the write of one key.
type Op struct {
	Kind OpKind
	Key  []byte
	// Value is what a put stores.
	Value []byte
	// ExpiresAt is in milliseconds since the Unix epoch; zero is never.
	ExpiresAt int64
	// Context is from an earlier get, when HasContext: the write supersedes what it covers and leaves the rest as
	// siblings.
	Context    causal.Vector
	HasContext bool
}

// WriteRequest is one write of one or more different keys.
type WriteRequest struct {
	Ops []Op
	// W is how many replicas must hold each write durably, the coordinating one among them.
	W Level
	// R is how many replicas' vectors an ordered put, or a delete without context, joins first.
	R Level
	// Ordered makes every put without context join the vectors of R replicas before its dot is issued. ChoiceDefault is
	// the cluster's setting.
	Ordered wire.Choice
	// Sloppy has a replica that cannot be had replaced by a fallback node, which keeps its copy as a hint until the replica
	// is back, where fewer than W replicas could hold the write else. Such a write can be missed by R replicas until
	// then: what R+W>N promises does not hold for it. ChoiceDefault is the cluster's setting.
	Sloppy wire.Choice
	// Deadline is absolute, by this node's clock.
	Deadline time.Time
	// Retried says that the client sent this write before; the receipt repeats it.
	Retried bool
}

// Receipt says where a write is.
type Receipt struct {
	Dot causal.Dot
	// Replicas are known to hold the write durably, the coordinating one first.
	Replicas []ring.NodeID
	// Hints are known to be kept for replicas that have not acknowledged the write. More may be kept later.
	Hints []KeptHint
	// Retried is WriteRequest.Retried.
	Retried bool
}

// KeptHint says that a node durably keeps a write for a replica.
type KeptHint struct {
	// Target is the replica, Node who keeps the hint.
	Target, Node ring.NodeID
	// Counted says that the hint is one of the W copies.
	Counted bool
}

// Outcome is what became of one Op.
type Outcome struct {
	// Err is nil when at least W replicas hold the write; see EffectOf.
	Err error
	// Context covers the write and what it superseded; set when Err is nil, or when the effect is applied.
	Context causal.Vector
	Receipt Receipt
}

// ReadRequest asks for one or more keys.
type ReadRequest struct {
	Keys     [][]byte
	R        Level
	Deadline time.Time
}

// ReadResult is the join of what R replicas hold of one key.
type ReadResult struct {
	Err    error
	Object causal.Object
}

// RangeRequest asks for one page of keys in order.
type RangeRequest struct {
	// Start is inclusive, End exclusive; empty is no bound.
	Start, End []byte
	Reverse    bool
	KeysOnly   bool
	R          Level
	// Limit bounds the visible keys of the page, BytesMax its bytes; zero is the coordinator's setting.
	Limit, BytesMax int
	// Partial answers without the partitions that lack R live replicas, naming them, in place of an error.
	Partial  bool
	Deadline time.Time
}

// RangeItem is one visible key.
type RangeItem struct {
	Key    []byte
	Object causal.Object
}

// RangePage is one page of a range: sorted, without the keys that show nothing.
type RangePage struct {
	Items []RangeItem
	// More says that there may be keys beyond: Resume is the Start (in reverse, the End) of the next page.
	More   bool
	Resume []byte
	// Missing are the partitions left out, with Partial.
	Missing []ring.PartitionID
}
